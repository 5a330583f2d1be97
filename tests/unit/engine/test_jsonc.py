"""The C halves of `json`, used alone, do what `json` does."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudy.engine.jsonc import dumps, loads

_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner),
    max_leaves=20,
)  # fmt: skip
_SPACE = st.text(" \t\r\n", max_size=3)
_ALMOST = st.text(st.sampled_from(list('{}[]",:0123456789.eE+-truefalsn \t\n\\u')), max_size=12)


def same(one: Any, other: Any) -> bool:
    """Equal, with NaN equal to itself."""
    return bool(repr(one) == repr(other))


@given(_VALUES)
def test_a_value_comes_back(value: Any) -> None:
    assert same(loads(dumps(value)), value)


@given(_VALUES)
def test_what_it_writes_is_what_json_writes(value: Any) -> None:
    assert dumps(value).decode() == json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@given(_VALUES, _SPACE, _SPACE, st.booleans())
def test_it_reads_what_json_writes(value: Any, before: str, after: str, ascii_only: bool) -> None:
    text = before + json.dumps(value, ensure_ascii=ascii_only) + after
    assert same(loads(text), value)
    assert same(loads(text.encode()), value)
    assert same(loads(bytearray(text.encode())), value)


@given(_ALMOST | st.text())
def test_it_refuses_what_json_refuses(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            loads(text)
    else:
        assert same(loads(text), expected)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, [math.nan]])
def test_it_writes_no_number_that_json_has_not(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        dumps(value)


@pytest.mark.parametrize("value", [object(), b"bytes", {1, 2}, {"a": object()}])
def test_it_writes_nothing_that_json_has_no_form_for(value: Any) -> None:
    with pytest.raises(TypeError):
        dumps(value)


def test_bytes_that_are_no_utf8_are_no_json() -> None:
    with pytest.raises(ValueError, match=r"."):
        loads(b'"\xff"')
