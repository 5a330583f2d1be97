"""Attacks on removals: whoever was handed a directory of what is removed puts links into it.

Engines built with an older Go follow them (golang/go#52745).
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.engines.shell import wait_for
from tests.guard.raw import request
from tests.guard.test_attacks_files import GIVE, TAKE, started

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.guard.conftest import Guard

TRIES = 6
PAIRS = 20
FILES = 20
# A directory at one moment, a link to the host's the next; what was removed is left out.
SWAP = (
    "exec perl -e '$| = 1; $n = `uname -m` =~ /x86/ ? 316 : 276; fork or last for 1 .. 2;"
    'print "ready\\n"; while (1) { syscall($n, -100, "d$_", -100, "e$_", 2) for 1 .. '
    f"{PAIRS} }}'"
)


def swapping(host: Path) -> str:
    """Return a script that swaps directories for links to one of the host, where it is."""
    make = f"for i in $(seq {PAIRS}); do mkdir d$i; echo mine >d$i/file; ln -s {host} e$i; done"
    return f"{make}; {SWAP}"


def remove(guard: Guard, full: str) -> None:
    guard.cli("rm", "-f", full, check=False)


def remove_with_volumes(guard: Guard, full: str) -> None:
    guard.cli("rm", "-fv", full, check=False)


def remove_volume(guard: Guard, full: str) -> None:
    guard.cli("rm", "-f", full)
    guard.cli("volume", "rm", "gift", check=False)


def prune(guard: Guard, full: str) -> None:
    guard.cli("kill", full)
    guard.cli("container", "prune", "-f")


def prune_volumes(guard: Guard, full: str) -> None:
    guard.cli("rm", "-f", full)
    guard.ask("POST", "/volumes/prune?filters=" + quote('{"all":["1"]}'))


def end(guard: Guard, full: str) -> None:
    guard.cli("kill", full)


ROOT: dict[str, Any] = {}
ANONYMOUS = {"Mounts": [{"Type": "volume", "Target": "/v"}]}
NAMED = {"Binds": ["gift:/v"]}
WAYS: dict[str, tuple[Callable[[Guard, str], None], dict[str, Any]]] = {
    "rm": (remove, ROOT),
    "rm -v": (remove_with_volumes, ANONYMOUS),
    "volume rm": (remove_volume, NAMED),
    "container prune": (prune, ROOT),
    "volume prune": (prune_volumes, NAMED),
    "--rm": (end, {"AutoRemove": True}),
    "--rm, its volume": (end, {"AutoRemove": True, **ANONYMOUS}),
}


def over(guard: Guard, full: str) -> bool:
    """Whether a container is gone, or can't be removed, as somebody keeps adding to it."""
    found = request(guard.engine.socket, "GET", f"/containers/{full}/json")
    return found.status == 404 or found.json["State"]["Status"] == "dead"


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("way", WAYS)
def test_links_are_not_followed(guard: Guard, tmp_path: Path, way: str) -> None:
    act, config = WAYS[way]
    host = tmp_path / "host"
    host.mkdir()
    left = set()
    for _ in range(TRIES):
        for number in range(FILES):
            (host / str(number)).touch()
        give = GIVE if "--rm" == way or not config else GIVE.replace('"/"', '"/v"')
        full = started(guard, give, **config)
        near = started(
            guard, TAKE + shlex.quote(swapping(host)), NetworkMode=f"container:{full}"
        )
        act(guard, full)
        wait_for(lambda: over(guard, full), 30, "its end")
        left.add(len(list(host.iterdir())))
        print(left)
        guard.cli("rm", "-f", near)
    request(guard.engine.socket, 'DELETE', '/volumes/gift')
    assert left == {FILES}
