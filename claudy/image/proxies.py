"""The proxies that a build needs: the environment's, then those of the docker CLI's config.json.

As the docker CLI does it (cli/config/configfile: `ParseProxyConfig`), with one difference: a
variable of this process is taken along as well, and wins.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

from claudy.image.reference import NEUTRAL_ARGS

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOOPBACK = re.compile(r"(//|@|^)(localhost|127\.|\[?::1)", re.IGNORECASE)


def proxy_args(env: Mapping[str, str], engine: str = "") -> dict[str, str]:
    """Return the proxy variables that also mean something inside a container.

    One that points to this machine's own loopback would lead a container to itself: there
    config.json, which is about containers, has the better answer.

    Args:
        env: the process environment; DOCKER_CONFIG and HOME say where config.json is.
        engine: URL of the engine, which config.json may have proxies of its own for.
    """
    configured = _configured(env, engine)
    args: dict[str, str] = {}
    for name in NEUTRAL_ARGS:
        both = (name, name.upper())
        given = {spelling: env[spelling] for spelling in both if _useful(env.get(spelling))}
        args |= given or dict.fromkeys(both, configured[name]) if name in configured else given
    return args


def _useful(value: str | None) -> bool:
    """Whether a proxy is set, and not on this machine's own loopback."""
    return bool(value) and not _LOOPBACK.search(value or "")


def _configured(env: Mapping[str, str], engine: str) -> dict[str, str]:
    """Return the proxies of config.json by variable: those of this engine, else the default."""
    home = env.get("HOME") or os.path.expanduser("~")
    path = os.path.join(env.get("DOCKER_CONFIG") or os.path.join(home, ".docker"), "config.json")
    try:
        with open(path, encoding="utf-8") as file:
            proxies = json.load(file)["proxies"]
        chosen = proxies.get(engine) or proxies["default"]
        found = {name: chosen.get(name.replace("_proxy", "Proxy")) for name in NEUTRAL_ARGS}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}  # none there, or not as the docker CLI writes it
    return {
        name: value for name, value in found.items() if isinstance(value, str) and _useful(value)
    }
