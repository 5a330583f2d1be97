"""Protobuf's wire format, as far as BuildKit's requests need it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from claudy.guard.refusal import invalid, refused

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARINT, _BYTES = 0, 2
MAX_DEPTH = 8

TEXT, MAP, BOOL, MESSAGE, RAW = "text", "map", "bool", "message", "raw"
NUMBER = "number"
_NUMERIC = frozenset({BOOL, NUMBER})


class Slot(NamedTuple):
    """A field of a message.

    Attributes:
        name: as in the .proto file.
        kind: text, map (of texts), bool, message, raw bytes or number.
        many: repeated.
        table: fields of a message.
    """

    name: str
    kind: str
    many: bool = False
    table: Mapping[int, Slot] | None = None


Table = dict[int, Slot]


def decode(data: bytes, table: Mapping[int, Slot], depth: int = 0) -> dict[str, Any]:
    """Return a message's fields by name.

    Raises:
        Denied: malformed, or a field that the table does not know.
    """
    if depth > MAX_DEPTH:
        raise invalid("a BuildKit message is nested too deep")
    result: dict[str, Any] = {}
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, form = key >> 3, key & 7
        slot = table.get(number)
        if slot is None:
            raise refused(f"a BuildKit request has the unknown field {number}")
        value: Any
        if form == _VARINT and slot.kind in _NUMERIC:
            raw, place = _varint(data, place)
            value = raw if slot.kind == NUMBER else bool(raw)
        elif form == _BYTES and slot.kind not in _NUMERIC:
            size, place = _varint(data, place)
            if place + size > len(data):
                raise invalid("a BuildKit message is cut short")
            value = _value(slot, data[place : place + size], depth)
            place += size
        else:
            raise invalid(f"a BuildKit request has a malformed field {slot.name}")
        _put(result, slot, value)
    return result


def _put(result: dict[str, Any], slot: Slot, value: Any) -> None:
    if slot.kind == MAP:
        found = result.setdefault(slot.name, {})
        if value[0] in found:
            raise invalid(f"a BuildKit request has {slot.name}[{value[0]}] twice")
        found[value[0]] = value[1]
    elif slot.many:
        result.setdefault(slot.name, []).append(value)
    elif slot.name in result:
        raise invalid(f"a BuildKit request has {slot.name} twice")
    else:
        result[slot.name] = value


def _value(slot: Slot, data: bytes, depth: int) -> Any:
    if slot.kind == RAW:
        return data
    if slot.kind == MESSAGE:
        return decode(data, slot.table or {}, depth + 1)
    if slot.kind == MAP:
        pair = decode(data, {1: Slot("key", TEXT), 2: Slot("value", TEXT)}, depth + 1)
        return pair.get("key", ""), pair.get("value", "")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise invalid(f"a BuildKit request has a {slot.name} that is not UTF-8") from error


def encode(message: Mapping[str, Any], table: Mapping[int, Slot]) -> bytes:
    """Serialise a message; names that the table does not know are a defect."""
    numbers = {slot.name: (number, slot) for number, slot in table.items()}
    pieces = []
    for name, value in message.items():
        number, slot = numbers[name]
        if slot.kind in _NUMERIC:
            if value:
                pieces.append(_number(number << 3 | _VARINT) + _number(int(value)))
            continue
        values: Any
        if slot.kind == MAP:
            pair = {1: Slot("key", TEXT), 2: Slot("value", TEXT)}
            values = [encode({"key": k, "value": v}, pair) for k, v in value.items()]
        else:
            values = [_bytes(slot, item) for item in (value if slot.many else [value])]
        pieces += [_number(number << 3 | _BYTES) + _number(len(item)) + item for item in values]
    return b"".join(pieces)


def _bytes(slot: Slot, value: Any) -> bytes:
    if slot.kind == MESSAGE:
        return encode(value, slot.table or {})
    return value.encode() if isinstance(value, str) else bytes(value)


def _varint(data: bytes, place: int) -> tuple[int, int]:
    result = shift = 0
    while shift < 64:  # noqa: PLR2004 - bits of the largest number
        if place >= len(data):
            raise invalid("a BuildKit message is cut short")
        byte = data[place]
        place += 1
        result |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return result, place
        shift += 7
    raise invalid("a BuildKit message has a number that is too long")


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
