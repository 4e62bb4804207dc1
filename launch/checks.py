"""Checks of what is rendered against what its readers publish (`published/`)."""

from __future__ import annotations

import functools
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import jsonschema

from interaction.errors import InputError

PUBLISHED = Path(__file__).parent / "published"


@functools.cache
def published(tool: str) -> dict:
    """A copy of what a tool says of its input, with its source, version and licence."""
    return json.loads((PUBLISHED / f"{tool}.json").read_text())


@functools.cache
def _jobset_validator() -> jsonschema.Draft202012Validator:
    schema = published("jobset")["schema"]
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def check_jobset(manifest: dict) -> None:
    """Against JobSet's CRD and Kubernetes' Job; unknown fields are errors."""
    error = jsonschema.exceptions.best_match(_jobset_validator().iter_errors(manifest))
    if error is not None:
        raise InputError(
            f"JobSet {error.json_path}: {error.message[:200]}; not what "
            f"{published('jobset')['version']} takes, change the flag that it comes from"
        )


def check_options(tool: str, command: str, words: Sequence[str]) -> None:
    """Every --option of a command line is one that the tool documents, with a value
    where it takes one and without where it does not."""
    known = published(tool)["commands"][command]
    for word in words:
        name, equals, _ = word.partition("=")
        if not name.startswith("--"):
            continue
        if name not in known:
            raise InputError(
                f"{tool} {command}: {name} is not among its options in "
                f"{published(tool)['version']}; drop it"
            )
        if known[name] != bool(equals):
            takes = "takes a value" if known[name] else "takes no value"
            raise InputError(f"{tool} {command}: {name} {takes}; write it so")


def check_sbatch(script: str) -> None:
    """#SBATCH lines: documented options, before the first command, or none is read."""
    commands_began = False
    for line in script.splitlines():
        if line.startswith("#SBATCH"):
            if commands_began:
                raise InputError(f"sbatch: {line}: stands after a command; it is not read")
            check_options("sbatch", "sbatch", shlex.split(line.removeprefix("#SBATCH")))
        elif line.strip() and not line.startswith("#"):
            commands_began = True


def check_bash(script: str) -> None:
    """`bash -n`: the script can be read to its end."""
    bash = shutil.which("bash")
    if bash is None:
        raise InputError("bash: not found, and the script needs it here; install bash")
    done = subprocess.run([bash, "-n"], input=script, capture_output=True, text=True)
    if done.returncode:
        reason = re.sub(r"^.*?: line", "line", done.stderr.strip().splitlines()[0])
        raise InputError(f"the rendered script: bash -n says {reason}; mend --setup")
