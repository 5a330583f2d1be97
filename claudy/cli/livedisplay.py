"""The live display of image work: the phase, its step or layers, and the last lines of output."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from typing import IO, TYPE_CHECKING, cast

from rich.console import Console as RichConsole
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from claudy.cli.progress import is_settled, printable
from claudy.image.events import Layer, Log, Phase, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from claudy.cli.console import Console
    from claudy.image.events import Event

_LINES = 5
_LAYERS = 8
_BAR = 30
_MEGABYTE = 1e6


class LiveDisplay:
    """Redraws a few lines at the bottom of the terminal and leaves one line for each phase.

    Args:
        console: colour or none.
        rich: where it is drawn; None for stderr.
    """

    def __init__(self, console: Console, rich: RichConsole | None = None) -> None:
        env: Mapping[str, str] = console.env
        colourless = not console.colour(2)
        self._rich = rich or RichConsole(
            file=cast("IO[str]", _Terminal()),
            force_terminal=True,
            no_color=colourless,
            _environ=env,
        )
        self._live: Live | None = None
        self._phase = ""
        self._began = 0.0
        self._spinner = Spinner("dots")
        self._step: Step | None = None
        self._layers: dict[str, Layer] = {}
        self._lines: list[str] = []

    def show(self, event: Event) -> None:
        """Take in an event; the picture follows it."""
        if isinstance(event, Phase):
            self._begin(event.title)
        elif isinstance(event, Step):
            self._step, self._lines = event, []
        elif isinstance(event, Layer):
            self._layers[event.id] = event
        elif isinstance(event, Log):
            self._lines = [*self._lines[1 - _LINES :], printable(event.line)]

    def refresh(self) -> None:
        """Draw now, not with the next tick."""
        if self._live is not None:
            self._live.refresh()

    def close(self) -> None:
        """End the phase and leave its line."""
        if self._live is None:
            return
        self._live.stop()
        self._live = None
        seconds = time.monotonic() - self._began
        self._rich.print(Text(f"claudy: {self._phase} ({seconds:.1f} s)", style="dim"))

    def _begin(self, title: str) -> None:
        self.close()
        self._phase, self._began = title, time.monotonic()
        self._step, self._layers, self._lines = None, {}, []
        self._live = Live(
            get_renderable=self._picture,
            console=self._rich,
            transient=True,
            refresh_per_second=8,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def _picture(self) -> RenderableType:
        seconds = time.monotonic() - self._began
        self._spinner.update(text=Text(f"{self._phase}  {seconds:.0f} s", style="bold"))
        parts: list[RenderableType] = [self._spinner]
        if self._step is not None:
            parts.append(self._steps(self._step))
        if self._layers:
            parts.append(self._table())
        parts += [_line(Text(f"    {line}", style="dim")) for line in self._lines]
        return Group(*parts)

    def _steps(self, step: Step) -> RenderableType:
        row = Table.grid(padding=(0, 1))
        row.add_row(
            Text(f"  {step.number:2}/{step.total}"),
            ProgressBar(total=step.total, completed=step.number - 1, width=_BAR),
            _line(Text(printable(step.text))),
        )
        return row

    def _table(self) -> RenderableType:
        """Return the layers that move, and how many have come to rest."""
        table = Table.grid(padding=(0, 1))
        moving = [layer for layer in self._layers.values() if not is_settled(layer)]
        settled = len(self._layers) - len(moving)
        for layer in moving[:_LAYERS]:
            done = f"{layer.current / _MEGABYTE:.1f} MB" if layer.current else ""
            table.add_row(
                Text(f"  {layer.id}"),
                Text(layer.status),
                ProgressBar(total=layer.total, completed=layer.current, width=_BAR)
                if layer.total
                else Text(""),
                Text(done),
            )
        table.add_row(Text(f"  {settled} of {len(self._layers)} layers"), Text("done"))
        return table


class _Terminal(io.TextIOBase):
    """Standard error; a terminal that has been closed meanwhile is not an error."""

    encoding = "utf-8"

    def fileno(self) -> int:
        """Return the descriptor, which is asked for its size."""
        return 2

    def write(self, text: str) -> int:
        """Write text if there is somebody to see it."""
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what is held back."""
        with contextlib.suppress(OSError):
            sys.stderr.flush()


def _line(text: Text) -> Text:
    """Return text that is cut at the terminal's edge, not wrapped."""
    text.no_wrap = True
    text.overflow = "ellipsis"
    return text
