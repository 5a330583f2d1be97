"""Starting containers so that bind sources can't be swapped under the daemon.

From API 1.45 on the daemon resolves subpaths itself, safely, at every start. Older daemons follow
links in the source: there, everything of the project that can write to the workspace stands still
while the source is looked at and the container starts, and nothing with a workspace mount may be
restarted by the daemon on its own.
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
    """Guards the moment of a start.

    Args:
        daemon: pauses and starts.
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
        """Whether the daemon resolves subpaths itself."""
        return self._daemon.newest >= SUBPATH_API

    @contextlib.contextmanager
    def starting(self, container: str) -> Iterator[None]:
        """Hold the workspace still around a start, where that is needed.

        Raises:
            Denied: a bind source is no longer what it was.
        """
        if self.safe_by_itself:
            yield
            return
        below = self._below(container)
        if not below:
            with self.writing():
                yield
            return
        with self._lock(fcntl.LOCK_EX), self._frozen(container):
            for relative in below:
                if not self._workspace.unchanged(relative):
                    raise refused(
                        f"the bind source /workspace/{relative} has changed since the container "
                        "was created",
                        "Create the container again.",
                    )
            yield

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Keep out of the way of starts while something may write to the workspace."""
        if self.safe_by_itself:
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

    def _below(self, container: str) -> list[str]:
        """Return the bind sources below the workspace's root that a start would resolve."""
        _, found = self._daemon.json("GET", f"/containers/{container}/json")
        mounts = (found or {}).get("Mounts") or []
        sources = (mount.get("Source", "") for mount in mounts if mount.get("Type") == "bind")
        top = self._workspace.host.rstrip("/") + "/"
        return [source[len(top) :] for source in sources if source.startswith(top)]

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
    def _frozen(self, container: str) -> Iterator[None]:
        path = os.path.join(self._ledger.directory, FROZEN)
        writers = [full for full in self._writers() if full != container]
        with open(path, "w", encoding="utf-8") as file:
            json.dump(writers, file)
        paused = []
        try:
            for full in writers:
                status, answer = self._daemon.json("POST", f"/containers/{full}/pause")
                if status == 204:  # noqa: PLR2004 - No Content
                    paused.append(full)
                elif full in self._writers():
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

    def _writers(self) -> list[str]:
        """Return running containers of the project that can write to the workspace."""
        query = [("filters", json.dumps({"status": ["running"]}))]
        _, found = self._daemon.json("GET", "/containers/json", query)
        return [entry["Id"] for entry in found or [] if self._can_write(entry)]

    def _can_write(self, entry: dict[str, Any]) -> bool:
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
