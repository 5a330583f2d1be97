"""The one place that prints: results on stdout, everything else on stderr."""

from __future__ import annotations

import _signal
import os
import sys

from claudy.errors import FAILED, INTERRUPTED, ClaudyError, ConfirmationNeeded, Terminated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SIGPIPE = 13
_RED, _DIM, _BOLD, _OFF = "\x1b[31m", "\x1b[2m", "\x1b[1m", "\x1b[0m"


class Console:
    """What this run may print, and how.

    Args:
        env: the process environment: NO_COLOR, TERM, CLAUDY_DEBUG.
        quiet: no notices and no progress.
        debug: tracebacks, and what is decided.
        yes: answer every question with yes.
        no_input: never ask.
        as_json: results, and errors in their place, are one JSON object on stdout.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        *,
        quiet: bool = False,
        debug: bool = False,
        yes: bool = False,
        no_input: bool = False,
        as_json: bool = False,
    ) -> None:
        self.env = env
        self.quiet = quiet
        self.debug = debug
        self.yes = yes
        self.no_input = no_input
        self.as_json = as_json

    def colour(self, descriptor: int) -> bool:
        """Whether a stream takes colour: NO_COLOR non-empty, TERM=dumb or no terminal: no."""
        if self.env.get("NO_COLOR") or self.env.get("TERM") == "dumb":
            return False
        return os.isatty(descriptor)

    def paint(self, text: str, code: str, descriptor: int = 2) -> str:
        """Return text in a colour, if that stream takes it."""
        return f"{code}{text}{_OFF}" if self.colour(descriptor) else text

    def result(self, text: str) -> None:
        """Print a result; a reader that has gone is not an error.

        Raises:
            OSError: it can't be written.
        """
        try:
            _write_all(1, text + "\n")
        except BrokenPipeError:
            pass

    def pass_on(self, descriptor: int, data: bytes) -> None:
        """Print bytes as they are.

        Args:
            descriptor: 1 or 2.
            data: the bytes.

        Raises:
            Terminated: nobody reads them any more.
        """
        try:
            while data:
                data = data[os.write(descriptor, data) :]
        except BrokenPipeError as error:
            raise Terminated(_SIGPIPE) from error  # click makes 1 of a broken pipe

    def notice(self, text: str) -> None:
        """Tell the user something that is not the result."""
        if not self.quiet:
            _write(2, self.paint(_wrapped(f"claudy: {harmless(text)}"), _DIM) + "\n")

    def explain(self, text: str) -> None:
        """Say what was decided and why, with --debug."""
        if self.debug:
            _write(2, self.paint(f"claudy: debug: {harmless(text)}", _DIM) + "\n")

    def error(self, error: ClaudyError) -> None:
        """Print an error and what to do about it; as JSON if that was asked for."""
        if self.as_json:
            _write(1, _as_json(error.code, error.message, error.hint) + "\n")
            return
        text = _wrapped(f"claudy: {harmless(error.message)}")
        text = text.replace("claudy:", self.paint("claudy:", _RED), 1)
        if error.hint:
            text += f"\n        {self.paint('Try:', _BOLD)} {harmless(error.hint)}"
        _write(2, text + "\n")

    def confirm(self, question: str, flag: str = "--yes") -> bool:
        """Ask a yes-or-no question; no is the default.

        Args:
            question: what is going to happen.
            flag: option that answers it with yes.

        Raises:
            ConfirmationNeeded: nobody can answer.
        """
        if self.yes:
            return True
        if self.no_input or not (os.isatty(0) and os.isatty(2)):
            raise ConfirmationNeeded(f"{question} Nobody is there to answer.", f"add {flag}")
        _write(2, f"{harmless(question)} [y/N] ")
        return sys.stdin.readline().strip().lower() in ("y", "yes")


def _as_json(code: str, message: str, hint: str) -> str:
    import json

    document = {"schema": 1, "error": {"code": code, "message": message, "hint": hint}}
    return json.dumps(document)


def _write(descriptor: int, text: str) -> None:
    """Write text if that is possible."""
    try:
        _write_all(descriptor, text)
    except OSError:
        pass


def _write_all(descriptor: int, text: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    while data:
        data = data[os.write(descriptor, data) :]


def harmless(text: str) -> str:
    """Return text without orders to the terminal: a file's or an engine's words may be in it."""
    if text.isprintable():
        return text
    from claudy.cli.tables import printable

    return "\n".join(map(printable, text.split("\n")))


def _wrapped(text: str) -> str:
    """Return text for stderr, broken between words where a terminal would break inside of one."""
    if not os.isatty(2):
        return text
    width = os.get_terminal_size(2).columns or 80
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            if line.strip() and len(line) + 1 + len(word) > width:
                lines.append(line)
                line = f"        {word}"
            else:
                line = f"{line} {word}" if line else word
        lines.append(line)
    return "\n".join(lines)


def print_plain(text: str) -> int:
    """Print a result that depends on nothing; return the exit code."""
    console = Console(os.environ)

    def act() -> int:
        console.result(text)
        return 0

    return guarded(console, act)


def guarded(console: Console, action: Callable[[], int]) -> int:
    """Run an action; print what it raises and return the exit code. The one catch site."""
    if _signal.getsignal(_signal.SIGINT) == _signal.SIG_DFL:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    try:
        return action()
    except ClaudyError as error:
        if console.debug:
            _traceback()
        console.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        if console.as_json:
            _write(1, _as_json("interrupted", "Interrupted.", "") + "\n")
        return INTERRUPTED
    except Terminated as error:
        return 128 + error.signum
    except BrokenPipeError:
        return 141
    except Exception as error:  # noqa: BLE001 - the last resort: one line and a log
        if console.debug:
            _traceback()
        console.error(_unexpected(error))
        return FAILED


def _traceback() -> None:
    import traceback

    _write(2, traceback.format_exc())


def _unexpected(error: Exception) -> ClaudyError:
    """Write the traceback to a log and return an error that names it."""
    import errno

    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = error.filename or "What this prints"
        return ClaudyError(f"{where} can't be written: {error.strerror}.", "df -h")
    import tempfile
    import traceback

    from claudy import __version__

    first = str(error).split("\n", 1)[0]
    what = f"Unexpected {type(error).__name__}: {first}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="claudy-", suffix=".log", delete=False, encoding="utf-8"
        ) as log:
            log.write(f"claudy {__version__}\n{sys.version}\n{sys.argv}\n{traceback.format_exc()}")
    except OSError:
        return ClaudyError(what, "claudy --debug …")
    return ClaudyError(f"{what} (details: {log.name})", "report it with that file, or use --debug")
