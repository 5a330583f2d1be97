"""When a guard ends, on an engine that does not do what it should."""

from __future__ import annotations

import socket
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from claudy.guard import lifetime
from claudy.guard.refusal import Denied

if TYPE_CHECKING:
    import pytest


def test_an_engine_that_forgets_to_say_that_it_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetime, "_AGAIN", 0.05)
    answers = [(200, {"Id": "a" * 64}), (200, {"Id": "a" * 64}), (404, None)]
    ours, theirs = socket.socketpair()
    response = SimpleNamespace(read=lambda: ours.recv(1))
    daemon = SimpleNamespace(
        json=lambda *_: answers.pop(0),
        open=lambda *_: closing(cast("Any", Waiting(ours, response))),
    )
    settings = SimpleNamespace(sandbox="s", grace=0, launcher=0)
    services = cast("Any", SimpleNamespace(daemon=daemon, settings=settings))
    lifetime.wait_for_end(services, lambda: True)
    assert answers == []
    ours.close()
    theirs.close()


def test_an_engine_that_is_gone_for_good_when_nobody_can_come_any_more() -> None:
    """As one that is stopped with the last session; the guard would wait for it for ever."""
    asked: list[int] = []

    def nobody(*_: object) -> None:
        asked.append(len(asked))
        raise Denied(503, "nobody answers")

    settings = SimpleNamespace(sandbox="s", grace=0, launcher=0)
    services = SimpleNamespace(daemon=SimpleNamespace(json=nobody), settings=settings)
    lifetime.wait_for_end(cast("Any", services), lambda: len(asked) < 3)
    assert len(asked) == 3


class Waiting:
    """An answer whose body never comes."""

    def __init__(self, sock: socket.socket, response: object) -> None:
        self.sock, self.response = sock, response

    def close(self) -> None:
        """Keep the connection."""
