"""What is known about the engine at an endpoint: asked once, kept while its socket stays."""

from __future__ import annotations

import marshal
import os
import sys

from claudy.host.places import cache_dir
from claudy.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from claudy.engine.client import Engine
    from claudy.engine.identity import EngineFacts
    from claudy.host.endpoint import Endpoint


@record
class Known:
    """Facts about an engine, with what launch needs without asking.

    Args:
        facts: from `claudy.engine.identity`.
        api: API version to speak.
    """

    facts: EngineFacts
    api: str


def socket_identity(endpoint: Endpoint) -> tuple[int, int, int]:
    """Return what changes when the daemon makes its socket anew; zeros where there is no file."""
    try:
        status = os.stat(endpoint.path) if endpoint.kind == "unix" else None
    except OSError:
        status = None
    return (status.st_dev, status.st_ino, status.st_ctime_ns) if status else (0, 0, 0)


def known_engine(engine: Engine, env: Mapping[str, str], socket_source: str = "") -> Known:
    """Return the engine's facts, from the cache while its socket is the same one.

    Args:
        engine: the engine; it learns its API version on the way.
        env: the process environment.
        socket_source: setting that overrides the socket's mount source.

    Raises:
        EngineError: it can't be reached, or is only starting.
    """
    from claudy.engine.identity import EngineFacts

    path, stamp = _place(engine.endpoint, env), _stamp(engine.endpoint)
    kept = _kept(path, stamp)
    if kept is not None and kept[1] == socket_source:
        try:
            engine.use_api(kept[3])
            return Known(EngineFacts(**kept[2]), kept[3])
        except TypeError:
            pass  # written by another claudy
    known = ask_engine(engine, env, socket_source)
    if any(stamp[0]):
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            with open(f"{path}.{os.getpid()}", "wb") as file:
                marshal.dump([stamp, socket_source, dict(vars(known.facts)), known.api], file)
            os.replace(f"{path}.{os.getpid()}", path)
        except OSError:
            pass  # a cache
    return known


def cached_api(endpoint: Endpoint, env: Mapping[str, str]) -> str:
    """Return the API version that an earlier launch has settled, empty if it may have changed."""
    kept = _kept(_place(endpoint, env), _stamp(endpoint))
    return str(kept[3]) if kept is not None else ""


def _place(endpoint: Endpoint, env: Mapping[str, str]) -> str:
    """Return the path of an engine's cache."""
    key = "".join(c if c.isalnum() else "-" for c in endpoint.url)[-150:]
    return f"{cache_dir(env)}/engines/{key}"


def _stamp(endpoint: Endpoint) -> list[Any]:
    """Return what the cache is true for: this socket, this claudy, this Python."""
    identity = list(socket_identity(endpoint))
    return [identity, endpoint.url, list(sys.version_info[:2]), _format()]


def _kept(path: str, stamp: list[Any]) -> list[Any] | None:
    """Return the cache's content if it is true for a stamp."""
    if not any(stamp[0]):
        return None
    try:
        with open(path, "rb") as file:
            kept = marshal.load(file)  # noqa: S302 - the user's own cache
    except (OSError, ValueError, EOFError, TypeError):
        return None
    whole = isinstance(kept, list) and len(kept) == 4 and kept[0] == stamp  # noqa: PLR2004
    return kept if whole else None


def _format() -> str:
    from claudy import __version__

    return __version__


def ask_engine(engine: Engine, env: Mapping[str, str], socket_source: str = "") -> Known:
    """Ask the engine who it is: /_ping, /version, /info."""
    from claudy.engine.identity import identify

    ping = engine.ping()
    version = engine.call("GET", "/version")
    info = engine.call("GET", "/info")
    facts = identify(
        endpoint=engine.endpoint,
        ping=ping,
        version=version if isinstance(version, dict) else {},
        info=info if isinstance(info, dict) else {},
        platform=sys.platform,
        uid=os.getuid(),
        hostname=os.uname().nodename,
        mounts=own_mounts(engine, env) or (),
        source=socket_source,
    )
    return Known(facts, engine.api)


def own_mounts(engine: Engine, env: Mapping[str, str]) -> tuple[Mapping[str, object], ...] | None:
    """Return the mounts of the container that claudy itself runs in.

    None when this is no container of that engine: not a container at all, or one with a daemon of
    its own, which then sees the files that claudy sees. Only the engine's own answer counts:
    `/.dockerenv` is also found on machines whose root file system was made from an image.
    """
    from claudy.errors import APIError
    from claudy.host.whereami import own_ids, where_am_i

    if not where_am_i(env=env, platform=sys.platform).nested:
        return None
    for name in own_ids():
        try:
            found = engine.call("GET", f"/containers/{name}/json")
        except APIError:
            continue  # not this engine's container, or not this one
        return tuple(found.get("Mounts") or ())
    return None
