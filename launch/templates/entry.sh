# Run "$@"; what ends well after it was told to stop is not finished, and says so.
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
