"""The guard against the raw socket: `python -m bench.guard SOCKET`.

Starts a guard for a throw-away project on the engine at SOCKET and prints one line a measure:
raw, guarded, ratio. Everything that it makes is removed by id.
"""

from __future__ import annotations

import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

REQUESTS = 400
MEGABYTES = 400
STREAMS = 100
IDLE = 200
SERVICES = 10


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=120)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def ask(path: str, target: str) -> bytes:
    """Make one request on a connection of its own."""
    connection = _Connection(path)
    connection.request("GET", target)
    body = connection.getresponse().read()
    connection.close()
    return body


def latency(path: str, target: str) -> list[float]:
    """Return the sorted seconds of many requests."""
    taken = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        ask(path, target)
        taken.append(time.perf_counter() - began)
    return sorted(taken)


def timed(step: Callable[[], object]) -> float:
    """Return the seconds that a step takes."""
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def cli(path: str, *words: str, **options: object) -> str:
    """Run the docker CLI against a socket."""
    env = {**os.environ, "DOCKER_HOST": f"unix://{path}", "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(
        ["docker", *words],
        env=env,
        check=False,
        capture_output=True,
        text=True,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout).strip()


def memory(pid: int) -> float:
    """Return the megabytes of a process and its children, shared pages counted once."""
    total = 0
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        family = [pid, *map(int, file.read().split())]
    for member in family:
        with open(f"/proc/{member}/smaps_rollup", encoding="ascii") as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return total / 1024


def line(name: str, raw: float, guarded: float, unit: str) -> None:
    """Print a measure."""
    print(f"{name:34} raw {raw:9.3f} {unit}   guard {guarded:9.3f} {unit}   x{guarded / raw:.2f}")


def streams(path: str, container: str) -> float:
    """Return the seconds until many execs at once have answered."""
    threads = [
        threading.Thread(target=cli, args=(path, "exec", container, "echo", "x"))
        for _ in range(STREAMS)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def measure(upstream: str, path: str, project: Path, pid: int) -> None:
    """Print all measures."""
    for target in ("/_ping", "/containers/json", "/images/json"):
        raw, guarded = latency(upstream, target), latency(path, target)
        for name, where in (("p50", 0.5), ("p99", 0.99)):
            place = int(where * REQUESTS)
            line(f"{target} {name}", raw[place] * 1000, guarded[place] * 1000, "ms")
    container = cli(path, "run", "-d", "busybox", "sleep", "9999")
    try:
        target = f"/containers/{container}/json"
        raw, guarded = latency(upstream, target), latency(path, target)
        line("inspect p50", statistics.median(raw) * 1000, statistics.median(guarded) * 1000, "ms")
        big = project / "big"
        big.write_bytes(os.urandom(1 << 20) * MEGABYTES)
        for name, words in (
            ("cp in", ("cp", str(big), f"{container}:/big")),
            ("cp out", ("cp", f"{container}:/big", str(project / "back"))),
        ):
            times = [
                min(timed(lambda p=p, w=words: cli(p, *w)) for _ in range(2))
                for p in (upstream, path)
            ]
            line(f"{name} {MEGABYTES} MB", MEGABYTES / times[0], MEGABYTES / times[1], "MB/s")
        (project / "Dockerfile").write_text("FROM busybox\nCOPY Dockerfile /x\n")
        times = [timed(lambda p=p: cli(p, "build", "-q", str(project))) for p in (upstream, path)]
        line(
            f"context of {2 * MEGABYTES} MB",
            2 * MEGABYTES / times[0],
            2 * MEGABYTES / times[1],
            "MB/s",
        )
        line(
            f"{STREAMS} execs at once", streams(upstream, container), streams(path, container), "s"
        )
    finally:
        cli(path, "rm", "-f", container)
    up = [timed(lambda p=p: services(p)) for p in (upstream, path)]
    line(f"{SERVICES} containers up and down", up[0], up[1], "s")
    before = memory(pid)
    waiting = []
    for _ in range(IDLE):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        sock.sendall(b"GET /_ping HTTP/1.1\r\n")
        waiting.append(sock)
    ask(path, "/_ping")
    grown = memory(pid) - before
    print(f"memory {before:.1f} MB, {grown * 1024 / IDLE:.1f} KB a waiting connection")
    for sock in waiting:
        sock.close()


def services(path: str) -> None:
    """Start and remove some containers as compose does: create, start, remove."""
    made = [cli(path, "run", "-d", "busybox", "sleep", "9999") for _ in range(SERVICES)]
    cli(path, "rm", "-f", *made)


def main(upstream: str) -> None:
    """Run a guard and measure it."""
    with tempfile.TemporaryDirectory(prefix="claudy-bench-") as directory:
        root = Path(directory)
        project = root / "project"
        project.mkdir()
        path = str(root / "docker.sock")
        name = f"bench-{os.getpid()}"
        sandbox = cli(
            upstream,
            "run",
            "-d",
            "--name",
            name,
            "--label",
            "claudy.test=bench",
            "busybox",
            "sleep",
            "9999",
        )
        words = {
            "listen": path, "upstream": upstream, "project": project, "project-id": name, "sandbox": name,  # noqa: E501
            "ledger": root / "ledger", "log": root / "log", "uid": os.getuid(), "gid": os.getgid(),
        }  # fmt: skip
        began = time.perf_counter()
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "claudy.guard",
                "serve",
                *(str(w) for k, v in words.items() for w in (f"--{k}", v)),
            ],
            stdout=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            process.stdout.readline()
            ready = time.perf_counter() - began
            ask(path, "/_ping")
            print(
                f"ready {ready * 1000:.0f} ms, first answer {(time.perf_counter() - began) * 1000:.0f} ms"  # noqa: E501
            )
            measure(upstream, path, project, process.pid)
        finally:
            process.terminate()
            process.wait()
            cli(upstream, "rm", "-f", sandbox)


if __name__ == "__main__":
    main(sys.argv[1])
