"""Full-Duplex-Bench v2: what judges write, and recorded conversations with their traps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from eval import record, task
from eval.commands.run import open_agent
from eval.ears import ears
from eval.formulas.full_duplex_bench_v2 import Event, means, over_time, read
from eval.judge import judge
from eval.layouts import full_duplex_bench_v2 as layout
from eval.run import run
from eval.sample import Fault, Sample
from eval.score import official, score
from eval.task import Asked
from eval.tasks.fdb_v2 import talked_over
from interaction.errors import InputError
from tests.eval.fdb_tree import wave, write

EARS = ears("text_stream", "energy")
FDB_V2 = task.load("fdb_v2")
IDS = ("Daily.ordering.001", "Correction.correction.002", "EntityTracking.entity.003",
       "Safety.privacy.004")  # fmt: skip
A, B = [(0.5, "red blue"), (4.0, "green")], [(2.0, "blue green red"), (4.2, "blue")]


@pytest.mark.parametrize("events", [
    "[[[0, 10], 4, 2], [[10.5, 20], 2, 5], [[30, 31], null, 5]]",
    "[\n  [0, 10]: 4, 2,\n  [10.5, 20]: 2, 5,\n [30, 31]: null, 5 ]",
    '[[["0:00", "0:10"], "4", "2"], [["0:10.5", "0:20"], "2", "5"]]',
    '[{"start_time": 0, "end_time": 10}: 4, 2, {10.5, 20}: 2, 5]',
])  # fmt: skip
def test_the_forms_that_a_judge_writes(events):
    reply = f'```json\n{{"Turn-taking event and score": {events},\n'
    judged = read(reply + '"Task-specific score": 4}\n```')
    assert judged is not None and judged.task == 4
    assert judged.events == [Event(0, 10, 4, 2), Event(10.5, 20, 2, 5)]
    assert means(judged.events) == (3.0, 3.5)


def test_stretches_that_share_scores_and_replies_without_any():
    judged = read('"Turn-taking event and score": [[[1, 2], [63, "1:05"]]: 5, 4]')
    assert judged is not None and judged.task is None
    assert judged.events == [Event(1, 2, 5, 4), Event(63, 65, 5, 4)]
    assert read("It was fine: [1, 2]: 5, 4") is None
    assert read('{"Turn-taking event and score": [], "Task-specific score": null}') == (
        [],
        None,
    )
    assert means([]) == (None, None)


def test_events_count_by_how_long_they_lie_in_a_stretch():
    sums = over_time([Event(0, 10, 4, 2), Event(10, 20, 2, 5), Event(118, 130, 1, 1)])
    assert sums[0] == (15.0, 4 * 10 + 2 * 5, 2 * 10 + 5 * 5)
    assert sums[1] == (5.0, 10.0, 25.0) and sums[7] == (2.0, 2.0, 2.0)
    assert sums[2:7] == [(0, 0, 0)] * 5


def test_how_much_is_talked_over():
    assert talked_over([(0, 2), (4, 6)], [(1, 5)]) == 0.5
    assert talked_over([(0, 2)], []) == 0 and talked_over([], [(0, 1)]) is None


def said(spoken: list[tuple[float, str]]) -> dict:
    chunks = [{"text": text, "timestamp": [t, t + 0.5]} for t, text in spoken]
    return {"text": " ".join(text for _, text in spoken), "chunks": chunks}


@pytest.fixture
def data(tmp_path) -> Path:
    """A conversation of every split, the Correction in a folder of its class."""
    root = tmp_path / "outputs"
    for id_ in IDS:
        split, kind, _ = id_.split(".")
        place = root / split / (kind if split == "Correction" else "") / id_
        both = {"A.wav": wave(48000, A), "B.wav": wave(48000, B)}
        write(place, {"A.json": said(A), "B.json": said(B)}, both, 48000)
        shutil.copy(place / "A.wav", place / "combined.wav")
    return root


@pytest.fixture
def checkout(tmp_path) -> Path:
    """Prompts alone; the Safety task has three goals."""
    place = tmp_path / "repo" / "v2"
    (place / "eval").mkdir(parents=True)
    splits: dict = {split: {"classes": [], "tasks": []} for split in layout.SPLITS}
    for id_ in IDS:
        goals = {t: f"{t} of {id_}" for t in layout.GOALS[: 3 + (id_[0] != "S")]}
        splits[id_.split(".")[0]]["tasks"].append({"id": id_, "staged_reveal": goals})
    (place / layout.TASKS).write_text(json.dumps({"settings": {}, "splits": splits}))
    prompts = {name: name for name in (
        "system_prompt", "turn_taking_fluency_prompt", "output_format_prompt",
        "multi_turn_instruction_following_prompt")}  # fmt: skip
    rubrics = [{"id": r, "prompt": f"rubric {r}"} for r in layout.RUBRICS.values()]
    prompts |= {"task_specific_prompts": rubrics}
    (place / "eval" / "eval_prompts.json").write_text(json.dumps(prompts))
    return place.parent


def test_every_split_is_read(data, checkout):
    found = list(FDB_V2.samples(Asked(data, checkout)))
    assert [one.id for one in found] == list(IDS)
    for one in found:
        assert isinstance(one, Sample), one
        assert [span.text for span in one.user] == ["red blue", "green"]
        assert one.truth["examiner"] == "red blue green"
        assert one.truth["seconds"] == pytest.approx(7.1)
    assert len(found[0].truth["goals"]) == 4 and len(found[3].truth["goals"]) == 3


def place_of(data: Path, id_: str) -> Path:
    return next(data.rglob(id_))


@pytest.mark.parametrize("what, spoil", [
    ("was not recorded", lambda p: shutil.rmtree(p)),
    ("A.json: not there", lambda p: (p / "A.json").unlink()),
    ("is not JSON", lambda p: (p / "A.json").write_text("[{")),
    ("no field 'chunks'", lambda p: (p / "A.json").write_text('{"text": ""}')),
    ("timestamp is", lambda p: (p / "A.json").write_text(
        '{"text": "", "chunks": [{"text": "a", "timestamp": [2, null]}]}')),
    ("no such file", lambda p: (p / "A.wav").unlink()),
    ("cut short", lambda p: (p / "A.wav").write_bytes((p / "A.wav").read_bytes()[:-4000])),
])  # fmt: skip
@pytest.mark.parametrize("id_", IDS[:2])
def test_what_is_broken_is_named_and_counted(what, spoil, id_, data, checkout):
    spoil(place_of(data, id_))
    found = {one.id: one for one in FDB_V2.samples(Asked(data, checkout))}
    assert isinstance(found[id_], Fault) and what in found[id_].why
    assert sum(isinstance(one, Sample) for one in found.values()) == 3


def test_what_is_missing_ends_in_one_line(data, checkout, tmp_path):
    for asked, why in (
        (Asked(), "--data"),
        (Asked(tmp_path / "none", checkout), "none of the folders Daily"),
        (Asked(data), "--official-repo"),
        (Asked(data, tmp_path), "no v2/eval"),
    ):
        with pytest.raises(InputError, match=why):
            list(FDB_V2.samples(asked))
    shutil.copy(checkout / "v2" / layout.TASKS, data)
    assert len(list(FDB_V2.samples(Asked(data)))) == 4


class Says:
    """A judge with one answer. asked: what it was asked."""

    name, failures = "openai:gemini-2.5-flash", 0

    def __init__(self, reply: str, official: Path | None) -> None:
        self.reply, self.official, self.asked = reply, official, []

    def ask(self, prompt, system="", temperature=0.0, n=1, seed=None):
        self.asked.append((prompt, temperature))
        return [self.reply]

    def misread(self):
        self.failures += 1


def scored(place: Path, by):
    about = {"agent": "recorded", "clock": "lockstep", "seed": 0, "git": None}
    return score(place, "fdb_v2", FDB_V2, EARS, by, about, 4)


def test_a_recorded_conversation_is_rated(data, checkout, tmp_path):
    agent = open_agent("recorded", f"path={data}")
    place = tmp_path / "run"
    run(agent, FDB_V2.samples(Asked(data, checkout)), place / "fdb_v2", "lockstep")
    told = '{"Turn-taking event and score": [[[2, 3], 4, 3], [[4, 8], 2, 5]], '
    says = Says(told + '"Task-specific score": 5}', checkout)
    done = scored(place, says)
    assert not done.faults and len(done.rows) == 4
    figures = {name: figure["value"] for name, figure in done.figures.items()}
    assert (figures["turn_taking"], figures["instructions"], figures["task"]) == (3, 4, 5)
    assert figures["turn_taking_tracking"] == 3 and figures["task_safety"] == 5
    assert done.figures["task"]["n"] == 3, "Daily has no rubric of its own"
    assert figures["turn_taking_15s"] == pytest.approx((4 + 4 * 2) / 5)
    assert figures["turn_taking_30s"] is None and figures["spoke"] == 1
    assert 0.05 < figures["talked_over"] < 0.5
    for prompt, temperature in says.asked:
        assert temperature == 0.2
        assert "]: blue green red" in prompt and "red blue green" in prompt
    rubrics = {r: ["rubric " + r in prompt for prompt, _ in says.asked].count(True)
               for r in layout.RUBRICS.values()}  # fmt: skip
    assert set(rubrics.values()) == {1}
    assert sum(f"T4: T4 of {i}" in p for i in IDS for p, _ in says.asked) == 3


def test_without_a_judge_there_is_no_figure(data, checkout, tmp_path):
    agent, place = open_agent("silent", ""), tmp_path / "run"
    samples = list(FDB_V2.samples(Asked(data, checkout)))
    run(agent, iter(samples), place / "fdb_v2", "lockstep")
    for by in (judge(), Says("", None), Says("No idea.", checkout)):
        done = scored(place, by)
        assert done.figures["turn_taking"]["value"] is None
        assert done.figures["turn_taking"]["n"] == 0
    assert by.failures == 4
    for one in samples:
        row = FDB_V2.measure(record.load(place / "fdb_v2" / one.id), EARS, judge())
        assert row == FDB_V2.known("silent", one)


def test_no_figure_may_stand_beside_published_ones():
    class Parakeet:
        words_from, vad = "asr:nvidia/parakeet-tdt-0.6b-v2", "silero"

    assert not any(official(m, FDB_V2, Parakeet, Says("", None))
                   for m in FDB_V2.metrics.values())  # fmt: skip
