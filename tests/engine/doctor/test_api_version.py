"""Engines and clients without an API version in common: real engines, and claudys of other ages.

A claudy of another age is this one with other bounds; what the engine says to it is real.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from claudy.engine.client import Engine as Client
from claudy.errors import APIError
from claudy.host.endpoint import resolve
from tests.engine.doctor.test_chosen import HELLO, assert_mended, chosen, diagnosed
from tests.engine.doctor.test_image_and_disk import checks
from tests.engines.daemon import start_in_root
from tests.engines.room import holder_of
from tests.engines.shell import stop, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.engines.engine import Engine
    from tests.running.program import Claudy

__all__ = ["chosen"]

TREE = Path(__file__).parents[3]
AGED = """
import sys
sys.path.insert(0, {tree!r})
import claudy.engine.client as client
client.OLDEST, client.NEWEST = {oldest}, {newest}
from claudy.__main__ import main
sys.exit(main())
"""
UPGRADE_CLAUDY = "git pull && ./install.sh, in a clone of claudy"


def aged(claudy: Claudy, oldest: tuple[int, int], newest: tuple[int, int]) -> Claudy:
    """Return a claudy that speaks other versions."""
    code = AGED.format(tree=str(TREE), oldest=oldest, newest=newest)
    found = replace(claudy, command=(sys.executable, "-P", "-c", code))
    # What today's claudy has settled with an engine, one of another version asks again.
    return found.with_environment(XDG_CACHE_HOME=claudy.environment["DOCKER_CONFIG"])


def test_engine_too_old(chosen: Claudy, project: Path) -> None:
    """Only a person can put another engine there."""
    major, _, minor = chosen.engine.api_version.partition(".")
    newer = (int(major), int(minor) + 1)
    found = diagnosed(aged(chosen, newer, (1, 99)), project)
    assert found["finding"] == "api-mismatch"
    assert f"speaks {chosen.engine.api_version}, claudy {newer[0]}.{newer[1]}" in found["seen"]
    assert found["remedy"].startswith("Upgrade the Docker engine: https://")
    assert_mended(chosen, "true", project)


def test_asked_for_more_than_it_speaks(engine: Engine) -> None:
    """In the engine's own words, whatever the request."""
    endpoint = resolve(env={"DOCKER_HOST": engine.host}, home="/", platform=sys.platform, uid=0)
    client = Client(endpoint, api="1.99")
    with pytest.raises(APIError, match=r"in common: client version 1\.99 is too new") as caught:
        client.call("GET", "/info")
    client.close()
    assert caught.value.code == "api-mismatch"
    assert caught.value.hint.startswith("Upgrade the Docker engine")


@pytest.fixture
def demanding(engine: Engine, tmp_path: Path) -> Iterator[str]:
    """Return the DOCKER_HOST of an engine that speaks its newest version alone."""
    if engine.place is None or engine.name != "26.1":
        pytest.skip("needs --engine 26.1: older ones have no DOCKER_MIN_API_VERSION")
    holder = holder_of(engine.place)
    assert holder
    socket = tmp_path / "demanding.sock"
    command = [
        # Without a bridge it would remove docker0, which is the other engine's.
        *("unshare", "--net", "env", f"DOCKER_MIN_API_VERSION={engine.api_version}", "dockerd"),
        *("--config-file=/dev/null", "--bridge=none", "--iptables=false"),
        *(f"--data-root={tmp_path}/data", f"--exec-root={tmp_path}/exec"),
        *(f"--pidfile={tmp_path}/docker.pid", f"--host=unix://{socket}"),
    ]
    root = (engine.place.run / "root").resolve()
    pid = start_in_root(engine.place, holder, root, command, tmp_path / "demanding.log")
    try:
        client = Client(
            resolve(env={"DOCKER_HOST": f"unix://{socket}"}, home="/", platform="linux", uid=0)
        )
        wait_for(lambda: socket.exists() and bool(client.ping()), 30, "the demanding engine")
        client.close()
        yield f"unix://{socket}"
    finally:
        stop(pid, seconds=20)


def test_engine_too_new(chosen: Claudy, project: Path, demanding: str) -> None:
    """It refuses everything older; the claudy of today is new enough."""
    major, _, minor = chosen.engine.api_version.partition(".")
    newest = (int(major), int(minor) - 1)
    choice = chosen.with_environment(DOCKER_HOST=demanding)
    older = aged(choice, (1, 41), newest)
    found = diagnosed(older, project)
    assert (found["finding"], found["remedy"]) == ("api-mismatch", UPGRADE_CLAUDY)
    assert f"Minimum supported API version is {chosen.engine.api_version}" in found["seen"]
    answer = choice.run("doctor", "--json", "answer", cwd=project)
    assert checks(answer.text)["answer"]["data"] == {
        "api": chosen.engine.api_version,
        "min_api": chosen.engine.api_version,
    }


@pytest.mark.parametrize("mode", ["guard", "host"])
def test_the_docker_command_inside_asks_for_more(claudy: Claudy, project: Path, mode: str) -> None:
    """DOCKER_API_VERSION fixes the version of the docker command, and comes in as a setting."""
    fixed = claudy.with_environment(CLAUDY_ENV="DOCKER_API_VERSION=1.99", CLAUDY_DOCKER=mode)
    doctor = fixed.run("doctor", "--json", "tools", cwd=project)
    assert doctor.code == 1, doctor.text
    found = checks(doctor.text)["tools"]
    assert found["finding"] == "api-mismatch"
    assert "client version 1.99 is too new" in found["seen"]
    assert found["remedy"] == (
        "Take DOCKER_API_VERSION=1.99 out of the setting env (from: CLAUDY_ENV)."
    )
    mended = fixed.with_environment(CLAUDY_ENV=None)
    assert mended.run("doctor", "--json", "tools", cwd=project).code == 0


def test_docker_api_version_of_this_machine_is_not_claudys(chosen: Claudy, project: Path) -> None:
    """It is for the docker command here; claudy settles the version with the engine."""
    fixed = chosen.with_environment(DOCKER_API_VERSION="1.99")
    assert fixed.run(*HELLO, cwd=project).text == "hello from inside\n"
