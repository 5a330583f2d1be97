"""The completion script for bash, 3.2 (macOS) and newer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.cli.shells.words import CHOICE, DIRECTORY, FILE, NOTHING, TEXT, flatten

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from claudy.cli.shells.words import Value, Words

_SCRIPT = """\
# claudy completion for bash, generated from its parser: python -m claudy.cli.shells
#
#   claudy completion bash > ~/.local/share/bash-completion/completions/claudy
#
# or in ~/.bashrc:  source <(claudy completion bash)

_claudy_words() {
    local IFS=$'\\n'
    COMPREPLY+=($(compgen -W "${1// /$'\\n'}" -- "$2"))
}

_claudy_paths() { # -d: directories; -f: files too
    local IFS=$'\\n'
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
            @WITH_VALUES@) skip=1 ;;
            esac ;;
        *)
            case "$at $word" in
            @NAMES@) at=$word ;;
@BELOW@
            ' '*) at=run count=1 ;;
            *) count=$((count + 1)) ;;
            esac ;;
        esac
    done
    case "$at $previous" in
@OPTION_VALUES@
    esac
    case "$at $cur" in
@OPTIONS@
    esac
    case "$at $count" in
    ' 0')
        _claudy_words "@COMMANDS@" "$cur"
        _claudy_paths -d "$cur" ;;
@GROUPS@
@ARGUMENTS@
    esac
}
complete -F _claudy claudy
"""


def bash_script(commands: Sequence[Words]) -> str:
    """Return the script.

    Args:
        commands: all commands; the options of `run` also stand without a command.
    """
    flat = flatten(commands)
    groups = [words for words in commands if words.commands]
    parts = {
        "WITH_VALUES": _either(
            f"{start} {name}"
            for path, words in flat
            for start in _starts(path)
            for name in words.with_values
        ),
        "NAMES": _either(f" {words.name}" for words in commands),
        "COMMANDS": " ".join(words.name for words in commands),
        "BELOW": _lines(
            f"            {_either(f'{group.name} {one.name}' for one in group.commands)})"
            f" at='{group.name} '$word ;;"
            for group in groups
        ),
        "OPTION_VALUES": _lines(
            f"    {_either(patterns)})\n        {action}\n        return ;;"
            for action, patterns in _by_action(flat).items()
        ),
        "OPTIONS": _lines(
            "    " + "|".join(f"{_quoted(start)}\\ -*" for start in _starts(path)) + ")\n"
            f'        _claudy_words "{_names(words)}" "$cur"\n        return ;;'
            for path, words in flat
        ),
        "GROUPS": _lines(
            f"    '{group.name} 0') _claudy_words"
            f' "{" ".join(one.name for one in group.commands)}" "$cur" ;;'
            for group in groups
        ),
        "ARGUMENTS": _lines(
            f"    {_quoted(path)}\\ {'*' if value.many else at}) {_complete(value)} ;;"
            for path, words in flat
            for at, value in enumerate(words.arguments)
            if value.kind not in (NOTHING, TEXT)
        ),
    }
    text = _SCRIPT
    for name, part in parts.items():
        text = text.replace(f"@{name}@", part)
    return text


def _by_action(flat: Iterable[tuple[str, Words]]) -> dict[str, list[str]]:
    """Return how the values of options are completed, and for which options that is so."""
    found: dict[str, list[str]] = {}
    for path, words in flat:
        for flag in words.flags:
            if flag.value.kind != NOTHING:
                patterns = found.setdefault(_complete(flag.value), [])
                patterns += [f"{start} {name}" for start in _starts(path) for name in flag.names]
    return found


def _starts(path: str) -> tuple[str, ...]:
    """Return how a command line begins; `run` may be left out."""
    return ("", "run") if path == "run" else (path,)


def _names(words: Words) -> str:
    return " ".join(name for flag in words.flags for name in flag.names)


def _either(patterns: Iterable[str]) -> str:
    return "|".join(f"'{pattern}'" for pattern in patterns)


def _quoted(text: str) -> str:
    return f"'{text}'" if text else ""


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def _complete(value: Value) -> str:
    """Return the command that completes a value."""
    if value.kind == CHOICE:
        return f'_claudy_words "{" ".join(value.choices)}" "$cur"'
    if value.kind == DIRECTORY:
        return '_claudy_paths -d "$cur"'
    return '_claudy_paths -f "$cur"' if value.kind == FILE else ":"
