"""ProactiveVideoQA on a small tree in its documented layout, and its figures by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval import record, task
from eval.commands.run import open_agent
from eval.run import run
from tests.eval.films import EARS, film, rows, samples


class Rater:
    """Rates by a table of what was said so far; counts what it is asked."""

    name, failures = "table", 0

    def __init__(self, table: dict[str, str]) -> None:
        self.table, self.asked = table, []

    def ask(self, prompt: str, **settings: object) -> list[str]:
        said = prompt.split("Said so far: ")[1].split("\n")[0]
        self.asked.append(said)
        return [self.table[said]]

    def misread(self) -> None:
        self.failures += 1


@pytest.fixture(scope="module")
def proactive(tmp_path_factory) -> Path:
    data = tmp_path_factory.mktemp("pvqa")
    for part, name in (("WEB", "a.mp4"), ("TV", "b.mp4")):
        film(data / part / "videos" / name, seconds=6)
    ask = {"role": "user", "content": "What colour is the hat?", "time": 0.0}
    answer = {
        "content": "Red",
        "related_timespan": [1.0, 2.0],
        "reply_timespan": [1.0, 5.0],
    }
    (data / "WEB" / "anno.json").write_text(json.dumps([
        {"video": "a.mp4", "question_id": "q/1", "duration": 6.0, "conversation": [ask],
         "answer": [answer]},
        {"video": "gone.mp4", "question_id": "q2", "conversation": [ask],
         "answer": [answer]},
        {"video": "a.mp4", "question_id": "q3", "conversation": [], "answer": [answer]},
        {"video": "a.mp4", "question_id": "q4", "conversation": [ask], "answer": []},
        {"video": "a.mp4", "question_id": "q5", "conversation": [ask],
         "answer": [answer | {"reply_timespan": [3.0, 3.0]}]},
        {"video": "a.mp4"},
    ]))  # fmt: skip
    subtitle = {"role": "user", "content": "House: Where is my hat?", "time": 2.0}
    (data / "TV" / "anno.json").write_text(json.dumps([
        {"video": "b.mp4", "question_id": "q1", "duration": 6.0,
         "conversation": [ask, subtitle], "answer": [answer, answer]},
    ]))  # fmt: skip
    (data / "EGO").mkdir()
    (data / "EGO" / "anno.json").write_text("{not json")
    return data


def test_proactive_layout_and_traps(proactive):
    good, bad = samples("proactive_video_qa", proactive)
    assert list(good) == ["WEB-q_1", "TV-q1"]
    web, tv = good.values()
    assert web.user[0].text.endswith("say a concise answer what colour is the hat")
    assert web.truth["begin"] >= web.user[0].t1 + 2
    assert tv.frames.captions == ((2.0, "House: Where is my hat?"),)
    assert tv.frames.seconds == 5.0  # nothing counts behind the last reply's time
    assert bad.keys() == {"WEB-q2", "WEB-q3", "WEB-q4", "WEB-q5", "WEB-0005", "EGO", "VAD"}
    assert "VAD/anno.json" in bad["VAD"] and "no answer" in bad["WEB-q4"]


def test_silence_is_worth_a_quarter(proactive, tmp_path):
    for row in rows("proactive_video_qa", "silent", proactive, tmp_path / "s").values():
        assert {row[way] for way in ("pauc", "pauc_at_end", "pauc_0", "pauc_1")} == {25.0}


def answered(proactive, tmp_path, said, table):
    """The row of "WEB-q_1" for utterances (seconds of the video, text)."""
    place = tmp_path / "base"
    if not place.exists():
        sample = samples("proactive_video_qa", proactive)[0]["WEB-q_1"]
        run(open_agent("silent", ""), iter([sample]), place, "lockstep")
    one = record.load(place / "WEB-q_1")
    text = tuple((round(one.truth["begin"] + t, 1), f" {word}") for t, word in said)
    rater = Rater(table)
    changed = record.Record(**{**vars(one), "text": text})
    return task.load("proactive_video_qa").measure(changed, EARS, rater), rater


def test_replies_are_worth_what_the_judge_says_when_they_come(proactive, tmp_path):
    """By hand, of [1, 5] s: worth 2 from 1 s on; from 3 s on; wrong at once."""
    row, _ = answered(proactive, tmp_path, [(1.0, "red")], {"red": "3"})
    assert (row["pauc"], row["pauc_0"], row["pauc_1"]) == (100, 100, 100)
    row, _ = answered(proactive, tmp_path, [(3.0, "red")], {"red": "3"})
    half = 100 * (0.5 * 2 + 2 * 2) / (2 * 4)  # half of the full worth until then
    assert row["pauc_0"] == pytest.approx(half) and row["pauc_1"] == 100
    assert row["pauc"] == pytest.approx(100 * (0.5 * 1 + 2 * 3) / 8)
    assert row["pauc_at_end"] < row["pauc"]
    row, _ = answered(proactive, tmp_path, [(1.0, "blue")], {"blue": "1"})
    assert row["pauc"] == 0


def test_replies_add_up_and_repeated_ones_are_not_judged(proactive, tmp_path):
    said = [(1.0, "blue"), (2.0, "blue"), (3.0, "red"), (5.4, "late")]
    row, rater = answered(proactive, tmp_path, said, {"blue": "1", "blue red": "2"})
    assert rater.asked[:2] == ["blue", "blue red"] and len(rater.asked) == 4  # both ways
    assert row["pauc_0"] == pytest.approx(100 * (1 * 2) / 8)
    assert row["replies"] == 4


def test_a_reply_that_is_no_rating_is_counted_and_left_out(proactive, tmp_path):
    row, rater = answered(proactive, tmp_path, [(1.0, "red")], {"red": "I think so"})
    assert rater.failures == 2 and row["pauc"] == 25


def test_without_a_judge_there_is_no_figure(proactive, tmp_path):
    found = rows("proactive_video_qa", "oracle", proactive, tmp_path / "o")
    assert {row["pauc"] for row in found.values()} == {None}


def test_both_poolings():
    """Two answers in one video of WEB, one in TV: over answers, and over parts."""
    metrics = task.load("proactive_video_qa").metrics
    rows_ = [{"category": 0.0, "answers": 2.0, "pauc": 100.0},
             {"category": 2.0, "answers": 1.0, "pauc": 25.0},
             {"category": 2.0, "answers": 1.0, "pauc": None}]  # fmt: skip
    assert metrics["pauc"].figure("pauc", rows_) == 75
    assert metrics["pauc_by_category"].figure("pauc_by_category", rows_) == 62.5
    assert metrics["pauc"].figure("pauc", rows_[2:]) is None
