"""What is mounted of the project on its own is looked at again, just before it is mounted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from claudy.errors import ClaudyError
from claudy.sandbox.plan import Mount, Plan
from claudy.sandbox.start import Image, Prepared

if TYPE_CHECKING:
    from pathlib import Path


def prepared(project: Path, part: Path, running: list[dict[str, Any]]) -> Prepared:
    launch = SimpleNamespace(
        request=SimpleNamespace(project=SimpleNamespace(path=str(project))),
        engine=SimpleNamespace(call=lambda *_: running),
    )
    plan = Plan("n", "i", "0:0", mounts=(Mount("bind", str(part), "/x"),))
    return Prepared(cast("Any", launch), {}, plan, (), None, Image("i", "i"))


def require_alone(one: Prepared) -> None:
    one._require_alone()  # between two looks there is no place for a test


def test_what_was_swapped_since_the_plan_was_made_is_refused(tmp_path: Path) -> None:
    project = tmp_path.resolve()
    part = project / "part"
    part.mkdir()
    require_alone(prepared(project, part, []))
    part.rename(project / "was")
    part.symlink_to("/etc")
    with pytest.raises(ClaudyError, match="has become a link, to /etc"):
        require_alone(prepared(project, part, []))


def test_who_could_swap_it_is_named(tmp_path: Path) -> None:
    project = tmp_path.resolve()
    (project / "part").mkdir()
    running = [{"Names": ["/left-behind"]}]
    with pytest.raises(ClaudyError, match="left-behind is running"):
        require_alone(prepared(project, project / "part", running))
    require_alone(prepared(project, project.parent, running))  # no part of the project
