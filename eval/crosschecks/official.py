"""Runs one function of official code, and tells what it came to.

    python official.py REQUEST.json

A program of its own, in the interpreter that the user names: it imports nothing of ours.
What needs a GPU, a network or a judge is stood in for; Silero's detector is where the
interpreter has it, else it says what ours found.

REQUEST: {"folder", "module", "function", "arguments", "client", "segments", "answer"}.
The answer: {"result", "locals": the function's lists and numbers, "error", "vad"}.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import sys
import types
import wave
from array import array
from pathlib import Path
from typing import Any


def stand_in(name: str, **members: Any) -> Any:
    module = types.ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module
    return module


def has(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def samples(path: Any) -> tuple[list, int]:
    """A wav of 16 bits -> its samples, full scale 1, and its rate."""
    with wave.open(str(path)) as file:
        data = array("h", file.readframes(file.getnframes()))
        return [[x / 32768 for x in data]], file.getframerate()


def no_resampling(*args: Any) -> None:
    raise RuntimeError("an exported wav is at 16 kHz")


def detectors(segments: dict[str, list]) -> str:
    """-> whose detector is heard."""
    if has("torch") and has("silero_vad"):
        import silero_vad
        import torch

        torch.set_num_threads(1)
        model = silero_vad.load_silero_vad()
        torch.hub.load = lambda *args, **kwargs: (model, None)
        found = "silero-vad"
        tensor = torch.tensor
    else:
        import numpy

        def speech(wav: Any, model: Any, **settings: Any) -> list[dict]:
            data = numpy.asarray(wav, numpy.float32).ravel()
            pairs = segments[hashlib.sha256(data.tobytes()).hexdigest()]
            if settings.get("return_seconds"):
                end = len(data) / 16000
                pairs = [[round(a / 16000, 1), min(round(b / 16000, 1), end)]
                         for a, b in pairs]  # fmt: skip
            return [{"start": a, "end": b} for a, b in pairs]

        stand_in("silero_vad", load_silero_vad=lambda: None, get_speech_timestamps=speech)
        hub = types.SimpleNamespace(load=lambda *args, **kwargs: (None, None))
        stand_in("torch", hub=hub)
        found = "ours"
        tensor = numpy.array

    def load(path: Any, *args: Any, **kwargs: Any) -> tuple[Any, int]:
        data, rate = samples(path)
        return tensor(data, dtype=getattr(sys.modules["torch"], "float32", "float32")), rate

    functional = types.SimpleNamespace(resample=no_resampling)
    stand_in("torchaudio", load=load, functional=functional)
    return found


class Client:
    """A judge that rates everything 0."""

    def __init__(self) -> None:
        self.chat = self.completions = self

    def create(self, **settings: Any) -> Any:
        said = "Analysis: none.\nI would rate the AI's response as 0"
        message = types.SimpleNamespace(content=said)
        return types.SimpleNamespace(choices=[types.SimpleNamespace(message=message)])


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_text())
    found = detectors(request["segments"])
    stand_in("openai", OpenAI=Client)
    if not has("tqdm"):
        stand_in("tqdm", tqdm=lambda things, **settings: things)
    os.chdir(request["folder"])
    sys.path.insert(0, request["folder"])
    any_order = os.listdir
    setattr(os, "listdir", lambda *args: sorted(any_order(*args)))  # noqa: B010 (mypy)
    kept: dict[str, Any] = {}

    def watch(frame: Any, event: str, value: Any) -> None:
        if event == "return" and frame.f_code.co_name == request["function"]:
            found = frame.f_locals.items()
            kept.update({k: v for k, v in found if isinstance(v, (list, int, float))})

    answer: dict[str, Any] = {"result": None, "error": None, "vad": found}
    try:
        module = importlib.import_module(request["module"])
        function = getattr(module, request["function"])
        arguments = list(request["arguments"])
        if request["client"]:
            arguments.append(Client())
        if request["function"] == "main":
            sys.argv[1:], arguments = arguments, []
        sys.setprofile(watch)
        answer["result"] = function(*arguments)
    except Exception as error:
        answer["error"] = f"{type(error).__name__}: {error}"
    finally:
        sys.setprofile(None)
    answer["locals"] = kept
    Path(request["answer"]).write_text(json.dumps(answer, default=str))


if __name__ == "__main__":
    main()
