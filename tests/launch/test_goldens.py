"""What `render` prints, kept. Renew, after reading the difference, by

python tests/launch/test_goldens.py
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

TRAIN = (
    "python", "-m", "interaction.train", "--config=configs/tml_interaction_small.py",
    "--workdir=/gcs/bucket/tml", "--distributed",
)  # fmt: skip
MOUNT = "--mount=gs://bucket:/gcs/bucket"
BENCH = ("python", "-m", "interaction.bench", "--config=configs/tml_interaction_small.py")
SMALL = ("python", "-m", "interaction.train", "--config=configs/mini.py", "--distributed")

CASES = {
    "gke.yaml": (
        "--target=gke", "--topology=v5p:8x8x8", "--slices=2", "--name=tml", "--image=IMAGE",
        MOUNT, "--", *TRAIN,
    ),
    "gke_all.yaml": (
        "--target=gke", "--topology=v6e:4x4", "--name=mini", "--image=IMAGE", "--spot",
        "--queue=research", "--namespace=team", "--service_account=trainer",
        "--reservation=ours", "--secret=HF_TOKEN=hub:token", "--secret=WANDB_API_KEY=wandb",
        "--mount=runs:/mnt/runs", "--mount=gs://data:/mnt/data", "--max_restarts=3",
        "--env=LIBTPU_INIT_ARGS=--xla_tpu_enable_latency_hiding_scheduler=true",
        "--grace_s=60", "--", *SMALL, "--workdir=/mnt/runs/mini",
    ),
    "gcluster.txt": (
        "--target=gke", "--via=gcluster", "--topology=tpu7x:4x4x8", "--name=tml",
        "--image=IMAGE", "--cluster=c", "--project=p", "--zone=us-central1-c", "--", *BENCH,
    ),
    "xpk.txt": (
        "--target=gke", "--via=xpk", "--topology=v5p:4x4x4", "--name=tml",
        "--image=IMAGE", "--cluster=c", "--project=p", "--zone=us-east5-a", "--", *BENCH,
    ),
    "queued_resource.sh": (
        "--target=queued-resource", "--topology=v5e:4x4", "--zone=us-west4-a", "--spot",
        "--name=mini", "--image=us-docker.pkg.dev/p/r/image:1", "--secret=HF_TOKEN=hub",
        MOUNT, "--", *SMALL, "--workdir=/gcs/bucket/mini",
    ),
    "queued_resource_multislice.sh": (
        "--target=queued-resource", "--topology=v5p:4x4x4", "--slices=2",
        "--zone=us-east5-a", "--project=p", "--reserved", "--keep", "--name=tml",
        "--mounted=/mnt/runs",
        "--setup=git clone https://example.com/interaction && cd interaction && "
        "pip install -e '.[tpu]'", "--", *SMALL, "--workdir=/mnt/runs/tml",
    ),
    "slurm.sh": (
        "--target=slurm", "--nodes=4", "--time=24:00:00", "--cpus_per_task=12",
        "--partition=gpu", "--account=lab", "--name=mini", "--sbatch=--constraint=h100",
        "--secret=HF_TOKEN=/home/me/.hub", "--setup=source .venv/bin/activate", "--",
        *SMALL, "--workdir=runs/mini",
    ),
    "local.txt": ("--target=local", "--hosts=2", "--devices=4", "--", *SMALL),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_renders_as_before(launch, name):
    said = launch("render", *CASES[name])
    assert said.code == 0, said.err
    assert said.out == (HERE / "goldens" / name).read_text()


if __name__ == "__main__":
    for name, words in CASES.items():
        command = [sys.executable, "-m", "launch", "render", *words]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        (HERE / "goldens" / name).write_text(done.stdout)
