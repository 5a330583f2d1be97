"""The worker: threads that accept a connection each, and answer the one request on it."""

from __future__ import annotations

import _thread
import contextlib
import os
import re
import threading
import time
from typing import TYPE_CHECKING

from claudy.errors import ClaudyError
from claudy.guard import strictjson
from claudy.guard.audit import Audit
from claudy.guard.daemon import NEWEST, OLDEST, ClientGone, Daemon
from claudy.guard.exchange import Exchange, Services, checked_query
from claudy.guard.handlers import HANDLERS
from claudy.guard.handlers.making import recover
from claudy.guard.http import Client
from claudy.guard.ledger import GONE_SECONDS, Ledger
from claudy.guard.localhost import Localhost
from claudy.guard.ownership import PREDEFINED, Objects
from claudy.guard.paths import Workspace
from claudy.guard.policy import endpoints
from claudy.guard.policy.references import is_image_ref
from claudy.guard.refusal import Denied, invalid, missing, refused
from claudy.guard.removal import Remover
from claudy.guard.sessions import Sessions
from claudy.guard.start import Starter
from claudy.guard.target import parse

if TYPE_CHECKING:
    import socket

    from claudy.guard.http import Head
    from claudy.guard.options import Settings

MAX_CONNECTIONS = 1024
STACK = 256 * 1024
_SPARE = 4  # threads that stay to wait for connections, which then need not wait for a thread
MAX_REPEATED = 4096
_PAUSE = 0.05
_JSON = "application/json"
_SLASHED = re.compile(
    r"/containers/(?P<container>.+)/json|/networks/(?P<network>.+/.+)|/volumes/(?P<volume>.+/.+)|"
    r"/plugins/(?P<plugin>.+)/json"
)


def make_services(settings: Settings) -> Services:
    """Return what handlers work with."""
    daemon = Daemon(settings.upstream)
    ledger = Ledger(settings.ledger, settings.project_id)
    objects = Objects(daemon, ledger, settings)
    workspace = Workspace(
        settings.host_path or settings.project,
        read_only=settings.read_only,
        root=settings.root or settings.project,
        alias=settings.project,
        owner=None if os.geteuid() else (settings.uid, settings.gid),
    )
    audit = Audit(settings.log)
    starter = Starter(daemon, ledger, workspace, settings, audit)
    remover = Remover(daemon, ledger, starter, audit)
    localhost = Localhost(daemon, ledger, settings, starter, remover, audit)
    return Services(
        settings, daemon, ledger, objects, workspace, starter, Sessions(), audit, localhost, remover
    )


def serve(listener: socket.socket, services: Services) -> None:
    """Accept connections for ever."""
    threading.stack_size(STACK)
    _recover(services)
    services.remover.begin()
    services.localhost.begin()
    _Threads(listener, services).keep()


class _Threads:
    """Threads that accept and answer; one more whenever nobody is left to accept.

    Args:
        listener: where connections come in; those beyond `MAX_CONNECTIONS` wait in its backlog.
        services: what handlers work with.
    """

    def __init__(self, listener: socket.socket, services: Services) -> None:
        self._listener, self._services = listener, services
        self._lock = threading.Lock()
        self._accepting = self._answering = 0
        self._wanted = threading.Event()

    def keep(self) -> None:
        """See to it for ever that somebody accepts."""
        self._wanted.set()
        while True:
            self._wanted.wait()
            self._wanted.clear()
            self._provide()
            if self._wanted.is_set():
                time.sleep(_PAUSE)

    def _provide(self) -> None:
        """Start a thread if nobody accepts; where none can be had, ask for it later."""
        with self._lock:
            if self._accepting or self._answering >= MAX_CONNECTIONS:
                return
            self._accepting += 1
        try:
            # `threading.Thread` would wait here until the thread has begun.
            _thread.start_new_thread(self._run, ())
        except (RuntimeError, MemoryError) as error:
            with self._lock:
                self._accepting -= 1
            self._services.audit.event(f"thread: {error}")
            self._wanted.set()

    def _run(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError as error:
                # Out of descriptors: those who wait do so in the backlog.
                self._services.audit.event(f"accept: {error}")
                time.sleep(_PAUSE)
                continue
            with self._lock:
                self._accepting -= 1
                self._answering += 1
            self._provide()
            _one(sock, self._services)
            with self._lock:
                self._answering -= 1
                if self._accepting >= _SPARE:
                    return
                self._accepting += 1


def _recover(services: Services) -> None:
    """Finish what a worker that died has left."""
    try:
        services.starter.recover()
        recover(services.daemon, services.ledger, services.starter)
        services.ledger.forget_gone(time.time() - GONE_SECONDS)
    except (ClaudyError, Denied) as error:
        services.audit.event(f"recover: {error}")


def _one(sock: socket.socket, services: Services) -> None:
    client = Client(sock)
    method, target = "?", "?"
    try:
        head = client.read_head()
        if head is not None:
            method, target = head.method, head.target.decode("latin-1")
            answer(client, head, services)
    except Denied as denied:
        services.audit.refusal(method, target, denied.status, denied.message)
        _tell(client, denied.status, denied.message, head=method == "HEAD")
    except ClaudyError as error:
        services.audit.event(f"{method} {target}: {error}")
        _tell(client, 503, f"claudy guard: {error.message} {error.hint}", head=method == "HEAD")
    except (ClientGone, OSError):
        pass
    except Exception as error:  # noqa: BLE001 - a defect refuses one request, not all of them
        services.audit.event(f"defect in {method} {target}: {type(error).__name__}: {error}")
        if os.environ.get("CLAUDY_GUARD_DEBUG"):
            import traceback

            services.audit.event(traceback.format_exc()[-490:])
        _tell(client, 500, "claudy guard: this request is not understood.", head=method == "HEAD")
    finally:
        client.close()


def _tell(client: Client, status: int, message: str, *, head: bool) -> None:
    if client.answered:
        return
    from claudy.guard.strictjson import dump

    with contextlib.suppress(OSError):
        client.answer(status, dump({"message": message}) + b"\n", head=head)


def answer(client: Client, head: Head, services: Services) -> None:
    """Answer one request.

    Raises:
        Denied: it is refused.
    """
    target = parse(head.target)
    services.ledger.read()
    newest = services.daemon.newest
    version = target.version or newest
    _require_version(version, newest)
    found = endpoints.find(head.method, target.path)
    if found is None:
        if head.method == "GET" and (named := _SLASHED.fullmatch(target.path)):
            # `docker inspect` asks for a container first, whatever it is; an image comes later.
            kind = named.lastgroup or ""
            raise missing(kind, named[kind])
        raise refused(
            f"{head.method} {target.path[:200]} is not known here",
            "Ask for it: it may be missing in the guard's table.",
        )
    row, refs = found
    if row.handler not in {"refuse", "no_swarm", "no_plugin"}:
        _check_body(client, head, row, {key for key, _ in target.query})
        refs = {kind: _resolve(kind, ref, services.objects) for kind, ref in refs.items()}
        query = checked_query(row, target.query, services.objects)
    else:
        query = []
    HANDLERS[row.handler](Exchange(client, head, row, refs, query, version, services))


def _check_body(client: Client, head: Head, row: endpoints.Endpoint, keys: set[str]) -> None:
    """Refuse a body where none is documented, except one that says nothing new.

    Some clients send an empty object, and dockerode what is in the query once more.
    """
    if head.upgrade and row.body != endpoints.HIJACK:
        raise refused(f"{row.method} {row.path} is not upgraded", "Send it plainly.")
    if row.body == endpoints.NONE and head.has_body:
        body = client.read_body(MAX_REPEATED)
        said = strictjson.parse(body) if head.headers.get("content-type") == _JSON else None
        repeated = isinstance(said, dict) and said.keys() <= keys
        if not repeated and body.strip() not in {b"", b"{}", b"null"}:
            raise refused(f"{row.method} {row.path} has no body", "Send it without one.")


def _require_version(version: tuple[int, int], newest: tuple[int, int]) -> None:
    text = f"{version[0]}.{version[1]}"
    if version < OLDEST:
        raise Denied(
            400,
            f"client version {text} is too old. Minimum supported API version is "
            f"{OLDEST[0]}.{OLDEST[1]}, please upgrade your client to a newer version",
        )
    if version > min(newest, NEWEST):
        raise Denied(
            400,
            f"client version {text} is too new. Maximum supported API version is "
            f"{newest[0]}.{newest[1]}",
        )


def _resolve(kind: str, ref: str, objects: Objects) -> str:
    """Return the full name of what a path part means."""
    if kind in {"any", "name", "ownref"}:
        return ref
    if kind == "newimage":
        if not is_image_ref(ref):
            raise invalid(f"invalid reference format: {ref[:200]}")
        return ref
    if kind == "network":
        return ref if ref in PREDEFINED else objects.network(ref)
    resolvers = {
        "container": objects.container,
        "exec": objects.exec,
        "image": objects.visible_image,
        "ownnetwork": objects.own_network,
        "volume": objects.volume,
    }
    if kind not in resolvers:
        raise missing("container", ref)
    return resolvers[kind](ref)
