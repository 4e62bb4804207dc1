"""Full-Duplex-Bench v3: people ask for things that take tools, with the hesitations and
corrections of speech.

    DATA/benchmark_data_v2.json       {scenarios: [{id, domain, difficulty, dialogue,
                                       expected_tool_calls: [{function, args}]}]}
         fdb_v3_data_released/{id}_{24 hex digits}/input.wav      48 kHz
                                                   metadata.json  a scenario, where the
                                                                  other file lacks it

As in arXiv 2604.04847. Arguments are compared as the official scripts do without a judge;
published figures were judged. Published means are over samples in which the system spoke;
`_all` is over all. Tools answer in this process, `--tool_s` seconds after a call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.ears import Ears, Segment
from eval.formulas.tool_calls import arguments, f1, passed
from eval.judge import Judge
from eval.layouts.fields import noted, unknown
from eval.mock_tools import answers, schemas
from eval.record import Record
from eval.sample import Act, Fault, Sample, Span, Tool, whole_turns
from eval.screening import turn
from eval.task import ANY, Asked, Metric, Row, mean
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE
from interaction.modality.files import read_audio

FOLDER = re.compile(r"(.+)_[0-9a-f]{24}")
SCENARIO = ("id", "domain", "difficulty", "title", "dialogue", "expected_tool_calls",
            "disfluency_features", "state_rollback_test", "acting_notes",
            "latency_profile")  # fmt: skip
ROOM_S = 20.0  # for calls and an answer
PAUSE_S = 2.0  # the first longer one ends what the user says
INSTRUCTIONS = "Do what the caller asks for with your tools, then say briefly what you did."
RATE = """\
A caller asked a voice agent to do something. Did the agent's words show the task as done, \
or being done, with the right details and all of its steps? More detail than expected is \
fine; a refusal, a missing step or a wrong detail is not.

What a good agent says: {expected}
What this agent said: {said}

Reply yes or no."""


def spoken(column: str) -> Callable[[Sequence[Row]], float | None]:
    """Mean over samples in which the system spoke."""
    return lambda rows: mean(column)([row for row in rows if row.get("took_turn")])


@dataclass(frozen=True)
class FDBv3:
    about: str = "tools asked for in hesitant speech; calls, arguments, Pass@1"
    version: int = 1
    synthetic: bool = False

    metrics = {
        "passed": Metric(up=True, about="Pass@1: these tools, no others, equal arguments"),
        "tool_f1": Metric(up=True, official=True, hears=True, of=spoken("tool_f1"),
                          about="of tools' names, where the system spoke"),
        "arguments": Metric(up=True, hears=True, of=spoken("arguments"),
                            about="calls with equal arguments, where the system spoke"),
        "tool_f1_all": Metric(up=True, about="the same over all samples"),
        "arguments_all": Metric(up=True, about="the same over all samples"),
        "response": Metric(up=True, hears=True, judge=ANY, of=spoken("response"),
                           about="by the judge, where the system spoke"),
        "took_turn": Metric(up=True, official=True, hears=True, about="said any word"),
        "latency": Metric(up=False, hears=True, detects=True, unit="s",
                          about="from the user's end to the first word, where behind it"),
        "interrupted": Metric(up=False, hears=True, detects=True, of=spoken("interrupted"),
                              about="spoke before the user's end"),
        "call_latency": Metric(up=False, detects=True, unit="s",
                               about="from the user's end to a call"),
    }  # fmt: skip
    published = {
        "GPT-Realtime-1.5": {"tool_f1": 0.876, "arguments": 0.680, "response": 0.792,
                             "passed": 0.600, "took_turn": 0.96, "latency": 6.89},
        "Gemini 3.1": {"tool_f1": 0.817, "arguments": 0.588, "response": 0.718,
                       "passed": 0.540, "took_turn": 0.78, "latency": 4.25},
        "Gemini 2.5": {"tool_f1": 0.786, "arguments": 0.593, "response": 0.554,
                       "passed": 0.490, "took_turn": 0.92, "latency": 7.26},
        "Grok": {"passed": 0.430}, "Whisper, GPT-4o, TTS": {"passed": 0.450},
        "TML-interaction-small": {"response": 0.828, "passed": 0.680},
    }  # fmt: skip
    source = (
        "Full-Duplex-Bench v3's page, arguments and answers judged by GPT-4o; TML's with a "
        "background agent, by a translation of its post"
    )

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        if asked.data is None:
            raise InputError("--data=DIR is missing: where Full-Duplex-Bench v3 is")
        root = asked.data / "fdb_v3_data_released"
        root = root if root.is_dir() else asked.data
        folders = sorted(
            f for f in root.iterdir() if f.is_dir() and FOLDER.fullmatch(f.name)
        )
        if not folders:
            raise InputError(
                f"--data={asked.data}: no folder fdb_v3_data_released/ID_SPEAKER"
            )
        told = [_scenario(folder, _benchmark(root)) for folder in folders]
        every = [calls for one in told if one and (calls := _expected(one))]
        offered = schemas(every)
        for folder, one in zip(folders, told, strict=True):
            yield _of(folder, one, offered, asked.tool_s)

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        expected = [(name, args) for name, args in record.truth["expected"]]
        made = [(call.name, call.arguments) for call in record.calls]
        words, end = ears.words(record), user_end(ears.segments(record.input))
        row: dict[str, float | None] = {
            "passed": float(passed(made, expected)),
            "tool_f1": f1(made, expected),
            "arguments": arguments(made, expected),
            "took_turn": float(bool(words)),
            "response": _response(record, words, judge),
        }
        row |= {"tool_f1_all": row["tool_f1"], "arguments_all": row["arguments"]}
        late = words[0].t0 - end if words and end is not None else None
        return row | {
            "latency": late if late is not None and late >= 0 else None,
            "interrupted": None if late is None else float(late < 0),
            "call_latency": record.calls[0].t - end
            if record.calls and end is not None
            else None,
        }

    def known(self, agent: str, sample: Sample) -> Row | None:
        if agent == "silent":
            return {"passed": 0, "tool_f1": 0, "arguments": 0, "took_turn": 0}
        if agent == "oracle":
            return {"passed": 1, "tool_f1": 1, "arguments": 1, "took_turn": 1}
        return None


def user_end(segments: Sequence[Segment]) -> float | None:
    """Where the first pause of more than two seconds begins, or the last speech ends."""
    for (_, end), (start, _) in zip(segments, segments[1:], strict=False):
        if start - end > PAUSE_S:
            return end
    return segments[-1][1] if segments else None


def _response(record: Record, words: Sequence[Span], judge: Judge) -> float | None:
    said = " ".join(word.text for word in words)
    if not record.truth["answer"] or not said:
        return 0.0 if record.truth["answer"] else None
    told = judge.ask(RATE.format(expected=record.truth["answer"], said=said))
    if told is None:
        return None
    rated = re.match(r"\W*(yes|no)\b", told[0], re.IGNORECASE)
    if rated is None:
        judge.misread()
        return None
    return float(rated[1].lower() == "yes")


def _benchmark(root: Path) -> Mapping[str, Any]:
    """Scenario's id -> scenario; empty without the file."""
    for file in (root / "benchmark_data_v2.json", root.parent / "benchmark_data_v2.json"):
        if file.is_file():
            try:
                listed = json.loads(file.read_text(encoding="utf-8"))["scenarios"]
                return {str(one["id"]): one for one in listed}
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{file} does not read ({error!r}); replace it") from None
    return {}


def _scenario(folder: Path, known: Mapping[str, Any]) -> Mapping[str, Any] | None:
    name = FOLDER.fullmatch(folder.name)
    if name and name[1] in known:
        return known[name[1]]
    try:
        told = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
        return told if isinstance(told, Mapping) else None
    except (OSError, ValueError):
        return None


def _expected(one: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]] | None:
    try:
        return [
            (str(call["function"]), dict(call.get("args") or {}))
            for call in one["expected_tool_calls"]
        ]
    except (KeyError, TypeError, ValueError):
        return None


def _of(
    folder: Path, one: Mapping[str, Any] | None, offered: Mapping[str, Any], tool_s: float
) -> Sample | Fault:
    expected = _expected(one) if one else None
    if one is None or not expected:
        return Fault(folder.name, "no scenario of this id with expected_tool_calls")
    try:
        sound = read_audio(folder / "input.wav")
    except InputError as error:
        return Fault(folder.name, str(error))
    dialogue = one.get("dialogue") or [{}]
    answer = str(dialogue[-1].get("ai") or "")
    seconds, told = len(sound) / SAMPLE_RATE, answers(expected)

    def answer_of(name: str) -> Callable[[Mapping[str, Any]], str]:
        text = json.dumps(told.get(name, {"status": "ok"}))
        return lambda given: text

    tools = tuple(
        Tool(name, name.replace("_", " "), schema, answer_of(name), tool_s)
        for name, schema in offered.items()
    )
    asks = " ".join(str(d.get("user") or "") for d in dialogue).strip()
    acts = [Act(turn(seconds) + 0.2, call=n, arguments=args) for n, args in expected]
    names = unknown("scenario", one, SCENARIO)
    for call in one["expected_tool_calls"]:
        names += unknown("expected_tool_calls", call, ("function", "args"))
    made = Sample(
        id=folder.name,
        audio=whole_turns(np.asarray(sound), seconds + ROOM_S),
        user=(Span(asks, 0.0, seconds),),
        instructions=INSTRUCTIONS,
        tools=tools,
        truth={"expected": expected, "answer": answer, "domain": one.get("domain"),
               "difficulty": one.get("difficulty")},
        ideal=(*acts, Act(turn(seconds) + 0.4, "done")),
    )  # fmt: skip
    return noted(made, names)


TASK = FDBv3()
