"""What a recogniser hears, from any endpoint that speaks OpenAI's transcriptions.

    --words=asr:nvidia/parakeet-tdt-0.6b-v2@http://127.0.0.1:8000/v1

It must give word times (`timestamp_granularities[]=word`). What it heard is kept in the
sample's folder: scoring again does not ask again.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from eval.ears import Unheard
from eval.endpoint import FATAL, KEY, client
from eval.record import Record
from eval.sample import Span
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE

SILENT_S = 300.0  # an endpoint may be, before a try counts as lost
TRIES = 3


class Recogniser:
    def __init__(
        self, model: str, url: str, tries: int = TRIES, silent_s: float = SILENT_S
    ) -> None:
        self._model = model
        self._client = client(model, url, "words=asr", tries, silent_s)
        self._name = hashlib.sha256(f"{model}@{url}".encode()).hexdigest()[:16]

    def __call__(self, record: Record, segments: object) -> list[Span]:
        """Raises Unheard where the endpoint gives no words with times."""
        kept = record.path / f"asr-{self._name}.json"
        sound = hashlib.sha256(record.output.tobytes()).hexdigest()
        heard = _kept(kept, sound)
        if heard is None:
            heard = self._ask(record.id, record.output)
            temporary = kept.with_name(f".tmp-{os.getpid()}-{kept.name}")
            temporary.write_text(
                json.dumps({"model": self._model, "sound": sound, "words": heard})
            )
            temporary.replace(kept)
        return [Span(*word) for word in heard]

    def _ask(self, id_: str, wave: np.ndarray) -> list[list[Any]]:
        import openai

        file = io.BytesIO()
        soundfile.write(file, np.clip(wave, -1, 1), SAMPLE_RATE, format="WAV")
        try:
            reply = self._client.audio.transcriptions.create(
                model=self._model, file=("output.wav", file.getvalue(), "audio/wav"),
                response_format="verbose_json", timestamp_granularities=["word"],
            )  # fmt: skip
            text, words = reply.text, reply.words
            times = [[w.word.strip(), float(w.start), float(w.end)] for w in words or ()]
        except openai.APIStatusError as error:
            if error.status_code in FATAL:
                raise InputError(
                    f"--words=asr:{self._model}: HTTP {error.status_code}; check the "
                    f"model's name, the address and {KEY}"
                ) from None
            raise Unheard(f"{id_}: the recogniser: HTTP {error.status_code}") from None
        except (openai.APIError, ValueError, TypeError, AttributeError) as error:
            raise Unheard(f"{id_}: the recogniser: {type(error).__name__}") from None
        if text.strip() and not times:
            raise Unheard(f"{id_}: the recogniser gives words without times")
        return times


def _kept(file: Path, sound: str) -> list[list[Any]] | None:
    try:
        found = json.loads(file.read_text())
        return found["words"] if found["sound"] == sound else None
    except (OSError, ValueError, KeyError):
        return None


def open(rest: str) -> Callable[[Record, list[tuple[float, float]]], list[Span]]:
    model, _, url = rest.partition("@")
    return Recogniser(model, url)
