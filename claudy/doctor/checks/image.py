"""Whether the image of the sandbox is there, current, and for this engine's processor."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, fail, ok
from claudy.engine.jsonc import dumps
from claudy.errors import APIError
from claudy.host.finding import Finding
from claudy.host.refusals import wrong_architecture
from claudy.image.images import find_image
from claudy.image.reference import REPOSITORY, bundled_reference, is_foreign, platform_of

if TYPE_CHECKING:
    from claudy.doctor.context import Context
    from claudy.image.images import Image

_PATIENCE = 20.0
"""Seconds for an emulated shell to start."""


def run(context: Context) -> Outcome:
    """Look for the image that a launch would run."""
    engine, facts = context.engine(), context.known.facts
    platform = platform_of(facts.arch)
    chosen = context.settings["image"]
    reference = chosen or bundled_reference(platform=platform)
    found = find_image(engine, reference)
    if found is None:
        return fail(_missing(context, reference, chosen), image=reference)
    if is_foreign(found.platform, platform) and not _runs(context, found):
        finding = wrong_architecture(reference, found.platform, platform, chosen=bool(chosen))
        return fail(finding, image=reference)
    from claudy.doctor.inside import image_of_guard

    guards = image_of_guard(context)
    if guards and find_image(engine, guards) is None:
        message = (
            f"The guard runs in a container here, and its image {guards} was never built on this"
            " engine. The first launch builds it, in about a minute."
        )
        finding = Finding("guard-image-missing", message, "claudy -- true", "build-guard-image")
        return fail(finding, image=guards)
    size = f"{found.size / 1e6:.0f} MB"
    return ok(f"{reference}, {size}, {found.platform}", image=reference, size=found.size)


def _runs(context: Context, image: Image) -> bool:
    """Whether an image for another processor runs all the same: the engine may emulate that."""
    from claudy.doctor.inside import LABEL, PREFIX, clear

    engine, word = context.engine(), os.urandom(8).hex()
    body = {
        "Image": image.id,
        "Entrypoint": ["sh", "-c", ":"],
        "Labels": {LABEL: word},
        "NetworkDisabled": True,
        "HostConfig": {"NetworkMode": "none"},
    }
    name = PREFIX + word
    context.on_undo(clear, context.engine(), name)
    engine.call("POST", "/containers/create", {"name": name}, body)
    waiting = engine.begin("POST", f"/containers/{name}/wait", {"condition": "next-exit"})
    try:
        engine.call("POST", f"/containers/{name}/start")
    except APIError:
        return False
    return int(waiting.finish(_PATIENCE)["StatusCode"]) == 0


def _missing(context: Context, reference: str, chosen: str) -> Finding:
    """Return the finding for an image that is not there: never made, or made from older files."""
    if chosen:
        return Finding(
            "image-missing", f"The image {reference} is missing.", f"docker pull {reference}"
        )
    filters = dumps({"reference": [REPOSITORY]}).decode()
    older = context.engine().call("GET", "/images/json", {"filters": filters})
    if older:
        return Finding(
            "image-outdated",
            f"The image was built from older files than this claudy's: {reference} is missing.",
            "claudy build-image",
            "build-image",
        )
    return Finding(
        "image-missing",
        f"The image {reference} is missing: it was never built here.",
        "claudy build-image",
        "build-image",
    )


CHECK = Check("image", "Image", run, ("daemon",))
