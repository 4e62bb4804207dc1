"""Stereo files with word times, as moshi-finetune takes them."""

from __future__ import annotations

import json

import pytest

ALIGNED = [
    ["hello", [1.0, 1.4], "SPEAKER_MAIN"],
    ["there", [1.5, 2.0], "SPEAKER_MAIN"],
    ["hi", [2.5, 3.0], "SPEAKER_OTHER"],
    ["fine", [3.9, 4.2], "SPEAKER_MAIN"],  # after a pause: another utterance
]


@pytest.fixture
def listed(tmp_path, write):
    """data.jsonl with one conversation; returns it."""
    src = tmp_path / "src"
    spans = [[(1.0, 2.0), (3.9, 4.2)], [(2.5, 3.0)]]
    write(src / "data_stereo" / "a.wav", 5.0, spans, 24_000)
    (src / "data_stereo" / "a.json").write_text(json.dumps({"alignments": ALIGNED}))
    (src / "data.jsonl").write_text('{"path": "data_stereo/a.wav", "duration": 5.0}\n')
    return src / "data.jsonl"


def test_the_left_channel_is_the_agent(listed, prepared, sounding):
    corpus = prepared("moshi", listed)
    (talk,) = [corpus[i] for i in range(len(corpus))]
    assert sounding(talk.user) == (2.5, 3.0)
    assert [(u.lane, u.text) for u in talk.utterances] == [
        ("agent", "hello there"),
        ("user", "hi"),
        ("agent", "fine"),
    ]
    assert corpus.record(0).fields["said"][0]["times"] == "given"


def test_the_other_side_if_asked(listed, prepared):
    corpus = prepared("moshi", listed.parent, agents="both")
    assert [corpus[i].id for i in range(2)] == ["a/agent@0", "a/user@0"]


def test_an_untranscribed_user_is_told(listed, prepared):
    path = listed.parent / "data_stereo" / "a.json"
    path.write_text(json.dumps({"alignments": ALIGNED[:2]}))
    assert prepared("moshi", listed).index["mended"] == {"sides without any words": 1}


@pytest.mark.parametrize(
    "name, content, says",
    [
        ("data_stereo/a.json", None, "a.json: cannot be read"),
        ("data_stereo/a.json", "{}", "a.json: alignments is None"),
        ("data_stereo/a.json", '{"alignments": [["hi", 1.0]]}', "a.json: alignments[0]"),
        ("data_stereo/a.json", '{"alignments": [["hi", [0, "x"], "M"]]}', "'x' is no time"),
        ("data_stereo/a.json", '{"alignments": [["hi", [1, 2], "M"]]}', "agent's side has"),
        ("data_stereo/a.wav", None, "data.jsonl: names data_stereo/a.wav"),
        ("data.jsonl", '{"path": 3}\n', "data.jsonl:1: path is 3"),
        ("data.jsonl", "no\n", "data.jsonl:1: is not JSON"),
        ("data.jsonl", b"\xff\xfe\n", "data.jsonl:1: is not UTF-8"),
    ],
)
def test_faults_are_named(listed, refused, name, content, says):
    path = listed.parent / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert says in refused("moshi", listed)


def test_a_mono_file(listed, refused, write):
    write(listed.parent / "data_stereo" / "a.wav", 5.0, [[(1, 2)]], 24_000)
    assert "a.wav: has 1 channels, the layout says 2" in refused("moshi", listed)
