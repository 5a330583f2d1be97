"""JSON through CPython's C scanner and encoder, without importing `json`.

The `json` package imports `re` and with it `enum` and `functools`: as long as Python's own start.
The C halves of it are all that is needed; they are CPython's own and have been the same since 3.2.
"""

from __future__ import annotations

import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class _Plain:
    """How the scanner builds values: plain dicts, floats and ints, control characters refused."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}  # noqa: RUF012 - the attribute the scanner asks for


def _refuse(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} is not JSON")


_scan = _json.make_scanner(_Plain)  # type: ignore[arg-type]
_encode: Callable[[Any, int], tuple[str, ...]] = _json.make_encoder(
    None, _refuse, _json.encode_basestring, None, ":", ",", False, False, False
)


def loads(data: bytes | bytearray | str) -> Any:
    """Parse one JSON document.

    Args:
        data: the document, UTF-8 when bytes; white space around it is allowed.

    Returns:
        dict, list, str, int, float, bool or None.

    Raises:
        ValueError: it is not JSON, or something follows it.
    """
    text = (data if isinstance(data, str) else data.decode()).strip(" \t\r\n")
    try:
        value, end = _scan(text, 0)
    except StopIteration as error:
        raise ValueError(f"not JSON at character {error.value}") from None
    if end != len(text):
        raise ValueError(f"extra data at character {end}")
    return value


def dumps(value: Any) -> bytes:
    """Serialise a value as compact UTF-8 JSON.

    Raises:
        TypeError: it holds something JSON has no form for.
        ValueError: it holds a NaN or an infinity.
    """
    return "".join(_encode(value, 0)).encode()
