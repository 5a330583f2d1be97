"""Read the docker CLI's context store: config.json, meta.json and TLS files.

Layout (docker/cli `cli/context/store`): `contexts/meta/<sha256 of name>/meta.json` and
`contexts/tls/<sha256 of name>/docker/{ca,cert,key}.pem` below the configuration directory.
"""

from __future__ import annotations

import os

from claudy.host.endpoint import TLS, EndpointError, under
from claudy.record import record


@record
class StoredContext:
    """What the store knows about a context.

    Args:
        url: its docker endpoint; empty means the platform's default.
        tls: its TLS settings, None for a plain connection.
    """

    url: str
    tls: TLS | None


def current_context(content: bytes, path: str) -> tuple[str, str]:
    """Return `currentContext`, and a note if the docker CLI would ignore this file.

    Args:
        content: bytes of config.json.
        path: where it is, for the note.
    """
    import json

    try:
        value = field(json.loads(content), "currentContext")
    except ValueError as e:
        return "", f"{path} is not valid JSON ({e}); the docker CLI ignores it, and so does claudy"
    if isinstance(value, str):
        return value, ""
    return "", "" if value is None else f"{path}: currentContext is not a string; ignored"


def load(name: str, via: str, config: str, root: str) -> StoredContext:
    """Read a context.

    Args:
        name: name of the context.
        via: what chose it, for messages.
        config: the docker CLI's configuration directory.
        root: directory that stands for `/`, for tests.

    Raises:
        EndpointError: `context-missing` or `context-broken`.
    """
    import hashlib
    import json

    key = hashlib.sha256(name.encode()).hexdigest()
    path = f"{config}/contexts/meta/{key}/meta.json"
    try:
        with open(under(root, path), "rb") as file:
            meta = json.load(file)
    except (FileNotFoundError, NotADirectoryError) as e:
        raise _missing(name, via, config, root) from e
    except OSError as e:
        raise _broken(name, via, path, e.strerror or str(e)) from e
    except ValueError as e:
        raise _broken(name, via, path, f"not valid JSON: {e}") from e
    docker = field(field(meta, "Endpoints"), "docker")
    url = field(docker, "Host")
    if not isinstance(docker, dict) or not isinstance(url, str | None):
        raise _broken(name, via, path, "it has no docker endpoint")
    skip = bool(field(docker, "SkipTLSVerify"))
    return StoredContext(url or "", _tls(f"{config}/contexts/tls/{key}/docker", root, skip=skip))


def names(config: str, root: str) -> tuple[str, ...]:
    """Return the names of the readable contexts, sorted.

    Args:
        config: the docker CLI's configuration directory.
        root: directory that stands for `/`, for tests.
    """
    import json

    top = under(root, f"{config}/contexts/meta")
    found = set()
    try:
        keys = os.listdir(top)
    except OSError:
        return ()
    for key in keys:
        try:
            with open(f"{top}/{key}/meta.json", "rb") as file:
                value = field(json.load(file), "Name")
        except (OSError, ValueError):
            continue
        if isinstance(value, str):
            found.add(value)
    return tuple(sorted(found))


def field(document: object, name: str) -> object:
    """Return a member of a JSON object; names match as in Go, without regard to case."""
    if not isinstance(document, dict):
        return None
    if name in document:
        value: object = document[name]
        return value
    for key, value in document.items():
        if isinstance(key, str) and key.lower() == name.lower():
            return value
    return None


def _tls(directory: str, root: str, *, skip: bool) -> TLS | None:
    """Return the TLS settings of a context, None if it has none."""
    files = {
        kind: path
        for kind in ("ca", "cert", "key")
        if os.path.isfile(under(root, path := f"{directory}/{kind}.pem"))
    }
    if not files and not skip:
        return None
    return TLS(files.get("ca", ""), files.get("cert", ""), files.get("key", ""), verify=not skip)


def _missing(name: str, via: str, config: str, root: str) -> EndpointError:
    """Return the error for a context that the store does not have."""
    known = ", ".join(("default", *names(config, root)))
    return EndpointError(
        "context-missing",
        f"The docker context {name!r} (from: {via}) does not exist in {config}/contexts;"
        f" there are: {known}.",
        _leave(via),
    )


def _broken(name: str, via: str, path: str, why: str) -> EndpointError:
    """Return the error for a context whose file can't be used."""
    return EndpointError(
        "context-broken",
        f"The docker context {name!r} (from: {via}) can't be used: {path}: {why}.",
        _leave(via),
    )


def _leave(via: str) -> str:
    """Return the command that goes back to the default context."""
    if via == "DOCKER_CONTEXT":
        return "unset DOCKER_CONTEXT"
    if via == "--context":
        return "docker context ls"
    return "docker context use default"
