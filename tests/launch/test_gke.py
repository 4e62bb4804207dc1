"""The JobSet: what it says of a job, and that its schema is really asked."""

from __future__ import annotations

import copy
import shlex

import pytest
import yaml

from interaction.errors import InputError
from launch import checks

RUN = ("--", "python", "-m", "interaction.train", "--workdir=/gcs/ours/x", "--distributed")
OTHER = ("--", "python", "x.py")
BARE = ("--target=gke", "--topology=v5p:8x8x8", "--name=tml", "--image=IMAGE")
FLAGS = (*BARE, "--mount=gs://ours:/gcs/ours")


@pytest.fixture
def jobset(launch):
    def render(*words: str) -> dict:
        said = launch("render", *FLAGS, *words)
        assert said.code == 0, said.err
        return yaml.safe_load(said.out)

    return render


def spec_of(manifest: dict) -> dict:
    return manifest["spec"]["replicatedJobs"][0]["template"]["spec"]


def pod_of(manifest: dict) -> dict:
    return spec_of(manifest)["template"]["spec"]


def test_slices_and_hosts(jobset):
    manifest = jobset("--slices=2", *RUN)
    assert manifest["spec"]["replicatedJobs"][0]["replicas"] == 2
    assert spec_of(manifest)["parallelism"] == spec_of(manifest)["completions"] == 128
    assert pod_of(manifest)["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5p-slice",
        "cloud.google.com/gke-tpu-topology": "8x8x8",
    }
    container = pod_of(manifest)["containers"][0]
    assert container["resources"]["limits"] == {"google.com/tpu": "4"}
    assert container["args"] == list(RUN[1:])


def test_a_lost_node_costs_no_restart(jobset):
    manifest = jobset("--max_restarts=4", *RUN)
    policy = manifest["spec"]["failurePolicy"]
    assert policy["maxRestarts"] == 4
    assert policy["rules"][0]["action"] == "RestartJobSetAndIgnoreMaxRestarts"
    rule = spec_of(manifest)["podFailurePolicy"]["rules"][0]
    assert rule["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]


def test_secrets_by_name_only(jobset):
    env = pod_of(jobset("--secret=HF_TOKEN=hub:token", *RUN))["containers"][0]["env"]
    assert env[-1] == {
        "name": "HF_TOKEN",
        "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}},
    }


def test_kubernetes_leaves_dollars_alone(jobset):
    words = ("sh", "-c", "echo $(date) $HOME", "a$$b", "$c")
    container = pod_of(jobset("--env=A=$(x)", "--", *words))["containers"][0]
    # What the kubelet makes of it: $$ is $, and only a single $ begins a $(NAME).
    assert [word.replace("$$", "$") for word in container["args"][:4]] == list(words[:4])
    assert container["args"][2:] == ["echo $$(date) $$HOME", "a$$$$b", "$c"]
    assert {"name": "A", "value": "$$(x)"} in container["env"]


BREAKS = {
    "a misspelt field": lambda m: pod_of(m).update(restartPolice="Never"),
    "a wrong type": lambda m: spec_of(m).update(completions="128"),
    "an unknown action": lambda m: m["spec"]["failurePolicy"]["rules"][0].update(
        action="No"
    ),
    "a missing name": lambda m: m["spec"]["replicatedJobs"][0].pop("name"),
    "JobSet's own field": lambda m: m["spec"].update(restarts=3),
    "a field that older Kubernetes wants": lambda m: spec_of(m)["podFailurePolicy"][
        "rules"
    ][0]["onPodConditions"][0].pop("status"),
    "another version": lambda m: m.update(apiVersion="jobset.x-k8s.io/v1"),
    "a number as a variable": lambda m: pod_of(m)["containers"][0]["env"][1].update(
        value=0
    ),
}


@pytest.mark.parametrize("what", BREAKS)
def test_the_schema_refuses(jobset, what):
    manifest = jobset(*RUN)
    checks.check_jobset(manifest)
    broken = copy.deepcopy(manifest)
    BREAKS[what](broken)
    with pytest.raises(InputError, match="JobSet"):
        checks.check_jobset(broken)


def test_a_copy_of_the_schema_says_where_it_is_from():
    for tool in ("jobset", "gcloud", "sbatch", "xpk", "gcluster"):
        published = checks.published(tool)
        assert all(published[key] for key in ("source", "version", "licence", "renew"))


def test_other_clients_get_the_same_job(launch):
    where = ("--cluster=c", "--project=p", "--zone=z")
    for client, shape in (
        ("xpk", "--tpu-type=v5p-8x8x8"),
        ("gcluster", "--topology=8x8x8"),
    ):
        said = launch("render", *BARE, f"--via={client}", "--slices=2", *where, *OTHER)
        words = shlex.split(said.out.replace("\\\n", " "))
        assert words[0] == client and {shape, "--num-slices=2"} <= set(words)
        assert "--command=python x.py" in words
        assert f"# The same by {client}" in launch("render", *BARE, *OTHER).out


def test_gcluster_mounts_claims(launch, refused):
    """To be written to: what it mounts without a mode is for reading only."""
    where = ("--cluster=c", "--project=p", "--zone=z")
    claim = (*BARE, "--mount=runs:/gcs/ours")
    said = launch("render", *claim, "--via=gcluster", *where, *RUN)
    assert "--mount=runs:/gcs/ours:rw" in shlex.split(said.out.replace("\\\n", " "))
    comments = launch("render", *claim, *RUN).out
    assert "--mount=runs:/gcs/ours:rw" in comments.partition("# The same by gcluster")[2]
    assert "# Not by xpk, which cannot pass --mount on: its --storage" in comments
    line = refused("render", *claim, "--via=xpk", *where, *RUN)
    assert "xpk storage attach" in line


def test_other_clients_mount_no_buckets(launch, refused):
    where = ("--cluster=c", "--project=p", "--zone=z")
    for client in ("xpk", "gcluster"):
        assert "--mount" in refused("render", *FLAGS, f"--via={client}", *where, *RUN)
        assert "own disk" in refused("render", *BARE, f"--via={client}", *where, *RUN)
        assert f"# Not by {client}" in launch("render", *FLAGS, *RUN).out
    line = refused("render", *FLAGS, "--via=gcluster", *where, *RUN)
    assert "no options for a bucket" in line


def test_a_bucket_is_mounted_for_several_hosts(jobset):
    """Where each host would keep to what it has once seen, none finds what others write."""
    manifest = jobset(*RUN)
    csi = pod_of(manifest)["volumes"][-1]["csi"]["volumeAttributes"]
    assert csi["bucketName"] == "ours" and csi["hostNetworkPodKSA"] == "true"
    assert "metadata-cache:ttl-secs:0" in csi["mountOptions"].split(",")
    annotations = spec_of(manifest)["template"]["metadata"]["annotations"]
    assert annotations["gke-gcsfuse/volumes"] == "true"


@pytest.mark.parametrize(
    "words, says",
    [
        (("--slices=0",), "1 or more"),
        (("--topology=v5p:2x2x1", "--slices=2"), "several hosts"),
        (("--mount=gs://ours/runs:/gcs/ours",), "whole bucket"),
        (("--mount=claim",), "SOURCE:/PATH"),
        (("--name=Tml",), "a-z"),
        (("--name=tml-",), "a-z"),
        (("--grace_s=0",), "--grace_s"),
        (("--secret=HF_TOKEN=hf_Abc",), "kubectl create secret"),
        (("--max_restarts=-1",), "0 or more"),
    ],
)
def test_refusals(refused, words, says):
    assert says in refused("render", *FLAGS, *words, *RUN)


def test_refusals_of_other_clients(refused):
    where = ("--cluster=c", "--project=p", "--zone=z")
    assert "--cluster" in refused("render", *BARE, "--via=xpk", *OTHER)
    assert "--spot" in refused("render", *BARE, "--via=xpk", *where, "--spot", *OTHER)
    name = f"--name={'n' * 30}"
    line = refused("render", *BARE, "--via=gcluster", *where, name, *OTHER)
    assert "28 characters" in line


def test_workdir_must_be_shared(launch, refused):
    local = (
        "--",
        "python",
        "-m",
        "interaction.train",
        "--workdir",
        "runs/x",
        "--distributed",
    )
    assert "own disk" in refused("render", *FLAGS, *local)
    mounted = (*local[:-2], "/mnt/runs/x", "--distributed")
    assert "own disk" in refused("render", *FLAGS, "--mount=claim:/mnt/r", *mounted)
    assert launch("render", *FLAGS, "--mount=claim:/mnt/runs", *mounted).code == 0


def test_train_needs_distributed_on_several_hosts(launch, refused):
    alone = RUN[:-1]
    assert "add --distributed" in refused("render", *FLAGS, *alone)
    assert launch("render", *FLAGS, "--topology=v5p:2x2x1", *alone).code == 0
