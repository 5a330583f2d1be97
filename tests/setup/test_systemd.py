"""An installed engine that is stopped is started by systemd, where that is what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.setup.bare import require_root
from tests.setup.systemd import Booted
from tests.setup.tree import copy_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

# What the first run does once it is agreed to, and doctor --fix.
START = """
import http.client, os, socket
from claudy.host.install import plan_start, run_plan, survey

def is_live():
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex("/var/run/docker.sock") == 0

plan = plan_start(survey(env=os.environ, platform="linux", uid=0))
print(is_live(), plan.title, plan.line, sep="|")
run_plan(plan, notify=print, is_live=is_live)
print(is_live())
"""


@pytest.fixture
def booted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Booted]:
    """Return a machine that has booted."""
    require_root(request.config)
    root = tmp_path_factory.mktemp("systemd") / "root"
    root.mkdir()
    machine = Booted(root)
    try:
        machine.boot()
        yield machine
    finally:
        machine.halt()


def test_a_stopped_engine_is_started_and_stays_enabled(booted: Booted) -> None:
    copy_tree(booted.root / "srv/claudy")
    units = ("docker.socket", "docker.service")
    assert booted.run("systemctl", "disable", "--now", *units).returncode == 0
    assert booted.run("systemctl", "is-active", *units).stdout.split() == ["inactive"] * 2
    done = booted.run("env", "PYTHONPATH=/srv/claudy", "python3", "-c", START)
    assert done.returncode == 0, done.stderr
    command = "systemctl enable --now docker"
    assert done.stdout.splitlines() == [
        f"False|Start the Docker engine with systemd|{command}",
        f"{command}  # start it now and at boot",
        "True",
    ]
    for question, answer in (("is-active", "active"), ("is-enabled", "enabled")):
        assert booted.run("systemctl", question, "docker.service").stdout.strip() == answer
    assert booted.run("docker", "info", "--format", "{{.OSType}}").stdout == "linux\n"
