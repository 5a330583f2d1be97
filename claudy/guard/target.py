"""The request target: only the one spelling that can't mean two things."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from claudy.guard.refusal import invalid, refused

MAX_TARGET = 48 * 1024
_PATH = re.compile(rb"(?:/[A-Za-z0-9_.:@+=~,-]+)+")
_VERSION = re.compile(r"/v(\d{1,3})\.(\d{1,3})(?=/)")
_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ESCAPES = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Target(NamedTuple):
    """A request target in parts.

    Attributes:
        version: (major, minor) of the path's API version; None when the path has none.
        path: path below the version, as "/containers/json".
        query: decoded pairs in order.
    """

    version: tuple[int, int] | None
    path: str
    query: tuple[tuple[str, str], ...]


def parse(raw: bytes) -> Target:
    """Take a request target apart.

    Raises:
        Denied: absolute form, dot segments, empty segments, escapes that could hide structure.
    """
    if len(raw) > MAX_TARGET:
        raise invalid("the request target is too long")
    before, mark, after = raw.partition(b"?")
    if mark and not after:
        mark = b""
    # Clients that escape a path segment escape these two; neither can change the route.
    path = re.sub(rb"%3[Aa]", b":", before.replace(b"%40", b"@"))
    if not _PATH.fullmatch(path):
        raise refused("the request path is not in its canonical form", "Send it unescaped.")
    text = path.decode("ascii")
    if any(segment in {".", ".."} for segment in text.split("/")):
        raise refused("the request path is not in its canonical form", "Send it without dots.")
    found = _VERSION.match(text)
    version = (int(found[1]), int(found[2])) if found else None
    return Target(version, text[found.end() :] if found else text, _query(after) if mark else ())


def _query(raw: bytes) -> tuple[tuple[str, str], ...]:
    if b";" in raw or b"#" in raw or _ESCAPES.search(raw):
        raise invalid("the query string is malformed")
    pairs = []
    for part in raw.split(b"&"):
        key, _, value = part.partition(b"=")
        name = key.decode("ascii", "replace")
        if not _KEY.fullmatch(name):
            raise invalid("the query string has a malformed key")
        try:
            text = unquote_to_bytes(value.replace(b"+", b" ")).decode("utf-8")
        except UnicodeDecodeError as error:
            raise invalid(f"the query key {name} is not UTF-8") from error
        if _CONTROL.search(text):
            raise invalid(f"the query key {name} has control characters")
        pairs.append((name, text))
    return tuple(pairs)
