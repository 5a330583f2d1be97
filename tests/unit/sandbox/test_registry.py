"""Seats and locks, with real processes that end in every way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from claudy.errors import ClaudyError
from claudy.host.endpoint import Endpoint
from claudy.sandbox.registry import _FORMAT, Seat, open_sessions, runtime_dir, seat_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "claudy-app-01234567@abcdef01"
_SITTER = """
import sys
from claudy.sandbox.registry import Seat
seat = Seat(sys.argv[1], sys.argv[2], sys.argv[3])
seat.lock()
seat.take()
if sys.argv[4] == "open": seat.unlock()
print("sits", flush=True)
sys.stdin.readline()
if sys.argv[4] == "open": seat.lock()
seat.leave()
seat.clear()
seat.unlock()
"""
# Enters, counts up without any lock but the seat's, and leaves: a lost update shows a hole in it.
_COUNTER = """
import os, sys
from claudy.sandbox.registry import Seat
base, name, file = sys.argv[1:4]
for _ in range(25):
    seat = Seat(base, name, os.urandom(8).hex())
    seat.lock()
    seat.take()
    with open(file) as old: value = int(old.read())
    with open(file, "w") as new: new.write(str(value + 1))
    seat.leave()
    seat.clear()
    seat.unlock()
"""


@pytest.fixture
def base(tmp_path: Path) -> str:
    return str(tmp_path)


class Sitter:
    """A process with a seat.

    Args:
        base: the runtime directory.
        session: its session.
        keeps: whether it keeps the sandbox's lock.
    """

    def __init__(self, base: str, session: str, *, keeps: bool = False) -> None:
        mode = "locked" if keeps else "open"
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SITTER, base, NAME, session, mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == b"sits\n"

    def end(self, number: int = 0) -> None:
        """Leave in order, or by a signal."""
        if number:
            self.process.send_signal(number)
        self.process.communicate(b"\n" if not number else None)


@pytest.fixture
def sitters() -> Iterator[list[Sitter]]:
    found: list[Sitter] = []
    yield found
    for sitter in found:
        sitter.end(signal.SIGKILL)


def test_others_are_counted_while_they_live(base: str, sitters: list[Sitter]) -> None:
    sitters += [Sitter(base, "aa"), Sitter(base, "bb")]
    seat = Seat(base, NAME, "cc")
    seat.lock()
    seat.take()
    assert seat.others() == 2
    assert open_sessions(base, NAME) == 3
    sitters[0].end(signal.SIGKILL)
    assert open_sessions(base, NAME) == 2
    assert "s-aa" in os.listdir(f"{base}/{NAME}")  # counting has changed nothing
    assert seat.others() == 1
    assert "s-aa" not in os.listdir(f"{base}/{NAME}")
    seat.unlock()
    sitters[1].end()
    seat.lock()
    assert seat.others() == 0
    seat.leave()
    seat.clear()
    seat.unlock()
    assert os.listdir(base) == []


def test_the_lock_waits_for_its_holder(base: str, sitters: list[Sitter]) -> None:
    sitters.append(Sitter(base, "aa", keeps=True))
    seat = Seat(base, NAME, "bb")
    said: list[str] = []

    def waiting() -> None:
        said.append("waiting")
        sitters[0].end()

    seat.lock(waiting=waiting)
    assert said == ["waiting"]
    assert not seat.others()
    seat.clear()
    seat.unlock()


def test_a_killed_holder_lets_go(base: str, sitters: list[Sitter]) -> None:
    sitters.append(Sitter(base, "aa", keeps=True))
    sitters[0].end(signal.SIGKILL)
    seat = Seat(base, NAME, "bb")
    seat.lock()
    assert seat.others() == 0
    seat.clear()
    seat.unlock()
    assert os.listdir(base) == []


def test_many_at_once_come_one_by_one(base: str, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    (tmp_path / "base").mkdir()
    argv = [sys.executable, "-c", _COUNTER, str(tmp_path / "base"), NAME, str(counter)]
    processes = [subprocess.Popen(argv) for _ in range(6)]
    assert [process.wait() for process in processes] == [0] * 6
    assert counter.read_text() == "150"
    assert os.listdir(tmp_path / "base") == []
    assert os.path.isdir(base)


def test_the_record_is_kept_until_it_is_forgotten(base: str) -> None:
    seat = Seat(base, NAME, "aa")
    assert seat.read() == {}
    seat.lock()
    seat.write({"id": "x", "inputs": (("a", 1), None), "keep": True})
    seat.write({"id": "y", "inputs": (("a", 1), None), "keep": True})
    assert Seat(base, NAME, "bb").read() == {"id": "y", "inputs": (("a", 1), None), "keep": True}
    seat.clear()
    assert Seat(base, NAME, "bb").read()  # somebody's sandbox runs: the directory stays
    seat.forget()
    assert seat.read() == {}
    seat.clear()
    seat.unlock()
    assert os.listdir(base) == []


def test_a_damaged_record_is_none(base: str) -> None:
    seat = Seat(base, NAME, "aa")
    seat.lock()
    seat.write({"id": "x"})
    (name,) = (entry for entry in os.listdir(f"{base}/{NAME}") if entry.startswith("record"))
    for content in (b"", b"\xe5", b"no marshal at all", b"i\x01\x00\x00\x00"):
        with open(f"{base}/{NAME}/{name}", "wb") as file:
            file.write(content)
        assert seat.read() == {}
    seat.unlock()


def test_an_unknown_sandbox_is_not_counted(base: str) -> None:
    assert open_sessions(base, NAME) is None


def test_one_socket_is_one_engine(tmp_path: Path) -> None:
    def at(path: Path | str, *, explicit: bool) -> Endpoint:
        return Endpoint(
            url=f"unix://{path}", source="", tls=None, context="", kind="unix", path=str(path),
            explicit=explicit,
        )  # fmt: skip

    (tmp_path / "run").mkdir()
    (tmp_path / "var").symlink_to("run")
    direct, linked = tmp_path / "run/docker.sock", tmp_path / "var/docker.sock"
    assert seat_name("x", at(direct, explicit=True)) == seat_name("x", at(linked, explicit=False))
    assert seat_name("x", at(direct, explicit=True)) != seat_name("x", at("/y", explicit=True))
    assert seat_name("x", at(direct, explicit=True)) != seat_name("y", at(direct, explicit=True))


def test_a_full_disk_is_named_and_nothing_left(base: str) -> None:
    seat = Seat(base, NAME, "0")
    seat.lock()
    seat.take()
    os.symlink("/dev/full", f"{base}/{NAME}/record-{_FORMAT}.new")
    with pytest.raises(ClaudyError, match=r"record-.* can't be written: No space left"):
        seat.write({"id": "x"})
    seat.leave()
    seat.clear()
    seat.unlock()
    assert os.listdir(base) == []


def test_the_runtime_directory_is_private(tmp_path: Path) -> None:
    me = os.getuid()
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o700)
    found = runtime_dir({"XDG_RUNTIME_DIR": str(mine)}, me)
    assert found == f"{mine}/claudy"
    assert os.stat(found).st_mode & 0o777 == 0o700
    assert runtime_dir({"XDG_RUNTIME_DIR": str(mine)}, me) == found


def test_a_runtime_directory_that_others_can_write_is_not_used(tmp_path: Path) -> None:
    shared, fallback = tmp_path / "shared", tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o777)
    fallback.mkdir()
    uid = 54321 if os.getuid() == 0 else os.getuid()
    env = {"XDG_RUNTIME_DIR": str(shared), "TMPDIR": str(fallback)}
    if uid == os.getuid() and os.path.isdir(f"/run/user/{uid}"):
        assert runtime_dir(env, uid) == f"/run/user/{uid}/claudy"
        return
    prepared = fallback / f"claudy-{uid}"
    prepared.symlink_to(shared)
    with pytest.raises(ClaudyError, match="belongs to somebody else"):
        runtime_dir(env, uid)
    prepared.unlink()
    prepared.mkdir()
    prepared.chmod(0o777)
    with pytest.raises(ClaudyError, match="can't be used") as caught:
        runtime_dir(env, uid)
    assert caught.value.hint
    prepared.rmdir()
    prepared.touch()
    with pytest.raises(ClaudyError, match="can't be used"):
        runtime_dir(env, uid)
