"""What happens while an image is made, as plain values; `claudy.cli.progress` shows them."""

from __future__ import annotations

from claudy.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


@record
class Phase:
    """A piece of work began: building, pulling, waiting.

    Args:
        title: what is done, one short line such as "Building hal9000:0123456789abcdef".
    """

    title: str


@record
class Step:
    """A step of the Dockerfile began.

    Args:
        number: from 1.
        total: number of steps.
        text: the instruction.
        cached: whether the engine had its result already.
    """

    number: int
    total: int
    text: str
    cached: bool = False


@record
class Layer:
    """A layer moved on.

    Args:
        id: short id of the layer.
        status: the engine's words: "Downloading", "Pull complete", "Pushed".
        current: bytes done.
        total: bytes in all, 0 when unknown.
    """

    id: str
    status: str
    current: int = 0
    total: int = 0


@record
class Log:
    """A line that a program wrote while it ran.

    Args:
        line: without its line end.
    """

    line: str


@record
class Notice:
    """Something that the user should know even when all goes well.

    Args:
        text: one line.
    """

    text: str


@record
class Done:
    """Nothing is going on any more: work on images is over, or waits for an answer.

    Args:
        failed: whether it ended with an error, which is raised after this.
    """

    failed: bool = False


Event = Phase | Step | Layer | Log | Notice | Done

if TYPE_CHECKING:
    Report = Callable[[Event], None]
