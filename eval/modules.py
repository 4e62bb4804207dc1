"""Choices that a command line names: the modules of a package."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from interaction.errors import InputError


def names(package: str) -> list[str]:
    """Of the modules in it, in order."""
    path = importlib.import_module(package).__path__
    return sorted(module.name for module in pkgutil.iter_modules(path))


def named(package: str, option: str, given: str) -> tuple[ModuleType, str]:
    """NAME or NAME:REST -> (the module, REST). Raises InputError for an unknown name."""
    name, _, rest = given.partition(":")
    known = names(package)
    if name not in known:
        raise InputError(f"{option}: no {given!r}; there are {', '.join(known)}")
    return importlib.import_module(f"{package}.{name}"), rest
