"""Which events are the project's: also just before it owns what they are about, and just after."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from claudy.guard.ledger import TOKEN_LABEL, Ledger
from claudy.guard.ownevents import OwnEvents

if TYPE_CHECKING:
    from pathlib import Path


def event(kind: str, action: str, full: str = "full", **attributes: str) -> dict[str, Any]:
    return {"Type": kind, "Action": action, "Actor": {"ID": full, "Attributes": attributes}}


CREATED = event("container", "create", **{TOKEN_LABEL: "token"})


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
    own = OwnEvents(ledger)
    ledger.intend("containers", "token")
    ledger.settles_at = look
    assert own.has(CREATED)


def test_what_nobody_meant_to_make_is_not_told(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path), "p")
    own = OwnEvents(ledger)
    ledger.intend("containers", "another")
    assert not own.has(CREATED)
    assert not own.has(event("plugin", "enable"))


@pytest.mark.parametrize("kind", ["network", "volume"])
def test_an_object_without_labels_is_waited_for(tmp_path: Path, kind: str) -> None:
    ledger = Ledger(str(tmp_path), "p")
    own = OwnEvents(ledger)
    ledger.intend(f"{kind}s", "token")
    later = threading.Timer(0.1, lambda: ledger.settle("token", f"{kind}s", "full"))
    later.start()
    assert own.has(event(kind, "create"))
    later.join()
    ledger.remove(f"{kind}s", "full")  # the daemon has answered; its event is read now
    assert own.has(event(kind, "destroy"))
    # A host's of the same name, later.
    assert not own.has(event(kind, "create"))
    assert not own.has(event(kind, "destroy"))


def test_what_was_there_before_the_stream_is_told_to_be_gone(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path), "p")
    ledger.add("volumes", "full")
    own = OwnEvents(ledger)
    ledger.remove("volumes", "full")
    assert own.has(event("volume", "destroy"))


def test_a_creation_that_never_ends_holds_nobody_up_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claudy.guard.ownevents._SETTLING", 0.05)
    ledger = Ledger(str(tmp_path), "p")
    ledger.intend("networks", "token")
    assert not OwnEvents(ledger).has(event("network", "create"))


def test_a_network_tells_of_own_containers(tmp_path: Path) -> None:
    """Nothing of a host's network but that an own container is on it."""
    ledger = Ledger(str(tmp_path), "p")
    ledger.add("containers", "mine")
    own = OwnEvents(ledger)
    assert own.has(event("network", "connect", "bridge", container="mine"))
    assert not own.has(event("network", "connect", "bridge", container="other"))
    assert not own.has(event("network", "destroy", "bridge"))
