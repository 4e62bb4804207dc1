"""The page: a template, its style and its script in one file, without a network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from eval.results import Results, labels
from eval.view import samples, tables


def tasks(runs: Sequence[Results]) -> list[str]:
    """Of all runs, in the order in which they have them."""
    return list(dict.fromkeys(name for run in runs for name in run.figures))


def about(run: Results) -> dict[str, str]:
    """What a run was, in words."""
    git, machine = run.about.get("git") or {}, run.about.get("hardware") or {}
    commit = str(git.get("commit") or "")[:12]
    data = Path(str(run.about.get("data") or "")).name
    facts = {
        "clock": str(run.about.get("clock") or ""),
        "seed": str(run.about.get("seed", "")),
        "data": data,
        "commit": commit + (" with changes" if git.get("modified") else ""),
        "machine": f"{machine.get('cpu', '')}, {machine.get('cores', '?')} cores",
    }
    return {key: value for key, value in facts.items() if value}


def inline(values: Any) -> str:
    """JSON that no HTML parser takes for an end of its script."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028")


def render(
    runs: Sequence[Results], folder: Path | None, audio: int = 0, most: int | None = None
) -> str:
    """HTML of runs side by side. folder: where it will lie, beside the runs; None: where
    they are not; audio: samples a task whose sound it holds; most: that it shows."""
    names, here = labels(runs), resources.files("eval.view")
    parts = {name: (here / f"page.{name}").read_text("utf-8") for name in ("css", "js")}
    sheets = [tables.sheet(name, runs, names) for name in tasks(runs)]
    data = {
        "runs": names,
        "column_s": samples.COLUMN_S,
        "levels": samples.LEVELS,
        "tasks": {
            s.task: samples.browser(s.task, runs, folder, audio, most) for s in sheets
        },
    }
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    template = environment.from_string((here / "page.html").read_text("utf-8"))
    return template.render(
        runs=list(zip(names, map(about, runs), strict=True)),
        sheets=sheets,
        style=Markup(parts["css"]),
        script=Markup(parts["js"]),
        data=Markup(inline(data)),
    )
