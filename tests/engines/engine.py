"""One engine as a test sees it: where it is, what it is, and the docker CLI against it."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.engines import daemon
from tests.engines.api import Api
from tests.engines.layout import KINDS, Place
from tests.engines.room import command_in, holder_of
from tests.engines.shell import EngineError, run

if TYPE_CHECKING:
    from collections.abc import Iterator

FOREIGN = "host"
"""Name of the engine that the machine itself has, where none can be made."""


@dataclass(frozen=True)
class Engine:
    """A real engine that answers.

    Args:
        name: A key of `KINDS`, or `host`.
        socket: Path of its socket.
        version: What it says its version is, as 20.10.24.
        api_version: The newest API version it speaks, as 1.41.
        settings: A DOCKER_CONFIG for the docker CLI, with nothing of yours in it.
        place: Where it lives, if the harness made it.
        shared: Whether runs for other engines use it at the same time.
    """

    name: str
    socket: Path
    version: str
    api_version: str
    settings: Path
    place: Place | None
    shared: bool

    @property
    def host(self) -> str:
        """Return its DOCKER_HOST."""
        return f"unix://{self.socket}"

    @property
    def api(self) -> Api:
        """Return its API, for what a test has to look up or clean up."""
        return Api(self.socket)

    @property
    def environment(self) -> dict[str, str]:
        """Return an environment in which docker and claudy use this engine and nothing of yours."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DOCKER_", "CLAUDY_", "COMPOSE_", "BUILDKIT_", "BUILDX_"))
        }
        return kept | {"DOCKER_HOST": self.host, "DOCKER_CONFIG": str(self.settings)}

    def cli(
        self,
        *arguments: str,
        check: bool = True,
        input: str | None = None,  # noqa: A002 - the name that subprocess gives it
    ) -> subprocess.CompletedProcess[str]:
        """Run the docker CLI on the host against this engine.

        Args:
            arguments: What follows `docker`.
            check: Whether a failure raises CalledProcessError.
            input: What it gets on standard input.
        """
        done = subprocess.run(
            [self.program, *arguments],
            env=self.environment,
            input=input,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            message = f"docker {' '.join(arguments)} ended with {done.returncode}: {done.stderr}"
            raise EngineError(message)
        return done

    @property
    def program(self) -> str:
        """Return the path of a docker CLI, of the same version where the harness made it."""
        if self.place is None:
            return "docker"
        # The engine's own packages have the CLI of the same version; its libc is old enough.
        return str(_root(self.place) / "usr/bin/docker")

    def in_room(self, *command: str) -> list[str]:
        """Return the command that runs another one in the room of this engine.

        Tests of the engine that they were started for are in its room already; a published port of
        the rootless engine is on 127.0.0.1 of the rootless engine's room.
        """
        return command_in(self._own_place(), command)

    @property
    def pid(self) -> int:
        """Return the process id of its daemon."""
        pid = daemon.daemon_pid(self._own_place())
        if pid is None:
            message = f"engine {self.name} does not run"
            raise EngineError(message)
        return pid

    def stop(self, *, force: bool = False) -> None:
        """Stop the daemon; the room, its files and the test stay.

        Args:
            force: As with `kill -9`.

        Raises:
            EngineError: It is not this run's alone.
        """
        if self.shared:
            message = f"engine {self.name} is used by other runs now: stop one with --engine"
            raise EngineError(message)
        daemon.end(self._own_place(), force=force)

    def start(self) -> None:
        """Start the daemon again and return once it answers."""
        daemon.launch(self._own_place())

    @contextmanager
    def stopped(self, *, force: bool = False) -> Iterator[None]:
        """Have the daemon stopped for a while.

        Args:
            force: As with `kill -9`.
        """
        self.stop(force=force)
        try:
            yield
        finally:
            before = self._links() if force else set()
            self.start()
            # A daemon that was killed knows nothing of these once it is started again, and they
            # answer for addresses that it gives to others.
            for link in before and before & self._links():
                run(command_in(self._own_place(), ["ip", "link", "delete", link]))

    def _links(self) -> set[str]:
        """Return the ends of containers' cables on the bridge in its room."""
        command = ["ip", "-oneline", "link", "show", "type", "veth"]
        shown = run(command_in(self._own_place(), command)).splitlines()
        ends = (line.split()[1] for line in shown if " master docker0 " in line)
        return {end.partition("@")[0].rstrip(":") for end in ends}

    def _own_place(self) -> Place:
        if self.place is None:
            message = "the machine's own engine is not the tests' to control"
            raise EngineError(message)
        return self.place


def find_engine(name: str, instance: str, settings: Path, *, shared: bool) -> Engine | None:
    """Return an engine if it answers.

    Args:
        name: A key of `KINDS`, or `host`.
        instance: Which set of engines.
        settings: A directory to be made, for DOCKER_CONFIG.
        shared: Whether runs for other engines use it at the same time.
    """
    place = None if name == FOREIGN else Place(name, instance)
    socket = place.socket if place else _foreign_socket()
    api = Api(socket)
    if not api.answers():
        return None
    version = api.request("GET", "/version")
    settings.mkdir(parents=True, exist_ok=True)
    plugins = [str(_root(place) / "usr/libexec/docker/cli-plugins")] if place else []
    (settings / "config.json").write_text(json.dumps({"cliPluginsExtraDirs": plugins}))
    return Engine(
        name=name,
        socket=socket,
        version=version["Version"].partition("+")[0],
        api_version=version["ApiVersion"],
        settings=settings,
        place=place,
        shared=shared,
    )


def engines_up(instance: str) -> list[str]:
    """Return the kinds of engine of this instance that answer."""
    return [kind for kind in KINDS if Api(Place(kind, instance).socket).answers()]


def in_room_of(name: str, instance: str) -> bool:
    """Tell whether this process is in the room of that engine already."""
    if name == FOREIGN:
        return True
    holder = holder_of(Place(name, instance))
    return holder is not None and os.readlink(f"/proc/{holder}/ns/net") == os.readlink(
        "/proc/self/ns/net",
    )


def _root(place: Place) -> Path:
    return place.run / "root"


def _foreign_socket() -> Path:
    scheme, _, path = os.environ.get("DOCKER_HOST", "").partition("://")
    return Path(path if scheme == "unix" else "/var/run/docker.sock")
