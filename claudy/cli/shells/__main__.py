"""Write all generated texts into a source tree: `python -m claudy.cli.shells [DIRECTORY]`."""

from __future__ import annotations

import os
import sys

from claudy.cli.app import COMMANDS
from claudy.cli.completion import FILES
from claudy.cli.shells.bash import bash_script
from claudy.cli.shells.fish import fish_script
from claudy.cli.shells.powershell import powershell_script
from claudy.cli.shells.reference import reference
from claudy.cli.shells.words import read_parser
from claudy.cli.shells.zsh import zsh_script


def generate() -> dict[str, str]:
    """Return the path of every generated file in the source tree, and its text."""
    commands = read_parser(COMMANDS)
    scripts = {
        "bash": bash_script,
        "zsh": zsh_script,
        "fish": fish_script,
        "powershell": powershell_script,
    }
    texts = {f"completions/{FILES[shell]}": make(commands) for shell, make in scripts.items()}
    return texts | {"docs/reference.md": reference(commands)}


def main(root: str) -> None:
    """Write the files below a directory."""
    for name, text in generate().items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".")
