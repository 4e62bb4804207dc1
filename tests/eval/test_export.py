"""A run in the official layout, and official code over it.

The checkout here is a stand-in: the real one may not be copied. It has the real one's file
names, functions, arguments and lists, and counts by itself.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from eval import record, task
from eval.commands import crosscheck, export
from eval.crosschecks import full_duplex_bench
from eval.ears import Unheard, ears
from eval.formats import fdb
from eval.judge import judge
from eval.sample import Fault
from eval.words import text_stream
from interaction.errors import InputError
from tests.eval.fdb_tree import SECONDS, chat, checkout, tree

NAMES = ("fdb_pause_candor", "fdb_turn_taking", "fdb_backchannel", "fdb_interruption",
         "fdb_v1_5_interruption")  # fmt: skip

TURN = """
import json, os
def turn(folder):
    chunks = json.load(open(folder + "/output.json"))["chunks"]
    first = chunks[0]["timestamp"][0] if chunks else None
    long = chunks and chunks[-1]["timestamp"][1] - first >= 1
    return (1 if long or len(chunks) > 3 else 0), first
"""
STAND_IN = {
    "eval_pause_handling.py": TURN
    + """
def eval_pause_handling(root):
    take_turn_list = [turn(os.path.join(root, x))[0] for x in os.listdir(root)]
    average_take_turn = sum(take_turn_list) / len(take_turn_list)
""",
    "eval_smooth_turn_taking.py": TURN
    + """
def eval_smooth_turn_taking(root):
    take_turn_list, latency_list = [], []
    for name in os.listdir(root):
        taken, first = turn(os.path.join(root, name))
        take_turn_list.append(taken)
        end = json.load(open(os.path.join(root, name, "turn_taking.json")))
        if taken:
            latency_list.append(max(0, first - end[0]["timestamp"][0]) + OFF)
    average_latency = sum(latency_list) / len(latency_list)
OFF = 0
""",
    "eval_user_interruption.py": TURN
    + """
def eval_user_interruption(root, client):
    take_turn_list, latency_list = [], []
    for name in sorted(os.listdir(root)):
        taken, first = turn(os.path.join(root, name))
        take_turn_list.append(taken)
        if taken:
            said = client.chat.completions.create(model="m", messages=[], seed=0)
            assert "as 0" in said.choices[0].message.content
            end = json.load(open(os.path.join(root, name, "interrupt.json")))
            latency_list.append(max(0, first - end[0]["timestamp"][1]))
    sum(latency_list) / len(latency_list)
""",
    "eval_backchannel.py": """
import json, math, os
from silero_vad import load_silero_vad, get_speech_timestamps
import torchaudio
def jsd(p, q):
    p, q = [x / sum(p) for x in p], [x / sum(q) for x in q]
    m = [(x + y) / 2 for x, y in zip(p, q)]
    kl = lambda a: sum(x * math.log(x / y) for x, y in zip(a, m))
    return math.sqrt((kl(p) + kl(q)) / 2)
def stretched(q, n):
    at = [i * (len(q) - 1) / (n - 1) for i in range(n)]
    low = [min(int(x), len(q) - 2) for x in at]
    return [q[i] + (x - i) * (q[i + 1] - q[i]) for x, i in zip(at, low)]
def eval_backchannel(root):
    people = json.load(open("icc_gt_distribution.json"))
    TOR_list, freq_list, jsd_list = [], [], []
    for name in os.listdir(root):
        wav, rate = torchaudio.load(os.path.join(root, name, "output.wav"))
        seconds = wav.shape[-1] / rate
        found = get_speech_timestamps(wav, load_silero_vad(), return_seconds=True)
        chunks = json.load(open(os.path.join(root, name, "output.json")))["chunks"]
        last, said = 0, []
        for a, b in [(x["start"], x["end"]) for x in found]:
            if b - a > 3:
                last = 1
                break
            n = 0
            for s, e in [c["timestamp"] for c in chunks]:
                n += (a <= s and e <= b) or (s <= b and e > b) or (s <= a and e > a)
            last = int(n > 2 or not b - a < 1)
            said.append((a, b))
        bins = [1e-10] * (int(seconds / 0.2) + 1)
        for a, b in said:
            for i in range(int(a / 0.2), int(b / 0.2) + 1):
                if i < len(bins):
                    bins[i] += 1
        TOR_list.append(last)
        freq_list.append(len(said) / seconds)
        jsd_list.append(jsd(bins, stretched(people[name], len(bins))) if said else 1)
""",
    "eval_behavior.py": """
from openai import OpenAI
def stats_by_axis(records):
    tags = [tag for one in records for tag in one["behaviour"]]
    return None, None, {"C": {tag: tags.count(tag) / len(tags) for tag in tags}}
""",
    "get_timing.py": """
import json, os, sys
import torch, torchaudio
from silero_vad import get_speech_timestamps
model, _ = torch.hub.load("a", model="b", trust_repo=True)
def speech(path, gap):
    wav, _ = torchaudio.load(path)
    spans = get_speech_timestamps(wav.squeeze(0), model, sampling_rate=16000)
    whole = []
    for a, b in [(x["start"] / 16000, x["end"] / 16000) for x in spans]:
        if whole and a - whole[-1][1] <= gap:
            whole[-1][1] = b
        else:
            whole.append([a, b])
    return whole
def main():
    root = sys.argv[sys.argv.index("--root_dir") + 1]
    for name in os.listdir(root):
        user = speech(os.path.join(root, name, "input.wav"), 0.6)
        model = speech(os.path.join(root, name, "output.wav"), 0.5)
        both = [[max(a, c), min(b, d)] for a, b in user for c, d in model]
        gaps = {}
        for _, end in user:
            later = [a for a, _ in model if a > end]
            if later:
                gaps[later[0]] = end
        told = {
            "latency_stop_list": [[round(x, 3) for x in y] for y in both if y[1] > y[0]],
            "latency_resp_list": [[round(e, 3), round(a, 3)] for a, e in gaps.items()],
        }
        json.dump(told, open(os.path.join(root, name, "latency_intervals.json"), "w"))
""",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Path]:
    """A run, and the checkout."""
    place = tmp_path_factory.mktemp("made")
    data, repo = tree(place / "data", n=6), checkout(place / "repo", n=6)
    for name, code in STAND_IN.items():
        with (repo / "v1_v1.5" / "evaluation" / name).open("a") as file:
            file.write(code)  # behind prompts, where there are some
    return chat(place / "run", data, repo, NAMES), repo


def asked(command, *arguments: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add(parser)
    return parser.parse_args([*map(str, arguments), "--vad=energy"])


def test_the_layout(made, tmp_path, capsys):
    run, _ = made
    out = tmp_path / "out"
    assert export.main(asked(export, run, "--format=fdb", f"--output={out}")) == 0
    assert "fdb_turn_taking: v1_0/candor_turn_taking, 0 failed" in capsys.readouterr().out
    names = {p.name for p in (out / "v1_0" / "candor_turn_taking" / "2").iterdir()}
    assert names == {"input.wav", "output.wav", "output.json", "turn_taking.json"}
    both = {p.name for p in (out / "v1_5" / "user_interruption" / "2").iterdir()}
    four = [f"{c}{s}.{e}" for c in ("", "clean_") for s in ("input", "output")
            for e in ("wav", "json")]  # fmt: skip
    assert both == {*four, "metadata.json"}
    truth = run.parent / "data" / "v1_5" / "user_interruption" / "2" / "metadata.json"
    told = out / "v1_5" / "user_interruption" / "2" / "metadata.json"
    assert json.loads(told.read_text()) == json.loads(truth.read_text())


def test_the_very_samples_as_long_as_the_benchmarks_wav(made, tmp_path):
    run, _ = made
    export.main(asked(export, run, "--format=fdb", f"--output={tmp_path / 'out'}"))
    for i in range(6):
        file = tmp_path / "out" / "v1_0" / "icc_backchannel" / f"{i}" / "output.wav"
        wave, rate = soundfile.read(file, dtype="float32")
        ours = record.load(run / "fdb_backchannel" / f"{i}").output
        assert rate == 16000 and len(wave) == round(SECONDS * 16000) < len(ours)
        assert np.array_equal(wave, ours[: len(wave)])
    kinds = {soundfile.info(p).subtype for p in (tmp_path / "out").rglob("*.wav")}
    assert kinds == {"PCM_16"}


def test_every_sample_that_a_wav_can_hold():
    every = np.arange(-32768, 32768)
    assert np.array_equal(fdb.pcm((every / 32768).astype(np.float32)), every)


def test_words_behind_an_interruption_are_on_the_samples_clock(made, tmp_path):
    run, _ = made
    export.main(asked(export, run, "--format=fdb", f"--output={tmp_path / 'out'}"))
    heard = 0
    for folder in (tmp_path / "out" / "v1_0" / "synthetic_user_interruption").iterdir():
        chunks = json.loads((folder / "output.json").read_text())["chunks"]
        end = json.loads((folder / "interrupt.json").read_text())[0]["timestamp"][1]
        assert all(end <= a <= b <= SECONDS + 0.2 for a, b in
                   (c["timestamp"] for c in chunks))  # fmt: skip
        heard += len(chunks)
    assert heard > 3


def test_what_failed_is_named(made, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(made[0], run)
    (run / "fdb_turn_taking" / "3" / "output.wav").unlink()
    export.main(asked(export, run, "--format=fdb", f"--output={tmp_path / 'out'}"))
    told = capsys.readouterr().out
    assert "candor_turn_taking, 1 failed" in told and "  3: " in told
    assert not (tmp_path / "out" / "v1_0" / "candor_turn_taking" / "3").exists()


def test_what_cannot_be_heard_is_left_out_on_both_sides(made, tmp_path):
    """As where a recogniser fails on one sample."""
    run, repo = made
    hearing = ears("text_stream", "energy")

    def words(found, segments):
        if found.id == "2":
            raise Unheard("2: no words were recognised")
        return text_stream.words(found, segments)

    deaf = replace(hearing, _words=words)
    place = full_duplex_bench.layout.TURN_TAKING
    assert fdb.write(run, "fdb_turn_taking", place, deaf, tmp_path / "out") == [
        Fault("2", "2: no words were recognised")
    ]
    checked = full_duplex_bench.check(
        run, "fdb_turn_taking", task.load("fdb_turn_taking"), deaf, judge(), repo,
        sys.executable,
    )  # fmt: skip
    assert {x.id for x in checked.lines} == {"1", "3", "4", "5", "6", "all"}
    assert all(x.agrees for x in checked.lines)


def test_nothing_is_overwritten(made, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        export.main(asked(export, made[0], "--format=fdb", f"--output={tmp_path}"))


def against(run: Path, repo: Path, report: Path, *more: str) -> tuple[int, dict]:
    code = crosscheck.main(asked(crosscheck, run, f"--official-repo={repo}",
                                 f"--report={report}", *more))  # fmt: skip
    return code, json.loads(report.read_text())["tasks"]


def test_every_number_agrees(made, tmp_path, capsys):
    code, told = against(*made, tmp_path / "r.json")
    assert code == 0, capsys.readouterr().out
    assert set(told) == set(NAMES)
    numbers = {name: one["numbers"] for name, one in told.items()}
    assert len(numbers["fdb_pause_candor"]) == 7  # six samples, and over all
    assert len(numbers["fdb_backchannel"]) == 3 * 7
    assert len(numbers["fdb_turn_taking"]) == len(numbers["fdb_interruption"]) == 14
    turns = [x["ours"] for x in numbers["fdb_pause_candor"]]
    assert {0, 1} <= set(turns)  # the chatter does some of both
    assert any(x["metric"].startswith("stop 0") for x in numbers["fdb_v1_5_interruption"])
    assert any(
        0 < x["ours"] < 1 for x in numbers["fdb_backchannel"] if x["metric"] == "jsd"
    )
    assert told["fdb_backchannel"]["vad"] == "ours"
    assert any("divides by zero" in note for note in told["fdb_turn_taking"]["notes"])


class Alternating:
    """A judge that sees one thing in every third sample, and another in the rest."""

    name, failures = "alternating", 0

    def __init__(self, official: Path) -> None:
        self.official, self.n = official, 0

    def ask(self, prompt, system="", temperature=0.0, n=1, seed=None):
        self.n += 1
        return [json.dumps({"behaviour": ["C_RESUME" if self.n % 3 else "C_RESPOND"]})]

    def misread(self):
        raise AssertionError


def test_behaviours_agree(made):
    run, repo = made
    name = "fdb_v1_5_interruption"
    checked = full_duplex_bench.check(
        run, name, task.load(name), ears("text_stream", "energy"), Alternating(repo), repo,
        sys.executable,
    )  # fmt: skip
    found = {x.metric: (x.ours, x.theirs) for x in checked.lines if x.id == "all"}
    assert found == {"resume": (4 / 6, 4 / 6), "respond": (2 / 6, 2 / 6)}


def test_a_number_that_differs_is_named(made, tmp_path, capsys):
    run, repo = made[0], tmp_path / "repo"
    shutil.copytree(made[1], repo)
    script = repo / "v1_v1.5" / "evaluation" / "eval_smooth_turn_taking.py"
    script.write_text(script.read_text().replace("OFF = 0", "OFF = 2e-6"))
    code, told = against(run, repo, tmp_path / "r.json", "--tasks=fdb_turn_taking")
    assert code == 1
    wrong = [x for x in told["fdb_turn_taking"]["numbers"] if not x["agrees"]]
    assert {x["metric"] for x in wrong} == {"latency"}
    assert {"all"} < {x["id"] for x in wrong}  # samples, too
    assert "fdb_turn_taking all latency: ours" in capsys.readouterr().out


def test_where_nobody_takes_a_turn(made, tmp_path):
    """Theirs divides by zero."""
    run = tmp_path / "run"
    shutil.copytree(made[0], run)
    for said in run.glob("fdb_turn_taking/*/said.json"):
        said.write_text(json.dumps(json.loads(said.read_text()) | {"text": []}))
    code, told = against(run, made[1], tmp_path / "r.json", "--tasks=fdb_turn_taking")
    assert code == 0
    mean = [x for x in told["fdb_turn_taking"]["numbers"] if x["id"] == "all"]
    assert [x["ours"] for x in mean] == [0, None]


@pytest.mark.parametrize("what, why", [
    ("no checkout", "--official-repo"), ("no script", "eval_pause_handling.py"),
    ("no such python", "--python"), ("their error", "KeyError"),
])  # fmt: skip
def test_what_cannot_be_compared_is_one_line(what, why, made, tmp_path):
    repo = tmp_path / "repo"
    shutil.copytree(made[1], repo)
    script = repo / "v1_v1.5" / "evaluation" / "eval_pause_handling.py"
    python = sys.executable
    if what == "no checkout":
        shutil.rmtree(repo / "v1_v1.5")
    elif what == "no script":
        script.unlink()
    elif what == "no such python":
        python = "/bin/false"
    else:
        script.write_text("def eval_pause_handling(root):\n    {}['a']\n")
    with pytest.raises(InputError, match=why):
        against(made[0], repo, tmp_path / "r.json", "--tasks=fdb_pause_candor",
                f"--python={python}")  # fmt: skip
