"""Remove containers of dead sandboxes, all of them claudy's own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from claudy.doctor.checks.leftovers import counted, leftovers
from claudy.doctor.fixes.model import Fix
from claudy.sandbox.leave import remove

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudy.doctor.context import Context


def remove_all(context: Context) -> Fix:
    """Return how leftovers are removed; what is one is looked up again when it runs."""
    found = list(leftovers(context, time.time()))

    def run(notify: Callable[[str], None]) -> None:
        engine = context.engine()
        still = dict(leftovers(context, time.time()))
        for container, name in found:
            if container in still:
                notify(f"removing {name}")
                remove(engine, container)

    return Fix(
        "remove-leftovers",
        f"Remove {counted(len(found))} of dead sandboxes",
        tuple(f"docker rm -f {name}" for _, name in found),
        run,
    )
