"""What `claudy prune` prints and asks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from claudy.cli.tables import printable, spell_size
from claudy.containers.lifecycle import Registry
from claudy.containers.listing import list_sandboxes
from claudy.containers.pruning import find_unused, remove_unused
from claudy.engine.jsonc import dumps
from claudy.errors import Declined

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from claudy.cli.console import Console
    from claudy.containers.pruning import Unused
    from claudy.engine.client import Engine


def run_prune(console: Console, engine: Engine, *, volumes: bool, dry_run: bool) -> int:
    """Find what nobody uses, ask, and remove it.

    Args:
        console: prints and asks.
        engine: which.
        volumes: homes of projects without a sandbox, too.
        dry_run: only say what there is.

    Raises:
        Declined: the user said no.
        ConfirmationNeeded: nobody can answer.
    """
    registry = Registry(engine, os.environ, os.getuid())
    unused = find_unused(engine, registry, volumes=volumes)
    if dry_run:
        return _report(console, unused, (), dry_run=True)
    if unused:
        if not console.yes:
            for one in unused:
                console.notice(_line(one))
        lost = any(one.kind == "volume" for one in unused) and volumes
        warning = " History, caches and logins in those homes are lost." if lost else ""
        count = "this" if len(unused) == 1 else f"these {len(unused)}"
        if not console.confirm(f"Remove {count}?{warning}"):
            raise Declined("Nothing was changed.")
    registry.forget_all_but({c.name for c in list_sandboxes(engine)})
    removed: list[Unused] = []
    kept: list[Unused] = []
    for one in unused:
        (removed if remove_unused(engine, registry, one) else kept).append(one)
    return _report(console, removed, kept, dry_run=False)


def _report(
    console: Console, removed: Sequence[Unused], kept: Sequence[Unused], *, dry_run: bool
) -> int:
    if console.as_json:
        document = {
            "schema": 1,
            "dry_run": dry_run,
            "would_remove" if dry_run else "removed": [_describe(one) for one in removed],
            "kept": [_describe(one) for one in kept],
        }
        console.result(dumps(document).decode())
        return 0
    for one in removed:
        console.result(_line(one) if dry_run else f"{one.kind} {one.name}")
    for one in kept:
        console.notice(f"{one.kind} {one.name} stays: somebody has begun to use it.")
    if not removed:
        console.notice("There is nothing to remove.")
    return 0


def _line(one: Unused) -> str:
    size = f", {spell_size(one.size)}" if one.size else ""
    return f"{one.kind} {one.name}{size}: {printable(one.why)}"


def _describe(one: Unused) -> dict[str, Any]:
    return {"kind": one.kind, "name": one.name, "reason": one.why, "size": one.size or None}
