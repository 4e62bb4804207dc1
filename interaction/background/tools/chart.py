"""Charts, as Vega-Lite.

A chart holds its data and no addresses, so that drawing it loads nothing. It is drawn here,
in a process of its own, and shown as a picture, in which no script runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from interaction.background.protocol import Artifact, ToolSpec
from interaction.background.toolbox import Result
from interaction.background.tools.draw import drawn
from interaction.errors import InputError

KIND = "application/vnd.vegalite.v5+json"
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
LARGEST = 256 << 10  # characters of a specification, as JSON
DEEPEST = 40
VIEWS = "mark", "layer", "concat", "hconcat", "vconcat", "facet", "repeat"
MARKS = {
    "arc", "area", "bar", "boxplot", "circle", "errorband", "errorbar", "geoshape", "line",
    "point", "rect", "rule", "square", "text", "tick", "trail",
}  # fmt: skip
LOADS = {"url", "href", "usermeta"}  # keys that make a page load or lead elsewhere
ADDRESS = re.compile(r"//|url\s*\(|\b(?:javascript|data|blob|file):", re.IGNORECASE)
ROWS = {"values", "datasets", "sequence"}

SPEC = ToolSpec(
    "chart",
    "Shows the user a chart. spec: Vega-Lite 5, with its data inlined as data.values; no "
    "addresses anywhere.",
    {
        "type": "object",
        "properties": {
            "spec": {"type": "object"},
            "title": {"type": "string", "maxLength": 200},
        },
        "required": ["spec"],
        "additionalProperties": False,
    },
)


class Chart:
    spec = SPEC

    async def call(self, arguments: dict[str, Any]) -> Result:
        content = checked(arguments["spec"])
        title = arguments.get("title") or titled(content)
        text = f"shown: {', '.join(marks(content))} chart"
        text += f" “{title}”" if title else ""
        shown = Artifact(KIND, content, title, await drawn(content))
        return Result(f"{text}, {rows(content)} rows", shown)

    async def close(self) -> None:
        """It holds nothing."""


def checked(spec: dict[str, Any]) -> dict[str, Any]:
    """What is shown of a specification. Raises InputError."""
    spec = {key: value for key, value in spec.items() if key != "$schema"}
    try:
        size = len(json.dumps(spec, allow_nan=False))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"spec: {error}; give plain JSON") from None
    if size > LARGEST:
        raise InputError(f"spec: {size} characters, the most is {LARGEST}; give fewer rows")
    if not any(view in spec for view in VIEWS):
        raise InputError(f"spec: draws nothing; give one of {', '.join(VIEWS)}")
    walk(spec, "spec", 0)
    if not list(data(spec)):
        raise InputError("spec: has no data; give data.values")
    return {"$schema": SCHEMA} | spec


def walk(part: Any, at: str, depth: int, row: bool = False) -> None:
    """row: part of the data, whose columns may have any name. Raises InputError."""
    if depth > DEEPEST:
        raise InputError(f"spec: nested more than {DEEPEST} deep")
    if isinstance(part, str) and ADDRESS.search(part):
        raise InputError(f"{at}: holds an address; charts load nothing, leave it out")
    if isinstance(part, list):
        for n, below in enumerate(part):
            walk(below, f"{at}[{n}]", depth + 1, row)
    if isinstance(part, dict):
        for key, below in part.items():
            walk(key, at, depth + 1)
            if key in LOADS and not row:
                raise InputError(f"{at}.{key}: charts load nothing; inline the data")
            if key == "mark" and not row:
                marked(below, at)
            walk(below, f"{at}.{key}", depth + 1, row or key in ROWS)


def marked(mark: Any, at: str) -> None:
    """Raises InputError for an image too, which would be loaded."""
    kind = mark.get("type") if isinstance(mark, dict) else mark
    if not isinstance(kind, str) or kind not in MARKS:
        raise InputError(f"{at}.mark: {kind}; use one of {', '.join(sorted(MARKS))}")


def parts(part: Any) -> Iterator[dict[str, Any]]:
    """All objects of a specification, but its data."""
    if isinstance(part, list):
        for below in part:
            yield from parts(below)
    if isinstance(part, dict):
        yield part
        for key, below in part.items():
            if key not in ROWS:
                yield from parts(below)


def data(spec: dict[str, Any]) -> Iterator[Any]:
    """The inlined data: a list of rows, text, or what makes them."""
    for part in parts(spec):
        inlined = part.get("data")
        if isinstance(inlined, dict):
            yield from (inlined[key] for key in ("values", "sequence") if key in inlined)
        datasets = part.get("datasets")
        if isinstance(datasets, dict):
            yield from datasets.values()


def rows(spec: dict[str, Any]) -> int:
    return sum(len(inlined) for inlined in data(spec) if isinstance(inlined, list))


def marks(spec: dict[str, Any]) -> list[str]:
    kinds = [part["mark"] for part in parts(spec) if "mark" in part]
    return list(dict.fromkeys(k["type"] if isinstance(k, dict) else k for k in kinds))


def titled(spec: dict[str, Any]) -> str:
    title = spec.get("title")
    title = title.get("text") if isinstance(title, dict) else title
    return title[:200] if isinstance(title, str) else ""
