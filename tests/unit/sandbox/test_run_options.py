"""Options in the syntax of `docker run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudy.errors import USAGE, UsageError
from claudy.sandbox.options import parse_env, parse_ports, parse_volume
from claudy.sandbox.plan import Mount, Port

if TYPE_CHECKING:
    from pathlib import Path

_PORT = st.integers(1, 65535)
_PROTOCOL = st.sampled_from(["tcp", "udp", "sctp"])
_ADDRESS = st.sampled_from(["", "127.0.0.1", "0.0.0.0", "::1"])  # noqa: S104
LABELS = (("claudy.sandbox", "x"),)


@given(_PORT, st.none() | _PORT, _ADDRESS, st.none() | _PROTOCOL)
def test_a_port_in_every_spelling(
    inside: int, outside: int | None, address: str, protocol: str | None
) -> None:
    shown = f"[{address}]" if ":" in address else address
    host = "" if outside is None else str(outside)
    text = str(inside)
    if address:
        text = f"{shown}:{host}:{inside}"
    elif host:
        text = f"{host}:{inside}"
    text += f"/{protocol}" if protocol else ""
    assert parse_ports([text]) == (Port(inside, outside or 0, address, protocol or "tcp"),)


@given(st.integers(1, 65000), st.integers(1, 65000), st.integers(0, 20))
def test_ranges_go_in_step(inside: int, outside: int, length: int) -> None:
    text = f"{outside}-{outside + length}:{inside}-{inside + length}/udp"
    wanted = tuple(Port(inside + n, outside + n, "", "udp") for n in range(length + 1))
    assert parse_ports([text]) == wanted


@pytest.mark.parametrize(
    "text",
    ["", ":", "a", "0", "65536", "80/icmp", "80:", "8080:80:", "1-3:80", "80-79", "-1", "1.5",
     "²", "x:80", "99999999999", "1.2.3.4:8080", "1.2.3.4:a:80", "8080:80/tcp/udp"],
)  # fmt: skip
def test_no_port(text: str) -> None:
    with pytest.raises(UsageError, match="--publish") as caught:
        parse_ports([text])
    assert caught.value.exit_code == USAGE
    assert caught.value.hint


@given(st.text(st.sampled_from("0123456789:-/[].tcpudx "), max_size=20))
def test_anything_is_ports_or_an_error(text: str) -> None:
    try:
        ports = parse_ports([text])
    except UsageError:
        return
    assert ports
    assert all(0 < port.container <= 65535 and 0 <= port.host <= 65535 for port in ports)


def test_volumes(tmp_path: Path) -> None:
    project = str(tmp_path.resolve())
    (tmp_path / "data").mkdir()
    (tmp_path / "co:lon").mkdir()

    def volume(text: str) -> Mount:
        return parse_volume(text, project, LABELS)

    data = f"{project}/data"
    assert volume("./data:/d") == Mount("bind", data, "/d")
    assert volume("./data:/d:ro") == Mount("bind", data, "/d", read_only=True)
    assert volume("./data:/d:rw") == Mount("bind", data, "/d")
    assert volume(f"{data}:/d") == Mount("bind", data, "/d")
    assert volume(".:/d") == Mount("bind", project, "/d")
    assert volume("./co:lon:/d:ro") == Mount("bind", f"{project}/co:lon", "/d", read_only=True)
    assert volume("cache:/c") == Mount("volume", "cache", "/c", labels=LABELS)
    assert volume("cache:/c:ro") == Mount("volume", "cache", "/c", read_only=True, labels=LABELS)


@pytest.mark.parametrize("text", ["", ":", "x", "/a", ":/a", "a:b", "./none:/x", "a:", "./:ro"])
def test_no_volume(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="--volume") as caught:
        parse_volume(text, str(tmp_path), LABELS)
    assert caught.value.exit_code == USAGE
    assert caught.value.hint


def test_environment() -> None:
    env = {"HERE": "from here", "EMPTY": ""}
    assert parse_env(["A=1", "HERE", "NOT_HERE", "EMPTY", "B=x=y", "A=2", "C="], env) == (
        ("A", "2"),
        ("HERE", "from here"),
        ("EMPTY", ""),
        ("B", "x=y"),
        ("C", ""),
    )
    with pytest.raises(UsageError, match="has no name"):
        parse_env(["=x"], env)
