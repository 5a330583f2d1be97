"""A project's sandbox with a guard, as somebody in it sees it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.engines.shell import EngineError, wait_for
from tests.running.fixtures import LINGERING, registry_entries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.running.program import Claudy, Done

SECONDS = 60


class Inside:
    """Runs scripts in a project's sandbox that has a guard.

    Args:
        claudy: the command, made to use a guard.
        project: the project.
    """

    def __init__(self, claudy: Claudy, project: Path) -> None:
        self.claudy, self.project = claudy, project
        self.api = claudy.engine.api
        self.name = f"claudy-project-{claudy.sandboxes(project).id}"
        self.guard = f"{self.name}-guard"
        self.socket = f"{self.name}-socket"
        self.state = f"claudy-guard-{self.name.removeprefix('claudy-')}"

    def run(self, script: str) -> Done:
        """Run a shell script; building the sidecar's image may take long."""
        return self.claudy.run("--", "sh", "-ec", script, cwd=self.project, timeout=300)

    def output(self, script: str) -> str:
        """Run a shell script that works and return what it prints."""
        done = self.run(script)
        assert done.code == 0, done.said
        return done.text

    def containers(self) -> dict[str, str]:
        """Return state by name of the sandboxes and sidecars of the project."""
        wanted = {"label": [f"claudy.project={self.project}"]}
        found = self.api.request("GET", "/containers/json", {"all": 1, "filters": wanted})
        return {
            one["Names"][0].lstrip("/"): one["State"]
            for one in found
            if "claudy.owner" not in one["Labels"]
        }

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """Return what the engine knows of a container or volume; empty if it is not there."""
        path = f"/volumes/{name}" if kind == "volumes" else f"/containers/{name}/json"
        try:
            found: dict[str, Any] = self.api.request("GET", path)
        except EngineError:
            return {}
        return found

    def assert_nothing_left(self, seconds: float = LINGERING) -> None:
        """Fail unless both containers, the socket and the registry's entry go."""
        wait_for(lambda: not self.containers(), seconds, "both containers to go")
        wait_for(lambda: not self.inspect("volumes", self.socket), seconds, "the socket to go")
        registry = "the registry to be empty"
        wait_for(lambda: not registry_entries(self.claudy, self.project), seconds, registry)

    @contextmanager
    def session(self, *options: str) -> Iterator[Shell]:
        """Open a shell on pipes."""
        with self.claudy.start(*options, "--", "sh", cwd=self.project) as process:
            shell = Shell(process)
            assert shell.has_docker()
            try:
                yield shell
            finally:
                if process.poll() is None and process.stdin and not process.stdin.closed:
                    process.stdin.close()
                process.wait(SECONDS)


class Shell:
    """A session that is told line by line.

    Args:
        process: claudy with a shell on pipes.
    """

    def __init__(self, process: Any) -> None:
        self.process = process

    def ask(self, line: str) -> str:
        """Have a command run and return the line it prints."""
        self.process.stdin.write(f"{line}\n".encode())
        return str(self.process.stdout.readline().decode().rstrip("\n"))

    def has_docker(self) -> bool:
        """Whether an engine answers inside; the client's own answers don't count."""
        return self.ask("docker ps >/dev/null 2>&1; echo $?") == "0"
