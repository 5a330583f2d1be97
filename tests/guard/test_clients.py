"""Other clients: older and newer CLIs, the SDK, Testcontainers, a terminal."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from tests.engines.roots import root_of
from tests.guard.conftest import newest_cli

if TYPE_CHECKING:
    from tests.guard.conftest import Guard
    from tests.guard.raw import Answer


def programs() -> dict[str, str]:
    """Return the docker CLIs of this machine by what they are."""
    found = {"20.10": str(root_of("20.10") / "usr/bin/docker"), "26.1": newest_cli()}
    own = shutil.which("docker")
    return found | ({"the machine's": own} if own else {})


@pytest.mark.parametrize("which", ["20.10", "26.1", "the machine's"])
def test_cli_answers_as_on_the_raw_socket(guard: Guard, which: str) -> None:
    if which not in programs():
        pytest.skip("this machine has no docker CLI of its own")
    program = programs()[which]
    (guard.project / "ctx").mkdir(exist_ok=True)
    (guard.project / "ctx/Dockerfile").write_text("FROM busybox\nRUN echo same > /x\nCMD cat /x\n")
    for words, text in (
        (["run", "--rm", "busybox", "echo", "hi"], None),
        (["run", "--rm", "-i", "busybox", "sh", "-c", "cat; exit 4"], "typed"),
        (["run", "--rm", "nosuchimage:1"], None),
        (["inspect", "nosuch"], None),
        (["logs", "nosuch"], None),
        (["exec", "nosuch", "true"], None),
        (["rm", "nosuch"], None),
        (["volume", "rm", "nosuch"], None),
        (["network", "rm", "nosuch"], None),
        (["run", "--rm", "busybox", "nosuchcommand"], None),
        (["version", "--format", "{{.Server.Version}} {{.Server.APIVersion}}"], None),
        (["info", "--format", "{{.ServerVersion}} {{.Driver}} {{.CgroupDriver}}"], None),
        (["image", "inspect", "busybox", "--format", "{{.Id}} {{.Config.Cmd}}"], None),
        (["build", "-q", "ctx"], None),
    ):
        raw = {"DOCKER_HOST": guard.engine.host}
        direct = guard.cli(*words, program=program, input=text, check=False, env=raw)
        guarded = guard.cli(*words, program=program, input=text, check=False)
        assert guarded.returncode == direct.returncode, words
        assert guarded.stdout == direct.stdout, words
        assert timeless(guarded.stderr) == timeless(direct.stderr), words


def timeless(text: str) -> str:
    """Return a text without the moments that a client prints, and without what it prints or not.

    When a container can't be started, two of the CLI's own threads race for the last word.
    """
    text = re.sub(r"time=.*error waiting for container: context canceled.*\n", "", text)
    return re.sub(r'time="[^"]*"', "time", text)


@pytest.fixture
def sdk(guard: Guard) -> Any:
    import importlib

    docker: Any = importlib.import_module("docker")
    client = docker.DockerClient(base_url=f"unix://{guard.socket}")
    yield client
    client.close()


def test_sdk(guard: Guard, sdk: Any) -> None:
    assert sdk.containers.run("busybox", "echo from the sdk", remove=True) == b"from the sdk\n"
    volumes = {str(guard.project): {"bind": "/w", "mode": "rw"}}
    container = sdk.containers.run(
        "busybox", "sleep 99", detach=True, volumes=volumes, ports={"80/tcp": None}
    )
    try:
        container.reload()
        assert container.status == "running"
        assert container.exec_run("cat /nosuch").exit_code == 1
        assert container.exec_run("echo in", demux=True).output[0] == b"in\n"
        assert container.attrs["Mounts"][0]["Source"] == str(guard.project)
        ports = container.ports["80/tcp"]
        assert len({binding["HostPort"] for binding in ports}) == 1
        stats = container.stats(stream=False)
        assert stats["id"] == container.id
        bits, _ = container.get_archive("/etc/passwd")
        assert b"root" in b"".join(bits)
        assert container.id in [other.id for other in sdk.containers.list(ignore_removed=True)]
    finally:
        container.remove(force=True)
    image, _ = sdk.images.build(fileobj=dockerfile(), tag="guard-test-sdk:1")
    assert image.id in guard.owned()["images"]
    assert image.tag("guard-test-sdk", "2")
    listed = sdk.images.list(name="guard-test-sdk")
    assert sorted(listed[0].tags) == ["guard-test-sdk:1", "guard-test-sdk:2"]
    sdk.images.remove("guard-test-sdk:2")
    sdk.images.remove("guard-test-sdk:1")
    network = sdk.networks.create("sdknet")
    assert network.id in guard.owned()["networks"]
    network.remove()


def dockerfile() -> Any:
    import io

    return io.BytesIO(b"FROM busybox\nRUN echo sdk > /x\n")


def dial(guard: Guard, path: str, options: dict[str, Any]) -> Answer:
    """Send a request as dockerode does, the library of Node: its options are in both places."""
    said = {
        key: json.dumps(value) if isinstance(value, (dict, list)) else value
        for key, value in options.items()
    }
    return guard.ask("POST", f"{path}?{urlencode(said)}", options)


def test_dockerode(guard: Guard) -> None:
    wanted = {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"Init": True}}
    full = dial(guard, "/containers/create", {"name": "of-node", **wanted}).json["Id"]
    assert dial(guard, f"/containers/{full}/rename", {"name": "of-node-too"}).status == 204
    assert dial(guard, f"/containers/{full}/start", {}).status == 204
    found = guard.ask("GET", "/containers/of-node-too/json").json
    assert found["HostConfig"]["Init"]
    command = {"Cmd": ["echo", "in"], "AttachStdout": True}
    made = guard.ask("POST", f"/containers/{full}/exec", command).json["Id"]
    streams = {"Detach": False, "Tty": True, "stdin": True, "hijack": True}
    assert b"in" in guard.ask("POST", f"/exec/{made}/start", streams).content
    assert dial(guard, f"/containers/{full}/stop", {"t": 0}).status == 204
    attached = {"stream": False, "logs": True, "stdout": True, "stderr": True, "hijack": True}
    words = {key: str(on).lower() for key, on in attached.items()}
    assert dial(guard, f"/containers/{full}/attach", words).status == 200
    image = {"container": full, "repo": "guard-test-node", "tag": "1"}
    assert dial(guard, "/commit", image).status == 201
    again = {"repo": "guard-test-node", "tag": "2"}
    assert dial(guard, "/images/guard-test-node:1/tag", again).status == 201
    assert dial(guard, "/networks/create", {"Name": "of-node", "Internal": True}).status == 201
    assert dial(guard, "/volumes/create", {"Name": "of-node", "Labels": {"a": "b"}}).status == 201
    assert dial(guard, "/containers/prune", {"filters": {"label": ["nosuch"]}}).status == 200
    guard.cli("rm", "-f", full)
    guard.cli("rmi", "guard-test-node:1", "guard-test-node:2")
    guard.cli("network", "rm", "of-node")
    guard.cli("volume", "rm", "of-node")


def test_what_dockerode_repeats_is_not_believed(guard: Guard) -> None:
    """The body says what a container is; where there is none, it says nothing new."""
    query = urlencode({"HostConfig": json.dumps({"Privileged": True, "Binds": ["/:/host"]})})
    body = {"Image": "busybox", "HostConfig": {"Init": True}}
    made = guard.ask("POST", f"/containers/create?{query}", body)
    found = json.loads(guard.engine.cli("inspect", made.json["Id"]).stdout)[0]
    assert not found["HostConfig"]["Privileged"]
    assert not found["Mounts"]
    start = f"/containers/{made.json['Id']}/start"
    assert guard.ask("POST", start, {"Binds": ["/:/host"]}).status == 403
    assert guard.ask("POST", f"{start}?Binds=x", {"Binds": ["/:/host"]}).status == 403
    guard.cli("rm", made.json["Id"])


def test_testcontainers(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    core = importlib.import_module("testcontainers.core.container")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{guard.socket}")
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
    container = core.DockerContainer("postgres:15").with_exposed_ports(5432)
    with container as started:
        port = int(started.get_exposed_port(5432))
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
                    if sock.recv(100).startswith(b"stand-in for postgres"):
                        break
            except OSError:
                continue
