"""The tables themselves: complete, with reasons, and as the documentation shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from claudy.guard import views
from claudy.guard.handlers import HANDLERS
from claudy.guard.policy import create, endpoints, objects, references, table
from claudy.guard.policy.endpoints import ENDPOINTS
from claudy.guard.refusal import Denied
from claudy.guard.target import parse

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"


def test_documentation_shows_the_tables() -> None:
    text = DOCUMENT.read_text()
    assert text == table.written_into(text), (
        "python -m claudy.guard.policy.table < docs/security.md"
    )


def test_the_base_of_claudys_image_is_not_made_in_a_sandbox() -> None:
    """Where the host has none yet, the next build would be made on the sandbox's."""
    text = (DOCUMENT.parents[1] / "docker/Dockerfile.hal9000").read_text()
    assert f"ARG BASE_IMAGE={references.BASE}\n" in text
    assert references.is_claudys_image(references.BASE)
    assert not references.is_claudys_image("debian:trixie")


def test_every_row_has_a_handler_and_a_reason() -> None:
    for row in ENDPOINTS:
        assert row.handler in HANDLERS
        assert row.why
    assert {row.handler for row in ENDPOINTS} == set(HANDLERS)


@pytest.mark.parametrize(
    "rows",
    [
        create.CONFIG,
        create.HOST_CONFIG,
        create.MOUNT,
        objects.NETWORK,
        objects.VOLUME,
        objects.EXEC,
    ],
)
def test_no_field_has_two_rows(rows: tuple[object, ...]) -> None:
    names = [row.name for row in rows]  # type: ignore[attr-defined]
    assert len(names) == len(set(names))


def test_every_endpoint_finds_its_own_row() -> None:
    for row in ENDPOINTS:
        path = row.path.replace("{", "").replace("}", "")
        found = endpoints.find(row.method, path)
        assert found is not None
        assert found[0].handler == row.handler


def test_runtimes_of_the_host_are_not_told() -> None:
    found = {"Runtimes": {"theirs": {"path": "/opt/theirs", "runtimeArgs": ["--key=x"]}}}
    assert "theirs" not in str(views.info(found))


@pytest.mark.parametrize(
    ("raw", "version", "path", "query"),
    [
        (b"/_ping", None, "/_ping", ()),
        (b"/v1.45/images/a/b:c/json", (1, 45), "/images/a/b:c/json", ()),
        (b"/images/a%40sha256:0/json", None, "/images/a@sha256:0/json", ()),
        (b"/info?", None, "/info", ()),
        (b"/x?a=b+c&d=%26", None, "/x", (("a", "b c"), ("d", "&"))),
    ],
)
def test_target(raw: bytes, version: object, path: str, query: object) -> None:
    assert parse(raw) == (version, path, query)


@pytest.mark.parametrize(
    "raw",
    [b"", b"x", b"/", b"//", b"/a//b", b"/a/../b", b"/%61", b"/a;b", b"/a?%", b"/a?b;c", b"/\xff"],
)
def test_target_that_is_refused(raw: bytes) -> None:
    with pytest.raises(Denied):
        parse(raw)
