"""What the sandbox may see of the daemon's answers."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from claudy.guard.removal import AUTO

if TYPE_CHECKING:
    from claudy.guard.ledger import Ledger

LABEL_PREFIX = "claudy."
UNHEALTHY = " (unhealthy)"
_PAUSED = " (Paused)"
_VISIBLE = ("Id", "Names", "Image", "ImageID", "Created", "Ports", "State", "Status")
_INFO_HIDDEN = [
    "RegistryConfig",
    "HttpProxy",
    "HttpsProxy",
    "NoProxy",
    "Labels",
    "Swarm",
    "Plugins",
    "DockerRootDir",
    "ClusterStore",
    "ClusterAdvertise",
    "GenericResources",
    "InitBinary",
    "FirewallBackend",
    "DiscoveredDevices",
    "CDISpecDirs",
    "Containerd",
    "DefaultAddressPools",
]


def without_own_labels(labels: dict[str, str] | None) -> dict[str, str] | None:
    """Return labels without claudy's."""
    if not labels:
        return labels
    return {name: value for name, value in labels.items() if not name.startswith(LABEL_PREFIX)}


def inspected(found: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    """Return an owned container's inspection with the mounts that were asked for.

    Args:
        found: the daemon's answer.
        record: the ledger's record, with `asked` mounts and their `sources` by target.
    """
    config = found.get("Config") or {}
    config["Labels"] = without_own_labels(config.get("Labels"))
    host = found.get("HostConfig") or {}
    asked = record.get("asked")
    if asked is not None:
        host["Binds"] = asked.get("Binds")
        if asked.get("Mounts"):
            host["Mounts"] = asked["Mounts"]
        else:
            host.pop("Mounts", None)
        if asked.get("RestartPolicy"):
            host["RestartPolicy"] = asked["RestartPolicy"]
    if record.get(AUTO):
        host["AutoRemove"] = True
    _show_health(found.get("State") or {})
    found["Mounts"] = _mounts(found.get("Mounts") or [], record)
    hidden = record.get("hidden") or []
    for where, key in ((host, "PortBindings"), (found.get("NetworkSettings") or {}, "Ports")):
        for port, entries in (where.get(key) or {}).items() if hidden else ():
            where[key][port] = entries and [
                e for e in entries if [e.get("HostIp"), e.get("HostPort")] not in hidden
            ]
    return found


def _show_health(state: dict[str, Any]) -> None:
    """Show the health of before a pause: the daemon says unhealthy until the next probe."""
    health = state.get("Health") or {}
    if health.get("Status") == "unhealthy" and not health.get("FailingStreak"):
        last = (health.get("Log") or [{}])[-1]
        health["Status"] = "starting" if last.get("ExitCode", 1) else "healthy"


def show_listed_health(entry: dict[str, Any], found: dict[str, Any]) -> None:
    """Show the same health in a container's entry in a list, of one that is unhealthy there.

    Args:
        entry: its entry.
        found: the daemon's inspection of it.
    """
    state = found.get("State") or {}
    _show_health(state)
    health = str((state.get("Health") or {}).get("Status", "unhealthy"))
    shown = "health: starting" if health == "starting" else health
    entry["Status"] = f"{entry['Status'].removesuffix(UNHEALTHY)} ({shown})"


def show_going(entry: dict[str, Any]) -> None:
    """Show a container's entry in a list as that of one that runs."""
    entry["State"] = "running"
    entry["Status"] = entry["Status"].removesuffix(_PAUSED)


def show_inspected_going(found: dict[str, Any], policy: dict[str, Any] | None) -> None:
    """Show the same where a container is inspected, with its own policy of restarts, if any."""
    found["State"] |= {"Status": "running", "Paused": False}
    if policy:
        found["HostConfig"]["RestartPolicy"] = policy


def _mounts(found: list[dict[str, Any]], record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return mounts as they were asked for; the daemon has others in their place."""
    sources = record.get("sources") or {}
    modes = {}
    for bind in (record.get("asked") or {}).get("Binds") or []:
        _, target, *mode = f"{bind}:".split(":")
        modes[posixpath.normpath(target)] = mode[0] if mode else ""
    return [_mount(mount, sources, modes) for mount in found]


def _mount(mount: dict[str, Any], sources: dict[str, str], modes: dict[str, str]) -> dict[str, Any]:
    target = mount.get("Destination", "")
    if target in modes:
        mount = {**mount, "Mode": modes[target]}
    if target not in sources:
        return mount
    return {
        "Type": "bind",
        "Source": sources[target],
        "Destination": target,
        "Mode": modes.get(target, ""),
        "RW": mount.get("RW", True),
        "Propagation": "rprivate",
    }


def listed_container(entry: dict[str, Any], ledger: Ledger) -> dict[str, Any]:
    """Return a container's entry in a list: owned ones whole, others by what `docker ps` shows."""
    record = ledger.get("containers", entry["Id"])
    if record is not None:
        entry["Labels"] = without_own_labels(entry.get("Labels"))
        entry["Mounts"] = _mounts(entry.get("Mounts") or [], record)
        if hidden := record.get("hidden"):
            entry["Ports"] = [
                port
                for port in entry.get("Ports") or []
                if [port.get("IP"), str(port.get("PublicPort"))] not in hidden
            ]
        return entry
    return {
        **{key: entry[key] for key in _VISIBLE if key in entry},
        "Command": "",
        "Labels": {},
        "HostConfig": {},
        "NetworkSettings": {"Networks": {}},
        "Mounts": [],
    }


def listed_image(entry: dict[str, Any], ledger: Ledger) -> dict[str, Any]:
    """Return an image's entry in a list; the labels of others' images stay with them."""
    if not ledger.owns("images", entry["Id"]):
        entry["Labels"] = None
    return entry


def network(found: dict[str, Any], ledger: Ledger) -> dict[str, Any]:
    """Return a network with only the owned of its members."""
    members = found.get("Containers")
    if members:
        found["Containers"] = {
            full: member for full, member in members.items() if ledger.owns("containers", full)
        }
    found["Labels"] = without_own_labels(found.get("Labels")) or {}
    return found


def volume(found: dict[str, Any]) -> dict[str, Any]:
    """Return a volume without claudy's labels."""
    labels = without_own_labels(found.get("Labels"))
    found["Labels"] = labels or None
    return found


def info(found: dict[str, Any]) -> dict[str, Any]:
    """Return the daemon's information without the host's own arrangements."""
    kept = {name: value for name, value in found.items() if name not in _INFO_HIDDEN}
    kept["Swarm"] = {"LocalNodeState": "inactive"}
    kept["Plugins"] = {
        "Volume": ["local"],
        "Network": ["bridge"],
        "Log": ["json-file", "local", "none"],
    }
    kept["RegistryConfig"] = {}
    kept["Runtimes"] = {"runc": {"path": "runc"}}
    return kept
