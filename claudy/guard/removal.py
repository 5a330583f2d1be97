"""Removals by an engine that follows links where it removes directories (golang/go#52745).

Whoever was handed a directory of a container or volume puts them there, and files of the host are
deleted. So they stand still meanwhile (`Starter.removing`). Where `AutoRemove` is asked for, such
an engine would remove the container by itself; the guard does it instead when the container has
ended, as the daemon would: with its anonymous volumes, also after a start that fails, and not in
the middle of a restart. What ends while there is no guard goes when the next one begins.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from claudy.errors import ClaudyError
from claudy.guard.refusal import Denied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudy.guard.audit import Audit
    from claudy.guard.daemon import Daemon
    from claudy.guard.ledger import Ledger
    from claudy.guard.start import Starter

AUTO = "auto_remove"
"""Key in a container's record: it is removed here when it ends."""
_OVER = {"exited", "dead"}
_TRIES, _PAUSE, _LATER = 5, 1.0, 30.0
_PATIENCE = 10.0  # as the daemon has it with one that it kills
_SETTLING = 3.0
_WITH_VOLUMES = (("v", "1"),)


class Remover:
    """Removes containers.

    Args:
        daemon: does it.
        ledger: says which are removed when they end.
        starter: holds others still.
        audit: told what could not be removed.
    """

    def __init__(self, daemon: Daemon, ledger: Ledger, starter: Starter, audit: Audit) -> None:
        self._daemon, self._ledger, self._starter, self._audit = daemon, ledger, starter, audit
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._waiting = 0
        self._changed = threading.Condition()

    def begin(self) -> None:
        """Start to remove what has ended, in a thread; also what a guard that died restarted."""
        with contextlib.suppress(ClaudyError):  # each request says that then
            for container in self._ledger.keys("containers"):
                if (self._ledger.get("containers", container) or {}).get(AUTO) is False:
                    self._mark(container, auto=True)
        threading.Thread(target=self._run, daemon=True).start()

    def take_over(self, host: dict[str, Any]) -> dict[str, Any]:
        """Take the removal over from the daemon, if it does not do it safely.

        Args:
            host: `HostConfig` of a container that is to be created.

        Returns:
            What its record says of it.
        """
        policy = (host.get("RestartPolicy") or {}).get("Name")
        if not host.get("AutoRemove") or policy not in {None, "", "no"}:
            return {}  # not both: the daemon says so
        if self._daemon.removes_unwatched:
            return {}
        host["AutoRemove"] = False
        return {AUTO: True}

    def is_taken_over(self, container: str) -> bool:
        """Whether a container is removed here when it ends."""
        return bool((self._ledger.get("containers", container) or {}).get(AUTO))

    def ended(self, container: str) -> None:
        """Remove a container soon if it is to be, and has ended."""
        if self.is_taken_over(container):
            with self._changed:
                self._waiting += 1
            self._ended.put(container)

    def settle(self) -> None:
        """Wait, for a while, until what has ended is gone: its name or volume is wanted again.

        The daemon would have removed it almost at once.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, _SETTLING)

    def look_at_all(self) -> None:
        """Remove what has ended unseen."""
        for container in self._ledger.keys("containers"):
            self.ended(container)

    @contextlib.contextmanager
    def keeping(self, container: str) -> Iterator[None]:
        """Let a container end, and not go, as while it is restarted."""
        if not self.is_taken_over(container):
            yield
            return
        self._mark(container, auto=False)
        try:
            yield
        finally:
            self._mark(container, auto=True)
            self.ended(container)

    def remove_unstarted(self, container: str) -> None:
        """Remove a container that is not started after all, if it goes when it ends."""
        host = self._inspected(container).get("HostConfig") or {}
        if host.get("AutoRemove") or self.is_taken_over(container):
            self.remove_stopped(container, _WITH_VOLUMES)

    def remove_stopped(self, container: str, query: tuple[tuple[str, str], ...] = ()) -> int:
        """Remove a container that does not run.

        Args:
            container: its full id.
            query: of the request.

        Returns:
            The daemon's status; 409 if it runs.
        """
        with self._starter.removing("containers", container):
            status, _ = self._daemon.json("DELETE", f"/containers/{container}", query)
            return status

    def end(self, container: str) -> None:
        """Kill a container, if it runs.

        Where somebody has its processes, it could not end while they stand still.
        """
        with self._starter.writing():
            self._daemon.json("POST", f"/containers/{container}/kill")
        path, query = f"/containers/{container}/wait", [("condition", "not-running")]
        with self._daemon.open("POST", path, query) as answer, contextlib.suppress(OSError):
            answer.sock.settimeout(_PATIENCE)
            answer.response.read()

    def _inspected(self, container: str) -> dict[str, Any]:
        """Return a container as the daemon describes it; empty: it is gone."""
        _, found = self._daemon.json("GET", f"/containers/{container}/json")
        return found or {}

    def _mark(self, container: str, *, auto: bool) -> None:
        def step(data: dict[str, Any]) -> None:
            record = data["containers"].get(container) or {"gone": 0}
            if "gone" not in record:
                record[AUTO] = auto

        self._ledger.change(step)

    def _run(self) -> None:
        while True:
            container = self._ended.get()
            try:
                self._remove_ended(container)
            except Exception as error:  # noqa: BLE001 - a defect here must not end the work
                self._audit.event(f"defect in removal: {type(error).__name__}: {error}")
            with self._changed:
                self._waiting -= 1
                self._changed.notify_all()

    def _remove_ended(self, container: str) -> None:
        """Remove a container that has ended; not one that was never started, or runs again."""
        for tried in range(1, _TRIES + 1):
            try:
                state = self._inspected(container).get("State") or {}
                if state.get("Status") not in _OVER or not self.is_taken_over(container):
                    return
                why = f"status {self.remove_stopped(container, _WITH_VOLUMES)}"
            except (Denied, ClaudyError, OSError) as error:
                why = str(getattr(error, "message", error))
            time.sleep(_PAUSE if tried > 1 else 0)
        # Who has asked for it waits for that.
        self._audit.event(f"{container} could not be removed yet: {why}")
        later = threading.Timer(_LATER, self.ended, [container])
        later.daemon = True
        later.start()
