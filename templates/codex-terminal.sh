# Shows codex in this terminal as soon as its session can be shown:
#   codex-terminal.sh <file that gets the thread's id> <codex> <arguments …>
thread_file=$1
shift
echo "Waiting for codex …"
tries=1200
while [ ! -s "$thread_file" ]; do
  tries=$((tries - 1))
  if [ "$tries" -le 0 ]; then
    echo "codex did not begin a session within two minutes." >&2
    exit 1
  fi
  sleep 0.1 2>/dev/null || sleep 1
done
exec "$@" resume "$(cat "$thread_file")"
