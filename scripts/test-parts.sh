# Sourced by test: the Docker engine for its tests, and an end that leaves nothing running, interrupted or not.

child=
# In a process group of its own, so that an end ends all of it; and bash, which waits for it, sees signals at once.
run() {
  local code=0
  set -m
  "$@" </dev/null &
  child=$!
  set +m
  wait "$child" || code=$?
  child=
  return "$code"
}

# Reports lie in it, and the temporary files of all tests: what is left there at the end, a test left.
open_folder() {
  folder=$(cd "$(mktemp -d)" && pwd -P)
  mkdir "$folder/report" "$folder/tmp"
  # Other users pass through: as root, Postgres runs as one.
  chmod 711 "$folder" && chmod 1777 "$folder/tmp"
}

engine_is_ours=no
images=${HARNESS_TEST_IMAGES-../shared/images}

engine_answers() {
  # The second one is where `up` puts its own.
  docker info >/dev/null 2>&1 || { [ -z "${DOCKER_HOST:-}" ] &&
    DOCKER_HOST=unix://${IMAGES_HOME:-$HOME/.cache/agent-harness-images}/docker.sock docker info >/dev/null 2>&1; }
}

# Gives the tests DOCKER_HOST and AGENT_*_IMAGE, and says in one line what they have, or why nothing.
open_docker() {
  if [ -n "$images" ] && [ -e "$images/up" ]; then
    say "Docker engine and images: $images/up"
    engine_answers || engine_is_ours=yes
    if run images_up; then
      set -a
      . "$folder/images.env"
      set +a
    else
      say "$images/up failed: $(tail -n 1 "$folder/images.log")"
    fi
  fi
  run node -e 'import("./scripts/docker-ready.mjs").then((one) => one.sayDocker())' || say "no Docker: see above"
}

# What it says is shown as it comes, and kept for the one line that tells why it failed.
images_up() { "$images/up" 2>&1 >"$folder/images.env" | tee "$folder/images.log" >&2; }

close_all() {
  set +e
  # Once is enough: what follows is to come to its end, also when somebody is impatient.
  trap '' INT TERM HUP
  if [ -n "$child" ]; then
    kill -TERM -- "-$child" 2>/dev/null
    wait "$child"
  fi 2>/dev/null
  [ ! -d dist ] || run node scripts/take-down.mjs "$folder/tmp"
  if [ "$engine_is_ours" = yes ]; then
    say "Docker engine: $images/down"
    run "$images/down"
  fi
  rm -rf "$folder"
  [ "$counted" = yes ] || echo "0 passed, 1 failed"
}
