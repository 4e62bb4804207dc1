"""JSON reports with one common head: schema, config, git, hardware."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def header(schema: str, config: Any) -> dict[str, Any]:
    """The keys that every report starts with.

    schema: name and version of the report, such as "interaction.talk/1". config: a
    dataclass or mapping, stored as plain JSON values.
    """
    return {
        "schema": schema,
        "config": plain(config),
        "git": git(),
        "hardware": hardware(),
    }


def git() -> dict[str, Any] | None:
    """Commit of the checkout that this code runs from; None when it is not in one."""
    here = Path(__file__).resolve().parent
    # A package installed below another project's checkout is not that project's.
    if _git(here, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    commit = _git(here, "rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "modified": bool(_git(here, "status", "--porcelain"))}


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def hardware() -> dict[str, Any]:
    """The machine and the versions that figures depend on."""
    import jax

    devices = jax.devices()
    return {
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "devices": [device.device_kind for device in devices],
        "backend": jax.default_backend(),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def rss_bytes() -> int:
    """Resident memory of this process now (on systems without /proc: its peak)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def percentiles(values: Any) -> dict[str, float | None]:
    """{p50, p99, max} of a sequence of figures; None for each when it is empty."""
    values = np.asarray(values, np.float64)
    if not len(values):
        return {"p50": None, "p99": None, "max": None}
    return {
        "p50": round(float(np.percentile(values, 50)), 3),
        "p99": round(float(np.percentile(values, 99)), 3),
        "max": round(float(values.max()), 3),
    }


def plain(value: Any) -> Any:
    """`value` as JSON knows it: dataclasses to objects, arrays to lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {f.name: plain(getattr(value, f.name)) for f in fields}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def write_report(path: str | os.PathLike, report: Mapping[str, Any]) -> None:
    """Write `report` as JSON: to a temporary name, then renamed. NaN is refused."""
    path = Path(path)
    text = json.dumps(plain(report), indent=1, ensure_ascii=False, allow_nan=False)
    temporary = path.with_name(f".tmp-{os.getpid()}-report-{path.name}")
    try:
        temporary.write_text(text + "\n", encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
