"""Attacks that wait: what was checked when a container was made has changed when it is used."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import io
import json
import lzma
import os
import secrets
import signal
import socket
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from claudy.guard.ledger import Ledger
from claudy.guard.mounts import SUBPATH_API
from tests.engines.shell import wait_for
from tests.guard.conftest import AT_ONCE
from tests.guard.raw import exchange, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.guard.conftest import Guard, Host

PRIVATE = "hunter2 of the host"


@dataclass
class Trap:
    """A directory of the project that can be swapped for a link to one of the host's.

    Args:
        guard: its guard.
        path: the directory.
        outside: the host's, which holds `secret`.
    """

    guard: Guard
    path: Path
    outside: Path

    @property
    def bind(self) -> str:
        """What mounts it at /x."""
        return f"/workspace/{self.path.name}:/x"

    def create(self, **host_config: Any) -> str:
        """Create a container of it and return its id."""
        command = host_config.pop("Cmd", ["sleep", "1000"])
        made = self.guard.create({"Binds": [self.bind], **host_config}, Cmd=command)
        assert made.status == 201, made.body
        return str(made.json["Id"])

    def swap(self) -> None:
        """Put the link in its place."""
        self.path.rename(self.path.with_suffix(".was"))
        self.path.symlink_to(self.outside)

    def untouched(self) -> bool:
        """Whether the host's directory is as it was."""
        return [one.name for one in self.outside.iterdir()] == ["secret"]


@pytest.fixture
def trap(guard: Guard, tmp_path: Path) -> Trap:
    word = f"trap-{secrets.token_hex(3)}"
    (guard.project / word).mkdir()
    (guard.project / word / "mine").write_text("the project's")
    (tmp_path / "host").mkdir()
    (tmp_path / "host/secret").write_text(PRIVATE)
    return Trap(guard, guard.project / word, tmp_path / "host")


def archive(name: str) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    return held.getvalue()


@pytest.mark.parametrize("state", ["created", "running", "ended"])
@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT"])
@pytest.mark.usefixtures("untouched")
def test_copying_does_not_follow_a_swapped_source(trap: Trap, method: str, state: str) -> None:
    guard = trap.guard
    full = trap.create(Cmd=["sleep", "1000"] if state == "running" else ["true"])
    if state != "created":
        guard.cli("start", full)
    if state == "ended":
        guard.ask("POST", f"/containers/{full}/wait")
    trap.swap()
    where = "/x" if method == "PUT" else "/x/secret"
    body = archive("planted") if method == "PUT" else None
    answer = guard.ask(method, f"/containers/{full}/archive?path={where}", body)
    assert PRIVATE.encode() not in answer.body
    assert not (method == "HEAD" and answer.status == 200), answer.head
    assert trap.untouched()


@pytest.mark.parametrize("state", ["created", "running"])
def test_copying_works_where_nothing_was_swapped(trap: Trap, state: str) -> None:
    guard = trap.guard
    full = trap.create()
    if state == "running":
        guard.cli("start", full)
    (trap.outside / "file").write_text("copied")
    guard.cli("cp", str(trap.outside / "file"), f"{full}:/x/in")
    assert (trap.path / "in").read_text() == "copied"
    guard.cli("cp", str(trap.outside / "file"), f"{full}:/elsewhere")
    guard.cli("cp", f"{full}:/x/mine", str(trap.outside / "out"))
    assert (trap.outside / "out").read_text() == "the project's"
    states = {
        entry["State"] for entry in request(guard.engine.socket, "GET", "/containers/json").json
    }
    assert states == {"running"}


@pytest.mark.usefixtures("untouched")
def test_volumes_from_another_are_not_mounted_by_a_restart(trap: Trap) -> None:
    guard = trap.guard
    first = trap.create()
    policy = {"Name": "on-failure", "MaximumRetryCount": 2}
    made = guard.create(
        {"VolumesFrom": [first], "RestartPolicy": policy},
        Cmd=["sh", "-c", "ls /x; cat /x/*; sleep 1; exit 1"],
    )
    second = str(made.json["Id"])
    guard.ask("POST", f"/containers/{second}/update", {"RestartPolicy": policy})
    guard.cli("start", second)
    trap.swap()

    def over() -> bool:
        found = request(guard.engine.socket, "GET", f"/containers/{second}/json").json
        tried = found["RestartCount"] >= found["HostConfig"]["RestartPolicy"]["MaximumRetryCount"]
        given_up = tried or found["State"]["Error"]  # newer daemons: the path leads outside
        return bool(given_up) and found["State"]["Status"] == "exited"

    wait_for(over, 30, "the last try")
    seen = guard.engine.cli("logs", second)
    assert PRIVATE not in seen.stdout + seen.stderr
    assert "the project's" in seen.stdout


@pytest.mark.parametrize("how", ["start", "restart", "copy"])
@pytest.mark.usefixtures("untouched")
def test_what_an_older_engine_has_mounted_is_looked_at(trap: Trap, how: str) -> None:
    """The engine has been upgraded since: it now is safe by itself, this container is not."""
    guard = trap.guard
    made = request(
        guard.engine.socket, "POST", "/containers/create",
        {"Image": "busybox", "Cmd": ["cat", "/x/secret"],
         "HostConfig": {"Binds": [f"{trap.path}:/x"]}},
    )  # fmt: skip
    full = made.json["Id"]
    Ledger(str(guard.ledger), guard.name).add("containers", full)
    trap.swap()
    target = f"/containers/{full}/{how}" if how != "copy" else ""
    if target:
        answer = guard.ask("POST", target)
    else:
        answer = guard.ask("GET", f"/containers/{full}/archive?path=/x/secret")
    assert answer.status == 403, answer.body
    assert PRIVATE not in guard.engine.cli("logs", full).stdout


def is_old(guard: Guard) -> bool:
    """Whether the daemon follows links in bind sources."""
    return tuple(map(int, guard.engine.api_version.split("."))) < SUBPATH_API


def is_paused(guard: Guard, full: str) -> bool:
    found = request(guard.engine.socket, "GET", f"/containers/{full}/json").json
    return bool(found["State"]["Paused"])


WAKES: dict[str, tuple[str, str, object]] = {
    "kill": ("POST", "/containers/{c}/kill?signal=USR1", None),
    "stop": ("POST", "/containers/{c}/stop?t=0", None),
    "restart": ("POST", "/containers/{c}/restart?t=0", None),
    "unpause": ("POST", "/containers/{c}/unpause", None),
    "remove": ("DELETE", "/containers/{c}?force=1", None),
    "commit": ("POST", "/commit?container={c}", {}),
}


@pytest.mark.parametrize("leaves", [False, True], ids=["", "and leaves"])
@pytest.mark.parametrize("how", WAKES)
def test_nobody_wakes_what_stands_still(trap: Trap, how: str, leaves: bool) -> None:
    """A signal wakes a paused container; and what was begun before goes on without its client."""
    guard = trap.guard
    if not is_old(guard):
        answer = guard.ask("POST", f"/containers/{trap.create()}/start")
        assert answer.status == 204  # nothing stands still here
        return
    writer = trap.create(Cmd=["sh", "-c", "trap : USR1; while :; do sleep 1; done"])
    guard.cli("start", writer)
    method, target, body = WAKES[how]
    with open(guard.ledger / "start.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as around a start
        request(guard.engine.socket, "POST", f"/containers/{writer}/pause")

        def ask() -> None:
            if not leaves:
                guard.ask(method, target.format(c=writer), body)
                return
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(guard.socket))
                content = b"" if body is None else b"{}"
                client.sendall(http(method, target.format(c=writer), content))

        asking = threading.Thread(target=ask)
        asking.start()
        until = time.monotonic() + 1
        while time.monotonic() < until:
            assert is_paused(guard, writer)
    asking.join()
    request(guard.engine.socket, "POST", f"/containers/{writer}/unpause")


def http(method: str, target: str, body: bytes) -> bytes:
    fields = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{method} {target} HTTP/1.1\r\n{fields}\r\n".encode() + body


def test_a_guard_that_comes_up_does_not_thaw_what_another_holds(trap: Trap) -> None:
    guard = trap.guard
    if not is_old(guard):
        assert guard.ask("POST", f"/containers/{trap.create()}/start").status == 204
        return
    held = trap.create()
    guard.cli("start", held)
    note = guard.ledger / "frozen.json"
    with open(guard.ledger / "start.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        note.write_text(json.dumps([held, held]))
        request(guard.engine.socket, "POST", f"/containers/{held}/pause")
        worker = int(Path(f"/proc/{guard.pid}/task/{guard.pid}/children").read_text())
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: guard.ask("GET", "/containers/json").status == 200, 30, "the next worker")
        assert is_paused(guard, held)
    # Whoever mounts next lets go what a guard that died has left.
    guard.cli("start", trap.create())
    assert not is_paused(guard, held)
    assert not note.exists()


def test_what_is_not_started_is_removed_if_it_was_to_be(trap: Trap) -> None:
    """As the daemon does; `docker run --rm` waits for that."""
    full = trap.create(AutoRemove=True)
    trap.swap()
    assert trap.guard.ask("POST", f"/containers/{full}/start").status >= 400
    path = f"/containers/{full}/json"
    wait_for(lambda: request(trap.guard.engine.socket, "GET", path).status == 404, 20, "removal")
    assert trap.untouched()


@pytest.mark.usefixtures("untouched")
def test_a_copy_does_not_mount_over_the_host(guard: Guard, tmp_path: Path) -> None:
    """Daemons before 24.0 mount volumes for a copy where the host is; the container is running."""
    (tmp_path / "target").mkdir()
    (tmp_path / "target/mine").touch()
    volume = f"over-{secrets.token_hex(3)}"
    swap = (
        f"mkdir -p /x /y; ln -s {tmp_path} /y/l; while :; do mv /x /z; mv /y/l /x; mv /x /y/l;"
        " mv /z /x; done"
    )
    made = guard.create({"Binds": [f"{volume}:/x/target"]}, Cmd=["sh", "-c", swap])
    full = made.json["Id"]
    guard.cli("start", full)
    try:
        for _ in range(40):
            guard.ask("GET", f"/containers/{full}/archive?path=/etc/hostname")
            mounted = Path("/proc/self/mounts").read_text()
            assert str(tmp_path) not in mounted
            assert (tmp_path / "target/mine").exists()
    finally:
        guard.ask("DELETE", f"/containers/{full}?force=1&v=1")


@pytest.mark.parametrize("target", ["/etc/hosts", "/etc/resolv.conf", "//etc/./hostname"])
@pytest.mark.usefixtures("untouched")
def test_network_files_are_not_handed_on_by_their_path(trap: Trap, target: str) -> None:
    """Who joins the network gets the file that is at that path when it starts."""
    guard = trap.guard
    source = trap.path / "mine"
    made = guard.create({"Binds": [f"/workspace/{trap.path.name}/mine:{target}"]})
    assert made.status == 403, made.body
    # As an older guard would have made it.
    host_config = {"Binds": [f"{source}:{target}"]}
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": host_config}
    sock = guard.engine.socket
    first = request(sock, "POST", "/containers/create", body).json["Id"]
    Ledger(str(guard.ledger), guard.name).add("containers", first)
    assert request(sock, "POST", f"/containers/{first}/start").status == 204
    command = ["cat", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname"]
    second = guard.create({"NetworkMode": f"container:{first}"}, Cmd=command).json["Id"]
    source.unlink()
    source.symlink_to(trap.outside / "secret")
    answer = guard.ask("POST", f"/containers/{second}/start")
    assert answer.status == 403, answer.body
    answer = guard.ask("GET", f"/containers/{second}/archive?path={target}")
    assert PRIVATE.encode() not in answer.body
    assert PRIVATE not in guard.engine.cli("logs", second).stdout


@pytest.mark.usefixtures("untouched")
def test_network_files_of_who_is_gone(guard: Guard, word: str) -> None:
    """The path stays, and what is at it by then may be somebody else's volume."""
    sock = guard.engine.socket
    volume = f"{word}-hosts"
    # As an older guard would have made it, with a file in the volume.
    fill = {"Image": "busybox", "Cmd": ["touch", "/v/f"], "HostConfig": {"Binds": [f"{volume}:/v"]}}
    body = {
        "Image": "busybox",
        "Cmd": ["sleep", "1000"],
        "HostConfig": {"Binds": [f"{volume}:/etc/hosts"]},
    }
    filled = request(sock, "POST", "/containers/create", fill).json["Id"]
    guard.engine.cli("start", "-a", filled)
    path = json.loads(guard.engine.cli("volume", "inspect", volume).stdout)[0]["Mountpoint"]
    body["HostConfig"] = {"Binds": [f"{path}/f:/etc/hosts"]}
    first = request(sock, "POST", "/containers/create", body).json["Id"]
    request(sock, "POST", f"/containers/{first}/start")
    joins = {
        "Image": "busybox",
        "Cmd": ["sleep", "1000"],
        "HostConfig": {"NetworkMode": f"container:{first}"},
    }
    second = request(sock, "POST", "/containers/create", joins).json["Id"]
    Ledger(str(guard.ledger), guard.name).add("containers", second)
    assert request(sock, "POST", f"/containers/{second}/start").status == 204
    guard.engine.cli("rm", "-f", first, filled)
    for method, target in (
        ("GET", "archive?path=/etc/hosts"),
        ("GET", "export"),
        ("POST", "restart?t=0"),
    ):
        answer = guard.ask(method, f"/containers/{second}/{target}")
        assert answer.status == 403, (target, answer.body[:200])
    guard.engine.cli("rm", "-f", second)
    guard.engine.cli("volume", "rm", volume)


def test_a_network_is_joined_as_ever(guard: Guard) -> None:
    first = guard.cli("run", "-d", *AT_ONCE, "busybox", "sleep", "1000").stdout.strip()
    done = guard.cli("run", "--rm", "--network", f"container:{first}", "busybox", "hostname")
    assert done.stdout.strip() == first[:12]
    guard.cli("rm", "-f", first)


def test_a_volume_that_somebody_has_is_not_copied_into(guard: Guard) -> None:
    """The daemon copies as root, and follows the links that are put into the volume meanwhile.

    Whoever has had it once can do that: a directory that is open outlives its container.
    """
    text = "FROM busybox\nRUN mkdir /data && echo of the image > /data/file\n"
    image, volume = f"copy-{secrets.token_hex(3)}", f"copied-{secrets.token_hex(3)}"
    guard.cli("build", "-t", image, "-", input=text)

    def listed(*words: str) -> str:
        return guard.cli("run", "--rm", *words, image, "ls", "/data").stdout

    assert listed("-v", f"{volume}1:/data") == "file\n"  # as ever: nobody else has it
    mount = f"type=volume,source={volume}2,target=/data"
    assert listed("--mount", mount) == "file\n"
    (guard.project / "empty").mkdir(exist_ok=True)
    ways = {
        3: ("-v", f"{volume}3:/data"),
        4: ("-v", f"{volume}4:/data:rw"),
        5: ("--mount", mount.replace("2,", "5,")),
    }
    for number, words in ways.items():
        holder = guard.cli("create", "-v", f"{volume}{number}:/v", "busybox").stdout.strip()
        if number == 4:  # what is copied in may be a link
            guard.cli("cp", "empty/.", f"{holder}:/v")
        else:
            guard.cli("start", holder)
        assert listed(*words) == ""
        guard.cli("rm", "-f", holder)
        assert listed(*words) == ""
    guard.cli("volume", "create", f"{volume}6")
    assert listed("-v", f"{volume}6:/data") == "file\n"
    guard.cli("rmi", image)


@contextlib.contextmanager
def copying(guard: Guard) -> Iterator[None]:
    """Hold up whoever has to do with volumes, as a create does that copies a lot into one."""
    number = os.open(guard.ledger / "copy.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


@pytest.mark.usefixtures("untouched")
def test_a_volume_that_goes_before_a_start_is_forgotten(guard: Guard) -> None:
    """Otherwise the next volume of that name, the host's, is the project's."""
    volume = f"next-{secrets.token_hex(3)}"
    full = guard.create({"Binds": [f"{volume}:/x"]}).json["Id"]
    with ThreadPoolExecutor(1) as pool:
        with copying(guard):
            started = pool.submit(guard.ask, "POST", f"/containers/{full}/start")
            time.sleep(0.5)
            assert guard.ask("DELETE", f"/containers/{full}").status == 204
            assert guard.ask("DELETE", f"/volumes/{volume}").status == 204
        assert started.result().status == 404
    guard.engine.cli("volume", "create", volume)
    try:
        assert guard.ask("GET", f"/volumes/{volume}").status == 404
        assert guard.create({"Binds": [f"{volume}:/x"]}).status == 403
        assert guard.ask("DELETE", f"/volumes/{volume}").status == 404
    finally:
        guard.engine.cli("volume", "rm", volume, check=False)


@pytest.mark.usefixtures("untouched")
def test_a_volume_that_goes_before_a_create_is_not_the_hosts(guard: Guard) -> None:
    volume = f"next-{secrets.token_hex(3)}"
    assert guard.ask("POST", "/volumes/create", {"Name": volume}).status == 201
    with ThreadPoolExecutor(1) as pool, copying(guard):
        made = pool.submit(guard.create, {"Binds": [f"{volume}:/x"]})
        time.sleep(0.5)
        assert guard.ask("DELETE", f"/volumes/{volume}").status == 204
        guard.engine.cli("volume", "create", volume)
    try:
        assert made.result().status == 403
    finally:
        guard.engine.cli("volume", "rm", volume, check=False)


# -- networks --------------------------------------------------------------------------------


def networks_of(guard: Guard, full: str) -> set[str]:
    found = request(guard.engine.socket, "GET", f"/containers/{full}/json").json
    return {net["NetworkID"] for net in found["NetworkSettings"]["Networks"].values()}


@pytest.mark.parametrize("how", ["mode", "endpoint", "connect"])
@pytest.mark.parametrize("name", ["prefix", "same", "later"])
def test_a_network_that_is_gone_is_not_another(
    guard: Guard, untouched: Host, name: str, how: str
) -> None:
    """The name that is left means a foreign network: by its id's prefix, or by its name."""
    asked = {
        "prefix": untouched.network[:3],
        "same": untouched.network_name,
        "later": f"later-{secrets.token_hex(3)}",
    }[name]
    made = guard.ask("POST", "/networks/create", {"Name": asked})
    if made.status >= 400:
        assert name == "same"  # newer daemons have a name once
        return
    own = made.json["Id"]
    if how == "mode":
        answer = guard.create({"NetworkMode": own if name == "same" else asked})
    elif how == "endpoint":
        answer = guard.create({}, NetworkingConfig={"EndpointsConfig": {own: {}}})
    else:
        answer = guard.create({"NetworkMode": "none"})
        guard.ask("POST", "/networks/none/disconnect", {"Container": answer.json["Id"]})
        guard.ask("POST", f"/networks/{own}/connect", {"Container": answer.json["Id"]})
    assert answer.status == 201, answer.body
    full = answer.json["Id"]
    assert guard.ask("DELETE", f"/networks/{own}").status == 204
    foreign = {untouched.network}
    if name == "later":
        label = {"claudy.test": "later"}
        other = request(
            guard.engine.socket, "POST", "/networks/create", {"Name": asked, "Labels": label}
        )
        foreign = {other.json["Id"]}
    try:
        guard.ask("POST", f"/containers/{full}/start")
        assert not networks_of(guard, full) & foreign
    finally:
        guard.ask("DELETE", f"/containers/{full}?force=1")
        if name == "later":
            request(guard.engine.socket, "DELETE", f"/networks/{foreign.pop()}")


def test_own_networks_work_by_name_and_id(guard: Guard) -> None:
    name = f"net-{secrets.token_hex(3)}"
    guard.cli("network", "create", name)
    full = guard.ask("GET", f"/networks/{name}").json["Id"]
    for number, said in enumerate((name, full, full[:12])):
        guard.cli(
            "run", "-d", "--name", f"{name}-{number}", "--network", said, "busybox", "sleep", "99"
        )
    for number in range(3):
        guard.cli("exec", f"{name}-0", "ping", "-c1", f"{name}-{number}")
    alone = guard.cli("run", "-d", "busybox", "sleep", "99").stdout.strip()
    guard.cli("network", "connect", "--alias", "found", name, alone)
    guard.cli("exec", f"{name}-0", "ping", "-c1", "found")
    guard.cli("restart", "-t", "0", f"{name}-1")
    guard.cli("exec", f"{name}-0", "ping", "-c1", f"{name}-1")
    guard.cli("rm", "-f", alone, *(f"{name}-{number}" for number in range(3)))
    guard.cli("network", "rm", name)


# -- images ----------------------------------------------------------------------------------


@pytest.fixture
def nameless(guard: Guard) -> str:
    """Return an image of the host without a name."""
    made = request(
        guard.engine.socket, "POST", "/images/create?fromSrc=-", archive(secrets.token_hex(4)),
        {"Content-Type": "application/x-tar"},
    )  # fmt: skip
    return made.body.decode().split('"status":"')[-1].partition('"')[0]


@pytest.mark.parametrize("force", ["0", "1"])
@pytest.mark.usefixtures("untouched")
def test_a_nameless_image_does_not_go_with_the_tag_it_was_given(
    guard: Guard, nameless: str, force: str
) -> None:
    tag = f"given-{secrets.token_hex(3)}"
    try:
        assert guard.ask("POST", f"/images/{nameless}/tag?repo={tag}").status == 201
        answer = guard.ask("DELETE", f"/images/{tag}:latest?force={force}")
        assert answer.status == 403, answer.body
        assert request(guard.engine.socket, "GET", f"/images/{nameless}/json").status == 200
        # A second name of the project's own may go again.
        assert guard.ask("POST", f"/images/{nameless}/tag?repo={tag}&tag=more").status == 201
        assert guard.ask("DELETE", f"/images/{tag}:more").status == 200
    finally:
        request(guard.engine.socket, "DELETE", f"/images/{nameless}?force=1")


@pytest.mark.parametrize(
    "name", ["hal9000:0123456789abcdef", "claudy-guard:x", "claudy-user:x", "claudy-base:trixie",
             "docker.io/library/hal9000:x", "index.docker.io/claudy-guard:x",
             "docker.io/docker.io/hal9000:x", "docker.io/index.docker.io/library/hal9000:x"],
)  # fmt: skip
@pytest.mark.parametrize("how", ["tag", "commit", "import", "build"])
@pytest.mark.usefixtures("untouched")
def test_images_that_claudy_would_run_are_not_made_here(guard: Guard, name: str, how: str) -> None:
    repo, _, tag = name.rpartition(":")
    if how == "tag":
        answer = guard.ask("POST", f"/images/busybox/tag?repo={quote(repo)}&tag={tag}")
    elif how == "commit":
        full = guard.create().json["Id"]
        answer = guard.ask("POST", f"/commit?container={full}&repo={quote(repo)}&tag={tag}", {})
    elif how == "import":
        target = f"/images/create?fromSrc=-&repo={quote(repo)}&tag={tag}"
        answer = guard.ask("POST", target, archive("x"))
    else:
        held = io.BytesIO()
        text = b"FROM busybox\nRUN true\n"
        with tarfile.open(fileobj=held, mode="w") as tar:
            about = tarfile.TarInfo("Dockerfile")
            about.size = len(text)
            tar.addfile(about, io.BytesIO(text))
        answer = guard.ask("POST", f"/build?t={quote(name)}", held.getvalue())
    refused = answer.status in {400, 403} or b"claudy's own" in answer.body
    assert refused, answer.body
    short = name.rpartition("/")[2]
    assert request(guard.engine.socket, "GET", f"/images/{short}/json").status == 404


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("how", ["gzip", "xz", "xz in bytes", "gzip twice", "xz in gzip"])
def test_compressed_archive_runs_nothing(guard: Guard, how: str) -> None:
    """CVE-2026-41567: the daemon would run what the container calls unpigz or xz, as root.

    An engine that is mended does not; it is enough that none is asked to.
    """
    container = str(guard.create().json["Id"])
    target = f"/containers/{container}/archive?path=/tmp"
    packs: dict[str, list[Callable[[bytes], bytes]]] = {
        "gzip": [gzip.compress],
        "gzip twice": [gzip.compress, gzip.compress],
        "xz in gzip": [lzma.compress, gzip.compress],
    }
    data = archive("inside")
    for pack in packs.get(how, [lzma.compress]):
        data = pack(data)
    if how == "xz in bytes":
        pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in data)
        answer = exchange(
            guard.socket,
            f"PUT {target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
            + pieces
            + b"0\r\n\r\n",
        )
    else:
        answer = request(guard.socket, "PUT", target, data)
    there = request(guard.socket, "HEAD", f"/containers/{container}/archive?path=/tmp/inside")
    if how == "gzip":
        assert (answer.status, there.status) == (200, 200), answer.body
    else:
        assert (answer.status, there.status) == (403, 404), answer.body
        assert " -d before docker cp" in answer.message
    guard.cli("rm", "-f", container)


def test_broken_gzip(guard: Guard) -> None:
    container = str(guard.create().json["Id"])
    data = gzip.compress(archive("inside"))[:-9]
    target = f"/containers/{container}/archive?path=/tmp"
    answer = request(guard.socket, "PUT", target, data)
    assert answer.status == 400, answer.body
    guard.cli("rm", "-f", container)
