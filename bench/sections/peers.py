"""Other launchers with the same image and mounts: from nothing to a command that has run."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from bench.measure import Case, Contender, say
from bench.processes import Failed, output, run
from bench.sections.cold import claudy_true

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.installed import Peer
    from bench.measure import Bench
    from bench.stage import Stage

EXEC = "devcontainer exec"


def measure(bench: Bench, stage: Stage) -> None:
    """Measure `up` from nothing, `up` again, and claudy beside them."""
    for why in stage.missing:
        bench.skip("up", why)
    if not stage.peers:
        return
    cold = (_contender(peer, "up", _cold(stage, peer)) for peer in stage.peers)
    bench.run(Case("cold: a container that is ready", (claudy_true(stage), *cold), rounds=10))
    with up(stage):
        again = tuple(
            _contender(peer, "up", _runs(stage, _up(stage, peer))) for peer in stage.peers
        )
        bench.run(Case("up again while it is running", again, rounds=10))


@contextlib.contextmanager
def up(stage: Stage) -> Iterator[list[Contender]]:
    """Have a container of each peer running, and return their `exec ... true`."""
    found = []
    try:
        for peer in stage.peers:
            try:
                output(_up(stage, peer), stage.around)
            except Failed as error:
                say(str(error))  # its exec fails too, and says so in the results
            argv = [peer.program, "exec", *_place(stage, peer), "true"]
            found.append(_contender(peer, "exec", _runs(stage, argv)))
        yield found
    finally:
        for peer in stage.peers:
            _remove(stage, peer)


def _contender(peer: Peer, command: str, measure: Callable[[], float]) -> Contender:
    return Contender(f"{peer.name} {command}", measure, optional=True)


def _runs(stage: Stage, argv: list[str]) -> Callable[[], float]:
    return lambda: run(argv, stage.around)


def _cold(stage: Stage, peer: Peer) -> Callable[[], float]:
    def measured() -> float:
        _remove(stage, peer)
        took = run(_up(stage, peer), stage.around)
        _remove(stage, peer)
        return took

    return measured


def _up(stage: Stage, peer: Peer) -> list[str]:
    return [peer.program, "up", *_place(stage, peer)]


def _place(stage: Stage, peer: Peer) -> list[str]:
    """Return the options that say which container: folder, settings and label."""
    config = stage.directory / f"{peer.name}.json"
    if not config.exists():
        config.write_text(json.dumps(_settings(stage)), encoding="utf-8")
    label = _label(stage, peer)
    folder = stage.around.directory
    return ["--workspace-folder", folder, "--override-config", str(config), "--id-label", label]


def _label(stage: Stage, peer: Peer) -> str:
    return f"claudy.bench.peer={stage.label.partition('=')[2]}-{peer.name}"


def _settings(stage: Stage) -> dict[str, object]:
    """Return the devcontainer.json that comes closest to the line of `claudy --dry-run`."""
    line = stage.docker_line("--", "true")
    image = line[next(i for i, w in enumerate(line) if w.startswith("--entrypoint=")) + 1]
    mounts = [word.partition("=")[2] for word in line if word.startswith("--mount=")]
    workspace = next(mount for mount in mounts if "target=/workspace" in mount.split(","))
    others = [
        mount.partition(",volume-label=")[0]
        for mount in mounts
        if mount is not workspace and "@guard," not in mount
    ]
    taken = ("--network=", "--group-add=", "--security-opt=", "--hostname=")
    return {
        "image": image,
        "workspaceMount": workspace,
        "workspaceFolder": "/workspace",
        "mounts": others,
        "runArgs": [f"--label={stage.label}", *(w for w in line if w.startswith(taken))],
        "updateRemoteUserUID": False,
        "userEnvProbe": "none",
    }


def _remove(stage: Stage, peer: Peer) -> None:
    filters = json.dumps({"label": [_label(stage, peer)]})
    for found in stage.engine.call("GET", "/containers/json", {"all": True, "filters": filters}):
        stage.engine.call("DELETE", f"/containers/{found['Id']}", {"force": True, "v": True})


__all__ = ["EXEC", "measure", "up"]
