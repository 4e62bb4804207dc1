#!/usr/bin/env bash
#SBATCH --job-name=mini
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=8
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
#SBATCH --cpus-per-task=12
#SBATCH --partition=gpu
#SBATCH --account=lab
#SBATCH --constraint=h100
# One process a task; jax.distributed.initialize() reads Slurm's variables.
set -uo pipefail

export JAX_PLATFORMS=cuda,cpu
export XLA_FLAGS='--xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0'
export JAX_COMPILATION_CACHE_DIR=runs/mini/compilation_cache
HF_TOKEN=$(cat /home/me/.hub) || exit 1
export HF_TOKEN
source .venv/bin/activate || exit 1

# USR1 comes before the time limit, TERM when the job is to end: its processes are told
# to save. srun, told itself, would kill them at once; scancel reaches the steps alone.
stopped=
tell() {
  stopped=$1
  scancel --signal=TERM "$SLURM_JOB_ID"
}
trap 'tell limit' USR1
trap 'tell asked' TERM
srun --kill-on-bad-exit --cpus-per-task=12 \
  python -m interaction.train --config=configs/mini.py --distributed --workdir=runs/mini &
step=$!
wait "$step"
code=$?
while [ "$code" -gt 128 ] && kill -0 "$step" 2>/dev/null; do # a signal ends `wait` early
  wait "$step"
  code=$?
done

# After the limit, or a failure, the same job waits for its turn again and goes on from
# the last checkpoint. Slurm itself does so after a preemption or a lost node.
if [ "$stopped" = limit ]; then
  exec scontrol requeue "$SLURM_JOB_ID"
fi
if [ "$stopped" = asked ] && [ "$code" -eq 0 ]; then
  code=143
fi
if [ "$code" -ne 0 ] && [ -z "$stopped" ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 10 ]; then
  exec scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
