"""Interaction models: listen, watch, read, write and speak at once, on a 200 ms clock."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interaction.session import Session

__version__ = "0.1.0"
__all__ = ["Session"]


def _accelerators() -> bool:
    """Whether a TPU (a PCI device of Google's) or a GPU's driver is here."""
    vendors = Path("/sys/bus/pci/devices").glob("*/vendor")
    return any(Path(driver).exists() for driver in ("/dev/nvidiactl", "/dev/kfd")) or any(
        vendor.read_text().strip() == "0x1ae0" for vendor in vendors
    )


# libtpu is installed everywhere, to compile for TPUs; asked for devices where there are
# none, it writes five lines of errors. JAX reads the variable when it is first imported.
if not _accelerators():
    os.environ.setdefault("JAX_PLATFORMS", "cpu")


def __getattr__(name: str):
    # Imported late, so that `interaction.data` workers never load JAX.
    if name == "Session":
        from interaction.session import Session

        return Session
    raise AttributeError(f"module 'interaction' has no attribute {name!r}")
