"""Rules of names: containers, images, networks, volumes, ports."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from claudy.guard.policy.rules import DROP, No, text

if TYPE_CHECKING:
    from claudy.guard.policy.rules import Context

CONTAINER_REF = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")
NEW_NAME = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}")
NETWORK_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_. -]{0,127}")
VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}")
_HOST = r"(?:[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*(?::[0-9]{1,5})?/)"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
IMAGE_REF = re.compile(
    rf"{_HOST}?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?"
)
_IMAGE_ID = re.compile(r"(?:sha256:)?[0-9a-f]{1,64}")
_HEX = re.compile(r"[0-9a-f]+")
SHORT_ID = 12
_TYPED = 4  # digits of an id that somebody may type
_OWN_IMAGES = re.compile(r"(?:hal9000|claudy-[^/:]*):.*")
BASE = "debian:trixie-slim"
LOWEST_PORT = 1024
_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")

image_name = text(IMAGE_REF.pattern, 512)


def is_image_ref(ref: str) -> bool:
    """Whether a text is an image reference or an image id."""
    return bool(IMAGE_REF.fullmatch(ref) or _IMAGE_ID.fullmatch(ref))


def is_claudys_image(tag: str) -> bool:
    """Whether claudy on the host takes what has this tag for an image that it has made.

    The bundled image, what is made of it, the guard's own; and the base that it is built on.
    """
    return bool(_OWN_IMAGES.fullmatch(tag)) or tag == BASE


def looks_like_id(name: str) -> bool:
    """Whether a name is long enough and hexadecimal: docker prefers a name to an id's prefix."""
    return bool(_HEX.fullmatch(name)) and len(name) >= SHORT_ID


def is_short_id(name: str) -> bool:
    """Whether a name is what somebody may type of an id; of two digits nobody expects that."""
    return bool(_HEX.fullmatch(name)) and _TYPED <= len(name) < SHORT_ID


def owned_container(value: Any, context: Context) -> str:
    """Allow a reference to an owned container; forward its full id."""
    if not isinstance(value, str) or not CONTAINER_REF.fullmatch(value):
        raise No(repr(value)[:80])
    return context.container(value)


def namespace(*modes: str, shared: bool) -> Any:
    """Return the rule of a namespace mode: some words, and `container:` of owned containers."""

    def check(value: Any, context: Context) -> Any:
        if not isinstance(value, str):
            raise No("not a text")
        if value in modes:
            return value
        kind, colon, ref = value.partition(":")
        if shared and kind == "container" and colon:
            return f"container:{owned_container(ref, context)}"
        raise No(repr(value[:60]))

    return check


def network_mode(value: Any, context: Context) -> str:
    """Allow default, bridge, none, an owned network and an owned container's network."""
    if not isinstance(value, str):
        raise No("not a text")
    if value in {"", "default", "bridge", "none"}:
        return value
    kind, colon, ref = value.partition(":")
    if colon:
        if kind == "container":
            return f"container:{owned_container(ref, context)}"
        raise No(repr(value[:60]))
    if value == "host" or not NETWORK_NAME.fullmatch(value):
        raise No(repr(value[:60]))
    return context.network(value)


def network_name(value: Any, context: Context) -> str:
    """Allow an owned or predefined network, except the host's."""
    if not isinstance(value, str) or not NETWORK_NAME.fullmatch(value) or value == "host":
        raise No(repr(value)[:60])
    return value if value in {"default", "bridge", "none"} else context.network(value)


def link(value: Any, context: Context) -> str:
    """Allow `container[:alias]` of an owned container."""
    if not isinstance(value, str):
        raise No("not a text")
    ref, _, alias = value.partition(":")
    alias = alias or ref.lstrip("/")
    if not CONTAINER_REF.fullmatch(alias):
        raise No(repr(alias[:60]))
    return f"{owned_container(ref, context)}:{alias}"


def volumes_from(value: Any, context: Context) -> str:
    """Allow `container[:ro|rw]` of an owned container."""
    if not isinstance(value, str):
        raise No("not a text")
    ref, colon, mode = value.partition(":")
    if mode not in {"", "ro", "rw"}:
        raise No(repr(mode[:20]))
    return f"{owned_container(ref, context)}{colon}{mode}"


def used_image(value: Any, context: Context) -> str:
    """Allow an image that the sandbox can see."""
    if not isinstance(value, str) or not is_image_ref(value):
        raise No(repr(value)[:80])
    return context.visible_image(value)


def host_port(value: Any, _: Context) -> str:
    """Allow an empty port, a port or a range from 1024 up."""
    if not isinstance(value, str):
        raise No("not a text")
    if value in {"", "0"}:
        return ""
    found = _PORT.fullmatch(value)
    if not found:
        raise No(repr(value[:20]))
    low, high = int(found[1]), int(found[2] or found[1])
    if not LOWEST_PORT <= low <= high <= 65535:  # noqa: PLR2004 - TCP's own number
        raise No(f"port {value}")
    return value


def host_ip(value: Any, _: Context) -> str:
    """Allow loopback; all interfaces and the gateway are narrowed when the ports are planned."""
    if not isinstance(value, str):
        raise No("not a text")
    if value in {"", "0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return ""
    try:
        address = ipaddress.ip_address(value)
    except ValueError as error:
        raise No(repr(value)[:40]) from error
    if getattr(address, "scope_id", None):
        raise No(repr(value)[:40])  # older daemons take what has a zone for all interfaces
    return str(address)


def null_network(value: Any, context: Context) -> Any:
    """Forward nothing of what only the daemon fills in."""
    del value, context
    return DROP
