"""Prune without the daemon's prune: the guard removes the ledger's members one by one."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

from claudy.guard.handlers import tags
from claudy.guard.refusal import BAD_REQUEST, invalid

if TYPE_CHECKING:
    from claudy.guard.exchange import Exchange

_STOPPED = ["created", "exited", "dead"]
_UNITS = {"s": 1, "m": 60, "h": 3600}
_FILTERS = frozenset({"until", "label", "label!", "dangling", "all"})


def containers(x: Exchange) -> dict[str, Any]:
    """Remove owned stopped containers and return the daemon's kind of report."""
    filters = x.filters(_FILTERS)
    query = [("all", "1"), ("size", "1"), ("filters", json.dumps({"status": _STOPPED}))]
    _, found = x.daemon.json("GET", "/containers/json", query)
    gone, space = [], 0
    for entry in found or []:
        if not x.ledger.owns("containers", entry["Id"]) or not _matches(
            filters, entry.get("Labels"), entry["Created"]
        ):
            continue
        if x.services.remover.remove_stopped(entry["Id"]) < BAD_REQUEST:
            gone.append(entry["Id"])
            space += entry.get("SizeRw") or 0
    return {"ContainersDeleted": gone or None, "SpaceReclaimed": space}


def volumes(x: Exchange) -> dict[str, Any]:
    """Remove owned unused volumes; from API 1.42 on only anonymous ones unless all are meant."""
    filters = x.filters(_FILTERS)
    named = x.version < (1, 42) or _is_on(filters.get("all"))
    query = [("filters", json.dumps({"dangling": ["true"]}))]
    _, found = x.daemon.json("GET", "/volumes", query)
    gone = []
    for volume in (found or {}).get("Volumes") or []:
        name = volume["Name"]
        record = x.ledger.get("volumes", name)
        if record is None or not x.objects.volume_is_own(name, volume):
            continue
        if not (named or record.get("anonymous")) or not _matches(filters, volume.get("Labels"), 0):
            continue
        with x.services.starter.removing("volumes", name):
            # Others may have gone in between, which took a while.
            if not x.objects.volume_is_own(name):
                continue
            status, _ = x.daemon.json("DELETE", f"/volumes/{name}")
        if status < BAD_REQUEST:
            x.ledger.remove("volumes", name)
            gone.append(name)
    return {"VolumesDeleted": gone or None, "SpaceReclaimed": 0}


def networks(x: Exchange) -> dict[str, Any]:
    """Remove owned networks without members."""
    filters = x.filters(_FILTERS)
    _, found = x.daemon.json("GET", "/networks")
    gone = []
    for net in found or []:
        if not x.ledger.owns("networks", net["Id"]):
            continue
        if not _matches(filters, net.get("Labels"), _seconds(net.get("Created", ""))):
            continue
        status, full = x.daemon.json("GET", f"/networks/{net['Id']}")
        if status >= BAD_REQUEST or full.get("Containers"):
            continue
        status, _ = x.daemon.json("DELETE", f"/networks/{net['Id']}")
        if status < BAD_REQUEST:
            gone.append(net["Name"])
    return {"NetworksDeleted": gone or None}


def images(x: Exchange) -> dict[str, Any]:
    """Remove owned images without a tag; all unused ones when dangling is false."""
    filters = x.filters(_FILTERS)
    every = filters.get("dangling") is not None and not _is_on(filters.get("dangling"))
    _, used = x.daemon.json("GET", "/containers/json", [("all", "1")])
    in_use = {entry["ImageID"] for entry in used or []}
    _, found = x.daemon.json("GET", "/images/json")
    gone: list[dict[str, str]] = []
    space = 0
    for image in found or []:
        names = tags.names(image)
        if not x.ledger.owns("images", image["Id"]) or image["Id"] in in_use:
            continue
        if tags.names_of_others(x, image):
            continue  # the host has a name for it
        if (names and not every) or not _matches(filters, image.get("Labels"), image["Created"]):
            continue
        for ref in names or [image["Id"]]:
            status, deleted = x.daemon.json("DELETE", f"/images/{ref}", [("noprune", "1")])
            if status < BAD_REQUEST:
                tags.forget(x, deleted)
                gone += deleted or []
        if any(entry.get("Deleted") == image["Id"] for entry in gone):
            space += image.get("Size") or 0
    return {"ImagesDeleted": gone or None, "SpaceReclaimed": space}


def _is_on(values: list[str] | None) -> bool:
    return any(value.lower() in {"1", "true"} for value in values or [])


def _matches(filters: dict[str, list[str]], labels: dict[str, str] | None, created: float) -> bool:
    found = labels or {}
    if any(not _has(found, wanted) for wanted in filters.get("label", [])):
        return False
    if any(_has(found, unwanted) for unwanted in filters.get("label!", [])):
        return False
    return all(created <= _moment(text) for text in filters.get("until", []))


def _has(labels: dict[str, str], wanted: str) -> bool:
    name, equals, value = wanted.partition("=")
    return name in labels and (not equals or labels[name] == value)


def _moment(text: str) -> float:
    """Return the time that `until` means: a duration ago, seconds, or RFC 3339."""
    if re.fullmatch(r"(?:[0-9]+(?:\.[0-9]+)?[hms])+", text):
        parts = re.findall(r"([0-9.]+)([hms])", text)
        return time.time() - sum(float(amount) * _UNITS[unit] for amount, unit in parts)
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", text):
        return float(text)
    moment = _seconds(text)
    if not moment:
        raise invalid(f"the filter until={text[:40]} is not a time")
    return moment


def _seconds(text: str) -> float:
    from datetime import datetime

    try:
        return datetime.fromisoformat(re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", text)).timestamp()
    except ValueError:
        return 0.0
