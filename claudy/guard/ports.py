"""Published ports: on loopback and the sandbox's gateway, not on the network.

What is published on 127.0.0.1 alone is on the gateway too: there the sandbox reaches it, whose own
127.0.0.1 is another one (`localhost`).
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from typing import TYPE_CHECKING

from claudy.guard.refusal import refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LOOPBACK = "127.0.0.1"
_EPHEMERAL = (32768, 60999)
_TRIES = 64


def plan(
    asked: dict[str, list[dict[str, str]]], gateways: Sequence[str], *, everywhere: bool
) -> dict[str, list[dict[str, str]]]:
    """Return the port bindings to ask the daemon for.

    Args:
        asked: checked PortBindings.
        gateways: addresses of the host in the sandbox's networks.
        everywhere: the user lets ports listen on all interfaces.

    Raises:
        Denied: an address that is neither loopback nor a gateway.
    """
    planned: dict[str, list[dict[str, str]]] = {}
    for port, entries in asked.items():
        bindings = planned.setdefault(port, [])
        for entry in entries or [{}]:
            for binding in _binding(entry, port, gateways, everywhere=everywhere):
                if binding not in bindings or not binding["HostPort"]:
                    bindings.append(binding)
    return planned


def _binding(
    entry: dict[str, str], port: str, gateways: Sequence[str], *, everywhere: bool
) -> Iterable[dict[str, str]]:
    address, number = entry.get("HostIp", ""), entry.get("HostPort", "")
    if everywhere and address != LOOPBACK:
        return [{"HostIp": address, "HostPort": number}]
    if address and address != LOOPBACK:
        if not ipaddress.ip_address(address).is_loopback and address not in gateways:
            raise refused(
                f"publishing a port on {address} is not allowed",
                "Leave the address out, or use 127.0.0.1.",
            )
        return [{"HostIp": address, "HostPort": number}]
    addresses = [LOOPBACK, *gateways]
    if not number and len(addresses) > 1:
        # The daemon would choose another port for each address.
        number = str(_free(addresses, udp=port.endswith("/udp")))
    return [{"HostIp": each, "HostPort": number} for each in addresses]


def hidden(
    asked: dict[str, list[dict[str, str]]], planned: dict[str, list[dict[str, str]]]
) -> list[list[str]]:
    """Return address and port of what is not shown: the gateway's, where loopback was named."""
    return [
        [binding["HostIp"], binding["HostPort"]]
        for port, entries in asked.items()
        if all(entry.get("HostIp") == LOOPBACK for entry in entries or [{}])
        for binding in planned[port]
        if binding["HostIp"] != LOOPBACK
    ]


def _free(addresses: Sequence[str], *, udp: bool) -> int:
    """Return a port that is free on all addresses just now."""
    import random

    number = 0
    for _ in range(_TRIES):
        number = random.randint(*_EPHEMERAL)  # noqa: S311 - not a secret
        if all(_is_free(address, number, udp=udp) for address in addresses):
            return number
    return number


def _is_free(address: str, number: int, *, udp: bool) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
    with contextlib.closing(socket.socket(family, kind)) as probe:
        try:
            probe.bind((address, number))
        except OSError as error:
            # A guard in a container has not the host's addresses: the daemon will tell.
            return error.errno == 99  # noqa: PLR2004 - EADDRNOTAVAIL
    return True
