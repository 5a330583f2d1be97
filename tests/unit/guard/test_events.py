"""Which events are the project's: also while the daemon still makes what they are about."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from claudy.guard.handlers.system import is_own_event
from claudy.guard.ledger import TOKEN_LABEL, Ledger

if TYPE_CHECKING:
    from pathlib import Path

EVENT = {
    "Type": "container",
    "Action": "create",
    "Actor": {"ID": "full", "Attributes": {TOKEN_LABEL: "token"}},
}


class Settling(Ledger):
    """A ledger in which a creation is done just before it is looked at for the n-th time."""

    settles_at = 0

    def read(self) -> dict[str, Any]:
        self.settles_at -= 1
        if not self.settles_at:
            self.settle("token", "containers", "full")
        return super().read()


@pytest.mark.parametrize("look", [1, 2, 3])
def test_a_creation_is_told_whenever_it_is_noted(tmp_path: Path, look: int) -> None:
    ledger = Settling(str(tmp_path), "p")
    ledger.intend("containers", "token")
    ledger.settles_at = look
    assert is_own_event(SimpleNamespace(ledger=ledger), EVENT)  # type: ignore[arg-type]


def test_what_nobody_meant_to_make_is_not_told(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path), "p")
    ledger.intend("containers", "another")
    assert not is_own_event(SimpleNamespace(ledger=ledger), EVENT)  # type: ignore[arg-type]
