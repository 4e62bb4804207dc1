"""python -m launch.renew TOOL: renew `published/TOOL.json` from what TOOL publishes."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from interaction.errors import InputError, run_command

PUBLISHED = Path(__file__).parent / "published"

EPILOG = """what each needs:
  jobset    --crd: JobSet's CRD (a release's manifests.yaml has it too), a file;
            --kubernetes: `_definitions.json` of one version of the strict schemas in
            the PyPI package kubernetes-validate;
            --version: what to write down as their versions
  gcloud    an installed Google Cloud SDK (reads its table of completions)
  sbatch    an installed Slurm with its manual pages (reads `man sbatch`, `man srun`)
  xpk       an installed xpk (reads `xpk workload create --help`)
  gcluster  an installed gcluster (reads `gcluster job submit --help`)

examples:
  pip download --no-deps kubernetes-validate && unzip kubernetes_validate-*.whl
  python -m launch.renew jobset --crd=jobset.x-k8s.io_jobsets.yaml --version='…' \\
      --kubernetes=kubernetes_validate/kubernetes-json-schema/v1.32.0-local-strict/_definitions.json
  python -m launch.renew gcloud"""

CRD = (
    "https://raw.githubusercontent.com/kubernetes-sigs/jobset/COMMIT/"
    "config/components/crd/bases/jobset.x-k8s.io_jobsets.yaml"
)
JOB_TEMPLATE = "io.k8s.api.batch.v1.JobTemplateSpec"
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

GCLOUD = (
    "compute tpus queued-resources create",
    "alpha compute tpus queued-resources create",
    "compute tpus queued-resources describe",
    "compute tpus queued-resources delete",
    "compute tpus queued-resources ssh",
)


def bare(schema: Any, closed: bool) -> Any:
    """A schema without prose and Kubernetes' own keywords. closed: an object takes no
    other fields than it names, as an API server with strict field validation does."""
    if isinstance(schema, list):
        return [bare(item, closed) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):  # names of fields, not keywords
            out[key] = {name: bare(field, closed) for name, field in value.items()}
        elif key not in ("description", "default") and not key.startswith("x-kubernetes"):
            out[key] = bare(value, closed)
    if closed and "properties" in out:
        out.setdefault("additionalProperties", False)
    return out


def referred(schema: Any) -> Iterator[str]:
    """Names of the definitions that a schema refers to."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].removeprefix("#/$defs/")
        for value in schema.values():
            yield from referred(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from referred(value)


def jobset_schema(crd: dict, kubernetes: dict) -> dict:
    """JobSet's own part from its CRD; the Job that it repeats inside from Kubernetes.

    The CRD embeds all of Kubernetes' Job, 700 kB of it, and closes nothing; Kubernetes'
    own definitions are the same fields, shared by name.
    """
    version = next(v for v in crd["spec"]["versions"] if v["name"] == "v1alpha2")
    root = bare(version["schema"]["openAPIV3Schema"], closed=True)
    root["properties"].pop("status", None)
    root["properties"]["metadata"] = {"$ref": f"#/$defs/{OBJECT_META}"}
    root["properties"]["apiVersion"] = {"const": "jobset.x-k8s.io/v1alpha2"}
    root["properties"]["kind"] = {"const": "JobSet"}
    root["required"] = ["apiVersion", "kind", "metadata", "spec"]
    job = root["properties"]["spec"]["properties"]["replicatedJobs"]["items"]
    job["properties"]["template"] = {"$ref": f"#/$defs/{JOB_TEMPLATE}"}
    definitions: dict = {}
    wanted = [JOB_TEMPLATE, OBJECT_META]
    while wanted:
        name = wanted.pop()
        if name not in definitions:
            definitions[name] = bare(kubernetes["$defs"][name], closed=False)
            wanted += referred(definitions[name])
    return root | {"$defs": dict(sorted(definitions.items()))}


def jobset(args: argparse.Namespace) -> dict:
    if not (args.crd and args.kubernetes and args.version):
        raise InputError("jobset: needs --crd, --kubernetes and --version; see --help")
    documents = [d for d in yaml.safe_load_all(args.crd.read_text()) if d]
    crds = [d for d in documents if d["metadata"]["name"] == "jobsets.jobset.x-k8s.io"]
    if not crds:
        raise InputError(f"{args.crd}: no CRD jobsets.jobset.x-k8s.io; give JobSet's own")
    kubernetes = json.loads(args.kubernetes.read_text())
    return {
        "source": [CRD, "kubernetes-validate on PyPI"],
        "version": args.version,
        "licence": "Apache-2.0 (JobSet; Kubernetes)",
        "renew": "python -m launch.renew jobset --crd=… --kubernetes=… --version=…",
        "schema": jobset_schema(crds[0], kubernetes),
    }


def said(command: list[str]) -> str:
    """What a command prints; InputError when it is not here or fails."""
    if shutil.which(command[0]) is None:
        raise InputError(f"{command[0]}: not installed here; run this where it is")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"{' '.join(command)}: fails here: {done.stderr.strip()[:200]}")
    return done.stdout


def listed(text: str) -> dict[str, bool]:
    """Options in a `--help` list -> whether they take a value."""
    pattern = re.compile(
        r"^ {1,8}(?:-\w[^-\n]*?,\s+)?(--[a-z][a-z0-9-]*)(\S*)( [A-Za-z]+| \{)?"
    )
    found = {}
    for line in text.splitlines():
        if match := pattern.match(line):
            name, joined, spaced = match.groups()
            found[name] = joined.startswith("=") or spaced is not None
    return dict(sorted(found.items()))


def _number(text: str) -> str:
    match = re.search(r"\d+\.\d+\.\d+", text)
    return match.group() if match else text.strip().splitlines()[0]


def gcloud(args: argparse.Namespace) -> dict:
    program = shutil.which("gcloud")
    if program is None:
        raise InputError("gcloud: not installed here; run this where it is")
    root = Path(os.path.realpath(program)).parents[1]
    tree = _module(root / "data/cli/gcloud_completions.py").STATIC_COMPLETION_CLI_TREE
    commands = {}
    for command in GCLOUD:
        node = tree
        for word in command.split():
            node = node["commands"][word]
        flags = tree["flags"] | node["flags"]
        commands[command] = {f: flags[f] != "bool" for f in sorted(flags)}
    version = json.loads(said(["gcloud", "version", "--format=json"]))
    return {
        "source": "https://cloud.google.com/sdk/gcloud/reference/compute/tpus/"
        "queued-resources, as in the SDK's data/cli/gcloud_completions.py",
        "version": f"Google Cloud SDK {version['Google Cloud SDK']}",
        "licence": "Apache-2.0",
        "renew": "python -m launch.renew gcloud",
        "commands": commands,
    }


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise InputError(f"{path}: not there; this SDK has no table of completions")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sbatch(args: argparse.Namespace) -> dict:
    return {
        "source": "https://slurm.schedmd.com/sbatch.html and srun.html, as `man` has them",
        "version": said(["sbatch", "--version"]).strip(),
        "licence": "GPL-2.0-or-later (Slurm); names of options only",
        "renew": "python -m launch.renew sbatch",
        "commands": {
            c: listed(said(["man", "--pager=cat", c])) for c in ("sbatch", "srun")
        },
    }


def xpk(args: argparse.Namespace) -> dict:
    command = ["xpk", "workload", "create", "--help"]
    return {
        "source": "xpk on PyPI",
        "version": _number(said(["xpk", "version"])),
        "licence": "Apache-2.0",
        "renew": "python -m launch.renew xpk",
        "commands": {"workload create": listed(said(command))},
    }


def gcluster(args: argparse.Namespace) -> dict:
    command = ["gcluster", "job", "submit", "--help"]
    return {
        "source": "https://docs.cloud.google.com/cluster-toolkit/docs/reference/"
        "gcluster-job-submit",
        "version": _number(said(["gcluster", "--version"])),
        "licence": "Apache-2.0",
        "renew": "python -m launch.renew gcluster",
        "commands": {"job submit": listed(said(command))},
    }


TOOLS = {
    "gcloud": gcloud, "gcluster": gcluster, "jobset": jobset, "sbatch": sbatch, "xpk": xpk
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m launch.renew",
        description="Renew a copy of what a tool publishes about its input.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("tool", choices=sorted(TOOLS))
    parser.add_argument("--crd", type=Path, help="jobset: the CRD, YAML")
    parser.add_argument("--kubernetes", type=Path, help="jobset: Kubernetes' definitions")
    parser.add_argument("--version", help="jobset: the versions, in words")
    args = parser.parse_args()
    path = PUBLISHED / f"{args.tool}.json"
    partial = path.with_suffix(".tmp-json")
    partial.write_text(json.dumps(TOOLS[args.tool](args), indent=1) + "\n")
    os.replace(partial, path)
    print(path)
    return 0


if __name__ == "__main__":
    run_command(main)
