"""The user asks for something that takes a tool, with fillers and second thoughts: is the
right tool called with the right arguments, and is its answer told?

Full-Duplex-Bench v3, with tools whose answers are drawn and cannot be guessed.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.agents.fixed_latency import delay, start
from eval.ears import Ears
from eval.formulas import tool_calls
from eval.judge import Judge
from eval.record import Record
from eval.sample import TURN_S, Act, Fault, Sample, Tool
from eval.scene import Scene, next_turn, onset
from eval.task import Asked, Metric, Published, Row, mean_of
from eval.utterances import texts
from interaction.data.espeak import agent_speech
from interaction.data.scenes.words import NOUNS, NUMBERS

FAMILIES = ("plain", "filler", "corrected", "double")
CITIES = tuple("boston denver london paris berlin madrid rome oslo".split())
SKIES = tuple("sunny cloudy rainy windy snowy foggy".split())
ROOMS = tuple("kitchen garage attic cellar office bedroom".split())
FILLERS = ("um", "uh", "er")
CORRECTIONS = (("no",), ("no", "i", "mean"), ("sorry",))
SECONDS = (0.4, 1.6)  # until a tool answers
ROOM_S = 2.0
EARLY_S = 0.1
INSTRUCTIONS = (
    "Do what the user asks with the tools, and tell in a few words what they answer. "
    "Where users correct themselves, the last that they said counts."
)


@dataclass(frozen=True)
class _Wish:
    """says: words before and behind the argument; key: what in the answer must be told."""

    tool: str
    argument: str
    says: tuple[str, str]
    values: Sequence[str]
    given: Callable[[str], Any] = str


WISHES = (
    _Wish("get_weather", "city", ("what is the weather in", ""), CITIES),
    _Wish("find_item", "item", ("find the", ""), NOUNS),
    _Wish("set_timer", "minutes", ("set a timer for", "minutes"), NUMBERS[2:11],
          NUMBERS.index),
)  # fmt: skip


def _answer(keys: Mapping[str, str], tool: str, arguments: Mapping[str, Any]) -> str:
    """Raises KeyError without the argument: the system is told so."""
    wish = next(w for w in WISHES if w.tool == tool)
    value = arguments[wish.argument]
    if tool == "get_weather":
        return f"it is {keys[tool]} in {value}"
    if tool == "find_item":
        return f"the {value} is in the {keys[tool]}"
    return f"timer {keys[tool]} is set"


def _tools(keys: Mapping[str, str], rng: np.random.Generator) -> tuple[Tool, ...]:
    about = {
        "get_weather": ("Weather now.", {"type": "string", "description": "a city"}),
        "find_item": ("Where a thing is.", {"type": "string", "description": "the thing"}),
        "set_timer": ("Starts a timer.", {"type": "integer", "description": "minutes"}),
    }
    return tuple(
        Tool(
            w.tool, about[w.tool][0],
            {"type": "object", "properties": {w.argument: about[w.tool][1]},
             "required": [w.argument]},
            functools.partial(_answer, keys, w.tool),
            round(float(rng.uniform(*SECONDS)), 2),
        )
        for w in WISHES
    )  # fmt: skip


def _phrase(
    wish: _Wish, family: str, rng: np.random.Generator
) -> tuple[list[str], tuple[str, dict[str, Any]]]:
    """The words, and the call that they ask for."""
    value, other = (wish.values[i] for i in rng.permutation(len(wish.values))[:2])
    middle = [value]
    if family != "plain":
        middle = [FILLERS[rng.integers(len(FILLERS))], *middle]
    if family == "corrected":
        middle = [other, *CORRECTIONS[rng.integers(len(CORRECTIONS))], value]
    words = [*wish.says[0].split(), *middle, *wish.says[1].split()]
    return words, (wish.tool, {wish.argument: wish.given(value)})


def _sample(seed: int, index: int) -> Sample:
    s = Scene("tools_synth", seed, index)
    family = FAMILIES[index % len(FAMILIES)]
    chosen = [WISHES[i] for i in s.rng.permutation(len(WISHES))[: 1 + (family == "double")]]
    spoken = [_phrase(wish, family, s.rng) for wish in chosen]
    words = [w for i, (said, _) in enumerate(spoken) for w in (["and"] * (i > 0) + said)]
    asked = s.say(words, s.rng.uniform(0.4, 1.0))
    keys = {
        "get_weather": SKIES[s.rng.integers(len(SKIES))],
        "find_item": ROOMS[s.rng.integers(len(ROOMS))],
        "set_timer": NUMBERS[s.rng.integers(1, 11)],
    }
    tools, calls = _tools(keys, s.rng), [call for _, call in spoken]
    t = onset(asked.t1)
    back = t + max(tool.seconds for tool in tools if tool.name in dict(calls))
    text = " and ".join(_answer(keys, name, arguments) for name, arguments in calls)
    tells = next_turn(back) + TURN_S
    return Sample(
        id=f"{s.id}-{family}",
        audio=s.audio(tells + agent_speech(text.split()).seconds + ROOM_S),
        user=tuple(s.spans),
        instructions=INSTRUCTIONS,
        tools=tools,
        truth={
            "family": family,
            "end": asked.t1,
            "calls": calls,
            "tell": [keys[name] for name, _ in calls],
        },
        ideal=(
            *(Act(t, call=name, arguments=arguments) for name, arguments in calls),
            Act(tells, text),
        ),
    )


@dataclass(frozen=True)
class Tools(Published):
    about: str = "requests with fillers and corrections; tools, arguments, answers"
    version: int = 1
    synthetic: bool = True

    metrics = {
        "passed": Metric(up=True, about="these calls, no others, all arguments right"),
        "tool_f1": Metric(up=True, about="of the tools' names"),
        "arguments": Metric(up=True, about="expected calls with the right arguments"),
        "told": Metric(up=True, hears=True, about="passed, and said what the tools found"),
        "took_turn": Metric(up=True, hears=True, about="said anything behind the request"),
        "latency": Metric(
            up=False, hears=True, unit="s", about="to the first word, where it spoke"
        ),
        "call_latency": Metric(up=False, unit="s", about="to the first call, if any"),
        "early": Metric(up=False, about="called before the request had ended"),
        **{f: Metric(up=True, about=f"passed, of the {f} requests") for f in FAMILIES},
        "macro": Metric(up=True, of=mean_of(FAMILIES), about="passed; mean of families"),
    }

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        return (_sample(asked.seed, i) for i in itertools.count())

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        truth, end = record.truth, record.truth["end"]
        made = [(call.name, call.arguments) for call in record.calls]
        wanted = [(name, arguments) for name, arguments in truth["calls"]]
        behind = [w for w in ears.words(record) if w.t0 >= end - EARLY_S]
        passed = tool_calls.passed(made, wanted)
        first = min((call.t for call in record.calls), default=None)
        return {
            "passed": passed,
            truth["family"]: passed,
            "tool_f1": tool_calls.f1(made, wanted),
            "arguments": tool_calls.arguments(made, wanted),
            "told": float(bool(passed) and set(truth["tell"]) <= set(texts(behind))),
            "took_turn": float(bool(behind)),
            "latency": behind[0].t0 - end if behind else None,
            "call_latency": None if first is None else first - end,
            "early": float(first is not None and first < end - EARLY_S),
        }

    def known(self, agent: str, sample: Sample) -> Row | None:
        family, end = sample.truth["family"], sample.truth["end"]
        row: dict[str, float | None] = {
            "passed": 0, family: 0, "tool_f1": 0, "arguments": 0, "told": 0,
            "call_latency": None, "early": 0, "took_turn": 0, "latency": None,
        }  # fmt: skip
        if agent in ("silent", "parrot"):
            return row
        if agent == "always_talk":
            return {k: v for k, v in row.items() if k != "latency"} | {"took_turn": 1}
        if (seconds := delay(agent)) is not None:
            return row | {"took_turn": 1, "latency": start(end, seconds) - end}
        if agent == "oracle":
            best = dict.fromkeys(
                ("passed", family, "tool_f1", "arguments", "told", "took_turn"), 1.0
            )
            return row | best | {"call_latency": sample.ideal[0].t - end,
                                 "latency": sample.ideal[-1].t - end}  # fmt: skip
        return None


TASK = Tools()
