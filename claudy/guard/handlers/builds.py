"""The classic builder: checked options, and tags put on afterwards."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from claudy.guard import strictjson
from claudy.guard.handlers import tags
from claudy.guard.refusal import BAD_REQUEST, Denied

if TYPE_CHECKING:
    from claudy.guard.exchange import Exchange

_BUILT = re.compile(r"sha256:[0-9a-f]{64}")


def build(x: Exchange) -> None:
    """Build an image with the classic builder."""
    wanted = [tags.normalised(value) for key, value in x.query if key == "t"]
    query = [pair for pair in x.query if pair[0] not in {"t", "q", "rm", "forcerm"}]
    # The containers of its steps are nobody's: what stayed could only be removed on the host.
    query += [("rm", "1"), ("forcerm", "1")]
    quiet = x.value("q") == "1"
    before = tags.all_images(x)
    headers = {"Content-Type": "application/x-tar"}
    config = x.head.headers.get("x-registry-config", "")
    if config.isascii() and config:
        headers["X-Registry-Config"] = config
    answer = x.open(query=query, body=x.client.upload(), headers=headers)
    if answer.status >= BAD_REQUEST:
        x.reply(answer)
        return
    with answer:
        fields = {**x.fields(answer), "Transfer-Encoding": "chunked", "Connection": "close"}
        x.client.send_head(200, fields)
        image = ""
        for line in answer.response.lines():
            entry = json.loads(line)
            image = _image(entry) or image
            if not quiet or "error" in entry:
                x.client.send_chunk(line.rstrip(b"\r") + b"\r\n")
        if image:
            _finish(x, image, wanted, before, quiet=quiet)
        x.client.end_chunks()


def _image(entry: dict[str, Any]) -> str:
    found = (
        str((entry.get("aux") or {}).get("ID", "")) if isinstance(entry.get("aux"), dict) else ""
    )
    return found if _BUILT.fullmatch(found) else ""


def _finish(
    x: Exchange, image: str, wanted: list[str], before: frozenset[str], *, quiet: bool
) -> None:
    """Record the image and put its tags on."""
    tags.adopt(x, image, before)
    for tag in wanted:
        try:
            tags.put(x, image, tag)
        except Denied as denied:
            _say(x, {"errorDetail": {"message": denied.message}, "error": denied.message})
            x.services.audit.refusal("POST", f"/build t={tag}", denied.status, denied.message)
            return
        if not quiet:
            _say(x, {"stream": f"Successfully tagged {tag}\n"})
    if quiet:
        _say(x, {"stream": f"{image}\n"})


def _say(x: Exchange, entry: dict[str, Any]) -> None:
    x.client.send_chunk(strictjson.dump(entry) + b"\r\n")


def prune_build(x: Exchange) -> None:
    """Answer that nothing was removed: the cache is the host's."""
    x.client.answer_json(200, {"CachesDeleted": None, "SpaceReclaimed": 0})


HANDLERS = {"build": build, "prune_build": prune_build}
