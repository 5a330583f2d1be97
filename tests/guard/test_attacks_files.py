"""Attacks on whatever goes through a container's files: the daemon does so as root, by names."""

from __future__ import annotations

import io
import json
import shlex
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.engines.shell import wait_for
from tests.guard.raw import request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.guard.conftest import Guard

NAMES = 200
TRIES = {"cp": 15, "export": 2, "commit": 3, "turn": 30}
MINE = b"mine\n"
FILES = f"for i in $(seq {NAMES}); do "
# What is there is a directory of plain files at one moment, and something else at the next.
SWAP = (
    "exec perl -e '$n = (`uname -m` =~ /x86/) ? 316 : 276; ($a, $b, $t) = @ARGV; "
    "while (1) { syscall($n, -100, $a, -100, $b, 2); select(undef, undef, undef, $t) }'"
)
MAKE = f"mkdir /d /e; {FILES} echo mine > /d/$i; mknod /e/$i c 1 5; done"
# Hands an open directory on, by a socket in the network that two containers have together.
SOCKET = (
    "use Socket; $| = 1; $old = `uname -m` =~ /x86/; socket(S, AF_UNIX, SOCK_STREAM, 0);"
    '$name = pack_sockaddr_un("\\0gift"); $data = "x"; $iov = pack("PQ", $data, 1);'
    'sub message { pack("QLx4PQPQlx4", 0, 0, $iov, 1, $_[0], 24, 0) }'
)
GIVE = (
    f"exec perl -e '{SOCKET}"
    'opendir(D, "/"); ($fd) = grep { (readlink("/proc/self/fd/$_") || "") eq "/" } 0 .. 20;'
    '$gift = pack("Qllix4", 20, 1, 1, $fd); bind(S, $name); listen(S, 1); print "ready\\n";'
    "accept(C, S); $m = message($gift); syscall($old ? 46 : 211, fileno(C), $m, 0); sleep 1000'"
)
TAKE = (
    f"exec perl -e '{SOCKET}"
    '$gift = "\\0" x 24; connect(S, $name); $m = message($gift);'
    'syscall($old ? 47 : 212, fileno(S), $m, 0); $fd = unpack("x16i", $gift);'
    "syscall($old ? 81 : 50, $fd) and die; exec @ARGV' sh -c "
)
# To copy, the daemon makes a directory in the container's root, puts the host's root there, and
# takes it away by the directory's name. Which means, at some moments, the volume /v instead, and
# the host's root is at /l.
TURN = (
    'exec perl -e \'$| = 1; $old = `uname -m` =~ /x86/; chdir "/"; symlink "v", ($l = "l");'
    '$root = "/"; $many = 9; $n = 0; $n++ while $n < $many and fork; srand $$;'
    "$fd = syscall($old ? 294 : 26, 0); syscall($old ? 254 : 27, $fd, $root, 256);"
    'open W, "<&=", $fd; print "ready\n" if $n == $many;'
    "while (1) { next unless sysread(W, $_, 4096) and /([.]pivot_root[0-9]+)/; $p = $1;"
    "if ($n < $many) {"
    "for (1 .. rand 8000) {} syscall($old ? 316 : 276, -100, $p, -100, $l, 2); next }"
    "select undef, undef, undef, 0.1; if (-l $p) { rmdir $l; rename $p, $l }"
    'unless (-l $l) { rmdir $l; symlink "v", $l } rmdir $p }\''
)
DEVICES = f"{MAKE}; echo ready; {SWAP} /d /e 0.0001"


def started(guard: Guard, script: str, **host_config: Any) -> str:
    made = guard.create(host_config, Image="debian:trixie-slim", Cmd=["sh", "-c", script])
    full = str(made.json["Id"])
    assert guard.ask("POST", f"/containers/{full}/start").status == 204
    logs = f"/containers/{full}/logs?stdout=1"
    wait_for(lambda: b"ready" in guard.ask("GET", logs).content, 30, "the container to be ready")
    return full


def contents(data: bytes) -> Iterator[bytes]:
    """Yield the contents of the plain files of an archive, as far as it goes."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as found:
            for member in found:
                if (
                    member.isreg()
                    and member.name.startswith(("d/", "e/"))
                    and ".wh." not in member.name
                ):
                    file = found.extractfile(member)
                    yield file.read() if file else b""
    except (tarfile.TarError, EOFError):
        return


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("way", ["cp", "export"])
def test_devices_are_not_read(guard: Guard, tmp_path: Path, way: str) -> None:
    """The daemon may open every device, as no container may."""
    full = started(guard, DEVICES)
    found: set[bytes] = set()
    for _ in range(TRIES[way]):
        if way == "cp":
            data = guard.ask("GET", f"/containers/{full}/archive?path=/d").content
        else:
            guard.cli("export", "-o", str(tmp_path / "out"), full, check=False)
            data = (tmp_path / "out").read_bytes()
        found |= set(contents(data))
    guard.cli("rm", "-f", full)
    assert found <= {MINE}


@pytest.mark.usefixtures("untouched")
def test_the_hosts_root_is_not_left_in_reach(guard: Guard, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the host\n")
    full = started(guard, TURN, Mounts=[{"Type": "volume", "Target": "/v"}])
    path = f"/containers/{full}/archive?path=/l{tmp_path}/secret"
    statuses = set()
    for _ in range(TRIES["turn"]):
        statuses.add(guard.ask("GET", path).status)
        time.sleep(0.15)  # until all is as before
    guard.cli("rm", "-fv", full)
    assert statuses == {404}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("who", ["itself", "who shares its processes", "who was handed its root"])
def test_links_are_not_committed(guard: Guard, tmp_path: Path, who: str) -> None:
    """The daemon reads a layer's files where they are on the host."""
    host = tmp_path / "host"
    host.mkdir()
    for number in range(1, NAMES + 1):
        (host / str(number)).write_text("host\n")

    def swapping(root: str) -> str:
        plain = f"mkdir {root}/d; {FILES} echo mine > {root}/d/$i; done"
        return f"{plain}; ln -s {host} {root}/e; echo ready; {SWAP} {root}/d {root}/e 0.0003"

    if who == "itself":
        full = started(guard, swapping(""))
        others = []
    elif who == "who was handed its root":
        full = started(guard, GIVE)
        near = TAKE + shlex.quote(swapping("."))
        others = [started(guard, near, NetworkMode=f"container:{full}")]
    else:
        full = started(guard, "echo ready; exec sleep 1000")
        near = swapping("/proc/1/root")
        others = [started(guard, near, PidMode=f"container:{full}")]
    read: set[bytes] = set()
    for _ in range(TRIES["commit"]):
        made = guard.ask("POST", f"/commit?container={full}&pause=0")
        if made.status != 201:
            continue
        image = quote(made.json["Id"])
        guard.cli("save", "-o", str(tmp_path / "out"), made.json["Id"])
        with tarfile.open(tmp_path / "out") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isreg() else None
                read |= set(contents(file.read())) if file else set()
        guard.ask("DELETE", f"/images/{image}")
    guard.cli("rm", "-f", full, *others)
    assert MINE in read or guard.engine.name == "containerd"
    assert read <= {MINE}


def test_nobody_else_stands_still(guard: Guard) -> None:
    """A copy holds up all to whom the container could have handed an open file; nobody feels more.

    Also by one that is gone.
    """
    wait = "echo ready; sleep 1000"
    full = started(guard, wait, Binds=["shared:/v"])
    near = started(guard, wait, Binds=["shared:/w"])
    between = started(guard, wait, NetworkMode=f"container:{near}", Binds=["third:/w"])
    third = started(guard, wait, Binds=["third:/w"])
    far = started(guard, wait, Binds=["other:/w"])
    guard.cli("rm", "-f", between)
    before = time.time()
    guard.cli("cp", f"{full}:/etc/hostname", str(guard.root / "out"))
    filters = quote(json.dumps({"event": ["pause"]}))
    said = request(
        guard.engine.socket,
        "GET",
        f"/events?since={before:.3f}&until={time.time() + 0.1:.3f}&filters={filters}",
    ).content.decode()
    paused = {json.loads(line)["Actor"]["ID"] for line in said.splitlines() if line.strip()}
    guard.cli("rm", "-f", full, near, third, far)
    guard.cli("volume", "rm", "shared", "third", "other")
    assert {full, near, third} <= paused
    assert far not in paused


def test_nothing_is_restarted_meanwhile(guard: Guard) -> None:
    """What is just ending when it is paused would run again, and not be paused then."""
    policy = {"Name": "on-failure", "MaximumRetryCount": 3}
    make = "head -c 300000000 /dev/zero > /big; echo ready; sleep 1000"
    full = started(guard, make, RestartPolicy=policy)
    path = f"/containers/{full}/json"
    seen = set()
    with ThreadPoolExecutor(1) as pool:
        copied = pool.submit(guard.cli, "cp", f"{full}:/big", str(guard.root / "out"))
        while not copied.done():
            found = request(guard.engine.socket, "GET", path).json
            if found["State"]["Paused"]:
                seen.add(found["HostConfig"]["RestartPolicy"]["Name"])
                shown = guard.ask("GET", path).json
                assert shown["HostConfig"]["RestartPolicy"] == policy
        copied.result()
    assert seen == {"no"}
    assert request(guard.engine.socket, "GET", path).json["HostConfig"]["RestartPolicy"] == policy
    guard.cli("rm", "-f", full)


def test_health_is_that_of_before(guard: Guard) -> None:
    """Pausing makes the daemon say unhealthy until the next look, which clients would believe."""
    check = {"Test": ["CMD", "true"], "Interval": 3_000_000_000}
    made = guard.create(Healthcheck=check)
    full = str(made.json["Id"])
    guard.ask("POST", f"/containers/{full}/start")

    def health() -> str:
        state = guard.ask("GET", f"/containers/{full}/json").json["State"]
        return str(state["Health"]["Status"])

    wait_for(lambda: health() == "healthy", 30, "health")
    guard.cli("cp", f"{full}:/etc/hostname", str(guard.root / "out"))
    listed = guard.cli("ps", "--format", "{{.Status}}", "-f", f"id={full}").stdout
    assert health() == "healthy"
    assert listed.endswith("(healthy)\n")
    guard.cli("rm", "-f", full)
