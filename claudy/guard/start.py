"""Nothing is swapped under the daemon while it follows paths for the sandbox.

From API 1.45 on the daemon resolves subpaths itself, safely. Older daemons follow links in a bind
source when a container starts. There, everything of the project stands still while the source is
looked at and the daemon mounts it: who has no mount of the workspace may reach it through one who
has.

What goes through a container's files (`docker cp`, `export`, `diff`, `commit`) is not safe in any
daemon: it makes mount points in them, turns its root there, and opens what it has looked at before,
as root and with every device (CVE-2026-41568 and -42306 are two of the ways). So who can change
these files stands still: the container, and all to whom it could have handed what it has open.

So it is with removals by an engine that follows links there (`claudy.guard.removal`).

Nobody may wake what stands still, as a signal to a paused container does, and the daemon restarts
nothing meanwhile: one that is just ending can be paused, and would run again. A request that holds
a lock is waited for, also when its client has left: the daemon goes on with it. What an old daemon
has made is not used any more once the engine is a newer one.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import re
import time
from typing import TYPE_CHECKING, Any

from claudy.errors import ClaudyError
from claudy.guard.circles import Circles
from claudy.guard.mounts import SUBPATH_API
from claudy.guard.opening import FROZEN
from claudy.guard.refusal import BAD_REQUEST, Denied, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from claudy.guard.audit import Audit
    from claudy.guard.daemon import Daemon
    from claudy.guard.ledger import Ledger
    from claudy.guard.options import Settings
    from claudy.guard.paths import Workspace

LOCK, TURN = "start.lock", "turn.lock"
NO_CONTENT = 204
_THAWED = {204, 404, 409, 500}  # or it was not paused, or is gone
_NETWORK_FILES = ("HostsPath", "ResolvConfPath", "HostnamePath")
_FAREWELL = 5.0
_PAUSE, _SHORT = 0.05, 0.005
_TURN = 1.0
_TRIES = 20
_NEVER = "0001-"
_USERS = ("/etc/passwd", "/etc/group")
_LONGEST_USERS = 1 << 20
_MODE_TYPE = 0x8F280000  # Go's os.ModeType
_SIDECAR = re.compile(r"/claudy-.+-guard")


class Starter:
    """Guards the moments in which the daemon resolves bind sources.

    Args:
        daemon: pauses and mounts.
        ledger: says what is owned; its directory holds the lock between sandboxes.
        workspace: looks at sources.
        settings: names the sandbox.
        audit: told when something could not be thawed.
    """

    def __init__(
        self, daemon: Daemon, ledger: Ledger, workspace: Workspace, settings: Settings, audit: Audit
    ) -> None:
        self._daemon, self._ledger, self._workspace = daemon, ledger, workspace
        self._settings, self._audit = settings, audit
        self._circles = Circles(ledger, workspace, settings)

    @property
    def circling(self) -> Callable[[dict[str, Any]], Callable[[dict[str, Any]], None]]:
        """What puts a new container into its circle."""
        return self._circles.circling

    @property
    def safe_by_itself(self) -> bool:
        """Whether the daemon resolves the subpaths of what it makes now itself."""
        return self._daemon.newest >= SUBPATH_API

    @contextlib.contextmanager
    def mounting(self, container: str, *, start: bool = False) -> Iterator[bool]:
        """Hold the project still while the daemon mounts for a start, where that is needed.

        Args:
            container: its full id.
            start: what runs already is left alone: it might end, and be started, unseen.

        Yields:
            Whether to go on; False: it runs already.

        Raises:
            Denied: a bind source is no longer what it was.
        """
        found = self._inspected(container)
        below = self._below(found)
        if not below or self.safe_by_itself:
            self._require_current(below)
            with self.writing():
                yield True
            return
        with self._lock(fcntl.LOCK_EX):
            self._require_thawed()
            if start and any(entry["Id"] == container for entry in self._running()):
                yield False
                return
            with self._frozen("containers", container, self._running):
                self._require_unchanged(below)
                self._require_plain_users(container)
                yield True

    @contextlib.contextmanager
    def holding(self, container: str, *, users: bool = False) -> Iterator[bool]:
        """Hold still who can change a container's files while the daemon goes through them.

        Args:
            container: its full id.
            users: the daemon looks up names in it.

        Yields:
            Whether somebody stands still: all has to be over in the end. Otherwise nothing has
            ever run there, and nothing is started before the end.

        Raises:
            Denied: they can't be held still, or a bind source is no longer what it was.
        """
        with self._lock(fcntl.LOCK_EX):
            self._require_thawed()
            found = self._inspected(container)
            below = self._below(found)
            if self.safe_by_itself:
                self._require_current(below)
            if not below and not _reached(found):
                yield False
                return
            chosen = self._running if below else lambda: self._with_access("containers", container)
            with self._frozen("containers", container, chosen):
                self._require_unchanged(below)
                if users:
                    self._require_plain_users(container)
                yield True

    @contextlib.contextmanager
    def removing(self, kind: str, key: str) -> Iterator[None]:
        """Hold still who could put links where the daemon removes directories and follows them.

        Not a container that is itself removed: the daemon does that when nothing runs there. One
        that waits to be restarted can't be paused either.

        Args:
            kind: `containers` or `volumes`.
            key: full id or name.

        Raises:
            Denied: they can't be held still.
        """
        if self._daemon.removes_unwatched:
            with self.writing():
                yield
            return

        removed = key if kind == "containers" else ""  # a volume may be called as a container is

        def others(*states: str) -> list[dict[str, Any]]:
            found = self._with_access(kind, key, *states)
            return [entry for entry in found if entry["Id"] != removed]

        with self.writing():
            # Nobody who has a directory open runs, and who begins to can't get one any more.
            if not others("paused"):
                yield
                return
        # The daemon removes them when the container itself is gone.
        mounted = self._inspected(removed).get("Mounts") or [] if removed else []
        volumes = [_path("volumes", mount["Name"]) for mount in mounted if mount.get("Name")]

        with self._lock(fcntl.LOCK_EX):
            self._require_thawed()
            with self._frozen(kind, key, others, volumes):
                yield

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Keep out of such moments while something may write to the workspace, or wake up."""
        with contextlib.ExitStack() as kept:
            kept.enter_context(self._lock(fcntl.LOCK_SH))
            if os.path.exists(self._note):
                # Whoever held still has died; the daemon may go on with it.
                kept.close()
                with self._lock(fcntl.LOCK_EX):
                    self._thaw()
                kept.enter_context(self._lock(fcntl.LOCK_SH))
                if os.path.exists(self._note):
                    raise refused("the project stands still for another request", "Try again.")
            yield

    def recover(self) -> None:
        """Thaw what a guard that died left frozen; one that lives holds the lock."""
        with contextlib.suppress(BlockingIOError), self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB):
            self._thaw()

    def settle(self) -> None:
        """Wait, for a while, until nothing stands still: this guard is about to end."""
        until = time.monotonic() + _FAREWELL
        with contextlib.suppress(ClaudyError):  # no lock, so nobody has it
            while time.monotonic() < until:
                with (
                    contextlib.suppress(BlockingIOError),
                    self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB),
                ):
                    return
                time.sleep(_PAUSE)

    @property
    def still(self) -> dict[str, Any]:
        """Ids of the containers that stand still just now, and go on by themselves.

        With the policy of restarts that each has again then; None: as it has.
        """
        try:
            return self._noted()[1]
        except (OSError, ValueError):
            return {}

    def sources(self, container: str) -> list[str]:
        """Return a container's bind sources below the workspace's root, which a link may replace.

        Also those that it has from another (`VolumesFrom`).
        """
        return self._below(self._inspected(container))

    def must_not_restart(self, container: str) -> bool:
        """Whether the daemon may not start a container by itself: it could in such a moment."""
        if self.safe_by_itself:
            return False
        found = self._inspected(container)
        host = found.get("HostConfig") or {}
        top = self._workspace.host.rstrip("/") + "/"
        reaches = any((source + "/").startswith(top) for source in _binds(found))
        return reaches or shares_with_another(host)

    def _below(self, found: dict[str, Any]) -> list[str]:
        top = self._workspace.host.rstrip("/") + "/"
        sources = [*_binds(found), *_network_files(found)]
        # With another's network come its files of it, which may be mounts: of the workspace, or of
        # a volume that is somebody else's by now.
        mode = str((found.get("HostConfig") or {}).get("NetworkMode") or "")
        kind, _, other = mode.partition(":")
        if kind == "container" and other:
            joined = _network_files(self._inspected(other))
            sources += joined
            # They stay where they were, also when the other one and its volume are gone.
            theirs = (f"/containers/{other}/", f"/containers/{found.get('Id')}/")
            files = [*joined, *_network_files(found)]
            if not all(any(part in path for part in theirs) for path in files):
                raise refused(
                    "the container whose network it joins has a mount at /etc/hosts, "
                    "/etc/resolv.conf or /etc/hostname",
                    "Mount it elsewhere.",
                )
        return [source[len(top) :] for source in sources if source.startswith(top)]

    @staticmethod
    def _require_current(below: list[str]) -> None:
        if below:
            raise refused(
                f"the bind source /workspace/{below[0]} is mounted as older engines did",
                "Create the container again.",
            )

    def _require_unchanged(self, below: list[str]) -> None:
        for relative in below:
            if not self._workspace.unchanged(relative):
                raise refused(
                    f"the bind source /workspace/{relative} has changed since the "
                    "container was created",
                    "Create the container again.",
                )

    def _require_plain_users(self, container: str) -> None:
        """Refuse what would make the daemon read for ever, with everything standing still."""
        for name in _USERS:
            for _ in range(_TRIES):
                query = [("path", name)]
                path = f"/containers/{container}/archive"
                with self._daemon.open("HEAD", path, query) as answer:
                    raw = answer.headers.get("x-docker-container-path-stat", "")
                    stat = json.loads(base64.b64decode(raw)) if answer.status < BAD_REQUEST else {}
                if not stat.get("linkTarget"):
                    break
                name = str(stat["linkTarget"])  # noqa: PLW2901
            if stat and (stat["mode"] & _MODE_TYPE or stat["size"] > _LONGEST_USERS):
                raise refused(f"{name} of that container is no file of users", "Use another image.")

    def _inspected(self, container: str) -> dict[str, Any]:
        _, found = self._daemon.json("GET", f"/containers/{container}/json")
        return found or {}

    @contextlib.contextmanager
    def _lock(self, kind: int) -> Iterator[None]:
        number = self._opened(LOCK)
        try:
            if kind & fcntl.LOCK_NB:
                fcntl.flock(number, kind)
            else:
                self._take(number, kind)
            yield
        finally:
            os.close(number)

    def _opened(self, name: str) -> int:
        path = os.path.join(self._ledger.directory, name)
        try:
            os.makedirs(self._ledger.directory, 0o700, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ClaudyError(
                f"{path} can't be used for claudy's state: {error.strerror}.", f"ls -ld {path}"
            ) from error

    def _take(self, number: int, kind: int) -> None:
        """Wait for a lock, in turn: many who share it would never let in who wants it alone.

        A turn is short, as one who shares it may take long: a container that has time to stop.
        """
        turn = self._opened(TURN)
        try:
            while True:
                fcntl.flock(turn, fcntl.LOCK_EX)
                if kind == fcntl.LOCK_SH:
                    fcntl.flock(number, kind)
                    return
                until = time.monotonic() + _TURN
                while time.monotonic() < until:
                    with contextlib.suppress(BlockingIOError):
                        fcntl.flock(number, kind | fcntl.LOCK_NB)
                        return
                    time.sleep(_SHORT)
                fcntl.flock(turn, fcntl.LOCK_UN)
                time.sleep(_PAUSE)
        finally:
            os.close(turn)

    @contextlib.contextmanager
    def _frozen(
        self,
        kind: str,
        key: str,
        chosen: Callable[[], list[dict[str, Any]]],
        others: list[str] | None = None,
    ) -> Iterator[None]:
        try:
            for tried in range(1, _TRIES + 1):
                if not (detail := self._freeze([_path(kind, key), *(others or [])], chosen())):
                    break
                # It has ended, and may be back at any moment; if it is gone, all is well.
                self._require_thawed(done=True)
                if tried == _TRIES:
                    raise refused(f"the project can't be held still: {detail}", "Try again.")
                time.sleep(_PAUSE)
            yield
        finally:
            self._thaw(done=True)

    def _freeze(self, paths: list[str], chosen: list[dict[str, Any]]) -> str:
        """Pause containers; return what went wrong.

        Args:
            paths: of what the daemon works at meanwhile.
            chosen: the containers, as they are listed.
        """
        ours = [entry["Id"] for entry in chosen if self._is_ours(entry)]
        held = {full: self._policy(full) for full in ours}
        with open(self._note, "w", encoding="utf-8") as file:
            json.dump([paths[0], held, paths[1:]], file)
        for full, policy in held.items():
            if policy:
                status, answer = self._set_policy(full, {"Name": "no"})
                if status >= BAD_REQUEST:
                    return str((answer or {}).get("message", status))
            if self._execs(full):
                return "a process is being started in it"
            status, answer = self._daemon.json("POST", f"/containers/{full}/pause")
            if status != NO_CONTENT:
                return str((answer or {}).get("message", status))
        return ""

    def _policy(self, container: str) -> dict[str, Any] | None:
        """Return a container's policy of restarts; None: the daemon never restarts it."""
        host = self._inspected(container).get("HostConfig") or {}
        policy: dict[str, Any] = host.get("RestartPolicy") or {}
        return None if policy.get("Name") in {None, "", "no"} else policy

    def _set_policy(self, container: str, policy: dict[str, Any]) -> tuple[int, Any]:
        body = {"RestartPolicy": policy}
        return self._daemon.json("POST", f"/containers/{container}/update", body=body)

    def _execs(self, container: str) -> bool:
        """Whether a process is on its way into a container: paused then, it would never arrive."""
        for exec_id in self._inspected(container).get("ExecIDs") or []:
            _, found = self._daemon.json("GET", f"/exec/{exec_id}/json")
            if found and found.get("Running") and not found.get("Pid"):
                return True
        return False

    def _with_access(self, kind: str, key: str, *states: str) -> list[dict[str, Any]]:
        """Return what runs, or is in one of further states, of who can change an object's files."""
        running = [entry for entry in self._running(*states) if self._is_ours(entry)]
        for entry in running:
            if not self._ledger.owns("containers", entry["Id"]):
                self._circles.join(self._inspected(entry["Id"]))
        circle = self._circles.of(kind, key)
        if circle is None:
            return running
        near = {circle, None}
        return [e for e in running if self._circles.of("containers", e["Id"]) in near]

    @property
    def _note(self) -> str:
        """The file that says what is being mounted, and what stands still for it."""
        return os.path.join(self._ledger.directory, FROZEN)

    def _thaw(self, *, done: bool = False) -> None:
        """Let go what stands still, here or since a guard has died; the lock is held.

        Args:
            done: the daemon has answered. To ask again could block: it may wait for who is paused.
        """
        try:
            paths, held = self._noted()
        except FileNotFoundError:
            return
        except (OSError, ValueError):
            paths, held = [], {}
        if held and not done:
            for path in paths:
                with contextlib.suppress(Denied, OSError):
                    self._wait_for(path)
        if all([self._unpaused(*each) for each in held.items()]):  # noqa: C419 - each of them
            with contextlib.suppress(OSError):
                os.unlink(self._note)

    def _wait_for(self, path: str) -> None:
        """Wait until the daemon is done with an object: it answers then, or it is gone."""
        while True:
            _, found = self._daemon.json("GET", path)
            if ((found or {}).get("State") or {}).get("Status") != "removing":
                return
            time.sleep(_PAUSE)

    def _require_thawed(self, *, done: bool = False) -> None:
        self._thaw(done=done)
        if os.path.exists(self._note):
            raise refused("the project stands still for another request", "Try again.")

    def _noted(self) -> tuple[list[str], dict[str, Any]]:
        with open(self._note, encoding="utf-8") as file:
            path, *rest = json.load(file)
        path = path if path.startswith("/") else _path("containers", path)
        if rest and isinstance(rest[0], dict):
            held, *others = rest
            return [path, *(others[0] if others else [])], held
        # An older guard noted ids alone.
        return [path], dict.fromkeys(rest)

    def _unpaused(self, full: str, policy: dict[str, Any] | None) -> bool:
        try:
            status, _ = self._daemon.json("POST", f"/containers/{full}/unpause")
            if policy:
                self._set_policy(full, policy)
        except (Denied, OSError, MemoryError) as error:
            self._audit.event(f"could not unpause {full}: {error}")
            return False
        return status in _THAWED

    def _running(self, *states: str) -> list[dict[str, Any]]:
        # What waits to be restarted can't be paused, and may run at any moment.
        query = [("filters", json.dumps({"status": ["running", "restarting", *states]}))]
        _, found = self._daemon.json("GET", "/containers/json", query)
        return found or []

    def _is_ours(self, entry: dict[str, Any]) -> bool:
        """Whether it is a container of the project: what a sandbox, or claudy, has started."""
        names = entry.get("Names") or []
        return (
            self._ledger.owns("containers", entry["Id"])
            or f"/{self._settings.sandbox}" in names
            or (
                (entry.get("Labels") or {}).get("claudy.project") == self._settings.project
                # A sidecar would hold itself still. Nobody inside can take such a name.
                and not any(_SIDECAR.fullmatch(name) for name in names)
            )
        )


def _path(kind: str, key: str) -> str:
    return f"/{kind}/{key}" + ("/json" if kind == "containers" else "")


def _reached(found: dict[str, Any]) -> bool:
    """Whether somebody may change a container's files: it has run once, or has a volume."""
    state = found.get("State") or {}
    return bool(found.get("Mounts")) or not str(state.get("StartedAt")).startswith(_NEVER)


def shares_with_another(host: dict[str, Any]) -> bool:
    """Whether a container has another's processes, and its files by them, or its network's."""
    modes = (host.get("PidMode"), host.get("NetworkMode"))
    return any(str(mode or "").startswith("container:") for mode in modes)


def _network_files(found: dict[str, Any]) -> list[str]:
    return [path for key in _NETWORK_FILES if (path := str(found.get(key) or ""))]


def _binds(found: dict[str, Any]) -> list[str]:
    mounts = found.get("Mounts") or []
    return [mount.get("Source", "") for mount in mounts if mount.get("Type") == "bind"]
