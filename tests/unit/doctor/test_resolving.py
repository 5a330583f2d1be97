"""Which names doctor lets the sandbox resolve: the machine's own registries and mirrors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from claudy.doctor.resolving import names_of_use
from claudy.image.names import DOCKER_HUB

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("image", "registry", "mirror", "names"),
    [
        ("", "", "", set()),
        ("", "", "http://mirror.example/debian", {"mirror.example"}),
        ("", "", "http://192.0.2.7/debian", set()),
        ("", "registry.example:5000/team", "", {"registry.example"}),
        ("", "localhost:5000", "", set()),
        ("images.example/own:1", "127.0.0.1:5000", "", {"images.example"}),
    ],
)
def test_names(tmp_path: Path, image: str, registry: str, mirror: str, names: set[str]) -> None:
    (tmp_path / "etc/apt").mkdir(parents=True)
    if mirror:
        (tmp_path / "etc/apt/sources.list").write_text(f"deb {mirror} bookworm main\n")
    settings = {"image": image, "registry": registry}
    assert names_of_use(settings, str(tmp_path)) == {DOCKER_HUB, *names}
