"""A user's own image (`--image REF`): there, or pulled as `--pull` says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.errors import UsageError
from claudy.image.failures import ImageError
from claudy.image.images import find_image
from claudy.image.pull import pull

if TYPE_CHECKING:
    from claudy.image.images import Image
    from claudy.image.workshop import Workshop

_FORBIDDEN = frozenset(" \t\n?#%")


def ensure_custom(workshop: Workshop, reference: str, when: str) -> Image:
    """Return an image of the user's.

    Args:
        workshop: where.
        reference: its name, digest or id.
        when: `missing`, `always` or `never`: when it is pulled.

    Raises:
        ImageError: it is not there and can't be pulled, or may not be.
        UsageError: the reference is none.
    """
    if not reference.strip("/") or _FORBIDDEN & set(reference):
        raise UsageError(f"{reference!r} is not an image reference.", "give NAME[:TAG]")
    found = find_image(workshop.engine, reference)
    if found and (when != "always" or reference in (found.id, found.id.removeprefix("sha256:"))):
        return found
    if when == "never":
        raise ImageError(
            f"The image {reference} is not on the engine, and --pull never forbids to pull it.",
            f"docker pull {reference}",
        )
    pull(workshop, reference)
    found = find_image(workshop.engine, reference)
    if found is None:
        raise ImageError(f"{reference} was pulled and is not there.", f"docker pull {reference}")
    return found
