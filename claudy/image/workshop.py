"""What work on images needs besides what it makes: passed from the command line inwards."""

from __future__ import annotations

from claudy.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from claudy.engine.client import Engine
    from claudy.image.events import Event


@record
class Workshop:
    """Where images are made, and who is told and asked meanwhile.

    Args:
        engine: the engine that gets them.
        env: the process environment: proxies, DOCKER_CONFIG, the place of the cache.
        report: is told what happens.
        confirm: asks a yes-or-no question, given the option that answers it with yes; raises
            ConfirmationNeeded when nobody is there.
        anonymous: registries are not shown the user's logins.
    """

    engine: Engine
    env: Mapping[str, str]
    report: Callable[[Event], None]
    confirm: Callable[[str, str], bool]
    anonymous: bool = False
