"""What is pruned is still the project's when its turn comes; the daemon here is a stand-in."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from claudy.guard.handlers import pruning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudy.guard.exchange import Exchange


def test_a_volume_that_became_anothers_meanwhile_stays() -> None:
    """The host may take the name of one that the project removes in another request."""
    asked: list[tuple[str, str]] = []
    lost: set[str] = set()

    def answer(method: str, path: str, *_: Any) -> tuple[int, Any]:
        asked.append((method, path))
        return 200, {"Volumes": [{"Name": "kept"}, {"Name": "lost"}]}

    @contextlib.contextmanager
    def removing(kind: str, name: str) -> Iterator[bool]:
        assert kind == "volumes"
        if name == "lost":
            lost.add(name)  # while this waited for its turn
        yield True

    exchange = SimpleNamespace(
        filters=lambda _: {},
        version=(1, 41),
        daemon=SimpleNamespace(json=answer),
        ledger=SimpleNamespace(get=lambda *_: {}, remove=lambda *_: None),
        objects=SimpleNamespace(volume_is_own=lambda name, *_: name not in lost),
        services=SimpleNamespace(starter=SimpleNamespace(removing=removing)),
    )
    report = pruning.volumes(cast("Exchange", exchange))
    assert report["VolumesDeleted"] == ["kept"]
    assert [path for method, path in asked if method == "DELETE"] == ["/volumes/kept"]
