"""A file beside the socket: what earlier sessions have published is not at localhost yet.

The first process of a sandbox waits for its end (`docker/claudy-init`), so that a session's first
command finds what the last one has left running. Without such ports there never is a file. It is
made before the guard says ready, so nothing heavy may be imported here.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claudy.guard.options import Settings

FILE = "opening"
LEDGER_FILE = "ledger.json"
FROZEN = "frozen.json"  # what a guard has paused; see `claudy.guard.start`
PUBLISHED = b'"published":true'  # as the ledger writes it


def begin(settings: Settings) -> bool:
    """Make the file if the project has a container with published ports; it may not run.

    Returns:
        Whether there is such a container.
    """
    end(settings)
    try:
        with open(f"{settings.ledger}/{LEDGER_FILE}", "rb") as file:
            if PUBLISHED not in file.read():
                return False
        os.close(os.open(_path(settings), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError:
        return False  # no ledger, no ports; and nobody waits for a file that can't be made
    return True


def end(settings: Settings) -> None:
    """Remove the file, if there is one."""
    try:
        os.unlink(_path(settings))
    except OSError:
        pass  # there is none


def _path(settings: Settings) -> str:
    return f"{os.path.dirname(settings.listen)}/{FILE}"
