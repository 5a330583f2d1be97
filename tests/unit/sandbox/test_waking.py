"""What claudy starts waits while a project stands still, on engines that follow links."""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING

import pytest

from claudy.errors import ClaudyError
from claudy.guard import opening, start
from claudy.sandbox import waking
from claudy.sandbox.guarding import guard_state
from claudy.sandbox.project import slug_of
from claudy.sandbox.waking import Waking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECT = "/home/me/app"


@pytest.fixture(name="env")
def environment(tmp_path: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(tmp_path)}


@pytest.fixture(name="lock")
def guards_lock(env: dict[str, str]) -> Iterator[int]:
    """Yield a guard's own descriptor of the lock."""
    directory = guard_state(env, slug_of(PROJECT))
    os.makedirs(directory)
    number = os.open(f"{directory}/{start.LOCK}", os.O_RDWR | os.O_CREAT, 0o600)
    yield number
    os.close(number)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch, lock: int) -> list[float]:
    """Return how often there was a wait; at the second the guard is done."""
    found: list[float] = []

    def sleep(seconds: float) -> None:
        found.append(seconds)
        if len(found) == 2:
            fcntl.flock(lock, fcntl.LOCK_UN)

    monkeypatch.setattr(time, "sleep", sleep)
    return found


def is_held(lock: int) -> bool:
    """Whether somebody keeps a guard from making the project stand still."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(lock, fcntl.LOCK_UN)
    return False


def test_both_sides_mean_the_same_files() -> None:
    assert (waking.LOCK, waking.FROZEN) == (start.LOCK, opening.FROZEN)


def test_it_is_waited_for_and_then_held(
    env: dict[str, str], lock: int, pauses: list[float]
) -> None:
    fcntl.flock(lock, fcntl.LOCK_EX)
    with Waking(env, PROJECT):
        assert len(pauses) == 2
        assert is_held(lock)
    assert not is_held(lock)


def test_who_was_forked_holds_it_until_it_is_released(env: dict[str, str], lock: int) -> None:
    one = Waking(env, PROJECT)
    forked = os.dup(one.fileno())
    one.hold()
    assert is_held(lock)
    one.release()
    assert not is_held(lock)
    os.close(forked)


def test_what_is_paused_still_is_waited_for(
    env: dict[str, str], lock: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = f"{guard_state(env, slug_of(PROJECT))}/{opening.FROZEN}"
    os.close(os.open(note, os.O_CREAT | os.O_WRONLY, 0o600))

    def let_go(_seconds: float) -> None:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody is in the next guard's way
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.unlink(note)

    monkeypatch.setattr(time, "sleep", let_go)
    with Waking(env, PROJECT):
        assert is_held(lock)


@pytest.mark.parametrize(("left", "words"), [(False, "for a while"), (True, "a guard has ended")])
def test_it_is_not_waited_for_in_vain(
    env: dict[str, str], lock: int, monkeypatch: pytest.MonkeyPatch, *, left: bool, words: str
) -> None:
    monkeypatch.setattr(waking, "PATIENCE", 0.1)
    if left:
        note = f"{guard_state(env, slug_of(PROJECT))}/{opening.FROZEN}"
        os.close(os.open(note, os.O_CREAT | os.O_WRONLY, 0o600))
    else:
        fcntl.flock(lock, fcntl.LOCK_EX)
    one = Waking(env, PROJECT)
    with pytest.raises(ClaudyError, match=f"{PROJECT} stands still: .*{words}") as caught:
        one.hold()
    assert caught.value.hint
    assert one.fileno() == -1


def test_where_it_can_t_be_held_nothing_is_started(tmp_path: Path) -> None:
    (tmp_path / "claudy").touch()
    with pytest.raises(ClaudyError, match="can't be used for claudy's state"):
        Waking({"XDG_STATE_HOME": str(tmp_path)}, PROJECT)
