"""A model behind any endpoint that speaks OpenAI's chat completions.

    --judge=openai:gpt-4o-mini
    --judge=openai:qwen3@http://127.0.0.1:8000/v1

The key comes from OPENAI_API_KEY, and goes nowhere but into the header. Replies are kept
(`eval.replies`): what was asked before is not asked again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eval.endpoint import FATAL, KEY, client
from eval.replies import Replies, default_place, question
from interaction.errors import InputError

SILENT_S = 120.0  # an endpoint may be, before a try counts as lost
TRIES = 3  # of one question, waits in between


class OpenAIJudge:
    """failures: questions without a reply, and replies without a rating."""

    def __init__(
        self, model: str, url: str, kept: Replies,
        tries: int = TRIES, silent_s: float = SILENT_S,
    ) -> None:  # fmt: skip
        self.name = f"openai:{model}@{url}" if url else f"openai:{model}"
        self.failures = 0
        self.official: Path | None = None
        self._model, self._kept = model, kept
        self._client = client(model, url, "judge=openai", tries, silent_s)

    def ask(
        self, prompt: str, system: str = "", temperature: float | None = 0.0, n: int = 1,
        seed: int | None = None, top_p: float | None = None,
    ) -> list[str] | None:  # fmt: skip
        asked = question(prompt, system, temperature, n, seed, top_p)
        replies = self._kept.get(asked["key"], self._model)
        if replies is None:
            replies = self._replies(asked)
            if replies is None:
                self.failures += 1
                return None
            self._kept.add(asked, self._model, replies)
        return replies

    def misread(self) -> None:
        self.failures += 1

    def _replies(self, asked: dict[str, Any]) -> list[str] | None:
        import openai

        replies: list[str] = []
        while len(replies) < asked["n"]:  # some endpoints give one, whatever n says
            try:
                more = self._once(asked, asked["n"] - len(replies))
            except openai.APIStatusError as error:
                if error.status_code in FATAL:
                    raise InputError(
                        f"--judge={self.name}: HTTP {error.status_code}; "
                        f"check the model's name, the address and {KEY}"
                    ) from None
                return None
            except (openai.APIError, ValueError):
                return None
            if not more:
                return None
            replies += more
        return replies[: asked["n"]]

    def _once(self, asked: dict[str, Any], n: int) -> list[str]:
        messages = [{"role": "user", "content": asked["prompt"]}]
        if asked["system"]:
            messages.insert(0, {"role": "system", "content": asked["system"]})
        wishes = {k: asked[k] for k in ("temperature", "top_p", "seed")}
        reply = self._client.chat.completions.create(
            model=self._model, messages=messages, n=n,
            **{k: v for k, v in wishes.items() if v is not None},
        )  # fmt: skip
        texts = [choice.message.content for choice in reply.choices or ()]
        return [] if any(text is None for text in texts) else texts


def open(rest: str) -> OpenAIJudge:
    model, _, url = rest.partition("@")
    return OpenAIJudge(model, url, Replies(default_place()))
