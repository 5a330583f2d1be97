"""Networks: owned bridges, and the daemon's own bridge as everybody has it."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Any

from claudy.guard import neighbours, strictjson, views
from claudy.guard.handlers import pruning
from claudy.guard.handlers.making import marks, new_token
from claudy.guard.ownership import PREDEFINED
from claudy.guard.policy.objects import connect_body, disconnect_body, network_body
from claudy.guard.refusal import BAD_REQUEST, refused

if TYPE_CHECKING:
    from claudy.guard.exchange import Exchange

_FILTERS = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})
_JSON = {"Content-Type": "application/json"}


def create_network(x: Exchange) -> None:
    """Create a bridge network that is the project's."""
    body = x.json_body(network_body)
    for config in (body.get("IPAM") or {}).get("Config") or []:
        require_apart(str(config.get("Subnet", "")))
    # Older daemons make a second one of that name, and then find neither by it.
    body["CheckDuplicate"] = True
    token = new_token()
    body["Labels"] = {**(body.get("Labels") or {}), **marks(x.services.settings, token)}
    x.ledger.intend("networks", token)
    answer = x.open(body=strictjson.dump(body), headers=_JSON)
    raw = answer.read()
    if answer.status >= BAD_REQUEST:
        x.ledger.drop_intent(token)
        if x.objects.network_is_anothers(body.get("Name", "")):
            name = body["Name"]
            raise refused(
                f"there is a network {name} that was not made in this sandbox",
                f"Use another name, or remove it on the host: docker network rm {name}.",
            )
        x.reply_error(answer.status, raw)
        return
    made = json.loads(raw)
    x.ledger.settle(token, "networks", made["Id"])
    x.reply_json(answer, made)


def require_apart(subnet: str) -> None:
    """Refuse a subnet with what this machine uses in it: it would take that traffic over."""
    if not subnet:
        return
    wanted = ipaddress.ip_network(subnet)
    if not neighbours.are_seen():
        raise refused(
            f"whether the subnet {subnet} is free can't be seen from here", "Leave the subnet out."
        )
    for net, what in neighbours.all_of():
        if wanted.version == net.version and wanted.overlaps(net):
            raise refused(
                f"the subnet {subnet} overlaps {net}, {what}",
                "Leave the subnet out, or take another.",
            )


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
