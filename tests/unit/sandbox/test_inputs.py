"""When a launch is taken for one like the last: the same variables, files and options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from claudy.host.endpoint import resolve
from claudy.sandbox.launch import Request, inputs
from claudy.sandbox.project import find_project

if TYPE_CHECKING:
    from pathlib import Path


def inputs_of(project: Path, flags: dict[str, Any], **env: str) -> tuple[Any, ...] | None:
    env = {"HOME": str(project), "DOCKER_HOST": "unix:///engine.sock", **env}

    def nobody(*_: Any) -> Any:
        raise AssertionError

    request = Request(
        project=find_project(str(project)),
        command=(),
        flags=flags,
        env=env,
        home=str(project),
        uid=1,
        platform="linux",
        notify=nobody,
        confirm=nobody,
        progress=nobody,
    )
    return inputs(request, resolve(env=env, home=str(project), platform="linux", uid=1))


def test_options_count_by_value(tmp_path: Path) -> None:
    plain = inputs_of(tmp_path, {})
    assert plain is not None
    assert plain == inputs_of(tmp_path, {})
    seen = [plain]
    for flags in (
        {"docker": "none"},
        {"docker": "host"},
        {"docker": "none", "memory": "1g"},
        {"publish": ["80"]},
        {"publish": ["80", "81"]},
        {"image": ""},
        {"image": "busybox"},
    ):
        found = inputs_of(tmp_path, flags)
        assert found is not None
        assert found == inputs_of(tmp_path, dict(reversed(flags.items())))
        assert found not in seen
        seen.append(found)


@pytest.mark.parametrize("flags", [{"env": ["K"]}, {"volumes": ["./x:/y"]}, {"pull": "always"}])
def test_options_that_mean_what_is_elsewhere_are_looked_at_every_time(
    tmp_path: Path, flags: dict[str, Any]
) -> None:
    assert inputs_of(tmp_path, flags) is None


def test_the_bundled_images_files_count_where_it_is_used(tmp_path: Path) -> None:
    """`--image ''` is the bundled one, whatever the variable says."""
    bundled, other = (inputs_of(tmp_path, {"image": image}) for image in ("", "busybox"))
    assert bundled
    assert other
    assert len(bundled[3]) > len(other[3])
    assert inputs_of(tmp_path, {"image": ""}, CLAUDY_IMAGE="busybox")[3] == bundled[3]  # type: ignore[index]
