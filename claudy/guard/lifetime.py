"""When a guard ends: its sandbox's container is gone for good."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from claudy.guard.refusal import Denied

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudy.guard.exchange import Services

_PAUSE = 0.5
_AGAIN = 30.0
_SHORT = 0.2  # before the sandbox is there


def wait_for_end(services: Services, is_reached: Callable[[], bool]) -> None:
    """Return when the sandbox's container is gone.

    It may take `grace` seconds to appear, as long as the launcher is there. A daemon that does not
    answer says nothing about the sandbox: the guard waits for it, unless nobody can come any more.

    Args:
        services: ask the daemon.
        is_reached: whether the guard's socket is where it was made. Who ends the last session
            removes it, and the daemon may end with that.
    """
    name = services.settings.sandbox
    deadline = time.monotonic() + services.settings.grace
    launcher = services.settings.launcher
    seen = ""
    while True:
        # Looked at before the daemon is asked: what a launcher asked for as its last act is there.
        orphaned = launcher and not _lives(launcher)
        try:
            status, found = services.daemon.json("GET", f"/containers/{seen or name}/json")
            if status == 200:  # noqa: PLR2004
                seen = str(found["Id"])
                path = f"/containers/{seen}/wait"
                with services.daemon.open("POST", path, [("condition", "removed")]) as answer:
                    # An engine may forget to say so: a container that went at that moment.
                    answer.sock.settimeout(_AGAIN)
                    answer.response.read()
                continue
            over = seen or orphaned or time.monotonic() > deadline
            if status == 404 and over:  # noqa: PLR2004
                return
        except (Denied, OSError):
            if not is_reached():
                return
        time.sleep(_PAUSE if seen else _SHORT)


def _lives(process: int) -> bool:
    """Whether a process is there and not only waits for its parent to take note of its end."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(") ")[2][:1] not in {"Z", "X"}
    except OSError:
        return False
