"""A name for the sandbox to resolve: one that matters here, and that this machine resolves."""

from __future__ import annotations

import contextlib
import ipaddress
import queue
import socket
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from claudy.image.names import DOCKER_HUB, parse_name
from claudy.image.sources import read_sources

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from claudy.settings.model import Settings

PATIENCE = 0.5  # seconds this machine has to resolve one of the names
_PORT = 443


def resolvable_name(settings: Settings | Mapping[str, Any]) -> str:
    """Return a name that this machine resolves at once, empty if it resolves none."""
    found: queue.SimpleQueue[str] = queue.SimpleQueue()

    def ask(name: str) -> None:
        with contextlib.suppress(OSError):
            socket.getaddrinfo(name, _PORT, type=socket.SOCK_STREAM)
            found.put(name)

    for name in names_of_use(settings):
        threading.Thread(target=ask, args=(name,), daemon=True).start()
    try:
        return found.get(timeout=PATIENCE)
    except queue.Empty:
        return ""


def names_of_use(settings: Settings | Mapping[str, Any], root: str = "/") -> set[str]:
    """Return the names of the registries and package mirrors that this machine is set up with.

    Args:
        settings: image and registry.
        root: directory that stands for `/`.
    """
    references = [settings["image"], settings["registry"] and f"{settings['registry']}/x"]
    registries = {parse_name(one).registry.partition(":")[0] for one in references if one}
    mirrors = {urlsplit(source.uri).hostname or "" for source in read_sources(root)}
    return {name for name in {DOCKER_HUB, *registries, *mirrors} if _is_public(name)}


def _is_public(name: str) -> bool:
    """Whether a name server has to be asked: not for an address or a name of the local network."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "." in name
    return False
