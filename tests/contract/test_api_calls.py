"""How often the engine is asked: noted by a relay in front of the real one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.contract.counting import Counting
from tests.engines.shell import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engines.engine import Engine
    from tests.running.program import Claudy

SECONDS = 30


@pytest.fixture
def counting(engine: Engine, tmp_path: Path) -> Iterator[Counting]:
    with Counting(tmp_path / "count.sock", engine.socket) as relay:
        yield relay


@pytest.mark.parametrize("how", ["variables", "options"])
@pytest.mark.parametrize("mode", ["none", "guard"])
def test_launches_and_listings_ask_little(
    claudy: Claudy, counting: Counting, project: Path, mode: str, how: str
) -> None:
    chosen = {"docker": mode, "image": "busybox:latest", "pull": "never"}
    counted = claudy.with_environment(DOCKER_HOST=counting.host)
    words: list[str] = []
    if how == "variables":
        variables = {f"CLAUDY_{name.upper()}": value for name, value in chosen.items()}
        counted = counted.with_environment(**variables)
    else:
        words = [f"--{name}={value}" for name, value in chosen.items()]
    launch = [*words, "--"]
    # Settles what is known of the engine.
    assert counted.run(*launch, "true", cwd=project).code == 0
    counting.taken()

    with counted.start(*launch, "cat", cwd=project) as first:
        assert first.stdin
        assert first.stdout
        first.stdin.write(b"open\n")
        assert first.stdout.read(5) == b"open\n"
        cold: list[str] = []

        def has_started() -> bool:
            cold.extend(counting.taken())
            return "POST /containers/ID/start" in cold

        wait_for(has_started, SECONDS, "the start")
        name = counted.sandboxes(project).only()["Name"].lstrip("/")
        cold = [one.replace(name, "NAME") for one in cold]
        assert len(cold) <= 8, cold
        assert cold.count("POST /containers/create") == 1
        assert "GET /_ping" not in cold
        assert "GET /info" not in cold

        assert counted.run(*launch, "true", cwd=project).code == 0
        assert counting.taken() == [
            "POST /containers/ID/kill",  # once: from now on the sandbox outlives its first session
            "POST /containers/ID/exec",
            "POST /exec/ID/start",
            "GET /exec/ID/json",
        ]
        assert counted.run(*launch, "true", cwd=project).code == 0
        warm = counting.taken()
        assert warm[:2] == ["POST /containers/ID/exec", "POST /exec/ID/start"]
        assert set(warm[2:]) == {"GET /exec/ID/json"}

        done = counted.run("ps", "--json", cwd=project)
        assert counting.taken() == ["GET /containers/json"]
        names = [one["name"] for one in json.loads(done.text)["sandboxes"]]
        assert name in names
        counted.run("ps", "--all", cwd=project)
        assert counting.taken() == ["GET /containers/json"]
        first.stdin.close()
        assert first.wait(SECONDS) == 0
