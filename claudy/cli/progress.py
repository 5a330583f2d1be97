"""Show what happens to images: a live display on a terminal, plain lines elsewhere.

Cheap to import: the display, and with it rich, is made when there is something to show.
"""

from __future__ import annotations

from claudy.image.events import Done, Layer, Log, Notice, Phase, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from claudy.cli.console import Console
    from claudy.image.events import Event

    class Display(Protocol):
        """Shows events in one way."""

        def show(self, event: Event) -> None:
            """Show one event."""

        def close(self) -> None:
            """Leave the terminal as it was found."""


TAIL = 20
# Layers in these states have come to rest.
_SETTLED = ("Pull complete", "Already exists", "Pushed", "Layer already exists", "Mounted from")


class Progress:
    """Shows events on stderr, and the last lines of output when the work failed.

    Args:
        console: where, and how much of it.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._display: Display | None = None
        self._tail: list[str] = []

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Done):
            self._finish(failed=event.failed)
            return
        if isinstance(event, Phase):
            self._tail.clear()
        elif isinstance(event, Log):
            self._tail = [*self._tail[1 - TAIL :], printable(event.line)]
        if self._console.quiet:
            return
        if isinstance(event, Notice):
            self._close()
            self._console.notice(event.text)
            return
        if self._display is None:
            self._display = self._make()
        self._display.show(event)

    def _make(self) -> Display:
        import os

        if not os.isatty(2) or self._console.env.get("TERM", "dumb") == "dumb":
            return PlainLines(self._console)
        from claudy.cli.livedisplay import LiveDisplay

        return LiveDisplay(self._console)

    def _finish(self, *, failed: bool) -> None:
        self._close()
        if failed and self._tail and not (self._console.debug and not self._console.quiet):
            _print_output(self._tail)
        self._tail.clear()

    def _close(self) -> None:
        if self._display is not None:
            self._display.close()
            self._display = None


class PlainLines:
    """One line for each thing that begins or comes to rest; output of programs with --debug.

    Args:
        console: where.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._settled: set[tuple[str, str]] = set()

    def show(self, event: Event) -> None:
        """Print an event's line, if it has one."""
        if isinstance(event, Phase):
            self._settled.clear()
            self._console.notice(f"{event.title} ...")
        elif isinstance(event, Step):
            self._console.notice(step_line(event))
        elif isinstance(event, Layer):
            key = (event.id, event.status)
            if event.status.startswith(_SETTLED) and key not in self._settled:
                self._settled.add(key)
                self._console.notice(f"{event.id}: {event.status}")
        elif isinstance(event, Log) and self._console.debug:
            _print_output([printable(event.line)])

    def close(self) -> None:
        """Do nothing: every line is complete."""


def _print_output(lines: list[str]) -> None:
    """Print what a program has written, set apart from claudy's own lines."""
    import sys

    sys.stderr.write("".join(f"  | {line}\n" for line in lines))
    sys.stderr.flush()


def step_line(step: Step) -> str:
    """Return a step as one line."""
    return f"step {step.number}/{step.total}: {step.text}{' (cached)' if step.cached else ''}"


def is_settled(layer: Layer) -> bool:
    """Whether a layer has come to rest."""
    return layer.status.startswith(_SETTLED)


def printable(text: str) -> str:
    """Return text without what would move the cursor."""
    return "".join(c if c.isprintable() else " " for c in text.expandtabs())
