"""What the guard costs: the same done through it and at the engine's own socket."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import statistics
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.bare_relay import relaying
from bench.measure import Case, Contender, Row, Target
from bench.processes import Surroundings, output, run
from bench.sections import compose
from bench.stage import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.measure import Bench
    from bench.stage import Stage

RAW, GUARD, BARE = "raw socket", "guard", "a relay that only splices"
_MEGABYTES = 400
_STREAMS, _PIECE = 100, 256 * 1024
_IDLE = 200
_ADDED, _THROUGHPUT, _MEMORY = 1.0, 0.9, 60.0


def measure(bench: Bench, stage: Stage) -> None:
    """Measure requests, copies, streams and memory, and `compose up`."""
    endpoint = stage.engine.endpoint
    mounts = (w for w in stage.docker_line("--", "true") if "@guard," in w)
    source = next((w.partition("source=")[2].partition(",")[0] for w in mounts), "")
    if endpoint.kind != "unix" or not source:
        bench.skip("the guard", "it does not run on this machine")
        return
    with running(stage) as name:
        paths = {RAW: endpoint.path, GUARD: f"{source}/docker.sock"}
        inside = _container(paths[GUARD], stage, name)
        try:
            _requests(bench, paths, inside)
            with relaying(stage.directory, paths[RAW]) as bare:
                _copies(bench, stage, {**paths, BARE: bare}, inside)
            _streams(bench, paths, inside)
        finally:
            stage.engine.call("DELETE", f"/containers/{inside}", {"force": True, "v": True})
        _memory(bench, paths[GUARD], int(Path(f"{source}.pid").read_text(encoding="ascii")))
        compose.measure(bench, stage, name)


# -- requests ------------------------------------------------------------------------------------


def _requests(bench: Bench, paths: dict[str, str], container: str) -> None:
    for title, target in (
        ("/_ping", "/_ping"),
        ("list containers", "/containers/json"),
        ("inspect a container", f"/containers/{container}/json"),
    ):
        contenders = tuple(Contender(who, _asking(path, target)) for who, path in paths.items())
        added = Target(GUARD, _ADDED, RAW, added=True)
        found = bench.run(Case(f"request: {title}, p50", contenders, (added,), rounds=300))
        slow = [
            Row(r.name, (statistics.quantiles(r.samples, n=100, method="inclusive")[98],))
            for r in found.rows
        ]
        bench.add(Case(f"request: {title}, p99", ()), slow)


def _asking(path: str, target: str) -> Callable[[], float]:
    message = f"GET {target} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n".encode()

    def measured() -> float:
        began = time.perf_counter()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
            sock.sendall(message)
            first = sock.recv(65536)
            while sock.recv(65536):
                pass
        took = time.perf_counter() - began
        assert first.startswith(b"HTTP/1.1 200"), first
        return took

    return measured


# -- bytes ---------------------------------------------------------------------------------------


def _container(path: str, stage: Stage, sandbox: str) -> str:
    """Return the id of a container that the sandbox owns, of the sandbox's own image."""
    image = stage.engine.call("GET", f"/containers/{sandbox}/json")["Config"]["Image"]
    words = ["run", "--detach", "--entrypoint=sleep", "--user=0", image, "infinity"]
    return output(["docker", *words], _at(stage, path)).strip()


def _at(stage: Stage, path: str) -> Surroundings:
    env = {**stage.around.env, "DOCKER_HOST": f"unix://{path}", "DOCKER_BUILDKIT": "0"}
    return Surroundings(env, stage.around.directory)


def _copies(bench: Bench, stage: Stage, paths: dict[str, str], container: str) -> None:
    context = stage.directory / "context"
    context.mkdir(exist_ok=True)
    big = context / "big"
    size = (32 if bench.quick else _MEGABYTES) << 20
    with big.open("wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n", encoding="utf-8")
    back = stage.directory / "back"

    def copying(*words: str) -> tuple[Contender, ...]:
        def by(path: str) -> Callable[[], float]:
            around = _at(stage, path)
            return lambda: size / run(["docker", *words], around)

        return tuple(Contender(who, by(path)) for who, path in paths.items())

    for title, contenders in (
        ("docker cp into a container", copying("cp", str(big), f"{container}:/big")),
        ("docker cp out of a container", copying("cp", f"{container}:/big", str(back))),
        (
            "context of docker build",
            copying("build", "--quiet", "--iidfile", str(back), str(context)),
        ),
    ):
        targets = (
            Target(GUARD, _THROUGHPUT, RAW, at_least=True),
            Target(BARE, _THROUGHPUT, RAW, at_least=True, demanded=False),
        )
        bench.run(Case(title, contenders, targets, unit="MB/s", rounds=9, warm_up=1))
    with contextlib.suppress(Exception):
        stage.engine.call("DELETE", f"/images/{back.read_text(encoding='ascii')}", {"force": True})


def _streams(bench: Bench, paths: dict[str, str], container: str) -> None:
    """Measure many commands at once, each of which writes something."""
    target = Target(GUARD, 1 / _THROUGHPUT, RAW, demanded=False)
    contenders = tuple(Contender(who, _streaming(path, container)) for who, path in paths.items())
    title = f"{_STREAMS} execs at once, {_PIECE >> 10} KiB from each"
    bench.run(Case(title, contenders, (target,), unit="s", rounds=3, warm_up=0))


def _streaming(path: str, container: str) -> Callable[[], float]:
    command = ["head", "-c", str(_PIECE), "/dev/zero"]
    create = json.dumps({"AttachStdout": True, "Tty": True, "Cmd": command})

    def measured() -> float:
        ids = [_post(path, f"/containers/{container}/exec", create) for _ in range(_STREAMS)]
        began = time.perf_counter()
        poll, open_ = select.poll(), {}
        for found in ids:
            sock = _send(path, f"/exec/{found}/start", '{"Detach":false,"Tty":true}')
            open_[sock.fileno()] = sock
            poll.register(sock, select.POLLIN)
        got = 0
        while open_:
            for number, _ in poll.poll():
                data = open_[number].recv(65536)
                got += len(data)
                if not data:
                    poll.unregister(number)
                    open_.pop(number).close()
        took = time.perf_counter() - began
        assert got >= _STREAMS * _PIECE, got
        return took

    return measured


def _send(path: str, target: str, body: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    sock.sendall(
        f"POST /v1.41{target} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    return sock


def _post(path: str, target: str, body: str) -> str:
    with _send(path, target, body) as sock:
        answer = b""
        while data := sock.recv(65536):
            answer += data
    return str(json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])["Id"])


# -- memory --------------------------------------------------------------------------------------


def _memory(bench: Bench, path: str, process: int) -> None:
    """Measure all processes of the guard, alone and with many connections that are silent."""
    before = _share(process)
    with _waiting(path):
        _asking(path, "/_ping")()
        after = _share(process)
    title = "memory (PSS) of the guard's processes, after all this"
    case = Case(title, (), (Target(GUARD, _MEMORY),), unit="MB")
    bench.add(case, [Row(GUARD, (before / 1e6,))])
    case = Case(f"the same with {_IDLE} idle connections", (), (Target(GUARD, _MEMORY),), unit="MB")
    bench.add(case, [Row(GUARD, (after / 1e6,))])
    each = Case("memory of an idle connection", (), unit="kB")
    bench.add(each, [Row(GUARD, (max(0, after - before) / _IDLE / 1e3,))])


@contextlib.contextmanager
def _waiting(path: str) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for _ in range(_IDLE):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.connect(path)
            sock.sendall(b"GET /_ping HTTP/1.1\r\n")
        yield


def _share(process: int) -> int:
    """Return the bytes of a process and its descendants, shared pages counted once."""
    shown = subprocess.run(
        ["ps", "-e", "-o", "pid=,ppid="], capture_output=True, check=True, text=True
    ).stdout
    parents = {int(pid): int(parent) for pid, parent in map(str.split, shown.splitlines())}
    family = {process}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    total = 0
    for member in family:
        with open(f"/proc/{member}/smaps_rollup", encoding="ascii") as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return total * 1024
