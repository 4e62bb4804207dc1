"""The backend that does what a file says."""

from __future__ import annotations

import asyncio
import json

import pytest

from interaction.background.backends import Lost
from interaction.background.backends.scripted import NO_RULE, ScriptedBackend
from interaction.background.protocol import (
    Commentary,
    Context,
    Failed,
    Final,
    Happened,
    Said,
    Thinking,
    ToolFinished,
    ToolStarted,
)
from interaction.errors import InputError

SCRIPT = """
- match: 'weather in (\\w+)(?: or (\\w+))?'
  steps:
    - think: it is about {1}
    - wait_s: 1.5
    - say: let me look{2}
    - call: weather
      arguments: {city: "{1}", why: [{of: "{1}{3x}"}]}
    - wait_s: 2
    - final: it is {result} in {1}
- match: fail
  steps: [{fail: "no, {0}"}]
- match: break
  steps: [{say: ah}, {lose: true}]
- match: (give) up
  steps: [{final: never}]
"""


@pytest.fixture
def scripted(tmp_path):
    """A backend by its script, and how long it slept."""

    def make(script: str) -> tuple[ScriptedBackend, list[float]]:
        path = tmp_path / "script.yaml"
        path.write_text(script)
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        return ScriptedBackend(path, sleep), slept

    return make


def test_it_does_what_the_script_says(scripted, talk, gather, weather):
    backend, slept = scripted(SCRIPT)
    context = talk("the Weather in Rome!")
    given = {"city": "Rome", "why": [{"of": "Rome{3x}"}]}
    for _ in range(2):  # again and again
        slept.clear()
        assert asyncio.run(gather(backend, context)) == [
            Thinking("it is about Rome"),
            Commentary("let me look"),
            ToolStarted("call3", "weather", given),
            ToolFinished("call3", "weather", True, "sunny"),
            Final("it is sunny in Rome"),
        ]
        assert slept == [1.5, 2]
    assert weather.asked == ["Rome", "Rome"]
    said = asyncio.run(gather(backend, talk("weather in Atlantis or Oslo")))
    assert said[1] == Commentary("let me lookOslo")
    assert said[-1] == Final("it is there is no city Atlantis in Atlantis")


def test_the_directive_goes_before_what_was_said(scripted, talk, gather):
    backend, _ = scripted(SCRIPT)
    said = asyncio.run(gather(backend, talk("weather in Rome", "please FAIL")))
    assert said == [Failed("no, FAIL")]
    said = asyncio.run(gather(backend, talk("fail", "something else")))
    assert said == [Failed("no, fail")]
    assert asyncio.run(gather(backend, talk("hello"))) == [Failed(NO_RULE)]


def test_what_was_typed_last_counts(scripted, gather):
    backend, _ = scripted(SCRIPT)
    said = (Said("user", 0.0, 1.0, "fail"), Said("agent", 9.0, 10.0, "break"))
    typed = (Happened("typed", 2.0, "give up"), Happened("result", 3.0, "fail"))
    told = asyncio.run(gather(backend, Context("t", 11.0, said=said, happened=typed)))
    assert told == [Final("never")]


def test_it_loses_itself(scripted, talk, tools):
    backend, _ = scripted(SCRIPT)
    said = []

    async def story():
        async for update in backend.run(talk("break"), tools, None):
            said.append(update)

    with pytest.raises(Lost):
        asyncio.run(story())
    assert said == [Commentary("ah")]


def test_a_script_may_be_json(scripted, talk, gather):
    backend, _ = scripted(json.dumps([{"match": "", "steps": [{"final": "{result}."}]}]))
    assert asyncio.run(gather(backend, talk())) == [Final(".")]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("{", "does not read"),
        ("a: b", "holds no list of rules"),
        ("[1]", "rule 1: is not made of match and steps"),
        ("[{match: a, steps: [{final: b}]}, {match: a}]", "rule 2: is not made"),
        ("[{match: (, steps: [{final: b}]}]", "rule 1: match: no regular expression"),
        ("[{match: 1, steps: [{final: b}]}]", "rule 1: match: no regular expression"),
        ("[{match: a, steps: []}]", "rule 1: steps: no list"),
        ("[{match: a, steps: [{say: b}]}]", "rule 1: step 1: ends nothing;"),
        ("[{match: a, steps: [{fail: b}, {final: b}]}]", "step 1: ends the rule;"),
        ("[{match: a, steps: [{sing: b}]}]", "step 1: is not one of think, say"),
        ("[{match: a, steps: [{say: b, think: c}]}]", "step 1: is not one of"),
        ("[{match: a, steps: [{final: b, arguments: {}}]}]", "step 1: is not one of"),
        ("[{match: a, steps: [{lose: false}]}]", "step 1: lose: False is wrong"),
        ("[{match: a, steps: [{wait_s: -1}, {lose: true}]}]", "step 1: wait_s: -1 is"),
        ("[{match: a, steps: [{wait_s: .inf}, {lose: true}]}]", "step 1: wait_s: inf"),
        ("[{match: a, steps: [{final: 3}]}]", "step 1: final: 3 is wrong; write text"),
        ("[{match: a, steps: [{call: b, arguments: 1}, {lose: true}]}]", "no mapping"),
        ("[{match: (a), steps: [{final: '{2}'}]}]", "step 1: {2}: match has 1 groups"),
    ],
)
def test_a_bad_script_is_told_in_one_line(scripted, script, why, tmp_path):
    with pytest.raises(InputError) as caught:
        scripted(script)
    said = " ".join(str(caught.value).split())
    assert why in said and said.startswith(str(tmp_path / "script.yaml")) and ";" in said
