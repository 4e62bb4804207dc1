"""Fields that a benchmark's data has and its reader does not know: named, and never a
reason to leave a sample out whose known fields are whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TypeVar

from eval.sample import Fault, Sample

Made = TypeVar("Made", bound=Sample | Fault)


def unknown(place: str, found: Iterable[str | None], known: Collection[str]) -> list[str]:
    """Those of `found` that are not known. place: the file or object that has them, named
    alike for every sample; "" where a sample is a row of one."""
    prefix = f"{place}: " if place else ""
    return [f"{prefix}{name}" for name in found if name and name not in known]


def noted(made: Made, names: Iterable[str]) -> Made:
    """The sample, which says that it has them."""
    if isinstance(made, Fault):
        return made
    return replace(made, unknown=tuple(dict.fromkeys([*made.unknown, *names])))
