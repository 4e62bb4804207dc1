"""Lhotse cuts in manifests and shar directories, as Lhotse 1.33 writes them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile

import pytest
import soundfile


def recording(name: str, rate: int, seconds: float = 4.0, **change) -> dict:
    source = {"type": "file", "channels": [0], "source": name}
    whole = {
        "id": name, "sources": [source], "sampling_rate": rate, "duration": seconds,
        "num_samples": round(seconds * rate), "channel_ids": [0],
    }  # fmt: skip
    return whole | change


def supervision(start: float, duration: float, text: str, speaker: str, **more) -> dict:
    return {
        "id": text, "recording_id": "u", "start": start, "duration": duration,
        "channel": 0, "text": text, "speaker": speaker,
    } | more  # fmt: skip


WORDS = {"word": [["hello", 0.5, 0.3, None], ["there", 0.9, 0.4, None]]}
CUT = {
    "id": "c1", "start": 0.5, "duration": 3.5, "channel": 0, "type": "MonoCut",
    "supervisions": [
        supervision(0.5, 0.8, "hello there", "user", alignment=WORDS),
        supervision(2.0, 1.0, "hi", "Assistant"),
    ],
    "recording": recording("u.wav", 16_000),
    "custom": {"target_audio": recording("a.wav", 22_050)},
}  # fmt: skip


@pytest.fixture
def cuts(tmp_path, write):
    """Writes the manifest with these changes; returns it."""
    src = tmp_path / "src"
    write(src / "u.wav", 4.0, [[(1.0, 1.8)]], 16_000)
    write(src / "a.wav", 4.0, [[(2.5, 3.5)]], 22_050)

    def make(**change):
        with gzip.open(src / "cuts.jsonl.gz", "wt") as file:
            file.write(json.dumps(CUT | change) + "\n")
        return src / "cuts.jsonl.gz"

    return make


def test_target_audio_is_the_agent_and_cuts_have_a_start(cuts, prepared, sounding):
    corpus = prepared("lhotse", cuts().parent)
    (talk,) = [corpus[i] for i in range(len(corpus))]
    assert talk.id == "c1/agent@0"
    assert sounding(talk.user) == (0.5, 1.3) and sounding(talk.agent) == (2.0, 3.0)
    user, agent = talk.utterances
    assert [(w.text, w.t0) for w in user.words] == [("hello", 0.5), ("there", 0.9)]
    assert (agent.lane, agent.text, agent.t0) == ("agent", "hi", 2.0)
    said = corpus.record(0).fields["said"]
    assert [one["times"] for one in said] == ["given", "interpolated"]


@pytest.mark.parametrize("speaker, agents", [("agent", [1]), ("bob", [0, 1])])
def test_two_channels_in_one_recording(cuts, prepared, write, speaker, agents, sounding):
    two = {"type": "file", "channels": [0, 1], "source": "s.wav"}
    path = cuts(
        type="MultiCut", channel=[0, 1], custom=None, start=0,
        recording=recording("s.wav", 16_000, sources=[two]),
        supervisions=[
            supervision(1.0, 0.5, "hello", "ann"),
            supervision(2.0, 0.5, "hi", speaker, channel=[1]),
        ],
    )  # fmt: skip
    write(path.parent / "s.wav", 4.0, [[(1.0, 1.5)], [(2.0, 2.5)]])
    corpus = prepared("lhotse", path)
    assert corpus.record(0).fields["agents"] == agents
    assert sounding(corpus[len(corpus) - 1].agent) == (2.0, 2.5)


def test_a_shar_directory(cuts, tmp_path, prepared, sounding):
    src, shar = cuts().parent, tmp_path / "shar"
    shar.mkdir()
    cut = json.loads(json.dumps(CUT))
    for field, holder in (("recording", cut), ("target_audio", cut["custom"])):
        wave, rate = soundfile.read(src / holder[field]["sources"][0]["source"])
        holder[field]["sources"] = [{"type": "shar", "channels": [0], "source": ""}]
        wave = wave[round(0.5 * rate) :]  # a shard holds the cut's part
        sound = io.BytesIO()
        soundfile.write(sound, wave, rate, format="FLAC")
        with tarfile.open(shar / f"{field}.000000.tar", "w") as archive:
            for name, data in (("c1.flac", sound.getvalue()), ("c1.json", b"{}")):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    with gzip.open(shar / "cuts.000000.jsonl.gz", "wt") as file:
        file.write(json.dumps(cut | {"start": 0}) + "\n")
    talk = prepared("lhotse", shar)[0]
    assert sounding(talk.user) == (0.5, 1.3) and sounding(talk.agent) == (2.0, 3.0)


@pytest.mark.parametrize(
    "change, says",
    [
        ({"type": "MixedCut"}, "cuts.jsonl.gz:1: is a MixedCut"),
        ({"custom": None}, "cuts.jsonl.gz:1: has neither target_audio nor two channels"),
        ({"supervisions": [supervision(0, 1, "x", "bob")]}, "speaker 'bob' is neither"),
        ({"supervisions": [{"start": "x", "speaker": "user"}]}, "start is 'x'"),
        ({"recording": recording("no.wav", 16_000)}, "names no.wav, which is not there"),
        (
            {"recording": recording("u.wav", 16_000, transforms=[{"name": "Speed"}])},
            "recording has transforms",
        ),
        (
            {
                "recording": recording(
                    "u", 16_000, sources=[{"type": "url", "channels": [0]}]
                )
            },
            "recording's source is 'url'",
        ),
        ({"channel": 1}, "recording has no channel 1"),
        ({"duration": -1}, "-1 is no time"),
    ],
)
def test_faults_are_named(cuts, refused, change, says):
    assert says in refused("lhotse", cuts(**change))


def test_a_manifest_cut_short(cuts, tmp_path):
    from interaction.data.corpora.prepare import Options, prepare
    from interaction.errors import InputError

    path = cuts()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="cuts.jsonl.gz:.* cannot be read"):
        prepare(Options("lhotse", path), tmp_path / "dst", "test")
