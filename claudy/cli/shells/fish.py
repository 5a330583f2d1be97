"""The completion script for fish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.cli.shells.words import CHOICE, DIRECTORY, FILE, NOTHING, flatten

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from claudy.cli.shells.words import Flag, Value, Words

_HEAD = """\
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
                printf '%s\\n' --
                return
            case '-*'
                switch "$at $word"
                    case @WITH_VALUES@
                        set skip 1
                end
            case '*'
                switch "$at $word"
                    case @NAMES@
                        set at $word
@BELOW@
                    case ' *'
                        set at directory
                end
        end
    end
    printf '%s\\n' $at
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
"""


def fish_script(commands: Sequence[Words]) -> str:
    """Return the script.

    Args:
        commands: all commands; the options of `run` also stand without a command.
    """
    flat = flatten(commands)
    groups = [words for words in commands if words.commands]
    below = "\n".join(
        f"                    case {_either(f'{g.name} {one.name}' for one in g.commands)}\n"
        f"                        set at '{g.name} '$word"
        for g in groups
    )
    with_values = _either(
        f"{start} {name}"
        for path, words in flat
        for start in (("", "run", "directory") if path == "run" else (path,))
        for name in words.with_values
    )
    head = _HEAD.replace("@WITH_VALUES@", with_values).replace("@BELOW@", below)
    lines = [head.replace("@NAMES@", _either(f" {words.name}" for words in commands)).rstrip("\n")]
    lines += [_word("''", words) for words in commands]
    for group in groups:
        lines += [_word(group.name, one) for one in group.commands]
    for path, words in flat:
        where = "'' run directory" if path == "run" else f"'{path}'" if " " in path else path
        lines.append("")
        lines += [_flag(where, flag) for flag in words.flags]
        if words.argument.kind != NOTHING and path != "run":
            lines += _argument(path, words.argument)
    lines += ["", "complete -c claudy -n '__claudy_in run' -a '(__fish_complete_directories)'"]
    return "\n".join(lines) + "\n"


def _either(patterns: Iterable[str]) -> str:
    return " ".join(f"'{pattern}'" for pattern in patterns)


def _word(where: str, words: Words) -> str:
    return f'complete -c claudy -n "__claudy_in {where}" -a {words.name} -d {_quote(words.help)}'


def _flag(where: str, flag: Flag) -> str:
    names = " ".join(
        f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names
    )
    line = f'complete -c claudy -n "__claudy_in {where}" {names}'
    return f"{line}{_value(flag.value)} -d {_quote(flag.help)}"


def _value(value: Value) -> str:
    if value.kind == NOTHING:
        return ""
    if value.kind == CHOICE:
        return f" -x -a '{' '.join(value.choices)}'"
    if value.kind == DIRECTORY:
        return " -x -a '(__fish_complete_directories)'"
    return " -r -F" if value.kind == FILE else " -x"


def _argument(path: str, value: Value) -> list[str]:
    where = f"'{path}'" if " " in path else path
    front = f'complete -c claudy -n "__claudy_in {where}"'
    if value.kind == CHOICE:
        return [f"{front} -a '{' '.join(value.choices)}'"]
    if value.kind == DIRECTORY:
        return [f"{front} -a '(__fish_complete_directories)'"]
    return [f"{front} -F"] if value.kind == FILE else []


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
