"""VoiceAssistant-400K: questions with sound, answers spoken anew."""

from __future__ import annotations

import pyarrow
import pytest
from pyarrow import parquet

ROW = {
    "split_name": "qa_assistant_v1_7k", "index": "0", "round": "1",
    "question": "who are you", "answer": "I am 3 things: a, b. And more!",
    "answer_snac": "",
}  # fmt: skip


@pytest.fixture
def table(tmp_path, write):
    """Writes rows with changes to data/train-00000-of-00001.parquet; returns its source."""
    wav = write(tmp_path / "q.wav", 2.0, [[(0.5, 1.5)]], 22_050).read_bytes()
    sound = {"bytes": wav, "path": "q.wav"}
    path = tmp_path / "src" / "data" / "train-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)

    def make(*changes: dict):
        rows = [ROW | {"question_audio": sound} | change for change in changes]
        parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=2)
        return tmp_path / "src"

    return make


def test_the_answer_is_spoken_after_the_question(table, prepared, sounding):
    corpus = prepared("voice_assistant", table({}, {"question": "why"}, {}))
    assert len(corpus) == 3
    talk = corpus[0]
    assert sounding(talk.user) == (0.5, 1.5)
    question, *answer = talk.utterances
    assert question.lane == "user" and question.words[-1].t1 == pytest.approx(1.5, abs=0.01)
    assert [u.text for u in answer] == ["I am 3 things", "a b", "And more"]
    onset, end = sounding(talk.agent)
    assert 1.9 < onset < 2.2 and answer[0].t0 == 2.0
    assert end == pytest.approx(answer[-1].t1, abs=0.2)
    said = corpus.record(0).fields["said"]
    assert [one["times"] for one in said] == ["interpolated", *["given"] * 3]
    assert corpus[1].utterances[0].text == "why"


@pytest.mark.parametrize(
    "change, says",
    [
        ({"question": ""}, "row 1: question or answer has no words"),
        ({"answer": "?!"}, "row 1: question or answer has no words"),
        ({"question_audio": {"bytes": b"", "path": "x"}}, "row 1: the file is empty"),
        ({"question_audio": {"bytes": b"noise" * 9, "path": "x"}}, "row 1: not a sound"),
        ({"question_audio": None}, "row 1: question_audio is None"),
    ],
)
def test_faults_are_named(table, prepared, reasons, change, says):
    corpus = prepared("voice_assistant", table({}, change))
    assert corpus.index["conversations"] == 1
    (reason,) = reasons(corpus).values()
    assert f"train-00000-of-00001.parquet: {says}" in reason


def test_files_that_are_not_its_own(table, refused):
    src = table({})
    path = src / "data" / "train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    assert f"{path}: is no whole parquet file" in refused("voice_assistant", src)
    parquet.write_table(pyarrow.table({"question": ["a"]}), path)
    assert f"{path}: has no column answer, question_audio" in refused(
        "voice_assistant", src
    )
