"""Make the base image without a container registry: mmdebstrap from a Debian mirror, imported."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from typing import IO, TYPE_CHECKING

from claudy import __version__
from claudy.errors import Declined
from claudy.image.events import Done, Log, Notice, Phase
from claudy.image.failures import BuildFailed, ImageError, disk_full
from claudy.image.reference import DOCKERFILE
from claudy.image.sources import KEYRING, Source, debian_release, read_sources, sources_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from claudy.image.workshop import Workshop

RELEASE = "trixie"
_BLOCK = 1 << 20
_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_TAIL = 30
# What debian:trixie-slim leaves out, too; and like there dpkg does not wait for the disk after each
# file: half the time, and a base that was not finished is thrown away anyway.
_SLIM = (
    "force-unsafe-io",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/locale.alias",
    "path-exclude=/usr/share/lintian/*",
)


def bootstrap(
    workshop: Workshop, build_args: Mapping[str, str], reference: str, reason: ImageError
) -> None:
    """Make a minimal Debian from the packages of a mirror and import it as an image.

    Args:
        workshop: where to.
        build_args: APT_MIRROR and APT_SECURITY_MIRROR are used if they are there.
        reference: what the image is called.
        reason: why the base can't be pulled.

    Raises:
        ImageError: that is not possible here, or did not work.
        ConfirmationNeeded: mmdebstrap would have to be installed and nobody was there to ask.
        Declined: the user did not want it installed.
    """
    sources = choose_sources(build_args)
    _require_tool(workshop, reason)
    sources = [*sources[:1], *(source for source in sources[1:] if _exists(source))]
    mirror = sources[0].uri if sources else "mmdebstrap's own mirror"
    workshop.report(
        Notice(f"{reason.message} The base is made from the packages of {mirror} instead.")
    )
    workshop.report(Phase(f"Bootstrapping {reference} with mmdebstrap"))
    with tempfile.TemporaryFile(prefix="claudy-base-") as archive:
        _run_mmdebstrap(workshop, sources, archive)
        _import(workshop, archive, reference)


def choose_sources(build_args: Mapping[str, str], root: str = "/") -> list[Source]:
    """Return the package sources of the base: those given, or the host's.

    None for a host without Debian's archive, as Ubuntu: mmdebstrap then uses its own default.

    Args:
        build_args: build arguments; APT_MIRROR and APT_SECURITY_MIRROR count.
        root: directory that stands for `/`.
    """
    if build_args.get("APT_MIRROR"):
        found = [Source(build_args["APT_MIRROR"], RELEASE, ("main",))]
        if build_args.get("APT_SECURITY_MIRROR"):
            uri = build_args["APT_SECURITY_MIRROR"]
            found.append(Source(uri, f"{RELEASE}-security", ("main",)))
        return found
    return sources_for(RELEASE, read_sources(root), debian_release(root))


def _require_tool(workshop: Workshop, reason: ImageError) -> None:
    """Install mmdebstrap if it is not there and the user agrees."""
    path = workshop.env.get("PATH")
    if shutil.which("mmdebstrap", path=path):
        return
    impossible = (
        f"{reason.message} Making the base instead needs mmdebstrap, which is not installed here"
    )
    hint = f"{reason.hint}, or claudy build-image --build-arg BASE_IMAGE=IMAGE (see {DOCKERFILE})"
    if not shutil.which("apt-get", path=path):
        raise ImageError(f"{impossible}, and this system has no apt-get to install it.", hint)
    command = ["apt-get", "install", "-y", "--no-install-recommends", "mmdebstrap"]
    if not os.path.exists(KEYRING):
        command.append("debian-archive-keyring")
    if os.geteuid() != 0:
        if not shutil.which("sudo", path=path):
            raise ImageError(f"{impossible}.", f"as root: {' '.join(command)}")
        command = ["sudo", *command]
    question = (
        f"{reason.message} claudy can make the base itself after: {' '.join(command)}. Go on?"
    )
    workshop.report(Done())  # a question, and sudo's, need the terminal for themselves
    if not workshop.confirm(question, "--yes"):
        raise Declined(f"{reason.message} The base was not made here either.", reason.hint)
    workshop.report(Notice("Installing mmdebstrap."))
    env = {**workshop.env, "DEBIAN_FRONTEND": "noninteractive"}
    for attempt in (command, [*command[: command.index("install")], "update"], command):
        code, tail = _run(workshop, attempt, env)
        if code == 0 and attempt is command:
            return
    raise BuildFailed(f"mmdebstrap could not be installed (exit code {code}).",
                      " ".join(command), tail)  # fmt: skip


def _exists(source: Source) -> bool:
    """Whether an archive has a suite, asked the way that apt would go."""
    helper = "/usr/lib/apt/apt-helper"
    if not os.path.exists(helper):
        return False
    with tempfile.TemporaryDirectory(prefix="claudy-suite-") as folder:
        options = ["-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=5"]
        options += ["-o", "Acquire::https::Timeout=5", "-o", "APT::Sandbox::User="]
        url = f"{source.uri}/dists/{source.suite}/InRelease"
        done = subprocess.run(
            [helper, *options, "download-file", url, f"{folder}/InRelease"],
            capture_output=True,
            check=False,
        )
        return done.returncode == 0


def _run_mmdebstrap(workshop: Workshop, sources: list[Source], archive: IO[bytes]) -> None:
    command = ["mmdebstrap", "--variant=minbase", "--format=tar"]
    command += [f"--keyring={KEYRING}"] if os.path.exists(KEYRING) else []
    command += [f"--dpkgopt={option}" for option in _SLIM]
    command += [RELEASE, "-", *(source.line() for source in sources)]
    # It runs the system's own tools, python3 for each package among them: whatever the user has in
    # its place (pyenv's takes a third of a second to start) is for their project.
    path = ":".join(filter(None, (_SYSTEM_PATH, workshop.env.get("PATH"))))
    code, tail = _run(workshop, command, {**workshop.env, "PATH": path}, archive)
    if code == 0:
        return
    if any("no space left on device" in line.lower() for line in tail):
        folder = tempfile.gettempdir()
        raise BuildFailed(
            f"{folder} filled up while the base image was made: no space left on device.",
            f"df -h {folder}",
            tail,
        )
    hint = f"mmdebstrap {RELEASE} /dev/null" if os.geteuid() == 0 else "sudo claudy build-image"
    raise BuildFailed(f"mmdebstrap could not make the base image (exit code {code}).", hint, tail)


def _run(
    workshop: Workshop, command: list[str], env: Mapping[str, str], output: IO[bytes] | None = None
) -> tuple[int, tuple[str, ...]]:
    """Run a program with what it says as events.

    Args:
        workshop: is told.
        command: argv.
        env: environment.
        output: where stdout goes; None: told too.

    Returns:
        Exit code and the last lines.
    """
    tail: deque[str] = deque(maxlen=_TAIL)
    process = subprocess.Popen(
        command,
        env=dict(env),
        stdin=subprocess.DEVNULL if output else None,  # sudo may ask for a password
        stdout=output or subprocess.PIPE,
        stderr=subprocess.PIPE if output else subprocess.STDOUT,
        # mmdebstrap clears up when the processes that work for it are ended, and only then.
        process_group=0 if output else None,
    )
    stream = (process.stderr if output else process.stdout) or io.BytesIO()
    with stream, _ended_by_exception():
        try:
            for line in stream:
                text = line.decode("utf-8", "replace").rstrip().rsplit("\r", 1)[-1]
                tail.append(text)
                workshop.report(Log(text))
            return process.wait(), tuple(tail)
        finally:
            if process.poll() is None:
                if output:
                    os.killpg(process.pid, signal.SIGTERM)
                else:
                    process.terminate()
                # What it says meanwhile is of no interest, but has to be read: it would die of it.
                stream.read()
                process.wait()


@contextlib.contextmanager
def _ended_by_exception() -> Iterator[None]:
    """Have the signals that would end this process at once raise SystemExit instead."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    mine = threading.current_thread() is threading.main_thread()
    fatal = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if mine and signal.getsignal(number) is signal.SIG_DFL
    ]
    for number in fatal:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in fatal:
            signal.signal(number, signal.SIG_DFL)


def _import(workshop: Workshop, archive: IO[bytes], reference: str) -> None:
    """Import an archive as an image; the tag is set only when all of it has arrived."""
    repository, _, tag = reference.rpartition(":")
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    changes = [
        'CMD ["bash"]',
        "LABEL claudy.image=base",
        f"LABEL claudy.version={__version__}",
        f"LABEL claudy.created={created}",
    ]
    archive.seek(0)

    def blocks() -> Iterator[bytes]:
        while block := archive.read(_BLOCK):
            yield block

    engine = workshop.engine
    # The client's queries have one value a name; Dockerfile instructions may share a line break.
    query = {"fromSrc": "-", "repo": repository, "tag": tag, "changes": "\n".join(changes)}
    headers = {"Content-Type": "application/x-tar"}
    response = engine.stream("POST", "/images/create", query, body=blocks(), headers=headers)
    for message in engine.events(response):
        if "error" in message:
            words = str(message["error"])
            if "no space left" in words:
                raise disk_full(f"importing {reference}")
            raise ImageError(f"{reference} can't be imported: {words}.", json.dumps(message))
