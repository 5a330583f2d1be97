"""Who wants a project to stand still gets its turn, also among many who keep it awake."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from claudy.guard.start import Starter

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 5


def test_many_who_share_do_not_keep_one_out(tmp_path: Path) -> None:
    parts: list[Any] = [SimpleNamespace(directory=str(tmp_path))] * 5
    starter = cast("Any", Starter(*parts))
    over = threading.Event()
    held = [threading.Event(), threading.Event()]

    def share(mine: threading.Event, others: threading.Event) -> None:
        while not over.is_set():
            with starter.writing():
                mine.set()
                others.wait(0.3)  # so that always one has it
            mine.clear()

    threads = [threading.Thread(target=share, args=pair) for pair in (held, held[::-1])]
    for thread in threads:
        thread.start()
    assert all(event.wait(SECONDS) for event in held)
    alone = threading.Event()

    def hold() -> None:
        with starter._lock(2):  # LOCK_EX
            alone.set()

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    found = alone.wait(SECONDS)
    over.set()
    for thread in [*threads, holder]:
        thread.join(SECONDS)
    assert found
