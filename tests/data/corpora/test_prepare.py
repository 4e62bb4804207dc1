"""Prepared directories: the same bytes always, whole after kill -9, and checked."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgpack
import numpy as np
import pytest
import soundfile

from interaction.data.corpora.check import check
from interaction.data.corpora.prepare import Options, prepare
from interaction.data.corpora.records import Corpus
from interaction.data.manifest import write_manifest
from interaction.data.world import dialogue
from interaction.errors import InputError

ROOT = Path(__file__).parents[3]
TALKS = 12
BAD = (4, 11)  # these lack their transcripts; 11 is the last


@pytest.fixture(scope="module")
def talks(tmp_path_factory):
    """Noise in stereo, which packs badly: about 1 MB a conversation."""
    src = tmp_path_factory.mktemp("talks")
    rng = np.random.default_rng(0)
    with (src / "data.jsonl").open("w") as lines:
        for i in range(TALKS):
            noise = 0.3 * rng.standard_normal((16_000 * 16, 2))
            soundfile.write(src / f"t{i:02}.wav", np.clip(noise, -1, 1), 16_000)
            lines.write(json.dumps({"path": f"t{i:02}.wav", "duration": 16}) + "\n")
            if i not in BAD:
                said = [["ho", [1, 2], "SPEAKER_MAIN"], ["hi", [3, 4], "B"]]
                (src / f"t{i:02}.json").write_text(json.dumps({"alignments": said}))
    return src


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def options(src: Path, **more) -> Options:
    return Options("moshi", src, shard_mb=2, **more)


@pytest.fixture(scope="module")
def whole(talks, tmp_path_factory):
    """Prepared without disturbance."""
    dst = tmp_path_factory.mktemp("whole") / "dst"
    prepare(options(talks), dst, "test")
    return dst


def test_the_index_counts_and_names(whole):
    index = json.loads((whole / "index.json").read_text())
    assert index["schema"] == "interaction.corpus/1" and index["command"] == "test"
    assert index["conversations"] == index["dialogues"] == TALKS - len(BAD)
    assert index["shards"] > 2
    assert index["hours"] == pytest.approx(10 * 16 / 3600, abs=1e-4)
    assert index["speech_s"] == {"agent": 10.0, "user": 10.0}
    assert [one["item"] for one in index["skipped"]] == ["data.jsonl:5", "data.jsonl:12"]
    assert "t04.json: cannot be read" in index["skipped"][0]["reason"]


def test_again_and_in_several_processes_the_bytes_are_the_same(talks, whole, tmp_path):
    prepare(options(talks), tmp_path / "again", "test")
    assert content(tmp_path / "again") == content(whole)
    prepare(options(talks), tmp_path / "two", "test", workers=2)
    assert content(tmp_path / "two") == content(whole)


SLOWLY = """
import sys, time
from pathlib import Path
from interaction.data.corpora import prepare
slowly = lambda *_: time.sleep(0.1)
options = prepare.Options("moshi", Path(sys.argv[1]), shard_mb=2)
prepare.prepare(options, Path(sys.argv[2]), "test", tell=slowly)
"""


def test_killed_it_goes_on_and_loses_nothing(talks, whole, tmp_path):
    """kill -9 of a real process, twice, in the middle of shards."""
    dst = tmp_path / "dst"
    for shards in (1, 2):
        process = subprocess.Popen(
            [sys.executable, "-c", SLOWLY, str(talks), str(dst)], cwd=ROOT
        )
        end = time.monotonic() + 120
        while len(list(dst.glob("part-*"))) < shards or not list(dst.glob(".tmp-*")):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not (dst / "index.json").exists()
        with pytest.raises(InputError, match="not prepared to its end"):
            Corpus.open(dst)
    before = (dst / "part-00000.array_record").stat().st_mtime_ns
    prepare(options(talks), dst, "test")
    assert (dst / "part-00000.array_record").stat().st_mtime_ns == before
    assert content(dst) == content(whole)


@pytest.mark.parametrize("cut", [1, 40])
def test_a_journal_line_cut_short_is_written_again(talks, whole, tmp_path, cut):
    """As after a power failure: the shard is there, its line is not whole."""
    dst = tmp_path / "dst"
    dst.mkdir()
    for name, data in content(whole).items():
        if name != "index.json":
            (dst / name).write_bytes(data[: -cut if name == "shards.jsonl" else None])
    prepare(options(talks), dst, "test")
    assert content(dst) == content(whole)


def test_what_does_not_go_together_is_refused(talks, whole, tmp_path):
    with pytest.raises(InputError, match="begun with another agent .*choose another --dst"):
        prepare(options(talks, agents="both"), whole, "test")
    dst = tmp_path / "dst"
    dst.mkdir()
    lines = (whole / "shards.jsonl").read_text().splitlines(keepends=True)
    (dst / "shards.jsonl").write_text(lines[0])
    prepare(options(talks), dst, "test")  # begun, nothing written yet
    (dst / "shards.jsonl").write_text("".join(lines[:2]).replace("data.jsonl:", "x:"))
    with pytest.raises(InputError, match="has changed since --dst was begun"):
        prepare(options(talks), dst, "test")
    (dst / "part-00000.array_record").unlink()
    with pytest.raises(InputError, match="part-00000.array_record: is missing"):
        prepare(options(talks), dst, "test")


def test_strict_stops_at_the_first_and_leaves_no_part_of_a_shard(talks, tmp_path):
    with pytest.raises(InputError, match="t04.json: cannot be read"):
        prepare(options(talks), tmp_path / "dst", "test", strict=True)
    assert not list((tmp_path / "dst").glob(".tmp-*"))


def test_damage_is_found(whole, tmp_path):
    assert check(whole)["conversations"] == 10
    for name, data in content(whole).items():
        (tmp_path / name).write_bytes(data)
    path = tmp_path / "part-00001.array_record"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="part-00001.array_record: its checksum is wrong"):
        check(tmp_path)
    path.write_bytes(data[:-1])
    with pytest.raises(InputError, match="part-00001.array_record: is missing or was"):
        Corpus.open(tmp_path)


def test_a_record_opens_without_this_code(talks, whole):
    from array_record.python.array_record_module import ArrayRecordReader

    reader = ArrayRecordReader(str(whole / "part-00000.array_record"))
    record = msgpack.unpackb(reader.read([0])[0])
    wave, rate = soundfile.read(io.BytesIO(record["flac"]))
    source, _ = soundfile.read(talks / "t00.wav")
    assert rate == 16_000 and np.array_equal(wave, source)  # 16 bits: lossless
    assert record["said"][0]["words"] == [["ho", 1.0, 2.0]]


def test_manifests_come_back_whole(tmp_path, prepared):
    """The synthetic world, written as a manifest: lanes, cuts, control and pictures."""
    silent = dialogue(0, 7, mix={"silence": 1.0})  # nobody speaks
    written = [*(dialogue(0, index) for index in range(7)), silent]
    write_manifest(written, tmp_path / "src")
    corpus = prepared("manifest", tmp_path / "src")
    assert len(corpus) == 8
    assert any(d.frames for d in written)
    assert any(u.cut for d in written for u in d.utterances)
    for i, before in enumerate(written):
        after = corpus[i]
        kinds = [[kind for _, kind in d.control] for d in (before, after)]
        assert kinds[0] == kinds[1]
        times = [[t for t, _ in d.control] for d in (before, after)]
        assert times[0] == pytest.approx(times[1])
        assert np.abs(after.agent - before.agent).max() < 1e-4
        told = [
            [(u.lane, u.text, u.cut and round(u.cut, 3)) for u in d.utterances]
            for d in (before, after)
        ]
        assert sorted(told[0], key=str) == sorted(told[1], key=str)
        for (t, pair), (t_after, pair_after) in zip(
            before.frames, after.frames, strict=True
        ):
            assert t == pytest.approx(t_after)
            assert np.array_equal(pair, pair_after)


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "interaction.data", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_commands(talks, whole, tmp_path):
    dst = str(tmp_path / "dst")
    made = run("prepare", "--format=moshi", f"--src={talks}", f"--dst={dst}", "--limit=5")
    assert made.returncode == 0, made.stderr
    assert "4 conversations of moshi" in made.stdout
    assert "data.jsonl:5: " in made.stdout and "1 skipped" in made.stdout
    checked = run("check", f"--src={dst}")
    assert checked.returncode == 0 and "4 conversations of moshi" in checked.stdout
    bad = run("check", f"--src={talks}")
    assert bad.returncode == 2 and bad.stderr.startswith(f"error: {talks}: no corpus")
    assert bad.stderr.count("\n") == 1
