#!/usr/bin/env bash
# {{ name }}: {{ shape }}, {{ hosts }} TPU VM(s). Asks for the TPUs, waits until they are
# there, runs the job on every VM at once, and asks again when they were taken away: the
# run goes on from its last checkpoint. Started again, it goes on with TPUs that it finds.
# Runtime {{ runtime }}: check with gcloud compute tpus tpu-vm versions list.
set -uo pipefail

state() {
  local said
  if said=$({{ describe }} 2>&1); then
    echo "${said##*$'\n'}"
  elif [[ $said == *NOT_FOUND* ]]; then
    echo NONE
  else
    echo UNKNOWN # the network, or rights: {{ name }} may well be there
  fi
}
create() { {{ create }}; }
delete() { {{ delete }}; }
on_all_hosts() { {{ ssh }} --command="$1" </dev/null; }

IFS= read -r -d '' job <<'JOB' || true
{{ remote }}
JOB

until_active() {
  local now last=
  while :; do
    now=$(state)
    [ "$now" = "$last" ] || echo "{{ name }}: $now" >&2
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
    echo "{{ name }}: done" >&2
{% if not keep %}
    delete
{% endif %}
    exit 0
  fi
  if [ "$(state)" != ACTIVE ]; then
    echo "{{ name }}: the TPUs were taken away; asking again" >&2
    continue
  fi
  failures=$((failures + 1))
  if [ "$failures" -gt {{ max_restarts }} ]; then
    echo "{{ name }}: failed $failures times; the TPUs are still there, and cost, until:" >&2
    echo "  {{ delete }}" >&2
    exit 1
  fi
  echo "{{ name }}: failed $failures times; trying again" >&2
  sleep "${LAUNCH_POLL_S:-30}"
done
