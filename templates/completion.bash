# Completion of {{programs}} for bash. Put this into ~/.bashrc:
#   source <(agent-harness completion bash)
_agent_harness_complete() {
  local current=${COMP_WORDS[COMP_CWORD]} value
  COMPREPLY=()
  while IFS=$'\t' read -r value _; do
    if [ "$value" != ":files" ]; then
      COMPREPLY+=("$value")
      continue
    fi
    compopt -o filenames 2>/dev/null
    while IFS= read -r value; do
      COMPREPLY+=("$value")
    done < <(compgen -f -- "$current")
  done < <(agent-harness complete -- "${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null)
}
complete -F _agent_harness_complete {{programs}}
