"""The completion script for zsh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.cli.shells.words import CHOICE, DIRECTORY, FILE, NOTHING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claudy.cli.shells.words import Flag, Value, Words

_HEAD = """\
#compdef claudy
# claudy completion for zsh, generated from its parser: python -m claudy.cli.shells
#
#   claudy completion zsh > "${fpath[1]}/_claudy"      (and start a new shell)
#
# or, after compinit, in ~/.zshrc:  source <(claudy completion zsh)
"""
_TAIL = """\
_claudy() {
    # What follows -- is a command of its own.
    integer at=${words[(i)--]}
    if (( at < CURRENT )); then
        shift $at words
        (( CURRENT -= at ))
        _normal
        return
    fi
    local context state state_descr line
    typeset -A opt_args
    _arguments -C -s : $_claudy_run '1: :_claudy_first' '*:: :->rest' && return
    [[ $state == rest ]] || return 1
    _claudy_command
}

if [[ $funcstack[1] == _claudy ]]; then
    _claudy "$@"
else
    compdef _claudy claudy
fi
"""


def zsh_script(commands: Sequence[Words]) -> str:
    """Return the script.

    Args:
        commands: all commands; the options of `run` also stand without a command.
    """
    run = next(words for words in commands if words.name == "run")
    flags = "\n".join(f"    {spec}" for flag in run.flags for spec in [_flag(flag)])
    first = "\n".join(f"        {_pair(words)}" for words in commands)
    cases = "\n".join(_case(words, "    ") for words in commands)
    return f"""{_HEAD}
typeset -ga _claudy_run=(
{flags}
)

_claudy_first() {{
    local -a names=(
{first}
    )
    _describe -t commands command names
    _files -/
}}

_claudy_command() {{
    case $words[1] in
{cases}
    *) _arguments -s : $_claudy_run ;;
    esac
}}

{_TAIL}"""


def _case(words: Words, indent: str) -> str:
    """Return the branch for a command."""
    if words.commands:
        pairs = " ".join(_pair(one) for one in words.commands)
        below = "\n".join(_case(one, indent + "    ") for one in words.commands)
        return (
            f"{indent}{words.name})\n"
            f"{indent}    if (( CURRENT == 2 )); then\n"
            f"{indent}        local -a names=({pairs})\n"
            f"{indent}        _describe -t commands command names\n"
            f"{indent}        return\n"
            f"{indent}    fi\n"
            f"{indent}    shift words\n"
            f"{indent}    (( CURRENT-- ))\n"
            f"{indent}    case $words[1] in\n{below}\n{indent}    esac ;;"
        )
    specs = ["$_claudy_run"] if words.name == "run" else [_flag(flag) for flag in words.flags]
    specs += [
        f"'{'*' if value.many else at}:{_escape(_label(value))}:{_action(value)}'"
        for at, value in enumerate(words.arguments, 1)
    ]
    body = f" \\\n{indent}        ".join(["_arguments -s :", *specs])
    return f"{indent}{words.name})\n{indent}    {body} ;;"


def _flag(flag: Flag) -> str:
    """Return the specification of an option for `_arguments`."""
    names = flag.names
    repeat = "*" if flag.value.many else ""
    exclude = f"({' '.join(names)})" if len(names) > 1 and not repeat else ""
    value = ""
    if flag.value.kind != NOTHING:
        value = f":{_escape(_label(flag.value))}:{_action(flag.value)}"
    help_text = _escape(flag.help)
    if len(names) == 1:
        return f"'{repeat}{_spelled(names[0], flag)}[{help_text}]{value}'"
    spelled = ",".join(_spelled(name, flag) for name in names)
    return f"'{exclude}{repeat}'{{{spelled}}}'[{help_text}]{value}'"


def _spelled(name: str, flag: Flag) -> str:
    """Return an option's name with how its value may follow: `--host=` too, `-Hvalue` too."""
    if flag.value.kind == NOTHING:
        return name
    return f"{name}=" if name.startswith("--") else f"{name}+"


def _pair(words: Words) -> str:
    return f"'{words.name}:{_quote(words.help)}'"


def _label(value: Value) -> str:
    return value.shown.strip("[].").split(":")[0].split("[")[0].split("|")[0].lower() or "value"


def _action(value: Value) -> str:
    if value.kind == CHOICE:
        return f"({' '.join(value.choices)})"
    if value.kind == DIRECTORY:
        return "_files -/"
    return "_files" if value.kind == FILE else " "


def _quote(text: str) -> str:
    return text.replace("'", "'\\''")


def _escape(text: str) -> str:
    """Return text for inside a specification in single quotes."""
    for char in "\\[]:":
        text = text.replace(char, f"\\{char}")
    return _quote(text)
