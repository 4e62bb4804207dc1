"""How long a step would take at least, by each thing that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from interaction.chips import Chip
from interaction.planning.traffic import Sent


class Roofline(NamedTuple):
    """Seconds of one run of a program on one chip. links: by mesh axis. `apart`: one
    after the other; `together`: all of it side by side, where the longest decides."""

    compute_s: float
    hbm_s: float
    links_s: dict[str, float]

    @property
    def apart_s(self) -> float:
        """Links wait for compute and compute for links; memory is read while computing."""
        return max(self.compute_s, self.hbm_s) + sum(self.links_s.values())

    @property
    def together_s(self) -> float:
        return max(self.terms().values())

    def terms(self) -> dict[str, float]:
        links = {f"links of {axis}": s for axis, s in self.links_s.items()}
        return {"compute": self.compute_s, "HBM": self.hbm_s} | links

    def limit(self) -> str:
        """What takes longest."""
        terms = self.terms()
        return max(terms, key=lambda name: terms[name])


def roofline(chip: Chip, flops: float, hbm_bytes: float, sent: Sequence[Sent]) -> Roofline:
    """flops, hbm_bytes: of one chip."""
    links: dict[str, float] = {}
    for one in sent:
        links[one.axis] = links.get(one.axis, 0.0) + one.seconds
    return Roofline(flops / chip.flops, hbm_bytes / chip.hbm, links)
