"""The daemon itself: ping, version, information, events, disk usage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from claudy.guard import strictjson, views
from claudy.guard.ownevents import OwnEvents
from claudy.guard.refusal import BAD_REQUEST, Denied

if TYPE_CHECKING:
    from claudy.guard.daemon import Answer
    from claudy.guard.exchange import Exchange

_EVENT_FILTERS = frozenset(
    {
        "container",
        "daemon",
        "event",
        "image",
        "label",
        "network",
        "plugin",
        "type",
        "volume",
        "scope",
    }
)


def ping(x: Exchange) -> None:
    """Answer a ping with what the guard itself speaks."""
    with x.daemon.open("GET", "/_ping") as answer:
        fields = x.fields(answer)
        fields["Content-Type"] = "text/plain; charset=utf-8"
        fields["Cache-Control"] = "no-cache, no-store, must-revalidate"
        fields["Pragma"] = "no-cache"
        if "builder-version" in answer.headers:
            fields["Builder-Version"] = answer.headers["builder-version"]
        fields["Swarm"] = "inactive"
        body = answer.response.read()
    x.client.answer(answer.status, body, fields, head=x.head.method == "HEAD")


def version(x: Exchange) -> None:
    """Answer with the daemon's version and the API version that both know."""
    status, found, answer = x.ask()
    if status >= BAD_REQUEST:
        x.reply_error(status, strictjson.dump(found))
        return
    newest = "{}.{}".format(*x.daemon.newest)
    found["ApiVersion"] = newest
    for part in found.get("Components") or []:
        if "ApiVersion" in (part.get("Details") or {}):
            part["Details"]["ApiVersion"] = newest
    x.reply_json(answer, found)


def info(x: Exchange) -> None:
    """Answer with the daemon's information, less what is the host's business."""
    status, found, answer = x.ask()
    if status >= BAD_REQUEST:
        x.reply_error(status, strictjson.dump(found))
        return
    x.reply_json(answer, views.info(found))


def events(x: Exchange) -> None:
    """Stream the events of owned objects."""
    x.filters(_EVENT_FILTERS)
    own = OwnEvents(x.ledger)
    answer = x.open()
    if answer.status >= BAD_REQUEST:
        x.reply(answer)
        return
    with answer:
        fields = x.fields(answer)
        fields["Content-Type"] = "application/json"
        x.client.send_head(200, {**fields, "Transfer-Encoding": "chunked", "Connection": "close"})
        for line in answer.response.lines():
            event = json.loads(line)
            if own.has(event):
                x.client.send_chunk(_shown(event))
        x.client.end_chunks()


def _shown(event: dict[str, Any]) -> bytes:
    attributes = (event.get("Actor") or {}).get("Attributes")
    if attributes:
        event["Actor"]["Attributes"] = views.without_own_labels(attributes)
    return strictjson.dump(event) + b"\n"


def no_swarm(_: Exchange) -> None:
    """Answer as a daemon that is in no swarm."""
    text = 'This node is not a swarm manager. Use "docker swarm init" on the host.'
    raise Denied(503, text)


def no_plugin(x: Exchange) -> None:
    """Answer as a daemon without plugins."""
    if not x.refs:
        x.client.answer_json(200, [])
        return
    raise Denied(404, f'plugin "{x.refs.get("any", "")}" not found')


def disk_usage(x: Exchange) -> None:
    """Answer with the space that owned objects take."""
    status, found, answer = x.ask()
    if status >= BAD_REQUEST:
        x.reply_error(status, strictjson.dump(found))
        return
    x.reply_json(answer, _own_usage(x, found, answer))


def _own_usage(x: Exchange, found: dict[str, Any], _: Answer) -> dict[str, Any]:
    owned = x.ledger.read()
    result = dict(found)
    for key, kind in (("Containers", "containers"), ("Images", "images")):
        if found.get(key) is not None:
            result[key] = [entry for entry in found[key] if entry["Id"] in owned[kind]]
    if found.get("Containers") is not None:
        result["Containers"] = [views.listed_container(e, x.ledger) for e in result["Containers"]]
    if found.get("Volumes") is not None:
        own = [v for v in found["Volumes"] if x.objects.volume_is_own(v["Name"], v)]
        result["Volumes"] = [views.volume(v) for v in own]
    if found.get("Images") is not None:
        result["LayersSize"] = sum(image.get("Size") or 0 for image in result["Images"])
    if "BuildCache" in found:
        result["BuildCache"] = []
        result["BuilderSize"] = 0
    return {key: result[key] for key in found}


HANDLERS = {
    "ping": ping,
    "version": version,
    "info": info,
    "events": events,
    "disk_usage": disk_usage,
    "no_swarm": no_swarm,
    "no_plugin": no_plugin,
}
