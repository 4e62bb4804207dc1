"""Built-in tools by themselves, and behind the rules of the toolbox."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime

import jsonschema
import pytest

from interaction.background.protocol import Artifact, ToolFinished, ToolStarted
from interaction.background.toolbox import Toolbox
from interaction.background.tools.builtin import builtin
from interaction.background.tools.calculator import Calculator
from interaction.background.tools.chart import DEEPEST, KIND, LARGEST, Chart
from interaction.background.tools.clock import Clock
from interaction.background.tools.python import Python
from interaction.background.tools.timer import MOST, Timer
from interaction.errors import InputError

PLENTY_S = 0.6  # for timers to speak up, or not
NOON = datetime(2026, 3, 3, 12, 0, 7, tzinfo=UTC)
ROWS = {"values": [{"a": "x", "b": 1}, {"a": "y", "b": 2}]}
BARS = {"mark": "bar", "data": ROWS, "encoding": {"x": {"field": "a"}, "y": {"field": "b"}}}


async def updates(box: Toolbox, name: str, arguments, **how) -> list:
    return [update async for update in box.run("1", name, arguments, **how)]


async def told(box: Toolbox, name: str, **arguments) -> ToolFinished:
    return (await updates(box, name, arguments))[-1]


def ask(tool, **arguments) -> ToolFinished:
    return asyncio.run(told(Toolbox([tool]), tool.spec.name, **arguments))


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folder")
    made = builtin(folder, lambda: NOON)
    yield made
    asyncio.run(Toolbox(made).close())


def test_all_are_there_and_their_schemas_are_strict(tools):
    names = [tool.spec.name for tool in tools]
    assert names == ["calculator", "clock", "units", "python", "chart", "folder"]
    assert len(builtin(None, lambda: NOON)) == len(names) - 1
    for tool in tools:
        jsonschema.Draft202012Validator.check_schema(tool.spec.parameters)
        assert tool.spec.parameters["additionalProperties"] is False
        assert json.loads(json.dumps(tool.spec.parameters)) == tool.spec.parameters


@pytest.mark.parametrize("wrong", [{"no": "such"}, [], "text", None, 3, {"code": 1}])
def test_wrong_arguments_are_a_result(tools, wrong):
    for tool in tools:
        started, finished = asyncio.run(updates(Toolbox([tool]), tool.spec.name, wrong))
        assert isinstance(started, ToolStarted)
        assert not finished.ok and finished.text.startswith("arguments"), finished


def test_an_unknown_tool_is_a_result(tools):
    finished = asyncio.run(told(Toolbox(tools), "rm", path="/"))
    assert not finished.ok
    assert finished.text.startswith("there is no tool rm; there is: calculator, clock")


def test_a_crash_is_a_result():
    finished = ask(Clock(lambda: [][0]))
    assert not finished.ok and finished.text == "IndexError: list index out of range"


def test_one_name_is_one_tool():
    with pytest.raises(InputError, match="calculator"):
        Toolbox([Calculator(), Calculator()])


def test_who_is_asked_decides(tmp_path):
    """Without walls the user is asked."""
    tool, asked = Python(walled=False), []
    mark = {"code": f"open({str(tmp_path / 'mark')!r}, 'w')"}

    async def agree(spec, arguments):
        asked.append((spec.name, arguments))
        return True

    [_, refused] = asyncio.run(updates(Toolbox([tool]), "python", mark))
    assert not refused.ok and "not agreed" in refused.text
    assert not (tmp_path / "mark").exists()
    [_, agreed] = asyncio.run(updates(Toolbox([tool]), "python", mark, confirm=agree))
    assert agreed.ok and asked == [("python", mark)]
    assert (tmp_path / "mark").exists()


def test_the_clock_tells_the_time_it_is_given():
    clock = Clock(lambda: NOON)
    assert ask(clock).text == "Tuesday, 03 March 2026, 12:00:07 (UTC+00:00)"
    india = ask(clock, zone="Asia/Kolkata").text
    assert india == "Tuesday, 03 March 2026, 17:30:07 (Asia/Kolkata, UTC+05:30)"


@pytest.mark.parametrize(
    "zone", ["", "Nowhere", "../../etc/passwd", "/etc/hosts", "America"]
)
def test_a_zone_that_is_none(zone):
    finished = ask(Clock(lambda: NOON), zone=zone)
    assert not finished.ok and "there is no time zone" in finished.text


def quietly(run) -> None:
    """Nothing goes wrong behind its back either."""

    async def watched():
        wrong = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: wrong.append(context))
        await run()
        assert not wrong

    asyncio.run(watched())


def test_timers_speak_up_at_their_time_and_not_before():
    due = []

    async def run():
        box = Toolbox([Timer(lambda label: due.append((label, time.monotonic() - begun)))])
        begun = time.monotonic()
        assert (await told(box, "timer", action="set", label="egg", seconds=0.4)).ok
        assert (await told(box, "timer", action="set", label="tea", seconds=0.2)).ok
        assert (await told(box, "timer", action="set", label="nap", seconds=0.3)).ok
        assert time.monotonic() - begun < 0.15
        listed = await told(box, "timer", action="list")
        assert [line.split(":")[0] for line in listed.text.split("\n")] == [
            "tea",
            "nap",
            "egg",
        ]
        assert (await told(box, "timer", action="cancel", label="nap")).ok
        await asyncio.sleep(PLENTY_S)
        assert (await told(box, "timer", action="list")).text == "no timers run"

    quietly(run)
    assert [label for label, _ in due] == ["tea", "egg"]
    assert due[0][1] >= 0.2 and due[1][1] >= 0.4


def test_a_closed_timer_is_silent():
    due = []

    async def run():
        box = Toolbox([Timer(due.append)])
        for n in range(3):
            await told(box, "timer", action="set", label=str(n), seconds=0.05)
        await box.close()
        await asyncio.sleep(0.15)

    quietly(run)
    assert due == []


def test_timers_have_bounds():
    async def run():
        box = Toolbox([Timer(print)])
        for n in range(MOST):
            assert (await told(box, "timer", action="set", label=str(n), seconds=60)).ok
        for wrong, why in (
            ({"action": "set", "label": "more", "seconds": 60}, "the most"),
            ({"action": "set", "label": "0", "seconds": 60}, "runs already"),
            ({"action": "set", "label": "x"}, "seconds: is missing"),
            ({"action": "set", "seconds": 1}, "label: is missing"),
            ({"action": "set", "label": "x", "seconds": 1e9}, "arguments.seconds"),
            ({"action": "set", "label": "x", "seconds": 0}, "arguments.seconds"),
            ({"action": "cancel", "label": "x"}, "no timer x runs"),
            ({"action": "snooze"}, "arguments.action"),
        ):
            finished = await told(box, "timer", **wrong)
            assert not finished.ok and why in finished.text, finished
        assert (await told(box, "timer", action="cancel", label="0")).ok
        assert (await told(box, "timer", action="set", label="more", seconds=60)).ok
        await box.close()

    asyncio.run(run())


def test_a_chart_is_for_the_eyes_and_its_summary_for_the_backend():
    asked = {"spec": BARS, "title": "Two bars"}
    _, artifact, finished = asyncio.run(updates(Toolbox([Chart()]), "chart", asked))
    assert isinstance(artifact, Artifact)
    assert artifact.kind == KIND and artifact.title == "Two bars"
    assert {k: v for k, v in artifact.content.items() if k != "$schema"} == BARS
    assert finished.ok and finished.text == "shown: bar chart “Two bars”, 2 rows"


@pytest.mark.parametrize(
    "spec",
    [
        {"layer": [{"mark": "line"}, {"mark": {"type": "point"}}], "data": ROWS}
        | {"encoding": BARS["encoding"]},
        {"hconcat": [BARS, BARS]},
        {"$schema": "https://vega.github.io/schema/vega-lite/v5.json"} | BARS,
        {"mark": "bar", "data": {"values": [{"url": 3, "mark": "x", "href": "a"}]}},
        {"mark": "bar", "data": {"name": "d"}, "datasets": {"d": ROWS["values"]}},
        {"title": {"text": "t"}} | BARS,
    ],
)
def test_charts_that_are_shown(spec):
    assert ask(Chart(), spec=spec).ok


def deep(levels: int) -> dict:
    spec = BARS
    for _ in range(levels):
        spec = {"vconcat": [spec]}
    return spec


@pytest.mark.parametrize(
    "spec, why",
    [
        ({}, "draws nothing"),
        ({"data": ROWS}, "draws nothing"),
        ({"mark": "bar"}, "has no data"),
        ({"mark": "image", "data": ROWS}, "mark: image"),
        ({"mark": 3, "data": ROWS}, "mark: 3"),
        ({"mark": {"type": ["bar"]}, "data": ROWS}, "mark: ['bar']"),
        (BARS | {"data": {"url": "rows.json"}}, "spec.data.url"),
        (BARS | {"data": {"url": "https://x.example/rows"}}, "spec.data.url"),
        ({"layer": [BARS, {"mark": "bar", "data": {"url": "x"}}]}, "layer[1].data.url"),
        (BARS | {"transform": [{"from": {"data": {"url": "x"}}}]}, "data.url"),
        (BARS | {"encoding": {"href": {"field": "a"}}}, "encoding.href"),
        (BARS | {"usermeta": {"embedOptions": {"patch": "x"}}}, "spec.usermeta"),
        (BARS | {"config": {"background": "URL (x.svg)"}}, "holds an address"),
        (BARS | {"data": {"values": [{"image": "//x.example/a.png"}]}}, "an address"),
        (BARS | {"data": {"values": [{"https://x.example": 1}]}}, "an address"),
        (BARS | {"data": {"values": [{"a": "JavaScript:x"}]}}, "an address"),
        (BARS | {"data": {"values": ["x" * LARGEST]}}, "the most is"),
        (BARS | {"data": {"values": [float("nan")]}}, "plain JSON"),
        (BARS | {"data": {"values": [object()]}}, "plain JSON"),
        (deep(DEEPEST), "nested more than"),
        (deep(5_000), "plain JSON"),
    ],
)
def test_charts_that_are_refused(spec, why):
    first, finished = asyncio.run(updates(Toolbox([Chart()]), "chart", {"spec": spec}))
    assert isinstance(first, ToolStarted)  # and no artifact
    assert not finished.ok and why in finished.text, finished.text
