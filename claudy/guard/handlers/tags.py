"""Tags and image ids: what the sandbox put where, and what it may move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.guard.policy.references import IMAGE_REF, is_claudys_image, looks_like_id
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
        first, slash, _ = ref.removeprefix(host).partition("/")
        if (
            ref.startswith(host)
            and slash
            and ("." in first or ":" in first or first == "localhost")
        ):
            raise invalid(f"invalid reference format: {ref[:200]}")


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
    """Return the ids of all images, layers of builds too."""
    _, found = x.daemon.json("GET", "/images/json", [("all", "1")])
    return frozenset(entry["Id"] for entry in found or [])


def adopt(x: Exchange, image: str, before: frozenset[str]) -> None:
    """Record an image as the project's, and what it was built on, if they were not there before."""
    while image and image not in before and not x.ledger.owns("images", image):
        x.ledger.add("images", image)
        _, found = x.daemon.json("GET", f"/images/{image}/json")
        image = str((found or {}).get("Parent", ""))
