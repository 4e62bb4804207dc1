"""Any endpoint that speaks OpenAI's chat completions: hosted, or vLLM, llama.cpp, Ollama.

The key comes from OPENAI_API_KEY, and goes nowhere but into the header.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2
import openai

from interaction.background.backends import Lost
from interaction.background.backends.prompt import functions, messages
from interaction.background.backends.streamed import Call, Reply
from interaction.background.protocol import (
    Commentary,
    Context,
    Failed,
    Final,
    Thinking,
    ToolFinished,
    ToolStarted,
    Update,
)
from interaction.background.toolbox import Confirm, Toolbox
from interaction.errors import InputError

KEY = "OPENAI_API_KEY"
THOUGHT = 200  # characters of thinking that are told at once
SILENT_S = 60.0  # that an endpoint may be, between two pieces
REFUSALS = {
    401: "the background model does not accept our key",
    403: "the background model does not accept our key",
    404: "there is no such background model",
    413: "the conversation is too long for the background model",
    429: "the background model is too busy",
}
REFUSED = "the background model refused the task"
TOO_LONG = "the answer grew too long"
TOO_MANY = "the task took too many steps"
FILTERED = "the background model may not answer that"
NOTHING = "the background model gave no answer"


class Limits(NamedTuple):
    """steps: replies of the model; calls: in a reply; characters: of all it writes."""

    steps: int = 8
    calls: int = 8
    characters: int = 40_000


class OpenAIBackend:
    """url: ends in /v1, mostly; None for OpenAI's own. retries: before the first piece
    came, which the SDK does as the endpoint asks."""

    def __init__(
        self,
        model: str,
        url: str | None = None,
        limits: Limits = Limits(),  # noqa: B008  # it never changes
        retries: int = 2,
        silent_s: float = SILENT_S,
    ) -> None:
        key = os.environ.get(KEY, "")
        if url is None and not key:
            raise InputError(f"{KEY} is not set; set it, or name another endpoint")
        parts = urlsplit(url or "")
        if "@" in parts.netloc or parts.query:
            raise InputError(f"the endpoint's address holds a secret; set {KEY} instead")
        self._model, self._limits = model, limits
        self._key = key
        self._client = openai.AsyncOpenAI(
            api_key=key or "none",  # the SDK wants one; local servers do not
            base_url=url,
            max_retries=retries,
            timeout=httpx2.Timeout(silent_s, connect=10.0),
        )

    async def run(
        self, context: Context, tools: Toolbox, confirm: Confirm
    ) -> AsyncGenerator[Update, None]:
        try:
            async with aclosing(self._steps(context, tools, confirm)) as updates:
                async for update in updates:
                    yield update
        except _Refused as refused:
            if refused.detail:
                yield Thinking(refused.detail)
            yield Failed(str(refused))

    async def close(self) -> None:
        await self._client.close()

    async def _steps(
        self, context: Context, tools: Toolbox, confirm: Confirm
    ) -> AsyncGenerator[Update, None]:
        told = messages(context)
        offered = {"tools": functions(context)} if context.tools else {}
        room = self._limits.characters
        for step in range(1, self._limits.steps + 1):
            reply = Reply()
            async with aclosing(self._read(told, offered, reply, room)) as updates:
                async for update in updates:
                    yield update
            room -= reply.length
            if not reply.calls:
                yield _last(reply)
                return
            if step == self._limits.steps:  # what they find would not be told
                raise _Refused(TOO_MANY)
            for n, call in enumerate(reply.calls):
                call.id = call.id or f"call{step}{n}"
            told.append(reply.message())
            for n, call in enumerate(reply.calls):
                async with aclosing(self._call(n, call, tools, confirm)) as updates:
                    async for update in updates:
                        yield update
                        if isinstance(update, ToolFinished):
                            told.append(_result(update))

    async def _read(
        self, told: list, offered: dict[str, Any], reply: Reply, room: int
    ) -> AsyncGenerator[Update, None]:
        """Take a reply in. What stands before a call is told once the call begins."""
        thought = said = 0
        async with aclosing(self._choices(told, offered)) as choices:
            async for choice in choices:
                reply.take(choice.delta)
                reply.finish = choice.finish_reason or reply.finish
                if reply.length > room:
                    raise _Refused(TOO_LONG)
                if len(reply.thinking) - thought >= THOUGHT:
                    yield Thinking(reply.thinking[thought:])
                    thought = len(reply.thinking)
                if reply.calls and not said and reply.text.strip():
                    yield Commentary(reply.text.strip())
                    said = len(reply.text)
        if reply.finish is None:
            raise Lost("the reply broke off")
        if reply.thinking[thought:]:
            yield Thinking(reply.thinking[thought:])
        if reply.calls and reply.text[said:].strip():
            yield Commentary(reply.text[said:].strip())

    async def _choices(
        self, told: list, offered: dict[str, Any]
    ) -> AsyncGenerator[Any, None]:
        """Pieces of a reply. Raises Lost, or _Refused where trying again cannot help."""
        try:
            stream = await self._client.chat.completions.create(
                model=self._model, messages=told, stream=True, **offered
            )
            async with stream:
                async for chunk in stream:
                    if chunk.choices:
                        yield chunk.choices[0]
        except openai.APIStatusError as error:
            if error.status_code >= 500:
                raise Lost(f"HTTP {error.status_code}") from None
            why = REFUSALS.get(error.status_code, REFUSED)
            raise _Refused(why, self._detail(error)) from None
        except (openai.APIError, httpx2.HTTPError, ValueError) as error:
            raise Lost(type(error).__name__) from None

    def _detail(self, error: openai.APIStatusError) -> str:
        """For whoever looks on. Endpoints repeat keys that they do not know."""
        text = f"HTTP {error.status_code}: {error.message[:500]}"
        return text.replace(self._key, "(the key)") if self._key else text

    async def _call(
        self, n: int, call: Call, tools: Toolbox, confirm: Confirm
    ) -> AsyncGenerator[Update, None]:
        try:
            if n >= self._limits.calls:
                raise InputError(f"not called: {self._limits.calls} at once are too many")
            arguments = call.arguments()
        except InputError as error:
            yield ToolStarted(call.id, call.name, {})
            yield ToolFinished(call.id, call.name, False, str(error))
            return
        async for update in tools.run(call.id, call.name, arguments, confirm):
            yield update


class _Refused(Exception):
    """Why, in words that can be said; detail: for whoever looks on."""

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(why)
        self.detail = detail


def _last(reply: Reply) -> Update:
    if reply.finish == "content_filter":
        return Failed(FILTERED)
    text = reply.text.strip()
    return Final(text) if text else Failed(NOTHING)


def _result(done: ToolFinished) -> dict[str, str]:
    text = done.text if done.ok else f"failed: {done.text}"
    return {"role": "tool", "tool_call_id": done.call, "content": text}
