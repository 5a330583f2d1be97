"""The host's apt sources, in both formats, and what they mean for another release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from claudy.image.bootstrap import choose_sources
from claudy.image.sources import Source, debian_release, read_sources, sources_for

if TYPE_CHECKING:
    from pathlib import Path

MAIN = ("main",)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc/apt/sources.list.d").mkdir(parents=True)
    (tmp_path / "etc/os-release").write_text(
        'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n'
    )
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    """Write a file below /etc/apt."""
    (root / "etc/apt" / name).write_text(text)


def test_deb822_with_comments_continued_lines_and_many_suites(root: Path) -> None:
    write(
        root,
        "sources.list.d/debian.sources",
        """\
# the company's mirror
Types: deb deb-src
# between fields
URIs: http://mirror.example/debian/
Suites: bookworm
 bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://mirror.example/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://src.example/debian
Suites: bookworm
Components: main
""",
    )
    assert read_sources(str(root)) == [
        Source("http://mirror.example/debian", "bookworm", ("main", "contrib")),
        Source("http://mirror.example/debian", "bookworm-updates", ("main", "contrib")),
        Source("https://mirror.example/debian-security", "bookworm-security", MAIN),
    ]


def test_one_line_format_with_options_and_comments(root: Path) -> None:
    write(
        root,
        "sources.list",
        """\
# deb http://commented.example/debian bookworm main
deb [arch=amd64 trusted=yes] http://mirror.example/debian bookworm main non-free # here
deb-src http://mirror.example/debian bookworm main
deb\thttp://mirror.example/debian-security\tbookworm-security\tmain
""",
    )
    write(root, "sources.list.d/other.list", "deb http://other.example/ stable extra\n")
    write(root, "sources.list.d/other.list.save", "deb http://saved.example/ stable extra\n")
    assert read_sources(str(root)) == [
        Source("http://mirror.example/debian", "bookworm", ("main", "non-free"), trusted=True),
        Source("http://mirror.example/debian-security", "bookworm-security", MAIN),
        Source("http://other.example", "stable", ("extra",)),
    ]


def test_a_list_of_mirrors_is_followed(root: Path) -> None:
    (root / "etc/apt/mirrors").mkdir()
    write(root, "mirrors/debian.list", "# a comment\nhttps://first.example/debian\npriority:2\n")
    write(root, "sources.list", "deb mirror+file:/etc/apt/mirrors/debian.list bookworm main\n")
    assert read_sources(str(root)) == [Source("https://first.example/debian", "bookworm", MAIN)]


def test_the_hosts_archives_are_used_for_the_other_release() -> None:
    host = [
        Source("http://vendor.example/repo", "stable", MAIN),
        Source("http://vendor.example/nodistro", "nodistro", MAIN),
        Source("http://mirror.example/debian", "bookworm", MAIN),
        Source("http://mirror.example/debian", "bookworm-updates", MAIN),
        Source("http://security.example/debian-security", "bookworm-security", MAIN),
        Source("http://second.example/debian", "bookworm", MAIN),
    ]
    assert sources_for("trixie", host, "bookworm") == [
        Source("http://mirror.example/debian", "trixie", MAIN),
        Source("http://mirror.example/debian", "trixie-updates", MAIN),
        Source("http://security.example/debian-security", "trixie-security", MAIN),
    ]


def test_a_host_of_that_very_release_needs_no_translation() -> None:
    host = [Source("http://mirror.example/debian", "trixie", MAIN)]
    assert sources_for("trixie", host, "trixie") == host


@pytest.mark.parametrize(
    "host",
    [
        [],
        [Source("cdrom:[Debian 12]", "bookworm", MAIN)],
        [Source("http://mirror.example/debian", "bookworm", ("contrib",))],
        [Source("http://mirror.example/debian", "bookworm-security", MAIN)],
        [Source("http://archive.example/ubuntu", "noble", MAIN)],
    ],
)
def test_without_a_usable_archive_there_is_none(host: list[Source]) -> None:
    assert sources_for("trixie", host, "bookworm") == []


def test_the_release_is_known_on_debian_only(root: Path) -> None:
    assert debian_release(str(root)) == "bookworm"
    (root / "etc/os-release").write_text("ID=ubuntu\nVERSION_CODENAME=noble\n")
    assert debian_release(str(root)) == ""
    (root / "etc/os-release").unlink()
    assert debian_release(str(root)) == ""


def test_given_mirrors_come_before_the_hosts_and_those_before_mmdebstraps_own(root: Path) -> None:
    assert choose_sources({}, str(root)) == []
    write(root, "sources.list", "deb http://mirror.example/debian bookworm main\n")
    assert choose_sources({}, str(root)) == [Source("http://mirror.example/debian", "trixie", MAIN)]
    given = {
        "APT_MIRROR": "http://given.example/d",
        "APT_SECURITY_MIRROR": "http://given.example/s",
    }
    assert choose_sources(given, str(root)) == [
        Source("http://given.example/d", "trixie", MAIN),
        Source("http://given.example/s", "trixie-security", MAIN),
    ]


def test_a_source_is_written_as_a_line() -> None:
    assert Source("http://m/d", "trixie", MAIN).line() == "deb http://m/d trixie main"
    trusted = Source("http://m/d", "trixie", MAIN, trusted=True)
    assert trusted.line() == "deb [trusted=yes] http://m/d trixie main"
