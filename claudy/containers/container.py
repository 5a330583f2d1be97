"""One container as the engine lists it, and what it is to claudy."""

from __future__ import annotations

from claudy.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

SANDBOX_LABEL = "claudy.sandbox"
PROJECT_LABEL = "claudy.project"
OWNER_LABEL = "claudy.owner"
PROBE_LABEL = "claudy.probe"
# By names, as labels alone are passed on by an image; these nobody gets in a sandbox.
_OWN, _PROBE = "claudy-", "claudy-probe-"
ROLE_LABEL = "claudy.role"
COMPOSE_PROJECT = "com.docker.compose.project"
COMPOSE_DIRECTORY = "com.docker.compose.project.working_dir"
COMPOSE_SERVICE = "com.docker.compose.service"

_UNITS = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86400,
    "week": 7 * 86400,
    "month": 30 * 86400,
    "year": 365 * 86400,
}
_SHORT = 12


@record
class Port:
    """A port of a container.

    Args:
        internal: port inside.
        external: port on the host, 0 if it is not published.
        address: address on the host, empty if it is not published.
        protocol: `tcp`, `udp` or `sctp`.
    """

    internal: int
    external: int = 0
    address: str = ""
    protocol: str = "tcp"

    def __str__(self) -> str:
        inside = f"{self.internal}/{self.protocol}"
        if not self.external:
            return inside
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.external}->{inside}"


@record
class Container:
    """A container.

    Args:
        id: full id.
        name: its name, without a slash.
        image: what it was made from, as the engine says it; an id is shortened.
        image_id: full id of that.
        state: `running`, `exited`, `created`, `paused`, `restarting`, `removing` or `dead`.
        health: `healthy`, `unhealthy`, `starting`, or empty without a health check.
        up: seconds since it was started, None if it does not run.
        created: seconds since the epoch.
        ports: what is exposed or published.
        volumes: names of the volumes in it.
        labels: its labels, those of its image included.
    """

    id: str
    name: str
    image: str
    image_id: str
    state: str
    health: str
    up: int | None
    created: int
    ports: tuple[Port, ...]
    volumes: tuple[str, ...]
    labels: Mapping[str, str]

    @property
    def is_sandbox(self) -> bool:
        """Whether it is a sandbox.

        A container that was made from a copy of a sandbox (docker commit) has its labels too, but
        not its name.
        """
        return self.name.startswith(_OWN) and self.labels.get(SANDBOX_LABEL) == self.name

    @property
    def is_probe(self) -> bool:
        """Whether claudy made it to ask the engine something."""
        return PROBE_LABEL in self.labels and self.name.startswith(_PROBE)

    @property
    def is_guard(self) -> bool:
        """Whether it is the sidecar that keeps its sandbox from the host."""
        sandbox = self.labels.get(SANDBOX_LABEL, "")
        named = sandbox.startswith(_OWN) and self.name == f"{sandbox}-guard"
        return named and self.labels.get(ROLE_LABEL) == "guard"

    @property
    def project(self) -> str:
        """Real path of the project it belongs to; empty if claudy can't know."""
        return self.labels.get(PROJECT_LABEL, "")

    @property
    def owner(self) -> str:
        """Name of the sandbox that started it, as far as the guard has noted it."""
        return "" if self.is_sandbox else self.labels.get(OWNER_LABEL, "")

    @property
    def service(self) -> str:
        """Name of its compose service, empty without one."""
        return self.labels.get(COMPOSE_SERVICE, "")

    def in_compose_project(self, path: str, name: str) -> bool:
        """Whether compose started it for a project.

        Args:
            path: real path of the project.
            name: what compose calls it, empty if unknown. Started inside a sandbox, the directory
                is /workspace for every project, and only the name tells them apart.
        """
        directory = self.labels.get(COMPOSE_DIRECTORY, "")
        if directory == "/workspace":
            return bool(name) and self.labels.get(COMPOSE_PROJECT) == name
        return directory == path

    def belongs_to(self, path: str, compose: str) -> bool:
        """Whether it is a project's sandbox or was started for the project.

        Args:
            path: real path of the project.
            compose: what compose calls the project, empty if unknown.
        """
        marked = self.is_sandbox or OWNER_LABEL in self.labels
        return (marked and self.project == path) or self.in_compose_project(path, compose)


def read_container(entry: Mapping[str, Any], now: float) -> Container:
    """Return a container from an entry of `GET /containers/json`.

    Args:
        entry: the entry (API 1.41 and newer).
        now: seconds since the epoch.
    """
    status = str(entry.get("Status") or "")
    created = int(entry.get("Created") or 0)
    state = str(entry.get("State") or "")
    names = entry.get("Names") or [entry["Id"][:_SHORT]]
    # The name without a second slash; the others are links of older engines.
    own = next((name for name in names if name.count("/") <= 1), names[0])
    return Container(
        id=str(entry["Id"]),
        name=own.lstrip("/"),
        image=short_image(str(entry.get("Image") or ""), entry.get("Labels") or {}),
        image_id=str(entry.get("ImageID") or ""),
        state=state,
        health=_health(status),
        up=_uptime(created, status, now) if state in ("running", "paused") else None,
        created=created,
        ports=_ports(entry.get("Ports") or ()),
        volumes=tuple(m["Name"] for m in entry.get("Mounts") or () if m.get("Name")),
        labels=entry.get("Labels") or {},
    )


def short_image(image: str, labels: Mapping[str, str]) -> str:
    """Return an image as a person reads it: `hal9000@1f66bbab5ad5` for an id."""
    if not image.startswith("sha256:"):
        return image
    short = image.removeprefix("sha256:")[:_SHORT]
    known = labels.get("claudy.image", "")
    return f"{known}@{short}" if known else short


def _health(status: str) -> str:
    """Return the health that `Up 2 hours (healthy)` tells."""
    inside = status.rpartition("(")[2].rstrip(")") if status.endswith(")") else ""
    word = inside.removeprefix("health: ")
    return word if word in ("healthy", "unhealthy", "starting") else ""


def _uptime(created: int, status: str, now: float) -> int:
    """Return how long a container has been running, in seconds.

    The list has the exact time of its creation, and the time since its start only in words
    (moby uses go-units `HumanDuration`). Sandboxes start when they are made, so the first is used
    unless the words contradict it: after a restart, or when this clock is not the engine's.
    """
    exact = max(0, int(now) - created)
    words = status.removeprefix("Up ").removeprefix("Less than ").removeprefix("About ").split()
    if len(words) < 2:  # noqa: PLR2004 - a number and a unit
        return exact
    number = int(words[0]) if words[0].isdigit() else 1
    unit = _UNITS.get(words[1].rstrip("s"), 0)
    said = number * unit
    return exact if not unit or abs(exact - said) <= unit else said


def _ports(entries: Iterable[Mapping[str, Any]]) -> tuple[Port, ...]:
    found = {
        Port(
            int(entry["PrivatePort"]),
            int(entry.get("PublicPort") or 0),
            str(entry.get("IP") or "") if entry.get("PublicPort") else "",
            str(entry.get("Type") or "tcp"),
        )
        for entry in entries
    }
    return tuple(sorted(found, key=lambda port: (port.internal, port.protocol, port.address)))


def spell_duration(seconds: int) -> str:
    """Return a time span in its two largest units: `45s`, `12m`, `2h 15m`, `3d 4h`."""
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds}s"
    minutes = seconds // 60
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours}h"
    return f"{hours}h {minutes}m" if hours else f"{minutes}m"
