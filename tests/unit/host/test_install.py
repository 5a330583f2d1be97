"""What would be run to get an engine, on machines of every sort."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from claudy.host.install import (
    LOG,
    InstallError,
    InstallPlan,
    Machine,
    Step,
    plan_group,
    plan_install,
    plan_start,
    run_plan,
    survey,
)

if TYPE_CHECKING:
    from pathlib import Path

ITSELF = f"sh -c 'setsid /usr/sbin/dockerd >{LOG} 2>&1 </dev/null &'"
SCRIPT = f"/etc/init.d/docker start || {ITSELF}"
APT = "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends"


def debian(version: str = "12", **known: object) -> Machine:
    return Machine(**{"system": "linux", "distribution": ("debian",), "version": version, **known})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("machine", "line"),
    [
        (
            debian(init="systemd"),
            f"apt-get update && {APT} docker.io iptables && systemctl enable --now docker",
        ),
        (debian(), f"apt-get update && {APT} docker.io iptables && {SCRIPT}"),
        (
            debian("13", init="systemd"),
            (
                f"apt-get update && {APT} docker.io iptables docker-cli"
                " && systemctl enable --now docker"
            ),
        ),
        (
            debian(uid=1000, user="u", has_sudo=True, init="systemd"),
            (
                f"sudo apt-get update && sudo {APT} docker.io iptables"
                " && sudo systemctl enable --now docker"
            ),
        ),
        (
            Machine("wsl2", ("ubuntu", "debian"), "24.04", init="systemd"),
            f"apt-get update && {APT} docker.io iptables && systemctl enable --now docker",
        ),
        (
            Machine("linux", ("fedora",), "41", init="systemd"),
            "dnf install -y moby-engine docker-cli && systemctl enable --now docker",
        ),
        # installed, so only started
        (debian(dockerd="/usr/sbin/dockerd", init="systemd"), "systemctl enable --now docker"),
        (debian(dockerd="/usr/sbin/dockerd", init="script"), SCRIPT),
        (
            debian(dockerd="/usr/sbin/dockerd"),
            ITSELF,
        ),
        (
            debian(dockerd="/usr/sbin/dockerd", uid=1000, has_sudo=True),
            f"sudo {ITSELF}",
        ),
        (Machine("macos", uid=501, app="OrbStack"), "open -a OrbStack"),
    ],
)
def test_commands(machine: Machine, line: str) -> None:
    plan = plan_install(machine)
    assert plan.line == line
    assert all(step.why for step in plan.steps)


@pytest.mark.parametrize(
    ("machine", "part"),
    [
        (debian(uid=1000), "As root: apt-get update"),
        (Machine("linux", ("arch",)), "https://docs.docker.com/engine/install/"),
        (Machine("macos", uid=501), "mac-install"),
        (Machine("windows"), "windows-install"),
    ],
)
def test_what_only_a_person_can_do(machine: Machine, part: str) -> None:
    plan = plan_install(machine)
    assert not plan.steps
    assert part in plan.line
    with pytest.raises(InstallError) as caught:
        run_plan(plan, notify=lambda _: None)
    assert part in caught.value.hint


def test_group_advice_says_what_it_means() -> None:
    plan = plan_group(debian(uid=1000, user="u", has_sudo=True))
    assert plan.line == "sudo usermod -aG docker u"
    assert "root-equivalent" in plan.title


def machine_root(root: Path, *files: str) -> str:
    for name in files:
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    return str(root)


def test_survey(tmp_path: Path) -> None:
    root = machine_root(tmp_path, "/usr/sbin/dockerd", "/usr/bin/sudo", "/etc/init.d/docker")
    (tmp_path / "etc/os-release").write_text('ID=ubuntu\nID_LIKE="debian"\nVERSION_ID="24.04"\n')
    found = survey(env={"USER": "u"}, platform="linux", uid=1000, root=root)
    assert found == Machine(
        system="linux",
        distribution=("ubuntu", "debian"),
        version="24.04",
        uid=1000,
        user="u",
        dockerd="/usr/sbin/dockerd",
        init="script",
        has_sudo=True,
    )
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert survey(env={}, platform="linux", uid=0, root=root).init == "systemd"


def test_survey_of_an_empty_machine(tmp_path: Path) -> None:
    found = survey(env={}, platform="linux", uid=0, root=str(tmp_path))
    assert found == Machine(system="linux", user="0")


def test_survey_of_a_mac(tmp_path: Path) -> None:
    (tmp_path / "Applications/OrbStack.app").mkdir(parents=True)
    found = survey(env={"USER": "u"}, platform="darwin", uid=501, root=str(tmp_path))
    assert (found.system, found.app) == ("macos", "OrbStack")


def test_steps_run_in_order_and_are_announced(tmp_path: Path) -> None:
    target = tmp_path / "out"
    steps = tuple(Step(("sh", "-c", f"echo {word} >>{target}"), word) for word in ("one", "two"))
    said: list[str] = []
    run_plan(InstallPlan("t", steps), notify=said.append, is_live=lambda: True)
    assert target.read_text() == "one\ntwo\n"
    assert [line.rpartition("# ")[2] for line in said] == ["one", "two"]


def test_a_failing_step_ends_it(tmp_path: Path) -> None:
    steps = (Step(("false",), "fail"), Step(("touch", str(tmp_path / "no")), "never"))
    with pytest.raises(InstallError) as caught:
        run_plan(InstallPlan("t", steps), notify=lambda _: None)
    assert caught.value.hint == "false"
    assert not (tmp_path / "no").exists()


def test_what_stands_in_for_a_failing_step_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    step = Step(("false",), "try", otherwise=Step(("touch", str(mark)), "instead"))
    said: list[str] = []
    run_plan(InstallPlan("t", (step,)), notify=said.append)
    assert mark.exists()
    assert said == ["false  # try", "false failed with status 1.", f"touch {mark}  # instead"]


def test_a_missing_program_is_an_error_of_claudys() -> None:
    with pytest.raises(InstallError):
        run_plan(InstallPlan("t", (Step(("no-such-program",), "x"),)), notify=lambda _: None)


def test_a_daemon_gets_a_session_and_a_log_of_its_own(tmp_path: Path) -> None:
    log, ready = tmp_path / "log", tmp_path / "ready"
    script = tmp_path / "daemon"
    script.write_text(
        f"#!{sys.executable}\nimport os\nprint(os.getsid(0), flush=True)\n"
        f"os.rename({str(log)!r}, {str(ready)!r})\n"
    )
    script.chmod(0o755)
    run_plan(
        InstallPlan("t", (Step((str(script),), "daemon", background=True),)),
        notify=lambda _: None,
        is_live=ready.exists,
        log=str(log),
    )
    assert int(ready.read_text()) != os.getsid(0)
    with pytest.raises(InstallError):
        run_plan(
            InstallPlan("t", (Step((str(script),), "daemon", background=True),)),
            notify=lambda _: None,
            log="/nonexistent/log",
        )


def test_start_of_a_mac_is_its_application() -> None:
    assert plan_start(Machine("macos", app="Docker")).line == "open -a Docker"
