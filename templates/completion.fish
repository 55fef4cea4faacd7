# Completion of {{programs}} for fish. Put this into ~/.config/fish/config.fish:
#   agent-harness completion fish | source
function __agent_harness_complete
    set -l current (commandline -ct)
    for line in (agent-harness complete -- (commandline -opc) "$current" 2>/dev/null)
        if test "$line" = ":files"
            __fish_complete_path "$current"
        else
            printf '%s\n' $line
        end
    end
end
for program in {{programs}}
    complete -c $program -f -a '(__agent_harness_complete)'
end
