"""Any endpoint that speaks OpenAI's chat completions: hosted, or vLLM, llama.cpp, Ollama.

The key comes from OPENAI_API_KEY, and goes nowhere but into the header.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai

from interaction.background.backends import Lost
from interaction.background.backends.chat import Chat, Limits, Refused
from interaction.errors import InputError

KEY = "OPENAI_API_KEY"
SILENT_S = 60.0  # that an endpoint may be, between two pieces
REFUSALS = {
    401: "the background model does not accept our key",
    403: "the background model does not accept our key",
    404: "there is no such background model",
    413: "the conversation is too long for the background model",
    429: "the background model is too busy",
}
REFUSED = "the background model refused the task"


class OpenAIBackend(Chat):
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
        super().__init__(limits)
        self._model = model
        self._key = key
        self._client = openai.AsyncOpenAI(
            api_key=key or "none",  # the SDK wants one; local servers do not
            base_url=url,
            max_retries=retries,
            timeout=httpx2.Timeout(silent_s, connect=10.0),
        )

    async def close(self) -> None:
        await self._client.close()

    async def choices(
        self, told: list, offered: dict[str, Any]
    ) -> AsyncGenerator[Any, None]:
        """Pieces of a reply. Raises Lost, or Refused where trying again cannot help."""
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
            raise Refused(why, self._detail(error)) from None
        except (openai.APIError, httpx2.HTTPError, ValueError) as error:
            raise Lost(type(error).__name__) from None

    def _detail(self, error: openai.APIStatusError) -> str:
        """For whoever looks on. Endpoints repeat keys that they do not know."""
        text = f"HTTP {error.status_code}: {error.message[:500]}"
        return text.replace(self._key, "(the key)") if self._key else text
