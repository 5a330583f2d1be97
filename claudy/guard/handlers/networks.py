"""Networks: owned bridges, and the daemon's own bridge as everybody has it."""

from __future__ import annotations

import ipaddress
import json
import os
from typing import TYPE_CHECKING, Any

from claudy.guard import strictjson, views
from claudy.guard.handlers import pruning
from claudy.guard.handlers.making import marks, new_token
from claudy.guard.ownership import PREDEFINED
from claudy.guard.policy.objects import connect_body, disconnect_body, network_body
from claudy.guard.refusal import BAD_REQUEST, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudy.guard.exchange import Exchange

_FILTERS = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})
_JSON = {"Content-Type": "application/json"}


def create_network(x: Exchange) -> None:
    """Create a bridge network that is the project's."""
    body = x.json_body(network_body)
    for config in (body.get("IPAM") or {}).get("Config") or []:
        require_apart(str(config.get("Subnet", "")))
    token = new_token()
    body["Labels"] = {**(body.get("Labels") or {}), **marks(x.services.settings, token)}
    x.ledger.intend("networks", token)
    answer = x.open(body=strictjson.dump(body), headers=_JSON)
    raw = answer.read()
    if answer.status >= BAD_REQUEST:
        x.ledger.drop_intent(token)
        x.reply_error(answer.status, raw)
        return
    made = json.loads(raw)
    x.ledger.settle(token, "networks", made["Id"])
    x.reply_json(answer, made)


def require_apart(subnet: str) -> None:
    """Refuse a subnet that overlaps a route of the host: it would take traffic from it."""
    if not subnet:
        return
    wanted = ipaddress.ip_network(subnet)
    if not others_are_seen():
        raise refused(
            f"whether the subnet {subnet} is free can't be seen from here", "Leave the subnet out."
        )
    for route in host_routes():
        if wanted.version == route.version and wanted.overlaps(route):
            raise refused(
                f"the subnet {subnet} overlaps {route}, which this machine uses",
                "Leave the subnet out, or take another.",
            )


def others_are_seen() -> bool:
    """Whether this process is in a network at all; a sidecar is in none."""
    try:
        return any(name != "lo" for name in os.listdir("/sys/class/net"))
    except OSError:
        return False


def host_routes() -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Yield the networks that this machine has a route to, except the default."""
    yield from _routes_4()
    yield from _routes_6()


def _routes_4() -> Iterator[ipaddress.IPv4Network]:
    try:
        with open("/proc/net/route", encoding="ascii") as file:
            rows = [line.split() for line in file][1:]
    except OSError:
        return
    for row in rows:
        address = int.from_bytes(bytes.fromhex(row[1]), "little")
        mask = int.from_bytes(bytes.fromhex(row[7]), "little")
        if mask:
            yield ipaddress.IPv4Network((address, mask.bit_count()))
        gateway = int.from_bytes(bytes.fromhex(row[2]), "little")
        if gateway:
            yield ipaddress.IPv4Network((gateway, 32))


def _routes_6() -> Iterator[ipaddress.IPv6Network]:
    """See linux/net/ipv6/route.c, `rt6_info_route`: target, its prefix, source, its prefix, hop."""
    try:
        with open("/proc/net/ipv6_route", encoding="ascii") as file:
            rows = [line.split() for line in file]
    except OSError:
        return
    for row in rows:
        if prefix := int(row[1], 16):
            yield ipaddress.IPv6Network((bytes.fromhex(row[0]), prefix))
        if int(row[4], 16):
            yield ipaddress.IPv6Network((bytes.fromhex(row[4]), 128))


def networks(x: Exchange) -> None:
    """List owned and predefined networks."""
    x.filters(_FILTERS)
    status, found, answer = x.ask()
    if status >= BAD_REQUEST:
        x.reply_error(status, strictjson.dump(found))
        return
    shown = [
        views.network(net, x.ledger)
        for net in found
        if net["Name"] in PREDEFINED or x.ledger.owns("networks", net["Id"])
    ]
    x.reply_json(answer, shown)


def inspect_network(x: Exchange) -> None:
    """Inspect a network with its owned members."""
    status, found, answer = x.ask()
    if status >= BAD_REQUEST:
        x.reply_error(status, strictjson.dump(found))
        return
    x.reply_json(answer, views.network(found, x.ledger))


def connect(x: Exchange) -> None:
    """Connect an owned container to a network."""
    if x.refs["network"] == "host":
        raise refused("the host's network is refused", "Use a network that you made.")
    body: dict[str, Any] = x.json_body(connect_body)
    if full := x.objects.network_id(x.refs["network"]):
        body["EndpointConfig"] = {**(body.get("EndpointConfig") or {}), "NetworkID": full}
        x.refs["network"] = full
    x.reply(x.open(body=strictjson.dump(body), headers=_JSON))


def disconnect(x: Exchange) -> None:
    """Disconnect an owned container from a network."""
    body: dict[str, Any] = x.json_body(disconnect_body)
    if not body.get("Container"):
        raise refused("disconnecting nobody is refused", "Name a container.")
    x.reply(x.open(body=strictjson.dump(body), headers=_JSON))


def prune_networks(x: Exchange) -> None:
    """Remove owned networks that no container uses."""
    x.client.answer_json(200, pruning.networks(x))


HANDLERS = {
    "create_network": create_network,
    "networks": networks,
    "inspect_network": inspect_network,
    "connect": connect,
    "disconnect": disconnect,
    "prune_networks": prune_networks,
}
