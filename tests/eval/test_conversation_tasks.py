"""FD-Bench and Full-Duplex-Bench v3: formulas by hand, and small trees with their traps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from eval import record, task
from eval.agent import Heard, Said, Solo
from eval.commands.run import open_agent
from eval.ears import Unheard, ears
from eval.formulas.fd_bench import Marks, analyse
from eval.formulas.tool_calls import arguments, f1, passed
from eval.judge import judge
from eval.mock_tools import answers
from eval.run import run
from eval.sample import Fault, Sample
from eval.task import Asked
from interaction.errors import InputError

EARS = ears("text_stream", "energy")
S = 16_000


def stretches(*pairs: tuple[float, float]) -> list[tuple[int, int]]:
    return [(round(a * S), round(b * S)) for a, b in pairs]


USER = stretches((1, 3), (10, 12), (20, 22))


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        # Nothing said.
        ([], {}),
        # Answers 0.5 s behind each round, and has ended before the next.
        ([(3.5, 9), (12.5, 19), (22.5, 30)],
         {"replies": 3, "reply_delays": [0.5, 0.5, 0.5]}),
        # Talks when the second round begins, stops in it after a second, and answers.
        ([(3.5, 11), (12.4, 14)],
         {"replies": 1, "reply_delays": [0.5, 0.4], "interruptions": 1, "stopped": 1,
          "after": 1, "stop_delays": [1.0], "noise": 1}),
        # The same, but never stops: over the next round too.
        ([(3.5, 30)], {"replies": 1, "reply_delays": [0.5], "interruptions": 2,
                       "stopped": 1, "stop_delays": [10.0]}),
        # Breaks in a second before the end, and talks on.
        ([(2, 5)], {"early": 1, "early_leads": [1.0], "noise": 1}),
        # Breaks in and is talked down: an interruption that it stopped for.
        ([(1.5, 2.0)], {"early": 1, "early_leads": [1.5], "interruptions": 1,
                        "stopped": 1, "stop_delays": [0.5]}),
        # Begins 0.3 s before the end: a reply, early.
        ([(2.7, 9)], {"replies": 1, "leads": [0.3]}),
        # Stops for no reason 5 s before the next round, having talked for 1.5 s.
        ([(3.5, 5)], {"replies": 1, "reply_delays": [0.5], "noise": 1}),
        # As long before, but a long answer that was over.
        ([(3.1, 8.7)], {"replies": 1, "reply_delays": [0.1]}),
    ],
)  # fmt: skip
def test_fd_bench_by_hand(system, expected):
    wanted = Marks(rounds=3)
    for name, value in expected.items():
        value = [round(v * S) for v in value] if isinstance(value, list) else value
        setattr(wanted, name, value)
    assert analyse(USER, stretches(*system)) == wanted


def wave(path: Path, seconds: float, rate: int = S, loud: tuple = ()) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = np.zeros(round(seconds * rate), np.float32)
    for a, b in loud:
        t = np.arange(round(a * rate), round(b * rate))
        sound[t] = 0.3 * np.sin(2 * np.pi * 440 * t / rate)
    soundfile.write(path, sound, rate)


@pytest.fixture(scope="module")
def fd_bench(tmp_path_factory) -> Path:
    data = tmp_path_factory.mktemp("fd")
    for number in (1, 2, 10, 5):
        wave(data / f"conversation_{number}.wav", 12, loud=((0.5, 1.5), (8, 9)))
    cut = data / "conversation_5.wav"
    cut.write_bytes(cut.read_bytes()[:5000])
    wave(data / "other.wav", 1)
    rounds = {"round-1": {"user": "hello", "interruption": "Topic Shift"},
              "round-2": {"user": "wait", "interruption": None}}  # fmt: skip
    lines = [repr(rounds), repr(rounds), repr(rounds), "{'round-1':", repr(rounds)]
    lines += ["", "", "", "", repr(rounds | {"round-3": {"user": "x"}})]
    (data / "conversation_rounds.jsonl").write_text("\n".join(lines))
    user = [{"start": 8000, "end": 24000}, {"start": 128000, "end": 144000}]
    (data / "cosy.txt").write_text(
        f"conversation_1.wav || [3, 3] || ['Hi'] || {user} || []\n"
        f"conversation_10.wav || [] || [] || {user} || []\nbroken line\n"
    )
    return data


def samples(name: str, data: Path, **asked) -> tuple[dict[str, Sample], dict[str, str]]:
    every = list(task.load(name).samples(Asked(data, **asked)))
    good = {each.id: each for each in every if isinstance(each, Sample)}
    return good, {each.id: each.why for each in every if isinstance(each, Fault)}


def test_fd_bench_layout_and_traps(fd_bench):
    good, bad = samples("fd_bench", fd_bench)
    assert list(good) == ["conversation_1", "conversation_2"]
    assert good["conversation_1"].user[1] == ("wait", 8.0, 9.0)
    assert good["conversation_2"].truth == {"rounds": 2, "user": []}  # to be found
    assert list(bad) == ["conversation_3", "conversation_4", "conversation_5",
                         "conversation_10"]  # fmt: skip
    assert "conversation_3.wav is not there" in bad["conversation_3"]
    assert "cut short" in bad["conversation_5"]
    assert "2 utterances are timed, and 3 rounds" in bad["conversation_10"]
    with pytest.raises(InputError, match="no .jsonl"):
        samples("fd_bench", fd_bench.parent)


def test_fd_bench_scores(fd_bench, tmp_path):
    found, made = task.load("fd_bench"), samples("fd_bench", fd_bench)[0]
    for agent in ("silent", "fixed_latency"):
        run(open_agent(agent, ""), iter(made.values()), tmp_path / agent, "lockstep")
    one = record.load(tmp_path / "fixed_latency" / "conversation_1")
    late = found.measure(one, EARS, judge("none"))
    assert (late["rounds"], late["replies"], late["gaps"]) == (2, 2, 1)
    assert late["reply_ms_0"] == pytest.approx(700, abs=10)  # 0.6 s, to a turn
    silent = [found.measure(record.load(tmp_path / "silent" / i), EARS, judge("none"))
              for i in made]  # fmt: skip
    for row, sample in zip(silent, made.values(), strict=True):
        assert row.items() >= found.known("silent", sample).items()
    figures = {name: metric.figure(name, silent) for name, metric in found.metrics.items()}
    assert (figures["srr"], figures["eir"], figures["nir"]) == (0, 0, 0)
    assert figures["sir"] is None and figures["fsed"] is None  # none to stop for, no delay
    many = [late, {"rounds": 2, "replies": 1, "reply_ms_0": 900, "reply_ms_1": 800}]
    assert found.metrics["srr"].figure("srr", many) == 75
    delays = sorted([late["reply_ms_0"], late["reply_ms_1"], 900, 800])
    assert found.metrics["fsed"].figure("fsed", many) == sum(delays[1:3]) / 2


def test_fd_bench_counts_what_it_cannot_match(fd_bench, tmp_path):
    made = samples("fd_bench", fd_bench)[0]
    run(open_agent("silent", ""), iter(made.values()), tmp_path / "s", "lockstep")
    one = record.load(tmp_path / "s" / "conversation_2")
    one.truth["rounds"] = 3
    with pytest.raises(Unheard, match="2 utterances were found in 3 rounds"):
        task.load("fd_bench").measure(one, EARS, judge("none"))


# Full-Duplex-Bench v3.

EXPECTED = [
    ("search_flights", {"destination": "Las Vegas", "seats": 2}),
    (
        "book_flight",
        {"flight_id": "$RESULT_0.flights[1].flight_id", "class": "first_class"},
    ),
]


@pytest.mark.parametrize(
    ("made", "expected", "scores"),
    [
        ([], EXPECTED, (0, 0, 0)),
        ([("search_flights", {"destination": " las_vegas ", "seats": 2, "more": 1}),
          ("book_flight", {"flight_id": "any", "class": "First Class"})],
         EXPECTED, (1, 1, 1)),
        ([("search_flights", {"destination": "Las Vegas", "seats": "2"}),
          ("book_flight", {"flight_id": 7, "class": "first class"})],
         EXPECTED, (1, 0.5, 0)),
        ([("book_flight", {"class": "first class"})], EXPECTED, (2 / 3, 0, 0)),
        ([*EXPECTED, ("track_order", {})], EXPECTED, (0.8, 1, 0)),
        ([*EXPECTED, EXPECTED[0]], EXPECTED, (0.8, 1, 0)),
        ([("track_order", {"id": 2}), ("track_order", {"id": 1})],
         [("track_order", {"id": 1}), ("track_order", {"id": 2})], (1, 0, 0)),  # in order
        ([], [], (1, 1, 1)),
        ([("track_order", {})], [], (0, 1, 0)),
    ],
)  # fmt: skip
def test_tool_calls_by_hand(made, expected, scores):
    got = f1(made, expected), arguments(made, expected), passed(made, expected)
    assert got == pytest.approx(scores)


def test_a_mock_tool_holds_what_is_asked_of_its_result_later():
    assert answers(EXPECTED) == {
        "search_flights": {"status": "ok", "flights": [{}, {"flight_id": "flight_id-1"}]},
        "book_flight": {"status": "ok"},
    }


def scenario(name: str, calls=EXPECTED) -> dict:
    expected = [{"function": f, "args": a} for f, a in calls]
    dialogue = [{"user": "Book, um, two seats.", "ai": "Booked two seats."}]
    return {"id": name, "domain": "travel_identity", "difficulty": "medium",
            "dialogue": dialogue, "expected_tool_calls": expected}  # fmt: skip


@pytest.fixture(scope="module")
def v3(tmp_path_factory) -> Path:
    data = tmp_path_factory.mktemp("v3")
    root, speaker = data / "fdb_v3_data_released", "0123456789abcdef01234567"
    track = [("track_order", {"order": "A1"})]
    listed = [scenario("travel_01"), scenario("shop_02", track), scenario("empty_03", []),
              {"id": "bad_04"}]  # fmt: skip
    (data / "benchmark_data_v2.json").write_text(json.dumps({"scenarios": listed}))
    for name in ("travel_01", "shop_02", "empty_03", "bad_04", "unknown_05", "own_06"):
        wave(
            root / f"{name}_{speaker}" / "input.wav", 2.1, 48_000, ((0.2, 1.0), (1.4, 2.0))
        )
    wave(root / f"travel_01_{speaker[::-1]}" / "input.wav", 1, 24_000, ((0.1, 0.9),))
    (root / f"shop_02_{speaker[::-1]}").mkdir()
    (root / f"own_06_{speaker}" / "metadata.json").write_text(
        json.dumps(scenario("own_06"))
    )
    (root / "notes").mkdir()
    return data


def test_v3_layout_and_traps(v3):
    good, bad = samples("fdb_v3", v3, tool_s=1.5)
    end = "_0123456789abcdef01234567"
    assert sorted(good) == sorted(
        ["own_06" + end, "shop_02" + end, "travel_01" + end, "travel_01_" + end[:0:-1]]
    )
    one = good["travel_01" + end]
    assert len(one.audio) >= (2.1 + 20) * S and len(one.audio) % 3200 == 0
    loud = np.flatnonzero(np.abs(one.audio) > 0.1)  # 48 kHz became 16 kHz
    assert loud[0] / S == pytest.approx(0.2, abs=0.01)
    assert loud[-1] / S == pytest.approx(2.0, abs=0.01)
    assert [t.name for t in one.tools] == ["book_flight", "search_flights", "track_order"]
    assert one.tools[1].parameters["properties"] == {
        "destination": {"type": "string"}, "seats": {"type": "integer"},
    }  # fmt: skip
    assert {t.seconds for t in one.tools} == {1.5}
    assert set(bad) == {"bad_04" + end, "empty_03" + end, "unknown_05" + end,
                        "shop_02_" + end[:0:-1]}  # fmt: skip
    assert "input.wav: no such file" in bad["shop_02_" + end[:0:-1]]
    with pytest.raises(InputError, match="no folder fdb_v3_data_released"):
        samples("fdb_v3", v3.parent)


class Booker:
    """Searches at once, books what the result names, then says so."""

    def __init__(self, sample: Sample) -> None:
        self.turn, self.given = 0, []

    def step(self, heard: Heard) -> Said:
        self.turn += 1
        self.given += heard.results
        if self.turn == 11:
            return Said(calls=(("search_flights", dict(EXPECTED[0][1])),))
        if heard.results and len(self.given) == 1:
            self.found = json.loads(heard.results[0].text)["flights"][1]["flight_id"]
            call = ("book_flight", {"flight_id": self.found, "class": "First Class"})
            return Said(calls=(call,))
        if heard.results:
            return Said(np.full(3200, 0.1, np.float32), " booked")
        return Said()

    def close(self) -> None:
        pass


def test_v3_scores_and_latency_of_tools(v3, tmp_path):
    found = task.load("fdb_v3")
    good = samples("fdb_v3", v3, tool_s=1.5)[0]
    one = next(s for s in good.values() if s.id == "travel_01_0123456789abcdef01234567")
    run(Solo("booker", Booker), iter([one]), tmp_path / "booker", "lockstep")
    stored = record.load(tmp_path / "booker" / one.id)
    assert [call.t for call in stored.calls] == [2.2, 4.0]  # 1.5 s, to a turn, and a turn
    assert stored.calls[1].arguments["flight_id"] == "flight_id-1"
    row = found.measure(stored, EARS, judge("none"))
    assert (row["passed"], row["tool_f1"], row["arguments"]) == (1, 1, 1)
    assert row["call_latency"] == pytest.approx(2.2 - 2.0, abs=0.01)
    assert row["latency"] == pytest.approx(5.8 - 2.0, abs=0.01) and row["interrupted"] == 0
    assert row["response"] is None  # without a judge


@pytest.mark.parametrize("agent", ["silent", "oracle"])
def test_v3_known_values(v3, tmp_path, agent):
    found, good = task.load("fdb_v3"), samples("fdb_v3", v3)[0]
    run(open_agent(agent, ""), iter(good.values()), tmp_path / agent, "lockstep")
    rows = []
    for sample in good.values():
        row = found.measure(record.load(tmp_path / agent / sample.id), EARS, judge("none"))
        assert row.items() >= found.known(agent, sample).items()
        rows.append(row)
    figures = {name: metric.figure(name, rows) for name, metric in found.metrics.items()}
    if agent == "silent":  # published means leave the silent out; ours beside them do not
        assert figures["tool_f1"] is None and figures["tool_f1_all"] == 0
        assert figures["response"] is None and figures["passed"] == 0
    else:
        assert figures["tool_f1"] == figures["tool_f1_all"] == figures["passed"] == 1


def test_user_has_ended_where_a_long_pause_begins():
    from eval.tasks.fdb_v3 import user_end

    assert user_end([(0, 1), (2.9, 4), (6.1, 7)]) == 4
    assert user_end([(0, 1), (2, 3)]) == 3
    assert user_end([]) is None


class Yes:
    name, failures = "yes", 0

    def __init__(self, reply: str | None) -> None:
        self.reply = reply

    def ask(self, prompt: str, **settings: object) -> list[str] | None:
        assert "Booked two seats." in prompt
        return None if self.reply is None else [self.reply]

    def misread(self) -> None:
        self.failures += 1


@pytest.mark.parametrize(
    ("reply", "rated", "failures"),
    [("Yes.", 1, 0), ("no, it did not", 0, 0), ("Nothing", None, 1), (None, None, 0)],
)
def test_v3_answers_are_judged(v3, tmp_path, reply, rated, failures):
    good = samples("fdb_v3", v3)[0]
    one = good["travel_01_0123456789abcdef01234567"]
    run(open_agent("oracle", ""), iter([one]), tmp_path / "o", "lockstep")
    rater = Yes(reply)
    row = task.load("fdb_v3").measure(record.load(tmp_path / "o" / one.id), EARS, rater)
    assert row["response"] == rated and rater.failures == failures
