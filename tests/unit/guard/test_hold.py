"""How long a guard on few cores waits before it loads what reads requests."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from claudy.guard import supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Keeper:
    """Stands for the supervisor's, which takes the process's signals."""

    stopping = False


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """Return a socket that listens at `docker.sock` below the temporary directory."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "docker.sock"))
        sock.listen()
        yield sock


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[bool]:
    """Return what is found each time that the guard looks after its socket; time stands still."""
    found: list[bool] = []
    real = supervisor.Place.is_taken

    def is_taken(place: supervisor.Place) -> bool:
        found.append(real(place))
        if len(found) == 3:
            (tmp_path / "docker.sock").unlink()
        assert len(found) < 10, "waits for ever"
        return found[-1]

    monkeypatch.setattr(supervisor.Place, "is_taken", is_taken)
    monkeypatch.setattr("claudy.guard.supervisor.time.monotonic", lambda: 0.0)
    return found


def hold(tmp_path: Path, listener: socket.socket) -> None:
    """Hold as the supervisor does."""
    path = tmp_path / "docker.sock"
    place = supervisor.Place(str(tmp_path), path.name, path.stat().st_ino)
    supervisor._hold(listener, place, Keeper())  # type: ignore[arg-type]


@pytest.mark.parametrize(("cores", "found"), [(2, [True, True, True, False]), (8, [])])
def test_until_the_sandbox_has_gone_where_cores_are_few(
    tmp_path: Path,
    listener: socket.socket,
    looks: list[bool],
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    found: list[bool],
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    hold(tmp_path, listener)
    assert looks == found


def test_until_somebody_connects(
    tmp_path: Path,
    listener: socket.socket,
    looks: list[bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "docker.sock"))
        hold(tmp_path, listener)
    assert looks == [True]
