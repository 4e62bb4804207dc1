"""Scripts with places to fill in."""

from __future__ import annotations

import shlex
from pathlib import Path

import jinja2

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_ENVIRONMENT.filters["quote"] = shlex.quote


def fill(template: str, **values: object) -> str:
    """The template with its places filled; a place left open is an error."""
    return _ENVIRONMENT.get_template(template).render(**values)
