"""`claudy ps`: which sandboxes there are. Without options it runs without the option parser."""

from __future__ import annotations

import os
import time

from claudy.cli.console import Console, guarded
from claudy.cli.tables import table
from claudy.containers.connect import here, open_engine
from claudy.containers.container import spell_duration
from claudy.containers.listing import list_containers, list_sandboxes
from claudy.engine.jsonc import dumps
from claudy.errors import ClaudyError
from claudy.sandbox.registry import open_sessions, runtime_dir, seat_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from claudy.containers.container import Container, Port
    from claudy.engine.client import Engine

_HEAD = ("NAME", "PROJECT", "SESSIONS", "STATUS", "UPTIME", "IMAGE", "PORTS")


def ps_plain(*, as_json: bool) -> int:
    """List the sandboxes of the engine that a launch here would use."""
    console = Console(os.environ, debug=bool(os.environ.get("CLAUDY_DEBUG")), as_json=as_json)
    return guarded(console, lambda: show(console, open_engine(os.environ, project=here())))


def show(console: Console, engine: Engine, *, everything: bool = False) -> int:
    """Print the sandboxes of an engine.

    Args:
        console: where to.
        engine: which.
        everything: also what they have started.
    """
    containers = list_containers(engine) if everything else list_sandboxes(engine)
    sandboxes = [c for c in containers if c.is_sandbox]
    started = {s.id: _started(containers, s) if everything else () for s in sandboxes}
    sessions = count_sessions(engine, sandboxes, console.env)
    if console.as_json:
        document = {
            "schema": 1,
            "sandboxes": [
                {
                    **describe(sandbox),
                    "sessions": sessions[sandbox.id],
                    **(
                        {"containers": [describe(c) for c in started[sandbox.id]]}
                        if everything
                        else {}
                    ),
                }
                for sandbox in sandboxes
            ],
        }
        console.result(dumps(document).decode())
        return 0
    if not sandboxes:
        console.notice("There is no sandbox.")
        return 0
    rows: list[Sequence[str]] = []
    for sandbox in sandboxes:
        count = sessions[sandbox.id]
        rows.append(_row(sandbox, "", sandbox.project, "?" if count is None else str(count)))
        rows += [_row(c, "  ", "", "") for c in started[sandbox.id]]
    console.result(table(_HEAD, rows))
    return 0


def count_sessions(
    engine: Engine, sandboxes: Sequence[Container], env: Mapping[str, str]
) -> dict[str, int | None]:
    """Return the number of open sessions of each sandbox by id, None where it is not known."""
    try:
        base = runtime_dir(env, os.getuid())
    except ClaudyError:
        return {sandbox.id: None for sandbox in sandboxes}
    return {s.id: open_sessions(base, seat_name(s.name, engine.endpoint)) for s in sandboxes}


def _started(containers: Sequence[Container], sandbox: Container) -> tuple[Container, ...]:
    from claudy.containers.choose import started_by
    from claudy.sandbox.resolve import compose_name

    return started_by(containers, sandbox, compose_name(sandbox.project))


def _row(container: Container, indent: str, project: str, sessions: str) -> Sequence[str]:
    return (
        indent + container.name,
        project,
        sessions,
        spell_state(container.state, container.health),
        "" if container.up is None else spell_duration(container.up),
        container.image,
        spell_ports(container.ports),
    )


def spell_state(state: str, health: str) -> str:
    """Return state and health in one."""
    return f"{state} ({health})" if health else state


def spell_ports(ports: Sequence[Port]) -> str:
    """Return ports as people read them; those of all addresses of IPv4 and IPv6 are one."""
    both = {(port.internal, port.external) for port in ports if port.address == "::"}
    shown = [
        str(port)
        for port in ports
        if not (
            port.address == "::"
            and any(p.address == "0.0.0.0" and (p.internal, p.external) in both for p in ports)  # noqa: S104
        )
    ]
    return ", ".join(shown)


def describe(container: Container) -> dict[str, Any]:
    """Return a container as JSON has it."""
    return {
        "id": container.id,
        "name": container.name,
        "project": container.project,
        "state": container.state,
        "health": container.health or None,
        "uptime_seconds": container.up,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(container.created)),
        "image": container.image,
        "ports": [describe_port(port) for port in container.ports],
    }


def describe_port(port: Port) -> dict[str, Any]:
    """Return a port as JSON has it."""
    return {
        "internal": port.internal,
        "external": port.external or None,
        "address": port.address or None,
        "protocol": port.protocol,
    }
