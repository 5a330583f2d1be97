"""What an engine says of the sandboxes of a project."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.engines.shell import EngineError, wait_for

if TYPE_CHECKING:
    from tests.engines.api import Api

PATIENCE = 30.0


@dataclass(frozen=True)
class Sandboxes:
    """The sandboxes of one project.

    Args:
        api: The engine.
        project: Real path of the project.
    """

    api: Api
    project: str

    @property
    def id(self) -> str:
        """Return the end of the project's name in all that claudy makes."""
        return hashlib.sha256(self.project.encode()).hexdigest()[:8]

    def all(self) -> list[dict[str, Any]]:
        """Return what the engine lists of them, whatever their state."""
        wanted = {"label": [f"claudy.project={self.project}"]}
        answer = self.api.request("GET", "/containers/json", {"all": 1, "filters": wanted})
        found: list[dict[str, Any]] = answer
        return found

    def only(self) -> dict[str, Any]:
        """Return all that the engine knows of the one that there is."""
        (found,) = self.all()
        whole: dict[str, Any] = self.api.request("GET", f"/containers/{found['Id']}/json")
        return whole

    def wait_gone(self, seconds: float = PATIENCE) -> None:
        """Wait until there is none."""
        wait_for(lambda: not self.all(), seconds, f"the sandboxes of {self.project} to go")

    def wait_running(self, count: int = 1) -> None:
        """Wait until that many run."""
        wait_for(
            lambda: [one["State"] for one in self.all()] == ["running"] * count,
            PATIENCE,
            f"{count} running sandboxes of {self.project}",
        )

    def processes(self) -> list[tuple[str, str]]:
        """Return state and command line of all processes inside; none if nothing runs."""
        found: list[tuple[str, str]] = []
        for one in self.all():
            query = {"ps_args": "-eo pid,stat,args"}
            try:
                top = self.api.request("GET", f"/containers/{one['Id']}/top", query)
            except EngineError:
                continue
            found += [(row[1], row[2]) for row in top["Processes"] or ()]
        return found

    def runs(self, text: str, state: str = "") -> bool:
        """Tell whether a process with that text in its command line runs inside.

        Args:
            text: Part of the command line.
            state: How its state begins, as ps shows it (`S+`: waits, in the foreground).
        """
        return any(text in line and shown.startswith(state) for shown, line in self.processes())

    def wait_process(self, text: str, state: str = "") -> None:
        """Wait until such a process runs inside, in that state."""
        wait_for(lambda: self.runs(text, state), PATIENCE, f"{text!r} to run")

    def wait_no_process(self, text: str, seconds: float = PATIENCE) -> None:
        """Wait until no process with that text in its command line runs inside."""
        wait_for(lambda: not self.runs(text), seconds, f"{text!r} to end")
