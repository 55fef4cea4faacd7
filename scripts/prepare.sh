# Sourced by quickstart and test: checks Node, installs and builds what changed. Each step says what it does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
fail() { printf 'error: %s\nnext: %s\n' "$1" "$2" >&2; exit 3; }

need_node() {
  command -v node >/dev/null || fail "node was not found" "install Node 20.19 or newer: https://nodejs.org"
  node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
    fail "Node $(node --version) is too old" "install Node 20.19 or newer: https://nodejs.org"
  command -v git >/dev/null || fail "git was not found" "install git"
}

# npm ci in a folder, unless its lock file is the one that was installed from. What follows the two names goes to npm.
install_in() {
  local folder=$1 stamp=$1/node_modules/.installed-from name=$2
  shift 2
  if [ -f "$stamp" ] && cmp -s "$folder/package-lock.json" "$stamp"; then
    say "packages of $name: up to date"
    return
  fi
  say "installing the packages of $name"
  (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error "$@" >&2)
  cp "$folder/package-lock.json" "$stamp"
}

prepare() {
  need_node
  install_in . agent-harness
  say "building agent-harness"
  npm run --silent build >&2
  install_in examples/guestbook "the guestbook"
  say "building the guestbook"
  npm run --silent build --prefix examples/guestbook >&2
}
