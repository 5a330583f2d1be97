"""What `claudy status` and `claudy stats` print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.cli.listing import describe_port, spell_ports, spell_state
from claudy.cli.tables import printable, spell_size, table
from claudy.containers.container import spell_duration
from claudy.containers.details import engine_version, inspect
from claudy.containers.usage import measure
from claudy.engine.jsonc import dumps
from claudy.errors import APIError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from claudy.cli.scene import Scene
    from claudy.containers.container import Container
    from claudy.containers.details import Details, EngineVersion
    from claudy.containers.usage import Usage

_NOT_FOUND = 404
_USAGE_HEAD = ("NAME", "CPU", "MEMORY", "LIMIT", "SHARE", "NET IN", "NET OUT", "READ", "WRITTEN",
               "PROCESSES")  # fmt: skip


def report(scene: Scene, containers: Sequence[Container]) -> int:
    """Print the engine and the state of containers.

    Args:
        scene: console and engine.
        containers: which.
    """
    version = engine_version(scene.engine)
    looked = [found for c in containers if (found := _inspected(scene, c)) is not None]
    used = measure(scene.engine, [one.id for _, one in looked if one.up is not None])
    sessions = {c.id: scene.registry.sessions(c.name) for c, _ in looked if c.is_sandbox}
    if scene.console.as_json:
        document = {
            "schema": 1,
            "engine": _describe_engine(version),
            "project": scene.project or None,
            "containers": [
                _describe(c, one, used.get(one.id), sessions.get(c.id)) for c, one in looked
            ],
        }
        scene.console.result(dumps(document).decode())
        return 0
    lines = [
        f"engine   {version.version} (API {version.api}, {version.platform})",
        f"at       {version.endpoint} (from: {version.source})",
        f"project  {printable(scene.project) or '-'}",
    ]
    if not any(c.is_sandbox for c in containers) and not looked:
        lines.append("sandbox  none is running")
    for container, one in looked:
        lines += ["", one.name, *_block(container, one, used.get(one.id), sessions)]
    scene.console.result("\n".join(lines))
    return 0


def report_usage(scene: Scene, containers: Sequence[Container]) -> int:
    """Print what containers use.

    Args:
        scene: console and engine.
        containers: which; those that don't run are left out.
    """
    running = {c.id: c.name for c in containers if c.up is not None}
    used = measure(scene.engine, running)
    if scene.console.as_json:
        document = {
            "schema": 1,
            "containers": [
                {"id": one, "name": name, **_describe_usage(used[one])}
                for one, name in running.items()
                if one in used
            ],
        }
        scene.console.result(dumps(document).decode())
        return 0
    if not running:
        return scene.say_nothing_here()
    if not used:
        scene.console.notice("The engine can't tell what they use.")
        return 0
    rows = [_usage_row(running[one], used[one]) for one in running if one in used]
    scene.console.result(table(_USAGE_HEAD, rows))
    return 0


def _inspected(scene: Scene, container: Container) -> tuple[Container, Details] | None:
    """Return a container's details, None if it has gone meanwhile."""
    try:
        return container, inspect(scene.engine, container.id)
    except APIError as error:
        if error.status == _NOT_FOUND:
            return None
        raise


def _block(
    container: Container, one: Details, used: Usage | None, sessions: dict[str, int | None]
) -> list[str]:
    """Return the lines about one container."""
    ended = f", exit code {one.exit_code}" if one.exit_code is not None and one.started else ""
    lines = [
        f"  id        {one.id[:12]}",
        f"  state     {spell_state(one.state, one.health)}{ended}",
        f"  uptime    {spell_duration(one.up) if one.up is not None else '-'}",
        f"  ports     {spell_ports(one.ports) or '-'}",
        f"  image     {printable(one.image)}",
    ]
    if used:
        memory = f"{spell_size(used.memory)} of {spell_size(used.limit)}"
        lines += [
            f"  cpu       {used.cpu:.1f} %",
            f"  memory    {memory} ({used.memory_share:.1f} %)",
        ]
    if container.id in sessions:
        count = sessions[container.id]
        lines.append(f"  sessions  {'not known here' if count is None else count}")
    return lines


def _usage_row(name: str, used: Usage) -> Sequence[str]:
    return (
        name,
        f"{used.cpu:.1f}%",
        spell_size(used.memory),
        spell_size(used.limit),
        f"{used.memory_share:.1f}%",
        spell_size(used.received),
        spell_size(used.sent),
        spell_size(used.read),
        spell_size(used.written),
        str(used.processes),
    )


def _describe_engine(version: EngineVersion) -> dict[str, Any]:
    return {
        "endpoint": version.endpoint,
        "source": version.source,
        "version": version.version,
        "api": version.api,
        "platform": version.platform,
    }


def _describe(
    container: Container, one: Details, used: Usage | None, sessions: int | None
) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "sandbox": container.is_sandbox,
        "sessions": sessions,
        "state": one.state,
        "health": one.health or None,
        "uptime_seconds": one.up,
        "started": one.started or None,
        "exit_code": one.exit_code,
        "image": one.image,
        "ports": [describe_port(port) for port in one.ports],
        "limits": {"cpus": one.cpus or None, "memory": one.memory or None},
        "usage": _describe_usage(used) if used else None,
    }


def _describe_usage(used: Usage) -> dict[str, Any]:
    return {
        "cpu_percent": round(used.cpu, 2),
        "memory": used.memory,
        "memory_limit": used.limit,
        "memory_percent": round(used.memory_share, 2),
        "network_received": used.received,
        "network_sent": used.sent,
        "disk_read": used.read,
        "disk_written": used.written,
        "processes": used.processes,
    }
