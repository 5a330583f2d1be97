"""A user's own image (`--image REF`): there, or pulled as `--pull` says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.image.failures import INSTEAD, ImageError, RegistryDown
from claudy.image.images import find_image
from claudy.image.names import parse_name

if TYPE_CHECKING:
    from claudy.image.images import Image
    from claudy.image.workshop import Workshop

_DIGITS = frozenset("0123456789abcdef")
_FULL = 64


def is_id(reference: str) -> bool:
    """Whether a reference is an image's whole id, which no registry knows."""
    digits = reference.removeprefix("sha256:")
    return len(digits) == _FULL and _DIGITS.issuperset(digits)


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
    if not is_id(reference):
        parse_name(reference)
    found = find_image(workshop.engine, reference)
    if found and (when != "always" or is_id(reference)):
        return found
    if when == "never":
        raise ImageError(
            f"The image {reference} is not on the engine, and --pull never forbids to pull it.",
            f"docker pull {reference}",
        )
    from claudy.image.pull import pull

    try:
        pull(workshop, reference)
    except RegistryDown as error:
        # What can be done at once; the registry comes back by itself or by others' work.
        raise RegistryDown(error.message, "claudy --pull missing" if found else INSTEAD) from error
    found = find_image(workshop.engine, reference)
    if found is None:
        raise ImageError(f"{reference} was pulled and is not there.", f"docker pull {reference}")
    return found
