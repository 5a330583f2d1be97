"""Tags and image ids: what the sandbox put where, and what it may move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claudy.guard.policy.references import IMAGE_REF, is_claudys_image, is_short_id, looks_like_id
from claudy.guard.refusal import CONFLICT, Denied, invalid, refused

if TYPE_CHECKING:
    from claudy.guard.exchange import Exchange

_INDEX = ("docker.io/", "index.docker.io/")


def normalised(ref: str) -> str:
    """Return a reference in the familiar form with a tag: `docker.io/library/a` is `a:latest`.

    Raises:
        Denied: it is not a reference, or one with a digest.
    """
    if not IMAGE_REF.fullmatch(ref) or "@" in ref:
        raise invalid(f"invalid reference format: {ref[:200]}")
    name, colon, tag = ref.rpartition(":")
    if not colon or "/" in tag:
        name, tag = ref, "latest"
    require_plain(name)
    for host in _INDEX:
        name = name.removeprefix(host)
    if name.count("/") == 1:
        name = name.removeprefix("library/")
    return f"{name}:{tag}"


def require_plain(ref: str) -> None:
    """Refuse `docker.io/REGISTRY/…`: without its beginning it means something else.

    Raises:
        Denied: it is one.
    """
    for host in _INDEX:
        if ref.startswith(host) and names_registry(ref.removeprefix(host)):
            raise invalid(f"invalid reference format: {ref[:200]}")


def names_registry(ref: str) -> bool:
    """Whether a reference begins with the address of a registry."""
    first, slash, _ = ref.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def joined(repo: str, tag: str) -> str:
    """Return the normalised reference of a repo and a tag; empty: none was given."""
    if not repo:
        if tag:
            raise invalid("a tag without a name")
        return ""
    if tag.startswith("sha256:") or "@" in repo:
        raise invalid("a tag is not a digest")
    name = repo.rpartition("/")[2]
    if tag and ":" in name:
        repo = repo[: repo.rindex(":")]
    return normalised(f"{repo}:{tag}" if tag else repo)


def require_free(x: Exchange, tag: str) -> None:
    """Refuse to move a tag that the host put on an image of its own.

    Raises:
        Denied: 403 with the tag's name.
    """
    name = tag.rpartition(":")[0]
    if looks_like_id(name) or name == "sha256":
        raise refused(f"the name {name} looks like an image id", "Choose another name.")
    if is_short_id(name):
        _, found = x.daemon.json("GET", "/images/json", [("all", "1")])
        ids = [str(entry["Id"]) for entry in found or []]
        if any(
            one.removeprefix("sha256:").startswith(name) and not x.ledger.owns("images", one)
            for one in ids
        ):
            raise refused(f"the name {name} is a short id of another image", "Choose another.")
    if is_claudys_image(tag):
        raise refused(f"the name {tag} is claudy's own on the host", "Choose another name.")
    if not x.objects.tag_is_free(tag):
        raise taken(tag)


def taken(tag: str) -> Denied:
    """Return the refusal of a tag that is the host's."""
    return refused(
        f"the tag {tag} is on an image of the host, and is not moved from here",
        f"Choose another tag, or free it on the host: docker rmi {tag}.",
    )


def put(x: Exchange, image: str, tag: str) -> None:
    """Put a tag on an image, if it is free or there already; record it.

    Raises:
        Denied: it is the host's, or the daemon refuses.
    """
    if x.objects.image_id(tag) == image:
        return
    require_free(x, tag)
    repo, _, name = tag.rpartition(":")
    query = [("repo", repo), ("tag", name)]
    # Recorded first: a guard that dies in between must not leave a tag without an owner.
    x.ledger.add("tags", tag, image=image)
    status, found = x.daemon.json("POST", f"/images/{image}/tag", query)
    if status != 201:  # noqa: PLR2004 - Created
        x.ledger.remove("tags", tag)
        raise Denied(status if status >= CONFLICT else 500, str((found or {}).get("message", "")))


def all_images(x: Exchange) -> frozenset[str]:
    """Return the ids of all images, layers of builds too, and their names."""
    _, found = x.daemon.json("GET", "/images/json", [("all", "1")])
    return frozenset(word for entry in found or [] for word in (entry["Id"], *names(entry)))


def names(found: dict[str, Any]) -> list[str]:
    """Return the tags of an image, and the digests that it was pulled or pushed by.

    Args:
        found: the image, inspected or listed.
    """
    tags, digests = found.get("RepoTags") or [], found.get("RepoDigests") or []
    # Where containerd keeps the images the id is the digest, and every name has one beside it; what
    # was pulled by its digest is among the tags there.
    kept = [*tags, *(name for name in digests if not name.endswith(found["Id"]))]
    return [name for name in kept if "<none>" not in name]


def names_of_others(x: Exchange, found: dict[str, Any]) -> list[str]:
    """Return the names of an image that the project did not give it; as `names`."""
    return [
        name
        for name in names(found)
        if (x.ledger.get("tags", name) or {}).get("image") != found["Id"]
    ]


def record_digest(x: Exchange, name: str, before: frozenset[str]) -> None:
    """Record a name by digest that a pull or a push has made, if it was not there before."""
    _, found = x.daemon.json("GET", f"/images/{name}/json")
    if name not in before and found and name in names(found):
        x.ledger.add("tags", name, image=found["Id"])


def forget(x: Exchange, gone: list[dict[str, str]] | None) -> None:
    """Forget what the daemon says that it has removed: the host may have the same again."""
    for entry in gone or []:
        if "Deleted" in entry:
            x.ledger.remove("images", entry["Deleted"])
        if "Untagged" in entry:
            x.ledger.remove("tags", entry["Untagged"])


def adopt(x: Exchange, image: str, before: frozenset[str]) -> None:
    """Record an image as the project's, and what it was built on, if they were not there before.

    Not what the host has pulled or built meanwhile: that has a name of the host's.
    """
    while image and image not in before and not x.ledger.owns("images", image):
        _, found = x.daemon.json("GET", f"/images/{image}/json")
        if not found or names_of_others(x, found):
            return
        x.ledger.add("images", image)
        image = str(found.get("Parent", ""))
