"""What this machine reaches: a network of a container there would take that traffic over.

All of it is as this process sees it: the machine's own routes, addresses and connections. It does
not see the traffic of containers, nor who is behind the default route with nobody connected now.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network
    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_MOST = 4 << 20  # bytes of a file that are looked at
# With those that a resolver on this machine asks itself.
_RESOLVERS = (
    "/etc/resolv.conf",
    "/run/systemd/resolve/resolv.conf",
    "/run/NetworkManager/resolv.conf",
    "/run/NetworkManager/no-stub-resolv.conf",
)
_SOCKETS = ("tcp", "tcp6", "udp", "udp6")
# ESTABLISHED, SYN_SENT, SYN_RECV, CLOSE_WAIT of linux/net/tcp_states.h. What was closed here does
# not count: the ports of a project that was just taken down would block its subnet.
_CONNECTED = {"01", "02", "03", "08"}


def are_seen() -> bool:
    """Whether this process is in a network at all; a sidecar is in none."""
    try:
        return any(name != "lo" for name in os.listdir("/sys/class/net"))
    except OSError:
        return False


def all_of(root: str = "") -> Iterator[tuple[Network, str]]:
    """Yield what this machine uses, and what for.

    Args:
        root: directory that the paths are below.
    """
    for net in _routes(root):
        yield net, "which this machine uses"
    for path in _RESOLVERS:
        for address in _nameservers(root + path):
            yield ipaddress.ip_network(address), "a name server of this machine"
    for name in _SOCKETS:
        for address in _peers(f"{root}/proc/net/{name}"):
            yield ipaddress.ip_network(address), "which this machine is connected with"
    for line in _lines(f"{root}/etc/hosts"):
        named = _address((line.split() or [""])[0])
        if named and not named.is_loopback:
            yield ipaddress.ip_network(named), "which this machine's /etc/hosts names"


def _lines(path: str) -> Iterator[str]:
    try:
        with open(path, "rb") as file:
            raw = file.read(_MOST)
    except OSError:
        return
    if len(raw) == _MOST:
        raw = raw[: raw.rfind(b"\n") + 1]
    for line in raw.decode("utf-8", "replace").splitlines():
        yield line.strip()


def _address(text: str) -> Address | None:
    try:
        return _plain(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def _plain(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for."""
    return getattr(address, "ipv4_mapped", None) or address


def _nameservers(path: str) -> Iterator[Address]:
    for line in _lines(path):
        words = line.split()
        if words[:1] == ["nameserver"] and len(words) > 1 and (address := _address(words[1])):
            yield address


def _peers(path: str) -> Iterator[Address]:
    """See linux/Documentation/networking/proc_net_tcp.rst; words are in the machine's order."""
    for line in list(_lines(path))[1:]:
        _, _, remote, state, *_ = line.split()
        digits = remote.partition(":")[0]
        words = [_word(digits[at : at + 8]) for at in range(0, len(digits), 8)]
        raw = b"".join(word.to_bytes(4, "big") for word in words)
        address = _plain(ipaddress.ip_address(raw))
        if state in _CONNECTED and not address.is_unspecified:
            yield address


def _word(digits: str) -> int:
    """Return four bytes of the network's order that were printed as one number of this machine."""
    return int.from_bytes(bytes.fromhex(digits), sys.byteorder)


def _routes(root: str) -> Iterator[Network]:
    """Yield the networks that this machine has a route to, except the default; its gateways."""
    yield from _tables_4(f"{root}/proc/net/fib_trie")
    for line in list(_lines(f"{root}/proc/net/route"))[1:]:
        row = line.split()
        address, gateway, mask = (_word(row[number]) for number in (1, 2, 7))
        if mask:
            yield ipaddress.IPv4Network((address, mask.bit_count()))
        if gateway:
            yield ipaddress.IPv4Network((gateway, 32))
    # See linux/net/ipv6/route.c, `rt6_info_route`: target, its prefix, source, its prefix, hop.
    for line in _lines(f"{root}/proc/net/ipv6_route"):
        row = line.split()
        if prefix := int(row[1], 16):
            yield ipaddress.IPv6Network((bytes.fromhex(row[0]), prefix))
        if int(row[4], 16):
            yield ipaddress.IPv6Network((bytes.fromhex(row[4]), 128))


def _tables_4(path: str) -> Iterator[Network]:
    """Yield the routes of every table, and the machine's own addresses.

    A leaf is a line with an address, and one below it for each prefix.
    """
    address = ""
    for line in _lines(path):
        if line.startswith("|-- "):
            address = line[4:]
        elif line.startswith("/") and (prefix := int(line[1:].split()[0])):
            yield ipaddress.IPv4Network(f"{address}/{prefix}")
