"""Pull and push images through the engine, with the user's credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.errors import APIError, EngineTimeout, UsageError
from claudy.image.credentials import NOBODY, registry_auth
from claudy.image.events import Layer, Log, Phase
from claudy.image.failures import RegistryDown, registry_failure
from claudy.image.names import parse_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from claudy.errors import ClaudyError
    from claudy.image.workshop import Workshop

# Seconds until a registry counts as one that does not answer; with connecting below 10.
ANSWER = 9.0
_BAD_REQUEST = 400


class Refused(Exception):
    """The engine reported an error in the middle of a stream."""


def require_in_registry(workshop: Workshop, reference: str) -> None:
    """Ask the registry for an image, without fetching it.

    Raises:
        RegistryDown: it does not answer within `ANSWER` seconds, or can't be reached.
        NotInRegistry: it has no such image.
        RegistryDenied: it wants other credentials.
    """
    name = parse_name(reference)
    separator = "@" if ":" in name.tag else ":"
    path = f"/distribution/{name.repository}{separator}{name.tag}/json"
    headers = {"X-Registry-Auth": _login(workshop, name.registry)}
    try:
        workshop.engine.stream("GET", path, headers=headers, timeout=ANSWER).close()
    except APIError as error:
        raise _translate(error, reference, name.registry) from error
    except EngineTimeout as error:
        raise _silent(reference, name.registry) from error


def pull(
    workshop: Workshop, reference: str, platform: str = "", silence: float | None = None
) -> None:
    """Pull an image.

    A pull that is given up (an exception from `report`, Ctrl-C) ends with the connection: the
    engine keeps the layers that are complete and tags nothing.

    Args:
        workshop: where to.
        reference: the image.
        platform: as "linux/arm64"; empty for the engine's own.
        silence: seconds without any news after which it is given up; None: never.

    Raises:
        ImageError: the registry or the engine's disk is in the way.
        UsageError: the reference is none.
    """
    name = parse_name(reference)
    workshop.report(Phase(f"Pulling {reference}"))
    query = {"fromImage": name.repository, "tag": name.tag}
    if platform:
        query["platform"] = platform
    _stream(workshop, "/images/create", query, reference, silence)


def push(workshop: Workshop, reference: str) -> None:
    """Push an image that has this reference on the engine.

    Raises:
        ImageError: the registry is in the way.
    """
    name = parse_name(reference)
    workshop.report(Phase(f"Pushing {reference}"))
    _stream(workshop, f"/images/{name.repository}/push", {"tag": name.tag}, reference, None)


def _stream(
    workshop: Workshop,
    path: str,
    query: Mapping[str, str],
    reference: str,
    silence: float | None,
) -> None:
    engine = workshop.engine
    registry = parse_name(reference).registry
    headers = {"X-Registry-Auth": _login(workshop, registry)}
    try:
        response = engine.stream("POST", path, query, headers=headers, timeout=silence)
        try:
            for event in transfer_events(engine.events(response)):
                workshop.report(event)
        finally:
            response.close()
    except APIError as error:
        raise _translate(error, reference, registry) from error
    except Refused as error:
        raise registry_failure(reference, registry, str(error)) from error
    except EngineTimeout as error:
        raise _silent(reference, registry) from error


def _login(workshop: Workshop, registry: str) -> str:
    return NOBODY if workshop.anonymous else registry_auth(registry, workshop.env)


def transfer_events(messages: Iterable[Mapping[str, Any]]) -> Iterator[Layer | Log]:
    """Yield what the engine says about a pull or push.

    Raises:
        Refused: the engine reports an error.
    """
    for message in messages:
        if "error" in message:
            raise Refused(str(message["error"]))
        status = str(message.get("status", ""))
        detail = message.get("progressDetail")
        if message.get("id") and isinstance(detail, dict):
            current, total = int(detail.get("current", 0)), int(detail.get("total", 0))
            yield Layer(str(message["id"]), status, current, total)
        elif status:
            yield Log(f"{message['id']}: {status}" if message.get("id") else status)


def _translate(error: APIError, reference: str, registry: str) -> ClaudyError:
    if error.status == _BAD_REQUEST:
        return UsageError(
            f"{reference!r} is refused by the engine: {error.detail}.", "give NAME[:TAG]"
        )
    return registry_failure(reference, registry, error.detail)


def _silent(reference: str, registry: str) -> RegistryDown:
    return RegistryDown(f"{registry} does not answer for {reference}.", "claudy doctor")
