"""Start a project's sandbox, or join the one that runs: the second half of a launch."""

from __future__ import annotations

import os

from claudy.errors import APIError, ClaudyError, Declined
from claudy.record import record, replace
from claudy.sandbox.leave import remove, wait_removed
from claudy.sandbox.sessionenv import session_env
from claudy.sandbox.sessions import Vanished, run_first

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from claudy.engine.client import Pending
    from claudy.sandbox.guarding import Guard, Starting
    from claudy.sandbox.launch import Launch
    from claudy.sandbox.plan import Plan
    from claudy.sandbox.sidecar import Sidecar
    from claudy.sandbox.sidecarstart import StartingSidecar
    from claudy.settings.model import Settings

_TRIES = 6
_NOT_FOUND, _CONFLICT = 404, 409


class Outdated(Exception):
    """What was remembered is not true any more; nothing has been run."""


@record
class Image:
    """What a plan's image was made from.

    Args:
        reference: name of the bundled image, or of the user's own.
        id: what that name meant.
    """

    reference: str
    id: str


@record
class Prepared:
    """A launch that knows what to start.

    Args:
        launch: the launch.
        settings: the user's settings; only env, keep and pull if remembered.
        plan: the sandbox's container.
        notices: what to say when it starts.
        guard: how its guard is started, in guard mode.
        image: what the plan's image was made from.
        known: remembered from the last launch, not worked out now.
    """

    launch: Launch
    settings: Settings | Mapping[str, Any]
    plan: Plan
    notices: tuple[str, ...]
    guard: Guard | Sidecar | None
    image: Image
    known: bool = False

    def open(self) -> int:
        """Open the session, in the running sandbox or in a new one.

        Raises:
            Outdated: what was remembered can't be started.
        """
        launch = self.launch
        for attempt in range(_TRIES):
            if launch.request.new:
                return self._open_new()
            launch.enter()
            known = launch.seat.read()
            if launch.request.recreate:
                self._clear_way(known)
                known = {}
            if not known and (attempt or self.guard):
                # Without a guard to be started too early, the engine says so by itself.
                known = self._adopt()
            try:
                if known:
                    return launch.join(self._agreed(known))
                return self._start()
            except Vanished:
                launch.enter()
                launch.seat.forget()
        raise ClaudyError(f"{launch.name} ends as soon as it starts.", f"docker logs {launch.name}")

    def _open_new(self) -> int:
        """Start one more sandbox of this project under the first free name."""
        launch = self.launch
        for number in range(2, 1000):
            launch.rename(f"{launch.request.project.sandbox}-{number}")
            launch.seat.lock()
            if launch.seat.read() or launch.seat.others():
                launch.seat.unlock()
                continue
            launch.seat.take()
            labels = tuple(
                (k, launch.name if k == "claudy.sandbox" else v) for k, v in self.plan.labels
            )
            env = tuple((k, launch.name if k == "CLAUDY_SANDBOX" else v) for k, v in self.plan.env)
            plan, guard = replace(self.plan, name=launch.name, labels=labels, env=env), self.guard
            if guard:
                from claudy.sandbox.guardplan import moved

                plan, guard = moved(plan, guard, launch.name)
            prepared = replace(self, plan=plan, guard=guard)
            try:
                return prepared._start()  # noqa: SLF001 - this class
            except Vanished:
                launch.seat.leave()
                launch.seat.unlock()
        raise ClaudyError("There are too many sandboxes of this project.", "claudy ps")

    def _start(self) -> int:
        """Create the container with this session as its first; the lock is held.

        Raises:
            Vanished: the name was taken meanwhile.
            Outdated: what was remembered can't be started.
        """
        launch = self.launch
        launch.container = launch.name  # no longer the one that could not be joined
        self._require_alone()
        for notice in self.notices:
            launch.request.notify(notice)
        tty = launch.session.tty
        taken = session_env(self.settings["env"], launch.request.env, tty=tty)
        session = replace(launch.session, env=taken)
        asked = self._ask_image()
        guard: Starting | StartingSidecar | None = None
        waking = launch.waking()

        def creating() -> None:
            nonlocal guard
            launch.watch(waking.fileno())
            if self.plan.userns:
                from claudy.sandbox.remappedhome import give_home

                give_home(launch.engine, self.plan)
            guard = guard or self._start_guard(in_engine=True)

        def created(container: str) -> None:
            launch.container = container
            if asked and asked.finish()["Id"] != self.image.id:
                raise Outdated
            _wait_for(guard, slow=True)

        def starting() -> None:
            self._remember()
            _wait_for(guard, slow=False)

        def started(container: str) -> None:
            launch.begun = True
            launch.seat.write(self._record(container, pinned=self.plan.keep))
            launch.seat.unlock()

        try:
            guard = self._start_guard(in_engine=False)
            code, launch.gone = run_first(
                launch.engine,
                self.plan,
                session,
                creating=creating,
                created=created,
                starting=starting,
                started=started,
                waking=waking,
            )
        except (APIError, Outdated) as error:
            if asked:
                asked.close()
            waking.release()
            self._start_over(error, guard)
            raise
        self._require_begun(code)
        return code

    def _require_alone(self) -> None:
        """Refuse to mount a part of the project while something that it has started could swap it.

        The engine looks at the path once more than claudy does, and follows a link then.
        """
        path = self.launch.request.project.path
        parts = parts_of_project(self.plan, path)
        if not parts:
            return
        from claudy.engine.jsonc import dumps

        # What is paused may be woken while the engine is at it.
        states = ["running", "restarting", "paused"]
        filters = {"status": states, "label": [f"claudy.project={path}"]}
        query = {"filters": dumps(filters).decode()}
        for found in self.launch.engine.call("GET", "/containers/json", query):
            name = found["Names"][0].lstrip("/")
            raise ClaudyError(
                f"{name} is running and could put a link in the place of {parts[0]} while that"
                " is mounted.",
                f"docker stop {name}",
            )
        # Who is not there any more may have been, since the plan was made.
        for part in parts:
            if os.path.realpath(part) != part:
                raise ClaudyError(
                    f"{part} has become a link, to {os.path.realpath(part)}.", f"ls -l {part}"
                )

    def _require_begun(self, code: int) -> None:
        """Say why nothing of the image has run, if that is known."""
        if code and not self.launch.begun:
            from claudy.sandbox.foreign import require_processor

            require_processor(self.launch.engine, self.image)

    def _start_over(
        self, error: APIError | Outdated, guard: Starting | StartingSidecar | None
    ) -> None:
        """Clear the way for another try, if there is something that can be tried.

        Raises:
            Vanished: whatever had the name has gone.
            Outdated: what was remembered has been taken back.
        """
        launch = self.launch
        status = error.status if isinstance(error, APIError) else _NOT_FOUND
        if status == _CONFLICT and launch.container == launch.name:
            if guard:
                guard.stop()  # the next try has one of its own
            self._resolve_conflict()
            raise Vanished from error
        if status == _NOT_FOUND and self.known:
            if launch.container != launch.name:
                remove(launch.engine, launch.container)
                launch.container = launch.name
            if guard:
                guard.stop()
            raise Outdated from error

    def _ask_image(self) -> Pending | None:
        """Ask what a remembered image's name means now; the answer comes while it is used."""
        if not self.known:
            return None
        return self.launch.engine.begin("GET", f"/images/{self.image.reference}/json")

    def _remember(self) -> None:
        """Keep what is being started for the next launch."""
        if not self.known:
            from claudy.sandbox.remembered import remember

            remember(self)

    def _start_guard(self, *, in_engine: bool) -> Starting | StartingSidecar | None:
        """Start the sandbox's guard; it comes up while the engine makes the container.

        Args:
            in_engine: start one that is a container, which somebody has to watch by now; or one
                that is a process, whose end the watcher looks for.
        """
        self.launch.guard = self.guard
        if self.guard is None or self.guard.in_engine != in_engine:
            return None
        return self.guard.start()

    def _record(self, container: str, *, pinned: bool = False) -> dict[str, Any]:
        """Return what later sessions need to know about the running container."""
        return {
            "id": container,
            "api": self.launch.engine.api,
            "inputs": self.launch.inputs,
            "digest": self.plan.digest(),
            "env": self.settings["env"],
            "keep": self.settings["keep"],
            "guard": self.guard.kept if self.guard else [],
            "pinned": pinned,
        }

    def _adopt(self) -> dict[str, Any]:
        """Return a record for a running container of this name that the registry doesn't know."""
        try:
            found = self.launch.engine.call("GET", f"/containers/{self.launch.name}/json")
        except APIError as error:
            if error.status == _NOT_FOUND:
                return {}
            raise
        self._require_ours(found)
        if not found["State"]["Running"]:
            self._resolve_conflict()
            return {}
        keep = "--keep" in (found["Config"].get("Cmd") or ())[:1]
        known = {**self._record(found["Id"]), "digest": "", "inputs": None, "keep": keep}
        self.launch.seat.write(known)
        return known

    def _resolve_conflict(self) -> None:
        """Make way for a container whose name is taken by a leftover."""
        engine, name = self.launch.engine, self.launch.name
        try:
            found = engine.call("GET", f"/containers/{name}/json")
        except APIError as error:
            if error.status == _NOT_FOUND:
                return
            raise
        self._require_ours(found)
        state = found["State"]
        if state.get("Status") == "removing" or state.get("Dead"):
            wait_removed(engine, found["Id"])
        elif not state["Running"]:
            remove(engine, found["Id"])

    def _require_ours(self, found: Mapping[str, Any]) -> None:
        """Refuse a container that has the sandbox's name and isn't this project's sandbox."""
        labels = found["Config"].get("Labels") or {}
        if labels.get("claudy.project") != self.launch.request.project.path:
            raise ClaudyError(
                f"A container named {self.launch.name} exists that is not this project's sandbox.",
                f"docker rename {self.launch.name} something-else",
            )

    def _clear_way(self, known: Mapping[str, Any]) -> None:
        """Remove the running sandbox for --recreate, asking if somebody is in it."""
        launch = self.launch
        others = launch.seat.others()
        if others:
            sessions = "1 session" if others == 1 else f"{others} sessions"
            question = f"{launch.name} has {sessions} open; end it and start anew?"
            if not launch.request.confirm(question, "--yes"):
                raise Declined(f"{launch.name} was left as it is.")
        remove(launch.engine, str(known.get("id") or launch.name))
        launch.seat.forget()

    def _agreed(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Say so when the running sandbox is not what the options ask for; note when it is.

        Returns:
            What is known about it, with this launch's environment.
        """
        launch = self.launch
        found = {**known, "env": self.settings["env"]}
        if known["digest"] == self.plan.digest():
            if launch.inputs is not None and known["inputs"] != launch.inputs:
                found["inputs"] = launch.inputs  # the next launch like this one just joins
                launch.seat.write(found)
        elif known["digest"]:
            launch.request.notify(
                "The sandbox is running with other options or an older image; they apply after"
                " the last session has ended, or with --recreate."
            )
        return found


def parts_of_project(plan: Plan, project: str) -> list[str]:
    """Return the paths in the project that are mounted on their own, where they may be swapped.

    Args:
        plan: the sandbox's container.
        project: real path of the project.
    """
    top = project.rstrip("/") + "/"
    return [m.source for m in plan.mounts if m.kind == "bind" and m.source.startswith(top)]


def _wait_for(guard: Starting | StartingSidecar | None, *, slow: bool) -> None:
    """Wait until a guard listens, if it is of that kind."""
    if guard is not None and guard.slow == slow:
        guard.wait()
