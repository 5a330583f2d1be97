# claudy completion for fish, generated from its parser: python -m claudy.cli.shells
#
#   claudy completion fish > ~/.config/fish/completions/claudy.fish

# The command that is being written: `run`, `ps`, `config set` ...; empty before it, `--` behind it.
function __claudy_at
    set -l at ''
    set -l skip 0
    set -l words (commandline -opc)
    for word in $words[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case '--'
                printf '%s\n' --
                return
            case '-*'
                switch "$at $word"
                    case ' --docker' ' -H' ' --host' ' -c' ' --context' ' --image' ' --pull' ' -e' ' --env' ' -v' ' --volume' ' -p' ' --publish' ' --network' ' --cpus' ' --memory' ' --pids-limit' 'run --docker' 'run -H' 'run --host' 'run -c' 'run --context' 'run --image' 'run --pull' 'run -e' 'run --env' 'run -v' 'run --volume' 'run -p' 'run --publish' 'run --network' 'run --cpus' 'run --memory' 'run --pids-limit' 'directory --docker' 'directory -H' 'directory --host' 'directory -c' 'directory --context' 'directory --image' 'directory --pull' 'directory -e' 'directory --env' 'directory -v' 'directory --volume' 'directory -p' 'directory --publish' 'directory --network' 'directory --cpus' 'directory --memory' 'directory --pids-limit' 'doctor --docker' 'doctor -H' 'doctor --host' 'doctor -c' 'doctor --context' 'doctor --image' 'build-image --platform' 'build-image --build-arg' 'build-image --tag' 'build-image --push' 'build-image -H' 'build-image --host' 'build-image -c' 'build-image --context' 'ps -H' 'ps --host' 'ps -c' 'ps --context' 'status -H' 'status --host' 'status -c' 'status --context' 'logs -n' 'logs --tail' 'logs -H' 'logs --host' 'logs -c' 'logs --context' 'stats -H' 'stats --host' 'stats -c' 'stats --context' 'stop -t' 'stop --time' 'stop -H' 'stop --host' 'stop -c' 'stop --context' 'restart -t' 'restart --time' 'restart -H' 'restart --host' 'restart -c' 'restart --context' 'rm -H' 'rm --host' 'rm -c' 'rm --context' 'prune -H' 'prune --host' 'prune -c' 'prune --context'
                        set skip 1
                end
            case '*'
                switch "$at $word"
                    case ' run' ' doctor' ' build-image' ' ps' ' status' ' logs' ' stats' ' stop' ' restart' ' rm' ' prune' ' config' ' trust' ' completion'
                        set at $word
                    case 'config show' 'config path' 'config set' 'config edit'
                        set at 'config '$word
                    case ' *'
                        set at directory
                end
        end
    end
    printf '%s\n' $at
end

# Whether one of these is being written.
function __claudy_in
    contains -- (__claudy_at) $argv
end

# The command behind `--`, as if it stood alone.
function __claudy_inner
    set -l words (commandline -opc)
    set -e words[1..(contains -i -- -- $words)]
    complete -C (string join -- ' ' (string escape -- $words) (commandline -ct))
end

complete -c claudy -f
complete -c claudy -n '__claudy_in --' -x -a '(__claudy_inner)'
complete -c claudy -n "__claudy_in ''" -a '(__fish_complete_directories)'
complete -c claudy -n "__claudy_in ''" -a run -d 'Open the project\'s sandbox (same as claudy without a command)'
complete -c claudy -n "__claudy_in ''" -a doctor -d 'Prove that claudy works here, or say what to do'
complete -c claudy -n "__claudy_in ''" -a build-image -d 'Build, pull or push the bundled image'
complete -c claudy -n "__claudy_in ''" -a ps -d 'List the sandboxes'
complete -c claudy -n "__claudy_in ''" -a status -d 'Show the engine, and how a sandbox and what it started are'
complete -c claudy -n "__claudy_in ''" -a logs -d 'Print what a container that the sandbox started has written'
complete -c claudy -n "__claudy_in ''" -a stats -d 'Show the CPU, memory, network and disk that they use'
complete -c claudy -n "__claudy_in ''" -a stop -d 'Stop a sandbox or containers; the home of a sandbox stays'
complete -c claudy -n "__claudy_in ''" -a restart -d 'Restart containers, or a sandbox that is kept (--keep)'
complete -c claudy -n "__claudy_in ''" -a rm -d 'Remove a sandbox or containers by force'
complete -c claudy -n "__claudy_in ''" -a prune -d 'Remove what claudy made and nobody uses'
complete -c claudy -n "__claudy_in ''" -a config -d 'Show and change settings, and where each came from'
complete -c claudy -n "__claudy_in ''" -a trust -d 'Accept what the project\'s .claudy.toml asks for'
complete -c claudy -n "__claudy_in ''" -a completion -d 'Print a completion script; its first lines say where it goes'
complete -c claudy -n "__claudy_in config" -a show -d 'Show every setting, its value and its source'
complete -c claudy -n "__claudy_in config" -a path -d 'Print the path of the settings file'
complete -c claudy -n "__claudy_in config" -a set -d 'Change a setting in the file'
complete -c claudy -n "__claudy_in config" -a edit -d 'Open the settings file in your editor and check it afterwards'

complete -c claudy -n "__claudy_in '' run directory" -l docker -x -a 'guard host none' -d 'How the sandbox reaches Docker'
complete -c claudy -n "__claudy_in '' run directory" -s H -l host -x -d 'Engine to use, as in the docker CLI'
complete -c claudy -n "__claudy_in '' run directory" -s c -l context -x -d 'Docker context to use'
complete -c claudy -n "__claudy_in '' run directory" -l image -x -d 'Use that image instead of the bundled one'
complete -c claudy -n "__claudy_in '' run directory" -l pull -x -a 'missing always never' -d 'When to pull it'
complete -c claudy -n "__claudy_in '' run directory" -s e -l env -x -d 'Environment inside; K passes it on'
complete -c claudy -n "__claudy_in '' run directory" -s v -l volume -r -F -d 'Mount something more'
complete -c claudy -n "__claudy_in '' run directory" -s p -l publish -x -d 'Publish, as in docker run'
complete -c claudy -n "__claudy_in '' run directory" -l network -x -d 'Network of the sandbox'
complete -c claudy -n "__claudy_in '' run directory" -l cpus -x -d 'Limit of CPUs'
complete -c claudy -n "__claudy_in '' run directory" -l memory -x -d 'Limit of memory'
complete -c claudy -n "__claudy_in '' run directory" -l pids-limit -x -d 'Limit of processes'
complete -c claudy -n "__claudy_in '' run directory" -l read-only -d 'Mount the project read-only'
complete -c claudy -n "__claudy_in '' run directory" -l sudo -d 'Passwordless sudo inside'
complete -c claudy -n "__claudy_in '' run directory" -l new -d 'A second sandbox of this project'
complete -c claudy -n "__claudy_in '' run directory" -l keep -d 'Leave it running after the last session'
complete -c claudy -n "__claudy_in '' run directory" -l recreate -d 'Replace a running one'
complete -c claudy -n "__claudy_in '' run directory" -l dry-run -d 'Print the docker run line; change nothing'
complete -c claudy -n "__claudy_in '' run directory" -s y -l yes -d 'Answer every question with yes'
complete -c claudy -n "__claudy_in '' run directory" -l no-input -d 'Never ask; a needed answer is an error'
complete -c claudy -n "__claudy_in '' run directory" -s q -l quiet -d 'No notices and no progress'
complete -c claudy -n "__claudy_in '' run directory" -l debug -d 'Say what is decided; tracebacks'
complete -c claudy -n "__claudy_in '' run directory" -l version -d 'Print the version'
complete -c claudy -n "__claudy_in '' run directory" -s h -l help -d 'Show this message and exit'

complete -c claudy -n "__claudy_in doctor" -l fix -d 'Mend what can be mended, each asked'
complete -c claudy -n "__claudy_in doctor" -l list-checks -d 'Name all checks'
complete -c claudy -n "__claudy_in doctor" -l docker -x -a 'guard host none' -d 'How the sandbox reaches Docker'
complete -c claudy -n "__claudy_in doctor" -s H -l host -x -d 'Engine to use, as in the docker CLI'
complete -c claudy -n "__claudy_in doctor" -s c -l context -x -d 'Docker context to use'
complete -c claudy -n "__claudy_in doctor" -l image -x -d 'Use that image instead of the bundled one'
complete -c claudy -n "__claudy_in doctor" -l json -d 'Print exactly one JSON object'
complete -c claudy -n "__claudy_in doctor" -s y -l yes -d 'Answer every question with yes'
complete -c claudy -n "__claudy_in doctor" -l no-input -d 'Never ask; a needed answer is an error'
complete -c claudy -n "__claudy_in doctor" -s q -l quiet -d 'No notices and no progress'
complete -c claudy -n "__claudy_in doctor" -l debug -d 'Say what is decided; tracebacks'
complete -c claudy -n "__claudy_in doctor" -s h -l help -d 'Show this message and exit'
complete -c claudy -n "__claudy_in doctor" -a 'place project endpoint connection answer daemon patches files socket-source image registry credentials disk leftovers sandbox user ping tools bind-mount ownership sibling terminal dns proxy disk-inside'

complete -c claudy -n "__claudy_in build-image" -l no-cache -d 'Build it anew, every step of it'
complete -c claudy -n "__claudy_in build-image" -l pull -d 'Build it anew on the newest base image'
complete -c claudy -n "__claudy_in build-image" -l platform -x -d 'As linux/arm64; default: the engine\'s own'
complete -c claudy -n "__claudy_in build-image" -l build-arg -x -d 'Argument of the Dockerfile; K takes it from here'
complete -c claudy -n "__claudy_in build-image" -l tag -x -d 'One more name for the image'
complete -c claudy -n "__claudy_in build-image" -l push -x -d 'Push it as REGISTRY/hal9000:<hash>'
complete -c claudy -n "__claudy_in build-image" -l check -d 'Only say whether it is up to date: 0 yes, 1 no'
complete -c claudy -n "__claudy_in build-image" -s H -l host -x -d 'Engine to use, as in the docker CLI'
complete -c claudy -n "__claudy_in build-image" -s c -l context -x -d 'Docker context to use'
complete -c claudy -n "__claudy_in build-image" -s y -l yes -d 'Answer every question with yes'
complete -c claudy -n "__claudy_in build-image" -l no-input -d 'Never ask; a needed answer is an error'
complete -c claudy -n "__claudy_in build-image" -s q -l quiet -d 'No notices and no progress'
complete -c claudy -n "__claudy_in build-image" -l debug -d 'Say what is decided; tracebacks'
complete -c claudy -n "__claudy_in build-image" -s h -l help -d 'Show this message and exit'

complete -c claudy -n "__claudy_in ps" -s a -l all -d 'Also the containers that they started'
complete -c claudy -n "__claudy_in ps" -l json -d 'Print exactly one JSON object'
complete -c claudy -n "__claudy_in ps" -s H -l host -x -d 'Engine to use, as in the docker CLI'
complete -c claudy -n "__claudy_in ps" -s c -l context -x -d 'Docker context to use'
complete -c claudy -n "__claudy_in ps" -l debug -d 'Say what is decided; tracebacks'
complete -c claudy -n "__claudy_in ps" -s h -l help -d 'Show this message and exit'

complete -c claudy -n "__claudy_in status" -l json -d 'Print exactly one JSON object'
complete -c claudy -n "__claudy_in status" -s H -l host -x -d 'Engine to use, as in the docker CLI'
complete -c claudy -n "__claudy_in status" -s c -l context -x -d 'Docker context to use'
complete -c claudy -n "__claudy_in status" -l debug -d 'Say what is decided; tracebacks'
complete -c claudy -n "__claudy_in status" -s h -l help -d 'Show this message and exit'

complete -c claudy -n "__claudy_in logs" -s n -l tail -x -d 'Only the last N lines'
complete -c claudy -n "__claudy_in logs" -s f -l follow -d 'Go on until it ends'
complete -c claudy -n "__claudy_in logs" -l guard -d 'What the guard of this project has refused'
complete -c claudy -n "__claudy_in logs" -s H -l host -x -d 'Engine to use, as in the docker CLI'
complete -c claudy -n "__claudy_in logs" -s c -l context -x -d 'Docker context to use'
complete -c claudy -n "__claudy_in logs" -l debug -d 'Say what is decided; tracebacks'
complete -c claudy -n "__claudy_in logs" -s h -l help -d 'Show this message and exit'

complete -c claudy -n "__claudy_in stats" -l json -d 'Print exactly one JSON object'
complete -c claudy -n "__claudy_in stats" -s H -l host -x -d 'Engine to use, as in the docker CLI'
complete -c claudy -n "__claudy_in stats" -s c -l context -x -d 'Docker context to use'
complete -c claudy -n "__claudy_in stats" -l debug -d 'Say what is decided; tracebacks'
complete -c claudy -n "__claudy_in stats" -s h -l help -d 'Show this message and exit'

complete -c claudy -n "__claudy_in stop" -s t -l time -x -d 'How long processes have to end by themselves'
complete -c claudy -n "__claudy_in stop" -s H -l host -x -d 'Engine to use, as in the docker CLI'
complete -c claudy -n "__claudy_in stop" -s c -l context -x -d 'Docker context to use'
complete -c claudy -n "__claudy_in stop" -s y -l yes -d 'Answer every question with yes'
complete -c claudy -n "__claudy_in stop" -l no-input -d 'Never ask; a needed answer is an error'
complete -c claudy -n "__claudy_in stop" -l debug -d 'Say what is decided; tracebacks'
complete -c claudy -n "__claudy_in stop" -s h -l help -d 'Show this message and exit'

complete -c claudy -n "__claudy_in restart" -s t -l time -x -d 'How long processes have to end by themselves'
complete -c claudy -n "__claudy_in restart" -s H -l host -x -d 'Engine to use, as in the docker CLI'
complete -c claudy -n "__claudy_in restart" -s c -l context -x -d 'Docker context to use'
complete -c claudy -n "__claudy_in restart" -s y -l yes -d 'Answer every question with yes'
complete -c claudy -n "__claudy_in restart" -l no-input -d 'Never ask; a needed answer is an error'
complete -c claudy -n "__claudy_in restart" -l debug -d 'Say what is decided; tracebacks'
complete -c claudy -n "__claudy_in restart" -s h -l help -d 'Show this message and exit'

complete -c claudy -n "__claudy_in rm" -l volumes -d 'Also the sandbox\'s home: its history, caches and logins are lost'
complete -c claudy -n "__claudy_in rm" -s H -l host -x -d 'Engine to use, as in the docker CLI'
complete -c claudy -n "__claudy_in rm" -s c -l context -x -d 'Docker context to use'
complete -c claudy -n "__claudy_in rm" -s y -l yes -d 'Answer every question with yes'
complete -c claudy -n "__claudy_in rm" -l no-input -d 'Never ask; a needed answer is an error'
complete -c claudy -n "__claudy_in rm" -l debug -d 'Say what is decided; tracebacks'
complete -c claudy -n "__claudy_in rm" -s h -l help -d 'Show this message and exit'

complete -c claudy -n "__claudy_in prune" -l volumes -d 'Also homes and guards\' memory of projects without a sandbox'
complete -c claudy -n "__claudy_in prune" -s n -l dry-run -d 'Say what would be removed; change nothing'
complete -c claudy -n "__claudy_in prune" -l json -d 'Print exactly one JSON object'
complete -c claudy -n "__claudy_in prune" -s H -l host -x -d 'Engine to use, as in the docker CLI'
complete -c claudy -n "__claudy_in prune" -s c -l context -x -d 'Docker context to use'
complete -c claudy -n "__claudy_in prune" -s y -l yes -d 'Answer every question with yes'
complete -c claudy -n "__claudy_in prune" -l no-input -d 'Never ask; a needed answer is an error'
complete -c claudy -n "__claudy_in prune" -l debug -d 'Say what is decided; tracebacks'
complete -c claudy -n "__claudy_in prune" -s h -l help -d 'Show this message and exit'

complete -c claudy -n "__claudy_in 'config show'" -l json -d 'Print exactly one JSON object'
complete -c claudy -n "__claudy_in 'config show'" -s h -l help -d 'Show this message and exit'

complete -c claudy -n "__claudy_in 'config path'" -l project -d 'The project\'s file, not yours'
complete -c claudy -n "__claudy_in 'config path'" -s h -l help -d 'Show this message and exit'

complete -c claudy -n "__claudy_in 'config set'" -l project -d 'The project\'s file, not yours'
complete -c claudy -n "__claudy_in 'config set'" -s h -l help -d 'Show this message and exit'
complete -c claudy -n "__claudy_in 'config set'" -a 'docker host context socket_source image pull registry env volumes publish network cpus memory pids_limit read_only sudo keep visibility build_cache budget_memory budget_cpus budget_pids budget_containers budget_ports guard_runs publish_all'

complete -c claudy -n "__claudy_in 'config edit'" -l project -d 'The project\'s file, not yours'
complete -c claudy -n "__claudy_in 'config edit'" -s h -l help -d 'Show this message and exit'

complete -c claudy -n "__claudy_in trust" -l remove -d 'Take it back'
complete -c claudy -n "__claudy_in trust" -s y -l yes -d 'Answer every question with yes'
complete -c claudy -n "__claudy_in trust" -l no-input -d 'Never ask; a needed answer is an error'
complete -c claudy -n "__claudy_in trust" -s h -l help -d 'Show this message and exit'
complete -c claudy -n "__claudy_in trust" -a '(__fish_complete_directories)'

complete -c claudy -n "__claudy_in completion" -l debug -d 'Say what is decided; tracebacks'
complete -c claudy -n "__claudy_in completion" -s h -l help -d 'Show this message and exit'
complete -c claudy -n "__claudy_in completion" -a 'bash zsh fish powershell'

complete -c claudy -n '__claudy_in run' -a '(__fish_complete_directories)'
