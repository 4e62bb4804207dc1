"""L4: the same sessions in one process and in two, which talk over the network."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import numpy as np

from interaction.config import ModelConfig
from interaction.parallel.mesh import make_mesh
from interaction.parity.bits import Row, compare
from interaction.parity.sampled import converse, emitted
from interaction.parity.subject import Subject, random_subject, random_talk


def compare_processes(
    subject: Subject, slots: int, turns: int, sizes: Mapping[str, int]
) -> Iterator[Row]:
    """Random weights on a mesh of 8 devices: of 1 process, and of 2 with 4 each."""
    talk = random_talk(subject.cfg, slots, turns)
    want = emitted(converse(random_subject(subject.cfg), talk))
    for processes in (1, 2):
        with tempfile.TemporaryDirectory() as scratch:
            got = _run(Path(scratch), subject.cfg, slots, turns, processes, sizes)
        what = "one process" if processes == 1 else f"{processes} processes"
        yield compare("L4", f"sampled, 8 devices of {what}", want, got)


def _run(
    scratch: Path, cfg: ModelConfig, slots: int, turns: int, processes: int,
    sizes: Mapping[str, int],
) -> dict:  # fmt: skip
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    job = {
        "cfg": dataclasses.asdict(cfg), "slots": slots, "turns": turns,
        "sizes": dict(sizes), "processes": processes, "address": f"localhost:{port}",
        "output": str(scratch / "emitted.npz"),
    }  # fmt: skip
    (scratch / "job.json").write_text(json.dumps(job))
    command = [sys.executable, "-m", "interaction.parity.processes"]
    command.append(str(scratch / "job.json"))
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    logs = [(scratch / f"{rank}.log").open("w+") for rank in range(processes)]
    workers = [
        subprocess.Popen([*command, str(rank)], env=environment, stdout=log, stderr=log)
        for rank, log in enumerate(logs)
    ]
    try:
        for worker, log in zip(workers, logs, strict=True):
            if worker.wait():
                log.seek(0)
                raise RuntimeError(f"a process of {processes} failed: {log.read()[-2000:]}")
    finally:
        for worker, log in zip(workers, logs, strict=True):
            worker.kill()
            log.close()
    with np.load(scratch / "emitted.npz") as arrays:
        return dict(arrays)


def _work(path: str, rank: int) -> None:
    job = json.loads(Path(path).read_text())
    jax.config.update("jax_num_cpu_devices", 8 // job["processes"])
    if job["processes"] > 1:
        jax.distributed.initialize(job["address"], job["processes"], rank)
    cfg = ModelConfig.from_mapping(job["cfg"])
    talk = random_talk(cfg, job["slots"], job["turns"])
    out = emitted(converse(random_subject(cfg), talk, make_mesh(**job["sizes"])))
    if rank == 0:
        np.savez(job["output"], **out)  # type: ignore[arg-type]


if __name__ == "__main__":
    _work(sys.argv[1], int(sys.argv[2]))
