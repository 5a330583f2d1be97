"""Which containers a name on the command line means; others than claudy's are refused."""

from __future__ import annotations

from claudy.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from claudy.containers.container import Container

_SHORTEST_ID = 4


def sandboxes_of(containers: Iterable[Container], project: str) -> tuple[Container, ...]:
    """Return the sandboxes of a project.

    Args:
        containers: what there is.
        project: its real path.
    """
    return tuple(c for c in containers if c.is_sandbox and c.project == project)


def started_by(
    containers: Iterable[Container], sandbox: Container, compose: str
) -> tuple[Container, ...]:
    """Return what was started from a sandbox, as far as labels tell.

    With the guard that is all; with the host's socket only what compose has started.

    Args:
        containers: what there is.
        sandbox: the sandbox.
        compose: what compose calls its project, empty if unknown.
    """
    return tuple(
        c
        for c in containers
        if not c.is_sandbox
        and (c.owner == sandbox.name or c.in_compose_project(sandbox.project, compose))
    )


def choose(
    containers: Sequence[Container], names: Iterable[str], project: str, compose: str
) -> tuple[Container, ...]:
    """Return the containers that are meant.

    Args:
        containers: what there is.
        names: names, ids or their beginnings, or compose services of the project.
        project: real path of the current project, for what compose started; may be empty.
        compose: what compose calls it, empty if unknown.

    Raises:
        UsageError: there is none of that name, or it is not claudy's.
    """
    chosen: dict[str, Container] = {}
    for name in names:
        chosen.update((c.id, c) for c in _named(containers, name, project, compose))
    return tuple(chosen.values())


def _named(
    containers: Sequence[Container], name: str, project: str, compose: str
) -> list[Container]:
    ours = [
        c
        for c in containers
        if c.is_sandbox
        or c.is_guard
        or c.is_probe
        or c.owner
        or (project and c.belongs_to(project, compose))
    ]
    exact = [c for c in ours if name in (c.name, c.id)]
    services = [c for c in ours if name and c.service == name and c.belongs_to(project, compose)]
    prefixed = _by_id(ours, name)
    if found := exact or services or prefixed:
        if found is prefixed and len(found) > 1:
            raise UsageError(f"More than one id begins with {name!r}.", "claudy ps --all")
        return found
    if any(name in (c.name, c.id) for c in containers) or _by_id(containers, name):
        raise UsageError(
            f"{name} is not claudy's: neither a sandbox nor started by one.",
            f"docker inspect {name}",
        )
    raise UsageError(f"There is no container named {name!r}.", "claudy ps --all")


def _by_id(containers: Iterable[Container], name: str) -> list[Container]:
    return [c for c in containers if len(name) >= _SHORTEST_ID and c.id.startswith(name)]
