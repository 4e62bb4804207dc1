"""The JobSet of a job on GKE: a Job a slice, a pod a host."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any

import yaml

from interaction.errors import InputError
from launch import tpus
from launch.buckets import GKE_ANNOTATIONS, gke_volume, is_bucket, mount_of
from launch.job import ENTRY, Job

PORTS = (8471, 8080)  # libtpu's own between the hosts of a slice; multislice's
REPLICATED = "slice"  # the one replicated job: a replica is a slice


def manifest(job: Job, part: tpus.Slice, args: argparse.Namespace) -> dict:
    """The JobSet: one Job a slice, one pod a host. All start anew when one fails; when a
    node is taken away (a disruption) that costs no restart."""
    hosts = part.hosts(gke=True)
    lost_node = {
        "action": "FailJob",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }
    template = {
        "spec": {
            "backoffLimit": 0,
            "completionMode": "Indexed",
            "parallelism": hosts,
            "completions": hosts,
            "podFailurePolicy": {"rules": [lost_node]},
            "template": _pod(job, part, args),
        }
    }
    metadata: dict[str, Any] = {"name": job.name}
    if args.namespace:
        metadata["namespace"] = args.namespace
    if args.queue:
        metadata["labels"] = {"kueue.x-k8s.io/queue-name": args.queue}
    metadata["annotations"] = {  # a slice's pods on one node pool, which is the slice
        "alpha.jobset.sigs.k8s.io/exclusive-topology": "cloud.google.com/gke-nodepool"
    }
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": metadata,
        "spec": {
            "failurePolicy": {
                "maxRestarts": job.max_restarts,
                "rules": [
                    {
                        "name": "lostNode",
                        "action": "RestartJobSetAndIgnoreMaxRestarts",
                        "onJobFailureReasons": ["PodFailurePolicy"],
                    }
                ],
            },
            "replicatedJobs": [
                {"name": REPLICATED, "replicas": args.slices, "template": template}
            ],
        },
    }


def _pod(job: Job, part: tpus.Slice, args: argparse.Namespace) -> dict:
    volumes, mounts, fuse = _volumes(args.mount)
    selector = {
        "cloud.google.com/gke-tpu-accelerator": part.type.gke_accelerator,
        "cloud.google.com/gke-tpu-topology": part.topology,
    }
    chips = {"google.com/tpu": str(part.chips_per_host(gke=True))}
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        # Slices talk over the data-centre network: not through the pods' own.
        "hostNetwork": True,
        "dnsPolicy": "ClusterFirstWithHostNet",
        "terminationGracePeriodSeconds": args.grace_s,
        "nodeSelector": selector,
    }
    if args.service_account:
        spec["serviceAccountName"] = args.service_account
    if args.reservation:
        selector["cloud.google.com/reservation-name"] = args.reservation
    if args.spot:
        selector["cloud.google.com/gke-spot"] = "true"
        spec["tolerations"] = [
            {
                "key": "cloud.google.com/gke-spot", "operator": "Equal", "value": "true",
                "effect": "NoSchedule",
            }
        ]  # fmt: skip
    spec["containers"] = [
        {
            "name": "job",
            "image": args.image,
            "command": ["/bin/sh", "-c", ENTRY, "entry"],
            "args": [literal(word) for word in job.command],
            "env": _env(job),
            "ports": [{"containerPort": port} for port in PORTS],
            "resources": {"requests": chips, "limits": chips.copy()},
            "volumeMounts": mounts,
        }
    ]
    spec["volumes"] = volumes
    pod: dict[str, Any] = {"spec": spec}
    if fuse:
        pod = {"metadata": {"annotations": GKE_ANNOTATIONS}} | pod
    return pod


def literal(text: str) -> str:
    """Text that comes out as it is: Kubernetes fills $(NAME) in and makes $$ one $."""
    return text.replace("$", "$$") if "$(" in text or "$$" in text else text


def _env(job: Job) -> list[dict]:
    env: list[dict] = [{"name": n, "value": literal(v)} for n, v in job.env.items()]
    for name, reference in job.secrets.items():
        secret, _, key = reference.partition(":")
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", secret):
            raise InputError(
                f"--secret={name}=…: not a Kubernetes secret's name; make one by kubectl "
                f"create secret generic NAME --from-literal={name}=… and give its NAME"
            )
        source = {"secretKeyRef": {"name": secret, "key": key or name}}
        env.append({"name": name, "valueFrom": source})
    return env


def _volumes(mount_flags: Sequence[str]) -> tuple[list[dict], list[dict], bool]:
    """Volumes, their places, and whether GCS FUSE is among them."""
    # Data workers hand batches over in shared memory; a container has 64 MB of it.
    volumes: list[dict] = [{"name": "shm", "emptyDir": {"medium": "Memory"}}]
    mounts = [{"name": "shm", "mountPath": "/dev/shm"}]
    fuse = False
    for i, (source, path) in enumerate(map(mount_of, mount_flags)):
        volume: dict[str, Any] = {"name": f"mount-{i}"}
        if is_bucket(source):
            fuse = True
            volume["csi"] = gke_volume(source)
        else:
            volume["persistentVolumeClaim"] = {"claimName": source}
        volumes.append(volume)
        mounts.append({"name": f"mount-{i}", "mountPath": path})
    return volumes, mounts, fuse


class _Dumper(yaml.SafeDumper):
    """YAML as people write it: lines as lines, lists indented."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def written(jobset: dict) -> str:
    return yaml.dump(jobset, Dumper=_Dumper, sort_keys=False, width=10_000)
