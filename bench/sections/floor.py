"""What nothing written in Python can go below, and what the docker CLI's own start costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.measure import Case, Contender
from bench.processes import run

if TYPE_CHECKING:
    from bench.measure import Bench
    from bench.stage import Stage

_COLD = (
    "claudy.cli.launching", "claudy.sandbox.start", "claudy.sandbox.remembered",
    "claudy.sandbox.plan", "claudy.sandbox.guarding", "claudy.sandbox.watch",
)  # fmt: skip
_REQUEST = """
import http.client, socket
class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect({path!r})
connection = Connection("docker")
connection.request("GET", "/containers/json")
connection.getresponse().read()
"""
_OWN = """
from claudy.engine.client import Engine
from claudy.host.endpoint import Endpoint
import os
Engine(Endpoint(**{endpoint!r}), api={api!r}).call("GET", "/containers/json")
os._exit(0)
"""


def measure(bench: Bench, stage: Stage) -> None:
    """Measure a bare start and the same request, of each."""

    def of(name: str, *argv: str) -> Contender:
        return Contender(name, lambda: run(argv, stage.around))

    python = stage.python
    bench.run(
        Case(
            "to start and end",
            (
                of("python -c pass", python, "-c", "pass"),
                of("python, what a cold launch imports", python, "-c", f"import {','.join(_COLD)}"),
                of("docker --version", "docker", "--version"),
            ),
            rounds=40,
        )
    )
    endpoint = stage.engine.endpoint
    contenders = [of("docker ps", "docker", "ps")]
    if endpoint.kind == "unix":
        bare = _REQUEST.format(path=endpoint.path)
        own = _OWN.format(endpoint=vars(endpoint), api=stage.engine.api)
        contenders.append(of("python, http.client", python, "-c", bare))
        contenders.append(of("python, claudy's engine client", python, "-c", own))
    bench.run(Case("to start, ask for the containers and end", tuple(contenders), rounds=40))
