"""ps, status, logs, stats, stop, restart, rm and prune, on a real engine."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from claudy.containers.lifecycle import Registry
from claudy.containers.pruning import find_unused
from claudy.engine.client import Engine as Client
from claudy.host.endpoint import resolve
from claudy.image.reference import bundled_reference
from tests.engines.shell import EngineError, wait_for

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engines.engine import Engine
    from tests.running.program import Claudy, Done

SECONDS = 30
# Quick to start (half of a start is making a network), and independent of the image that others
# build.
PLAIN = (
    "--docker", "none", "--image", "busybox:latest", "--pull", "never", "--network", "host"
)  # fmt: skip
COMPOSE = """\
services:
  web:
    image: busybox
    command: >-
      sh -c "echo one; echo two; echo three; echo bad >&2; trap 'exit 0' TERM; sleep 1000 & wait"
    ports: ["127.0.0.1::80"]
    stop_signal: TERM
    healthcheck: {test: ["CMD", "true"], interval: 1s}
  worker:
    image: busybox
    command: sleep 1000
    init: true
"""


@contextmanager
def session(
    claudy: Claudy, project: Path, *options: str, command: tuple[str, ...] = ("cat",)
) -> Iterator[subprocess.Popen[bytes]]:
    """Have a session open; by default one that ends with its standard input."""
    with claudy.start(*PLAIN, *options, "--", *command, cwd=project) as process:
        assert process.stdin
        assert process.stdout
        if command == ("cat",):
            process.stdin.write(b"open\n")
            assert process.stdout.read(5) == b"open\n"
        yield process
        process.stdin.close()
        process.wait(SECONDS)


@contextmanager
def kept(claudy: Claudy, project: Path) -> Iterator[dict[str, Any]]:
    """Have a sandbox without a session."""
    done = claudy.run(*PLAIN, "--keep", "--", "true", cwd=project)
    assert done.code == 0, done.said
    try:
        yield claudy.sandboxes(project).only()
    finally:
        claudy.run("rm", "--yes", cwd=project)


def said_json(done: Done) -> dict[str, Any]:
    """Return the one object on standard output."""
    assert done.text.count("\n") == 1, done.text
    found = json.loads(done.text)
    assert found["schema"] == 1
    return dict(found)


def listed(claudy: Claudy, project: Path) -> list[dict[str, Any]]:
    """Return what `claudy ps` says of a project."""
    found = said_json(claudy.run("ps", "--json", cwd="/"))["sandboxes"]
    return [one for one in found if one["project"] == str(project)]


def foreign(engine: Engine, label: str, *options: str) -> str:
    """Run a container that is nobody's business of claudy; returns its name."""
    name = f"foreign-{label.rpartition('=')[2]}"
    engine.cli("run", "-d", "--name", name, "--label", label, *options, "busybox", "sleep", "1000")
    return name


# -- reading -------------------------------------------------------------------------------------


def test_ps_lists_sandboxes_and_counts_sessions(claudy: Claudy, project: Path) -> None:
    with session(claudy, project):
        claudy.sandboxes(project).wait_running()  # its output may be earlier than the engine's word
        (one,) = listed(claudy, project)
        container = claudy.sandboxes(project).only()
        assert one["name"] == container["Name"].lstrip("/")
        assert one["id"] == container["Id"]
        assert one["state"] == "running"
        assert one["sessions"] == 1
        assert 0 <= one["uptime_seconds"] <= 60
        assert one["image"]
        with session(claudy, project):
            assert listed(claudy, project)[0]["sessions"] == 2
        assert listed(claudy, project)[0]["sessions"] == 1
        lines = claudy.run("ps", cwd=project).text.splitlines()
        assert lines[0].split() == [
            "NAME", "PROJECT", "SESSIONS", "STATUS", "UPTIME", "IMAGE", "PORTS",
        ]  # fmt: skip
        (row,) = (line for line in lines if one["name"] in line)
        assert re.match(rf"{one['name']}  +{re.escape(str(project))}  +1  +running  +\d+s ", row)
    claudy.sandboxes(project).wait_gone()
    assert listed(claudy, project) == []


def test_ps_knows_no_sessions_of_another_user(
    claudy: Claudy, project: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "run"
    elsewhere.mkdir(mode=0o700)
    other = claudy.with_environment(XDG_RUNTIME_DIR=str(elsewhere))
    with session(claudy, project):
        assert listed(other, project)[0]["sessions"] is None


def test_a_copy_of_a_sandbox_is_none(
    claudy: Claudy, project: Path, engine: Engine, label: str
) -> None:
    with session(claudy, project):
        name = claudy.sandboxes(project).only()["Name"].lstrip("/")
        copy = f"claudy-copy-{name[-8:]}"
        engine.cli("commit", "--change", f"LABEL {label.replace('=', ' ')}", name, copy)
        engine.cli("run", "-d", "--name", copy, "--entrypoint", "sleep", copy, "1000")
        assert [one["name"] for one in listed(claudy, project)] == [name]
        done = claudy.run("rm", "--yes", copy, cwd="/")
        assert (done.code, done.out) == (2, b"")
        engine.cli("rm", "-f", copy)


def test_status_says_all_of_a_sandbox(claudy: Claudy, project: Path, engine: Engine) -> None:
    options = ("--memory", "64m", "--cpus", "0.5", "--network", "bridge", "-p", "127.0.0.1::80")
    with session(claudy, project, *options):
        found = said_json(claudy.run("status", "--json", cwd=project))
        assert found["engine"]["version"].startswith(engine.version)
        assert found["engine"]["endpoint"] == engine.host
        assert found["engine"]["source"] == "DOCKER_HOST"
        (one,) = found["containers"]
        container = claudy.sandboxes(project).only()
        assert one["id"] == container["Id"]
        assert (one["state"], one["health"], one["exit_code"]) == ("running", None, None)
        assert one["started"][:19] == container["State"]["StartedAt"][:19]
        assert one["limits"] == {"cpus": 0.5, "memory": 64 << 20}
        (bound,) = container["NetworkSettings"]["Ports"]["80/tcp"]
        assert one["ports"] == [
            {
                "internal": 80,
                "external": int(bound["HostPort"]),
                "address": "127.0.0.1",
                "protocol": "tcp",
            }
        ]
        assert one["sessions"] == 1
        if measures(engine, container["Id"]):
            assert one["usage"]["memory_limit"] == 64 << 20
            assert 0 < one["usage"]["memory"] < 64 << 20
            assert one["usage"]["processes"] >= 2
        else:
            assert one["usage"] is None

        text = claudy.run("status", cwd=project).text
        assert f"engine   {found['engine']['version']} (API " in text
        assert f"127.0.0.1:{bound['HostPort']}->80/tcp" in text
        assert re.search(r"uptime    \d+s\n", text)
        assert one["id"][:12] in text


def test_status_without_a_sandbox_tells_of_the_engine(
    claudy: Claudy, project: Path, engine: Engine
) -> None:
    done = claudy.run("status", cwd=project)
    assert done.code == 0
    assert engine.version in done.text
    assert "sandbox  none is running" in done.text
    assert said_json(claudy.run("status", "--json", cwd=project))["containers"] == []


def measures(engine: Engine, container: str) -> bool:
    """Whether the engine itself has figures; on a host with odd cgroups it may have none."""
    try:
        query = {"stream": "0", "one-shot": "1"}
        found = engine.api.request("GET", f"/containers/{container}/stats", query)
    except EngineError:
        return False
    return bool(found.get("memory_stats"))


def test_stats_measure_what_is_used(claudy: Claudy, project: Path, engine: Engine) -> None:
    # Works until its input ends.
    busy = ("sh", "-c", "echo open; (while :; do :; done) & cat; kill $!")
    with session(claudy, project, command=busy) as process:
        assert process.stdout
        assert process.stdout.read(5) == b"open\n"
        container = claudy.sandboxes(project).only()
        name = container["Name"].lstrip("/")
        done = claudy.run("stats", cwd=project)
        found = said_json(claudy.run("stats", "--json", cwd=project))["containers"]
        assert done.code == 0
        if not measures(engine, container["Id"]):
            assert found == []
            assert "The engine can't tell" in done.said
            return
        (one,) = found
        assert one["name"] == name
        assert one["cpu_percent"] > 5
        assert one["memory"] > 0
        lines = done.text.splitlines()
        assert len(lines) == 2
        assert name in lines[1]


def service(engine: Engine, label: str, project: Path, script: str) -> str:
    """Run a container as compose labels those of a project; returns its name."""
    name = f"service-{label.rpartition('=')[2]}"
    marks = {"project.working_dir": str(project), "service": "job", "project": "project"}
    labels = [f"--label=com.docker.compose.{key}={value}" for key, value in marks.items()]
    engine.cli("run", "-d", "-i", "--name", name, "--label", label, *labels,
               "busybox", "sh", "-c", script)  # fmt: skip
    return name


def test_logs_are_what_was_written(
    claudy: Claudy, project: Path, engine: Engine, label: str
) -> None:
    script = "printf 'a\nb\nc\n'; echo e >&2; while [ ! -e /go ]; do sleep 0.05; done; echo later"
    name = service(engine, label, project, script)

    def logs(*options: str) -> Done:
        return claudy.run("logs", *options, cwd=project)

    wait_for(lambda: logs().err == b"e\n", SECONDS, "standard error in the log")
    for words in ((), (name,), ("job",)):
        assert logs(*words).out == b"a\nb\nc\n"
    assert logs("-n", "0").out == b""
    tail = logs("-n", "2")
    assert len(tail.out + tail.err) == 4
    with claudy.start("logs", "--follow", "job", cwd=project) as follower:
        assert follower.stdout
        seen = b""
        while seen != b"a\nb\nc\n":
            seen += follower.stdout.read(6 - len(seen))
        engine.cli("exec", name, "touch", "/go")
        rest = b""
        while data := follower.stdout.read(100):
            rest += data
        assert rest == b"later\n"
        assert follower.wait(SECONDS) == 0


def test_a_sandbox_has_no_log(claudy: Claudy, project: Path) -> None:
    with session(claudy, project):
        name = claudy.sandboxes(project).only()["Name"].lstrip("/")
        done = claudy.run("logs", name, cwd="/")
        assert (done.code, done.out) == (125, b"")
        assert f"The engine keeps no log of {name}" in done.said
        assert claudy.run("logs", cwd=project).code == 0


def test_nobody_reading_the_log_ends_it_quietly(
    claudy: Claudy, project: Path, engine: Engine, label: str
) -> None:
    service(engine, label, project, "seq 200000; exec sleep 1000")
    with claudy.start("logs", "-f", cwd=project) as follower:
        assert follower.stdout
        assert follower.stdout.read(10)
        follower.stdout.close()
        assert follower.wait(SECONDS) == 141
        assert follower.stderr
        assert follower.stderr.read() == b""


# -- changing ------------------------------------------------------------------------------------


def test_stopping_a_sandbox_with_sessions_asks(claudy: Claudy, project: Path) -> None:
    with session(claudy, project) as process:
        name = claudy.sandboxes(project).only()["Name"].lstrip("/")
        done = claudy.run("stop", cwd=project)
        assert done.code == 2
        assert f"1 session is open in {name} and would end." in done.said
        assert "--yes" in done.said
        assert process.poll() is None

        done = claudy.run("stop", "--yes", cwd=project)
        assert (done.code, done.text) == (0, f"{name}\n"), done.said
        assert process.wait(SECONDS) == 143
    assert claudy.sandboxes(project).all() == []


def test_what_runs_in_a_stopped_sandbox_gets_a_term(claudy: Claudy, project: Path) -> None:
    script = "trap 'echo bye >bye; exit 0' TERM; echo open; while :; do sleep 0.05; done"
    for joined in (False, True):
        with session(claudy, project), session(claudy, project, command=("sh", "-c", script)) as it:
            assert it.stdout
            assert it.stdout.read(5) == b"open\n"
            assert claudy.run("stop", "-y", cwd=project).code == 0
        bye = project / "bye"
        assert bye.read_text() == "bye\n", joined
        bye.unlink()


def test_the_shell_on_a_terminal_goes_with_the_sandbox(claudy: Claudy, project: Path) -> None:
    with claudy.terminal(*PLAIN, cwd=project) as terminal:
        terminal.enter("echo open-$((40+2))")
        terminal.expect("open-42")
        before = claudy.sandboxes(project).only()["Id"]
        done = claudy.run("stop", "-y", "--time", "60", cwd=project)
        assert done.code == 0, done.said
        code, number = terminal.end()
        assert number is None
        assert code is not None
        assert code > 128
        assert before


def test_a_terminal_is_asked(claudy: Claudy, project: Path) -> None:
    with session(claudy, project) as process:
        with claudy.terminal("stop", cwd=project) as terminal:
            terminal.expect("[y/N] ")
            terminal.enter("n")
            assert terminal.end() == (125, None)
        assert process.poll() is None
        with claudy.terminal("stop", cwd=project) as terminal:
            terminal.expect("[y/N] ")
            terminal.enter("yes")
            assert terminal.end() == (0, None)
        assert process.wait(SECONDS) == 143


def test_a_kept_sandbox_outlives_its_sessions_and_is_stopped_unasked(
    claudy: Claudy, project: Path
) -> None:
    with kept(claudy, project) as container:
        assert container["State"]["Running"]
        assert listed(claudy, project)[0]["sessions"] == 0
        done = claudy.run(*PLAIN, "--", "sh", "-c", "exit 3", cwd=project)
        assert done.code == 3, done.said
        assert claudy.sandboxes(project).only()["Id"] == container["Id"]
        assert claudy.run("stop", cwd=project).code == 0
        assert claudy.sandboxes(project).all() == []
    done = claudy.run("stop", cwd=project)
    assert (done.code, done.out) == (0, b"")
    assert "There is no sandbox of" in done.said


def test_restarting_is_for_kept_sandboxes(claudy: Claudy, project: Path) -> None:
    with session(claudy, project) as process:
        done = claudy.run("restart", "--yes", cwd=project)
        assert done.code == 125
        assert "--recreate" in done.said
        assert process.poll() is None
    claudy.sandboxes(project).wait_gone()
    with kept(claudy, project) as before:
        assert claudy.run("restart", cwd=project).code == 2
        with session(claudy, project) as process:
            done = claudy.run("restart", "-y", cwd=project)
            assert done.code == 0, done.said
            assert process.wait(SECONDS) == 143
        after = claudy.sandboxes(project).only()
        assert after["Id"] == before["Id"]
        assert after["State"]["StartedAt"] > before["State"]["StartedAt"]
        done = claudy.run(*PLAIN, "--", "echo", "again", cwd=project)
        assert (done.code, done.text) == (0, "again\n")
        assert claudy.sandboxes(project).only()["Id"] == before["Id"]


def test_restarting_lets_the_first_session_end(claudy: Claudy, project: Path) -> None:
    with session(claudy, project, "--keep") as process:
        done = claudy.run("restart", "-y", cwd=project)
        assert done.code == 0, done.said
        assert process.wait(SECONDS) == 143
        assert claudy.sandboxes(project).only()["State"]["Running"]
    assert claudy.run("rm", "-y", cwd=project).code == 0


def test_removing_asks_and_takes_the_home_only_if_told(
    claudy: Claudy, project: Path, engine: Engine
) -> None:
    with kept(claudy, project) as container:
        name = container["Name"].lstrip("/")
        home = f"claudy-home-{name.removeprefix('claudy-')}"
        done = claudy.run("rm", cwd=project)
        assert done.code == 2
        assert "--yes" in done.said
        assert claudy.sandboxes(project).all()
        assert claudy.run("rm", "-y", cwd=project).text == f"{name}\n"
        assert claudy.sandboxes(project).all() == []
        assert engine.cli("volume", "inspect", home).returncode == 0
        done = claudy.run("rm", "--volumes", cwd=project)
        assert done.code == 2
        assert "History, caches and logins" in done.said
        assert claudy.run("rm", "--volumes", "-y", cwd=project).text == f"{home}\n"
        assert engine.cli("volume", "inspect", home, check=False).returncode == 1
        done = claudy.run("rm", "-y", cwd=project)
        assert (done.code, done.out) == (0, b"")
    done = claudy.run(*PLAIN, "--", "echo", "anew", cwd=project)
    assert (done.code, done.text) == (0, "anew\n")


def test_the_home_of_a_running_sandbox_stays(claudy: Claudy, project: Path, engine: Engine) -> None:
    """`rm --volumes` by name of a second sandbox: the first one has the same home."""
    with session(claudy, project), session(claudy, project, "--new"):
        second = next(one["name"] for one in listed(claudy, project) if one["name"][-2:] == "-2")
        done = claudy.run("rm", "--volumes", "-y", second, cwd="/")
        assert done.code == 125
        assert "in use by another sandbox" in done.said
        assert [one["name"] for one in listed(claudy, project)] == [second[:-2]]
    assert engine.cli("volume", "ls", "-q").returncode == 0


@pytest.mark.parametrize("command", ["status", "logs", "stats", "stop", "restart", "rm"])
def test_what_is_not_claudy_s_is_refused(
    claudy: Claudy, project: Path, engine: Engine, label: str, command: str
) -> None:
    name = foreign(engine, label)
    yes = ["--yes"] if command in ("stop", "restart", "rm") else []
    started = engine.cli("inspect", "-f", "{{.State.StartedAt}}", name).stdout
    for shown in (name, engine.cli("inspect", "-f", "{{.Id}}", name).stdout.strip()[:12]):
        done = claudy.run(command, *yes, shown, cwd=project)
        assert (done.code, done.out) == (2, b"")
        assert f"{shown} is not claudy's" in done.said
    assert engine.cli("inspect", "-f", "{{.State.StartedAt}}", name).stdout == started
    done = claudy.run(command, *yes, "no-such-thing", cwd=project)
    assert (done.code, done.out) == (2, b"")
    assert "There is no container named 'no-such-thing'" in done.said


# -- what the sandbox started --------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["host", "guard"])
def test_compose_services_of_the_project(
    claudy: Claudy, project: Path, engine: Engine, mode: str
) -> None:
    (project / "compose.yaml").write_text(COMPOSE)
    inside = ("--docker", mode, "--", "docker", "compose")
    up = claudy.run(*inside, "up", "-d", "--wait", cwd=project, timeout=600)
    assert up.code == 0, up.said
    try:
        with claudy.start("--docker", mode, "--", "cat", cwd=project) as process:
            assert process.stdin
            claudy.sandboxes(project)
            wait_for(lambda: len(listed(claudy, project)) == 1, SECONDS, "the sandbox")
            everything = said_json(claudy.run("ps", "--all", "--json", cwd="/"))["sandboxes"]
            (sandbox,) = (one for one in everything if one["project"] == str(project))
            names = {one["name"] for one in sandbox["containers"]}
            assert names == {"project-web-1", "project-worker-1"}
            assert "\n  project-web-1 " in claudy.run("ps", "-a", cwd=project).text
            process.stdin.close()
            process.wait(SECONDS)
        wait_for(lambda: not listed(claudy, project), SECONDS, "the sandbox to go")

        found = said_json(claudy.run("status", "--json", cwd=project))["containers"]
        (web,) = (one for one in found if one["name"] == "project-web-1")
        assert (web["state"], web["health"], web["sandbox"]) == ("running", "healthy", False)
        # Behind the guard also where the sandbox finds it, whose own 127.0.0.1 is another one.
        ports = {port["address"]: port for port in web["ports"]}
        assert len(ports) == (2 if mode == "guard" else 1)
        assert ports["127.0.0.1"]["internal"] == 80
        assert ports["127.0.0.1"]["external"]

        assert claudy.run("logs", "web", "-n", "2", cwd=project).out.count(b"\n") <= 2
        assert claudy.run("logs", "web", cwd=project).out == b"one\ntwo\nthree\n"
        assert claudy.run("logs", "project-web-1", cwd=project).err == b"bad\n"
        used = said_json(claudy.run("stats", "--json", cwd=project))["containers"]
        wanted = names if measures(engine, "project-web-1") else set()
        assert {one["name"] for one in used} == wanted

        assert claudy.run("restart", "web", cwd=project).code == 2
        done = claudy.run("restart", "-y", "web", cwd=project)
        assert (done.code, done.text) == (0, "project-web-1\n")
        assert claudy.run("stop", "web", cwd=project).code == 0
        state = "{{.State.Status}} {{.State.ExitCode}}"
        assert engine.cli("inspect", "-f", state, "project-web-1").stdout == "exited 0\n"
        assert claudy.run("rm", "-y", "web", cwd=project).code == 0
        assert engine.cli("inspect", "project-web-1", check=False).returncode == 1
        # The same name means nothing in another project.
        assert claudy.run("stop", "worker", cwd="/").code == 2
    finally:
        down = claudy.run(*inside, "down", "-v", "--timeout", "1", cwd=project)
    assert down.code == 0, down.said


# -- prune ---------------------------------------------------------------------------------------


@pytest.fixture
def own_engine(engine: Engine) -> Engine:
    """Return the engine if the tests have made it: prune is about all that is on one."""
    if engine.place is None:
        pytest.skip("prunes an engine, and this one is not the tests' own")
    return engine


def test_prune_takes_what_nobody_uses(
    claudy: Claudy, project: Path, own_engine: Engine, label: str
) -> None:
    engine, mark = own_engine, label.rpartition("=")[2]
    dead, probe, young = f"claudy-dead-{mark}", f"claudy-probe-{mark}", f"claudy-young-{mark}"
    passed_on = f"passed-on-{mark}"
    ours = ["--label", label, "--label", f"claudy.project={project}/gone"]
    engine.cli("run", "--name", dead, *ours, "--label", f"claudy.sandbox={dead}", "busybox", "true")
    engine.cli(
        "run", "--name", probe, "--label", label, "--label", "claudy.probe=x", "busybox", "true"
    )
    # As a container made from an image with that label.
    engine.cli(
        "run", "--name", passed_on, "--label", label, "--label", "claudy.probe=x", "busybox", "true"
    )
    engine.cli("create", "--name", young, *ours, "--label", f"claudy.sandbox={young}", "busybox")
    other = foreign(engine, label)
    stopped = f"stopped-{mark}"
    engine.cli("run", "--name", stopped, "--label", label, "busybox", "true")
    old, derived = f"hal9000:{mark[-8:]:0>16}", f"claudy-user:{mark[-8:]:0>16}"
    engine.cli("commit", "--change", f"LABEL {label}", stopped, old)
    change = ["LABEL claudy.image=user", "LABEL claudy.base=sha256:gone", f"LABEL {label}"]
    changes = [word for one in change for word in ("--change", one)]
    engine.cli("commit", *changes, stopped, derived)
    mine = f"hal9000:mine-{mark}"
    engine.cli("tag", "busybox", mine)
    home = f"claudy-home-{mark}"
    engine.cli("volume", "create", "--label", label, "--label", "claudy.project=/gone", home)

    def found(*options: str) -> set[str]:
        done = claudy.run("prune", "--dry-run", "--json", *options, cwd="/")
        return {one["name"] for one in said_json(done)["would_remove"]}

    with session(claudy, project):
        sandbox = claudy.sandboxes(project).only()["Name"].lstrip("/")
        wanted = {dead, probe, old, derived}
        kept_ones = {young, other, stopped, passed_on, mine, sandbox, bundled_reference(), home}
        assert found() >= wanted
        assert not found() & kept_ones
        assert found("--volumes") >= wanted | {home}

        done = claudy.run("prune", cwd="/")
        assert done.code == 2
        assert "--yes" in done.said
        assert dead in done.said
        assert found() >= wanted

        done = claudy.run("prune", "-y", "--json", cwd="/")
        assert done.code == 0, done.said
        assert {one["name"] for one in said_json(done)["removed"]} >= wanted
        names = engine.cli("ps", "-a", "--format", "{{.Names}}").stdout.split()
        assert {young, other, stopped, sandbox} <= set(names)
        assert not {dead, probe} & set(names)
        tags = engine.cli("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
        assert mine in tags
        assert not {old, derived} & set(tags)
        assert home in engine.cli("volume", "ls", "-q").stdout.split()

        assert claudy.run("prune", "--volumes", "-y", cwd="/").code == 0
        assert home not in engine.cli("volume", "ls", "-q").stdout.split()
    engine.cli("rmi", mine)


def test_a_sandbox_whose_claudy_was_killed_with_its_watcher_is_unused(
    claudy: Claudy, project: Path
) -> None:
    lasting = ("sh", "-c", "echo open; sleep 1000")
    with session(claudy, project, command=lasting) as process:
        assert process.stdout
        assert process.stdout.read(5) == b"open\n"
        children = f"/proc/{process.pid}/task/{process.pid}/children"
        with open(children) as file:
            watchers = [int(pid) for pid in file.read().split()]
        assert watchers
        for pid in (*watchers, process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait(SECONDS)
    (one,) = listed(claudy, project)
    assert one["sessions"] == 0

    env = claudy.environment
    endpoint = resolve(env=env, home=env["HOME"], platform="linux", uid=os.getuid())
    client = Client(endpoint)
    registry = Registry(client, env, os.getuid())

    def unused(later: float) -> set[str]:
        return {u.name for u in find_unused(client, registry, now=time.time() + later)}

    assert one["name"] not in unused(0)
    assert one["name"] in unused(3600)
    client.close()
    assert claudy.run("rm", "-y", cwd=project).code == 0


def test_what_is_known_of_a_sandbox_that_has_gone_is_forgotten(
    claudy: Claudy, project: Path, own_engine: Engine
) -> None:
    lasting = ("sh", "-c", "echo open; sleep 1000")
    for command in ("rm", "prune"):
        with session(claudy, project, command=lasting) as process:
            assert process.stdout
            assert process.stdout.read(5) == b"open\n"
            children = f"/proc/{process.pid}/task/{process.pid}/children"
            with open(children) as file:
                watchers = [int(pid) for pid in file.read().split()]
            for pid in (*watchers, process.pid):
                os.kill(pid, signal.SIGKILL)
            process.wait(SECONDS)
        own_engine.cli("rm", "-f", claudy.sandboxes(project).only()["Id"])
        registry = os.path.join(claudy.environment["XDG_RUNTIME_DIR"], "claudy")
        assert any(claudy.sandboxes(project).id in name for name in os.listdir(registry))
        assert claudy.run(command, "-y", cwd=project).code == 0
        assert not any(claudy.sandboxes(project).id in name for name in os.listdir(registry))
    assert own_engine.api.answers()


# -- which engine, and none ----------------------------------------------------------------------


def test_the_engine_can_be_named(claudy: Claudy, project: Path, engine: Engine) -> None:
    nowhere = claudy.with_environment(DOCKER_HOST="unix:///nonexistent.sock")
    with session(claudy, project):
        for before, after in ((["-H", engine.host], []), ([], ["--host", engine.host])):
            done = nowhere.run(*before, "ps", *after, cwd=project)
            assert str(project) in done.text, done.said
    done = nowhere.run("ps", "-H", engine.host, "-c", "default", cwd=project)
    assert done.code == 2


@pytest.mark.parametrize(
    "command", ["ps", "status", "logs", "stats", "stop", "restart", "rm", "prune"]
)
def test_without_an_engine_its_error_is_said(claudy: Claudy, project: Path, command: str) -> None:
    nowhere = claudy.with_environment(DOCKER_HOST="unix:///nonexistent.sock")
    done = nowhere.run(command, cwd=project)
    assert (done.code, done.out) == (125, b"")
    assert "unix:///nonexistent.sock" in done.said
    assert "Traceback" not in done.said
    if command in ("ps", "status", "stats", "prune"):
        done = nowhere.run(command, "--json", cwd=project)
        assert (done.code, done.err) == (125, b"")
        assert said_json(done)["error"]["code"] == "socket-missing"


@pytest.mark.once
def test_an_engine_that_hangs_is_given_up(claudy: Claudy, project: Path, hang: str) -> None:
    done = claudy.with_environment(DOCKER_HOST=hang).run("ps", "--json", cwd=project)
    assert done.code == 125
    assert said_json(done)["error"]["code"] == "engine-hangs"
