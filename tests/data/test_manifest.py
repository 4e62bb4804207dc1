"""Manifests: what is written comes back, and bad lines are named."""

import json

import av
import numpy as np
import pytest

from interaction.data.dialogue import Dialogue, Utterance, Word
from interaction.data.manifest import read_manifest, write_manifest
from interaction.data.world import dialogue
from interaction.errors import InputError
from interaction.modality.files import write_audio

SPOKEN = {
    "ch": "user",
    "t0": 0.1,
    "t1": 0.9,
    "text": "say hello",
    "words": [["say", 0.1, 0.4], ["hello", 0.4, 0.9]],
}
ANSWER = {"ch": "agent", "t0": 1.2, "t1": 1.7, "text": "hello", "words": []}
LINE = {
    "id": "a",
    "sr": 16000,
    "user_wav": "user.wav",
    "agent_wav": "agent.wav",
    "events": [SPOKEN, ANSWER],
}


@pytest.fixture
def corpus(tmp_path):
    """A function that writes lines to a manifest beside two wavs; returns its path."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(-0.5, 0.5, 32_100).astype(np.float32)
    write_audio(tmp_path / "user.wav", noise, 16_000)
    write_audio(tmp_path / "agent.wav", noise[:20_000], 16_000)
    write_audio(tmp_path / "slow.wav", noise[:16_000], 8_000)

    def write(*lines):
        text = [x if isinstance(x, str) else json.dumps(x) for x in lines]
        (tmp_path / "manifest.jsonl").write_text("\n".join(text) + "\n")
        return tmp_path / "manifest.jsonl"

    return write


def test_round_trip(tmp_path):
    mix = {"vision_color": 1.0, "barge_in": 1.0}
    written = [dialogue(4, i, mix=mix) for i in range(3)]
    path = write_manifest(written, tmp_path / "new" / "set")
    read = list(read_manifest(path))
    assert len(read) == 3
    assert any(d.frames for d in read)
    assert any(u.cut for d in read for u in d.utterances)
    for a, b in zip(written, read, strict=True):
        assert a.id == b.id and a.utterances == b.utterances and a.control == b.control
        assert np.abs(a.user - b.user).max() < 1e-4
        assert np.abs(a.agent - b.agent).max() < 1e-4
        assert [t for t, _ in a.frames] == [t for t, _ in b.frames]
        for (_, x), (_, y) in zip(a.frames, b.frames, strict=True):
            assert np.array_equal(x, y)
    assert not list(path.parent.glob(".tmp*"))


def test_a_corpus_is_padded_and_its_control_found(corpus):
    cut = ANSWER | {"t0": 0.2, "t1": 0.9, "cut": 0.8, "text": "one two"}
    del cut["words"]
    (d,) = read_manifest(corpus(LINE | {"events": [cut, SPOKEN, ANSWER]}, ""))
    assert d.user.shape == d.agent.shape == (11 * 3200,)
    assert not d.agent[20_000:].any() and d.user[32_000:32_100].any()
    assert d.utterances[0].words == (Word("one", 0.2, 0.55), Word("two", 0.55, 0.9))
    assert d.utterances[1] == Utterance(
        "user", (Word("say", 0.1, 0.4), Word("hello", 0.4, 0.9)), 0.1, 0.9
    )
    assert d.control == ((0.8, "clear"), (1.8, "break"))
    assert d.exchanges == () and d.frames == ()


def test_other_rates_are_resampled(corpus):
    both = {"sr": 8000, "user_wav": "slow.wav", "agent_wav": "slow.wav"}
    (d,) = read_manifest(corpus(LINE | both))
    assert len(d.user) == 10 * 3200


def test_video_files_become_pairs(corpus):
    path = corpus(LINE | {"video": "v.mp4"})
    with av.open(str(path.with_name("v.mp4")), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 80, "yuv420p"
        for i in range(25):
            image = np.full((80, 160, 3), i * 10, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (d,) = read_manifest(path)
    assert [t for t, _ in d.frames] == [1.0, 2.0]
    pair = d.frames[0][1]
    assert pair.shape == (2, 40, 80, 3) and pair.dtype == np.uint8
    assert pair[0].mean() == pytest.approx(50, abs=6)
    assert pair[1].mean() == pytest.approx(100, abs=6)


def word(*item):
    return {"events": [SPOKEN | {"words": [list(item)]}]}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": 3}, "id"),
        ({"id": " "}, "id"),
        ({"sr": "16k"}, "sr"),
        ({"sr": 8000}, "sr"),
        ({"user_wav": "none.wav"}, "user_wav"),
        ({"agent_wav": "manifest.jsonl"}, "agent_wav"),
        ({"video": "none.mp4"}, "video"),
        ({"video": "user.wav"}, "video"),
        ({"events": {}}, "events"),
        ({"events": ["x"]}, "events[0]"),
        ({"events": [SPOKEN | {"ch": "dog"}]}, "events[0].ch"),
        ({"events": [SPOKEN, SPOKEN | {"t0": -1}]}, "events[1].t0"),
        ({"events": [SPOKEN | {"t1": 0.05}]}, "events[0].t1"),
        ({"events": [SPOKEN | {"t1": 99}]}, "events[0].t1"),
        ({"events": [SPOKEN | {"t0": float("nan")}]}, "events[0].t0"),
        ({"events": [SPOKEN | {"cut": "soon"}]}, "events[0].cut"),
        (word("say", 0.1), "events[0].words[0]"),
        (word("say", 0.0, 0.3), "events[0].words[0][1]"),
        (word("say", 0.3, 0.2), "events[0].words[0][2]"),
        ({"control": [[0.2, "stop"]]}, "control[0]"),
        ({"control": [[True, "clear"]]}, "control[0]"),
    ],
)
def test_bad_fields_are_named(corpus, change, field):
    path = corpus(LINE, LINE | change)
    lines = read_manifest(path)
    next(lines)
    with pytest.raises(InputError) as error:
        next(lines)
    assert str(error.value).startswith(f"{field} ")
    assert f"{path}:2" in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_fields_and_lines_that_are_no_objects(corpus):
    for key in LINE:
        with pytest.raises(InputError, match=f"^{key} is missing"):
            list(read_manifest(corpus({k: LINE[k] for k in LINE if k != key})))
    for bad in ("{", "[1]", '"a"'):
        with pytest.raises(InputError, match="^line is not"):
            list(read_manifest(corpus(bad)))


def test_missing_manifest(tmp_path):
    with pytest.raises(InputError, match="no such manifest"):
        list(read_manifest(tmp_path / "none.jsonl"))


@pytest.mark.parametrize("names", [["a", "a"], ["../a"], [""]])
def test_ids_that_cannot_be_files(tmp_path, names):
    silence = np.zeros(3200, np.float32)
    with pytest.raises(InputError, match="bad id"):
        write_manifest([Dialogue(n, silence, silence) for n in names], tmp_path)
    assert not (tmp_path / "manifest.jsonl").exists()
    assert not list(tmp_path.glob(".tmp*"))
