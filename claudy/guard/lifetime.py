"""When a guard ends: its sandbox's container is gone for good."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from claudy.guard.refusal import Denied

if TYPE_CHECKING:
    from claudy.guard.exchange import Services

_PAUSE = 0.5


def wait_for_end(services: Services) -> None:
    """Return when the sandbox's container is gone.

    It may take `grace` seconds to appear. A daemon that does not answer says nothing about the
    sandbox: the guard waits for it.
    """
    name = services.settings.sandbox
    deadline = time.monotonic() + services.settings.grace
    seen = ""
    while True:
        try:
            status, found = services.daemon.json("GET", f"/containers/{seen or name}/json")
            if status == 200:  # noqa: PLR2004
                seen = str(found["Id"])
                path = f"/containers/{seen}/wait"
                with services.daemon.open("POST", path, [("condition", "removed")]) as answer:
                    answer.response.read()
                continue
            if status == 404 and (seen or time.monotonic() > deadline):  # noqa: PLR2004
                return
        except (Denied, OSError):
            pass
        time.sleep(_PAUSE)
