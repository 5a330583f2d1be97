"""Who wants a project to stand still gets its turn, also among many who keep it awake."""

from __future__ import annotations

import fcntl
import threading
import time
from contextlib import ExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from claudy.guard.start import Starter

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 3


def test_many_who_share_do_not_keep_one_out(tmp_path: Path) -> None:
    parts: list[Any] = [SimpleNamespace(directory=str(tmp_path))] * 5
    starter = cast("Any", Starter(*parts))
    alone = threading.Event()

    def hold() -> None:
        with starter._lock(fcntl.LOCK_EX):
            alone.set()

    held = ExitStack()
    held.enter_context(starter.writing())
    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and not alone.is_set():
        # The next one has it before the last one goes.
        following = ExitStack()
        entering = threading.Thread(
            target=lambda stack=following: stack.enter_context(starter.writing())
        )
        entering.start()
        entering.join(0.3)
        held.close()
        entering.join(SECONDS)
        held = following
    found = alone.is_set()
    held.close()
    holder.join(SECONDS)
    assert found
