"""ssh to a real engine: claudy reaches it, says that it is another machine's, or why ssh fails.

The other machine is the doctor's own: OpenSSH's server in it, with keys and settings of its own.
claudy runs there too, as root with ssh settings that the tests write; to claudy an engine behind
ssh is elsewhere, whatever the address.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.doctor.machine import USER, USER_ID
from tests.engines.shell import wait_for
from tests.running.diagnosis import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.engine.doctor.machine import Machine

PORT = 2222
TARGET = f"{USER}@127.0.0.1"
URL = f"ssh://{TARGET}:{PORT}"
HELLO = ("--", "echo", "hello from inside")
PLACE = "/etc/ssh/claudy-test"
PID = f"{PLACE}/sshd.pid"
SERVER = f"""
    set -e
    umask 077 && rm -rf {PLACE} /root/.ssh /home/{USER}/.ssh
    mkdir -p {PLACE} /run/sshd /root/.ssh /home/{USER}/.ssh
    for key in {PLACE}/host {PLACE}/other /root/.ssh/id_ed25519; do
        ssh-keygen -q -t ed25519 -N '' -C claudy-test -f $key
    done
    cat >{PLACE}/sshd_config <<END
Port {PORT}
ListenAddress 127.0.0.1
HostKey {PLACE}/host
PidFile {PID}
AuthorizedKeysFile .ssh/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
END
    printf '[127.0.0.1]:{PORT} %s\n' "$(cut -d' ' -f1,2 {PLACE}/host.pub)" >/root/.ssh/known_hosts
    cp /root/.ssh/id_ed25519.pub /home/{USER}/.ssh/authorized_keys
    chown -R {USER_ID}:{USER_ID} /home/{USER}/.ssh
    usermod -aG docker -p '*' {USER}
    /usr/sbin/sshd -f {PLACE}/sshd_config
"""


@pytest.fixture
def reached(machine: Machine) -> Iterator[Machine]:
    """Return the machine with an engine, a server of ssh before it, and a key that opens it."""
    machine.start_engine()
    sh(machine, SERVER)
    wait_for(lambda: machine.at(PID).exists(), 20, "the ssh server")
    yield machine
    sh(machine, f"kill -KILL $(cat {PID}); rm -rf {PLACE} /root/.ssh /home/{USER}/.ssh")


def sh(machine: Machine, script: str) -> str:
    """Run a script in the machine, as root, and return what it writes."""
    done = machine.run("sh", "-c", script)
    assert done.code == 0, done.err
    return done.out


def diagnosed(machine: Machine, url: str = URL, **env: str) -> dict[str, Any]:
    """Return the finding of a failed launch, which is doctor's, word for word."""
    env = {"DOCKER_HOST": url, **env}
    watch = Watch()
    launch = machine.claudy(*HELLO, env=env)
    watch.stop()
    assert (launch.code, launch.out) == (125, "")
    doctor = machine.claudy("doctor", "--json", env=env)
    assert doctor.code == 1
    (failed,) = (check for check in doctor.json["checks"] if check["status"] == "fail")
    assert failed["seen"] in launch.err
    assert f"Try: {failed['remedy']}" in launch.err
    watch.note(failed["finding"])
    found: dict[str, Any] = failed
    return found


def assert_mended(machine: Machine, remedy: str) -> None:
    """Paste the remedy into the shell that has the address, and launch from there."""
    line = f"{{ {remedy}; }} && claudy {shlex.join(HELLO)}"
    env = {"DOCKER_HOST": URL, "CLAUDY_IMAGE": "busybox"}
    done = machine.run("sh", "-c", line, env=env)
    assert (done.code, done.out) == (0, "hello from inside\n"), done.err


def test_an_engine_behind_ssh_is_another_machines(reached: Machine) -> None:
    """It answers, and is known for what it is; only its files are elsewhere."""
    found = diagnosed(reached)
    assert found["finding"] == "engine-remote"
    assert f"{URL} (from: DOCKER_HOST)" in found["seen"]
    doctor = reached.claudy("doctor", "--json", env={"DOCKER_HOST": URL})
    checks = {check["id"]: check for check in doctor.json["checks"]}
    assert (
        checks["daemon"]["data"]["version"]
        == sh(reached, "docker version -f '{{.Server.Version}}'").strip()
    )
    assert checks["image"]["status"] == "ok"
    assert_mended(reached, found["remedy"])


def test_other_commands_work_over_ssh(reached: Machine) -> None:
    """What needs no files of this machine: listing and removing sandboxes."""
    label = "claudy.sandbox=claudy-far-00000000"
    sh(reached, f"docker run -d --name claudy-far-00000000 --label {label} busybox sleep 600")
    env = {"DOCKER_HOST": URL}
    listed = reached.claudy("ps", "--json", env=env)
    assert listed.code == 0, listed.err
    assert "claudy-far-00000000" in listed.out
    removed = reached.claudy("rm", "-y", "claudy-far-00000000", env=env)
    assert removed.code == 0, removed.err
    assert sh(reached, f"docker ps -aq --filter label={label}") == ""


def test_a_context_with_ssh(reached: Machine) -> None:
    sh(reached, f"docker context create far --docker host={URL}")
    doctor = reached.claudy("doctor", "--json", "files", env={"DOCKER_CONTEXT": "far"})
    failed = doctor.json["checks"][-1]
    assert (failed["id"], failed["finding"]) == ("files", "engine-remote")
    assert f"{URL} (from: context far (DOCKER_CONTEXT))" in failed["seen"]


def test_path_of_the_socket_there(reached: Machine) -> None:
    """As newer docker CLIs read it: the path is on the other machine."""
    there = reached.claudy(
        "doctor", "--json", "files", env={"DOCKER_HOST": f"{URL}/run/docker.sock"}
    )
    assert there.json["checks"][-1]["finding"] == "engine-remote"
    wrong = reached.claudy("doctor", "--json", "answer", env={"DOCKER_HOST": f"{URL}/nowhere.sock"})
    assert wrong.json["checks"][-1]["finding"] == "ssh-engine-stopped"


def test_key_of_the_machine_unknown(reached: Machine) -> None:
    sh(reached, "rm /root/.ssh/known_hosts")
    found = diagnosed(reached)
    assert found["finding"] == "ssh-host-key"
    assert f"ssh -p {PORT} {TARGET}" in found["seen"]
    assert_mended(reached, found["remedy"])


def test_key_of_the_machine_changed(reached: Machine) -> None:
    known = "/root/.ssh/known_hosts"
    sh(
        reached,
        f"printf '[127.0.0.1]:{PORT} %s\n' \"$(cut -d' ' -f1,2 {PLACE}/other.pub)\" >{known}",
    )
    found = diagnosed(reached)
    assert found["finding"] == "ssh-host-key-changed"
    assert_mended(reached, found["remedy"])


def test_no_key_opens_it(reached: Machine) -> None:
    sh(reached, f"rm /home/{USER}/.ssh/authorized_keys")
    found = diagnosed(reached)
    assert found["finding"] == "ssh-denied"
    assert f"ssh -p {PORT} {TARGET}" in found["seen"]
    assert_mended(reached, found["remedy"])


def test_no_docker_there(reached: Machine) -> None:
    sh(reached, "mv /usr/bin/docker /usr/bin/docker.away")
    try:
        found = diagnosed(reached)
    finally:
        sh(reached, "mv /usr/bin/docker.away /usr/bin/docker")
    assert found["finding"] == "ssh-no-docker"
    assert_mended(reached, found["remedy"])


def test_the_user_there_may_not_use_docker(reached: Machine) -> None:
    sh(reached, f"gpasswd -d {USER} docker")
    found = diagnosed(reached)
    assert found["finding"] == "ssh-engine-denied"
    assert_mended(reached, found["remedy"])


def test_no_engine_there(reached: Machine) -> None:
    reached.stop_engine()
    found = diagnosed(reached)
    assert found["finding"] == "ssh-engine-stopped"
    reached.start_engine()
    assert_mended(reached, found["remedy"])


def test_the_server_is_not_there(reached: Machine) -> None:
    found = diagnosed(reached, f"ssh://{TARGET}:1")
    assert found["finding"] == "ssh-failed"
    assert "Connection refused" in found["seen"]
    assert_mended(reached, found["remedy"])


def test_no_such_machine(reached: Machine) -> None:
    found = diagnosed(reached, "ssh://nowhere.invalid")
    assert found["finding"] == "ssh-failed"
    assert "resolve hostname nowhere.invalid" in found["seen"]
    assert_mended(reached, found["remedy"])


def test_the_server_hangs(reached: Machine) -> None:
    """The kernel takes the connection, and nobody speaks."""
    sh(reached, f"kill -STOP $(cat {PID})")
    found = diagnosed(reached)
    assert found["finding"] in {"ssh-failed", "ssh-silent"}
    assert "timed out" in found["seen"] or "in time" in found["seen"]
    assert_mended(reached, found["remedy"])


def test_the_engine_there_hangs(reached: Machine) -> None:
    reached.signal_engine("STOP")
    found = diagnosed(reached)
    reached.signal_engine("CONT")
    assert found["finding"] == "ssh-silent"
    assert_mended(reached, found["remedy"])


def test_no_ssh_client(reached: Machine) -> None:
    """The remedy brings it, from the distribution's packages."""
    sh(reached, "dpkg --remove --force-depends openssh-client")
    sh(reached, "apt-get update -q")
    found = diagnosed(reached)
    assert found["finding"] == "ssh-missing"
    assert found["remedy"] == "apt-get install -y openssh-client"
    sh(reached, found["remedy"])
    assert diagnosed(reached)["finding"] == "engine-remote"
