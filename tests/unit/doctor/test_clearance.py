"""What may be cleared away from the socket's path, on real files and sockets."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from claudy.doctor.fixes.socket import clearance

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_there(tmp_path: Path) -> None:
    assert clearance(str(tmp_path / "none")) == ()


def test_an_empty_directory_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    path.mkdir()
    assert clearance(str(path)) == ("rmdir", str(path))


def test_a_directory_with_something_in_it_stays(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    path.mkdir()
    (path / "file").write_text("mine")
    assert clearance(str(path)) == ()


def test_a_file_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    path.write_text("whose?")
    assert clearance(str(path)) == ("mv", str(path), f"{path}.old")


def test_a_link_stays(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    path.symlink_to("nowhere")
    assert clearance(str(path)) == ()


def test_a_stale_socket_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    assert clearance(str(path)) == ("rm", str(path))


def test_a_live_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert clearance(str(path)) == ()


def test_a_socket_that_is_only_bound_stays(tmp_path: Path) -> None:
    """Its owner may be about to listen: refusing connections alone proves nothing."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert clearance(str(path)) == ()
