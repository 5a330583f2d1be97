"""Images: visible ones may be used, only the project's may change."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from claudy.guard import strictjson, views
from claudy.guard.handlers import pruning, tags
from claudy.guard.policy.create import commit_body
from claudy.guard.policy.references import is_image_ref
from claudy.guard.refusal import BAD_REQUEST, Denied, invalid, missing, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudy.guard.daemon import Answer
    from claudy.guard.exchange import Exchange

_FILTERS = frozenset({"before", "dangling", "label", "reference", "since", "until"})
_LOADED = "Loaded image ID: "
REMOVING = "images.lock"
_DIGEST = re.compile(r"Digest: (sha256:[0-9a-f]{64})")
_LINK_LOCAL = ("169.254.", "[fe80", "metadata.")


def images(x: Exchange) -> None:
    """List images."""
    x.filters(_FILTERS)
    status, found, answer = x.ask(query=[pair for pair in x.query if pair[0] != "digests"])
    if status >= BAD_REQUEST:
        x.reply_error(status, strictjson.dump(found))
        return
    shown = [views.listed_image(i, x.ledger) for i in found if x.objects.image_is_visible(i["Id"])]
    x.reply_json(answer, shown)


def save(x: Exchange) -> None:
    """Export visible images."""
    for key, value in x.query:
        if key == "names":
            x.objects.visible_image(value)
    x.reply(x.open())


def distribution(x: Exchange) -> None:
    """Ask a registry what it has under a name."""
    _require_registry(x.refs["newimage"])
    x.reply(x.open())


def tag(x: Exchange) -> None:
    """Put a tag on a visible image."""
    wanted = tags.joined(x.value("repo"), x.value("tag"))
    if not wanted:
        raise invalid("no name for the tag")
    image = x.objects.image_id(x.refs["image"])
    if not image:
        raise missing("image", x.refs["image"])
    tags.put(x, image, wanted)
    x.client.answer(201, b"")


def push(x: Exchange) -> None:
    """Push an owned tag; where none is named, one after the other all that are owned."""
    ref = x.refs["ownref"]
    every = not x.value("tag") and ":" not in ref.rpartition("/")[2]
    chosen = _own_tags(x, ref) if every else [tags.joined(ref, x.value("tag"))]
    if not chosen:
        raise missing("image", ref)
    for wanted in chosen:
        if not x.objects.image_id(wanted):
            raise missing("image", wanted)
        _require_registry(wanted)
        if not x.objects.tag_is_free(wanted):
            raise refused(f"the tag {wanted} is the host's", "Tag the image anew and push that.")
    x.client.read_body()
    headers = _auth(x) or {"X-Registry-Auth": "e30="}
    before = tags.all_images(x)
    for wanted in chosen:
        name, _, label = wanted.rpartition(":")
        answer = x.open(path=f"/images/{name}/push", query=[("tag", label)], headers=headers)
        if answer.status >= BAD_REQUEST:
            if wanted == chosen[0]:
                x.reply(answer)
                return
            x.client.send_chunk(strictjson.dump({"error": _message(answer.read())}) + b"\r\n")
            break
        with answer:
            for entry in _streamed(x, answer, begun=wanted != chosen[0]):
                if pushed := (entry.get("aux") or {}).get("Digest"):
                    tags.record_digest(x, f"{name}@{pushed}", before)
    x.client.end_chunks()


def _own_tags(x: Exchange, ref: str) -> list[str]:
    """Return the tags of a repository that the project put there."""
    repository = tags.normalised(ref).rpartition(":")[0]
    _, found = x.daemon.json("GET", "/images/json")
    return sorted(
        name
        for entry in found or []
        for name in entry.get("RepoTags") or []
        if name.rpartition(":")[0] == repository and x.objects.tag_is_free(name)
    )


def remove_image(x: Exchange) -> None:
    """Remove an owned tag, or an owned image; one after the other, as the last tag is special."""
    with x.ledger.held(REMOVING):
        _remove_image(x)


def _remove_image(x: Exchange) -> None:
    ref = x.refs["ownref"]
    if not is_image_ref(ref):
        raise missing("image", ref)
    image = x.objects.image_id(ref)
    if not image:
        raise missing("image", ref)
    by_id = image.removeprefix("sha256:").startswith(ref.removeprefix("sha256:"))
    if by_id or "@" in ref:
        if not x.ledger.owns("images", image):
            raise refused(f"the image {ref} is the host's", "Remove it on the host.")
        _require_own_tags(x, image)
        ref = image
    else:
        ref = tags.normalised(ref)
        _require_removable(x, image, ref)
    query = [("force", "1" if x.value("force") == "1" else "0")]
    query.append(
        ("noprune", "1" if x.value("noprune") == "1" or not _parent_is_own(x, image) else "0")
    )
    status, found, answer = x.ask(path=f"/images/{ref}", query=query)
    if status >= BAD_REQUEST:
        x.reply_error(status, strictjson.dump(found))
        return
    tags.forget(x, found)
    x.reply_json(answer, found)


def _require_own_tags(x: Exchange, image: str) -> None:
    """Refuse to delete an image by id under a name that the host gave it meanwhile."""
    _, found = x.daemon.json("GET", f"/images/{image}/json")
    for name in tags.names_of_others(x, found or {}):
        raise tags.taken(name)


def _require_removable(x: Exchange, image: str, tag: str) -> None:
    """Refuse to delete a tag of the host, or one with which more of the host's goes.

    With the last tag in a repository go the digests that the image was pulled by from there, and an
    image without a name is removed.
    """
    if not x.objects.tag_is_free(tag):
        raise refused(f"the tag {tag} is the host's", "Remove it on the host.")
    _, found = x.daemon.json("GET", f"/images/{image}/json")
    left = [name for name in tags.names(found or {}) if name != tag]
    repository = tag.rpartition(":")[0]
    if not any("@" not in name and name.rpartition(":")[0] == repository for name in left):
        going = {name for name in left if name.partition("@")[0] == repository}
        for name in going.intersection(tags.names_of_others(x, found or {})):
            raise refused(f"{name} is the host's and would go with {tag}", "Remove it on the host.")
        left = [name for name in left if name not in going]
    if not left and not x.ledger.owns("images", image):
        raise refused(f"the image is the host's and would go with {tag}", "Remove it on the host.")


def _parent_is_own(x: Exchange, image: str) -> bool:
    """Whether deleting untagged parents would delete only what the project made."""
    while True:
        _, found = x.daemon.json("GET", f"/images/{image}/json")
        parent = str((found or {}).get("Parent", ""))
        if not parent:
            return True
        if not x.ledger.owns("images", parent):
            _, other = x.daemon.json("GET", f"/images/{parent}/json")
            return bool((other or {}).get("RepoTags"))
        image = parent


# -- from outside ----------------------------------------------------------------------------


def pull_or_import(x: Exchange) -> None:
    """Pull an image, or import a file system."""
    if x.value("fromImage"):
        _pull(x)
    elif x.value("fromSrc") == "-":
        _import(x)
    else:
        raise invalid("neither fromImage nor fromSrc")


def _pull(x: Exchange) -> None:
    x.client.read_body(4096)
    ref, label = x.value("fromImage").removesuffix(":"), x.value("tag")
    if not is_image_ref(ref):
        raise invalid(f"invalid reference format: {ref[:200]}")
    _require_registry(ref)
    tags.require_plain(ref)
    name, _, digest = ref.partition("@")
    if label.startswith("sha256:"):
        digest, label = digest or label, ""
    wanted = tags.joined(name, label)
    repository, _, word = wanted.rpartition(":")
    free = not digest and x.objects.tag_is_free(wanted)
    # A registry of the client's can wait until the host has made the tag; by digest no tag moves.
    # Not at the Docker Hub, which counts how often it is asked.
    if not digest and (not free or tags.names_registry(repository)):
        digest = _offered(x, wanted, free=free)
    # With a tag beside the digest, containerd would keep both as one more name of the image.
    query = [("fromImage", repository), ("tag", digest or word)]
    query += [pair for pair in x.query if pair[0] == "platform"]
    before = tags.all_images(x)
    answer = x.open(query=query, headers=_auth(x))
    if answer.status >= BAD_REQUEST:
        x.reply(answer)
        return
    with answer:
        pulled, failed = "", False
        for entry in _streamed(x, answer):
            failed = failed or "error" in entry or "errorDetail" in entry
            said = _DIGEST.fullmatch(str(entry.get("status", "")))
            pulled = said[1] if said else pulled
        if pulled and not failed:
            name = f"{repository}@{pulled}"
            _take(x, name, before, wanted if free else "", tagged=not digest)
        x.client.end_chunks()


def _take(x: Exchange, name: str, before: frozenset[str], tag: str, *, tagged: bool) -> None:
    """Record what was pulled.

    Args:
        x: the request.
        name: with the digest that the daemon says it has pulled.
        before: images and names before.
        tag: that is the project's now, if the host has not made it meanwhile; empty: none.
        tagged: whether the daemon has put the tag on.
    """
    _, found = x.daemon.json("GET", f"/images/{tag if tagged else name}/json")
    if not found or name not in (found.get("RepoDigests") or []):
        return
    if tagged:
        x.ledger.add("tags", tag, image=found["Id"])
    tags.record_digest(x, name, before)
    x.ledger.add("seen", found["Id"])
    tags.adopt(x, found["Id"], before)
    if tag and not tagged:
        try:
            tags.put(x, found["Id"], tag)
        except Denied as denied:
            entry = {"errorDetail": {"message": denied.message}, "error": denied.message}
            x.client.send_chunk(strictjson.dump(entry) + b"\r\n")
            x.services.audit.refusal("POST", f"/images/create {tag}", denied.status, denied.message)


def _streamed(x: Exchange, answer: Answer, *, begun: bool = False) -> Iterator[dict[str, Any]]:
    """Pass a stream of JSON lines on, and yield them; the client's end of it is the caller's.

    Args:
        x: the request.
        answer: of the daemon.
        begun: something has been passed on already.
    """
    fields = {**x.fields(answer), "Transfer-Encoding": "chunked", "Connection": "close"}
    if not begun:
        x.client.send_head(200, fields)
    for line in answer.response.lines():
        x.client.send_chunk(line.rstrip(b"\r") + b"\r\n")
        yield json.loads(line)


def _offered(x: Exchange, tag: str, *, free: bool) -> str:
    """Return the digest that a registry has under a tag.

    Raises:
        Denied: the tag is on an image of the host, and the registry has another, so that a pull
            would move it.
    """
    answer = x.daemon.open("GET", f"/distribution/{tag}/json", headers=_auth(x))
    raw = answer.read()
    if answer.status >= BAD_REQUEST:
        raise Denied(answer.status, _message(raw))
    offered = str(((json.loads(raw) or {}).get("Descriptor") or {}).get("digest", ""))
    if free:
        return offered
    status, found = x.daemon.json("GET", f"/images/{tag}/json")
    digests = [str(ref).rpartition("@")[2] for ref in (found or {}).get("RepoDigests") or []]
    if status != 200 or offered not in digests:  # noqa: PLR2004
        name = tag.rpartition(":")[0]
        raise refused(
            f"the tag {tag} is on an image of the host, and the registry has another",
            f"Pull it on the host, or by digest: docker pull {name}@{offered}.",
        )
    return offered


def _import(x: Exchange) -> None:
    wanted = tags.joined(x.value("repo"), x.value("tag"))
    if wanted:
        tags.require_free(x, wanted)
    before = tags.all_images(x)
    query = [pair for pair in x.query if pair[0] not in {"repo", "tag"}]
    answer = x.open(
        query=query, body=x.client.upload(), headers={"Content-Type": "application/x-tar"}
    )
    raw = answer.read()
    if answer.status >= BAD_REQUEST:
        x.reply_error(answer.status, raw)
        return
    image = _last_id(raw)
    if image:
        tags.adopt(x, image, before)
        if wanted:
            tags.put(x, image, wanted)
    x.client.answer(200, raw, x.fields(answer))


def _last_id(raw: bytes) -> str:
    for line in reversed(raw.split(b"\n")):
        if line.strip():
            status = str(json.loads(line).get("status", ""))
            return status if status.startswith("sha256:") else ""
    return ""


def load(x: Exchange) -> None:
    """Load images from an archive that is unpacked and packed again without its tags.

    One by one: an image is known by what the daemon then says. That is the digest of its config, or
    where containerd keeps the images, of a manifest that the daemon has written.
    """
    from claudy.guard.archive import Parcel
    from claudy.guard.spool import spooled

    before = tags.all_images(x)
    lines: list[dict[str, Any]] = []
    with spooled(x.client.upload(), x.ledger.directory) as file:
        parcel = Parcel(file)
        for names in parcel.tags:
            for wanted in names:
                tags.require_free(x, tags.normalised(wanted))
        for number, names in enumerate(parcel.tags):
            answer = x.open(
                query=[("quiet", "1")],
                body=parcel.repacked(number),
                headers={"Content-Type": "application/x-tar"},
            )
            raw = answer.read()
            if answer.status >= BAD_REQUEST:
                x.reply_error(answer.status, raw)
                return
            lines += _loaded(x, names, raw, before)
            if "error" in lines[-1]:
                break
    body = b"".join(strictjson.dump(line) + b"\r\n" for line in lines)
    x.client.answer(200, body, x.fields(answer))


def _loaded(
    x: Exchange, names: list[str], raw: bytes, before: frozenset[str]
) -> list[dict[str, Any]]:
    """Record an image, put its tags on, and return what the client is told."""
    image = ""
    for text in raw.split(b"\n"):
        entry: dict[str, Any] = json.loads(text) if text.strip() else {}
        if "error" in entry:
            return [entry]
        image = str(entry.get("stream", "")).partition(_LOADED)[2].strip() or image
    if not image:
        raise Denied(500, "claudy guard: the daemon does not say what it has loaded.")
    tags.adopt(x, image, before)
    for name in names:
        tags.put(x, image, tags.normalised(name))
    said = [f"Loaded image: {name}\n" for name in names] or [f"{_LOADED}{image}\n"]
    return [{"stream": line} for line in said]


def commit(x: Exchange) -> None:
    """Make an image of an owned container."""
    body = x.json_body(commit_body, optional=True)
    container = x.objects.container(x.value("container"))
    wanted = tags.joined(x.value("repo"), x.value("tag"))
    if wanted:
        tags.require_free(x, wanted)
    before = tags.all_images(x)
    kept = [pair for pair in x.query if pair[0] not in {"repo", "tag", "container"}]
    with x.services.starter.holding(container):
        status, made, answer = x.ask(
            query=[*kept, ("container", container)],
            body=strictjson.dump(body),
            headers={"Content-Type": "application/json"},
            wait=True,
        )
    if status >= BAD_REQUEST:
        x.reply_error(status, strictjson.dump(made))
        return
    tags.adopt(x, made["Id"], before)
    if wanted:
        tags.put(x, made["Id"], wanted)
    x.reply_json(answer, made)


def prune_images(x: Exchange) -> None:
    """Remove owned images that nothing uses."""
    x.client.answer_json(200, pruning.images(x))


def _auth(x: Exchange) -> dict[str, str]:
    value = x.head.headers.get("x-registry-auth", "")
    return {"X-Registry-Auth": value} if value and value.isascii() else {}


def _require_registry(ref: str) -> None:
    """Refuse registries at addresses that only exist to be asked for secrets."""
    if ref.lower().startswith(_LINK_LOCAL):
        raise refused(f"{ref[:100]} is not a registry", "Use a registry's name.")


def _message(raw: bytes) -> str:
    try:
        return str(json.loads(raw)["message"])
    except (ValueError, KeyError, TypeError):
        return "the registry does not answer"


HANDLERS = {
    "images": images,
    "save": save,
    "distribution": distribution,
    "tag": tag,
    "push": push,
    "remove_image": remove_image,
    "pull_or_import": pull_or_import,
    "load": load,
    "commit": commit,
    "prune_images": prune_images,
}
