"""What must keep working, at the engine's own socket and through the guard: the same comes of it.

What differs on purpose (docs/security.md) is left out, and said where that is done.
"""

from __future__ import annotations

import importlib
import os
import re
import secrets
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.engines.shell import wait_for
from tests.guard.test_clients import programs, timeless

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.guard.conftest import Guard, Host

SECONDS = 30
PORT = 18400


class Side(NamedTuple):
    """One of the two ways to the engine.

    Attributes:
        guard: the guard, which also knows the engine.
        program: the docker CLI.
        host: what DOCKER_HOST is.
    """

    guard: Guard
    program: str
    host: str

    @property
    def environment(self) -> dict[str, str]:
        """What the docker CLI finds around it."""
        return self.guard.environment | {"DOCKER_HOST": self.host}

    def docker(self, *words: str, text: str | None = None, **env: str) -> tuple[int, str, str]:
        """Run the docker CLI; returns its exit code and what it has said on both streams."""
        env = {"DOCKER_HOST": self.host, **env}
        done = self.guard.cli(*words, program=self.program, input=text, check=False, env=env)
        return done.returncode, nameless(done.stdout), nameless(timeless(done.stderr))

    def terminal(self, *words: str) -> Any:
        """Run the docker CLI on a terminal of 31 lines and 97 columns."""
        import pexpect

        return pexpect.spawn(
            self.program, list(words), env=self.environment, cwd=str(self.guard.project),
            dimensions=(31, 97), timeout=SECONDS, encoding="utf-8",
        )  # fmt: skip


def nameless(text: str) -> str:
    """Return a text without ids, sizes of what is going on, and moments."""
    text = re.sub(r"\b[0-9a-f]{64}\b", "ID", text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "id", text)
    text = re.sub(r"\bref \S+::\w+", "ref", text)
    text = text.replace("\x1b[2K", "")  # compose clears a line, or not
    return re.sub(r"\b[0-9.]+m?s\b", "0s", text)


Both = tuple[Side, Side]


@pytest.fixture(params=["20.10", "26.1", "the machine's"])
def both(request: pytest.FixtureRequest, guard: Guard) -> Both:
    """Return the engine's own socket and the guard's, with one of the docker CLIs."""
    if request.param not in programs():
        pytest.skip("this machine has no docker CLI of its own")
    program = programs()[request.param]
    hosts = (guard.engine.host, f"unix://{guard.socket}")
    return Side(guard, program, hosts[0]), Side(guard, program, hosts[1])


with_the_newest = pytest.mark.parametrize("both", ["26.1"], indirect=True)
"""What does not depend on the version of the docker CLI, or has a program of its own."""


def assert_same(both: Both, act: Callable[[Side], Any]) -> Any:
    """Do the same on both sides, the engine's first; returns what came of it."""
    direct, guarded = (act(side) for side in both)
    assert guarded == direct
    return guarded


def test_bind_of_the_working_directory(both: Both) -> None:
    place = both[0].guard.project
    (place / "x").mkdir(exist_ok=True)
    (place / "x/asked").write_text("of the project\n")

    def act(side: Side) -> Any:
        (place / "x/answered").unlink(missing_ok=True)
        script = "cat /y/asked; ls /y; echo from inside >/y/answered; exit 5"
        said = side.docker("run", "--rm", "-v", f"{place}/x:/y", "busybox", "sh", "-c", script)
        read_only = side.docker("run", "--rm", "-v", f"{place}/x:/y:ro", "busybox", "touch", "/y/z")
        answered = place / "x/answered"
        about = answered.stat()
        return said, read_only, answered.read_text(), (about.st_uid, about.st_mode)

    assert assert_same(both, act)[0] == (5, "of the project\nasked\n", "")


def test_copies_both_ways(both: Both, tmp_path: Path) -> None:
    (tmp_path / "tree/below").mkdir(parents=True)
    (tmp_path / "tree/below/file").write_bytes(os.urandom(100_000))
    (tmp_path / "tree/link").symlink_to("below/file")
    (tmp_path / "tree/below/file").chmod(0o751)

    def act(side: Side) -> Any:
        back = tmp_path / f"back-{secrets.token_hex(3)}"
        back.mkdir()
        docker = side.docker
        docker("run", "-d", "--name", "copied", "--init", "busybox", "sleep", "1000")
        said = [
            docker("cp", f"{tmp_path}/tree", "copied:/put"),
            docker("exec", "copied", "sh", "-c", "cd /put; find . | sort; stat -c '%a %u' below/*"),
            docker("cp", "copied:/put", str(back)),
            docker("cp", "copied:/put/below/file", f"{back}/one"),
            docker("cp", "-L", "copied:/put/link", f"{back}/followed"),
            docker("cp", "copied:/nosuch", str(back)),
            docker("cp", f"{tmp_path}/tree", "copied:/nosuch/deep"),
            docker("cp", f"{tmp_path}/nosuch", "copied:/"),
            docker("cp", "nosuch:/x", str(back)),
        ]
        docker("rm", "-f", "copied")
        found = sorted(back.rglob("*"))
        files = [
            (str(one.relative_to(back)), one.lstat().st_mode, one.is_file() and one.read_bytes())
            for one in found
        ]
        # The daemon repeats how the container was called: the guard calls it by its id.
        texts = [err.replace(back.name, "back").replace("ID", "copied") for *_, err in said]
        return [one[:2] for one in said], texts, files

    said, _, files = assert_same(both, act)
    assert [code for code, _ in said] == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert len(files) == 6


def test_commands_in_a_container(both: Both) -> None:
    def act(side: Side) -> Any:
        side.docker("run", "-d", "--name", "entered", "--init", "busybox", "sleep", "1000")
        words = ("-u", "1000:1000", "-w", "/bin", "-e", "A=b")
        said = [
            side.docker("exec", "-i", "entered", "sh", "-c", "cat; exit 3", text="typed"),
            side.docker("exec", *words, "entered", "sh", "-c", "id -u; pwd; echo $A; echo e >&2"),
            side.docker("exec", "entered", "nosuchcommand"),
            side.docker("exec", "entered", "/etc/passwd"),
            side.docker("exec", "-d", "entered", "true"),
            side.docker("kill", "entered"),
            side.docker("wait", "entered"),
            side.docker("exec", "entered", "true"),
        ]
        side.docker("rm", "-f", "entered")
        return said

    codes = [code for code, *_ in assert_same(both, act)]
    assert codes[:2] == [3, 0]
    assert codes[2] in {126, 127}
    assert codes[-1] == 1


@pytest.mark.parametrize("how", ["run", "exec"])
def test_terminal(both: Both, how: str) -> None:
    """Its size, also when that changes, what it shows, and how it ends."""
    import pexpect

    def act(side: Side) -> Any:
        words = ["run", "--rm", "-it", "busybox", "sh"]
        if how == "exec":
            side.docker("run", "-d", "--name", "shown", "--init", "busybox", "sleep", "1000")
            words = ["exec", "-it", "shown", "sh"]
        child = side.terminal(*words)
        shown = ""
        for line, end in (
            ("stty size; echo d''one", "done"),
            ("sh -c 'echo read\"\"ing; exec cat'", "reading"),
        ):
            child.expect_exact("/ # ")
            shown += child.before
            child.sendline(line)
            child.expect_exact(end)
            shown += child.before
        child.sendcontrol("c")
        child.expect_exact("/ # ")
        child.setwinsize(41, 101)
        child.sendline("until [ \"$(stty size)\" = '41 101' ]; do :; done; echo re''sized")
        child.expect_exact("resized")
        child.sendline("exit 6")
        child.expect(pexpect.EOF)
        child.close()
        if how == "exec":
            side.docker("rm", "-f", "shown")
        # A shell that is told of its window a moment after it began draws its prompt again.
        shown = re.sub(r"\r/ # \x1b\[J|\x1b\[6n", "", shown)
        return shown, child.exitstatus, child.signalstatus

    shown, *codes = assert_same(both, act)
    assert "31 97" in shown
    assert codes == [6, None]


def test_logs_are_followed_to_the_end(both: Both) -> None:
    script = "for i in 1 2 3; do echo out $i; echo err $i >&2; sleep 0.2; done; exit 4"

    def act(side: Side) -> Any:
        side.docker("run", "-d", "--name", "told", "busybox", "sh", "-c", script)
        return [
            side.docker("logs", "-f", "told"),
            side.docker("logs", "--tail", "2", "told"),
            side.docker("wait", "told"),
            side.docker("rm", "told"),
        ]

    said = assert_same(both, act)
    assert said[0] == (0, "out 1\nout 2\nout 3\n", "err 1\nerr 2\nerr 3\n")
    assert said[2] == (0, "4\n", "")


@with_the_newest
def test_events_of_a_life(both: Both) -> None:
    form = '{{.Type}} {{.Action}} {{index .Actor.Attributes "name"}}'

    def act(side: Side) -> Any:
        began = f"{time.time():.6f}"
        side.docker("create", "--name", "lived", "busybox", "sh", "-c", "exit 3")
        side.docker("start", "-a", "lived")
        side.docker("rename", "lived", "lived-on")
        side.docker("rm", "lived-on")
        words = ("--since", began, "--until", f"{time.time():.6f}", "--format", form)
        code, out, err = side.docker("events", *words, "--filter", "type=container")
        # Other things of this engine are nobody's here, and told by the engine alone.
        return code, [line for line in out.splitlines() if "lived" in line], err

    code, lines, _ = assert_same(both, act)
    assert code == 0
    assert [line.split()[1] for line in lines] == [
        *("create", "attach", "start", "die", "rename", "destroy"),
    ]


def test_stats(both: Both) -> None:
    form = "{{.Name}} {{.ID}} {{.PIDs}}"

    def act(side: Side) -> Any:
        side.docker("run", "-d", "--name", "counted", "-m", "64m", "busybox", "sleep", "1000")
        said = [
            side.docker("stats", "--no-stream", "--format", form, "counted"),
            side.docker("stats", "--no-stream", "nosuch"),
        ]
        side.docker("rm", "-f", "counted")
        return said

    said = assert_same(both, act)
    assert said[0][0] == 0
    assert said[0][1].startswith("counted id ")


@with_the_newest
def test_stats_of_all(both: Both, untouched: Host) -> None:
    """The host's containers are in the list, and have no numbers in the sandbox."""
    side = both[1]
    side.docker("run", "-d", "--name", "counted", "busybox", "sleep", "1000")
    code, out, err = side.docker("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}")
    side.docker("rm", "-f", "counted")
    assert code == 0, err
    assert any(re.fullmatch(r"counted \d+", line) for line in out.splitlines()), out
    assert untouched.container_name not in out


@with_the_newest
def test_published_port(both: Both) -> None:
    """Where it listens is what differs: loopback and gateway, not all addresses."""

    def act(side: Side) -> Any:
        words = ("-d", "--name", "listening", "-p", f"{PORT}:80", "--init", "busybox")
        code, *_ = side.docker("run", *words, "sh", "-c", "echo page >/index.html; httpd -f -h /")
        try:
            wait_for(lambda: page() is not None, SECONDS, "the page")
            found = page()
        finally:
            side.docker("rm", "-f", "listening")
        return code, found

    def page() -> str | None:
        command = ["curl", "-sS", "-w", " %{http_code}", f"http://127.0.0.1:{PORT}/index.html"]
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        return done.stdout if done.returncode == 0 else None

    assert assert_same(both, act) == (0, "page\n 200")


@with_the_newest
@pytest.mark.usefixtures("untouched")
def test_prune_with_a_filter(both: Both) -> None:
    """Without one the engine's own socket would remove what is others'."""
    labelled = f"test.as-raw={secrets.token_hex(4)}"

    text = f"FROM busybox\nLABEL {labelled}\n"
    # Where it is not implied.
    named = ("-a",) if both[0].guard.engine.api_version != "1.41" else ()

    def act(side: Side) -> Any:
        made = [
            side.docker("create", "--name", "spare", "--label", labelled, "busybox"),
            side.docker("network", "create", "--label", labelled, "spare-net"),
            side.docker("volume", "create", "--label", labelled, "spare-volume"),
            side.docker("build", "-q", "-", text=text),
        ]
        words = ("-f", "--filter", f"label={labelled}")
        said = [
            side.docker("container", "prune", *words),
            side.docker("network", "prune", *words),
            side.docker("volume", "prune", *named, *words),
            side.docker("image", "prune", *words),
            side.docker("image", "prune", *words),
        ]
        # docs/security.md: what is said to be reclaimed differs.
        said = [(code, re.sub(r"space: .*", "space", out), err) for code, out, err in said]
        return made, said

    made, said = assert_same(both, act)
    assert [code for code, *_ in made + said] == [0] * 9
    for (_, out, _), found in zip(said, ("ID", "spare-net", "spare-volume", "ID"), strict=False):
        assert "Deleted" in out
        assert found in out
    assert "Deleted" not in said[-1][1]


COMPOSE = """
services:
  web:
    build: ./part
    ports: ["18401:80"]
    volumes: ["./part:/part:ro", "kept:/kept"]
    depends_on: [job]
    init: true
  job:
    image: busybox
    command: sh -c "echo job one; sleep 0.3; echo job two"
volumes: {kept: {}}
"""


@with_the_newest
def test_compose(both: Both) -> None:
    place = both[0].guard.project / "composed"
    (place / "part").mkdir(parents=True, exist_ok=True)
    (place / "compose.yaml").write_text(COMPOSE)
    (place / "part/Dockerfile").write_text("FROM busybox\nCOPY page /page\nCMD sleep 1000\n")
    (place / "part/page").write_text("composed\n")
    scene = (
        ("build", "-q"),
        ("up", "-d"),
        ("ps", "-a", "--services"),
        ("logs", "-f", "--no-log-prefix", "job"),
        ("exec", "-T", "web", "sh", "-c", "cat /page /part/page; touch /kept/x; exit 3"),
        ("exec", "-T", "web", "touch", "/part/no"),
        ("exec", "-T", "nosuch", "true"),
        ("up", "-d", "web"),
        ("down", "-v", "-t", "0", "--rmi", "local"),
        ("ps", "-a", "-q"),
    )

    def act(side: Side) -> Any:
        found = []
        for words in scene:
            code, out, err = side.docker(
                "compose", "--project-directory", str(place), *words, DOCKER_BUILDKIT="1"
            )
            # What goes on at the same time is told in any order.
            found.append((words, code, sorted(out.split("\n")), sorted(set(err.split("\n")))))
        return found

    found = assert_same(both, act)
    assert [code for _, code, *_ in found] == [0, 0, 0, 0, 3, 1, 1, 0, 0, 0]
    assert found[3][2] == ["", "job one", "job two"]
    assert found[-1][2] == [""]


@with_the_newest
def test_buildx(both: Both) -> None:
    """With steps that are not `RUN`, whose cache is the project's own, down to the image's id."""
    place = both[0].guard.project / "built"
    place.mkdir(exist_ok=True)
    (place / "Dockerfile").write_text("FROM busybox AS a\nCOPY word /\nCMD cat /word\n")
    (place / "word").write_text(secrets.token_hex(4))
    (place / "Failing").write_text("FROM busybox\nCOPY nosuch /\n")
    (place / "Wrong").write_text("FROM busybox\nNOSUCH\n")

    def act(side: Side) -> Any:
        env = {"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}
        tag = ("-t", "guard-test-raw:1")
        base = ("buildx", "build", "--load")
        said = [
            side.docker(*base, "-q", *tag, str(place), **env),
            side.docker("run", "--rm", "guard-test-raw:1"),
            side.docker("image", "inspect", "-f", "{{.Id}}", "guard-test-raw:1"),
            side.docker(*base, "-q", "--target", "a", str(place), **env),
            side.docker(*base, "-f", f"{place}/Failing", str(place), **env),
            side.docker(*base, "-f", f"{place}/Wrong", str(place), **env),
            side.docker(*base, f"{place}/nosuch", **env),
        ]
        exact = side.guard.cli(
            "image", "inspect", "-f", "{{.Id}}", "guard-test-raw:1", env={"DOCKER_HOST": side.host}
        ).stdout
        side.docker("rmi", "guard-test-raw:1")
        last = [(code, out, err.splitlines()[-1:]) for code, out, err in said]
        return last, exact

    said, _ = assert_same(both, act)
    assert [code for code, *_ in said] == [0, 0, 0, 0, 1, 1, 1]


# -- other clients ---------------------------------------------------------------------------


@pytest.fixture
def hosts(guard: Guard) -> tuple[str, str]:
    """Return the engine's own address and the guard's."""
    return guard.engine.host, f"unix://{guard.socket}"


def test_sdk(guard: Guard, hosts: tuple[str, str]) -> None:
    docker: Any = importlib.import_module("docker")

    def act(address: str) -> Any:
        client = docker.DockerClient(base_url=address)
        found: list[Any] = []
        try:
            found.append(client.containers.run("busybox", "echo from the sdk", remove=True))
            with pytest.raises(docker.errors.ContainerError) as failed:
                client.containers.run("busybox", "sh -c 'echo e >&2; exit 3'", remove=True)
            found += [failed.value.exit_status, failed.value.stderr]
            with pytest.raises(docker.errors.NotFound) as missing:
                client.containers.get("nosuch")
            found.append(missing.value.explanation)
            with pytest.raises(docker.errors.ImageNotFound) as missing:
                client.images.get("nosuch:1")
            found.append(missing.value.explanation)
            volumes = {str(guard.project): {"bind": "/w", "mode": "rw"}}
            one = client.containers.run(
                "busybox", "sleep 99", detach=True, volumes=volumes, name="of-sdk", init=True
            )
            try:
                one.reload()
                found += [one.status, one.attrs["HostConfig"]["Binds"]]
                found.append(one.attrs["Mounts"])
                found.append(tuple(one.exec_run("sh -c 'echo o; echo e >&2; exit 2'", demux=True)))
                bits, about = one.get_archive("/etc/passwd")
                found += [b"".join(bits), about["name"], about["size"]]
                found.append(sorted(one.stats(stream=False)))
                found.append(sorted(change["Path"] for change in one.diff()))
                found.append(one.top()["Titles"])
                one.kill()
                found += [one.wait()["StatusCode"], one.logs()]
            finally:
                one.remove(force=True)
            network = client.networks.create("of-sdk", internal=True, labels={"a": "b"})
            network.reload()
            found += [network.attrs["Labels"], network.attrs["Internal"], network.attrs["Driver"]]
            network.remove()
            volume = client.volumes.create("of-sdk", labels={"a": "b"})
            found += [volume.attrs["Labels"], volume.attrs["Driver"]]
            volume.remove()
        finally:
            client.close()
        return found

    direct, guarded = (act(address) for address in hosts)
    assert guarded == direct


def test_testcontainers(hosts: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    core = importlib.import_module("testcontainers.core.container")
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")

    def act(address: str) -> Any:
        monkeypatch.setenv("DOCKER_HOST", address)
        container = core.DockerContainer("postgres:15").with_exposed_ports(5432)
        with container.with_env("A", "b") as started:
            port = int(started.get_exposed_port(5432))
            said: list[bytes] = []

            def answers() -> bool:
                try:
                    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
                        said.append(sock.recv(100))
                except OSError:
                    return False
                return bool(said[-1])

            wait_for(answers, SECONDS, "the stand-in for a database")
            return said[-1], started.exec("printenv A"), started.get_container_host_ip()

    direct, guarded = (act(address) for address in hosts)
    assert guarded == direct
