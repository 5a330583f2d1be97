"""What the checks look at, found out once and when it is first asked for.

The order of the checks sees to it that nobody asks twice at the same time: what one check finds
out, those that need it read. Failures are raised to whoever asks.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from claudy.engine.client import Engine
from claudy.engine.facts import Known, ask_engine, own_mounts
from claudy.host.install import Machine, survey
from claudy.host.whereami import Place, where_am_i
from claudy.sandbox.project import Project, find_project
from claudy.settings.engine import endpoint_of
from claudy.settings.load import load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from claudy.doctor.inside import Inside
    from claudy.host.endpoint import Endpoint
    from claudy.host.finding import Host
    from claudy.sandbox.plan import Plan
    from claudy.sandbox.start import Prepared
    from claudy.settings.model import Settings


@dataclass(frozen=True)
class Question:
    """What the user asks to be examined.

    Args:
        host: machine and user.
        directory: the project, as given.
        flags: settings from the command line, unparsed.
        rows: height of the terminal, 0 without one.
        columns: width of the terminal.
    """

    host: Host
    directory: str
    flags: Mapping[str, Any]
    rows: int = 0
    columns: int = 0


class Context:
    """Everything that checks may ask for.

    Args:
        question: what the user asks to be examined.
    """

    def __init__(self, question: Question) -> None:
        self.question = question
        self.host = question.host
        self._undo = ExitStack()
        self._engines: list[Engine] = []

    @cached_property
    def place(self) -> Place:
        """Where this process runs."""
        host = self.host
        return where_am_i(env=host.env, platform=host.platform, root=host.root)

    @cached_property
    def machine(self) -> Machine:
        """What matters for installing an engine."""
        host = self.host
        return survey(env=host.env, platform=host.platform, uid=host.uid, root=host.root)

    @cached_property
    def project(self) -> Project:
        """The project.

        Raises:
            UsageError: there is none.
        """
        return find_project(self.question.directory)

    @cached_property
    def settings(self) -> Settings:
        """The settings that a launch would have.

        Raises:
            SettingsError: a file is wrong.
        """
        return load(self.question.flags, self.host.env, self.project.path)

    @cached_property
    def endpoint(self) -> Endpoint:
        """Where the engine is, or the one that lives elsewhere if the default is not there.

        Raises:
            EndpointError: nothing says where.
        """
        host = self.host
        return endpoint_of(
            self.settings,
            env=host.env,
            home=host.home,
            platform=host.platform,
            uid=host.uid,
            root=host.root,
        )

    def on_undo(self, undo: Callable[..., object], *args: object) -> None:
        """Have something undone by `undo`, and at the latest when the run is over."""
        self._undo.callback(undo, *args)

    def undo(self) -> None:
        """Undo what has not been undone, the last first."""
        self._undo.close()

    def close(self) -> None:
        """End the run, however it went: undo, and close all connections."""
        self.undo()
        while self._engines:
            self._engines.pop().close()

    @property
    def nested(self) -> bool:
        """Whether this process runs in a container of this very engine, or in a sandbox."""
        return bool(self.mounts or self.place.host_workspace)

    def use_endpoint(self, endpoint: Endpoint) -> None:
        """Go on with another engine than the one first thought of; before anybody else asks."""
        self.__dict__["endpoint"] = endpoint

    def engine(self) -> Engine:
        """Return a new client; clients are not for two threads."""
        known = self.__dict__.get("known")
        engine = Engine(self.endpoint, api=known.api if isinstance(known, Known) else "")
        self._engines.append(engine)
        return engine

    @cached_property
    def known(self) -> Known:
        """What the engine says about itself, asked now: doctor trusts no cache.

        Raises:
            EngineError: it does not answer.
        """
        return ask_engine(self.engine(), self.host.env, self.settings["socket_source"])

    @cached_property
    def mounts(self) -> tuple[Mapping[str, object], ...]:
        """Mounts of the container that this process runs in."""
        return tuple(own_mounts(self.engine(), self.host.env) or ())

    @cached_property
    def prepared(self) -> Prepared:
        """What a launch would start, under a name of doctor's own.

        Raises:
            ClaudyError: there would be nothing to start.
        """
        from claudy.doctor.inside import prepare_launch

        return prepare_launch(self)

    @property
    def plan(self) -> Plan:
        """The container that a launch would start."""
        return self.prepared.plan

    @cached_property
    def inside(self) -> Inside:
        """What the throw-away container saw.

        Raises:
            ClaudyError: it did not start.
        """
        from claudy.doctor.inside import look_inside

        return look_inside(self)
