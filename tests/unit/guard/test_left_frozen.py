"""What a guard that died has left frozen is let go first of all; the daemon is a stand-in."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from claudy.guard.opening import FROZEN
from claudy.guard.refusal import Denied
from claudy.guard.start import Starter

if TYPE_CHECKING:
    from pathlib import Path

FULL = "a" * 64
NEVER = {"StartedAt": "0001-01-01T00:00:00Z"}


class Daemon:
    """Answers, unless it is told to be away."""

    newest = (1, 41)

    def __init__(self) -> None:
        self.away = True
        self.removing = 2
        self.asked: list[tuple[str, str]] = []

    def json(self, method: str, path: str, *_: Any, **__: Any) -> tuple[int, Any]:
        self.asked.append((method, path))
        if path.endswith("/unpause"):
            if self.away:
                raise Denied(503, "away")
            return 204, None
        if path == "/containers/old/json" and self.removing:
            self.removing -= 1
            return 200, {"State": {"Status": "removing"}}
        return 200, {"Id": FULL, "State": NEVER}


@pytest.mark.parametrize("note", [["/containers/old/json", {FULL: None}], ["old", FULL]])
def test_nothing_is_held_still_before_all_was_let_go(tmp_path: Path, note: list[Any]) -> None:
    """Also what an older guard has noted; and not before the daemon is done with its removal."""
    (tmp_path / FROZEN).write_text(json.dumps(note))
    daemon = Daemon()
    ledger = SimpleNamespace(directory=str(tmp_path))
    workspace = SimpleNamespace(host="/p")
    audit = SimpleNamespace(event=lambda _: None)
    given = (daemon, ledger, workspace, SimpleNamespace(), audit)
    starter = Starter(*cast("tuple[Any, ...]", given))
    with pytest.raises(Denied, match="stands still"), starter.holding(FULL):
        pass
    assert (tmp_path / FROZEN).exists()
    assert daemon.asked.count(("GET", "/containers/old/json")) == 3
    daemon.away = False
    with starter.holding(FULL) as still:
        assert not still
    assert not (tmp_path / FROZEN).exists()
