"""Entry point: the common run needs no option parser; everything else goes to `claudy.cli`."""

from __future__ import annotations

import _signal
import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def _die_of_interrupts() -> None:
    """Let Ctrl-C end the process without a word, until there is something to clear up.

    `claudy.cli.console.guarded` takes over; Python's own handler would show a traceback of
    whatever is being imported.
    """
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)


def _open_closed_streams() -> None:
    """Open what the caller has closed of standard input, output and error.

    Otherwise the next file to be opened, a lock or the engine's connection, gets that number and
    with it what is meant for the user.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run claudy.

    Args:
        argv: arguments after the program's name; the process's own if None.

    Returns:
        The process's exit code.
    """
    if argv is None:
        _die_of_interrupts()
        # A sixth of what imports cost is the collector, which finds nothing there; a launch has it
        # again before anything goes on for long.
        gc.disable()
    _open_closed_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    if words == ["--version"]:
        from claudy import __version__
        from claudy.cli.console import print_plain

        return print_plain(f"claudy {__version__}")
    if words[:1] == ["ps"] and words[1:] in ([], ["--json"]):
        from claudy.cli.listing import ps_plain

        return ps_plain(as_json=len(words) > 1)
    head = words[: words.index("--")] if "--" in words else words
    from claudy.cli.quick import read

    if found := read(head):
        from claudy.cli.launching import launch_quickly

        code = launch_quickly(*found, words[len(head) + 1 :])
    else:
        gc.enable()
        from claudy.cli.app import run_app

        code = run_app(words)
    if argv is None:
        # Nothing is buffered, nothing registered, and all threads are daemons: taking the
        # interpreter down in order would only keep the user's prompt waiting.
        os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
