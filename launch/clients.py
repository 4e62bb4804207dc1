"""The platforms' own programs: found or asked for, shown, run."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

from interaction.errors import InputError

INSTALL = {
    "kubectl": "gcloud components install kubectl gke-gcloud-auth-plugin, or "
    "https://kubernetes.io/docs/tasks/tools/",
    "xpk": "pip install xpk",
    "gcluster": "https://github.com/GoogleCloudPlatform/cluster-toolkit/releases",
    "gcloud": "https://cloud.google.com/sdk/docs/install",
    "sbatch": "run this on a login node of the Slurm cluster, which has it",
}


def find(program: str) -> str:
    """Its path. Raises InputError that says how to get it."""
    path = shutil.which(program)
    if path is None:
        raise InputError(
            f"{program}: not found on this machine; to get it: {INSTALL[program]}; "
            "or print what it would run by `render` and run that elsewhere"
        )
    return path


def wrapped(words: Sequence[str]) -> str:
    """A command line to read and to paste, an option a line."""
    head = [w for w in words if not w.startswith("--")]
    options = [shlex.quote(w) for w in words if w.startswith("--")]
    return " \\\n    ".join([shlex.join(head), *options])


def run(words: Sequence[str], text: str | None = None) -> int:
    """Show a command, and what it reads, on standard error; run it; its exit status."""
    find(words[0])
    if text is not None:
        print(text.rstrip("\n"), file=sys.stderr)
    print(f"+ {shlex.join(words)}", file=sys.stderr, flush=True)
    return subprocess.run(words, input=text, text=True).returncode
