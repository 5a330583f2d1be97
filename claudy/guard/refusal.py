"""How the guard says no: as an HTTP status with dockerd's error body."""

from __future__ import annotations

FORBIDDEN = 403
NOT_FOUND = 404
BAD_REQUEST = 400
CONFLICT = 409


class Denied(Exception):
    """A request that is not forwarded.

    Args:
        status: HTTP status for the client.
        message: text of `{"message": …}`.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def refused(reason: str, instead: str = "") -> Denied:
    """Return the refusal of something the sandbox may not do, with what to do instead."""
    text = reason.rstrip(".") + "."
    return Denied(FORBIDDEN, f"claudy guard: {text}{' ' + instead if instead else ''}")


def invalid(reason: str) -> Denied:
    """Return the refusal of something that is not a well-formed request."""
    return Denied(BAD_REQUEST, f"claudy guard: {reason.rstrip('.')}.")


_MISSING = {
    "container": "No such container: {}",
    "image": "No such image: {}",
    "network": "network {} not found",
    "volume": "get {}: no such volume",
    "exec": "No such exec instance: {}",
    "plugin": 'plugin "{}" not found',
}


def missing(kind: str, ref: str) -> Denied:
    """Return dockerd's own answer for an object that does not exist, or is not the sandbox's."""
    return Denied(NOT_FOUND, _MISSING[kind].format(ref))
