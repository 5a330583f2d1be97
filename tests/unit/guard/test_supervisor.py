"""What becomes of connections when no worker can begin, as from files that don't fit together."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from claudy.image.guardimage import guard_recipe

if TYPE_CHECKING:
    from pathlib import Path

HOPELESS = """
import os, sys
from claudy.guard import supervisor
from claudy.guard.options import parse
supervisor._PAUSE = 0.01
supervisor._be_worker = lambda *_: os._exit(1)
supervisor.run(parse(sys.argv[1:]))
"""


def test_nobody_waits_for_a_worker_that_can_not_begin(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    given = {
        "--listen": path, "--upstream": tmp_path / "none", "--project": "/p",
        "--project-id": "p", "--sandbox": "s", "--ledger": tmp_path, "--ready-fd": 1,
    }  # fmt: skip
    words = [str(word) for pair in given.items() for word in pair]
    with (
        subprocess.Popen([sys.executable, "-c", HOPELESS, *words], stdout=subprocess.PIPE) as guard,
        socket.socket(socket.AF_UNIX) as client,
    ):
        assert guard.stdout is not None
        assert guard.stdout.readline() == b"ready\n"
        client.connect(str(path))
        client.settimeout(20)
        try:
            assert client.recv(1) == b""
        finally:
            guard.terminate()


def test_the_sidecar_has_all_that_the_guard_imports(tmp_path: Path) -> None:
    for name, content in guard_recipe("linux/amd64").files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    load = (
        "import sys, pkgutil, importlib; sys.path.insert(0, 'app'); import claudy.guard as g;"
        "[importlib.import_module(m.name) for m in pkgutil.walk_packages(g.__path__, g.__name__"
        " + '.') if not m.name.endswith('__main__')]"
    )
    # Without this environment's own libraries.
    subprocess.run([sys.executable, "-I", "-S", "-c", load], cwd=tmp_path, check=True)
