"""Say what is waited for when the engine takes long; on a terminal, once."""

from __future__ import annotations

import _signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS = 1.0


def say_if_slow(say: Callable[[], None]) -> None:
    """Call this soon, unless `stop_waiting` is called first.

    By a timer of the process: a thread would have to be imported.
    """
    _signal.signal(_signal.SIGALRM, lambda *_: say())
    _signal.setitimer(_signal.ITIMER_REAL, _SECONDS)


def stop_waiting() -> None:
    """From now on something else is shown, or asked, or the session runs."""
    _signal.setitimer(_signal.ITIMER_REAL, 0)
