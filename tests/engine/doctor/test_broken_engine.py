"""An engine that does not work: claudy and doctor say the same, and the remedy mends it.

Each test breaks the machine's engine in one way, runs `claudy` and `claudy doctor`, pastes the
remedy into a shell, and launches.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.engine.doctor.machine import SOCKET, USER
from tests.running.diagnosis import Watch

if TYPE_CHECKING:
    from tests.engine.doctor.machine import Done, Machine

FIX = "claudy doctor --fix"
HELLO = ("--", "echo", "hello from inside")


def diagnosed(machine: Machine, *, user: str = "root", groups: str = "") -> dict[str, str]:
    """Return the finding of a failed launch, which is doctor's, word for word."""
    watch = Watch()
    launch = machine.claudy(*HELLO, user=user, groups=groups)
    watch.stop()
    assert launch.code == 125
    assert launch.out == ""
    doctor = machine.claudy("doctor", "--json", user=user, groups=groups)
    assert doctor.code == 1
    (failed,) = (check for check in doctor.json["checks"] if check["status"] == "fail")
    assert failed["seen"] in launch.err
    assert f"Try: {failed['remedy']}" in launch.err
    assert all(c["status"] != "crash" for c in doctor.json["checks"])
    watch.note(failed["finding"])
    return {"finding": failed["finding"], "seen": failed["seen"], "remedy": failed["remedy"]}


def paste(machine: Machine, remedy: str, *, user: str = "root", groups: str = "") -> Done:
    """Run a remedy in a shell; where it would ask, the answer is yes."""
    line = remedy.replace(FIX, f"{FIX} -y")
    return machine.run("sh", "-c", line, user=user, groups=groups, env={"CLAUDY_IMAGE": "busybox"})


def assert_launches(machine: Machine, *, user: str = "root", groups: str = "") -> None:
    machine.load_image()
    done = machine.claudy(*HELLO, user=user, groups=groups)
    assert (done.code, done.out) == (0, "hello from inside\n"), done.err


def test_healthy_machine_has_nothing_to_say(machine: Machine) -> None:
    machine.start_engine()
    doctor = machine.claudy("doctor", "--json", "sandbox", "bind-mount", "ownership", "user")
    assert doctor.code == 0
    assert {check["status"] for check in doctor.json["checks"]} <= {"ok", "skip"}
    assert_launches(machine)


def test_no_engine_installed(machine: Machine) -> None:
    """What installs one is run by `tests/setup`; here it is only shown, and not agreed to."""
    assert machine.run("mv", "/usr/sbin/dockerd", "/usr/sbin/dockerd.away").code == 0
    try:
        found = diagnosed(machine)
        declined = machine.claudy("doctor", "--fix", "connection")
    finally:
        machine.run("mv", "/usr/sbin/dockerd.away", "/usr/sbin/dockerd")
    assert (found["finding"], found["remedy"]) == ("engine-missing", FIX)
    assert declined.code == 2
    assert "apt-get install -y --no-install-recommends docker.io" in declined.err


def test_engine_stopped(machine: Machine) -> None:
    found = diagnosed(machine)
    assert (found["finding"], found["remedy"]) == ("engine-stopped", FIX)
    paste(machine, found["remedy"])
    assert_launches(machine)


def test_fix_says_what_changed(machine: Machine) -> None:
    done = machine.claudy("doctor", "--fix", "-y", "answer")
    assert done.code == 0
    assert "changed connection: fail -> ok" in done.out
    assert "changed answer: skip -> ok" in done.out
    assert "/etc/init.d/docker start" in done.err


def test_fix_without_anybody_to_ask_changes_nothing(machine: Machine) -> None:
    done = machine.claudy("doctor", "--fix")
    assert done.code == 2
    assert "--yes" in done.err
    assert not machine.answers()


def test_fix_in_json_is_one_object_with_what_was_done(machine: Machine) -> None:
    done = machine.claudy("doctor", "--fix", "-y", "--json", "answer")
    assert done.code == 0
    document = json.loads(done.out)
    (fix,) = document["fixes"]
    assert (fix["id"], fix["problem"]) == ("start-engine", "")
    (command,) = fix["commands"]
    assert command.startswith("/etc/init.d/docker start || ")


def test_stale_socket(machine: Machine) -> None:
    machine.start_engine()
    machine.stop_engine("KILL")
    assert machine.at(SOCKET).is_socket()
    found = diagnosed(machine)
    assert (found["finding"], found["remedy"]) == ("socket-stale", FIX)
    paste(machine, found["remedy"])
    assert_launches(machine)


def test_plain_file_at_the_path(machine: Machine) -> None:
    machine.at(SOCKET).write_text("not a socket")
    found = diagnosed(machine)
    assert found["finding"] == "socket-is-file"
    paste(machine, found["remedy"])
    assert machine.at(f"{SOCKET}.old").read_text() == "not a socket"
    assert_launches(machine)


def test_directory_at_the_path(machine: Machine) -> None:
    machine.at(SOCKET).mkdir()
    found = diagnosed(machine)
    assert found["finding"] == "socket-is-directory"
    paste(machine, found["remedy"])
    assert_launches(machine)


@pytest.mark.parametrize("state", ["file", "directory"])
def test_fix_clears_the_path_by_itself(machine: Machine, state: str) -> None:
    if state == "file":
        machine.at(SOCKET).write_text("")
    else:
        machine.at(SOCKET).mkdir()
    done = machine.claudy("doctor", "--fix", "-y", "answer")
    assert done.code == 0, done.out
    assert_launches(machine)


def test_fix_leaves_a_directory_that_is_not_empty(machine: Machine) -> None:
    machine.at(SOCKET).mkdir()
    machine.at(f"{SOCKET}/mine").write_text("precious")
    done = machine.claudy("doctor", "--fix", "-y", "answer")
    assert done.code == 1
    assert machine.at(f"{SOCKET}/mine").read_text() == "precious"


def test_daemon_hangs(machine: Machine) -> None:
    machine.start_engine()
    machine.signal_engine("STOP")
    found = diagnosed(machine)
    assert found["finding"] == "engine-hangs"
    pid = machine.at("/run/docker.pid").read_text().strip()
    assert found["remedy"] == f"kill -KILL {pid}; {FIX}"
    paste(machine, found["remedy"])
    assert_launches(machine)


def test_not_in_the_group(machine: Machine) -> None:
    machine.start_engine()
    found = diagnosed(machine, user=USER)
    assert found["finding"] == "not-in-group"
    assert "root-equivalent" in found["seen"]
    assert found["remedy"] == f"sudo usermod -aG docker {USER} && sg docker -c claudy"
    # sg opens a session without a terminal, which ends at once: its success is the proof
    done = paste(machine, found["remedy"], user=USER)
    assert done.code == 0, done.err
    assert_launches(machine, user=USER)


def test_group_added_but_not_in_this_login(machine: Machine) -> None:
    machine.start_engine()
    assert machine.run("usermod", "-aG", "docker", USER).code == 0
    found = diagnosed(machine, user=USER, groups="none")
    assert (found["finding"], found["remedy"]) == ("group-not-active", "sg docker -c claudy")
    done = paste(machine, found["remedy"], user=USER, groups="none")
    assert done.code == 0, done.err


def test_fix_adds_the_user_to_the_group(machine: Machine) -> None:
    machine.start_engine()
    done = machine.claudy("doctor", "--fix", "-y", "answer", user=USER)
    assert done.code == 1  # this login is older than the membership
    assert "group-not-active" not in done.err
    assert "sg docker -c claudy" in done.out
    assert_launches(machine, user=USER)


def test_socket_for_root_alone(machine: Machine) -> None:
    machine.start_engine()
    machine.run("chown", "root:root", SOCKET)
    found = diagnosed(machine, user=USER)
    assert found["finding"] == "socket-root-only"
    assert "666" not in found["remedy"]
    assert paste(machine, found["remedy"], user=USER).code == 0
    found = diagnosed(machine, user=USER)
    assert found["finding"] == "not-in-group"
    assert paste(machine, found["remedy"], user=USER).code == 0
    assert_launches(machine, user=USER)


def test_socket_in_a_directory_of_another_user(machine: Machine) -> None:
    machine.start_engine()
    machine.run("usermod", "-aG", "docker", USER)
    env = {"DOCKER_HOST": "unix:///root/docker.sock"}
    launch = machine.claudy(*HELLO, user=USER, env=env)
    assert launch.code == 125
    doctor = machine.claudy("doctor", "--json", "connection", user=USER, env=env)
    check = doctor.json["checks"][-1]
    assert check["finding"] == "socket-hidden"
    assert check["seen"] in launch.err
    line = f"{check['remedy']}; claudy -- echo mended"
    done = machine.run("sh", "-c", line, user=USER, env={**env, "CLAUDY_IMAGE": "busybox"})
    assert done.out == "mended\n", done.err
