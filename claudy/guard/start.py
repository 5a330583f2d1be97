"""Bind sources can't be swapped under the daemon, whenever it looks at them.

From API 1.45 on the daemon resolves subpaths itself, safely. Older daemons follow links in the
source: when a container starts, and when something is copied into or out of it. There, everything
of the project stands still while the source is looked at and the daemon mounts it: who has no mount
of the workspace may reach it through one who has. Nobody may wake it meanwhile, as a signal to a
paused container does, and nothing that could is restarted by the daemon on its own. A request that
holds a lock is waited for, also when its client has left: the daemon goes on with it. What such a
daemon has made is not used any more once the engine is a newer one.

Daemons before API 1.43 also mount a container's volumes in the host's own namespace for a copy, at
a place that the running container can swap: it stands still then, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from typing import TYPE_CHECKING, Any

from claudy.guard.mounts import SUBPATH_API
from claudy.guard.opening import FROZEN
from claudy.guard.refusal import Denied, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudy.guard.audit import Audit
    from claudy.guard.daemon import Daemon
    from claudy.guard.ledger import Ledger
    from claudy.guard.options import Settings
    from claudy.guard.paths import Workspace

LOCK = "start.lock"
NO_CONTENT = 204
_OWN_NAMESPACE = (1, 43)
_THAWED = {204, 404, 409, 500}  # or it was not paused, or is gone
_NETWORK_FILES = ("HostsPath", "ResolvConfPath", "HostnamePath")
_FAREWELL = 5.0
_PAUSE = 0.05


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

    @property
    def safe_by_itself(self) -> bool:
        """Whether the daemon resolves the subpaths of what it makes now itself."""
        return self._daemon.newest >= SUBPATH_API

    @contextlib.contextmanager
    def mounting(
        self, container: str, *, start: bool = False, copy: bool = False
    ) -> Iterator[bool]:
        """Hold the project still while the daemon mounts, where that is needed.

        Args:
            container: its full id.
            start: what runs already is left alone: it might end, and be started, unseen.
            copy: it is not started; something is copied into or out of it.

        Yields:
            Whether to go on; False: it runs already.

        Raises:
            Denied: a bind source is no longer what it was.
        """
        found = self._inspected(container)
        below = self._below(found)
        if self.safe_by_itself:
            if below:
                raise refused(
                    f"the bind source /workspace/{below[0]} is mounted as older engines did",
                    "Create the container again.",
                )
            yield True
            return
        in_the_hosts = copy and self._daemon.newest < _OWN_NAMESPACE
        if not below and not in_the_hosts:
            with self.writing():
                yield True
            return
        with self._lock(fcntl.LOCK_EX):
            self._thaw()
            running = self._running()
            if start and any(entry["Id"] == container for entry in running):
                yield False
                return
            with self._frozen(container, running):
                for relative in below:
                    if not self._workspace.unchanged(relative):
                        raise refused(
                            f"the bind source /workspace/{relative} has changed since the "
                            "container was created",
                            "Create the container again.",
                        )
                yield True

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Keep out of such moments while something may write to the workspace, or wake up."""
        if self.safe_by_itself:
            yield
            return
        with self._lock(fcntl.LOCK_SH):
            yield

    def recover(self) -> None:
        """Thaw what a guard that died left frozen; one that lives holds the lock."""
        with contextlib.suppress(BlockingIOError), self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB):
            self._thaw()

    def settle(self) -> None:
        """Wait, for a while, until nothing stands still: this guard is about to end."""
        until = time.monotonic() + _FAREWELL
        while time.monotonic() < until and not self.safe_by_itself:
            with contextlib.suppress(BlockingIOError), self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB):
                return
            time.sleep(_PAUSE)

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
        sources = [*_binds(found), *(str(found.get(key) or "") for key in _NETWORK_FILES)]
        # With another's network come its files of it, which may be mounts of the workspace.
        kind, _, other = str((found.get("HostConfig") or {}).get("NetworkMode") or "").partition(
            ":"
        )
        if kind == "container" and other:
            joined = self._inspected(other)
            sources += [str(joined.get(key) or "") for key in _NETWORK_FILES]
        return [source[len(top) :] for source in sources if source.startswith(top)]

    def _inspected(self, container: str) -> dict[str, Any]:
        _, found = self._daemon.json("GET", f"/containers/{container}/json")
        return found or {}

    @contextlib.contextmanager
    def _lock(self, kind: int) -> Iterator[None]:
        os.makedirs(self._ledger.directory, 0o700, exist_ok=True)
        path = os.path.join(self._ledger.directory, LOCK)
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(number, kind)
            yield
        finally:
            os.close(number)

    @contextlib.contextmanager
    def _frozen(self, container: str, running: list[dict[str, Any]]) -> Iterator[None]:
        ours = [entry["Id"] for entry in running if self._is_ours(entry)]
        with open(self._note, "w", encoding="utf-8") as file:
            json.dump([container, *ours], file)
        try:
            for full in ours:
                status, answer = self._daemon.json("POST", f"/containers/{full}/pause")
                if status != NO_CONTENT and any(e["Id"] == full for e in self._running()):
                    detail = (answer or {}).get("message", status)
                    raise refused(f"the workspace can't be held still: {detail}", "Try again.")
            yield
        finally:
            self._thaw()

    @property
    def _note(self) -> str:
        """The file that says what is being mounted, and what stands still for it."""
        return os.path.join(self._ledger.directory, FROZEN)

    def _thaw(self) -> None:
        """Let go what stands still, here or since a guard has died; the lock is held."""
        try:
            with open(self._note, encoding="utf-8") as file:
                mounted, *left = json.load(file)
        except FileNotFoundError:
            return
        except (OSError, ValueError):
            left = []
        else:
            # The daemon answers when it is done with that container.
            with contextlib.suppress(Denied, OSError):
                self._inspected(str(mounted))
        if all([self._unpaused(str(full)) for full in left]):  # noqa: C419 - each of them
            with contextlib.suppress(OSError):
                os.unlink(self._note)

    def _unpaused(self, full: str) -> bool:
        try:
            status, _ = self._daemon.json("POST", f"/containers/{full}/unpause")
        except (Denied, OSError, MemoryError) as error:
            self._audit.event(f"could not unpause {full}: {error}")
            return False
        return status in _THAWED

    def _running(self) -> list[dict[str, Any]]:
        # What waits to be restarted can't be paused, and may run at any moment.
        query = [("filters", json.dumps({"status": ["running", "restarting"]}))]
        _, found = self._daemon.json("GET", "/containers/json", query)
        return found or []

    def _is_ours(self, entry: dict[str, Any]) -> bool:
        """Whether it is a container of the project: a sandbox, or what one has started."""
        labels = entry.get("Labels") or {}
        return (
            self._ledger.owns("containers", entry["Id"])
            or f"/{self._settings.sandbox}" in (entry.get("Names") or [])
            or (
                "claudy.sandbox" in labels
                # A sidecar would hold itself still. What the sandbox made is in the ledger,
                # whatever the labels of its image say.
                and labels.get("claudy.role") != "guard"
                and labels.get("claudy.project") == self._settings.project
            )
        )


def shares_with_another(host: dict[str, Any]) -> bool:
    """Whether a container has another's processes, and its files by them, or its network's."""
    modes = (host.get("PidMode"), host.get("NetworkMode"))
    return any(str(mode or "").startswith("container:") for mode in modes)


def _binds(found: dict[str, Any]) -> list[str]:
    mounts = found.get("Mounts") or []
    return [mount.get("Source", "") for mount in mounts if mount.get("Type") == "bind"]
