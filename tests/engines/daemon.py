"""Starting, stopping and describing one engine."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

from tests.engines.api import Api
from tests.engines.certificates import certificates
from tests.engines.layout import (
    DOCKER_GROUP_ID,
    KINDS,
    TEMPORARY,
    TLS_PORT,
    USER,
    USER_ID,
    is_everybodys,
)
from tests.engines.processes import mark, marked, read_pid
from tests.engines.room import clear_room, enter, holder_of, open_room, room_mtu
from tests.engines.shell import (
    EngineError,
    alive,
    command_name,
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
_PID_FILE = "daemon.pid"
_OWN_PID_FILE = "docker.pid"
_PASSED = ("GOGC",)
"""Variables that an engine gets from who starts it: how often Go collects garbage."""


def start(place: Place, root: Path) -> None:
    """Start an engine in a room and return once it answers.

    One that answers and was made of the same is left alone.

    Args:
        place: Which engine.
        root: The unpacked packages that it is made of.

    Raises:
        EngineError: It ended or did not answer; carries the end of its log.
    """
    made_of = f"{root}\n{json.dumps(_settings(place, mtu=0))}"
    note = place.run / "made-of"
    if (
        Api(place.socket).answers()
        and holder_of(place)
        and note.exists()
        and note.read_text() == made_of
    ):
        return
    halt(place)
    holder = open_room(place)
    settings = _settings(place, mtu=room_mtu(holder))
    (place.run / "daemon.json").write_text(json.dumps(settings, indent=2))
    (place.run / "root").symlink_to(root)
    launch(place)
    note.write_text(made_of)


def launch(place: Place) -> None:
    """Start the daemon of an engine whose room is there, and return once it answers.

    Raises:
        EngineError: It ended or did not answer; carries the end of its log.
    """
    holder = holder_of(place)
    if not holder:
        message = f"engine {place.name} is not up"
        raise EngineError(message)
    config = place.run / "daemon.json"
    command = _rootless_command(place, config) if KINDS[place.kind].rootless else ["dockerd"]
    say(f"starting engine {place.name}")
    command = [*command, "--config-file", str(config)]
    pid = start_in_root(place, holder, (place.run / "root").resolve(), command, place.log)
    (place.run / _PID_FILE).write_text(str(pid))
    api = Api(place.socket)
    try:
        wait_for(
            lambda: api.answers() or not alive(pid),
            _READY_SECONDS,
            f"engine {place.name} to answer",
        )
    except EngineError as error:
        raise EngineError(f"{error}; {_end_of_log(place)}") from error
    if not api.answers():
        raise EngineError(f"engine {place.name} ended at once; {_end_of_log(place)}")


def end(place: Place, *, force: bool = False) -> None:
    """End the daemon of an engine, but leave its room.

    Args:
        place: Which engine.
        force: Whether it gets no chance to stop its containers (`kill -9`).
    """
    pid = daemon_pid(place)
    if pid:
        stop(pid, seconds=0 if force else _STOP_SECONDS)
        # A killed daemon takes its containerd with it, but not at once; and until init has waited
        # for both, the next daemon would take them for live ones.
        for part in marked(place):
            if command_name(part) == "containerd":
                stop(part, seconds=_STOP_SECONDS)
        for file in (_OWN_PID_FILE, "exec/containerd/containerd.pid"):
            (place.run / file).unlink(missing_ok=True)


def daemon_pid(place: Place) -> int | None:
    """Return the process id of a running daemon."""
    return read_pid(place, _PID_FILE)


def _end_of_log(place: Place) -> str:
    return f"the end of {place.log}:\n{place.log.read_text(errors='replace')[-3000:]}"


def start_in_root(place: Place, holder: int, root: Path, command: Sequence[str], log: Path) -> int:
    """Start a program of the unpacked packages in a room and return its process id.

    The program sees the room's files, but the unpacked /usr: every other path is the host's, so
    what a test bind-mounts is at the same path for it.
    """
    bind = 'mount --bind "$0/usr" /usr; exec "$@"'
    if KINDS[place.kind].rootless and not is_everybodys(TEMPORARY):
        # rootlesskit writes there, whatever TMPDIR says; tests then use another.
        bind = f"mount -t tmpfs -o mode=1777 claudy-test-tmp {TEMPORARY}; {bind}"
    private = ["unshare", "--mount", "--propagation", "slave", "sh", "-ec", bind, str(root)]
    clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin", mark(place)]
    clean += [f"{name}={os.environ[name]}" for name in _PASSED if name in os.environ]
    return start_detached([*enter(holder), *clean, *private, *command], log)


def halt(place: Place, *, purge: bool = False) -> None:
    """Stop an engine and close its room.

    Args:
        place: Which engine.
        purge: Whether to remove its images and containers too.
    """
    if daemon_pid(place):
        say(f"stopping engine {place.name}")
        end(place)
    clear_room(place)
    shutil.rmtree(place.run, ignore_errors=True)
    if purge:
        shutil.rmtree(place.data, ignore_errors=True)


def _settings(place: Place, *, mtu: int) -> dict[str, Any]:
    kind = KINDS[place.kind]
    settings: dict[str, Any] = {
        "data-root": str(place.data / "docker"),
        "exec-root": str(place.run / "exec"),
        "pidfile": str(place.run / _OWN_PID_FILE),
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
    if kind.containerd:
        settings["features"] = {"containerd-snapshotter": True}
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
