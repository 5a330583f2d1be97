"""What a developer does, with the real docker CLI, through the guard."""

from __future__ import annotations

import contextlib
import fcntl
import json
import select
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.guard.conftest import newest_cli
from tests.guard.raw import request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.guard.conftest import Guard, Host


def test_run_prints_and_returns_the_exit_code(guard: Guard) -> None:
    done = guard.cli(
        "run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7", check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_stdin_is_piped_and_closed(guard: Guard) -> None:
    done = guard.cli("run", "--rm", "-i", "busybox", "wc", "-c", input="x" * 300_000)
    assert done.stdout.strip() == "300000"


def test_exec_logs_cp_and_rename(guard: Guard) -> None:
    guard.cli("run", "-d", "--name", "worker", "busybox", "sh", "-c", "echo hello; sleep 1000")
    try:
        assert guard.cli("logs", "worker").stdout == "hello\n"
        assert guard.cli("exec", "-i", "worker", "cat", input="piped").stdout == "piped"
        assert guard.cli("exec", "worker", "sh", "-c", "exit 3", check=False).returncode == 3
        (guard.project / "file").write_text("content")
        guard.cli("cp", "file", "worker:/copied")
        guard.cli("cp", "worker:/copied", "back")
        assert (guard.project / "back").read_text() == "content"
        guard.cli("rename", "worker", "renamed")
        assert (
            guard.cli("ps", "--format", "{{.Names}}", "--filter", "name=renamed").stdout
            == "renamed\n"
        )
        guard.cli("restart", "-t", "0", "renamed")
        guard.cli("stop", "-t", "0", "renamed")
    finally:
        guard.cli("rm", "-f", "renamed", "worker", check=False)


def test_host_containers_are_listed_by_name_only(guard: Guard, host: Host) -> None:
    listed = guard.cli("ps", "--no-trunc", "--format", "{{json .}}").stdout.splitlines()
    entry = next(e for e in map(json.loads, listed) if e["Names"] == host.container_name)
    assert entry["Image"] == "busybox"
    assert entry["Labels"] == ""
    assert entry["Command"] == '""'
    assert entry["Mounts"] == ""


def test_bind_of_workspace_and_host_path(guard: Guard) -> None:
    (guard.project / "data").mkdir(exist_ok=True)
    (guard.project / "data" / "file").write_text("seen")
    for source in ("/workspace/data", str(guard.project / "data")):
        assert (
            guard.cli("run", "--rm", "-v", f"{source}:/d", "busybox", "cat", "/d/file").stdout
            == "seen"
        )
        mount = f"type=bind,source={source}/file,target=/f,readonly"
        assert guard.cli("run", "--rm", "--mount", mount, "busybox", "cat", "/f").stdout == "seen"


def test_missing_bind_source_is_made_in_the_workspace(guard: Guard) -> None:
    guard.cli("run", "--rm", "-v", "/workspace/new/deep:/d", "busybox", "touch", "/d/x")
    assert (guard.project / "new/deep/x").exists()


def test_inspect_shows_the_paths_as_asked(guard: Guard) -> None:
    (guard.project / "shown").mkdir(exist_ok=True)
    full = guard.cli("create", "-v", "/workspace/shown:/d:ro", "busybox").stdout.strip()
    found = json.loads(guard.cli("inspect", full).stdout)[0]
    assert found["HostConfig"]["Binds"] == ["/workspace/shown:/d:ro"]
    assert [(m["Type"], m["Source"], m["Destination"], m["RW"]) for m in found["Mounts"]] == [
        ("bind", "/workspace/shown", "/d", False)
    ]
    assert not [name for name in found["Config"]["Labels"] or {} if name.startswith("claudy.")]
    guard.cli("rm", full)


def test_named_volume_lives_on_and_is_removed(guard: Guard) -> None:
    guard.cli("run", "--rm", "-v", "pgdata:/d", "busybox", "sh", "-c", "echo kept > /d/x")
    assert guard.cli("run", "--rm", "-v", "pgdata:/d", "busybox", "cat", "/d/x").stdout == "kept\n"
    assert guard.cli("volume", "ls", "-q").stdout == "pgdata\n"
    guard.cli("volume", "rm", "pgdata")
    assert guard.cli("volume", "ls", "-q").stdout == ""


def test_socket_bind_is_the_guards_own(guard: Guard) -> None:
    guard.cli(
        "run",
        "-d",
        "--name",
        "ryuk",
        "-v",
        "/var/run/docker.sock:/var/run/docker.sock",
        "busybox",
        "sleep",
        "99",
    )
    try:
        done = guard.cli("exec", "ryuk", "ls", "-l", "/var/run/docker.sock")
        assert done.stdout.startswith("s")
        sock = guard.cli("inspect", "ryuk", "-f", "{{(index .Mounts 0).Source}}").stdout.strip()
        assert sock == "/var/run/docker.sock"
        real = json.loads(guard.engine.cli("inspect", "ryuk").stdout)[0]["Mounts"][0]["Source"]
        assert real == str(guard.socket)
    finally:
        guard.cli("rm", "-f", "ryuk")


def test_published_port_listens_on_loopback_and_gateway(guard: Guard) -> None:
    full = guard.cli(
        "run", "-d", "-p", "18080:80", "-p", "81", "busybox", "sleep", "99"
    ).stdout.strip()
    try:
        assert {
            line.rpartition(":")[0] for line in guard.cli("port", full, "80").stdout.split()
        } == {
            "127.0.0.1",
            gateway(guard),
        }
        ephemeral = guard.cli("port", full, "81").stdout.split()
        assert len({line.rpartition(":")[2] for line in ephemeral}) == 1
    finally:
        guard.cli("rm", "-f", full)


def gateway(guard: Guard) -> str:
    form = "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}"
    return guard.engine.cli("inspect", "-f", form, guard.name).stdout.strip()


@pytest.mark.parametrize("quiet", [False, True])
def test_classic_build(guard: Guard, quiet: bool) -> None:
    context = guard.project / f"build{quiet}"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo built > /x\nCMD cat /x\n")
    extra = ["-q"] if quiet else []
    done = guard.cli("build", *extra, "-t", "guard-test-app", str(context))
    if quiet:
        assert done.stdout.startswith("sha256:")
    else:
        assert "Successfully tagged guard-test-app:latest" in done.stdout
    assert guard.cli("run", "--rm", "guard-test-app").stdout == "built\n"
    guard.cli("rmi", "guard-test-app")


def test_build_fails_with_the_commands_code(guard: Guard) -> None:
    done = guard.cli("build", "-", input="FROM busybox\nRUN exit 9\n", check=False)
    assert done.returncode == 9


@pytest.mark.parametrize("words", [(), ("--rm=false",)], ids=["", "kept"])
def test_a_failed_build_leaves_no_container(guard: Guard, words: tuple[str, ...]) -> None:
    """It would be nobody's: whoever built could not list it, and it could only pile up."""

    def containers() -> set[str]:
        return {c["Id"] for c in request(guard.engine.socket, "GET", "/containers/json?all=1").json}

    before = containers()
    text = "FROM busybox\nRUN true\nRUN exit 9\n"
    assert guard.cli("build", *words, "-", input=text, check=False).returncode == 9
    assert containers() == before


def test_save_load_commit_import(guard: Guard) -> None:
    full = guard.cli("create", "busybox", "sh").stdout.strip()
    guard.cli("commit", full, "guard-test-committed:1")
    guard.cli("save", "-o", "image.tar", "guard-test-committed:1")
    guard.cli("rmi", "guard-test-committed:1")
    done = guard.cli("load", "-i", "image.tar")
    assert done.stdout == "Loaded image: guard-test-committed:1\n"
    assert guard.cli("run", "--rm", "guard-test-committed:1", "echo", "ok").stdout == "ok\n"
    guard.cli("export", "-o", "flat.tar", full)
    guard.cli("import", "flat.tar", "guard-test-flat:1")
    guard.cli("rmi", "guard-test-committed:1", "guard-test-flat:1")
    guard.cli("rm", full)


def test_save_and_load_of_two_that_differ_in_their_settings_alone(guard: Guard) -> None:
    """They share all their layers: only what the daemon says tells which is which."""
    names = ("guard-test-one:1", "guard-test-two:1")
    for name in names:
        text = f"FROM busybox\nENV WHICH={name}\n"
        guard.cli("build", "-q", "-t", name, "-", input=text)
    guard.cli("save", "-o", "images.tar", *names)
    guard.cli("rmi", *names)
    done = guard.cli("load", "-i", "images.tar")
    assert sorted(done.stdout.splitlines()) == [f"Loaded image: {name}" for name in names]
    for name in names:
        assert guard.cli("run", "--rm", name, "sh", "-c", "echo $WHICH").stdout == f"{name}\n"
    guard.cli("rmi", *names)


def test_networks(guard: Guard) -> None:
    guard.cli("network", "create", "appnet")
    try:
        guard.cli(
            "run",
            "-d",
            "--name",
            "srv",
            "--network",
            "appnet",
            "--network-alias",
            "web",
            "busybox",
            "sleep",
            "99",
        )
        assert (
            guard.cli(
                "run", "--rm", "--network", "appnet", "busybox", "ping", "-c1", "-w5", "web"
            ).returncode
            == 0
        )
        guard.cli("network", "disconnect", "appnet", "srv")
        guard.cli("network", "connect", "--alias", "again", "appnet", "srv")
        assert "srv" in guard.cli("network", "inspect", "appnet").stdout
    finally:
        guard.cli("rm", "-f", "srv", check=False)
        guard.cli("network", "rm", "appnet")


def test_network_that_the_host_has_is_said_to_be(guard: Guard, host: Host) -> None:
    """As after `docker compose up` on the host: nothing in the sandbox shows why it is taken."""
    done = guard.cli("network", "create", host.network_name, check=False)
    assert "not made in this sandbox" in done.stderr
    assert f"docker network rm {host.network_name}" in done.stderr
    guard.cli("network", "create", "mine-twice")
    done = guard.cli("network", "create", "mine-twice", check=False)
    assert "already exists" in done.stderr
    guard.cli("network", "rm", "mine-twice")


def test_events_of_own_objects(guard: Guard, host: Host) -> None:
    command = [newest_cli(), "events", "--format", "{{.Type}} {{.Action}} {{.Actor.ID}}"]
    seen = []
    with subprocess.Popen(
        command, env=guard.environment, stdout=subprocess.PIPE, text=True
    ) as stream:
        assert stream.stdout is not None
        # Until the stream stands, containers come and go; only events from then on are told.
        while not select.select([stream.stdout], [], [], 0)[0]:
            guard.engine.cli("exec", host.container_name, "true")
            guard.cli("run", "--rm", "busybox", "true")
        network = guard.cli("network", "create", "eventful").stdout.strip()
        guard.cli("volume", "create", "eventful")
        guard.cli("network", "rm", "eventful")
        guard.cli("volume", "rm", "eventful")
        full = guard.cli("create", "busybox", "true").stdout.strip()
        guard.cli("start", "--attach", full)
        guard.cli("rm", full)
        for line in stream.stdout:
            seen.append(line)
            if line == f"container destroy {full}\n":
                break
        stream.terminate()
    actions = [line.split()[1] for line in seen if full in line and line.startswith("container")]
    assert actions == ["create", "attach", "start", "die", "destroy"]
    others = [line for line in seen if network in line or "eventful" in line]
    assert others == [
        f"network create {network}\n",
        "volume create eventful\n",
        f"network destroy {network}\n",
        "volume destroy eventful\n",
    ]
    assert not [line for line in seen if host.container in line]


@pytest.mark.usefixtures("untouched")
def test_system_prune_removes_own_things_only(guard: Guard) -> None:
    guard.cli("run", "--name", "pruned", "busybox", "true")
    guard.cli("system", "prune", "-af", "--volumes")
    assert guard.cli("ps", "-aq", "--filter", "name=pruned").stdout == ""


COMPOSE = """
services:
  web:
    build: ./web
    ports: ["18099:80"]
    volumes: ["./conf:/conf", "cache:/cache"]
    depends_on: [db]
    restart: always
    init: true
  db:
    image: busybox
    command: sh -c "echo db up; sleep 1000"
    init: true
volumes: {cache: {}}
"""


def test_compose_up_logs_exec_down(guard: Guard) -> None:
    (guard.project / "compose.yaml").write_text(COMPOSE)
    (guard.project / "web").mkdir()
    (guard.project / "conf").mkdir()
    (guard.project / "conf" / "a").write_text("configured")
    (guard.project / "web" / "Dockerfile").write_text(
        "FROM busybox\nCMD echo web up; mkdir /www; echo page > /www/index.html; httpd -f -h /www\n"
    )
    guard.cli("compose", "-p", "shop", "up", "-d")
    try:
        names = guard.cli("compose", "-p", "shop", "ps", "--format", "{{.Service}}").stdout.split()
        assert sorted(names) == ["db", "web"]
        assert "db up" in guard.cli("compose", "-p", "shop", "logs", "db").stdout
        assert (
            guard.cli("compose", "-p", "shop", "exec", "-T", "web", "cat", "/conf/a").stdout
            == "configured"
        )
        again = guard.cli("compose", "-p", "shop", "up", "-d")
        assert "Recreate" not in again.stderr
    finally:
        guard.cli("compose", "-p", "shop", "down", "-v", "--rmi", "local")
    assert guard.cli("ps", "-aq", "--filter", "label=com.docker.compose.project=shop").stdout == ""


def test_bind_source_that_is_gone_is_made_again(guard: Guard) -> None:
    guard.cli("run", "-d", "--name", "again", "-v", "./gone:/x", "busybox", "sleep", "1000")
    for words in (["restart", "-t", "0", "again"], ["start", "again"]):
        guard.cli("stop", "-t", "0", "again")
        (guard.project / "gone").rmdir()
        guard.cli(*words)
        assert (guard.project / "gone").is_dir()
    guard.cli("rm", "-f", "again")


def test_volume_gets_the_images_files_after_a_create_that_failed(guard: Guard) -> None:
    """The docker CLI creates again when it has pulled the image."""
    volume = "late-files"
    guard.cli("create", "-v", f"{volume}:/bin", "nosuch/image:1", check=False)
    body = {"Image": "nosuch/image:1", "HostConfig": {"Binds": [f"{volume}:/bin"]}}
    assert guard.ask("POST", "/containers/create", body).status == 404
    guard.cli("create", "--name", "without", "-v", f"{volume}:/nothing", "busybox")
    words = ["run", "--rm", "-v", f"{volume}:/bin", "busybox", "sh", "-c", "ls /bin/busybox"]
    assert guard.cli(*words).stdout == "/bin/busybox\n"
    guard.cli("rm", "-f", "without")
    guard.cli("volume", "rm", volume)


def test_volume_that_four_name_at_once(guard: Guard) -> None:
    words = ["create", "-v", "at-once:/v", "busybox"]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: guard.cli(*words).stdout.strip(), range(4)))
    guard.cli("rm", *made)
    guard.cli("volume", "rm", "at-once")


@pytest.mark.parametrize("words", [["--network", "container:nosuch"], ["--volumes-from", "nosuch"]])
def test_missing_object_is_no_missing_image(guard: Guard, words: list[str]) -> None:
    done = guard.cli("run", "--rm", *words, "busybox", "true", check=False)
    assert done.returncode == 125
    assert "nosuch" in done.stderr
    assert "Unable to find image" not in done.stderr


def test_inspect_of_a_name_with_slashes(guard: Guard) -> None:
    """The docker CLI asks for a container, then for an image, and for networks and volumes."""
    guard.cli("tag", "busybox", "some.registry:5000/team/box:1")
    found = guard.cli("inspect", "some.registry:5000/team/box:1").stdout
    assert "some.registry:5000/team/box:1" in json.loads(found)[0]["RepoTags"]
    guard.cli("rmi", "some.registry:5000/team/box:1")
    done = guard.cli("inspect", "some.registry:5000/team/box:1", check=False)
    assert done.returncode == 1
    assert "no such object" in done.stderr.lower()


def test_signals_in_every_spelling(guard: Guard) -> None:
    for name in ("sigquit", "SIGRTMAX-1", "RTMIN+3", "9"):
        full = guard.cli("create", "--stop-signal", name, "busybox", "sleep", "99").stdout.strip()
        guard.cli("start", full)
        guard.cli("kill", "-s", name, full)
        guard.cli("rm", "-f", full)


def test_plugins_are_refused_for_what_they_are(guard: Guard) -> None:
    words = ["plugin", "install", "--grant-all-permissions", "x/y"]
    assert "plugins run on the host" in guard.cli(*words, check=False).stderr
    assert guard.cli("plugin", "ls", "-q", "--filter", "enabled=true").stdout == ""


def test_services_need_a_swarm(guard: Guard) -> None:
    done = guard.cli("service", "ls", check=False)
    assert done.returncode == 1
    assert "swarm" in done.stderr


@contextlib.contextmanager
def standing_still(guard: Guard, full: str) -> Iterator[None]:
    """Hold a container still as a guard does while files are copied."""
    note = guard.ledger / "frozen.json"
    with open(guard.ledger / "start.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        note.write_text(json.dumps([full, full]))
        request(guard.engine.socket, "POST", f"/containers/{full}/pause")
        yield
        request(guard.engine.socket, "POST", f"/containers/{full}/unpause")
        note.unlink()


@pytest.mark.parametrize("words", [["exec", "-i", "calm", "cat"], ["attach", "calm"]])
def test_what_stands_still_for_a_copy_is_entered_afterwards(guard: Guard, words: list[str]) -> None:
    """The daemon would say that it is paused, which nobody has asked for."""
    full = guard.create(OpenStdin=True, StdinOnce=True, Cmd=["cat"]).json["Id"]
    guard.cli("rename", full, "calm")
    guard.cli("start", "calm")
    with ThreadPoolExecutor(1) as pool:
        with standing_still(guard, full):
            entering = pool.submit(guard.cli, *words, input="typed")
            until = time.monotonic() + 1
            while time.monotonic() < until:
                assert not entering.done(), entering.result().stderr
            assert guard.cli("inspect", "-f", "{{.State.Status}}", "calm").stdout == "running\n"
            shown = guard.cli("ps", "--format", "{{.State}} {{.Status}}", "-f", "name=calm").stdout
            assert shown.startswith("running Up")
            assert "Paused" not in shown
        assert entering.result().stdout == "typed"
    guard.cli("rm", "-f", "calm")


def test_pausing_what_stands_still_for_a_copy_lasts(guard: Guard) -> None:
    full = guard.create().json["Id"]
    guard.cli("start", full)
    with ThreadPoolExecutor(1) as pool:
        with standing_still(guard, full):
            pausing = pool.submit(guard.cli, "pause", full)
            until = time.monotonic() + 1
            while time.monotonic() < until:
                assert not pausing.done(), pausing.result().stderr
        pausing.result()
    assert guard.cli("inspect", "-f", "{{.State.Status}}", full).stdout == "paused\n"
    guard.cli("rm", "-f", full)
