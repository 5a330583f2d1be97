"""Swaps a directory for a link while the daemon mounts it: the race that a bind mount is about."""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.engines.shell import wait_for
from tests.guard.raw import request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.engines.engine import Engine
    from tests.guard.conftest import Guard, Host

TRIES = 12
"""Each is two starts; without the guard one of the first few wins."""
ENOUGH = 5
SECONDS = 60
"""A swapper that gets little of a busy machine needs longer to come round."""
# In the directory that is its argument: `d` is a directory, nothing, or a link to the host's /etc.
SWAP = """
cd "$0" && mkdir -p real && : >real/inside && ln -sfn /etc evil && : >on
linger() { i=0; while [ $i -lt 200 ]; do i=$((i+1)); done; }
while [ -e on ]; do
    mv real d; linger; mv d real
    mv evil d; linger; mv d evil
done 2>/dev/null
"""
SWAPPERS = ["container", "exec in a container", "sandbox", "second sandbox"]


@contextlib.contextmanager
def swapping(guard: Guard, how: str, run_label: str) -> Iterator[str]:
    """Swap in the background; yields the name of the directory where it happens."""
    name = f"race-{secrets.token_hex(3)}"
    top = guard.project / name
    top.mkdir()
    made = []
    try:
        if how == "sandbox":
            guard.engine.cli("exec", "-d", guard.name, "sh", "-c", SWAP, f"/workspace/{name}")
        elif how == "second sandbox":
            second = f"{guard.name}-2"
            labels = (f"claudy.test={run_label}", f"claudy.sandbox={second}",
                      f"claudy.project={guard.project}")  # fmt: skip
            words = [word for label in labels for word in ("--label", label)]
            mount = ("-v", f"{guard.project}:/workspace")
            script = ("busybox", "sh", "-c", SWAP, f"/workspace/{name}")
            made = [
                guard.engine.cli(
                    "run", "-d", "--name", second, *words, *mount, *script
                ).stdout.strip()
            ]
        else:
            idle = how != "container"
            command = ["sleep", "1000"] if idle else ["sh", "-c", SWAP, f"/w/{name}"]
            full = guard.create({"Binds": ["/workspace:/w"]}, Cmd=command).json["Id"]
            made = [full]
            guard.cli("start", full)
            if idle:
                guard.cli("exec", "-d", full, "sh", "-c", SWAP, f"/w/{name}")
        while not (top / "on").exists():
            pass
        yield name
    finally:
        (top / "on").unlink(missing_ok=True)
        for full in made:
            request(guard.engine.socket, "DELETE", f"/containers/{full}?force=1&v=1")


def listed(guard: Guard, full: str) -> str:
    """Return what the container has seen."""
    return guard.engine.cli("logs", full, check=False).stdout


@pytest.mark.parametrize("how", SWAPPERS)
@pytest.mark.usefixtures("untouched")
def test_a_swapped_source_is_never_mounted(guard: Guard, run_label: str, how: str) -> None:
    started, refused = 0, Counter[str]()
    seen: list[str] = []
    with swapping(guard, how, run_label) as name:
        until = time.monotonic() + SECONDS
        while len(seen) < TRIES and time.monotonic() < until:
            mount = {
                "Type": "bind", "Source": f"/workspace/{name}/d", "Target": "/d", "ReadOnly": True
            }  # fmt: skip
            answer = guard.create({"Mounts": [mount]}, Cmd=["ls", "-a", "/d"])
            if answer.status != 201:
                refused[answer.message] += 1
                continue
            full = answer.json["Id"]
            # A second start is another chance for the daemon to look at the path.
            for _ in range(2):
                if guard.ask("POST", f"/containers/{full}/start").status == 204:
                    started += 1
                    guard.ask("POST", f"/containers/{full}/wait")
            seen.append(listed(guard, full))
            guard.ask("DELETE", f"/containers/{full}?force=1")
    assert len(seen) >= ENOUGH, refused
    assert started, "nothing was started, so nothing was raced"
    assert not [text for text in seen if "passwd" in text]
    assert any("inside" in text for text in seen)


@pytest.mark.usefixtures("untouched")
def test_a_client_that_leaves_does_not_end_the_stillness(guard: Guard, run_label: str) -> None:
    """The daemon goes on with a start that nobody waits for, and looks at the path only then."""
    started: list[str] = []
    with swapping(guard, "sandbox", run_label) as name:
        until = time.monotonic() + SECONDS
        while len(started) < TRIES and time.monotonic() < until:
            binds = [f"/workspace/{name}/d:/d:ro"]
            answer = guard.create({"Binds": binds}, Cmd=["ls", "-a", "/d"])
            if answer.status != 201:
                continue
            full = str(answer.json["Id"])
            before = len(guard.log.read_text()) if guard.log.exists() else 0
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(guard.socket))
                line = f"POST /containers/{full}/start HTTP/1.1\r\nHost: x\r\n"
                client.sendall(f"{line}Content-Length: 0\r\n\r\n".encode())
            time.sleep(0.4)  # the daemon is at it now, whether somebody waits or not
            if "changed since" not in guard.log.read_text()[before:]:
                started.append(full)
    assert started, "nothing was started, so nothing was raced"
    seen = [listed(guard, full) for full in started]
    assert not [text for text in seen if "passwd" in text]


def test_without_the_guard_the_race_is_won(guard: Guard, engine: Engine, run_label: str) -> None:
    """The swapping is worth something: an engine that is asked directly falls for it."""
    won = False
    with swapping(guard, "sandbox", run_label) as name:
        source = f"type=bind,source={guard.project}/{name}/d,target=/d,readonly"
        for _ in range(TRIES * 6):
            words = (
                "run",
                "--name",
                name,
                "--label",
                f"claudy.test={run_label}",
                "--mount",
                source,
            )
            won = "passwd" in engine.cli(*words, "busybox", "ls", "/d", check=False).stdout
            engine.cli("rm", "-f", name, check=False)
            if won:
                break
    assert won


def test_nothing_stands_still_afterwards(guard: Guard, untouched: Host, run_label: str) -> None:
    (guard.project / "calm").mkdir(exist_ok=True)
    with swapping(guard, "container", run_label):
        guard.cli("run", "--rm", "-v", "/workspace/calm:/d", "busybox", "true")
        listed = partial(request, guard.engine.socket, "GET", "/containers/json")
        # The engine may have told of the end before that was over.
        running = {"running"}
        wait_for(lambda: {entry["State"] for entry in listed().json} == running, 5, "the end of it")
        assert untouched.container in {entry["Id"] for entry in listed().json}
