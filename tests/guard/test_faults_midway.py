"""A guard, a disk, a client that fail in the middle of a request: closed, and nothing is lost."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from tests.engines.shell import wait_for
from tests.guard.conftest import running_guard
from tests.guard.raw import request
from tests.guard.test_faults import exchange_fails, kill_worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engines.engine import Engine
    from tests.guard.conftest import Guard

SECONDS = 60
BUSY = "trap '' TERM; echo up; while :; do sleep 1; done"


@pytest.fixture
def fresh(engine: Engine, run_label: str, tmp_path: Path) -> Iterator[Guard]:
    """Return a guard of its own, to break."""
    yield from running_guard(
        engine, run_label, f"sandbox-{run_label}-{secrets.token_hex(3)}", tmp_path
    )


def everything(guard: Guard) -> set[str]:
    """Return the ids of all containers on the engine."""
    return {one["Id"] for one in request(guard.engine.socket, "GET", "/containers/json?all=1").json}


def connected(guard: Guard, data: bytes) -> socket.socket:
    """Send bytes and leave the connection open."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(SECONDS)
    sock.connect(str(guard.socket))
    sock.sendall(data)
    return sock


def rest(sock: socket.socket) -> bytes:
    """Return what comes until the other side closes."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while block := sock.recv(65536):
            found += block
    return found


def test_killed_while_a_request_is_sent(fresh: Guard) -> None:
    """Half a body is no body: the next guard does not know of it, and nothing was made."""
    body = json.dumps({"Image": "busybox"}).encode()
    head = f"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: {len(body)}\r\n\r\n"
    before = everything(fresh)
    with connected(fresh, head.encode() + body[:9]) as sock:
        assert fresh.ask("GET", "/_ping").status == 200
        kill_worker(fresh)
        assert rest(sock) == b""
    assert fresh.ask("GET", "/_ping").status == 200
    assert everything(fresh) == before
    assert not fresh.owned().get("intents")


def test_killed_while_the_daemon_works(fresh: Guard) -> None:
    """The client is told nothing, and finds what became of its request."""
    full = fresh.create(Cmd=["sh", "-c", BUSY]).json["Id"]
    fresh.cli("start", full)
    wait_for(lambda: fresh.cli("logs", full).stdout == "up\n", SECONDS, "the container")
    line = f"POST /containers/{full}/stop?t=4 HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n"
    with connected(fresh, line.encode()) as sock:
        events = f'/events?since=1&until=99999999999&filters={{"container":["{full}"]}}'
        watch = ["curl", "-sgN", "--unix-socket", str(fresh.engine.socket), f"http://d{events}"]
        with subprocess.Popen(watch, stdout=subprocess.PIPE, text=True) as stream:
            assert stream.stdout
            assert next(line for line in stream.stdout if '"kill"' in line)  # it is at it
            stream.terminate()
        kill_worker(fresh)
        assert rest(sock) == b""
    wait_for(
        lambda: not fresh.ask("GET", f"/containers/{full}/json").json["State"]["Running"],
        SECONDS,
        "the stop that was asked for",
    )
    assert fresh.cli("rm", full).stdout == f"{full}\n"


def test_killed_while_many_are_created(fresh: Guard) -> None:
    """Whatever the daemon has made belongs to the project, answered or not."""
    before = everything(fresh)
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(fresh.create().status)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    wait_for(lambda: everything(fresh) != before, SECONDS, "the first container")
    kill_worker(fresh)
    for thread in threads:
        thread.join()
    assert set(statuses) <= {0, 201}
    wait_for(lambda: fresh.ask("GET", "/_ping").status == 200, SECONDS, "the next worker")

    def all_owned() -> bool:
        fresh.ask("GET", "/_ping")
        return everything(fresh) - before <= set(fresh.owned()["containers"])

    wait_for(all_owned, SECONDS, "every container to have its owner")
    assert len(everything(fresh) - before) >= statuses.count(201)


def test_supervisor_killed_in_a_stream(fresh: Guard) -> None:
    full = fresh.create(Cmd=["sh", "-c", "while :; do echo line; sleep 1; done"]).json["Id"]
    fresh.cli("start", full)
    line = f"GET /containers/{full}/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n"
    with connected(fresh, line.encode()) as sock:
        assert sock.recv(65536)
        os.kill(fresh.pid, signal.SIGKILL)
        assert not rest(sock).endswith(b"0\r\n\r\n"), "a cut stream must not look complete"
    fresh.wait()
    assert exchange_fails(fresh)
    fresh.start()
    assert fresh.cli("logs", "--tail", "1", full).stdout == "line\n"


def test_full_disk(fresh: Guard) -> None:
    """Nothing is made that could not be written down; what is owned stays so."""
    fresh.ledger.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(fresh.ledger)]
    subprocess.run(mount, check=True)
    try:
        full = fresh.create().json["Id"]
        before = everything(fresh)
        filler = fresh.ledger / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 512)
        refused = fresh.create()
        assert refused.status == 503
        assert "can't be written: No space left on device" in refused.message
        assert everything(fresh) == before
        assert fresh.ask("GET", f"/containers/{full}/json").status == 200
        filler.unlink()
        assert fresh.create().status == 201
        assert fresh.ask("DELETE", f"/containers/{full}").status == 204
    finally:
        fresh.clean()
        subprocess.run(["umount", "-l", str(fresh.ledger)], check=True)


def test_one_byte_a_second(fresh: Guard) -> None:
    """A head is waited for not for ever; a body may be slow. Nobody else waits for either."""
    name = f"dripped-{secrets.token_hex(3)}"
    body = json.dumps({"Name": name}).encode()
    head = f"POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Length: {len(body)}\r\n\r\n"
    slow_head = drip(fresh, b"", b"GET /_ping HTTP/1.1\r\nHost: d\r\nX: " + b"x" * 1000)
    slow_body = drip(fresh, head.encode(), body)
    answers = [b"", b""]
    while not all(answers):
        assert fresh.ask("GET", "/_ping").status == 200
        for number, dripping in enumerate((slow_head, slow_body)):
            answers[number] = answers[number] or next(dripping)
    assert answers[0].startswith(b"HTTP/1.1 408")
    assert answers[1].startswith(b"HTTP/1.1 201")
    assert name in fresh.owned()["volumes"]


def drip(guard: Guard, first: bytes, rest: bytes) -> Iterator[bytes]:
    """Send a byte each second; yield nothing until there is an answer, then that."""
    with connected(guard, first) as sock:
        for number in range(len(rest)):
            sock.sendall(rest[number : number + 1])
            if select.select([sock], [], [], 0.5)[0]:
                break
            yield b""
        yield sock.recv(65536)
