"""Bind sources can't be swapped under the daemon, whenever it looks at them.

From API 1.45 on the daemon resolves subpaths itself, safely. Older daemons follow links in the
source: when a container starts, and when something is copied into or out of it. There, everything
of the project that can write to the workspace stands still while the source is looked at and the
daemon mounts it; nobody may wake it meanwhile, as a signal to a paused container does; and nothing
with a workspace mount may be restarted by the daemon on its own. What such a daemon has made is not
used any more once the engine is a newer one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from typing import TYPE_CHECKING, Any

from claudy.guard.mounts import SUBPATH_API
from claudy.guard.opening import FROZEN
from claudy.guard.refusal import refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudy.guard.audit import Audit
    from claudy.guard.daemon import Daemon
    from claudy.guard.ledger import Ledger
    from claudy.guard.options import Settings
    from claudy.guard.paths import Workspace

LOCK = "start.lock"


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
    def mounting(self, container: str, *, start: bool = False) -> Iterator[bool]:
        """Hold the workspace still while the daemon mounts, where that is needed.

        Args:
            container: its full id.
            start: what runs already is left alone: it might end, and be started, unseen.

        Yields:
            Whether to go on; False: it runs already.

        Raises:
            Denied: a bind source is no longer what it was.
        """
        below = self.sources(container)
        if not below:
            with self.writing():
                yield True
            return
        if self.safe_by_itself:
            raise refused(
                f"the bind source /workspace/{below[0]} is mounted as older engines did",
                "Create the container again.",
            )
        with self._lock(fcntl.LOCK_EX):
            running = self._running()
            if start and any(entry["Id"] == container for entry in running):
                yield False
                return
            with self._frozen(running):
                for relative in below:
                    if not self._workspace.unchanged(relative):
                        raise refused(
                            f"the bind source /workspace/{relative} has changed since the "
                            "container was created",
                            "Create the container again.",
                        )
                yield True

    @contextlib.contextmanager
    def writing(self, container: str = "") -> Iterator[None]:
        """Keep out of the way of such moments while something may write to the workspace.

        Args:
            container: which may wake up and do so; empty: it does so for certain.
        """
        if self.safe_by_itself or (container and not self.reaches(container)):
            yield
            return
        with self._lock(fcntl.LOCK_SH):
            yield

    def recover(self) -> None:
        """Thaw what a guard that died left frozen."""
        path = os.path.join(self._ledger.directory, FROZEN)
        try:
            with open(path, encoding="utf-8") as file:
                left = json.load(file)
        except (OSError, ValueError):
            return
        for full in left:
            self._daemon.json("POST", f"/containers/{full}/unpause")
        with contextlib.suppress(OSError):
            os.unlink(path)

    def sources(self, container: str) -> list[str]:
        """Return a container's bind sources below the workspace's root, which a link may replace.

        Also those that it has from another (`VolumesFrom`).
        """
        top = self._workspace.host.rstrip("/") + "/"
        return [source[len(top) :] for source in self._binds(container) if source.startswith(top)]

    def reaches(self, container: str) -> bool:
        """Whether the workspace, or something in it, is a bind mount of a container."""
        top = self._workspace.host.rstrip("/") + "/"
        return any((source + "/").startswith(top) for source in self._binds(container))

    def _binds(self, container: str) -> list[str]:
        _, found = self._daemon.json("GET", f"/containers/{container}/json")
        mounts = (found or {}).get("Mounts") or []
        return [mount.get("Source", "") for mount in mounts if mount.get("Type") == "bind"]

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
    def _frozen(self, running: list[dict[str, Any]]) -> Iterator[None]:
        path = os.path.join(self._ledger.directory, FROZEN)
        writers = [entry["Id"] for entry in running if self._can_write(entry)]
        with open(path, "w", encoding="utf-8") as file:
            json.dump(writers, file)
        paused = []
        try:
            for full in writers:
                status, answer = self._daemon.json("POST", f"/containers/{full}/pause")
                if status == 204:  # noqa: PLR2004 - No Content
                    paused.append(full)
                elif any(entry["Id"] == full for entry in self._running()):
                    detail = (answer or {}).get("message", status)
                    raise refused(f"the workspace can't be held still: {detail}", "Try again.")
            yield
        finally:
            for full in paused:
                status, _ = self._daemon.json("POST", f"/containers/{full}/unpause")
                if status not in {204, 404, 409, 500}:
                    self._audit.event(f"could not unpause {full}: {status}")
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _running(self) -> list[dict[str, Any]]:
        query = [("filters", json.dumps({"status": ["running"]}))]
        _, found = self._daemon.json("GET", "/containers/json", query)
        return found or []

    def _can_write(self, entry: dict[str, Any]) -> bool:
        """Whether it is a container of the project that can write to the workspace."""
        labels = entry.get("Labels") or {}
        ours = (
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
        top = self._workspace.host
        return ours and any(
            mount.get("RW", True)
            and (mount.get("Source", "") + "/").startswith(top.rstrip("/") + "/")
            for mount in entry.get("Mounts") or []
        )
