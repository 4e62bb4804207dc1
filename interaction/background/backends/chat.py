"""A task as a chat: replies, the tools that they call, and how it ends, for any model that
reads messages and writes in pieces."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, NamedTuple, Protocol

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

THOUGHT = 200  # characters of thinking that are told at once
TOO_LONG = "the answer grew too long"
TOO_MANY = "the task took too many steps"
FILTERED = "the background model may not answer that"
NOTHING = "the background model gave no answer"


class Choice(Protocol):
    """A piece of a reply, as chat completions stream it. delta: its text, thoughts or parts
    of calls; finish_reason: with the last."""

    delta: Any
    finish_reason: str | None


class Limits(NamedTuple):
    """steps: replies of the model; calls: in a reply; characters: of all it writes."""

    steps: int = 8
    calls: int = 8
    characters: int = 40_000


class Chat:
    """What is left to a model: `choices`, and `close`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def choices(self, told: list, offered: dict[str, Any]) -> AsyncGenerator[Choice, None]:
        """Pieces of one reply. offered: {"tools": ...} where there are any. Raises Lost, or
        Refused where trying again cannot help."""
        raise NotImplementedError

    async def run(
        self, context: Context, tools: Toolbox, confirm: Confirm
    ) -> AsyncGenerator[Update, None]:
        try:
            async with aclosing(self._steps(context, tools, confirm)) as updates:
                async for update in updates:
                    yield update
        except Refused as refused:
            if refused.detail:
                yield Thinking(refused.detail)
            yield Failed(str(refused))

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
                raise Refused(TOO_MANY)
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
        async with aclosing(self.choices(told, offered)) as choices:
            async for choice in choices:
                reply.take(choice.delta)
                reply.finish = choice.finish_reason or reply.finish
                if reply.length > room:
                    raise Refused(TOO_LONG)
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


class Refused(Exception):
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
