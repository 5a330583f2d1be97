"""Checks that a row of the policy can name: each takes a value and returns what is forwarded."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from claudy.guard.refusal import refused

if TYPE_CHECKING:
    from collections.abc import Callable

    Rule = Callable[[Any, "Context"], Any]

MAX_TEXT = 128 * 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_IN_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_TRUE, _FALSE = (
    {"1", "true", "True", "TRUE", "yes"},
    {"", "0", "false", "False", "FALSE", "no", "none"},
)


class Budget(NamedTuple):
    """What the sandbox's containers may use; 0: no limit.

    Attributes:
        memory: bytes for one container.
        nano_cpus: billionths of a CPU for one container.
        pids: processes of one container.
        containers: containers of the project, running or not.
        ports: ports that they publish.
    """

    memory: int = 0
    nano_cpus: int = 0
    pids: int = 0
    containers: int = 0
    ports: int = 0


class Context(Protocol):
    """What rules ask about the sandbox and its objects; each answer is a full, forwardable name."""

    budget: Budget
    all_interfaces: bool

    @property
    def checks_caches(self) -> bool:
        """Whether the classic builder takes only what was built here from a named cache."""
        ...

    def container(self, ref: str) -> str:
        """Return the full id of an owned container."""
        ...

    def network(self, ref: str) -> str:
        """Return what names an owned or predefined network."""
        ...

    def network_id(self, ref: str) -> str:
        """Return the full id of an owned network; empty: it is a predefined one."""
        ...

    def visible_image(self, ref: str) -> str:
        """Return an image reference that the sandbox may use."""
        ...


class No(Exception):
    """A value that a row does not allow; the row's reason completes the refusal."""


class Drop:
    """Stands for `forward nothing`."""


DROP = Drop()


class Field(NamedTuple):
    """A row: a field of a body, or a query key.

    Attributes:
        name: exact name on the wire.
        rule: check of the value.
        allowed: what the rule lets through, for the reader.
        why: why not more; also in the refusal.
    """

    name: str
    rule: Rule
    allowed: str
    why: str = ""


def struct(table: tuple[Field, ...], prefix: str = "") -> Rule:
    """Return the rule of an object with the fields of a table and no others."""
    rows = {row.name: row for row in table}

    def check(value: Any, context: Context) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise No("not an object")
        result = {}
        for name, item in value.items():
            row = rows.get(name)
            if row is None:
                if _is_empty(item):
                    continue
                shown = name[:60].encode("ascii", "backslashreplace").decode()
                raise refused(f"the field {prefix}{shown} is not known here", "Leave it out.")
            if item is None:
                continue
            forwarded = apply(row, item, context, prefix)
            if forwarded is not DROP:
                result[name] = forwarded
        return result

    check.table = table  # type: ignore[attr-defined]
    check.prefix = prefix  # type: ignore[attr-defined]
    return check


def apply(row: Field, value: Any, context: Context, prefix: str = "") -> Any:
    """Return what a row forwards for a value; refuse with the row's reason."""
    try:
        return row.rule(value, context)
    except No as no:
        detail = f" ({no})" if str(no) else ""
        why = f": {row.why}" if row.why else ""
        raise refused(
            f"{prefix}{row.name}{detail} is refused{why}", f"Allowed: {row.allowed}."
        ) from no


def _is_empty(value: Any) -> bool:
    return value is None or value is False or value in ("", 0, [], {})


# -- plain values ----------------------------------------------------------------------------


def flag(value: Any, _: Context) -> bool:
    """Allow true and false."""
    if not isinstance(value, bool):
        raise No("not true or false")
    return value


def integer(low: int = 0, high: int = 2**63 - 1) -> Rule:
    """Return the rule of a whole number in a range."""

    def check(value: Any, _: Context) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise No(f"not a whole number from {low} to {high}" if high < 2**62 else "out of range")
        return value

    return check


# On first use: a guard starts beside an engine that starts a container, and needs few of them.
_compiled = functools.cache(re.compile)


def text(pattern: str = "", limit: int = MAX_TEXT) -> Rule:
    """Return the rule of a text; a pattern must match it whole."""

    def check(value: Any, _: Context) -> str:
        if not isinstance(value, str) or len(value) > limit or "\0" in value:
            raise No("not a text")
        if pattern and not _compiled(pattern).fullmatch(value):
            raise No(repr(value[:60]))
        return value

    return check


def line(limit: int = 4096) -> Rule:
    """Return the rule of a text without control characters."""

    def check(value: Any, _: Context) -> str:
        if not isinstance(value, str) or len(value) > limit or _CONTROL.search(value):
            raise No("not a line of text")
        return value

    return check


def lines(limit: int) -> Rule:
    """Return the rule of a text with line ends and tabs, but without other control characters."""

    def check(value: Any, _: Context) -> str:
        if not isinstance(value, str) or len(value) > limit or _IN_LINES.search(value):
            raise No("not lines of text")
        return value

    return check


def only(*values: Any) -> Rule:
    """Return the rule that allows these values."""

    def check(value: Any, _: Context) -> Any:
        if not any(value == allowed and type(value) is type(allowed) for allowed in values):
            raise No(repr(value)[:80])
        return value

    return check


def nothing(value: Any, _: Context) -> Any:
    """Allow only the zero value, and forward nothing."""
    if not _is_empty(value):
        raise No(repr(value)[:80])
    return DROP


def null(value: Any, _: Context) -> Any:
    """Allow only null: an empty list means something else."""
    raise No(repr(value)[:80])


def dropped(_value: Any, _: Context) -> Any:
    """Forward nothing, whatever it is."""
    return DROP


# -- collections -----------------------------------------------------------------------------


def items(rule: Rule, limit: int = 4096) -> Rule:
    """Return the rule of a list."""

    def check(value: Any, context: Context) -> list[Any]:
        if not isinstance(value, list) or len(value) > limit:
            raise No("not a list, or too long")
        checked = [rule(item, context) for item in value]
        return [item for item in checked if item is not DROP]

    return check


def words(value: Any, _: Context) -> list[str]:
    """Allow a list of texts, or one text (the daemon takes both)."""
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise No("not a list of texts")
    if any("\0" in item for item in found):
        raise No("NUL in a text")
    return found


def mapping(key: Rule, rule: Rule, limit: int = 4096) -> Rule:
    """Return the rule of a map."""

    def check(value: Any, context: Context) -> dict[str, Any]:
        if not isinstance(value, dict) or len(value) > limit:
            raise No("not a map, or too large")
        return {key(name, context): rule(item, context) for name, item in value.items()}

    return check


def labels(value: Any, context: Context) -> dict[str, str]:
    """Allow labels, but not claudy's own."""
    checked: dict[str, str] = mapping(text(limit=1024), text())(value, context)
    for name in checked:
        if name.lower().startswith("claudy."):
            raise No(repr(name[:60]))
    return checked


# -- query values ----------------------------------------------------------------------------


def switch(value: str, _: Context) -> str:
    """Allow a boolean in one of the spellings that clients use."""
    if value in _TRUE:
        return "1"
    if value in _FALSE:
        return "0"
    raise No(repr(value[:20]))


def number(low: int = -1, high: int = 2**53) -> Rule:
    """Return the rule of a whole number in a query; empty is left out."""

    def check(value: str, _: Context) -> Any:
        if not value:
            return DROP
        if not re.fullmatch(r"-?[0-9]{1,16}", value) or not low <= int(value) <= high:
            raise No(repr(value[:20]))
        return value

    return check
