"""Data with fields that nobody here knows: run and scored, the fields named and counted."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval import __main__, task
from eval.layouts.full_duplex_bench_v2 import SPLITS
from eval.sample import Fault, Sample
from eval.task import Asked
from tests.eval.fdb_tree import V1_5, tree, wave, write
from tests.eval.films import clip, film
from tests.eval.talks import lines, sound

V1 = {
    "fdb_pause_candor": ("v1_0/candor_pause_handling", "pause.json"),
    "fdb_pause_synthetic": ("v1_0/synthetic_pause_handling", "pause.json"),
    "fdb_turn_taking": ("v1_0/candor_turn_taking", "turn_taking.json"),
    "fdb_interruption": ("v1_0/synthetic_user_interruption", "interrupt.json"),
    **{
        name: (f"v1_5/{folder}", "metadata.json")
        for name, folder in zip(
            ("fdb_v1_5_interruption", "fdb_v1_5_backchannel", "fdb_v1_5_talking_to_other",
             "fdb_v1_5_background"),
            V1_5, strict=True,
        )
    },
}  # fmt: skip
WITHOUT = {"fdb_backchannel", "charades_sta"}  # their samples have no fields
MORE = {"mood": "good"}


def full_duplex_bench(name: str, data: Path) -> list[str]:
    folder, file = V1[name]
    tree(data, n=1)
    place = data / folder / "1" / file
    told = json.loads(place.read_text())
    told = [told[0] | MORE] if isinstance(told, list) else told | MORE
    place.write_text(json.dumps(told))
    return [f"{file}: mood"]


def fdb_v2(name: str, data: Path) -> list[str]:
    chunk = {"text": "red", "timestamp": [0.5, 1.0]} | MORE
    said = {"text": "red", "chunks": [chunk, chunk], "speaker": 1}
    write(data / "Daily" / "Daily.a.1", {"A.json": said},
          {"A.wav": wave(48000, [(0.5, "red")])}, 48000)  # fmt: skip
    splits: dict = {split: {"tasks": []} for split in SPLITS}
    splits["Daily"]["tasks"].append({"id": "Daily.a.1", "staged_reveal": {"T1": "a"}})
    (data / "prompts_staged_200.json").write_text(json.dumps({"splits": splits}))
    return ["A.json: speaker", "A.json: mood"]


def fdb_v3(name: str, data: Path) -> list[str]:
    call = {"function": "track", "args": {}} | MORE
    one = {"id": "a", "dialogue": [], "expected_tool_calls": [call]} | MORE
    (data / "benchmark_data_v2.json").write_text(json.dumps({"scenarios": [one]}))
    place = data / "fdb_v3_data_released" / f"a_{'0' * 24}"
    write(place, {}, {"input.wav": wave(48000, [(0.2, "red")])}, 48000)
    return ["scenario: mood", "expected_tool_calls: mood"]


def fd_bench(name: str, data: Path) -> list[str]:
    sound(data / "conversation_1.wav")
    told = {"round-1": {"user": "a", "interruption": ""} | MORE, "topic": "b"}
    (data / "t.jsonl").write_text(repr(told) + "\n")
    spans = "[{'start': 0, 'end': 8000, 'mood': 1}]"
    (data / "u.txt").write_text(f"conversation_1.wav || 1 || 1 || {spans} || []\n")
    return ["topic", "round: mood", "user: mood"]


def rows(**row: Any) -> Callable[[str, Path], list[str]]:
    """A table of one row, with sound under `audio` or the row's own columns."""

    def make(name: str, data: Path) -> list[str]:
        folder = getattr(task.load(name), "folder", "")
        (data / folder).mkdir(exist_ok=True)
        lines(data / folder / "rows.jsonl", [row | MORE])
        return [*(["audio"] if name in ("audio_multichallenge", "qivd") else []), "mood"]

    return make


def qivd(name: str, data: Path) -> list[str]:
    clip(data / "a.mp4")
    return rows(id="1", video="a.mp4", question="a", answer="b")(name, data)


def harmbench(name: str, data: Path) -> list[str]:
    known = {"Behavior": "a", "FunctionalCategory": "standard", "SemanticCategory": "",
             "Tags": "", "ContextString": "", "BehaviorID": "1"}  # fmt: skip
    table(data / "harmbench_behaviors_text_all.csv", known)
    return ["mood"]


def table(file: Path, row: dict) -> None:
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, [*row, *MORE])
        writer.writeheader()
        writer.writerow(row | MORE)


def proactive_video_qa(name: str, data: Path) -> list[str]:
    film(data / "WEB" / "videos" / "a.mp4", seconds=3)
    ask = {"role": "user", "content": "a", "time": 0.0} | MORE
    answer = {"content": "b", "related_timespan": [1, 2], "reply_timespan": [1, 2]} | MORE
    one = {"video": "a.mp4", "question_id": "1", "conversation": [ask], "answer": [answer]}
    for part in ("WEB", "EGO", "TV", "VAD"):
        (data / part).mkdir(exist_ok=True)
        listed = [one | MORE] if part == "WEB" else []
        (data / part / "anno.json").write_text(json.dumps(listed))
    return ["anno.json: mood", "conversation: mood", "answer: mood"]


def repcount_a(name: str, data: Path) -> list[str]:
    film(data / "video" / "test" / "a.mp4")
    (data / "annotation").mkdir()
    row = {"": 0, "name": "a.mp4", "type": "squat", "count": 1, "L1": 1, "L2": 5}
    table(data / "annotation" / "test.csv", row)
    return ["mood"]


def charades(name: str, data: Path) -> list[str]:
    film(data / "Charades_v1_480" / "AAAAA.mp4")
    (data / "Charades_v1_classes.txt").write_text("c092 Opening a refrigerator\n")
    row = {"id": "AAAAA", "subject": "", "actions": "c092 0.40 2.20", "length": 4}
    table(data / "Charades_v1_test.csv", row)
    return ["mood"]


VOICEBENCH = rows(prompt="a", reference="A", id="1", key=1, kwargs=[],
                  instruction_id_list=[])  # fmt: skip
TREES: dict[str, Callable[[str, Path], list[str]]] = {
    **dict.fromkeys(V1, full_duplex_bench),
    "fdb_v2": fdb_v2, "fdb_v3": fdb_v3, "fd_bench": fd_bench,
    **{n: VOICEBENCH for n in task.names() if n.startswith("voicebench_")},
    "big_bench_audio": rows(category="navigate", official_answer="yes", id=1),
    "audio_multichallenge": rows(axis="a", rubric='["b"]', user_turn_1_audio="a.wav",
                                 user_turn_1_transcript="c"),
    "qivd": qivd, "harmbench": harmbench, "proactive_video_qa": proactive_video_qa,
    "repcount_a": repcount_a, "charades": charades,
}  # fmt: skip


def test_every_public_task_is_tried():
    public = {name for name in task.names() if not task.load(name).synthetic}
    assert public == set(TREES) | WITHOUT


@pytest.mark.parametrize("name", TREES)
def test_an_unknown_field_is_named_and_its_sample_is_run(name, tmp_path):
    names = TREES[name](name, tmp_path)
    found = list(task.load(name).samples(Asked(tmp_path)))
    assert found and not [one for one in found if isinstance(one, Fault)]
    for one in found:
        assert isinstance(one, Sample) and list(one.unknown) == names
    if name == "fdb_v1_5_interruption":
        assert len(found) == 2  # with its event, and without


def command(*arguments: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["eval", *arguments])
        assert __main__.main() == 0


def test_unknown_fields_are_counted_in_results_on_the_terminal_and_on_the_page(
    tmp_path, capsys
):
    data, place = tmp_path / "data", tmp_path / "run"
    tree(data, n=2)
    full_duplex_bench_more(data / "v1_0" / "candor_turn_taking")
    command("run", "--tasks=fdb_turn_taking", "--agent=silent", f"--data={data}",
            "--vad=energy", f"--output_path={place}")  # fmt: skip
    shown = capsys.readouterr().out
    assert "unknown field, in 2 samples: turn_taking.json: mood" in shown
    figures = json.loads((place / "results.json").read_text())["results"]["fdb_turn_taking"]
    for figure in figures.values():
        assert figure["unknown_fields"] == {"turn_taking.json: mood": 2}
        assert (figure["n_failed"], figure["n_skipped"]) == (0, 0)
    command("view", str(place), f"--output={tmp_path / 'report.html'}")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "turn_taking.json: mood in 2 samples" in page
    shutil.rmtree(place)
    command("run", "--tasks=fdb_pause_candor", "--agent=silent", f"--data={data}",
            "--vad=energy", f"--output_path={place}")  # fmt: skip
    figures = json.loads((place / "results.json").read_text())["results"]
    assert "unknown_fields" not in figures["fdb_pause_candor"]["spoke"]


def full_duplex_bench_more(folder: Path) -> None:
    for file in folder.glob("*/turn_taking.json"):
        file.write_text(json.dumps([one | MORE for one in json.loads(file.read_text())]))
