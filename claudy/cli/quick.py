"""Read a launch's options without the option parser, whose import alone takes longer than a launch.

Only what is written as the help shows it: `--name VALUE`, `--name=VALUE`, `-n VALUE`, switches and
one directory. Everything else, mistakes too, is left to `claudy.cli.run`; a test compares the two.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# As in `claudy.cli.app.COMMANDS`, which these launches don't import.
SUBCOMMANDS = frozenset(
    (
        "build-image",
        "completion",
        "config",
        "doctor",
        "logs",
        "prune",
        "ps",
        "restart",
        "rm",
        "run",
        "stats",
        "status",
        "stop",
        "trust",
    )
)
# As in the signature of `claudy.cli.run.run`, by its parameters.
VALUES = {
    "--docker": "docker",
    "-H": "host",
    "--host": "host",
    "-c": "context",
    "--context": "context",
    "--image": "image",
    "--pull": "pull",
    "--network": "network",
    "--cpus": "cpus",
    "--memory": "memory",
    "--pids-limit": "pids_limit",
}
LISTS = {
    "-e": "env",
    "--env": "env",
    "-v": "volumes",
    "--volume": "volumes",
    "-p": "publish",
    "--publish": "publish",
}
SWITCHES = {
    "--read-only": "read_only",
    "--sudo": "sudo",
    "--new": "new",
    "--keep": "keep",
    "--recreate": "recreate",
    "--dry-run": "dry_run",
    "-y": "yes",
    "--yes": "yes",
    "--no-input": "no_input",
    "-q": "quiet",
    "--quiet": "quiet",
    "--debug": "debug",
}


def read(words: Sequence[str]) -> tuple[str, dict[str, Any]] | None:
    """Return the directory and the options of a launch, by the names of `run`'s parameters.

    Args:
        words: the arguments before `--`.

    Returns:
        None if only the parser can tell what is meant.
    """
    options: dict[str, Any] = {}
    directory = ""
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            if directory or not word or word in SUBCOMMANDS:
                return None
            directory = word
        elif word in SWITCHES:
            options[SWITCHES[word]] = True
        elif word in VALUES or word in LISTS:
            value = next(rest, "-")
            if value.startswith("-"):
                return None
            _keep(options, word, value)
        elif equals and name.startswith("--") and (name in VALUES or name in LISTS):
            _keep(options, name, value)
        else:
            return None
    return directory or ".", options


def _keep(options: dict[str, Any], name: str, value: str) -> None:
    if name in VALUES:
        options[VALUES[name]] = value
    else:
        options.setdefault(LISTS[name], []).append(value)
