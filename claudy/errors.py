"""Every error that claudy reports, in one tree.

A message says what failed (with the path or endpoint) and why; the hint is the one command, or
the one change, that helps. Only `claudy.cli` prints them. Exit codes are those of product.md:
2 usage or settings, 125 claudy or the engine failed before the command ran, 130 Ctrl-C.
"""

from __future__ import annotations

USAGE = 2
FAILED = 125
INTERRUPTED = 130


class ClaudyError(Exception):
    """Something went wrong in a way that a user can understand.

    Args:
        message: what failed and why, one sentence, no trailing newline.
        hint: what to do next; empty when the message says it all.
        exit_code: process exit code.
    """

    exit_code = FAILED
    code = "error"

    def __init__(self, message: str, hint: str = "", exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if exit_code is not None:
            self.exit_code = exit_code


class UsageError(ClaudyError):
    """The command line asks for something that can't be."""

    exit_code = USAGE
    code = "usage"


class SettingsError(ClaudyError):
    """A settings file or CLAUDY_* variable is wrong."""

    exit_code = USAGE
    code = "settings"


class ConfirmationNeeded(ClaudyError):
    """A question has to be answered and nobody is there to answer it."""

    exit_code = USAGE
    code = "confirmation-needed"


class Declined(ClaudyError):
    """The user said no."""

    code = "declined"


class EngineError(ClaudyError):
    """The Docker engine can't be reached or refused a request."""

    code = "engine"


class NoEngine(EngineError):
    """Nothing listens at the endpoint: missing or stale socket, refused connection."""

    code = "no-engine"


class EngineDenied(EngineError):
    """The endpoint exists and this user may not connect."""

    code = "permission-denied"


class EngineTimeout(EngineError):
    """The engine accepted the connection and did not answer in time."""

    code = "engine-timeout"


class EngineGone(EngineError):
    """The engine closed the connection in the middle of an answer."""

    code = "engine-gone"


class EngineTLS(EngineError):
    """The TLS handshake failed."""

    code = "tls"


class APIError(EngineError):
    """The engine answered with an error status.

    Args:
        status: HTTP status code.
        message: the engine's own message.
        request: method and path, for the debug log.
    """

    code = "api"

    def __init__(self, status: int, message: str, request: str, hint: str = "") -> None:
        super().__init__(f"The Docker engine refused {request}: {message}", hint)
        self.status = status
        self.detail = message
        self.request = request


class Hangup(Exception):
    """The user's terminal has gone away."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP reached claudy; like KeyboardInterrupt, not an Exception.

    Args:
        signum: signal number; the exit code is 128 + signum.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum
