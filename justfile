set positional-arguments := true

# List the recipes.
_default:
    @just --list

# The guestbook is what the stacks of this repository run.
export AGENT_HARNESS_CONFIG := env("AGENT_HARNESS_CONFIG", justfile_directory() / "examples/guestbook/agent-harness.yml")

# the stacks of coding agents (just agent)
mod agent 'templates/agent.just'

# install, build, launch agent 1 of the guestbook
quickstart *args:
    @./scripts/quickstart "$@"

# the shared services: just infra status
infra *args:
    @npx --no -- agent-harness infra "$@"

# lint, types, boundaries, dead code, generated docs, fast tests
check:
    @npm run --silent check

# repair what the linter can
fix:
    @npm run --silent fix

# every test, with real parts
test *args:
    @./scripts/test "$@"
