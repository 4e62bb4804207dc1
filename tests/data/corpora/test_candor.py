"""CANDOR: metadata, transcripts and media of a conversation's directory."""

from __future__ import annotations

import json
from fractions import Fraction

import av
import numpy as np
import pytest

from interaction.data.corpora.record import Camera

CAMERA = Camera(40, 80, 1.0)
ROWS = """turn_id,speaker,start,stop,utterance,backchannel,backchannel_speaker,\
backchannel_start,backchannel_stop
0,ann,1.0,3.0,so I went there,mhm,bob,1.4,1.8
1,bob,3.5,4.5,did you
"""
SPANS = [[(3.5, 4.5)], [(1.0, 3.0)]]


@pytest.fixture
def talk(tmp_path, write):
    """One conversation; bob is on the left. Returns its directory."""
    folder = tmp_path / "src" / "aaaa-bbbb"
    (folder / "transcription").mkdir(parents=True)
    speakers = [{"user_id": "ann", "channel": "R"}, {"user_id": "bob", "channel": "L"}]
    (folder / "metadata.json").write_text(json.dumps({"speakers": speakers}))
    (folder / "transcription" / "transcript_backbiter.csv").write_text(ROWS)
    write(folder / "processed" / f"{folder.name}.mp3", 6.0, SPANS, format="MP3")
    return folder


def film(path, wave, seconds=6):
    """A small video, each second of another grey, with a mono soundtrack."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=16_000, layout="mono")
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 80, "yuv420p"
        for i in range(seconds * 10):
            image = np.full((80, 160, 3), 20 + 30 * (i // 10), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        samples = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        samples.sample_rate, samples.pts = 16_000, 0
        container.mux(sound.encode(samples))
        container.mux(sound.encode())


def test_channels_follow_the_metadata(talk, tmp_path, prepared, sounding):
    corpus = prepared("candor", tmp_path / "src")
    bob, ann = corpus[0], corpus[1]
    assert bob.id == "aaaa-bbbb/bob@0" and sounding(bob.agent) == (3.5, 4.5)
    assert ann.id == "aaaa-bbbb/ann@0" and sounding(ann.agent) == (1.0, 3.0)
    assert [(u.lane, u.text, u.t0, u.t1) for u in ann.utterances] == [
        ("agent", "so I went there", 1.0, 3.0),
        ("user", "mhm", 1.4, 1.8),  # a backchannel is the listener's own utterance
        ("user", "did you", 3.5, 4.5),
    ]


def test_without_stereo_sound_each_speaker_has_a_video(talk, tmp_path, prepared, voice):
    (talk / "processed" / f"{talk.name}.mp3").unlink()
    for name, spans in zip(("bob", "ann"), SPANS, strict=True):
        film(talk / "processed" / f"{name}.mp4", voice(6, spans, 16_000))
    corpus = prepared("candor", tmp_path / "src", camera=CAMERA)
    bob = corpus[0]
    loud = np.flatnonzero(np.abs(bob.agent) > 0.05) / 16_000
    assert loud[0] == pytest.approx(3.5, abs=0.1)  # AAC delays
    times = [t for t, _ in bob.frames]
    assert times == pytest.approx([1.0, 2.0, 3.0, 4.0, 5.0])
    earlier, later = bob.frames[1][1][:, 0, 0, 0].tolist()
    assert earlier == pytest.approx(50, abs=3) and later == pytest.approx(80, abs=3)


def test_frames_follow_a_window(talk, tmp_path, prepared, voice):
    film(talk / "processed" / "ann.mp4", voice(6, [], 16_000))
    corpus = prepared("candor", tmp_path / "src", camera=CAMERA)
    whole, part = corpus[0].frames, corpus.window(0, start=9, turns=7).frames
    assert [t for t, _ in part] == pytest.approx([0.2, 1.2])
    assert (part[0][1] == whole[1][1]).all()
    assert corpus[1].frames == ()  # ann sees bob, of whom there is no video


@pytest.mark.parametrize(
    "name, content, says",
    [
        ("metadata.json", None, "metadata.json: cannot be read"),
        ("metadata.json", "{", "metadata.json: is not JSON"),
        ("metadata.json", '{"speakers": []}', "metadata.json: has 0 speakers"),
        ("transcription/transcript_backbiter.csv", None, "backbiter.csv: no transcript"),
        (
            "transcription/transcript_backbiter.csv",
            "a,b\n1,2\n",
            "backbiter.csv:1: columns",
        ),
        (
            "transcription/transcript_backbiter.csv",
            "speaker,start,stop,utterance\nzoe,1,2,hi\n",
            "backbiter.csv:2: speaker 'zoe'",
        ),
        (
            "transcription/transcript_backbiter.csv",
            "speaker,start,stop,utterance\nann,,2,hi\n",
            "backbiter.csv:2: '' is no time",
        ),
        ("processed/aaaa-bbbb.mp3", None, "bob.mp4: no such file, and no stereo"),
        ("processed/aaaa-bbbb.mp3", "noise", "aaaa-bbbb.mp3: is no sound file"),
    ],
)
def test_faults_are_named(talk, tmp_path, refused, name, content, says):
    (talk / name).unlink() if content is None else (talk / name).write_text(content)
    assert says in refused("candor", tmp_path / "src")
