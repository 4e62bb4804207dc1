"""Benchmarks of videos, on small trees in their documented layouts, with their traps."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile

from eval import record, task
from eval.agent import Heard, Said, Solo
from eval.commands.run import open_agent
from eval.footage import SIZE, Footage, facts
from eval.judge import judge
from eval.localised import said
from eval.run import run
from eval.sample import Fault, Sample, Span
from eval.spoken_numbers import numbers
from eval.task import Asked
from interaction.errors import InputError
from tests.eval.films import EARS, film, halved, rows, samples

# Footage.


def test_frames_come_at_their_time_and_size(tmp_path):
    footage = Footage(film(tmp_path / "a.mp4"), begin=2.0, seconds=3.0)
    shown = list(footage)
    assert [t for t, _ in shown] == [round(2 + 0.2 * k, 3) for k in range(15)]
    assert all(pair.shape == (2, *SIZE, 3) for _, pair in shown)
    middle = [int(pair[0, SIZE[0] // 2, SIZE[1] // 2, 0]) for _, pair in shown]
    assert middle[0] < 10 and abs(middle[10] - 100) < 15  # a second has 50 levels
    assert [t for t, _ in footage] == [t for t, _ in shown]  # may be gone through anew


def test_captions_are_in_the_picture_while_they_are_due(tmp_path):
    path = film(tmp_path / "a.mp4", seconds=8)
    bare = dict(Footage(path, 0.0, 8.0))
    with_text = dict(Footage(path, 0.0, 8.0, ((1.0, "Where is my hat?"),)))
    changed = [t for t in bare if not np.array_equal(bare[t], with_text[t])]
    assert changed == [round(1 + 0.2 * k, 3) for k in range(25)]
    rows_changed = np.flatnonzero((bare[2.0] != with_text[2.0]).any(axis=(0, 2, 3)))
    assert rows_changed.min() > 0.8 * SIZE[0]


def test_a_video_that_breaks_off_says_so(tmp_path):
    path = halved(film(tmp_path / "a.mp4", seconds=10))
    seconds = facts(path).seconds
    assert seconds == pytest.approx(10, abs=0.2)  # what its head promises
    with pytest.raises(InputError, match="a.mp4"):
        list(Footage(path, 0.0, seconds))


def sound() -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(16_000), 16_000, format="WAV")
    return buffer.getvalue()


@pytest.mark.parametrize("content", [None, b"", b"not a video" * 99, sound()])
def test_no_video_is_named(tmp_path, content):
    path = tmp_path / "a.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="a.mp4: .*; download"):
        facts(path)


# Charades.


@pytest.fixture(scope="module")
def charades(tmp_path_factory) -> Path:
    data = tmp_path_factory.mktemp("charades")
    videos = data / "Charades_v1_480"
    for name in ("AAAAA", "CCCCC"):
        film(videos / f"{name}.mp4")
    halved(film(videos / "BROKE.mp4", seconds=10))
    (data / "Charades_v1_classes.txt").write_text(
        "c000 Holding some clothes\nc092 Opening a refrigerator\n"
        "c146 Someone is awakening in bed\n"
    )
    with (data / "Charades_v1_test.csv").open("w", newline="") as file:
        write = csv.writer(file).writerow
        write(["id", "subject", "descriptions", "actions", "length"])
        write(["AAAAA", "X1", "Opens it, then\n\"leaves\"", "c092 0.40 2.20;c146 1.00 3.00",
               "4.0"])  # fmt: skip
        write(["CCCCC", "X1", "", "c000 0.00 1.00;c000 2.00 3.00;c092 1.00 9.00", "4.0"])
        write(["CCCCC", "X1", "", "", "4.0"])
        write(["GONEX", "X1", "", "c092 0.00 1.00", "4.0"])
        write(["BROKE", "X1", "", "c092 0.00 1.00", "4.0"])
        write(["AAAAA", "X1", "", "c000 3.00 1.00;c777 1.00 2.00", "4.0"])
        write(["CCCCC", "X1", "", "c146 7.00 8.00;c00x 1.00", "4.0"])
    return data


def test_charades_layout_and_traps(charades):
    good, bad = samples("charades", charades)
    assert list(good) == ["AAAAA-c092", "AAAAA-c146", "CCCCC-c092", "BROKE-c092"]
    first, second, third, _ = good.values()
    begin = first.truth["begin"]
    assert first.user[0].text == (
        "say start when the person starts opening a refrigerator "
        "and say stop when they stop"
    )
    assert "starts awakening in bed" in second.user[0].text
    assert first.truth["interval"] == [0.4, 2.2] and third.truth["interval"] == [1.0, 9.0]
    assert begin >= first.user[0].t1 + 1 and next(iter(first.frames))[0] == begin
    assert not np.any(first.audio[round(first.user[0].t1 * 16_000) + 1 :])
    assert bad.keys() == {"GONEX-c092", "AAAAA-c000", "AAAAA-c777", "CCCCC-c146",
                          "CCCCC-c00x"}  # fmt: skip
    assert "GONEX.mp4: no such file" in bad["GONEX-c092"]
    assert "no interval" in bad["AAAAA-c000"] and "no class" in bad["AAAAA-c777"]
    assert "behind the video's end" in bad["CCCCC-c146"]


def test_charades_scores(charades, tmp_path):
    found = task.load("charades")
    good = [s for s in samples("charades", charades)[0].values() if s.id != "BROKE-c092"]
    run(open_agent("oracle", ""), iter(good), tmp_path / "charades", "lockstep")
    for sample in good[:2]:
        one = record.load(tmp_path / "charades" / sample.id)
        row = found.measure(one, EARS, judge("none"))
        assert row["iou"] > 0.9 and row["r1_0_7"] == 1  # to a turn
        assert row["complete"] == 1 and row["start_error"] < 0.21


def test_a_broken_video_is_one_failed_sample(charades, tmp_path):
    good = samples("charades", charades)[0]
    chosen = [good["BROKE-c092"], good["AAAAA-c092"]]
    run(open_agent("silent", ""), iter(chosen), tmp_path / "charades", "lockstep")
    broken = record.load(tmp_path / "charades" / "BROKE-c092")
    assert isinstance(broken, Fault) and "BROKE.mp4" in broken.why
    whole = record.load(tmp_path / "charades" / "AAAAA-c092")
    row = task.load("charades").measure(whole, EARS, judge("none"))
    assert row == task.load("charades").known("silent", good["AAAAA-c092"])


def spoken(*words: tuple[str, float]) -> list[Span]:
    return [Span(text, t, t + 0.3) for text, t in words]


def test_a_system_sees_each_frame_in_its_turn(charades, tmp_path):
    sample = samples("charades", charades)[0]["AAAAA-c092"]
    seen: dict[int, int] = {}

    class Looker:
        turn = 0

        def __init__(self, sample: Sample) -> None:
            pass

        def step(self, heard: Heard) -> Said:
            if heard.frames is not None:
                seen[self.turn] = int(heard.frames[1, SIZE[0] // 2, SIZE[1] // 2, 0])
            self.turn += 1
            return Said()

        def close(self) -> None:
            pass

    run(Solo("looker", Looker), iter([sample]), tmp_path, "lockstep")
    first = round(sample.truth["begin"] / 0.2)
    assert list(seen) == list(range(first, first + 20))  # four seconds
    assert abs(seen[first + 10] - 105) < 15  # a second has 50 levels


def test_a_digest_is_of_the_file(charades, tmp_path):
    path = film(tmp_path / "a.mp4")
    sample = samples("charades", charades)[0]["AAAAA-c092"]
    shown = [dataclasses.replace(sample, frames=Footage(path, 2.0, seconds))
             for seconds in (3.0, 3.0, 2.0)]  # fmt: skip
    one, same, shorter = map(record.digest, shown)
    assert one == same != shorter
    with path.open("ab") as file:
        file.write(b"0")
    assert record.digest(shown[0]) != one


@pytest.mark.parametrize(
    ("words", "interval"),
    [
        ([("start", 3.0), ("stop", 5.5)], (1.0, 3.5)),
        ([("Start.", 3.0), ("and", 4.0), ("Stop!", 5.0)], (1.0, 3.0)),
        ([("start", 1.5), ("start", 3.0), ("start", 3.6), ("stop", 4.0), ("stop", 6.0)],
         (1.0, 2.0)),  # what is said before the video is no answer; first words count
        ([("stop", 2.5), ("start", 3.0)], None),
        ([("stop", 3.0)], None),
        ([], None),
    ],
)  # fmt: skip
def test_start_and_stop_are_heard(words, interval):
    assert said(spoken(*words), begin=2.0) == pytest.approx(interval)


def test_charades_sta_layout_and_traps(charades, tmp_path):
    (tmp_path / "charades_sta_test.txt").write_text(
        "AAAAA 0.4 2.2##a person opens the refrigerator.\r\n"
        "  \n"
        "AAAAA 0.4 2.2##a person opens the refrigerator.\n"
        "AAAAA 2.0 2.0##nothing happens.\n"
        "AAAAA one 2.0##the person sits.\n"
        "CCCCC 0.0 1.0 the mark is missing\n"
        "GONEX 0.0 1.0##the person is gone.\n"
    )
    (tmp_path / "Charades_v1_480").symlink_to(charades / "Charades_v1_480")
    good, bad = samples("charades_sta", tmp_path)
    assert list(good) == ["AAAAA-00001", "AAAAA-00003"]
    assert good["AAAAA-00001"].user[0].text == (
        "say start when this begins and stop when it ends a person opens the refrigerator"
    )
    assert bad.keys() == {"AAAAA-00004", "AAAAA-00005", "line-00006", "GONEX-00007"}
    row = rows("charades_sta", "oracle", tmp_path, tmp_path / "run" / "charades_sta")
    assert row["AAAAA-00003"]["r1_0_7"] == 1


@pytest.mark.parametrize("name", ["charades", "charades_sta", "repcount_a",
                                  "proactive_video_qa"])  # fmt: skip
def test_no_data_is_one_line(name, tmp_path):
    for data in (None, tmp_path):
        with pytest.raises(InputError, match="; |: where"):
            list(task.load(name).samples(Asked(data)))


# RepCount-A.


@pytest.fixture(scope="module")
def repcount(tmp_path_factory) -> Path:
    data = tmp_path_factory.mktemp("repcount")
    for name in ("stu1_1.mp4", "once.mp4", "none.mp4"):
        film(data / "video" / "test" / name)
    (data / "annotation").mkdir()
    with (data / "annotation" / "test.csv").open("w", newline="") as file:
        write = csv.writer(file).writerow
        write(["", "type", "name", "count", *(f"L{n}" for n in range(1, 9))])
        write([0, "jump_jack", "stu1_1.mp4", "3.0", 0, 10, 10, 20, 20, 30, "", ""])
        write([1, "situp", "once.mp4", 1, 5, 20, "", "", "", "", "", ""])
        write([2, "situp", "none.mp4", 0, *[""] * 8])
        write([3, "situp", "gone.mp4", 1, 5, 20, *[""] * 6])
        write([4, "situp", "odd.mp4", 2, 5, 20, 30, *[""] * 5])
        write([5, "situp", "less.mp4", 3, 5, 20, *[""] * 6])
        write([6, "situp", "nan.mp4", "nan", 5, 20, *[""] * 6])
    return data


def test_repcount_layout_and_traps(repcount):
    good, bad = samples("repcount_a", repcount)
    assert list(good) == ["stu1_1", "once", "none"]
    three = good["stu1_1"]
    assert three.user[0].text == "count out the repetitions of jump jack"
    assert (three.truth["count"], three.truth["behind"]) == (
        3,
        2.0,
    )  # frame 20 of 10 a second
    assert good["once"].truth["behind"] == 0
    assert {k: v.split(";")[0][:40] for k, v in bad.items()}.keys() == {
        "gone", "odd", "less", "nan",
    }  # fmt: skip
    assert "says 3 repetitions and marks 1" in bad["less"]


def test_repcount_scores(repcount, tmp_path):
    right = rows("repcount_a", "oracle", repcount, tmp_path / "oracle")
    assert right["stu1_1"] == {"obo": 1, "mae": 0, "exact": 1, "counted": 1}
    assert right["none"]["counted"] == 0
    silent = rows("repcount_a", "silent", repcount, tmp_path / "silent")
    assert silent["once"]["obo"] == 0  # at most one off, but nothing was said
    assert silent["stu1_1"]["mae"] == pytest.approx(3 / 3.1)


def test_last_number_behind_the_last_but_one_counts(repcount, tmp_path):
    """Numbers before that are no count; of those behind, the last."""
    found = task.load("repcount_a")
    rows("repcount_a", "silent", repcount, tmp_path / "s")
    one = record.load(tmp_path / "s" / "stu1_1")
    begin = one.truth["begin"]
    for words, expected in (
        ([(1.0, " three")], None),
        ([(1.0, " nine"), (2.2, " two")], 2),
        ([(2.2, " two"), (3.2, " three")], 3),
        ([(2.2, " two"), (3.2, " 12.")], 12),
    ):
        text = tuple((round(begin + t, 1), word) for t, word in words)
        changed = record.Record(**{**vars(one), "text": text})
        row = found.measure(changed, EARS, judge("none"))
        assert row["counted"] == (expected is not None)
        if expected is not None:
            assert row["mae"] == pytest.approx(abs(expected - 3) / 3.1)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("one two three", [1, 2, 3]),
        ("nineteen twenty twenty one", [19, 20, 21]),
        ("that is 7, 8 and ninety-nine!", [7, 8, 99]),
        ("one hundred and five two hundred thirty one", [105, 231]),
        ("a hundred", []),
        ("twenty ten", [20, 10]),
        ("no number", []),
    ],
)
def test_numbers(said, found):
    words = [Span(w, 0.3 * i, 0.3 * i + 0.2) for i, w in enumerate(said.split())]
    assert numbers(words) == found


def test_a_pause_parts_numbers():
    assert numbers([Span("twenty", 0, 0.4), Span("one", 1.4, 1.8)]) == [20, 1]


def test_samples_do_not_depend_on_the_limit(charades):
    found = task.load("charades")
    first = [s.id for s in itertools.islice(found.samples(Asked(charades, limit=2)), 2)]
    assert first == [s.id for s in found.samples(Asked(charades))][:2]
