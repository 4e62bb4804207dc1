"""Seamless Interaction: a set of files for each of two participants."""

from __future__ import annotations

import json

import pytest

NAME = "V00_S0809_I00000582"
SPANS = {"P0947": [(1.0, 2.0)], "P0948": [(2.5, 3.5)]}
SEGMENT = {
    "start": 2.5,
    "end": 3.5,
    "transcript": "well 50 yes",
    "words": [
        {"word": "well", "start": 2.5, "end": 2.8, "score": 0.9},
        {"word": "50"},  # the aligner knows no digits
        {"word": "yes", "start": 3.2, "end": 3.5, "score": 0.8},
    ],
}


@pytest.fixture
def folder(tmp_path, write):
    folder = tmp_path / "src/improvised/train/0000/0005"
    for person, spans in SPANS.items():
        write(folder / f"{NAME}_{person}.wav", 5.0, [spans], 48_000)
        segments = [SEGMENT] if person == "P0948" else [
            {"start": 1.0, "end": 2.0, "transcript": "hello there", "words": []}
        ]  # fmt: skip
        held = {"id": f"{NAME}_{person}", "metadata:transcript": segments}
        (folder / f"{NAME}_{person}.json").write_text(json.dumps(held))
    other = folder.parent / "3P-V"  # annotations carry the same names
    other.mkdir()
    (other / f"{NAME}_P0947.json").write_text("{}")
    return folder


def test_participants_are_joined_by_their_names(folder, tmp_path, prepared, sounding):
    corpus = prepared("seamless", tmp_path / "src")
    assert corpus.index["conversations"] == 1 and len(corpus) == 2
    assert corpus[0].id == f"{NAME}/P0947@0"
    assert sounding(corpus[0].agent) == (1.0, 2.0)
    assert sounding(corpus[0].user) == (2.5, 3.5)


def test_words_without_times_lie_between_their_neighbours(folder, tmp_path, prepared):
    first, second = prepared("seamless", tmp_path / "src").record(0).fields["said"]
    assert [w[0] for w in first["words"]] == ["hello", "there"]
    assert second["words"] == [["well", 2.5, 2.8], ["50", 2.8, 3.2], ["yes", 3.2, 3.5]]
    assert second["times"] == "interpolated"


def test_the_released_folders_are_read_too(folder, tmp_path, prepared, write):
    split = tmp_path / "released/naturalistic/dev"
    for person, spans in SPANS.items():
        write(split / "audio" / f"{NAME}_{person}.wav", 5.0, [spans], 48_000)
        for kind, line in (("transcript", SEGMENT), ("vad", {"start": 0, "end": 1})):
            (split / kind).mkdir(exist_ok=True)
            (split / kind / f"{NAME}_{person}.jsonl").write_text(json.dumps(line) + "\n")
        (split / "1P-IS").mkdir(exist_ok=True)  # annotations, before the transcripts
        (split / "1P-IS" / f"{NAME}_{person}.json").write_text("{}")
    said = prepared("seamless", tmp_path / "released").record(0).fields["said"]
    assert [one["side"] for one in said] == [0, 1]
    assert said[0]["words"] == said[1]["words"] and len(said[0]["words"]) == 3


def segment(**change):
    return json.dumps({"metadata:transcript": [SEGMENT | change]})


@pytest.mark.parametrize(
    "ending, content, says",
    [
        ("wav", None, "P0948.wav: no such sound"),
        ("json", None, "P0948.json: no such transcript"),
        ("json", "[]", "P0948.json: is no JSON object"),
        ("json", '{"id": "x"}', "metadata:transcript is None"),
        ("json", segment(start="soon"), "P0948.json: segment 0: start is 'soon'"),
        ("json", segment(words=[{"start": 1}]), "segment 0: word is None"),
        ("json", segment(end=60.0), "the sound ends at 5.0 s but its transcript runs"),
        ("wav", "", "P0948.wav: the file is empty"),
    ],
)
def test_faults_are_named(folder, tmp_path, refused, ending, content, says):
    path = folder / f"{NAME}_P0948.{ending}"
    path.unlink() if content is None else path.write_text(content)
    assert says in refused("seamless", tmp_path / "src")


def test_one_side_alone_is_named(folder, tmp_path, refused):
    for path in folder.glob("*P0948*"):
        path.unlink()
    said = refused("seamless", tmp_path / "src")
    assert f"{NAME}_*: 1 participant(s) here, not two" in said


def test_sides_of_unequal_length_are_padded_and_counted(folder, tmp_path, prepared, write):
    write(folder / f"{NAME}_P0947.wav", 3.0, [SPANS["P0947"]], 48_000)
    corpus = prepared("seamless", tmp_path / "src")
    assert len(corpus[0].agent) == len(corpus[0].user) == 80_000
    assert any("unequal length" in what for what in corpus.index["mended"])
