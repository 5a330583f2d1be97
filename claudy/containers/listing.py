"""What there is: one API call each."""

from __future__ import annotations

import time

from claudy.containers.container import SANDBOX_LABEL, read_container
from claudy.engine.jsonc import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claudy.containers.container import Container
    from claudy.engine.client import Engine


def list_sandboxes(engine: Engine) -> tuple[Container, ...]:
    """Return all sandboxes on an engine, running or not, oldest first."""
    filters = dumps({"label": [SANDBOX_LABEL]}).decode()
    return tuple(c for c in _ask(engine, {"all": True, "filters": filters}) if c.is_sandbox)


def list_containers(engine: Engine) -> tuple[Container, ...]:
    """Return all containers on an engine, claudy's or not, oldest first."""
    return _ask(engine, {"all": True})


def _ask(engine: Engine, query: dict[str, str | int | bool]) -> tuple[Container, ...]:
    now = time.time()
    found = (read_container(entry, now) for entry in engine.call("GET", "/containers/json", query))
    return tuple(sorted(found, key=lambda container: (container.created, container.name)))
