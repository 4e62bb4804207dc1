"""Interaction models: listen, watch, read, write and speak at once, on a 200 ms clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interaction.session import Session

__version__ = "0.1.0"
__all__ = ["Session"]


def __getattr__(name: str):
    # Imported late, so that `interaction.data` workers never load JAX.
    if name == "Session":
        from interaction.session import Session

        return Session
    raise AttributeError(f"module 'interaction' has no attribute {name!r}")
