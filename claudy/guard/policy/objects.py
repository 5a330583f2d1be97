"""Bodies of networks, volumes and exec, field by field."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from claudy.guard.policy.create import ENDPOINT
from claudy.guard.policy.references import NETWORK_NAME, VOLUME_NAME, looks_like_id, owned_container
from claudy.guard.policy.rules import (
    Field,
    No,
    dropped,
    flag,
    integer,
    items,
    labels,
    line,
    mapping,
    nothing,
    only,
    struct,
    text,
    words,
)

if TYPE_CHECKING:
    from claudy.guard.policy.rules import Context

RESERVED = "claudy-"
_PRIVATE = tuple(
    ipaddress.ip_network(net)
    for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)
_WIDEST = {4: 16, 6: 48}
_NET_OPTIONS = (
    "com.docker.network.driver.mtu|com.docker.network.bridge.enable_icc|"
    "com.docker.network.bridge.enable_ip_masquerade|com.docker.network.enable_ipv6"
)


def private_subnet(value: Any, _: Context) -> str:
    """Allow a part of the private ranges that is not too large.

    What the host has there is checked when it is made; the larger, the more it has not seen.
    """
    try:
        net = ipaddress.ip_network(value)
    except (ValueError, TypeError) as error:
        raise No(repr(value)[:60]) from error
    if not any(net.version == wide.version and net.subnet_of(wide) for wide in _PRIVATE):  # type: ignore[arg-type]
        raise No(repr(value)[:60])
    if net.prefixlen < _WIDEST[net.version]:
        raise No(f"larger than /{_WIDEST[net.version]}")
    return str(net)


def new_network(value: Any, _: Context) -> str:
    """Allow a name that can't be taken for another's id or for claudy's own."""
    if not isinstance(value, str) or not NETWORK_NAME.fullmatch(value):
        raise No(repr(value)[:60])
    if (
        looks_like_id(value)
        or value.startswith(RESERVED)
        or value in {"host", "none", "bridge", "default"}
    ):
        raise No(repr(value)[:60])
    return value


def new_volume(value: Any, _: Context) -> str:
    """Allow an empty name (the daemon makes one) or one that is not claudy's own."""
    if not isinstance(value, str) or (value and not VOLUME_NAME.fullmatch(value)):
        raise No(repr(value)[:60])
    if value.startswith(RESERVED):
        raise No(repr(value)[:60])
    return value


def _tmpfs_volume(value: Any, context: Context) -> dict[str, str]:
    options: dict[str, str] = mapping(line(64), line(256))(value, context)
    if not options:
        return {}
    if options.get("type") != "tmpfs" or options.get("device") != "tmpfs":
        raise No("not a tmpfs")
    if not options.keys() <= {"type", "device", "o"}:
        raise No("unknown option")
    allowed = text(
        r"(?:(?:size|mode|uid|gid|nr_inodes)=[0-9a-z%]+|nosuid|nodev|noexec)(?:,(?:(?:size|mode|uid|gid|nr_inodes)=[0-9a-z%]+|nosuid|nodev|noexec))*|"
    )
    allowed(options.get("o", ""), context)
    return options


_IPAM_CONFIG = (
    Field(
        "Subnet",
        private_subnet,
        "a private subnet, up to /16 or IPv6 /48",
        "another would take addresses from the host",
    ),
    Field("IPRange", private_subnet, "a private range"),
    Field("Gateway", text(r"[0-9A-Fa-f:.]{0,39}"), "an address; the daemon wants it inside"),
    Field("AuxiliaryAddresses", mapping(line(100), text(r"[0-9A-Fa-f:.]{0,39}")), "addresses"),
)
_IPAM = (
    Field("Driver", only("", "default"), "default", "others run outside the guard's sight"),
    Field("Options", nothing, "empty"),
    Field("Config", items(struct(_IPAM_CONFIG, "IPAM.Config.")), "private subnets"),
)
NETWORK = (
    Field("Name", new_network, "a new name", "an id's spelling would catch others' commands"),
    Field("CheckDuplicate", flag, "any, taken as true", "who has the name first would lose it"),
    Field(
        "Driver",
        only("", "default", "bridge"),
        "bridge",
        "macvlan, ipvlan and host are the host's network",
    ),
    Field("Scope", only("", "local"), "local", "swarm is not allowed"),
    Field("EnableIPv4", flag, "any"),
    Field("EnableIPv6", flag, "any"),
    Field("IPAM", struct(_IPAM, "IPAM."), "private subnets up to /16, IPv6 /48"),
    Field("Internal", flag, "any"),
    Field("Attachable", flag, "any"),
    Field("Ingress", only(False), "false", "swarm is not allowed"),
    Field("ConfigOnly", only(False), "false"),
    Field("ConfigFrom", struct((Field("Network", nothing, "empty"),), "ConfigFrom."), "empty"),
    Field(
        "Options",
        mapping(text(_NET_OPTIONS), line(100)),
        "mtu, icc, masquerade",
        "others name bridges and devices of the host",
    ),
    Field("Labels", labels, "any but claudy.*"),
)
CONNECT = (
    Field("Container", owned_container, "owned containers", "others' containers"),
    Field("EndpointConfig", struct(ENDPOINT, "EndpointConfig."), "its fields"),
)
DISCONNECT = (
    Field("Container", owned_container, "owned containers", "others' containers"),
    Field("Force", flag, "any"),
)
VOLUME = (
    Field("Name", new_volume, "any but claudy-*"),
    Field("Driver", only("", "local"), "local", "other drivers run outside the guard's sight"),
    Field(
        "DriverOpts",
        _tmpfs_volume,
        "empty; type=tmpfs, device=tmpfs, o=size=…",
        "`device=` mounts any path, disk or share of the host",
    ),
    Field("Labels", labels, "any but claudy.*"),
    Field("ClusterVolumeSpec", nothing, "empty", "swarm is not allowed"),
)
EXEC = (
    Field("User", line(253), "any"),
    Field("Privileged", only(False), "false", "a privileged process is the host"),
    Field("Tty", flag, "any"),
    Field("ConsoleSize", items(integer(0, 65535), 2), "any"),
    Field("AttachStdin", flag, "any"),
    Field("AttachStdout", flag, "any"),
    Field("AttachStderr", flag, "any"),
    Field("Detach", flag, "any"),
    Field("DetachKeys", text(r"[a-zA-Z0-9,@\[\]\\^_-]{0,100}"), "any"),
    Field("Env", items(text()), "any"),
    Field("WorkingDir", line(), "any"),
    Field("Cmd", words, "any"),
    Field("Container", dropped, "ignored"),
)
EXEC_START = (
    Field("Detach", flag, "any"),
    Field("Tty", flag, "any"),
    Field("ConsoleSize", items(integer(0, 65535), 2), "any"),
    *(
        Field(name, dropped, "ignored", "dockerode's own")
        for name in ("hijack", "stdin", "stdout", "stderr")
    ),
)


network_body = struct(NETWORK)
connect_body = struct(CONNECT)
disconnect_body = struct(DISCONNECT)
volume_body = struct(VOLUME)
exec_body = struct(EXEC)
exec_start_body = struct(EXEC_START)
