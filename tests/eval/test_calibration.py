"""Agents whose figures are known in advance get them, on every synthetic task."""

from __future__ import annotations

import itertools
import math

import pytest

from eval import record, task
from eval.commands.run import open_agent
from eval.ears import ears
from eval.judge import judge
from eval.run import run
from eval.task import Asked

SYNTHETIC = [name for name in task.names() if task.load(name).synthetic]
AGENTS = ("silent", "always_talk", "fixed_latency", "oracle", "parrot")
EARS = ears("text_stream", "energy")
LATE_S = 0.005  # espeak's voice begins so long after its turn does
ROUNDING = {"": 1e-9, "s": LATE_S, "/s": 1e-9, "%": 1e-9}
SHARE = {"iou": 2 * LATE_S / 2, "pauc": 100 * LATE_S / 3, "pauc_0": 100 * LATE_S / 3}
"""What that is of the shortest interval there: 2 s with two ends, 3 s."""


@pytest.mark.parametrize("agent_name", AGENTS)
@pytest.mark.parametrize("name", SYNTHETIC)
def test_known_values(name, agent_name, tmp_path):
    found, agent = task.load(name), open_agent(agent_name, "")
    samples = list(itertools.islice(found.samples(Asked(limit=8)), 8))
    run(agent, iter(samples), tmp_path / name, "lockstep")
    checked = 0
    for sample in samples:
        want = found.known(agent.name, sample)
        if want is None:
            continue
        row = found.measure(record.load(tmp_path / name / sample.id), EARS, judge("none"))
        assert want.keys() <= row.keys()
        for metric, value in want.items():
            got, checked = row[metric], checked + 1
            if value is None or got is None:
                assert got is value, (sample.id, metric)
            else:
                near = SHARE.get(metric) or ROUNDING[found.metrics[metric].unit]
                assert math.isclose(got, value, abs_tol=near), (sample.id, metric)
    assert checked, "nothing is known of this agent here"
