#!/usr/bin/env bash
{% for option in options %}
#SBATCH {{ option }}
{% endfor %}
# One process a task; jax.distributed.initialize() reads Slurm's variables.
set -uo pipefail

{% for name, value in env.items() %}
export {{ name }}={{ value | quote }}
{% endfor %}
{% for name, path in secrets.items() %}
{{ name }}=$(cat {{ path | quote }}) || exit 1
export {{ name }}
{% endfor %}
{% if setup %}
{{ setup }} || exit 1
{% endif %}

# USR1 comes before the time limit, TERM when the job is to end: its processes are told
# to save. srun, told itself, would kill them at once; scancel reaches the steps alone.
stopped=
tell() {
  stopped=$1
  scancel --signal=TERM "$SLURM_JOB_ID"
}
trap 'tell limit' USR1
trap 'tell asked' TERM
{{ srun }} \
  {{ command }} &
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
if [ "$code" -ne 0 ] && [ -z "$stopped" ] && [ "${SLURM_RESTART_COUNT:-0}" -lt {{ max_restarts }} ]; then
  exec scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
