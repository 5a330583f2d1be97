"""Making an owned object: an intent first, the object, then its record."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from claudy.guard.ledger import TOKEN_LABEL
from claudy.guard.policy.create import has_no_command

if TYPE_CHECKING:
    from claudy.guard.daemon import Daemon
    from claudy.guard.ledger import Ledger
    from claudy.guard.options import Settings
    from claudy.guard.start import Starter

_LISTS = {"containers": "/containers/json", "networks": "/networks", "volumes": "/volumes"}


def new_token() -> str:
    """Return a secret that nobody in the sandbox can know before its object exists."""
    return os.urandom(16).hex()


def marks(settings: Settings, token: str) -> dict[str, str]:
    """Return the labels of an object that the project makes."""
    return {
        "claudy.project": settings.project,
        "claudy.owner": settings.sandbox,
        TOKEN_LABEL: token,
    }


def ends_the_daemon(found: dict[str, Any]) -> bool:
    """Whether a container must not be started: its health check, or its image's, has no command."""
    health = (found.get("Config") or {}).get("Healthcheck") or {}
    return has_no_command(health.get("Test"))


def recover(daemon: Daemon, ledger: Ledger, starter: Starter) -> None:
    """Give objects their owner that were made just before a guard died."""
    for token, intent in list(ledger.read()["intents"].items()):
        kind = intent["kind"]
        filters = json.dumps({"label": [f"{TOKEN_LABEL}={token}"]})
        query = [("filters", filters)] + ([("all", "1")] if kind == "containers" else [])
        status, found = daemon.json("GET", _LISTS[kind], query)
        if status != 200:  # noqa: PLR2004
            return
        entries = found.get("Volumes") or [] if kind == "volumes" else found
        for entry in entries:
            if kind == "volumes":
                ledger.settle(token, kind, entry["Name"], token=token)
            elif kind == "containers":
                _, made = daemon.json("GET", f"/containers/{entry['Id']}/json")
                if ends_the_daemon(made or {}):
                    daemon.json("DELETE", f"/containers/{entry['Id']}", [("v", "1")])
                    ledger.drop_intent(token)
                    continue
                circling = starter.circling(made or entry)
                fields = intent.get("fields") or {}
                ledger.settle(token, kind, entry["Id"], also=circling, **fields)
            else:
                ledger.settle(token, kind, entry["Id"])
        if not entries:
            ledger.drop_intent(token)
