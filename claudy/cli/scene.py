"""What a small command is about: an engine, what is on it, and the project of this directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from claudy.containers.choose import choose, sandboxes_of, started_by
from claudy.containers.connect import here, open_engine
from claudy.containers.lifecycle import Registry
from claudy.containers.listing import list_containers
from claudy.errors import Declined
from claudy.sandbox.resolve import compose_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from claudy.cli.console import Console
    from claudy.containers.container import Container


class Scene:
    """What a command is about: an engine, what is on it, and the project of this directory.

    Args:
        console: prints and asks.
        host: value of `--host`.
        context: value of `--context`.
    """

    def __init__(self, console: Console, host: str | None, context: str | None) -> None:
        self.console = console
        self.project = here()
        self.engine = open_engine(os.environ, host=host, context=context, project=self.project)
        self.compose = compose_name(self.project) if self.project else ""
        self.containers = list_containers(self.engine)
        self.registry = Registry(self.engine, os.environ, os.getuid())

    def named(self, names: Sequence[str] | None) -> tuple[Container, ...]:
        """Return the containers of these names; without names the project's sandboxes."""
        if names:
            return choose(self.containers, names, self.project, self.compose)
        return sandboxes_of(self.containers, self.project) if self.project else ()

    def around(self) -> tuple[Container, ...]:
        """Return the project's sandboxes, and what was started for it."""
        found = {c.id: c for c in self.named(None)}
        for sandbox in tuple(found.values()):
            found.update((c.id, c) for c in started_by(self.containers, sandbox, self.compose))
        if self.project:
            found.update(
                (c.id, c) for c in self.containers if c.belongs_to(self.project, self.compose)
            )
        return tuple(found.values())

    def say_nothing_here(self) -> int:
        """Say that the project has no sandbox; that is no error."""
        self.console.notice(f"There is no sandbox of {self.project or 'this directory'}.")
        return 0

    def ask(self, question: str) -> None:
        """Have a change confirmed.

        Raises:
            Declined: the user said no.
            ConfirmationNeeded: nobody can answer.
        """
        if not self.console.confirm(question):
            raise Declined("Nothing was changed.")

    def ask_about_sessions(self, containers: Iterable[Container], question: str) -> bool:
        """Ask before sessions are ended.

        Args:
            containers: what is going to be changed.
            question: how.

        Returns:
            Whether there was something to ask; then it was agreed to.
        """
        open_now = {
            c.name: count
            for c in containers
            if c.is_sandbox and c.state == "running" and (count := self.registry.sessions(c.name))
        }
        if not open_now:
            return False
        total = sum(open_now.values())
        which = f"{total} session{'s are' if total > 1 else ' is'} open in {', '.join(open_now)}"
        self.ask(f"{which} and would end. {question}")
        return True

    def each(
        self, containers: Iterable[Container], doing: str, act: Callable[[Container], None]
    ) -> int:
        """Do something with each container and print its name when it is done."""
        for container in containers:
            self.console.notice(f"{doing} {container.name}")
            act(container)
            self.console.result(container.name)
        return 0
