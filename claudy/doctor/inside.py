"""The throw-away container: exactly what a launch would start, with doctor's script as command.

One container and one script answer everything that is asked from inside. What differs from a
launch: the name, the labels, and the volume for the home directory, so that nothing is left.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from claudy.containers.container import PROJECT_LABEL
from claudy.doctor.resolving import resolvable_name
from claudy.engine.jsonc import dumps
from claudy.engine.wire import translate
from claudy.errors import ClaudyError, EngineError
from claudy.record import replace
from claudy.sandbox.launch import Launch, Request
from claudy.sandbox.leave import remove
from claudy.sandbox.plan import Plan, Session, create_body
from claudy.sandbox.prepare import prepare
from claudy.sandbox.sessionenv import session_env
from claudy.sandbox.start import parts_of_project

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudy.doctor.context import Context
    from claudy.engine.client import Engine
    from claudy.sandbox.sessions import Anytime
    from claudy.sandbox.start import Prepared

LABEL = "claudy.doctor"
_ODD = "not a file"
_MOST = 1 << 20  # bytes that are read of what the script writes: the shell is the image's
_SCRIPT = f"{os.path.dirname(os.path.abspath(__file__))}/inside.sh"
PREFIX = "claudy-doctor-"
PATIENCE = 20.0  # seconds for the script; each part of it has its own, shorter time-out
SIZE = (43, 117)  # rows and columns that no terminal has by default


@dataclass(frozen=True)
class Inside:
    """What the container saw.

    Args:
        answers: the script's lines by key.
        token: the random word that was to come back.
        written: owner (uid, gid) on this machine of the file made inside, None if there is none.
        content: content of that file.
        sentinel: whether this machine could write its file into the project.
        size: rows and columns that the terminal was given.
        hostname: the name that was to be resolved, empty if this machine resolves none.
        tampered: whether something else in the project has changed one of the files.
    """

    answers: dict[str, str]
    token: str
    written: tuple[int, int] | None
    content: str
    sentinel: bool
    size: tuple[int, int]
    hostname: str
    tampered: bool = False

    def get(self, key: str) -> str:
        """Return an answer, empty if there was none."""
        return self.answers.get(key, "")


def prepare_launch(context: Context) -> Prepared:
    """Return what a launch would start, under a name that no sandbox has.

    Raises:
        ClaudyError: nothing could be started.
    """
    launch = _launch(context)
    prepared = prepare(launch)
    return replace(prepared, plan=thrown_away(prepared.plan, launch.name, context.project.path))


def image_of_guard(context: Context) -> str:
    """Return the image that a launch's guard would run, empty if it needs none.

    Whatever else keeps a launch from being planned is other checks' to say.
    """
    if context.settings["docker"] != "guard":
        return ""
    try:
        guard = prepare(_launch(context), dry=True).guard
    except ClaudyError:
        return ""
    return str(getattr(guard, "image", ""))


def _launch(context: Context) -> Launch:
    """Return a launch of the project, under a name that no sandbox has."""
    host = context.host
    wide = ""
    request = Request(
        project=context.project,
        command=(),
        flags=context.question.flags,
        env=host.env,
        home=host.home,
        uid=host.uid,
        platform=host.platform,
        notify=lambda _text: None,
        # The directory is only looked at; nothing else is agreed to: no engine, no image.
        confirm=lambda question, _flag: bool(wide) and wide in question,
        progress=lambda _event: None,
    )
    launch = Launch(request, context.endpoint)
    wide = launch.too_wide()
    launch.rename(PREFIX + os.urandom(8).hex())
    context.on_undo(_close_engine, launch)
    return launch


def _close_engine(launch: Launch) -> None:
    """Close the connection of a launch, to whatever engine it has turned by then."""
    launch.engine.close()


def look_inside(context: Context) -> Inside:
    """Run the script in a throw-away container and return what it saw.

    Raises:
        ClaudyError: the container could not be started, or did not end.
    """
    prepared = context.prepared
    plan = prepared.plan
    token = plan.name.removeprefix(PREFIX)
    hostname = resolvable_name(prepared.settings)
    rows, columns = context.question.rows or SIZE[0], context.question.columns or SIZE[1]
    sentinel = f".claudy-doctor-{token}"
    # Only who is told may make it: the container's name tells the other one to what runs inside.
    reply = f".claudy-doctor-{os.urandom(8).hex()}"
    with open(_SCRIPT, encoding="utf-8") as file:
        text = file.read()
    session = Session(
        id="",  # what is printed is the script's alone
        command=(
            *("sh", "-c", text, "claudy-doctor"),
            *(token, sentinel, f"sibling-of-{plan.name}", hostname, reply),
        ),
        env=(
            ("CLAUDY_DOCTOR_IMAGE", plan.image),
            *session_env(prepared.settings["env"], context.host.env, tty=True),
        ),
        tty=True,
        rows=rows,
        columns=columns,
        stdin=False,
    )
    engine = context.engine()
    path, back = (os.path.join(context.project.path, name) for name in (sentinel, reply))
    # Undone the other way round: first nothing runs any more, then nothing is left of it.
    for name in (path, back):
        context.on_undo(_unlink, name)
    there = _write_sentinel(path, token)
    waking = prepared.launch.waking()
    context.on_undo(waking.release)
    guarded = _start_guard(prepared, context)
    context.on_undo(clear, context.engine(), plan.name)
    try:
        output = _run(engine, plan, session, guarded, waking)
        written, content = _read(back)
        tampered = (there and _read(path)[1] != token) or content not in ("", token)
    finally:
        context.undo()
    answers = _parse(output, token)
    return Inside(answers, token, written, content, there, (rows, columns), hostname, tampered)


def _start_guard(prepared: Prepared, context: Context) -> Callable[[], None]:
    """Start the sandbox's guard, in guard mode; return what waits until it listens."""
    if prepared.guard is None:
        return lambda: None
    starting = prepared.guard.start()
    context.on_undo(prepared.guard.sweep)
    context.on_undo(starting.stop)
    return starting.wait


def thrown_away(plan: Plan, name: str, project: str) -> Plan:
    """Return the plan under another name, with an anonymous home that goes with the container.

    Without parts of the project that are mounted on their own: what runs may swap them meanwhile.
    """
    parts = parts_of_project(plan, project)
    # By the project a guard knows what has to stand still while an old engine mounts.
    labels = ((LABEL, name.removeprefix(PREFIX)), (PROJECT_LABEL, project))
    mounts = tuple(
        replace(mount, source="", labels=())
        if mount.kind == "volume" and mount.source.startswith("claudy-home-")
        else mount
        for mount in plan.mounts
        if mount.source not in parts
    )
    env = tuple((k, name if k == "CLAUDY_SANDBOX" else v) for k, v in plan.env)
    return replace(plan, name=name, labels=labels, mounts=mounts, env=env)


def _run(
    engine: Engine,
    plan: Plan,
    session: Session,
    guarded: Callable[[], None],
    waking: Anytime,
) -> str:
    """Create, attach, wait for the guard, start, and return all that the script writes."""
    body = create_body(plan, session)
    made = engine.call("POST", "/containers/create", {"name": plan.name}, body)
    container = str(made["Id"])
    attach = engine.start_hijack(
        f"/containers/{container}/attach", {"stream": True, "stdout": True, "stderr": True}
    )
    stream, data = attach.finish()
    try:
        guarded()
        waking.hold()
        engine.call("POST", f"/containers/{container}/start")
        waking.release()
        stream.settimeout(PATIENCE)
        while len(data) < _MOST and (piece := stream.recv(65536)):
            data += piece
    except OSError as error:
        raise translate(error, engine.endpoint) from error
    finally:
        stream.close()
    return data.decode("utf-8", "replace")


def clear(engine: Engine, name: str) -> None:
    """Remove the container and its sibling; they are gone by themselves if all went well."""
    filters: dict[str, str | bool] = {"filters": dumps({"name": [name]}).decode(), "all": True}
    with contextlib.suppress(EngineError):
        # Again after the removal: what was removed may just have started the sibling.
        while found := engine.call("GET", "/containers/json", filters):
            for container in found:
                remove(engine, container["Id"])


def _write_sentinel(path: str, token: str) -> bool:
    """Write a file into the project; return whether it could be."""
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(token)
    except OSError:
        return False
    return True


def _unlink(path: str) -> None:
    """Remove a file that may not be there."""
    with contextlib.suppress(OSError):
        os.unlink(path)


def _read(path: str) -> tuple[tuple[int, int] | None, str]:
    """Return owner and content of a file in the project, None if there is none.

    What runs in the project may have put anything there: a link, a pipe that nobody writes to.
    """
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode):  # to open a device may do something
            return (found.st_uid, found.st_gid), _ODD
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(number, encoding="utf-8", errors="replace") as file:
            found = os.fstat(number)
            content = file.read(100) if stat.S_ISREG(found.st_mode) else _ODD
            return (found.st_uid, found.st_gid), content
    except OSError:
        return None, ""


def _parse(output: str, token: str) -> dict[str, str]:
    """Return the script's lines by key; what others wrote in between is left out."""
    answers = {}
    for line in output.splitlines():
        head, _, rest = line.strip().partition(" ")
        if head == token:
            key, _, value = rest.partition(" ")
            answers[key] = value.strip()
    return answers
