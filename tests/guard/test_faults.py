"""What goes wrong around the guard: it fails closed, comes back, and loses no ownership."""

from __future__ import annotations

import json
import os
import resource
import secrets
import signal
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from claudy.guard.ledger import TOKEN_LABEL, Ledger, LedgerError
from tests.engines.shell import wait_for
from tests.guard.conftest import Guard, running_guard
from tests.guard.raw import exchange, request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engines.engine import Engine


@pytest.fixture
def fresh(engine: Engine, run_label: str, tmp_path: Path) -> Iterator[Guard]:
    """Return a guard of its own, to break."""
    yield from running_guard(
        engine, run_label, f"sandbox-{run_label}-{secrets.token_hex(3)}", tmp_path
    )


def worker_of(guard: Guard) -> int:
    """Return the process id of the guard's worker."""
    with open(f"/proc/{guard.pid}/task/{guard.pid}/children", encoding="ascii") as file:
        return int(file.read().split()[0])


def kill_worker(guard: Guard) -> None:
    """Kill the worker and wait until another one has its place."""
    old = worker_of(guard)
    os.kill(old, signal.SIGKILL)
    while True:
        try:
            if worker_of(guard) != old:
                return
        except IndexError:
            continue


def test_worker_killed_between_requests(fresh: Guard) -> None:
    full = fresh.create().json["Id"]
    kill_worker(fresh)
    assert fresh.ask("GET", f"/containers/{full}/json").status == 200


def test_worker_killed_in_a_stream(fresh: Guard) -> None:
    full = fresh.create(Cmd=["sh", "-c", "while :; do echo line; sleep 1; done"]).json["Id"]
    fresh.cli("start", full)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(str(fresh.socket))
        sock.sendall(
            f"GET /containers/{full}/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n".encode()
        )
        assert sock.recv(65536)
        kill_worker(fresh)
        tail = b""
        while block := sock.recv(65536):
            tail += block
    assert not tail.endswith(b"0\r\n\r\n"), "a cut stream must not look complete"
    assert fresh.cli("logs", "--tail", "1", full).stdout == "line\n"


def test_object_made_just_before_the_guard_died_is_owned(fresh: Guard) -> None:
    assert fresh.ask("GET", "/_ping").status == 200  # it has recovered what was left before
    token = secrets.token_hex(16)
    asked = {"Binds": ["/workspace:/w"]}
    Ledger(str(fresh.ledger), fresh.name).intend("containers", token, asked=asked)
    body = {"Image": "busybox", "Labels": {TOKEN_LABEL: token, "claudy.test": "x"}}
    full = request(fresh.engine.socket, "POST", "/containers/create", body).json["Id"]
    assert fresh.ask("GET", f"/containers/{full}/json").status == 404
    kill_worker(fresh)
    while full not in fresh.owned()["containers"]:
        fresh.ask("GET", "/_ping")
    found = fresh.ask("GET", f"/containers/{full}/json")
    assert found.json["HostConfig"]["Binds"] == asked["Binds"]
    assert not fresh.owned()["intents"]


def test_what_ends_the_daemon_is_not_owned_then_either(fresh: Guard) -> None:
    assert fresh.ask("GET", "/_ping").status == 200
    token = secrets.token_hex(16)
    Ledger(str(fresh.ledger), fresh.name).intend("containers", token)
    labels = {TOKEN_LABEL: token, "claudy.test": "x"}
    body = {"Image": "busybox", "Labels": labels, "Healthcheck": {"Test": ["CMD"]}}
    full = request(fresh.engine.socket, "POST", "/containers/create", body).json["Id"]
    kill_worker(fresh)
    wait_for(lambda: not fresh.owned()["intents"], 20, "the next worker")
    assert full not in fresh.owned()["containers"]
    assert request(fresh.engine.socket, "GET", f"/containers/{full}/json").status == 404


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 99}', '{"version": 1, "project": "other"}', "\0" * 100]
)
def test_damaged_ledger_closes_the_guard(fresh: Guard, content: str) -> None:
    full = fresh.create().json["Id"]
    path = fresh.ledger / "ledger.json"
    good = path.read_text()
    path.write_text(content)
    answer = fresh.ask("GET", "/containers/json")
    assert answer.status == 503
    assert str(path) in answer.message
    assert fresh.create().status == 503
    path.write_text(good)
    assert fresh.ask("GET", f"/containers/{full}/json").status == 200


def test_vanished_ledger_closes_the_guard(fresh: Guard) -> None:
    fresh.create()
    path = fresh.ledger / "ledger.json"
    path.rename(path.with_suffix(".away"))
    assert fresh.ask("GET", "/containers/json").status == 503
    path.with_suffix(".away").rename(path)


def test_disk_full_refuses_before_anything_is_made(tmp_path: Path) -> None:
    """A file size limit of nothing is what a full disk looks like to one process."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "from claudy.guard.ledger import Ledger, LedgerError\n"
        "try: Ledger(sys.argv[1], 'p').intend('containers', 't')\n"
        "except LedgerError as error: sys.exit(str(error.message))\n"
    )
    Ledger(str(tmp_path), "p").add("containers", "a" * 64)
    import sys

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "can't be written" in done.stderr
    assert Ledger(str(tmp_path), "p").keys("containers") == ["a" * 64]
    assert sorted(os.listdir(tmp_path)) == ["ledger.json", "ledger.lock"]


def test_ledger_of_two_sandboxes(tmp_path: Path) -> None:
    one, two = Ledger(str(tmp_path), "p"), Ledger(str(tmp_path), "p")

    def fill(ledger: Ledger, word: str) -> None:
        for number in range(40):
            ledger.add("containers", f"{word}{number}")

    threads = [
        threading.Thread(target=fill, args=(led, w))
        for led, w in ((one, "a"), (two, "b"), (one, "c"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(one.keys("containers")) == len(two.keys("containers")) == 120


def test_ledger_forgets_what_is_gone_and_nothing_else(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path), "p")
    for name in ("kept", "gone", "lately"):
        ledger.add("containers", name, published=True)
    ledger.mark_gone("gone")
    ledger.mark_gone("another's")
    moment = time.time() + 1
    ledger.change(lambda data: data["containers"]["lately"].update(gone=int(moment) + 5))
    assert ledger.owns("containers", "gone")  # events may still be on their way
    ledger.forget_gone(moment)
    assert ledger.keys("containers") == ["kept", "lately"]


def test_removed_containers_leave_the_ledger(fresh: Guard) -> None:
    """However they were removed: by themselves, from inside, or by somebody on the host."""
    kept = fresh.create().json["Id"]
    made = [fresh.create({"PortBindings": {"80/tcp": [{}]}}).json["Id"] for _ in range(3)]
    fresh.cli("rm", made[0])
    fresh.engine.cli("rm", made[1])
    fresh.ask("POST", "/containers/prune?filters=%7B%22until%22%3A%5B%221970-01-02%22%5D%7D")
    fresh.engine.cli("rm", made[2])
    fresh.cli("run", "--rm", "busybox", "true")

    def gone() -> bool:
        records = fresh.owned()["containers"]
        return [key for key, record in records.items() if "gone" not in record] == [kept]

    wait_for(gone, 30, "the ledger to know")
    assert "published" not in (fresh.ledger / "ledger.json").read_text()
    assert fresh.ask("GET", f"/containers/{kept}/json").status == 200


def test_ledger_of_another_project(tmp_path: Path) -> None:
    Ledger(str(tmp_path), "p").add("containers", "a")
    with pytest.raises(LedgerError):
        Ledger(str(tmp_path), "q").read()


def test_next_session_owns_what_the_last_one_made(
    engine: Engine, run_label: str, tmp_path: Path
) -> None:
    name = f"sandbox-{run_label}-{secrets.token_hex(3)}"
    first = running_guard(engine, run_label, name, tmp_path)
    guard = next(first)
    full = guard.create().json["Id"]
    guard.stop()
    guard.start()
    assert guard.ask("GET", f"/containers/{full}/json").status == 200
    (tmp_path / "other").mkdir()
    other = running_guard(engine, run_label, f"{name}-other", tmp_path / "other")
    assert next(other).ask("GET", f"/containers/{full}/json").status == 404
    other.close()
    first.close()


def test_thousand_connections(fresh: Guard) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    waiting = []
    try:
        for _ in range(1000):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(str(fresh.socket))
            sock.sendall(b"GET /_ping HTTP/1.1\r\n")
            waiting.append(sock)
        assert fresh.ask("GET", "/_ping").status == 200
        for sock in waiting:
            sock.settimeout(60)
            sock.sendall(b"Host: d\r\n\r\n")
        assert all(sock.recv(65536).startswith(b"HTTP/1.1 200") for sock in waiting)
    finally:
        for sock in waiting:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_guard_ends_with_its_sandbox(fresh: Guard) -> None:
    full = fresh.create().json["Id"]
    fresh.engine.cli("rm", "-f", fresh.name)
    assert fresh.wait() == 0
    assert not fresh.socket.exists()
    assert request(fresh.engine.socket, "GET", f"/containers/{full}/json").status == 200


def test_guard_ends_on_sigterm(fresh: Guard) -> None:
    os.kill(fresh.pid, signal.SIGTERM)
    assert fresh.wait() == 0
    assert not fresh.socket.exists()


def test_supervisor_killed_takes_its_worker_along(fresh: Guard) -> None:
    os.kill(fresh.pid, signal.SIGKILL)
    fresh.wait()
    assert exchange_fails(fresh)
    fresh.start()
    assert fresh.ask("GET", "/_ping").status == 200


def exchange_fails(guard: Guard) -> bool:
    while True:
        try:
            exchange(guard.socket, b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        except ConnectionRefusedError:
            return True


def test_second_guard_does_not_take_the_place_of_the_first(fresh: Guard) -> None:
    done = subprocess.run(fresh.command, capture_output=True, text=True, check=False)
    assert done.returncode == 125
    assert "Another guard listens" in done.stderr
    assert fresh.ask("GET", "/_ping").status == 200


def test_daemon_restarted(fresh: Guard) -> None:
    if fresh.engine.place is None:
        pytest.skip("the machine's own engine is not the tests' to stop")
    full = fresh.create().json["Id"]
    with fresh.engine.stopped():
        answer = fresh.ask("GET", "/containers/json")
        assert answer.status == 503
        assert "does not answer" in answer.message
    found = fresh.ask("GET", f"/containers/{full}/json")
    assert found.status == 200
    assert found.json["Id"] == full


# With either version of control groups.
LIMITS = """
cd /sys/fs/cgroup
if [ -e cpu.max ]; then
    cat cpu.max pids.max memory.max
else
    cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us pids/pids.max memory/memory.limit_in_bytes
fi
"""


def test_budget(engine: Engine, run_label: str, tmp_path: Path) -> None:
    name = f"sandbox-{run_label}-{secrets.token_hex(3)}"
    budget = ("--budget", "memory=64m,cpus=0.5,pids=50,containers=2,ports=1")
    running = running_guard(engine, run_label, name, tmp_path, *budget)
    guard = next(running)
    try:
        full = guard.create().json["Id"]
        found = json.loads(engine.cli("inspect", full).stdout)[0]["HostConfig"]
        assert (found["Memory"], found["NanoCpus"], found["PidsLimit"]) == (
            64 << 20,
            500_000_000,
            50,
        )
        assert guard.create({"Memory": 128 << 20}).status == 403
        assert guard.create({"PidsLimit": 51}).status == 403
        assert guard.create({"NanoCpus": 1_000_000_000}).status == 403
        assert guard.ask("POST", f"/containers/{full}/update", {"Memory": 1 << 30}).status == 403
        for words in (("-m", "128m"), ("--pids-limit", "51"), ("--cpus", "1")):
            for command in (("create", *words, "busybox"), ("update", *words, full)):
                done = guard.cli(*command, check=False)
                assert done.returncode != 0
                assert "claudy guard" in done.stderr
        guard.cli("start", full)
        unbound = {"CpuQuota": -1, "CpuPeriod": 0, "PidsLimit": -1, "MemorySwap": -1, "Memory": 0}
        guard.ask("POST", f"/containers/{full}/update", unbound)
        limits = engine.cli("exec", full, "sh", "-c", LIMITS).stdout.split()
        assert limits == ["50000", "100000", "50", str(64 << 20)]
        two = {
            "PortBindings": {"80/tcp": [{"HostPort": "18201"}], "81/tcp": [{"HostPort": "18202"}]}
        }
        assert guard.create(two).status == 403
        assert guard.create().status == 201
        assert "docker container prune" in guard.create().message
    finally:
        running.close()


def test_own_visibility_hides_the_host(engine: Engine, run_label: str, tmp_path: Path) -> None:
    name = f"sandbox-{run_label}-{secrets.token_hex(3)}"
    running = running_guard(engine, run_label, name, tmp_path, "--visibility", "own")
    guard = next(running)
    try:
        assert guard.ask("GET", "/containers/json?all=1").json == []
        assert guard.ask("GET", "/images/json").json == []
        assert guard.ask("GET", "/images/busybox/json").status == 404
        assert guard.create().status == 404
    finally:
        running.close()


def test_project_around_the_guard_is_refused(tmp_path: Path) -> None:
    from claudy.errors import ClaudyError
    from claudy.guard.options import check

    values = {
        "listen": "/run/x/docker.sock",
        "upstream": "/run/docker.sock",
        "sandbox": "s",
        "project_id": "p",
    }
    with pytest.raises(ClaudyError, match="lies inside the project"):
        check({**values, "project": str(tmp_path), "ledger": str(tmp_path / "state")})


def test_guard_that_leaves_late_spares_the_socket_of_the_next(fresh: Guard) -> None:
    """What a launcher that sweeps up and another that starts do, before the first guard is gone."""
    fresh.socket.unlink()
    nextone = Guard(fresh.engine, fresh.root, fresh.name)
    nextone.start()
    try:
        fresh.stop()
        assert nextone.ask("GET", "/containers/json").status == 200
    finally:
        nextone.stop()
    assert not fresh.socket.exists()


def test_budget_counts_what_does_not_run_and_what_the_image_exposes(
    engine: Engine, run_label: str, tmp_path: Path
) -> None:
    name = f"sandbox-{run_label}-{secrets.token_hex(3)}"
    running = running_guard(engine, run_label, name, tmp_path, "--budget", "ports=3")
    guard = next(running)
    try:
        two = {"PortBindings": {"80/tcp": [{}], "81/tcp": [{"HostPort": "18203"}]}}
        assert guard.create(two).status == 201
        exposed: dict[str, dict[str, str]] = {"80/tcp": {}, "81/tcp": {}}
        refused = guard.create({"PublishAllPorts": True}, ExposedPorts=exposed)
        assert refused.status == 403
        assert "2 published ports and may have 3" in refused.message
        assert guard.create(two).status == 403
        assert guard.create({"PortBindings": {"80/tcp": [{}]}}).status == 201
        assert guard.create().status == 201
    finally:
        running.close()


def test_budget_is_the_projects_not_each_sandboxs(
    engine: Engine, run_label: str, tmp_path: Path
) -> None:
    """Two guards with one ledger, and many clients of both at the same time."""
    name = f"sandbox-{run_label}-{secrets.token_hex(3)}"
    budget = ("--budget", "containers=5")
    running = running_guard(engine, run_label, name, tmp_path, *budget)
    guard = next(running)
    second = Guard(engine, tmp_path.resolve(), name, *budget)
    second.socket = tmp_path / "run" / "second.sock"
    second.start()
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda one=one: statuses.append(one.create().status))
        for one in (guard, second) * 8
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [201] * 5 + [403] * 11
        assert len(guard.owned()["containers"]) == 5
    finally:
        second.stop()
        running.close()
