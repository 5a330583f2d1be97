"""Image references, with the grammar of distribution/reference."""

from __future__ import annotations

import pytest

from claudy.errors import UsageError
from claudy.image.names import Name, parse_name


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("debian:trixie-slim", Name("docker.io", "debian", "trixie-slim")),
        ("debian", Name("docker.io", "debian", "latest")),
        ("me/mine:1", Name("docker.io", "me/mine", "1")),
        ("localhost/x", Name("localhost", "localhost/x", "latest")),
        ("127.0.0.1:5000/a/b:c", Name("127.0.0.1:5000", "127.0.0.1:5000/a/b", "c")),
        ("127.0.0.1:5000/a", Name("127.0.0.1:5000", "127.0.0.1:5000/a", "latest")),
        ("x@sha256:ab", Name("docker.io", "x", "sha256:ab")),
    ],
)
def test_references_are_taken_apart(reference: str, name: Name) -> None:
    assert parse_name(reference) == name


@pytest.mark.parametrize(
    "reference",
    [
        "",
        " ",
        "https://registry.example/x",
        "-bad.example/x",
        ":tag",
        "UPPER",
        "a:b:c",
        "a//b",
        "a/",
        "a:",
        "a:-",
        "a@sha256",
        "x\n",
    ],
)
def test_what_is_no_reference_is_a_usage_error(reference: str) -> None:
    with pytest.raises(UsageError, match="not an image reference"):
        parse_name(reference)
