"""What a machine reaches, as its files tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from claudy.guard import neighbours
from claudy.guard.policy.build import cache_from
from claudy.guard.policy.rules import DROP, No, line, lines

if TYPE_CHECKING:
    from pathlib import Path

TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.213.2.0/30 2 0 2
        |-- 10.213.2.0
           /30 link UNICAST
Id 52:
  |-- 10.9.0.0
     /16 universe UNICAST
     /24 universe UNICAST
Local:
     |-- 10.78.0.7
        /32 host LOCAL
"""
ROUTES = """\
Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t0102D50A\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0002D50A\t00000000\t0001\t0\t0\t0\tFCFFFFFF\t0\t0\t0
"""
ROUTES_6 = """\
fd770001000000000000000000000000 30 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001 lo
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd780000000000000000000000000001 00000400 00000001 00000000 00000003 eth0
"""  # noqa: E501 - as the kernel prints them
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n"
TCP = (
    HEAD
    + "   0: 0100007F:0CEA 00000000:0000 0A 0:0 0:0 0 0 0 0 1\n"
    + "   1: 02D50A0A:D431 0500140A:01BB 01 0:0 0:0 0 0 0 0 1\n"
    + "   2: 02D50A0A:D432 0600140A:01BB 06 0:0 0:0 0 0 0 0 1\n"
)
TCP_6 = (
    HEAD
    + "   0: 0:0 0100A8FD000000000000000009000000:01BB 01 0:0\n"
    + "   1: 0:0 0000000000000000FFFF00000700140A:01BB 08 0:0\n"
)
HOSTS = (
    "127.0.0.1 localhost\n127.0.1.1\tme\n10.30.0.1\tdb # here\n::1 localhost\n# 10.31.0.1 no\n\n"
)
FILES = {
    "proc/net/fib_trie": TRIE,
    "proc/net/route": ROUTES,
    "proc/net/ipv6_route": ROUTES_6,
    "proc/net/tcp": TCP,
    "proc/net/tcp6": TCP_6,
    "etc/hosts": HOSTS,
    "etc/resolv.conf": "search x\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nnameserver\n",
    "run/systemd/resolve/resolv.conf": "nameserver 10.255.255.53\n",
}


def test_all_that_the_files_name(tmp_path: Path) -> None:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = {str(net) for net, _ in neighbours.all_of(str(tmp_path))}
    assert found == {
        *("10.213.2.0/30", "10.9.0.0/16", "10.9.0.0/24", "10.78.0.7/32", "10.213.2.1/32"),
        *("fd77:1::/48", "fd78::1/128"),
        *("10.20.0.5/32", "fda8:1::9/128", "10.20.0.7/32"),
        *("127.0.0.53/32", "fe80::1/128", "10.255.255.53/32"),
        "10.30.0.1/32",
    }


def test_nothing_is_there(tmp_path: Path) -> None:
    assert list(neighbours.all_of(str(tmp_path))) == []


def test_a_long_file_is_cut_at_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_MOST", len(TCP) - 20)
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/net/tcp").write_text(TCP)
    assert [str(net) for net, _ in neighbours.all_of(str(tmp_path))] == ["10.20.0.5/32"]


class Context:
    """An engine, old or new."""

    def __init__(self, *, checks_caches: bool) -> None:
        self.checks_caches = checks_caches

    def visible_image(self, ref: str) -> str:
        return ref


def test_a_named_cache_is_left_out_where_it_could_lie() -> None:
    assert cache_from("busybox", Context(checks_caches=True)) == "busybox"  # type: ignore[arg-type]
    assert cache_from("busybox", Context(checks_caches=False)) is DROP  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["a\nb", "a\tb", "a\x1bb", "a\x7f", "\r", "\0"])
def test_a_line_has_no_control_characters(text: str) -> None:
    with pytest.raises(No):
        line()(text, Context(checks_caches=True))  # type: ignore[arg-type]


def test_lines_have_ends_and_tabs_alone() -> None:
    context = Context(checks_caches=True)
    assert lines(10)("a\n\tb", context) == "a\n\tb"  # type: ignore[arg-type]
    for text in ("a\x1bb", "a\r\n", "x" * 11):
        with pytest.raises(No):
            lines(10)(text, context)  # type: ignore[arg-type]
