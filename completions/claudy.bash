# claudy completion for bash, generated from its parser: python -m claudy.cli.shells
#
#   claudy completion bash > ~/.local/share/bash-completion/completions/claudy
#
# or in ~/.bashrc:  source <(claudy completion bash)

_claudy_words() {
    local IFS=$'\n'
    COMPREPLY+=($(compgen -W "${1// /$'\n'}" -- "$2"))
}

_claudy_paths() { # -d: directories; -f: files too
    local IFS=$'\n'
    COMPREPLY+=($(compgen "$1" -- "$2"))
    compopt -o filenames 2>/dev/null
}

_claudy() {
    local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local at= count=0 skip= word i
    COMPREPLY=()
    # bash cuts --docker=guard and SRC:DST into three words each.
    if [ "$cur" = = ]; then
        cur=
    elif [ "$previous" = = ]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if [ "$cur" = : ] || [ "$previous" = : ]; then return; fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [ "$word" = = ] || [ "$word" = : ]; then skip=1; continue; fi
        if [ -n "$skip" ]; then skip=; continue; fi
        case $word in
        --)
            if [ $((i + 1)) -eq "$COMP_CWORD" ]; then
                _claudy_paths -c "$cur"
            else
                _claudy_paths -f "$cur"
            fi
            return ;;
        -*)
            case "$at $word" in
            ' --docker'|' -H'|' --host'|' -c'|' --context'|' --image'|' --pull'|' -e'|' --env'|' -v'|' --volume'|' -p'|' --publish'|' --network'|' --cpus'|' --memory'|' --pids-limit'|'run --docker'|'run -H'|'run --host'|'run -c'|'run --context'|'run --image'|'run --pull'|'run -e'|'run --env'|'run -v'|'run --volume'|'run -p'|'run --publish'|'run --network'|'run --cpus'|'run --memory'|'run --pids-limit'|'doctor --docker'|'doctor -H'|'doctor --host'|'doctor -c'|'doctor --context'|'doctor --image'|'build-image --platform'|'build-image --build-arg'|'build-image --tag'|'build-image --push'|'build-image -H'|'build-image --host'|'build-image -c'|'build-image --context'|'ps -H'|'ps --host'|'ps -c'|'ps --context'|'status -H'|'status --host'|'status -c'|'status --context'|'logs -n'|'logs --tail'|'logs -H'|'logs --host'|'logs -c'|'logs --context'|'stats -H'|'stats --host'|'stats -c'|'stats --context'|'stop -t'|'stop --time'|'stop -H'|'stop --host'|'stop -c'|'stop --context'|'restart -t'|'restart --time'|'restart -H'|'restart --host'|'restart -c'|'restart --context'|'rm -H'|'rm --host'|'rm -c'|'rm --context'|'prune -H'|'prune --host'|'prune -c'|'prune --context') skip=1 ;;
            esac ;;
        *)
            case "$at $word" in
            ' run'|' doctor'|' build-image'|' ps'|' status'|' logs'|' stats'|' stop'|' restart'|' rm'|' prune'|' config'|' trust'|' completion') at=$word ;;
            'config show'|'config path'|'config set'|'config edit') at='config '$word ;;
            ' '*) at=run count=1 ;;
            *) count=$((count + 1)) ;;
            esac ;;
        esac
    done
    case "$at $previous" in
    ' --docker'|'run --docker'|'doctor --docker')
        _claudy_words "guard host none" "$cur"
        return ;;
    ' -H'|' --host'|'run -H'|'run --host'|' -c'|' --context'|'run -c'|'run --context'|' --image'|'run --image'|' -e'|' --env'|'run -e'|'run --env'|' -p'|' --publish'|'run -p'|'run --publish'|' --network'|'run --network'|' --cpus'|'run --cpus'|' --memory'|'run --memory'|' --pids-limit'|'run --pids-limit'|'doctor -H'|'doctor --host'|'doctor -c'|'doctor --context'|'doctor --image'|'build-image --platform'|'build-image --build-arg'|'build-image --tag'|'build-image --push'|'build-image -H'|'build-image --host'|'build-image -c'|'build-image --context'|'ps -H'|'ps --host'|'ps -c'|'ps --context'|'status -H'|'status --host'|'status -c'|'status --context'|'logs -n'|'logs --tail'|'logs -H'|'logs --host'|'logs -c'|'logs --context'|'stats -H'|'stats --host'|'stats -c'|'stats --context'|'stop -t'|'stop --time'|'stop -H'|'stop --host'|'stop -c'|'stop --context'|'restart -t'|'restart --time'|'restart -H'|'restart --host'|'restart -c'|'restart --context'|'rm -H'|'rm --host'|'rm -c'|'rm --context'|'prune -H'|'prune --host'|'prune -c'|'prune --context')
        :
        return ;;
    ' --pull'|'run --pull')
        _claudy_words "missing always never" "$cur"
        return ;;
    ' -v'|' --volume'|'run -v'|'run --volume')
        _claudy_paths -f "$cur"
        return ;;
    esac
    case "$at $cur" in
    \ -*|'run'\ -*)
        _claudy_words "--docker -H --host -c --context --image --pull -e --env -v --volume -p --publish --network --cpus --memory --pids-limit --read-only --sudo --new --keep --recreate --dry-run -y --yes --no-input -q --quiet --debug --version -h --help" "$cur"
        return ;;
    'doctor'\ -*)
        _claudy_words "--fix --list-checks --docker -H --host -c --context --image --json -y --yes --no-input -q --quiet --debug -h --help" "$cur"
        return ;;
    'build-image'\ -*)
        _claudy_words "--no-cache --pull --platform --build-arg --tag --push --check -H --host -c --context -y --yes --no-input -q --quiet --debug -h --help" "$cur"
        return ;;
    'ps'\ -*)
        _claudy_words "-a --all --json -H --host -c --context --debug -h --help" "$cur"
        return ;;
    'status'\ -*)
        _claudy_words "--json -H --host -c --context --debug -h --help" "$cur"
        return ;;
    'logs'\ -*)
        _claudy_words "-n --tail -f --follow --guard -H --host -c --context --debug -h --help" "$cur"
        return ;;
    'stats'\ -*)
        _claudy_words "--json -H --host -c --context --debug -h --help" "$cur"
        return ;;
    'stop'\ -*)
        _claudy_words "-t --time -H --host -c --context -y --yes --no-input --debug -h --help" "$cur"
        return ;;
    'restart'\ -*)
        _claudy_words "-t --time -H --host -c --context -y --yes --no-input --debug -h --help" "$cur"
        return ;;
    'rm'\ -*)
        _claudy_words "--volumes -H --host -c --context -y --yes --no-input --debug -h --help" "$cur"
        return ;;
    'prune'\ -*)
        _claudy_words "--volumes -n --dry-run --json -H --host -c --context -y --yes --no-input --debug -h --help" "$cur"
        return ;;
    'config show'\ -*)
        _claudy_words "--json -h --help" "$cur"
        return ;;
    'config path'\ -*)
        _claudy_words "--project -h --help" "$cur"
        return ;;
    'config set'\ -*)
        _claudy_words "--project -h --help" "$cur"
        return ;;
    'config edit'\ -*)
        _claudy_words "--project -h --help" "$cur"
        return ;;
    'trust'\ -*)
        _claudy_words "--remove -y --yes --no-input -h --help" "$cur"
        return ;;
    'completion'\ -*)
        _claudy_words "--debug -h --help" "$cur"
        return ;;
    esac
    case "$at $count" in
    ' 0')
        _claudy_words "run doctor build-image ps status logs stats stop restart rm prune config trust completion" "$cur"
        _claudy_paths -d "$cur" ;;
    'config 0') _claudy_words "show path set edit" "$cur" ;;
    'run'\ 0) _claudy_paths -d "$cur" ;;
    'doctor'\ *) _claudy_words "place project endpoint connection answer daemon patches files socket-source image registry credentials disk leftovers sandbox user ping tools bind-mount ownership sibling terminal dns proxy disk-inside" "$cur" ;;
    'config set'\ 0) _claudy_words "docker host context socket_source image pull registry env volumes publish network cpus memory pids_limit read_only sudo keep visibility build_cache budget_memory budget_cpus budget_pids budget_containers budget_ports guard_runs publish_all" "$cur" ;;
    'trust'\ 0) _claudy_paths -d "$cur" ;;
    'completion'\ 0) _claudy_words "bash zsh fish powershell" "$cur" ;;
    esac
}
complete -F _claudy claudy
