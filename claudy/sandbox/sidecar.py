"""The guard of a sandbox as a container beside it, with its socket in a volume.

Used where the engine's containers can't have a socket of this machine: an engine in a virtual
machine. It offers what `claudy.sandbox.guarding.Guard` does. The sidecar has no network, two
capabilities (to give its socket to the sandbox's user, and to find its way in the project), the
engine's socket, and the project at a path of its own. It ends by itself when the sandbox is gone.
"""

from __future__ import annotations

import os
import time

from claudy import __version__
from claudy.engine.client import Engine
from claudy.errors import APIError, ClaudyError, EngineError
from claudy.record import record, replace
from claudy.sandbox.guarding import FAREWELL
from claudy.sandbox.leave import remove
from claudy.sandbox.sidecarstart import StartingSidecar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from claudy.host.endpoint import Endpoint

ROLE = "claudy.role"
PROJECT_ROOT, RUN, STATE, UPSTREAM = (
    "/project", "/run/claudy", "/var/lib/claudy", "/run/claudy-engine/docker.sock"
)  # fmt: skip
LOG = f"{STATE}/guard.log"
_SILENCE = 5.0  # seconds in which an engine begins to answer
_MEMORY, _PIDS = 512 << 20, 4096
_NOT_FOUND, _CONFLICT = 404, 409
_LIVING = ("created", "running", "paused")


@record
class Sidecar:
    """How a sandbox's sidecar is started.

    Args:
        endpoint: where the engine is.
        api: API version to speak.
        directory: prefix of its lock on this machine.
        sandbox: name of the sandbox's container.
        project: real path of the project, for labels.
        host_path: the project's path on the daemon's file system.
        state: volume of the ledger and the log.
        image: reference of its image.
        argv: the guard's arguments.
        upstream: source of the engine's socket.
        read_only: the project is mounted read-only.
        userns: user namespace mode.
        security: security options.
    """

    endpoint: Endpoint
    api: str
    directory: str
    sandbox: str
    project: str
    host_path: str
    state: str
    image: str
    argv: tuple[str, ...]
    upstream: str
    read_only: bool
    userns: str
    security: tuple[str, ...]

    in_engine = True  # what is left of it has to be removed there

    @property
    def name(self) -> str:
        """Name of its container."""
        return f"{self.sandbox}-guard"

    @property
    def mounted(self) -> str:
        """Name of the volume with its socket, which the sandbox has too."""
        return f"{self.sandbox}-socket"

    @property
    def kept(self) -> Any:
        """What `restored` needs to know."""
        return {k: v for k, v in vars(self).items() if k not in ("endpoint", "api")}

    def renamed(self, name: str) -> Sidecar:
        """Return the guard of another sandbox of the same project."""
        argv = list(self.argv)
        argv[argv.index("--sandbox") + 1] = name
        directory = f"{os.path.dirname(self.directory)}/{name}@guard"
        return replace(self, sandbox=name, argv=tuple(argv), directory=directory)

    # -- starting ----------------------------------------------------------------------------

    def start(self) -> StartingSidecar:
        """Create the container and have it started; it goes when the sandbox is gone.

        Raises:
            APIError: its image is missing (404), or the engine refuses it.
            ClaudyError: a volume or container of somebody else has its name.
        """
        engine = Engine(self.endpoint, api=self.api)
        place = self._make_volume(engine, self.mounted)
        try:
            self._make_volume(engine, self.state)
            return self._begin(engine, self._body(engine, place))
        except BaseException:
            self._drop_socket(engine)
            raise

    def _begin(self, engine: Engine, body: dict[str, Any]) -> StartingSidecar:
        """Create the container and have it started."""
        try:
            container = self._create(engine, body)
        except APIError as error:
            if error.status != _CONFLICT:
                raise
            self._clear_way(engine)
            container = self._create(engine, body)
        try:
            query = {"stream": True, "stdout": True, "stderr": True}
            sock, first = engine.start_hijack(f"/containers/{container}/attach", query).finish()
            pending = engine.begin("POST", f"/containers/{container}/start")
        except BaseException:
            remove(engine, container)
            raise
        return StartingSidecar(engine, container, sock, first, pending)

    def _drop_socket(self, engine: Engine) -> None:
        """Remove the socket's volume, of which there will be no guard; one in use stays."""
        try:
            self._remove_socket(engine)
        except ClaudyError:
            pass  # what went wrong is told already

    def _remove_socket(self, engine: Engine) -> None:
        """Remove the socket's volume; one of a stranger with its name stays."""
        if self._is_our_volume(engine.call("GET", f"/volumes/{self.mounted}")):
            engine.call("DELETE", f"/volumes/{self.mounted}")

    def _is_our_volume(self, found: dict[str, Any]) -> bool:
        labels = found.get("Labels") or {}
        return labels.get(ROLE) == "guard" and labels.get("claudy.project") == self.project

    def _create(self, engine: Engine, body: dict[str, Any]) -> str:
        made = engine.call("POST", "/containers/create", {"name": self.name}, body)
        return str(made["Id"])

    def _labels(self) -> dict[str, str]:
        return {
            "claudy.created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "claudy.project": self.project,
            "claudy.sandbox": self.sandbox,
            "claudy.version": __version__,
            ROLE: "guard",
        }

    def _make_volume(self, engine: Engine, name: str) -> str:
        """Make a volume, or find that it is there and claudy's; return its place on the daemon.

        Whoever runs in a sandbox can't make one with these labels: they are reserved.
        """
        body = {"Name": name, "Driver": "local", "Labels": self._labels()}
        found = engine.call("POST", "/volumes/create", body=body)
        if not found.get("Labels"):
            # An engine that was started again (26.1) leaves them out of this answer.
            found = engine.call("GET", f"/volumes/{name}")
        if not self._is_our_volume(found):
            raise ClaudyError(
                f"A volume named {name} exists that is not this project's guard's.",
                f"docker volume inspect {name}",
            )
        return str(found["Mountpoint"])

    def _body(self, engine: Engine, place: str) -> dict[str, Any]:
        """Return the body of its `POST /containers/create`.

        Args:
            engine: speaks the API version that decides how nested containers get the socket.
            place: where the daemon keeps the socket's volume.
        """
        source = f"{place if engine.follows_links else self.mounted + ':'}/docker.sock"
        bind = {"Type": "bind"}
        # The engine may be at this when all has been cleared up: what it makes then is claudy's.
        volume = {"Type": "volume", "VolumeOptions": {"Labels": self._labels()}}
        host = {
            "AutoRemove": True,
            "NetworkMode": "none",
            "CapDrop": ["ALL"],
            # The engine's socket belongs to root, who needs nothing more to connect.
            "CapAdd": ["CHOWN", "DAC_OVERRIDE"],
            "SecurityOpt": ["no-new-privileges", *self.security],
            "ReadonlyRootfs": True,
            "Memory": _MEMORY,
            "PidsLimit": _PIDS,
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": "none"},
            "Mounts": [
                {**bind, "Source": self.upstream, "Target": UPSTREAM},
                {**bind, "Source": self.host_path, "Target": PROJECT_ROOT,
                 "ReadOnly": self.read_only},
                {**volume, "Source": self.mounted, "Target": RUN},
                {**volume, "Source": self.state, "Target": STATE},
            ],
        }  # fmt: skip
        if self.userns:
            host["UsernsMode"] = self.userns
        return {
            "Image": self.image,
            "User": "0:0",
            "WorkingDir": "/",
            # Archives that are looked at (docker load) are too large for memory.
            "Env": [f"TMPDIR={STATE}"],
            "Cmd": [*self.argv, "--socket-source", source],
            "Labels": self._labels(),
            "AttachStdout": True,
            "AttachStderr": True,
            "HostConfig": host,
        }

    def _clear_way(self, engine: Engine) -> None:
        """Remove an earlier sidecar of this sandbox; one of a stranger with its name stays."""
        try:
            found = engine.call("GET", f"/containers/{self.name}/json")
        except APIError as error:
            if error.status == _NOT_FOUND:
                return
            raise
        if not self._is_ours(found):
            raise ClaudyError(
                f"A container named {self.name} exists that is not this sandbox's guard.",
                f"docker rename {self.name} something-else",
            )
        remove(engine, str(found["Id"]))

    def _is_ours(self, found: dict[str, Any]) -> bool:
        labels = found["Config"].get("Labels") or {}
        return labels.get(ROLE) == "guard" and labels.get("claudy.sandbox") == self.sandbox

    # -- watching ----------------------------------------------------------------------------

    def ended(self, reader: int) -> str:
        """Wait for claudy's word or the sidecar's end; return its name if it has ended.

        Empty when the pipe can be read.
        """
        import select

        poll = select.poll()
        poll.register(reader, select.POLLIN | select.POLLHUP)
        engine = Engine(self.endpoint, api=self.api)
        try:
            # The head of the answer comes at once, and what has become of it when it has.
            query = {"condition": "removed"}
            path = f"/containers/{self.name}/wait"
            answer = engine.stream("POST", path, query, timeout=_SILENCE)
        except EngineError:
            return "" if poll.poll(FAREWELL) else self.name
        waiting, rest = answer.take()
        try:
            number = waiting.fileno()
            if not rest:
                poll.register(number, select.POLLIN | select.POLLHUP)
                if any(descriptor == reader for descriptor, _ in poll.poll()):
                    return ""
                poll.unregister(number)
            return "" if poll.poll(FAREWELL) else self.name
        finally:
            waiting.close()

    def revive(self, _dead: str) -> None:
        """Start the sidecar again, unless another session's watcher just did."""
        import fcntl

        engine = Engine(self.endpoint, api=self.api)
        lock = os.open(f"{self.directory}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            engine.call("GET", f"/containers/{self.sandbox}/json")  # else there is nothing to guard
            if not self._lives(engine):
                self.start().wait()
        except (ClaudyError, OSError):
            pass  # Docker stays out of reach inside; the session itself still has to be watched
        finally:
            engine.close()
            os.close(lock)

    def _lives(self, engine: Engine) -> bool:
        try:
            found = engine.call("GET", f"/containers/{self.name}/json")
        except APIError as error:
            if error.status == _NOT_FOUND:
                return False
            raise
        return self._is_ours(found) and found["State"]["Status"] in _LIVING

    # -- ending ------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Remove the sidecar and its socket; what it remembers stays."""
        engine = Engine(self.endpoint, api=self.api)
        try:
            self._clear_way(engine)
            self._remove_socket(engine)
        except APIError as error:
            # A container that has the socket may go on; `claudy prune` finds the volume.
            if error.status not in (_NOT_FOUND, _CONFLICT):
                raise
        except ClaudyError as error:
            if isinstance(error, EngineError):
                raise
        finally:
            engine.close()
        try:
            os.unlink(f"{self.directory}.lock")
        except OSError:
            pass  # it has never been revived
