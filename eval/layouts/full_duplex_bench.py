"""Full-Duplex-Bench's folders, v1.0 and v1.5, and what a run adds to them.

    v1_0/{candor_pause_handling, candor_turn_taking, icc_backchannel,
          synthetic_pause_handling, synthetic_user_interruption}/ID/
        input.wav         of any rate
        pause.json, turn_taking.json   [{"text": "[PAUSE]", "timestamp": [s, e]}]
        interrupt.json    [{"context": ..., "interrupt": ..., "timestamp": [s, e]}]
    v1_5/{user_interruption, user_backchannel, talking_to_other, background_speech}/ID/
        input.wav, clean_input.wav     with the second event, and without
        metadata.json     {"context_text", "current_turn_text", "timestamps": [s, e]}
    added: output.wav, output.json    {"text", "chunks": [{"text", "timestamp": [s, e]}]}

(its README, dataset/README.md; licence CC BY-NC 4.0, v1.5's data MIT). Of the official
code nothing is here: prompts and the people's backchannels come from a checkout.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eval.layouts.fields import noted
from eval.layouts.fields import unknown as unknown_fields
from eval.record import Record
from eval.sample import TURN_S, Fault, Sample, Span, whole_turns
from eval.task import Asked
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE
from interaction.modality.files import read_audio

EDGE_S = 0.1  # an event may end this little behind its wav
CLEAN = ".clean"  # behind the name of a v1.5 sample that is run without its second event


@dataclass(frozen=True)
class Subset:
    """version: the folder above; truth: file that says what happens when."""

    version: str
    folder: str
    truth: str

    def __str__(self) -> str:
        return f"{self.version}/{self.folder}"


PAUSE_CANDOR = Subset("v1_0", "candor_pause_handling", "pause.json")
PAUSE_SYNTHETIC = Subset("v1_0", "synthetic_pause_handling", "pause.json")
TURN_TAKING = Subset("v1_0", "candor_turn_taking", "turn_taking.json")
BACKCHANNEL = Subset("v1_0", "icc_backchannel", "")
INTERRUPTION = Subset("v1_0", "synthetic_user_interruption", "interrupt.json")


def overlap(folder: str) -> Subset:
    """One of v1.5's four."""
    return Subset("v1_5", folder, "metadata.json")


def samples(
    asked: Asked, subset: Subset, read: Callable[[Path], Iterator[Sample]]
) -> Iterator[Sample | Fault]:
    """In order of their numbers. What `read` cannot read is a fault."""
    places = [p for p in _folder(asked.data, subset).iterdir() if p.is_dir()]
    if not places:
        raise InputError(f"{asked.data}: {subset.folder} holds no samples")
    for place in sorted(places, key=lambda p: (not p.name.isdigit(), len(p.name), p.name)):
        if place.name.startswith("."):
            continue
        try:
            yield from read(place)
        except (InputError, OSError) as error:
            yield Fault(place.name, str(error))


def _folder(data: Path | None, subset: Subset) -> Path:
    if data is None:
        raise InputError(
            f"--data: name the directory of Full-Duplex-Bench's {subset.version}; its "
            "README says where to get it"
        )
    for place in (data / subset.version / subset.folder, data / subset.folder, data):
        if place.is_dir() and place.name == subset.folder:
            return place
    raise InputError(
        f"--data={data}: no {subset.version}/{subset.folder} in it; name the directory "
        "that holds v1_0 and v1_5"
    )


def sample(
    place: Path, truth: Mapping[str, Any], user: Sequence[Span], last: float = 0.0,
    clean: bool = False, unknown: Sequence[str] = (),
) -> Sample:  # fmt: skip
    """A sample of the wav in `place`, whose length is kept as truth["seconds"]. last: when
    the last thing happens that its JSON tells of."""
    wave = read_audio(place / ("clean_input.wav" if clean else "input.wav"))
    seconds = len(wave) / SAMPLE_RATE
    if last > seconds + EDGE_S:
        raise InputError(
            f"{place}: something happens at {last:g} s, and the wav ends at "
            f"{seconds:g} s; copy it again"
        )
    made = Sample(
        id=place.name + CLEAN * clean,
        audio=whole_turns(wave),
        user=tuple(user),
        truth=dict(truth) | {"seconds": seconds},
    )
    return noted(made, unknown)


def read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except OSError:
        raise InputError(f"{file}: not there; copy the sample again") from None
    except ValueError as error:
        raise InputError(f"{file}: is not JSON ({error})") from None


def events(
    file: Path, fields: Sequence[str], text: str = ""
) -> tuple[list[dict[str, Any]], list[str]]:
    """A file with a list of what happens, each with `fields` and a timestamp; and what else
    it has. text: what each must be called."""
    read = read_json(file)
    if not isinstance(read, list) or not read:
        raise InputError(f"{file}: a list of events was expected")
    others = []
    for one in read:
        others += check(file, one, [*fields, "timestamp"])
        if text and one["text"] != text:
            raise InputError(f"{file}: text {one['text']!r} where {text!r} was expected")
    return read, others


def check(file: Path, found: Any, fields: Sequence[str]) -> list[str]:
    """All of these fields, and times in those that are called so. -> unknown ones."""
    if not isinstance(found, dict):
        raise InputError(f"{file}: fields {', '.join(fields)} were expected")
    for name in fields:
        if name not in found:
            raise InputError(f"{file}: no field {name!r}; it has {', '.join(found)}")
        if name.startswith("timestamp"):
            _check_times(file, name, found[name])
    return unknown_fields(file.name, found, fields)


def _check_times(file: Path, name: str, times: Any) -> None:
    numbers = isinstance(times, list) and all(isinstance(t, (int, float)) for t in times)
    if not numbers or len(times) != 2 or not 0 <= times[0] <= times[1]:
        raise InputError(f"{file}: {name} is {times!r}; [start, end] in seconds expected")


def cut(record: Record, start: float = 0.0) -> Record:
    """The record as long as the benchmark's own wav, and from `start` on: what the official
    recogniser would be given, on a clock that begins there. A turn's words stay if more
    than half of the turn does."""
    a = int(start * SAMPLE_RATE)
    b = round(record.truth.get("seconds", record.seconds) * SAMPLE_RATE)
    text = [(max(t - start, 0.0), s) for t, s in record.text if t + TURN_S / 2 >= start]
    return replace(
        record,
        input=record.input[a:b],
        output=record.output[a:b],
        text=tuple((t, s) for t, s in text if t < (b - a) / SAMPLE_RATE),
    )


def transcript(words: Sequence[Span]) -> dict[str, Any]:
    """What the official recogniser's JSON says."""
    chunks = [{"text": w.text, "timestamp": [w.t0, w.t1]} for w in words]
    return {"text": " ".join(w.text for w in words), "chunks": chunks}


def scripts(official: Path) -> Path:
    """Where a checkout has its evaluation of v1 and v1.5."""
    for place in (official / "v1_v1.5" / "evaluation", official / "evaluation"):
        if place.is_dir():
            return place
    raise InputError(
        f"--official-repo={official}: no v1_v1.5/evaluation in it; give a checkout of "
        "DanielLin94144/Full-Duplex-Bench"
    )


def people(official: Path | None) -> dict[str, list[float]]:
    """When people backchannelled: speaker -> their share of every 0.2 s. Empty without a
    checkout."""
    if official is None:
        return {}
    return read_json(scripts(official) / "icc_gt_distribution.json")


def text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read ({error})") from None
