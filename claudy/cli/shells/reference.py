"""docs/reference.md: every command, option, setting and exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.cli.shells.words import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from claudy.cli.shells.words import Flag, Words
    from claudy.settings.model import Setting

_HEAD = """\
# Reference

Generated from the parser and the settings: `python -m claudy.cli.shells`.

    claudy [OPTIONS] [DIRECTORY] [-- COMMAND [ARGS...]]
    claudy COMMAND [OPTIONS] ...

Without a command it is `claudy run`. A first word that is a command is the command; a directory of
that name is `./doctor`. Options may stand before the command: `claudy -H URL ps`. What follows
`--` is run inside the sandbox as it is.

## Exit codes

| code | meaning |
| --- | --- |
| 0 | it worked; `doctor`: only ok, warn and skip |
| 1 | `doctor`: something fails; `build-image --check`: the image is not up to date |
| 2 | usage or settings: also a name that is not claudy's, a question that nobody answers |
| 125 | claudy or the engine failed, or a question was answered with no |
| 126, 127 | the command can't be run, or is not found |
| 128+N | the command, or claudy, died by signal N |
| 130 | Ctrl-C in claudy itself |
| other | the command's own |

With `--json` stdout has exactly one object, also on failure:
`{"schema": 1, "error": {"code": "...", "message": "...", "hint": "..."}}`.
"""
_SETTINGS = """\
## Settings

flag > `CLAUDY_*` variable > the project's `.claudy.toml` > your `config.toml` > default; lists add
up. `claudy config show` says where each value came from. Amounts of memory are written `512m` or
`2g`, CPUs `1.5`; a variable separates a list's items with commas. `CLAUDY_CONFIG` names another
file as your `config.toml`; `CLAUDY_DEBUG`, if not empty, is `--debug` for every command.

What a project's file asks for beyond the project, or beyond what your `config.toml` allows, *waits*
until you have accepted exactly this content with `claudy trust`.

| setting | variable | default | meaning | waits in a project's file |
| --- | --- | --- | --- | --- |
"""


def reference(commands: Sequence[Words]) -> str:
    """Return the text.

    Args:
        commands: all commands.
    """
    from claudy.settings.model import SETTINGS

    parts = [_HEAD]
    for words in commands:
        parts += _section(words, "claudy", "##")
    parts.append(_SETTINGS + "\n".join(_setting(setting) for setting in SETTINGS) + "\n")
    return "\n".join(parts)


def _section(words: Words, above: str, level: str) -> Iterable[str]:
    name = f"{above} {words.name}"
    if words.commands:
        yield f"{level} {name}\n\n{words.help}.\n"
        for one in words.commands:
            yield from _section(one, name, level + "#")
        return
    arguments = "".join(f" {value.shown or 'VALUE'}" for value in words.arguments)
    usage = f"{name} [OPTIONS]{arguments}" if words.flags else f"{name}{arguments}"
    if words.name == "run":
        usage += " [-- COMMAND [ARGS...]]"
    text = f"{level} {name}\n\n    {usage}\n\n{words.help}.\n"
    if words.flags:
        rows = "\n".join(_row(flag) for flag in words.flags)
        text += f"\n| option | meaning |\n| --- | --- |\n{rows}\n"
    yield text


def _row(flag: Flag) -> str:
    names = ", ".join(flag.names)
    shown = names if flag.value.kind == NOTHING else f"{names} {flag.value.shown}"
    many = " (may be repeated)" if flag.value.many else ""
    return f"| `{_cell(shown)}` | {_cell(flag.help)}{many} |"


def _setting(setting: Setting) -> str:
    default = setting.default
    if isinstance(default, bool):
        shown = "true" if default else "false"
    elif isinstance(default, tuple):
        shown = "[]"
    else:
        shown = f'"{default}"' if isinstance(default, str) else str(default)
    return (
        f"| `{setting.name}` | `{setting.variable}` | `{shown}` | {_cell(setting.help)} |"
        f" {setting.wait.shown if setting.wait else ''} |"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
