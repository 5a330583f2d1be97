"""The sandbox's user in /etc/passwd and /etc/group."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudy.image.passwd import Entry, login_name, with_group, with_user

DEBIAN = (
    b"root:x:0:0:root:/root:/bin/bash\n"
    b"www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"
    b"dev:x:1000:1000::/home/dev:/bin/bash\n"
)
GROUPS = b"root:x:0:\nwww-data:x:33:\ndev:x:1000:\nclaudy-sudo:x:999:\n"


def entry(uid: int, name: str, gid: int = 1000) -> Entry:
    """Return a user with the usual home and shell."""
    return Entry(uid, gid, name, "/home/claudy", "/bin/bash")


def names(text: bytes) -> list[str]:
    """Return the first fields."""
    return [line.split(":")[0] for line in text.decode().splitlines()]


def test_a_new_user_is_added_and_all_others_stay() -> None:
    found = with_user(DEBIAN, entry(1234, "jane"))
    assert found == DEBIAN + b"jane:*:1234:1000::/home/claudy:/bin/bash\n"


def test_who_has_the_same_id_makes_way() -> None:
    assert names(with_user(DEBIAN, entry(1000, "jane"))) == ["root", "www-data", "jane"]


def test_who_has_the_same_name_makes_way() -> None:
    found = with_user(DEBIAN, entry(33, "dev"))
    assert names(found) == ["root", "dev"]
    assert b"dev:*:33:" in found


def test_root_stays_and_nobody_else_is_called_so() -> None:
    found = with_user(DEBIAN, entry(1234, "root"))
    assert names(found) == ["root", "www-data", "dev"]
    assert b"dev:*:1234:" in found
    assert found.startswith(b"root:x:0:0:")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("jane", "jane"),
        ("jörg", "jörg"),
        ("DOMAIN\\jane", "DOMAINjane"),
        ("a:b\nc", "abc"),
        ("-x", "x"),
        ("", "dev"),
        ("root", "dev"),
        ("jane@example.com", "jane@example.com"),
    ],
)
def test_names_fit_the_file_format(name: str, kept: str) -> None:
    assert login_name(name) == kept


def test_a_group_with_that_id_keeps_its_name() -> None:
    assert with_group(GROUPS, 33, "jane") == GROUPS


def test_a_group_without_a_name_gets_the_users() -> None:
    assert with_group(GROUPS, 1234, "jane") == GROUPS + b"jane:x:1234:\n"


def test_a_group_of_that_name_keeps_its_id() -> None:
    assert with_group(GROUPS, 1234, "dev") == GROUPS + b"group1234:x:1234:\n"


def test_a_file_without_a_last_line_end_is_no_trap() -> None:
    assert with_group(b"root:x:0:", 5, "jane") == b"root:x:0:\njane:x:5:\n"
    assert names(with_user(DEBIAN.rstrip(), entry(5, "jane")))[-1] == "jane"


@given(st.integers(1, 2**32 - 2), st.integers(0, 2**32 - 2), st.text())
def test_every_user_is_found_by_id_and_by_name_once(uid: int, gid: int, name: str) -> None:
    users = with_user(DEBIAN, entry(uid, name, gid)).decode("utf-8", "surrogateescape").split("\n")
    rows = [line.split(":") for line in users if line]
    assert all(len(row) == 7 for row in rows)
    assert [row[0] for row in rows if row[2] == str(uid)] == [login_name(name)]
    assert [row[2] for row in rows if row[0] == login_name(name)] == [str(uid)]
    groups = [line.split(":") for line in with_group(GROUPS, gid, name).decode().splitlines()]
    assert [row[2] for row in groups].count(str(gid)) == 1
    assert all(len(row) == 4 for row in groups)
