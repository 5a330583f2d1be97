"""Look closer: the engine's version, and a container's health, ports and limits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from claudy.containers.container import Port, short_image
from claudy.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from claudy.engine.client import Engine


@record
class EngineVersion:
    """An engine, as it says itself.

    Args:
        endpoint: where it answers.
        source: what named that endpoint.
        version: its version.
        api: newest API version it speaks.
        platform: operating system and architecture of its containers.
    """

    endpoint: str
    source: str
    version: str
    api: str
    platform: str


@record
class Details:
    """A container, looked at closely.

    Args:
        id: full id.
        name: its name.
        image: what it was made from.
        state: `running`, `exited` ...
        health: `healthy`, `unhealthy`, `starting`, or empty without a health check.
        up: seconds since it was started, None if it does not run.
        started: when that was, RFC 3339; empty if it never was.
        exit_code: how it ended, None while it runs.
        ports: every port that is exposed or published.
        cpus: limit of CPUs, 0 for none.
        memory: limit of memory in bytes, 0 for none.
    """

    id: str
    name: str
    image: str
    state: str
    health: str
    up: int | None
    started: str
    exit_code: int | None
    ports: tuple[Port, ...]
    cpus: float
    memory: int


def engine_version(engine: Engine) -> EngineVersion:
    """Ask the engine what it is: one call, which also shows that it can be used."""
    found = engine.call("GET", "/version")
    return EngineVersion(
        endpoint=engine.endpoint.url,
        source=engine.endpoint.source,
        version=str(found.get("Version", "")),
        api=str(found.get("ApiVersion", "")),
        platform=f"{found.get('Os', '')}/{found.get('Arch', '')}",
    )


def inspect(engine: Engine, container: str) -> Details:
    """Ask the engine about a container.

    Args:
        engine: the engine.
        container: its id or name.

    Raises:
        APIError: there is none (404).
    """
    return read_details(engine.call("GET", f"/containers/{container}/json"), datetime.now(UTC))


def read_details(found: Mapping[str, Any], now: datetime) -> Details:
    """Return the details in an answer of `GET /containers/ID/json`.

    Args:
        found: the answer (API 1.41 and newer).
        now: the time, for how long it has been running.
    """
    state = found["State"]
    running = bool(state.get("Running"))
    started = read_time(str(state.get("StartedAt") or ""))
    health = str((state.get("Health") or {}).get("Status") or "")
    config, host = found.get("Config") or {}, found.get("HostConfig") or {}
    return Details(
        id=str(found["Id"]),
        name=str(found["Name"]).lstrip("/"),
        image=short_image(str(config.get("Image") or ""), config.get("Labels") or {}),
        state=str(state.get("Status") or ""),
        health="" if health == "none" else health,
        up=max(0, int((now - started).total_seconds())) if running and started else None,
        started=started.isoformat(timespec="seconds").replace("+00:00", "Z") if started else "",
        exit_code=None if running else int(state.get("ExitCode") or 0),
        ports=_ports((found.get("NetworkSettings") or {}).get("Ports") or {}),
        cpus=int(host.get("NanoCpus") or 0) / 1e9,
        memory=int(host.get("Memory") or 0),
    )


def read_time(text: str) -> datetime | None:
    """Return a time of the API (RFC 3339 with nanoseconds), None for its zero."""
    if not text or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(text).astimezone(UTC)


def _ports(found: Mapping[str, Any]) -> tuple[Port, ...]:
    ports: list[Port] = []
    for key, bindings in sorted(found.items()):
        number, _, protocol = key.partition("/")
        ports += [
            Port(int(number), int(one["HostPort"]), one.get("HostIp") or "", protocol)
            for one in bindings or ()
            if one.get("HostPort")
        ] or [Port(int(number), 0, "", protocol)]
    return tuple(ports)
