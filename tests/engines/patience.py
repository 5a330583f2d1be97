"""Ends a test that hangs, so that the others are run and the report names it.

No test is about time, and none comes near the limit; without it one that waits for ever would take
the whole run with it.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType

_SECONDS = 300


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Limit the fixtures of a test."""
    return (yield from _limited(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Limit a test."""
    return (yield from _limited(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Limit the clean-up of a test."""
    return (yield from _limited(item))


def _limited(item: pytest.Item) -> Generator[None]:
    def give_up(_number: int, _frame: FrameType | None) -> None:
        pytest.fail(f"{item.name} hangs: no end after {_SECONDS} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(_SECONDS)
    try:
        return (yield)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
