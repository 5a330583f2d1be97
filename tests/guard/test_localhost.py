"""What the project's containers publish is at localhost inside the sandbox."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
from typing import TYPE_CHECKING

import pytest

from claudy.guard import opening
from claudy.guard.ledger import Ledger
from claudy.guard.options import Settings
from tests.engines.shell import wait_for
from tests.guard.conftest import AT_ONCE, Guard, running_guard
from tests.guard.test_faults import kill_worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engines.engine import Engine

SECONDS = 30
IMAGE = "debian:trixie-slim"
# One connection: what is said in it, or that nobody listens, or that it was closed.
CLIENT = """
use IO::Socket::INET;
my $socket = IO::Socket::INET->new(PeerAddr => "$ARGV[0]:$ARGV[1]") or print "$!" and exit;
print $socket $ARGV[2]; $socket->shutdown(1);
print <$socket>;
"""
REFUSED = "Connection refused"


class Sandbox:
    """The sandbox of a guard, seen from inside.

    Args:
        guard: its guard.
    """

    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    def says(self, port: int, text: str = "", *, at: str = "localhost") -> str:
        """Return what a port says to a text, or the error of a client in the sandbox."""
        done = self.guard.engine.cli(
            "exec", self.guard.name, "perl", "-e", CLIENT, at, str(port), text, check=False
        )
        return str(done.stdout)

    def serves(self, port: int, word: str) -> None:
        """Wait until a port says a word: a service takes a moment from its start to listening."""
        wait_for(lambda: self.says(port) == word, SECONDS, f"{word!r} at localhost:{port}")

    def refuses(self, port: int) -> None:
        """Wait until nobody listens at a port."""
        wait_for(lambda: self.says(port) == REFUSED, SECONDS, f"nobody at localhost:{port}")

    def forwarders(self) -> list[str]:
        """Return the process ids, on the host, of what carries ports."""
        done = self.guard.engine.cli("top", self.guard.name, "-eo", "pid,args")
        return [row.split()[0] for row in done.stdout.splitlines() if "claudy-forward" in row]

    def events(self) -> str:
        """Return what the guard has logged."""
        return self.guard.log.read_text() if self.guard.log.exists() else ""


@pytest.fixture
def sandbox(engine: Engine, run_label: str, tmp_path: Path) -> Iterator[Sandbox]:
    """Return a sandbox of an image that can carry ports."""
    name = f"sandbox-{run_label}-{secrets.token_hex(3)}"
    for guard in running_guard(engine, run_label, name, tmp_path, image=IMAGE):
        yield Sandbox(guard)


def serve(guard: Guard, *options: str, inner: int = 80, program: str = "/bin/cat") -> str:
    """Start a service that runs a program for each connection, and return its id."""
    command = ["nc", "-ll", "-p", str(inner), "-e", program]
    return guard.cli("run", "-d", *AT_ONCE, *options, "busybox", *command).stdout.strip()


def listen_inside(sandbox: Sandbox, port: int) -> None:
    """Let a program of the sandbox's own listen at a port of localhost and answer `own`."""
    server = (
        "my $s = IO::Socket::INET->new(Listen => 5, ReuseAddr => 1, LocalAddr => '127.0.0.1',"
        f" LocalPort => {port}) or die $!; fork and exit;"
        " while (my $c = $s->accept) { print $c 'own'; close $c }"
    )
    sandbox.guard.engine.cli(
        "exec", "-d", sandbox.guard.name, "perl", "-MIO::Socket::INET", "-e", server
    )
    sandbox.serves(port, "own")


def test_it_listens_when_run_returns_and_no_longer_after_stop(sandbox: Sandbox) -> None:
    full = serve(sandbox.guard, "-p", "18101:80")
    assert sandbox.says(18101, "x") != REFUSED
    wait_for(lambda: sandbox.says(18101, "x" * 9) == "x" * 9, SECONDS, "the service")
    sandbox.guard.cli("stop", "-t", "0", full)
    sandbox.refuses(18101)
    listen_inside(sandbox, 18101)
    assert not sandbox.forwarders()


def test_published_on_loopback_alone(sandbox: Sandbox) -> None:
    full = serve(sandbox.guard, "-p", "127.0.0.1:18102:80", "-p", "127.0.0.1::81")
    assert sandbox.says(18102) != REFUSED
    shown = sandbox.guard.cli("port", full, "80/tcp").stdout
    assert shown == "127.0.0.1:18102\n"
    chosen = sandbox.guard.cli("port", full, "81/tcp").stdout.strip()
    assert chosen.startswith("127.0.0.1:")
    assert sandbox.says(int(chosen.rpartition(":")[2])) != REFUSED
    listed = sandbox.guard.cli("ps", "--filter", f"id={full}", "--format", "{{.Ports}}").stdout
    assert sorted(part.partition("->")[0] for part in listed.strip().split(", ")) == sorted(
        ["127.0.0.1:18102", chosen]
    )
    kept = sandbox.guard.cli("inspect", "-f", "{{json .HostConfig.PortBindings}}", full).stdout
    assert '"HostIp":"127.0.0.1"' in kept
    assert kept.count("HostIp") == 2


def test_services_of_compose_in_their_own_network(sandbox: Sandbox) -> None:
    (sandbox.guard.project / "compose.yaml").write_text(
        "services:\n"
        '  web: {image: busybox, command: nc -ll -p 80 -e /bin/cat, ports: ["18103:80"]}\n'
        '  db: {image: postgres, ports: ["127.0.0.1:15432:5432"]}\n'
    )
    sandbox.guard.cli("compose", "-p", "shop", "up", "-d")
    try:
        assert sandbox.says(18103) != REFUSED
        assert sandbox.says(15432) != REFUSED
        wait_for(lambda: sandbox.says(18103, "page") == "page", SECONDS, "web")
        wait_for(lambda: sandbox.says(15432), SECONDS, "db")
        assert len(sandbox.forwarders()) == 1
    finally:
        sandbox.guard.cli("compose", "-p", "shop", "down", "-v", "-t", "0")
    sandbox.refuses(18103)
    sandbox.refuses(15432)


def test_container_that_ends_by_itself(sandbox: Sandbox) -> None:
    command = ["sh", "-c", "nc -l -p 80 -e /bin/cat"]
    sandbox.guard.cli("run", "-d", "-p", "18104:80", "busybox", *command)
    wait_for(lambda: sandbox.says(18104, "bye") == REFUSED, SECONDS, "its end")


def test_restart_and_a_bind_mount(sandbox: Sandbox) -> None:
    """Before API 1.45 the sandbox is paused while such a container starts."""
    full = serve(sandbox.guard, "-p", "18105:80", "-v", "/workspace/data:/data")
    assert sandbox.says(18105) != REFUSED
    sandbox.guard.cli("restart", "-t", "0", full)
    assert sandbox.says(18105) != REFUSED
    wait_for(lambda: sandbox.says(18105, "again") == "again", SECONDS, "the service")


def test_worker_killed(sandbox: Sandbox) -> None:
    serve(sandbox.guard, "-p", "18106:80")
    (before,) = sandbox.forwarders()
    kill_worker(sandbox.guard)
    wait_for(
        lambda: sandbox.says(18106, "x") == "x" and before not in sandbox.forwarders(),
        SECONDS,
        "another forwarder",
    )
    full = serve(sandbox.guard, "-p", "18107:80")
    assert sandbox.says(18107) != REFUSED
    assert len(sandbox.forwarders()) == 1
    sandbox.guard.cli("kill", full)
    sandbox.refuses(18107)
    assert sandbox.says(18106, "x") == "x"


def test_guard_stopped(sandbox: Sandbox) -> None:
    serve(sandbox.guard, "-p", "18108:80")
    sandbox.guard.stop()
    sandbox.refuses(18108)
    wait_for(lambda: not sandbox.forwarders(), SECONDS, "the forwarder's end")
    sandbox.guard.start()
    wait_for(lambda: sandbox.says(18108, "x") == "x", SECONDS, "the service")


def test_next_session_and_another_project(
    sandbox: Sandbox, engine: Engine, run_label: str, tmp_path: Path
) -> None:
    guard = sandbox.guard
    guard.cli("run", "-d", "-p", "18109:5432", "postgres")
    wait_for(lambda: sandbox.says(18109) not in {"", REFUSED}, SECONDS, "the database")
    engine.cli("rm", "-f", guard.name)
    assert guard.wait() == 0
    (tmp_path / "other").mkdir()
    other = running_guard(engine, run_label, f"{guard.name}-b", tmp_path / "other", image=IMAGE)
    stranger = Sandbox(next(other))
    try:
        guard.start()  # before its sandbox, as a launch does
        engine.cli("run", "-d", "--name", guard.name, "--label", f"claudy.test={run_label}",
                   IMAGE, "sleep", "100000")  # fmt: skip
        wait_for(lambda: sandbox.says(18109) not in {"", REFUSED}, SECONDS, "the database")
        # The stranger's guard has heard of all that by now: it carries what came later.
        serve(stranger.guard, "-p", "18110:80")
        assert stranger.says(18110) != REFUSED
        assert stranger.says(18109) == REFUSED
        assert sandbox.says(18110) == REFUSED
    finally:
        other.close()
        engine.cli("rm", "-f", guard.name, check=False)


def test_port_that_the_sandbox_has_itself(sandbox: Sandbox) -> None:
    listen_inside(sandbox, 18111)
    full = serve(sandbox.guard, "-p", "18111:80", "-p", "18112:81")
    assert sandbox.says(18111) == "own"
    assert sandbox.says(18112) != REFUSED
    wait_for(lambda: "port 18111: something" in sandbox.events(), SECONDS, "a line in the log")
    sandbox.guard.cli("rm", "-f", full)
    sandbox.refuses(18112)
    assert sandbox.says(18111) == "own"


def test_many_ports_are_one_process(sandbox: Sandbox) -> None:
    ports = range(18200, 18240)
    serve(sandbox.guard, *(word for port in ports for word in ("-p", f"{port}:80")))
    assert REFUSED not in {sandbox.says(port) for port in (ports[0], ports[20], ports[-1])}
    assert len(sandbox.forwarders()) == 1


def test_without_ports_nothing_is_started(sandbox: Sandbox) -> None:
    serve(sandbox.guard)
    assert sandbox.guard.engine.cli(
        "inspect", "-f", "{{json .ExecIDs}}", sandbox.guard.name
    ).stdout.strip() in {"null", "[]"}


def test_image_that_can_not(engine: Engine, run_label: str, tmp_path: Path) -> None:
    name = f"sandbox-{run_label}-{secrets.token_hex(3)}"
    for guard in running_guard(engine, run_label, name, tmp_path):
        sandbox = Sandbox(guard)
        for port in (18113, 18114):
            serve(guard, "-p", f"{port}:80")
        lines = [line for line in sandbox.events().splitlines() if "not at localhost" in line]
        assert len(lines) == 1
        assert "/usr/bin/perl" in lines[0]


def test_killed_inside_it_comes_back(sandbox: Sandbox) -> None:
    serve(sandbox.guard, "-p", "18115:80")
    (before,) = sandbox.forwarders()
    os.kill(int(before), signal.SIGKILL)
    wait_for(lambda: sandbox.says(18115, "x") == "x", SECONDS, "another forwarder")
    assert before not in sandbox.forwarders()


@pytest.mark.parametrize(
    "program",
    [
        "exec sleep 1000",
        "exec yes",
        "echo ready; exec yes",
        "echo ready; exec sleep 1000",
        "echo ready; exec tr + ' '",
        "echo ready; while read -r line; do echo 1 listening; done",
        "printf ready; exec tr '\\0' x </dev/zero",
        "echo ready; exec yes >&2",
        "exit 0",
    ],
)
def test_something_else_in_the_place_of_perl(sandbox: Sandbox, program: str) -> None:
    """Whoever is root in the sandbox can do that; only its own localhost suffers."""
    engine, name = sandbox.guard.engine, sandbox.guard.name
    text = f"#!/bin/sh\n{program}\n"
    engine.cli("exec", name, "sh", "-c", f"printf %s {shlex.quote(text)} >/usr/bin/perl")
    full = serve(sandbox.guard, "-p", "18116:80")
    assert sandbox.guard.cli("inspect", "-f", "{{.State.Running}}", full).stdout == "true\n"
    assert "defect" not in sandbox.events()
    sandbox.guard.cli("rm", "-f", full)
    assert sandbox.guard.ask("GET", "/_ping").status == 200


def test_daemon_restarted(sandbox: Sandbox) -> None:
    engine = sandbox.guard.engine
    if engine.place is None:
        pytest.skip("the machine's own engine is not the tests' to stop")
    full = serve(sandbox.guard, "-p", "18117:80")
    with engine.stopped():
        pass
    engine.cli("start", sandbox.guard.name)
    sandbox.guard.cli("start", full)
    assert sandbox.says(18117) != REFUSED
    engine.cli("restart", "-t", "0", sandbox.guard.name)
    wait_for(lambda: sandbox.says(18117, "x") == "x", SECONDS, "the service")


@pytest.mark.parametrize("records", ['{"a":{"published":true}}', '{"a":{"published":false}}', "{}"])
def test_only_with_published_ports_there_is_something_to_wait_for(
    tmp_path: Path, records: str
) -> None:
    where = str(tmp_path)
    settings = Settings(
        listen=f"{where}/listen",
        upstream=f"{where}/upstream",
        project=f"{where}/project",
        project_id="p",
        sandbox="s",
        ledger=f"{where}/ledger",
    )
    opening.begin(settings)
    assert not (tmp_path / opening.FILE).exists()
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / opening.LEDGER_FILE).write_text(f'{{"containers":{records}}}')
    opening.begin(settings)
    assert (tmp_path / opening.FILE).exists() == ("true" in records)
    opening.end(settings)
    assert not (tmp_path / opening.FILE).exists()


def test_the_ledger_is_written_as_it_is_looked_through(tmp_path: Path) -> None:
    Ledger(str(tmp_path), "p").add("containers", "a", published=True)
    assert opening.PUBLISHED in (tmp_path / opening.LEDGER_FILE).read_bytes()
