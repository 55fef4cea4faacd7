#compdef {{programs}}
# Completion of {{programs}} for zsh. Put this into ~/.zshrc:
#   source <(agent-harness completion zsh)
# or the whole text into a file _agent-harness in a folder of $fpath.
_agent_harness_complete() {
  local line value
  local -a candidates
  for line in "${(@f)$(agent-harness complete -- "${(@Q)words[1,CURRENT]}" 2>/dev/null)}"; do
    [[ -z $line ]] && continue
    if [[ $line == ":files" ]]; then
      _files
      continue
    fi
    value=${line%%$'\t'*}
    if [[ $value == "$line" ]]; then
      candidates+=("${value//:/\\:}")
    else
      candidates+=("${value//:/\\:}:${line#*$'\t'}")
    fi
  done
  (( $#candidates )) && _describe 'agent-harness' candidates
}
if [[ ${zsh_eval_context[-1]} == loadautofunc ]]; then
  _agent_harness_complete "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
  compdef _agent_harness_complete {{programs}}
fi
