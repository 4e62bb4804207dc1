#!/usr/bin/env bash
# tml: 2 slice(s) of v5p:4x4x4, 32 TPU VM(s). Asks for the TPUs, waits until they are
# there, runs the job on every VM at once, and asks again when they were taken away: the
# run goes on from its last checkpoint. Started again, it goes on with TPUs that it finds.
# Runtime v2-alpha-tpuv5: check with gcloud compute tpus tpu-vm versions list.
set -uo pipefail

state() {
  local said
  if said=$(gcloud compute tpus queued-resources describe tml --zone=us-east5-a --project=p '--format=value(state.state)' 2>&1); then
    echo "${said##*$'\n'}"
  elif [[ $said == *NOT_FOUND* ]]; then
    echo NONE
  else
    echo UNKNOWN # the network, or rights: tml may well be there
  fi
}
create() { gcloud compute tpus queued-resources create tml --zone=us-east5-a --project=p --runtime-version=v2-alpha-tpuv5 --accelerator-type=v5p-128 --node-count=2 --node-prefix=tml --reserved; }
delete() { gcloud compute tpus queued-resources delete tml --zone=us-east5-a --project=p --force --quiet; }
on_all_hosts() { gcloud compute tpus queued-resources ssh tml --zone=us-east5-a --project=p --node=all --worker=all --batch-size=all --command="$1" </dev/null; }

IFS= read -r -d '' job <<'JOB' || true
set -e
export JAX_PLATFORMS=tpu,cpu
export TPU_STDERR_LOG_LEVEL=0
export TPU_MIN_LOG_LEVEL=0
export TF_CPP_MIN_LOG_LEVEL=0
export JAX_COMPILATION_CACHE_DIR=/mnt/runs/tml/compilation_cache
git clone https://example.com/interaction && cd interaction && pip install -e '.[tpu]'
sh -c '# Run "$@"; what ends well after it was told to stop is not finished, and says so.
stopped=
child=
stop() {
  stopped=1
  kill -TERM "$child" 2>/dev/null
}
trap stop TERM INT
"$@" &
child=$!
wait "$child"
code=$?
# A signal ends wait early: wait again until the command has ended.
while [ "$code" -gt 128 ] && kill -0 "$child" 2>/dev/null; do
  wait "$child"
  code=$?
done
if [ -n "$stopped" ] && [ "$code" -eq 0 ]; then
  code=143
fi
exit "$code"
' entry python -m interaction.train --config=configs/mini.py --distributed --workdir=/mnt/runs/tml
JOB

until_active() {
  local now last=
  while :; do
    now=$(state)
    [ "$now" = "$last" ] || echo "tml: $now" >&2
    last=$now
    case $now in
      ACTIVE) return 0 ;;
      SUSPENDED | FAILED) delete || return 1 ;;
      NONE) create || return 1 ;;
      *) ;; # on the way, up or down
    esac
    sleep "${LAUNCH_POLL_S:-30}"
  done
}

failures=0
while :; do
  until_active || exit 1
  # Keys spread at the first ssh to a worker: once alone, then with the job.
  if on_all_hosts true && on_all_hosts "$job"; then
    echo "tml: done" >&2
    exit 0
  fi
  if [ "$(state)" != ACTIVE ]; then
    echo "tml: the TPUs were taken away; asking again" >&2
    continue
  fi
  failures=$((failures + 1))
  if [ "$failures" -gt 10 ]; then
    echo "tml: failed $failures times; the TPUs are still there, and cost, until:" >&2
    echo "  gcloud compute tpus queued-resources delete tml --zone=us-east5-a --project=p --force --quiet" >&2
    exit 1
  fi
  echo "tml: failed $failures times; trying again" >&2
  sleep "${LAUNCH_POLL_S:-30}"
done
