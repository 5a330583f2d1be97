"""What other sandboxes and images on the same engine cost a start and a further session."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.measure import Case, Row, Target, say
from bench.processes import output
from bench.sections.cold import RUN, claudy_true, docker_true
from bench.sections.warm import EXEC, docker_exec
from bench.stage import running
from claudy.errors import APIError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.measure import Bench
    from bench.stage import Stage

_FLAT = 1.1
_CLAUDY = "claudy -- true"


def measure(bench: Bench, stage: Stage) -> None:
    """Measure with few and with many, up the ladder and down again."""
    sandboxes = (1, 10) if bench.quick else (1, 10, 100)
    images = (10, 50) if bench.quick else (10, 1000)
    _ladder(bench, stage, "sandboxes running", sandboxes, lambda n: _have_sandboxes(stage, n))
    _ladder(bench, stage, "local images", images, lambda n: _have_images(stage, n))


def _ladder(
    bench: Bench, stage: Stage, what: str, levels: tuple[int, ...], have: Callable[[int], int]
) -> None:
    """Measure at each level twice: on the way up and on the way down, so that drift cancels."""
    samples: dict[str, dict[str, list[float]]] = {"cold": {}, "warm": {}}
    inner = type(bench)(bench.quick, bench.section)
    reached = {level: level for level in levels}
    for level in (*levels, *reversed(levels)):
        reached[level] = have(level)
        cold = (claudy_true(stage), docker_true(stage))
        _collect(samples["cold"], inner, Case(f"cold, {level} {what}", cold, rounds=8), level)
        with running(stage) as name:
            warm = (claudy_true(stage), docker_exec(stage, name))
            _collect(samples["warm"], inner, Case(f"warm, {level} {what}", warm, rounds=12), level)
    have(0)
    low, high = levels[0], levels[-1]
    for kind, found in samples.items():
        rows = [Row(name, tuple(values)) for name, values in found.items()]
        other = RUN if kind == "cold" else EXEC
        title = f"{kind}, {' / '.join(str(reached[level]) for level in levels)} {what}"
        target = Target(f"{_CLAUDY}, {high}", _FLAT, f"{_CLAUDY}, {low}")
        told = Target(f"{other}, {high}", _FLAT, f"{other}, {low}")
        bench.add(Case(title, (), (target, replace(told, demanded=False))), rows)


def _collect(into: dict[str, list[float]], inner: Bench, case: Case, level: int) -> None:
    for row in inner.run(case).rows:
        into.setdefault(f"{row.name}, {level}", []).extend(row.samples)


def _have_sandboxes(stage: Stage, wanted: int) -> int:
    """Have other projects' sandboxes running, started by claudy; this project's own comes on top.

    Returns:
        How many there are, with this project's own.
    """
    projects = str(stage.directory / "projects" / "other-")
    found = [
        (entry["Labels"]["claudy.project"], entry["Id"])
        for entry in stage.engine.call("GET", "/containers/json")
        if entry["Labels"].get("claudy.project", "").startswith(projects)
    ]
    found.sort(key=lambda pair: int(pair[0].removeprefix(projects)))
    others = max(0, wanted - 1)
    if len(found) < others:
        say(f"starting {others - len(found)} sandboxes")
    for number in range(len(found), others):
        other = stage.at(stage.project(f"other-{number}"))
        output([other.claudy, "--keep", "--", "true"], other.around)
    if len(found) > others:
        say(f"removing {len(found) - others} sandboxes")
    for _, container in found[others:]:
        stage.engine.call("DELETE", f"/containers/{container}", {"force": True, "v": True})
    return others + 1


def _have_images(stage: Stage, wanted: int) -> int:
    """Have that many images on the engine, those that were there included.

    Returns:
        How many there are.
    """
    entries = stage.engine.call("GET", "/images/json")
    own = [
        e["Id"] for e in entries if stage.label.partition("=")[2] in (e["Labels"] or {}).values()
    ]
    missing = wanted - len(entries)
    if missing > 0:
        say(f"making {missing} images")
    for number in range(missing):
        query = {
            "fromSrc": "-",
            "repo": "claudy-bench",
            "tag": f"{wanted}-{number}",
            "changes": f"LABEL {stage.label} claudy.bench.number={wanted}-{number}",
        }
        stage.engine.stream("POST", "/images/create", query, body=_tiny()).read()
    if missing < 0:
        say(f"removing {min(-missing, len(own))} images")
    for image in own[: max(0, -missing)]:
        try:
            stage.engine.call("DELETE", f"/images/{image}", {"force": True})
        except APIError as error:
            if error.status != 404:
                raise
    return max(wanted, len(entries) - len(own))


def _tiny() -> bytes:
    """Return an archive with one empty file: the content of all the images."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    return made.getvalue()
