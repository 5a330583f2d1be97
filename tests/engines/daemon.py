"""Starting, stopping and describing one engine."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

from tests.engines.api import Api
from tests.engines.certificates import certificates
from tests.engines.layout import DOCKER_GROUP_ID, KINDS, TLS_PORT, USER, USER_ID
from tests.engines.room import clear_room, enter, holder_of, open_room, room_mtu
from tests.engines.shell import (
    EngineError,
    alive,
    read_pid,
    say,
    start_detached,
    stop,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from tests.engines.layout import Place

_READY_SECONDS = 30
_STOP_SECONDS = 20


def start(place: Place, root: Path) -> None:
    """Start an engine in its room and return once it answers; one that answers is left alone.

    Args:
        place: Which engine.
        root: The unpacked packages that it is made of.

    Raises:
        EngineError: It ended or did not answer; carries the end of its log.
    """
    api = Api(place.socket)
    if api.answers() and holder_of(place):
        return
    clear_room(place)
    holder = open_room(place)
    rootless = KINDS[place.kind].rootless
    settings = _settings(place, mtu=room_mtu(holder))
    config = place.run / "daemon.json"
    config.write_text(json.dumps(settings, indent=2))
    command = _rootless_command(place, config) if rootless else ["dockerd"]
    say(f"starting engine {place.name}")
    pid = start_in_root(holder, root, [*command, "--config-file", str(config)], place.log)
    (place.run / "daemon.pid").write_text(str(pid))

    def ready_or_dead() -> bool:
        return api.answers() or not alive(pid)

    try:
        wait_for(ready_or_dead, _READY_SECONDS, f"engine {place.name} to answer")
        if not api.answers():
            message = f"engine {place.name} ended at once"
            raise EngineError(message)  # noqa: TRY301 - one place adds the log
    except EngineError as error:
        tail = place.log.read_text(errors="replace")[-3000:]
        message = f"{error}; the end of {place.log}:\n{tail}"
        raise EngineError(message) from error


def start_in_root(holder: int, root: Path, command: Sequence[str], log: Path) -> int:
    """Start a program of the unpacked packages in a room and return its process id.

    The program sees the room's files, but the unpacked /usr: every other path is the host's, so
    what a test bind-mounts is at the same path for it.
    """
    bind = 'mount --bind "$0/usr" /usr; exec "$@"'
    private = ["unshare", "--mount", "--propagation", "slave", "sh", "-ec", bind, str(root)]
    search = "PATH=/usr/sbin:/usr/bin"
    return start_detached([*enter(holder), "env", "-i", search, *private, *command], log)


def halt(place: Place, *, purge: bool = False) -> None:
    """Stop an engine and close its room.

    Args:
        place: Which engine.
        purge: Whether to remove its images and containers too.
    """
    pid = read_pid(place.run / "daemon.pid")
    if pid:
        say(f"stopping engine {place.name}")
        stop(pid, seconds=_STOP_SECONDS)
    clear_room(place)
    shutil.rmtree(place.run, ignore_errors=True)
    if purge:
        shutil.rmtree(place.data)


def _settings(place: Place, *, mtu: int) -> dict[str, Any]:
    kind = KINDS[place.kind]
    settings: dict[str, Any] = {
        "data-root": str(place.data / "docker"),
        "exec-root": str(place.run / "exec"),
        "pidfile": str(place.run / "docker.pid"),
        "hosts": [place.host],
        "mtu": mtu,
        "shutdown-timeout": 5,
    }
    if kind.rootless:
        return settings
    keys = certificates()
    settings |= {
        # The default path too: inside the room nothing else is there.
        "hosts": [place.host, "unix:///run/docker.sock", f"tcp://127.0.0.1:{TLS_PORT}"],
        "group": str(DOCKER_GROUP_ID),
        "cgroup-parent": f"/{place.cgroup}",
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "tlsverify": True,
        "tlscacert": str(keys / "ca.pem"),
        "tlscert": str(keys / "server-cert.pem"),
        "tlskey": str(keys / "server-key.pem"),
    }
    if kind.remap:
        settings["userns-remap"] = USER
    return settings


def _rootless_command(place: Place, config: Path) -> list[str]:
    """Return the command of a daemon of the ordinary user, who owns all its directories."""
    for directory in (place.run, place.data):
        os.chown(directory, USER_ID, USER_ID)
    os.chown(config, USER_ID, USER_ID)
    user = f"--reuid={USER_ID} --regid={USER_ID} --init-groups --inh-caps=-all".split()
    variables = [
        f"HOME={place.data}",
        f"XDG_RUNTIME_DIR={place.run}",
        "DOCKERD_ROOTLESS_ROOTLESSKIT_NET=slirp4netns",
    ]
    script = "/usr/share/docker.io/contrib/dockerd-rootless.sh"
    return ["setpriv", *user, "env", *variables, script]
