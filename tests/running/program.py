"""The `claudy` command with an environment in which it finds one engine and nothing of yours."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.running.sandboxes import Sandboxes
from tests.running.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.engines.engine import Engine

SECONDS = 60
"""How long a run may take before it counts as hanging; no test asserts a duration with it."""


@dataclass(frozen=True)
class Claudy:
    """The command, and where its processes run.

    Args:
        command: argv that runs claudy.
        environment: Its whole environment.
        engine: The engine that it finds.
        become: argv prefix that makes it another user's process; empty for this one's.
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    engine: Engine
    become: tuple[str, ...] = ()

    def argv(self, *arguments: str) -> list[str]:
        """Return the whole command line."""
        return [*self.become, *self.command, *arguments]

    def with_environment(self, **variables: str | None) -> Claudy:
        """Return the same with some variables set, or taken out if None."""
        environment = {k: v for k, v in self.environment.items() if k not in variables}
        return replace(
            self, environment=environment | {k: v for k, v in variables.items() if v is not None}
        )

    def by(self, become: Sequence[str]) -> Claudy:
        """Return the same, run behind a command that makes it another user's."""
        return replace(self, become=tuple(become))

    def run(
        self,
        *arguments: str,
        cwd: Path | str,
        input: bytes | None = None,  # noqa: A002 - the name that subprocess gives it
        **options: Any,
    ) -> Done:
        """Run it to its end.

        Args:
            arguments: What follows `claudy`.
            cwd: Where it is run.
            input: What it gets on standard input; /dev/null if None.
            options: Further arguments of `subprocess.run`.
        """
        if input is not None:
            options["input"] = input
        else:
            options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        done = subprocess.run(
            self.argv(*arguments),
            cwd=cwd,
            env=self.environment,
            timeout=options.pop("timeout", SECONDS),
            check=False,
            **options,
        )
        return Done(done.returncode, done.stdout or b"", done.stderr or b"")

    def start(self, *arguments: str, cwd: Path | str, **options: Any) -> subprocess.Popen[bytes]:
        """Start it on pipes and return at once; use it as a context manager."""
        for stream in ("stdin", "stdout", "stderr"):
            options.setdefault(stream, subprocess.PIPE)
        return subprocess.Popen(
            self.argv(*arguments), cwd=cwd, env=self.environment, bufsize=0, **options
        )

    def terminal(
        self, *arguments: str, cwd: Path | str, size: tuple[int, int] = (24, 80)
    ) -> Terminal:
        """Start it on a terminal of its own.

        Args:
            arguments: What follows `claudy`.
            cwd: Where it is run.
            size: Rows and columns.
        """
        return Terminal(self.argv(*arguments), cwd=str(cwd), env=self.environment, size=size)

    def on_terminal(self, command: Sequence[str], *, cwd: Path | str) -> Terminal:
        """Start something else, such as a shell to type `claudy` into, on a terminal."""
        return Terminal([*self.become, *command], cwd=str(cwd), env=self.environment)

    def sandboxes(self, project: Path | str) -> Sandboxes:
        """Return what the engine says of a project's sandboxes."""
        return Sandboxes(self.engine.api, os.path.realpath(project))


@dataclass(frozen=True)
class Done:
    """How a run ended.

    Args:
        code: Exit code; negative after a signal that ended claudy itself.
        out: Standard output.
        err: Standard error.
    """

    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.out.decode()

    @property
    def said(self) -> str:
        """Standard error as text."""
        return self.err.decode()
