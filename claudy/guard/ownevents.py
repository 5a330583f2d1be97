"""Which of the daemon's events are about the project's own objects.

The daemon tells of a change before it answers the request that made it. So an object may not be
owned yet when its creation is told, and not any more when its removal is.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from claudy.guard.ledger import TOKEN_LABEL

if TYPE_CHECKING:
    from claudy.guard.ledger import Ledger

_KINDS = {kind: f"{kind}s" for kind in ("container", "image", "network", "volume")}
_UNLABELLED = ("network", "volume")
"""Their events don't carry the labels that say whose they are."""
_SETTLING = 2.0  # seconds


class OwnEvents:
    """Tells own events from others; for one stream.

    Args:
        ledger: says what is owned, and what is meant to be made.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        found = ledger.read()
        self._known = {(kind, full) for kind in _UNLABELLED for full in found[_KINDS[kind]]}

    def has(self, event: dict[str, Any]) -> bool:
        """Whether an event is about an object of the project.

        Args:
            event: as the daemon tells it (moby `api/types/events.Message`).
        """
        kind, action = event.get("Type", ""), event.get("Action", "")
        actor = event.get("Actor") or {}
        full, attributes = str(actor.get("ID", "")), actor.get("Attributes") or {}
        if kind not in _KINDS:
            return False
        own = self._is_own(kind, action, full, attributes)
        if kind in _UNLABELLED:
            if action == "destroy":
                own = own or (kind, full) in self._known
                self._known.discard((kind, full))
            elif own and self._ledger.owns(_KINDS[kind], full):
                self._known.add((kind, full))
        return own

    def _is_own(self, kind: str, action: str, full: str, attributes: dict[str, Any]) -> bool:
        if kind in _UNLABELLED and action == "create":
            self._wait_for_intents(_KINDS[kind])
        # In this order: what is no longer meant to be made is owned.
        if kind == "container" and attributes.get(TOKEN_LABEL) in self._ledger.read()["intents"]:
            return True
        if self._ledger.owns(_KINDS[kind], full):
            return True
        if kind == "network":
            return self._ledger.owns("containers", str(attributes.get("container", "")))
        return False

    def _wait_for_intents(self, kind: str) -> None:
        """Wait until what the project is making now has been made."""
        ledger = self._ledger
        meant = {key for key, intent in ledger.read()["intents"].items() if intent["kind"] == kind}
        until = time.monotonic() + _SETTLING
        while meant & ledger.read()["intents"].keys() and time.monotonic() < until:
            time.sleep(0.01)
