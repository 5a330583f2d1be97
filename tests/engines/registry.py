"""Container registries on 127.0.0.1 of a room: one open, one that asks for a password."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

from tests.engines.daemon import start_in_root
from tests.engines.layout import PASSWORD_REGISTRY_PORT, REGISTRY_PORT
from tests.engines.processes import read_pid
from tests.engines.room import enter, holder_of
from tests.engines.shell import EngineError, run, say, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engines.layout import Place

USER = "tester"
PASSWORD = "claudy"  # noqa: S105 - of a registry on a loopback address, made for the tests
# htpasswd -nbB tester claudy; written out, so that no package has to be installed for one line.
_HTPASSWD = "tester:$2y$05$claudytestsclaudytesteX5H9clTTNnKa7BH9OcTAixyBKlKl9my\n"


def start_registries(place: Place, root: Path) -> None:
    """Start both registries in the room of an engine, unless they run.

    Raises:
        EngineError: The engine's room is not there, or a registry does not listen.
    """
    holder = holder_of(place)
    if not holder:
        message = f"engine {place.name} is not up"
        raise EngineError(message)
    password = place.run / "htpasswd"
    password.write_text(_HTPASSWD)
    login = {"htpasswd": {"realm": "claudy tests", "path": str(password)}}
    for port, auth in ((REGISTRY_PORT, {}), (PASSWORD_REGISTRY_PORT, login)):
        pid_file = f"registry-{port}.pid"
        if read_pid(place, pid_file):
            continue
        say(f"starting the registry on port {port} of {place.name}")
        config = place.run / f"registry-{port}.json"  # JSON is YAML too
        config.write_text(
            json.dumps(
                {
                    "version": 0.1,
                    "log": {"level": "warn"},
                    "storage": {
                        "filesystem": {"rootdirectory": str(place.data / f"registry-{port}")},
                        "delete": {"enabled": True},
                    },
                    "http": {"addr": f"127.0.0.1:{port}"},
                }
                | ({"auth": auth} if auth else {}),
            ),
        )
        command = ["docker-registry", "serve", str(config)]
        pid = start_in_root(place, holder, root, command, place.data / f"registry-{port}.log")
        (place.run / pid_file).write_text(str(pid))
        wait_for(lambda: _listens(holder, port), 10, f"the registry on port {port}")  # noqa: B023


def _listens(holder: int, port: int) -> bool:
    table = run([*enter(holder), "cat", "/proc/net/tcp"])
    loopback = socket.inet_aton("127.0.0.1")[::-1].hex().upper()
    return any(
        words[1] == f"{loopback}:{port:04X}" and words[3] == "0A"
        for words in map(str.split, table.splitlines()[1:])
    )
