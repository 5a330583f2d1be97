"""BuildKit sessions and builds that this guard has let through, by id."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEPT_BUILDS = 4096
_WAIT = 10.0


class Sessions:
    """The ids of open sessions and known builds; safe to use from several threads."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._builds: OrderedDict[str, str] = OrderedDict()
        self._refused: OrderedDict[str, str] = OrderedDict()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def held(self, session: str) -> Iterator[None]:
        """Know a session as long as its connection lives."""
        with self._changed:
            self._open[session] += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._open[session] -= 1
                if not self._open[session]:
                    del self._open[session]

    def has(self, session: str) -> bool:
        """Whether a session is open here; clients open it and solve at the same time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._open[session] > 0, _WAIT)

    def add_build(self, ref: str, session: str) -> None:
        """Know a build, and the session that it uses."""
        with self._changed:
            _keep(self._builds, ref, session)

    def refuse(self, session: str, reason: str) -> None:
        """Know why a session is ended here, which the daemon does not."""
        with self._changed:
            _keep(self._refused, session, reason)

    def reason(self, ref: str) -> str:
        """Return why the session of a build was ended here; empty: it was not."""
        with self._changed:
            return self._refused.get(self._builds.get(ref, ""), "")

    def knows_build(self, ref: str) -> bool:
        """Whether a build was begun here."""
        with self._changed:
            return ref in self._builds


def _keep(found: OrderedDict[str, str], key: str, value: str) -> None:
    """Keep a value, and not too many of them."""
    found[key] = value
    while len(found) > _KEPT_BUILDS:
        found.popitem(last=False)
