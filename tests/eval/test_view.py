"""The page of runs side by side: what it says, that it stands alone and can be used."""

from __future__ import annotations

import base64
import dataclasses
import importlib.util
import io
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from eval import __main__, results
from eval.tasks import turn_synth
from eval.view import page, samples, tables
from interaction.errors import InputError

LIMIT = 3


def command(*arguments: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["eval", *arguments])
        assert __main__.main() == 0


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[Path, Path]:
    """A silent run and an oracle's, of three questions."""
    folder = tmp_path_factory.mktemp("runs")
    places = folder / "silent", folder / "oracle"
    for place in places:
        command("run", "--tasks=turn_synth", f"--agent={place.name}", "--vad=energy",
                f"--limit={LIMIT}", f"--output_path={place}")  # fmt: skip
    return places


@pytest.fixture(scope="module")
def html(runs) -> Path:
    file = runs[0].parent / "report.html"
    command("view", *map(str, runs), f"--output={file}")
    return file


def data(file: Path) -> dict:
    text = re.search(r'id="data">(.*?)</script>', file.read_text("utf-8"), re.S)
    return json.loads(text[1])


def test_page_says_what_was_measured(html):
    text = html.read_text("utf-8")
    for said in ("silent", "oracle", "not official", "words from", "energy", "lockstep",
                 "SHA-256 of the samples", "more is better"):  # fmt: skip
        assert said in text, said
    assert f"n {LIMIT}" in text
    silent, oracle = (results.read(html.parent / name) for name in ("silent", "oracle"))
    line = tables.sheet("turn_synth", [silent, oracle], ["silent", "oracle"]).lines[0]
    assert [cell.value for cell in line.cells] == ["0", "1"]
    assert [cell.interval for cell in line.cells] == ["0 to 0", "1 to 1"]


def test_page_needs_no_network(html):
    text = html.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|//cdn|@import|url\(", text)
    assert "default-src 'none'" in text
    assert not re.search(r'(src|href)="(?!#)', text)


def test_samples_hold_both_voices_words_and_rows(html):
    found = data(html)
    assert found["runs"] == ["silent", "oracle"]
    of = found["tasks"]["turn_synth"]
    assert [name for name, _, _ in of["columns"]][:2] == ["answered", "latency"]
    assert dict((name, way) for name, way, _ in of["columns"])["latency"] == -1
    sample = of["samples"][0]
    silent, oracle = sample["runs"]
    assert silent["out"] == "" and len(set(sample["in"])) > 9
    record = results.read(html.parent / "oracle").record("turn_synth", sample["id"])
    column = round(samples.COLUMN_S * 16_000)
    first_loud = next(i for i, letter in enumerate(oracle["out"]) if letter != "0")
    assert first_loud == int(np.flatnonzero(np.abs(record.output) > 1e-3)[0] // column)
    assert "".join(t for _, t in oracle["text"]).split() == record.truth["answer"].split()
    assert (html.parent / oracle["at"] / "output.wav").is_file()


def test_sound_in_the_page_is_the_user_and_the_system(runs, tmp_path):
    command("view", str(runs[1]), "--audio=1", f"--output={tmp_path / 'a.html'}")
    every = data(tmp_path / "a.html")["tasks"]["turn_synth"]["samples"]
    kept = [s for s in every if "ogg" in s["runs"][0]]
    assert len(kept) == 1 and all("at" in s["runs"][0] for s in every if s not in kept)
    wave, rate = soundfile.read(io.BytesIO(base64.b64decode(kept[0]["runs"][0]["ogg"])))
    record = results.read(runs[1]).record("turn_synth", kept[0]["id"])
    assert rate == 16_000 and wave.shape == (len(record.input), 2)
    for side, said in enumerate((record.input, record.output)):
        assert np.corrcoef(wave[:, side], said)[0, 1] > 0.95


def failed_run(run: Path, to: Path) -> Path:
    """The run with one sample broken, another missing."""
    shutil.copytree(run, to)
    first, second, _ = sorted(p for p in (to / "turn_synth").iterdir())
    shutil.rmtree(first)
    first.mkdir()
    why = "ValueError: </script><img src=x onerror=alert(1)>"
    (first / "failed.json").write_text(json.dumps({"why": why}))
    shutil.rmtree(second)
    command("score", str(to), "--vad=energy")
    return to


def test_failures_are_counted_named_and_harmless(runs, tmp_path):
    run = failed_run(runs[1], tmp_path / "broken")
    command("view", str(run), f"--output={tmp_path / 'b.html'}")
    text = (tmp_path / "b.html").read_text("utf-8")
    assert "1 failed" in text and "1 skipped" in text
    assert "<img" not in text and "onerror=alert(1)&gt;" in text
    every = data(tmp_path / "b.html")["tasks"]["turn_synth"]["samples"]
    assert [("failed" in s["runs"][0]) for s in every] == [True, False]


def test_runs_that_heard_different_samples_are_told_apart(runs, tmp_path):
    other = tmp_path / "other"
    command("run", "--tasks=turn_synth", "--agent=silent", "--vad=energy", "--seed=1",
            "--limit=2", f"--output_path={other}")  # fmt: skip
    text = page.render([results.read(runs[0]), results.read(other)], tmp_path)
    assert "did not hear the same in 2 samples" in text
    assert text.count('"unlike":1') == 2
    alike = page.render([results.read(place) for place in runs], tmp_path)
    assert "did not hear the same" not in alike


def test_published_figures_stand_beside_with_their_source(runs, tmp_path, monkeypatch):
    theirs = {"published": {"Theirs": {"latency": 0.26}}, "source": "a paper, table 2"}
    task = dataclasses.replace(tables.known("turn_synth"), **theirs)
    monkeypatch.setattr(turn_synth, "TASK", task)
    text = page.render([results.read(runs[0])], tmp_path)
    assert "Theirs" in text and "0.26 s" in text and "a paper, table 2" in text


def test_worst_first(runs):
    found = results.read(runs[1])
    latencies = {i: row["latency"] for i, row in found.rows["turn_synth"].items()}
    worst = samples.worst(found, "turn_synth", "latency", 2)
    assert worst == sorted(latencies, key=latencies.get, reverse=True)[:2]
    right = {"turn_synth": {"a": {"right": 1.0}, "b": {"right": 0.0}, "c": {"right": None}}}
    changed = results.Results(found.place, found.about, found.figures, right, {})
    assert samples.worst(changed, "turn_synth", "right", 9) == ["b", "a"]


def test_some_samples_for_a_page_that_goes_elsewhere(runs):
    found = results.read(runs[1])
    some = samples.browser("turn_synth", [found], None, 0, 2)["samples"]
    first = next(iter(found.figures["turn_synth"]))
    assert {s["id"] for s in some} == set(samples.worst(found, "turn_synth", first, 2))
    assert all("at" not in one for s in some for one in s["runs"])
    every = samples.browser("turn_synth", [found], runs[1].parent, 0, None)["samples"]
    assert len(every) > 2 and all("at" in s["runs"][0] for s in every)


def test_600_samples_fit_in_two_megabytes(runs):
    """A run of 12 tasks with 50 samples each, all of it talking."""
    found = results.read(runs[1])
    fixed = len(page.render([found], runs[1].parent))
    of = samples.browser("turn_synth", [found], runs[1].parent, 0, None)
    each = len(page.inline(of["samples"])) / LIMIT
    assert fixed < 60_000 and 600 * each + fixed + 12 * 6_000 < 2e6, (fixed, each)


def test_no_run_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"nothing: no scored run .*eval score"):
        results.read(tmp_path / "nothing")
    (tmp_path / "results.json").write_text('{"results": {"turn_synth": {}}}')
    with pytest.raises(InputError, match="samples_turn_synth.jsonl"):
        results.read(tmp_path)


def test_agents_of_one_name_are_told_apart_by_directory(runs, tmp_path):
    shutil.copytree(runs[0], tmp_path / "again")
    names = results.labels([results.read(runs[0]), results.read(tmp_path / "again")])
    assert names == ["silent (silent)", "silent (again)"]


@pytest.fixture(scope="module")
def browser(chromium, html, tmp_path_factory):
    path = Path(__file__).parents[1] / "serve" / "chromium.py"
    spec = importlib.util.spec_from_file_location("chromium", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    heard = tmp_path_factory.mktemp("heard") / "silence.wav"
    soundfile.write(heard, np.zeros(16_000), 16_000)
    with module.Chromium(chromium, heard) as chrome:
        chrome.go(html.as_uri())
        yield chrome


def test_used_by_keyboard_alone(browser):
    """Tab leads to a sample; Enter draws its timeline, with both voices and the words."""
    for _ in range(40):
        browser.press("Tab")
        if browser.run("document.activeElement.matches('.samples summary')"):
            break
    browser.press("Enter", "\r")
    browser.until("!!document.querySelector('.samples details[open] svg')")
    shown = browser.run("document.querySelector('.samples svg').textContent")
    assert "user" in shown and "oracle" in shown
    paths = browser.run("document.querySelectorAll('.samples svg path').length")
    assert paths == 2  # the silent run has no voice to draw
    label = browser.run("document.querySelector('.samples svg').getAttribute('aria-label')")
    assert label.startswith("User: ") and "no words" in label
    assert browser.errors == [] and browser.run("violations.length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_readable_on_a_phone(browser, scheme):
    browser.prefer(prefers_color_scheme=scheme)
    browser.size(360, 740, 2, phone=True)
    assert browser.run("document.documentElement.scrollWidth") <= 360
    assert browser.faint() == []
    background = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    browser.size(1280, 800)


def test_numbered_columns_stay_out_but_figures_do_not(runs):
    """Delays in a row are many columns; a figure may end in a number."""
    found = results.read(runs[0])
    figure = found.figures["turn_synth"]["answered"]
    row = {"recall_at_05": 1.0, "delay_0": 3.0, "delay_1": 4.0, "kept": 1.0}
    changed = results.Results(
        found.place, found.about, {"t": {"recall_at_05": figure}}, {"t": {"a": row}}, {}
    )
    of = samples.browser("t", [changed], runs[0].parent, 0, None)
    assert of["columns"] == [["recall_at_05", 1, ""], ["kept", 0, ""]]
    assert of["samples"][0]["runs"][0]["row"] == [1.0, 1.0]
