"""Buckets as directories that several hosts write to, by Cloud Storage FUSE.

Its defaults are for one host: on TPU machines it takes what a host has once seen of a
bucket for the truth for ever, so that no host would find what another wrote there.
(docs/semantics.md of github.com/GoogleCloudPlatform/gcsfuse; GKE's page on its
performance defaults; both read in 2026.)
"""

from __future__ import annotations

import re
import shlex

from interaction.errors import InputError

# Directories are renamed when a checkpoint is whole: so many files of one at most.
RENAMED = 200_000

GKE_OPTIONS = (
    "implicit-dirs",
    "metadata-cache:ttl-secs:0",
    "metadata-cache:negative-ttl-secs:0",
    f"file-system:rename-dir-limit:{RENAMED}",
)

GKE_ANNOTATIONS = {
    "gke-gcsfuse/volumes": "true",
    # A host's part of a checkpoint goes through the pod's sidecar, by 64 MiB an open file:
    # no limits, where its own are a quarter of a core and 256 MiB.
    "gke-gcsfuse/cpu-limit": "0",
    "gke-gcsfuse/memory-limit": "0",
    "gke-gcsfuse/ephemeral-storage-limit": "0",
}

VM_OPTIONS = (
    "--implicit-dirs",
    "--metadata-cache-ttl-secs=0",
    "--metadata-cache-negative-ttl-secs=0",
    f"--rename-dir-limit={RENAMED}",
    "-o", "allow_other", "--dir-mode=777", "--file-mode=666",  # root mounts, another runs
)  # fmt: skip

INSTALL = """\
if ! command -v gcsfuse >/dev/null; then
  keys=/usr/share/keyrings/cloud.google.asc url=https://packages.cloud.google.com/apt
  curl -fsS "$url/doc/apt-key.gpg" | sudo tee "$keys" >/dev/null
  echo "deb [signed-by=$keys] $url gcsfuse-$(lsb_release -cs) main" |
    sudo tee /etc/apt/sources.list.d/gcsfuse.list >/dev/null
  sudo apt-get -qq update && sudo apt-get -qq install gcsfuse
fi"""


def is_bucket(source: str) -> bool:
    return source.startswith("gs://")


def mount_of(text: str) -> tuple[str, str]:
    """SOURCE:/PATH. Raises InputError, also for a part of a bucket."""
    source, colon, path = text.rpartition(":")
    if not colon or not path.startswith("/") or not source:
        raise InputError(f"--mount={text}: write SOURCE:/PATH, as gs://bucket:/gcs/bucket")
    if is_bucket(source) and not re.fullmatch(r"gs://[a-z0-9][a-z0-9._-]{2,}/?", source):
        raise InputError(
            f"--mount={text}: mount the whole bucket; a path in it is part of --workdir"
        )
    return source, path


def name_of(source: str) -> str:
    return source.removeprefix("gs://").strip("/")


def gke_volume(source: str) -> dict:
    """The volume of a pod on the host's network."""
    attributes = {
        "bucketName": name_of(source),
        "mountOptions": ",".join(GKE_OPTIONS),
        "hostNetworkPodKSA": "true",  # the pod's own rights, not the node's
    }
    return {"driver": "gcsfuse.csi.storage.gke.io", "volumeAttributes": attributes}


def vm_command(source: str, path: str) -> str:
    """The shell's, to mount it unless that is done."""
    mount = shlex.join(["sudo", "gcsfuse", *VM_OPTIONS, name_of(source), path])
    place = shlex.quote(path)
    return f"mountpoint -q {place} || {{ sudo mkdir -p {place}; {mount}; }}"
