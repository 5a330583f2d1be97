"""Attacks on removals: whoever was handed a directory of what is removed puts links into it.

Engines built with an older Go follow them (golang/go#52745).
"""

from __future__ import annotations

import os
import shlex
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.engines.shell import wait_for
from tests.guard.raw import request
from tests.guard.test_attacks_files import GIVE, TAKE, started

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.guard.conftest import Guard

TRIES = 4
PAIRS = {"/": 60, "/v": 20}  # what won most often where nobody stood still
FILES = 20
# A directory at one moment, a link to the host's the next; what was removed is left out.
SWAP = (
    "exec perl -e '$| = 1; $n = `uname -m` =~ /x86/ ? 316 : 276; fork or last for 1 .. 2;"
    'print "ready\\n"; while (1) { syscall($n, -100, "d$_", -100, "e$_", 2) for 1 .. PAIRS }\''
)


def swapping(host: Path, pairs: int) -> str:
    """Return a script that swaps directories for links to one of the host, where it is."""
    make = f"for i in $(seq {pairs}); do mkdir d$i; echo mine >d$i/file; ln -s {host} e$i; done"
    return f"{make}; {SWAP.replace('PAIRS', str(pairs))}"


def remove(guard: Guard, full: str) -> None:
    guard.cli("rm", "-f", full, check=False)


def remove_with_volumes(guard: Guard, full: str) -> None:
    guard.cli("rm", "-fv", full, check=False)


def remove_volume(guard: Guard, full: str) -> None:
    guard.cli("rm", "-f", full)
    guard.cli("volume", "rm", "gift", check=False)


def prune(guard: Guard, full: str) -> None:
    guard.cli("kill", full)
    guard.cli("wait", full)
    guard.cli("container", "prune", "-f")


def prune_volumes(guard: Guard, full: str) -> None:
    guard.cli("rm", "-f", full)
    guard.ask("POST", "/volumes/prune?filters=" + quote('{"all":["1"]}'))


def end(guard: Guard, full: str) -> None:
    guard.cli("kill", full)


ANONYMOUS = {"Mounts": [{"Type": "volume", "Target": "/v"}]}
NAMED = {"Binds": ["gift:/v"]}
WAYS: dict[str, tuple[Callable[[Guard, str], None], dict[str, Any], str]] = {
    "rm": (remove, {}, "/"),
    "rm -v": (remove_with_volumes, ANONYMOUS, "/v"),
    "volume rm": (remove_volume, NAMED, "/v"),
    "container prune": (prune, {}, "/"),
    "volume prune": (prune_volumes, NAMED, "/v"),
    "--rm": (end, {"AutoRemove": True}, "/"),
    "--rm, its volume": (end, {"AutoRemove": True, **ANONYMOUS}, "/v"),
}


def follows(guard: Guard) -> bool:
    """Whether the engine follows links where it removes directories."""
    return str(request(guard.engine.socket, "GET", "/version").json["GoVersion"]) < "go1.24"


def is_over(guard: Guard, full: str) -> bool:
    """Whether a container is gone, or can't be removed, as somebody keeps adding to it."""
    found = request(guard.engine.socket, "GET", f"/containers/{full}/json")
    return found.status == 404 or found.json["State"]["Status"] == "dead"


def handed_on(guard: Guard, host: Path, place: str, config: dict[str, Any]) -> tuple[str, str]:
    """Start a container, and one that was handed a directory of it and puts links there."""
    for number in range(FILES):
        (host / str(number)).touch()
    full = started(guard, GIVE.replace('"/"', f'"{place}"'), **config)
    swapper = TAKE + shlex.quote(swapping(host, PAIRS[place]))
    return full, started(guard, swapper, NetworkMode=f"container:{full}")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("way", WAYS)
def test_links_are_not_followed(guard: Guard, tmp_path: Path, way: str) -> None:
    act, config, place = WAYS[way]
    host = tmp_path / "host"
    host.mkdir()
    left = set()
    for _ in range(TRIES):
        full, near = handed_on(guard, host, place, config)
        act(guard, full)
        wait_for(partial(is_over, guard, full), 30, "its end")
        left.add(len(list(host.iterdir())))
        guard.cli("rm", "-f", near)
        # What somebody adds to can't be removed; now it can.
        guard.cli("rm", "-fv", full, check=False)
        guard.ask("DELETE", "/volumes/gift")
    assert left == {FILES}


@pytest.mark.usefixtures("untouched")
def test_who_was_paused_does_not_go_on_meanwhile(guard: Guard, tmp_path: Path) -> None:
    host = tmp_path / "host"
    host.mkdir()
    full, near = handed_on(guard, host, "/v", NAMED)
    many = (
        "for i in $(seq 200); do mkdir -p /v/many/$i && (cd /v/many/$i && touch $(seq 300)); done"
    )
    guard.cli("exec", full, "sh", "-c", many)
    guard.cli("rm", "-f", full)
    guard.cli("pause", near)
    order = []

    def ask(method: str, path: str) -> None:
        guard.ask(method, path)
        order.append(method)

    with ThreadPoolExecutor(2) as pool:
        pool.submit(ask, "DELETE", "/volumes/gift")
        time.sleep(0.1)  # it takes longer than that
        pool.submit(ask, "POST", f"/containers/{near}/unpause")
    assert order[0] == "DELETE" or not follows(guard)
    assert len(list(host.iterdir())) == FILES
    guard.cli("rm", "-f", near)
    guard.ask("DELETE", "/volumes/gift")


def test_what_is_removed_when_it_ends(guard: Guard) -> None:
    """As the daemon does it, also where the guard does it instead."""
    volume = {"Mounts": [{"Type": "volume", "Target": "/v"}]}
    full = started(guard, "echo ready; sleep 1000", AutoRemove=True, **volume)
    path = f"/containers/{full}/json"
    found = guard.ask("GET", path).json
    assert found["HostConfig"]["AutoRemove"] is True
    other = guard.ask("POST", f"/containers/{full}/update", {"RestartPolicy": {"Name": "always"}})
    assert (other.status, "AutoRemove is enabled" in other.message) == (409, True)
    name = found["Mounts"][0]["Name"]
    guard.cli("restart", "-t", "0", full)
    time.sleep(0.5)  # for whoever takes the end of a moment ago for the end
    assert guard.ask("GET", path).json["State"]["Running"] is True
    refused = guard.cli("rm", full, check=False)
    assert "running" in refused.stderr
    assert guard.ask("GET", path).json["State"]["Running"] is True
    with ThreadPoolExecutor(1) as pool:
        gone = pool.submit(guard.ask, "POST", f"/containers/{full}/wait?condition=removed")
        guard.cli("stop", "-t", "0", full)
        assert gone.result(30).json["StatusCode"] == 137
    assert guard.ask("GET", path).status == 404
    assert request(guard.engine.socket, "GET", f"/volumes/{name}").status == 404


def test_paused_ones_are_removed_by_force(guard: Guard) -> None:
    full = started(guard, "echo ready; exec sleep 1000")
    near = started(guard, "echo ready; exec sleep 1000", PidMode=f"container:{full}")
    guard.cli("pause", full)
    assert "running" not in guard.cli("rm", "-f", full).stderr
    assert guard.ask("GET", f"/containers/{full}/json").status == 404
    guard.cli("rm", "-f", near)


def test_what_can_not_be_started_is_removed(guard: Guard) -> None:
    made = guard.create({"AutoRemove": True}, Cmd=["/missing"])
    full = str(made.json["Id"])
    assert guard.ask("POST", f"/containers/{full}/start").status in {400, 500}
    assert request(guard.engine.socket, "GET", f"/containers/{full}/json").status == 404
    both = guard.create({"AutoRemove": True, "RestartPolicy": {"Name": "on-failure"}})
    assert both.status in {400, 409}, both


def test_what_ends_without_a_guard_is_removed_by_the_next(guard: Guard) -> None:
    full = started(guard, "echo ready; sleep 1000", AutoRemove=True)
    never = str(guard.create({"AutoRemove": True}).json["Id"])
    path = f"/containers/{full}/json"
    guard.stop()
    request(guard.engine.socket, "POST", f"/containers/{full}/kill")
    guard.start()
    gone = partial(request, guard.engine.socket, "GET", path)
    wait_for(lambda: gone().status == 404, 30, "the removal")
    assert guard.ask("GET", f"/containers/{never}/json").status == 200
    guard.cli("rm", never)


def test_nobody_goes_on_before_the_volumes_are_removed(guard: Guard) -> None:
    """The guard has died; the daemon removes the container first, its volumes afterwards."""
    many = "cd /v; for i in $(seq 40); do mkdir $i; (cd $i; seq 1000 | xargs touch); done"
    full = started(guard, f"{many}; echo ready; sleep 1000", **ANONYMOUS)
    near = guard.create({"NetworkMode": f"container:{full}"}).json["Id"]
    guard.cli("start", near)
    ask = partial(request, guard.engine.socket, "GET")
    volume = Path(ask(f"/containers/{full}/json").json["Mounts"][0]["Source"])
    still = ask("/version").json["GoVersion"] < "go1.24"
    with ThreadPoolExecutor(1) as pool:
        removing = pool.submit(guard.ask, "DELETE", f"/containers/{full}?force=1&v=1")
        wait_for(lambda: ask(f"/containers/{full}/json").status == 404, 30, "the removal")
        worker = int(Path(f"/proc/{guard.pid}/task/{guard.pid}/children").read_text())
        os.kill(worker, signal.SIGKILL)
        while volume.exists():
            paused = ask(f"/containers/{near}/json").json["State"]["Paused"]
            assert paused is still or not volume.exists()
        removing.result()
    running = partial(ask, f"/containers/{near}/json")
    wait_for(lambda: not running().json["State"]["Paused"], 30, "the next worker")
    guard.cli("rm", "-f", near)


def test_what_waits_to_be_restarted_is_removed(guard: Guard) -> None:
    """It can't be paused, and nothing runs in it."""
    full = guard.create({"RestartPolicy": {"Name": "on-failure"}}, Cmd=["false"]).json["Id"]
    guard.cli("start", full)
    restarts = partial(guard.cli, "inspect", "-f", "{{.RestartCount}}", full)
    wait_for(lambda: int(restarts().stdout) >= 5, 30, "a longer pause between restarts")
    assert "restarting" in guard.cli("rm", full, check=False).stderr
    guard.cli("rm", "-f", full)


def test_the_name_of_what_has_ended_is_free(guard: Guard) -> None:
    """As good as at once, as with the daemon."""
    others = [guard.create({"Binds": ["/workspace:/w"]}).json["Id"] for _ in range(4)]
    guard.cli("start", *others)
    words = ("run", "-d", "--rm", "--name", "again", "-v", f"{guard.project}:/w", "-v", "kept:/k")
    for _ in range(8):
        guard.cli(*words, "busybox", "sleep", "1000")
        guard.cli("kill", "again")
        if not follows(guard):  # then it is the daemon's own pace
            wait_for(
                lambda: guard.ask("GET", "/containers/again/json").status == 404, 30, "its end"
            )
    guard.cli("volume", "rm", "kept")
    for one in others:  # many at once can be too much for Docker 20.10's networks
        guard.cli("rm", "-f", one)


def test_what_is_restarted_when_the_guard_dies_is_still_removed_in_the_end(guard: Guard) -> None:
    full = started(guard, "trap '' TERM; echo ready; sleep 1000 & wait; wait", AutoRemove=True)
    raw = partial(request, guard.engine.socket)
    path = f"/containers/{full}"
    before = raw("GET", f"{path}/json").json["State"]["StartedAt"]
    with ThreadPoolExecutor(1) as pool:
        restarting = pool.submit(guard.ask, "POST", f"{path}/restart?t=2")
        time.sleep(0.5)
        worker = int(Path(f"/proc/{guard.pid}/task/{guard.pid}/children").read_text())
        os.kill(worker, signal.SIGKILL)
        restarting.result()
    wait_for(
        lambda: raw("GET", f"{path}/json").json["State"]["StartedAt"] != before, 30, "the restart"
    )
    assert guard.ask("GET", f"{path}/json").json["HostConfig"]["AutoRemove"] is True
    raw("POST", f"{path}/kill")
    wait_for(lambda: raw("GET", f"{path}/json").status == 404, 30, "the removal")


def test_what_can_not_be_made_has_nothing_of_another_removed(guard: Guard) -> None:
    """The daemon removes the volumes of what it can't make, if nobody else has them by then."""
    engine = guard.engine.socket
    giver = guard.create({"Binds": ["shared:/s"]}, Volumes={"/v": {}}).json["Id"]
    near = started(guard, "echo ready; sleep 1000", Binds=["shared:/s"])  # it could be handed /v
    found = request(engine, "GET", f"/containers/{giver}/json").json
    volume = next(one["Name"] for one in found["Mounts"] if one["Destination"] == "/v")
    # In the image it can be, and where the daemon copies it from it is too long.
    left = 4095 - len(found["GraphDriver"]["Data"]["UpperDir"])
    script = (
        'mkdir "/big"; for (1 .. 4000) { open F, ">/big/a$_" } mkdir($d = "/big/z");'
        f"$left = {left} - length $d; while ($left > 0) {{ chdir $d or die;"
        '$n = $left > 252 ? 200 : $left; mkdir($d = "x" x ($n - 1)) or die; $left -= $n }'
    )
    made = guard.create(Image="debian:trixie-slim", Cmd=["perl", "-e", script]).json["Id"]
    guard.cli("start", "-a", made)
    image = guard.ask("POST", f"/commit?container={made}").json["Id"]
    wanted = {"VolumesFrom": [giver], "Mounts": [{"Type": "volume", "Target": "/big"}]}

    def volumes() -> int:
        return len(request(engine, "GET", "/volumes").json["Volumes"])

    before = volumes()
    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(guard.create, wanted, Image=image)
        wait_for(lambda: volumes() > before, 30, "the copy to begin")
        guard.cli("rm", "-f", giver)
        assert making.result().status == 500
    assert request(engine, "GET", f"/volumes/{volume}").status == 200 or not follows(guard)
    guard.cli("rm", "-f", made, near)
    guard.ask("DELETE", "/volumes/shared")
    guard.ask("DELETE", f"/images/{quote(image)}")
    guard.ask("DELETE", f"/volumes/{volume}")
