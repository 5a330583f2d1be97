"""The guard's settings: an argument list or a JSON file from the launcher."""

from __future__ import annotations

import os
import stat

from claudy.errors import ClaudyError, UsageError
from claudy.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

WORKSPACE = "/workspace"
MIB = 1024 * 1024
_UNITS = {"b": 1, "k": 1024, "m": MIB, "g": 1024 * MIB}


@record
class Settings:
    """What a guard is told when it starts.

    Attributes:
        listen: path of the socket that it makes.
        upstream: path of the daemon's socket.
        project: real path of the project directory, as its sandbox's labels have it.
        project_id: `claudy.project` of the project.
        sandbox: name of the sandbox's container.
        ledger: directory of the project's ledger.
        log: file for refused requests; empty: none.
        uid: user that may connect.
        gid: its group.
        socket_source: path of `listen` as the daemon sees it, for binds of the Docker socket;
            empty: the same as `listen`. A volume's name and path `NAME:/PATH` for a sidecar.
        visibility: "all" or "own".
        share_build_cache: builds take the host's `RUN` steps, and the host's take theirs.
        budget: limits by name (memory in bytes, nano_cpus, pids, containers, ports); 0: none.
        all_interfaces: published ports may listen on every interface.
        loopback_only: the engine can't publish on the sandbox's gateway: it is rootless.
        read_only: the project is mounted read-only.
        host_path: the project's path on the daemon's file system; empty: the same.
        root: where the guard itself finds the project; empty: the same.
        grace: seconds for the sandbox's container to appear.
        launcher: process that makes that container; with its end the grace is over. 0: unknown.
        ready_fd: descriptor that gets `ready`; negative: none.
    """

    listen: str
    upstream: str
    project: str
    project_id: str
    sandbox: str
    ledger: str
    log: str = ""
    uid: int = 0
    gid: int = 0
    socket_source: str = ""
    visibility: str = "all"
    share_build_cache: bool = False
    budget: tuple[tuple[str, int], ...] = ()
    all_interfaces: bool = False
    loopback_only: bool = False
    read_only: bool = False
    host_path: str = ""
    root: str = ""
    grace: int = 60
    launcher: int = 0
    ready_fd: int = 1

    @property
    def workspace_volume(self) -> str:
        """Name of the guard's own volume of the workspace."""
        return f"claudy-workspace-{self.project_id}"


_FLAGS = {
    "publish-all-interfaces": "all_interfaces",
    "publish-on-loopback-only": "loopback_only",
    "read-only": "read_only",
    "share-build-cache": "share_build_cache",
}
_NUMBERS = {"uid", "gid", "grace", "launcher", "ready_fd"}
_BUDGET = {"memory", "cpus", "pids", "containers", "ports"}


def parse(argv: Sequence[str]) -> Settings:
    """Return the settings of `--name value` arguments, or of `--config FILE.json`.

    Raises:
        UsageError: an unknown, missing or malformed argument.
        ClaudyError: settings that would not be safe.
    """
    values: dict[str, object] = {}
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        name = word.removeprefix("--")
        if name == word:
            raise UsageError(f"guard: unexpected argument {word!r}")
        if name in _FLAGS:
            values[_FLAGS[name]] = True
        elif not rest:
            raise UsageError(f"guard: {word} needs a value")
        elif name == "config":
            values.update(_from_file(rest.pop(0)))
        else:
            values[name.replace("-", "_")] = rest.pop(0)
    return check(values)


def _from_file(path: str) -> dict[str, object]:
    import json

    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError) as error:
        raise UsageError(f"guard: {path} can't be read: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"guard: {path} is not a JSON object")
    return found


def check(values: dict[str, object]) -> Settings:
    """Return checked settings."""
    known = set(Settings.__annotations__)
    if wrong := values.keys() - known:
        raise UsageError(f"guard: unknown setting {min(wrong)!r}")
    for name in _NUMBERS & values.keys():
        text = str(values[name])
        if not text.lstrip("-").isdigit():
            raise UsageError(f"guard: {name} is not a number: {text!r}")
        values[name] = int(text)
    values["budget"] = _budget(values.get("budget") or "")
    for name in ("listen", "upstream", "project", "ledger"):
        path = str(values.get(name, ""))
        if not path.startswith("/"):
            raise UsageError(f"guard: {name} is not an absolute path: {path!r}")
    if values.get("visibility", "all") not in {"all", "own"}:
        raise UsageError("guard: visibility is all or own")
    settings = Settings(**values)  # type: ignore[arg-type]
    _require_apart(settings)
    _require_socket(settings.upstream)
    return settings


def _budget(value: object) -> tuple[tuple[str, int], ...]:
    pairs = value if isinstance(value, dict) else dict(_pair(p) for p in str(value).split(",") if p)
    found = {}
    for name, amount in pairs.items():
        if name not in _BUDGET:
            raise UsageError(f"guard: unknown budget {name!r}")
        text = str(amount).lower()
        try:
            if name == "cpus":
                found["nano_cpus"] = int(float(text) * 1_000_000_000)
            elif text[-1:] in _UNITS:
                found[name] = int(float(text[:-1]) * _UNITS[text[-1]])
            else:
                found[name] = int(text)
        except ValueError as error:
            raise UsageError(f"guard: budget {name} is not a number: {text!r}") from error
    return tuple(sorted(found.items()))


def _require_socket(path: str) -> None:
    """Refuse an upstream that is something else; one that is missing may come back."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise ClaudyError(f"The engine's {path} is not a socket.", "claudy doctor")


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _require_apart(settings: Settings) -> None:
    """Refuse to guard a project with the guard's own files in it: the sandbox could edit them."""
    project = os.path.realpath(settings.root or settings.project)
    for path in (settings.ledger, settings.log, settings.listen, settings.upstream):
        if path and os.path.realpath(path).startswith(project.rstrip("/") + "/"):
            raise ClaudyError(
                f"The guard's own file {path} lies inside the project {settings.project}, "
                "where the sandbox could change it.",
                "cd into a project directory below it, or start with --docker none",
            )
