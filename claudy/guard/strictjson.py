"""JSON that can mean only one thing, to this parser and to the daemon's.

Go's decoder folds the case of keys (U+017F and U+212A too), keeps the last of duplicates and
replaces broken text; Python's accepts NaN. What differs is refused here.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from claudy.guard.refusal import invalid

MAX_DEPTH = 24
MAX_SIZE = 4 * 1024 * 1024
_INT64 = 1 << 63


def parse(data: bytes, what: str = "body") -> Any:
    """Return the JSON value of data.

    Args:
        data: UTF-8 text with exactly one value.
        what: how refusals name it.

    Raises:
        Denied: not JSON in the strict sense, too large or too deep.
    """
    if len(data) > MAX_SIZE:
        raise invalid(f"the {what} is larger than {MAX_SIZE} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise invalid(f"the {what} is not UTF-8") from error
    _bound_depth(text, what)
    try:
        value = json.loads(
            text,
            object_pairs_hook=lambda pairs: _unique(pairs, what),
            parse_constant=lambda name: _no_constant(name, what),
            parse_int=lambda digits: _int64(digits, what),
        )
    except (ValueError, RecursionError) as error:
        raise invalid(f"the {what} is not valid JSON") from error
    _no_surrogates(value, what)
    return value


def dump(value: Any) -> bytes:
    """Serialise a value for the wire."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _unique(pairs: list[tuple[str, Any]], what: str) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise invalid(f"the {what} has a duplicate key")
    return found


def _no_constant(name: str, what: str) -> NoReturn:
    raise invalid(f"the {what} has {name}, which is not JSON")


def _int64(digits: str, what: str) -> int:
    number = int(digits) if len(digits) < 21 else _INT64  # noqa: PLR2004 - digits of 2**63, and a sign
    if not -_INT64 <= number < _INT64:
        raise invalid(f"the {what} has a number outside 64 bits")
    return number


def _bound_depth(text: str, what: str) -> None:  # noqa: C901 - one small automaton
    depth, in_string, escaped = 0, False, False
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    for char in text:
        if in_string:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                in_string = False
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise invalid(f"the {what} is nested deeper than {MAX_DEPTH}")
        elif char in "]}":
            depth -= 1


def _no_surrogates(value: Any, what: str) -> None:
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            raise invalid(f"the {what} has half of a surrogate pair")
    elif isinstance(value, list):
        for item in value:
            _no_surrogates(item, what)
    elif isinstance(value, dict):
        for key, item in value.items():
            _no_surrogates(key, what)
            _no_surrogates(item, what)
