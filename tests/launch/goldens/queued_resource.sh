#!/usr/bin/env bash
# mini: 1 slice(s) of v5e:4x4, 4 TPU VM(s). Asks for the TPUs, waits until they are
# there, runs the job on every VM at once, and asks again when they were taken away: the
# run goes on from its last checkpoint. Started again, it goes on with TPUs that it finds.
# Runtime v2-alpha-tpuv5-lite: check with gcloud compute tpus tpu-vm versions list.
set -uo pipefail

state() {
  local said
  if said=$(gcloud compute tpus queued-resources describe mini --zone=us-west4-a '--format=value(state.state)' 2>&1); then
    echo "${said##*$'\n'}"
  elif [[ $said == *NOT_FOUND* ]]; then
    echo NONE
  else
    echo UNKNOWN # the network, or rights: mini may well be there
  fi
}
create() { gcloud compute tpus queued-resources create mini --zone=us-west4-a --runtime-version=v2-alpha-tpuv5-lite --accelerator-type=v5litepod-16 --node-id=mini --spot --scopes=https://www.googleapis.com/auth/cloud-platform; }
delete() { gcloud compute tpus queued-resources delete mini --zone=us-west4-a --force --quiet; }
on_all_hosts() { gcloud compute tpus queued-resources ssh mini --zone=us-west4-a --node=all --worker=all --batch-size=all --command="$1" </dev/null; }

IFS= read -r -d '' job <<'JOB' || true
set -e
HF_TOKEN="$(gcloud secrets versions access latest --secret=hub)"
export HF_TOKEN
if ! command -v gcsfuse >/dev/null; then
  keys=/usr/share/keyrings/cloud.google.asc url=https://packages.cloud.google.com/apt
  curl -fsS "$url/doc/apt-key.gpg" | sudo tee "$keys" >/dev/null
  echo "deb [signed-by=$keys] $url gcsfuse-$(lsb_release -cs) main" |
    sudo tee /etc/apt/sources.list.d/gcsfuse.list >/dev/null
  sudo apt-get -qq update && sudo apt-get -qq install gcsfuse
fi
mountpoint -q /gcs/bucket || { sudo mkdir -p /gcs/bucket; sudo gcsfuse --implicit-dirs --metadata-cache-ttl-secs=0 --metadata-cache-negative-ttl-secs=0 --rename-dir-limit=200000 -o allow_other --dir-mode=777 --file-mode=666 bucket /gcs/bucket; }
sudo gcloud auth configure-docker us-docker.pkg.dev --quiet
sudo docker rm --force mini >/dev/null 2>&1 || true
sudo --preserve-env=HF_TOKEN docker run --rm --privileged --network=host --shm-size=16g --name=mini --env=JAX_PLATFORMS=tpu,cpu --env=TPU_STDERR_LOG_LEVEL=0 --env=TPU_MIN_LOG_LEVEL=0 --env=TF_CPP_MIN_LOG_LEVEL=0 --env=JAX_COMPILATION_CACHE_DIR=/gcs/bucket/mini/compilation_cache --env=HF_TOKEN --volume=/gcs/bucket:/gcs/bucket us-docker.pkg.dev/p/r/image:1 sh -c '# Run "$@"; what ends well after it was told to stop is not finished, and says so.
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
' entry python -m interaction.train --config=configs/mini.py --distributed --workdir=/gcs/bucket/mini
JOB

until_active() {
  local now last=
  while :; do
    now=$(state)
    [ "$now" = "$last" ] || echo "mini: $now" >&2
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
    echo "mini: done" >&2
    delete
    exit 0
  fi
  if [ "$(state)" != ACTIVE ]; then
    echo "mini: the TPUs were taken away; asking again" >&2
    continue
  fi
  failures=$((failures + 1))
  if [ "$failures" -gt 10 ]; then
    echo "mini: failed $failures times; the TPUs are still there, and cost, until:" >&2
    echo "  gcloud compute tpus queued-resources delete mini --zone=us-west4-a --force --quiet" >&2
    exit 1
  fi
  echo "mini: failed $failures times; trying again" >&2
  sleep "${LAUNCH_POLL_S:-30}"
done
