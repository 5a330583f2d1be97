"""`python -m claudy.guard serve --listen … `: run a guard."""

from __future__ import annotations

import os
import sys

from claudy.errors import ClaudyError, UsageError


def main(argv: list[str]) -> int:
    """Run a guard; errors go to stderr, where the launcher reads them."""
    from claudy.guard.options import parse
    from claudy.guard.supervisor import run

    os.chdir("/")  # the directory it was started in may be unmounted or removed
    try:
        if not argv or argv[0] != "serve":
            raise UsageError("guard: the only command is serve", "python -m claudy.guard serve")
        return run(parse(argv[1:]))
    except ClaudyError as error:
        text = f"{error.message} {error.hint}".rstrip()
        os.write(2, f"{text}\n".encode())
        return error.exit_code


def run() -> None:
    """Run a guard with this process's arguments."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
