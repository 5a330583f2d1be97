"""Why a sandbox ended before anything of its image ran: its programs are for another processor.

Only asked then: where the engine emulates the other processor, such an image is as good as any.
"""

from __future__ import annotations

from claudy.errors import EngineError
from claudy.host.finding import as_error
from claudy.host.refusals import wrong_architecture
from claudy.image.images import find_image
from claudy.image.reference import REPOSITORY, is_foreign, platform_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claudy.engine.client import Engine
    from claudy.sandbox.start import Image


def require_processor(engine: Engine, image: Image) -> None:
    """Say so if an image that could not be run is for another processor than the engine's.

    Args:
        engine: the engine.
        image: what the sandbox's image was made from.

    Raises:
        EngineError: it is.
    """
    found = find_image(engine, image.id)
    engines = platform_of(engine.call("GET", "/version")["Arch"])
    if found and is_foreign(found.platform, engines):
        chosen = not image.reference.startswith(f"{REPOSITORY}:")
        finding = wrong_architecture(image.reference, found.platform, engines, chosen=chosen)
        raise as_error(finding, EngineError)
