#!/bin/sh
# The terminal of an opencode session: waits until the bridge has said where the server is, then becomes the program.
# Usage: opencode-attach.sh <server file> <working directory> <opencode> [arguments …]
file=$1 dir=$2
shift 2
tries=0
until [ -s "$file" ]; do
  tries=$((tries + 1))
  if [ "$tries" -gt 1200 ]; then
    echo "opencode serve did not start within two minutes." >&2
    exit 1
  fi
  sleep 0.1
done
{ read -r url; read -r OPENCODE_SERVER_PASSWORD; read -r session; } < "$file"
if [ "$url" = failed ]; then
  echo "opencode serve did not start; the session's journal says why." >&2
  exit 1
fi
export OPENCODE_SERVER_PASSWORD
exec "$@" attach "$url" --session "$session" --dir "$dir"
