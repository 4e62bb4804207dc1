"""FD-Bench: conversations in which the user breaks in, and noises that nobody should heed.

    DATA/conversation_N.wav     what the user says, in rounds
         *.jsonl                line N: {"round-1": {"user": ..., "interruption": ...}, ...}
         *.txt                  may be missing; "conversation_N.wav || tokens || words ||
                                [{start, end}] of the user || [{start, end}] of a system",
                                in samples at 16 kHz

As in github.com/pengyizhou/FD-Bench. Where no file says when the user speaks, the detector
that finds the system's speech does. A greeting of the system's is not left out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from eval.ears import Ears, Unheard
from eval.formulas.fd_bench import PER_MS, Marks, analyse
from eval.judge import Judge
from eval.layouts.fields import noted, unknown
from eval.record import Record
from eval.sample import Fault, Sample, Span, whole_turns
from eval.task import Asked, Metric, Row
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE
from interaction.modality.files import read_audio

NAME = re.compile(r"conversation_(\d+)\.wav")
ROUND = re.compile(r"round-\d+")
ROOM_S = 5.0  # for the last answer
Of = Callable[[Sequence[Row]], float | None]


def share(of: str, among: str) -> Of:
    """Sums over conversations, as a percentage."""

    def over(rows: Sequence[Row]) -> float | None:
        part, whole = (sum(row.get(name) or 0 for row in rows) for name in (of, among))
        return 100 * part / whole if whole else None

    return over


def middle(prefix: str) -> Of:
    """The median of all delays; None, where FD-Bench says 0, when there is none."""

    def over(rows: Sequence[Row]) -> float | None:
        listed = [v for row in rows for key, v in row.items()
                  if re.fullmatch(rf"{prefix}_\d+", key) and v is not None]  # fmt: skip
        return median(listed) if listed else None

    return over


def _rate(up: bool, of: str, among: str, about: str) -> Metric:
    return Metric(
        up, official=True, detects=True, unit="%", of=share(of, among), about=about
    )


def _delay(prefix: str, about: str) -> Metric:
    return Metric(
        False, official=True, detects=True, unit="ms", of=middle(prefix), about=about
    )


@dataclass(frozen=True)
class FDBench:
    about: str = "rounds with interruptions and noises; replies, stops, delays"
    version: int = 1
    synthetic: bool = False

    metrics = {
        "srr": _rate(True, "replies", "rounds", "rounds replied to, not after breaking in"),
        "sir": _rate(True, "stopped", "interruptions", "interruptions that it stopped for"),
        "srir": _rate(True, "after", "stopped", "stops with a reply behind"),
        "eir": _rate(False, "early", "rounds", "broke into the user's words, a round"),
        "nir": _rate(False, "noise", "gaps", "stopped for a noise, a pause between rounds"),
        "fsed": _delay("reply_ms", "median, from the user's end to the reply"),
        "ert": _delay("lead_ms", "median, by how much replies came before that end"),
        "eit": _delay("early_ms", "median, by how much it broke in before that end"),
        "ird": _delay("stop_ms", "median, until it stopped"),
    }
    published = {
        "Moshi, cosyvoice2 easy": {"srr": 61.72, "sir": 83.14, "eir": 27.93, "nir": 39.30,
                                   "srir": 79.43, "fsed": 4155.0},
    }  # fmt: skip
    source = "FD-Bench, arXiv 2507.19040; Moshi's greeting is left out there"

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        data = asked.data
        if data is None or not data.is_dir():
            raise InputError(f"--data={data}: where FD-Bench's conversations are")
        waves = {int(m[1]): f for f in data.iterdir() if (m := NAME.fullmatch(f.name))}
        truths, spans = _rounds(data), _spans(data)
        for number in sorted({*waves, *truths}):
            yield _of(number, waves.get(number), truths.get(number), spans.get(number))

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        user = [_samples(u) for u in record.truth["user"] or ears.segments(record.input)]
        if len(user) != record.truth["rounds"]:
            raise Unheard(
                f"{len(user)} utterances were found in {record.truth['rounds']} rounds"
            )
        return _row(analyse(user, [_samples(s) for s in ears.segments(record.output)]))

    def known(self, agent: str, sample: Sample) -> Row | None:
        if agent != "silent":
            return None
        counts = ("replies", "after", "interruptions", "stopped", "early", "noise")
        return dict.fromkeys(counts, 0.0) | {"rounds": float(sample.truth["rounds"])}


def _samples(stretch: Sequence[float]) -> tuple[int, int]:
    return round(stretch[0] * SAMPLE_RATE), round(stretch[1] * SAMPLE_RATE)


def _row(marks: Marks) -> Row:
    counts = {
        name: float(getattr(marks, name))
        for name in (
            "rounds",
            "replies",
            "after",
            "interruptions",
            "stopped",
            "early",
            "noise",
        )
    }
    delays = {"reply_ms": marks.reply_delays, "lead_ms": marks.leads,
              "early_ms": marks.early_leads, "stop_ms": marks.stop_delays}  # fmt: skip
    numbered = {
        f"{name}_{i}": float(delay // PER_MS)
        for name, listed in delays.items()
        for i, delay in enumerate(listed)
    }
    return counts | {"gaps": float(marks.rounds - 1)} | numbered


def _only(data: Path, ending: str) -> Path | None:
    found = sorted(data.glob(f"*.{ending}"))
    if len(found) > 1:
        raise InputError(f"{data}: several .{ending} files; leave the one of these waves")
    return found[0] if found else None


def _rounds(data: Path) -> dict[int, Any]:
    """Conversation -> its rounds, or the text of a line that does not read."""
    file = _only(data, "jsonl")
    if file is None:
        raise InputError(f"{data}: no .jsonl that tells the rounds")
    lines = file.read_text(encoding="utf-8").splitlines()
    return {n: _literal(line) for n, line in enumerate(lines, 1) if line.strip()}


def _literal(text: str) -> Any:
    """A Python literal, which those files hold; a text that is none stays one."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _spans(data: Path) -> dict[int, Any]:
    """Conversation -> where the user speaks, in samples."""
    file, found = _only(data, "txt"), {}
    for line in file.read_text(encoding="utf-8").splitlines() if file else ():
        parts = line.split("||")
        name = NAME.fullmatch(parts[0].strip())
        if name and len(parts) > 3:
            found[int(name[1])] = _literal(parts[3])
    return found


def _of(number: int, wave: Path | None, told: Any, spans: Any) -> Sample | Fault:
    id_ = f"conversation_{number}"
    if wave is None:
        return Fault(id_, f"{id_}.wav is not there")
    if not isinstance(told, Mapping):
        return Fault(id_, f"line {number} of the .jsonl tells no rounds: {str(told)[:80]}")
    try:
        sound = read_audio(wave)
        rounds = [key for key in told if ROUND.fullmatch(str(key))]
        words = [str(told[f"round-{n}"]["user"]) for n in range(1, len(rounds) + 1)]
        user = [(s["start"] / SAMPLE_RATE, s["end"] / SAMPLE_RATE) for s in spans or ()]
    except (InputError, KeyError, TypeError) as error:
        return Fault(id_, str(error) if isinstance(error, InputError) else repr(error))
    if user and len(user) != len(words):
        return Fault(id_, f"{len(user)} utterances are timed, and {len(words)} rounds told")
    named = zip(words, user, strict=False)
    names = unknown("", told, rounds)
    for one in (told[each] for each in rounds):
        names += unknown("round", one, ("user", "interruption"))
    names += [n for one in spans or () for n in unknown("user", one, ("start", "end"))]
    made = Sample(
        id=id_,
        audio=whole_turns(np.asarray(sound), len(sound) / SAMPLE_RATE + ROOM_S),
        user=tuple(Span(text, t0, t1) for text, (t0, t1) in named),
        truth={"rounds": len(words), "user": [list(s) for s in user]},
    )
    return noted(made, names)


TASK = FDBench()
