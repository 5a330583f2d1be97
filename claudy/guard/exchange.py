"""One request on its way: what was asked, what it means, and ways to answer it."""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from claudy.guard import strictjson
from claudy.guard.policy.endpoints import JSON
from claudy.guard.policy.rules import DROP, No, apply
from claudy.guard.refusal import BAD_REQUEST, invalid, refused
from claudy.guard.relay import relay
from claudy.guard.splice import pass_all
from claudy.guard.spool import pass_kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from claudy.guard.audit import Audit
    from claudy.guard.daemon import Answer, Daemon, Kept, Piece
    from claudy.guard.http import Client, Head
    from claudy.guard.ledger import Ledger
    from claudy.guard.localhost import Localhost
    from claudy.guard.options import Settings
    from claudy.guard.ownership import Objects
    from claudy.guard.paths import Workspace
    from claudy.guard.policy.endpoints import Endpoint
    from claudy.guard.policy.rules import Rule
    from claudy.guard.removal import Remover
    from claudy.guard.sessions import Sessions
    from claudy.guard.start import Starter

_PASSED = {
    "content-type": "Content-Type",
    "x-docker-container-path-stat": "X-Docker-Container-Path-Stat",
    "docker-experimental": "Docker-Experimental",
    "ostype": "Ostype",
    "server": "Server",
}
_RAW = ("application/vnd.docker.raw-stream", "application/vnd.docker.multiplexed-stream")
_LONG_ID = re.compile(r"\b[0-9a-f]{64}\b")


class Services(NamedTuple):
    """What handlers work with, made once for a worker."""

    settings: Settings
    daemon: Daemon
    ledger: Ledger
    objects: Objects
    workspace: Workspace
    starter: Starter
    sessions: Sessions
    audit: Audit
    localhost: Localhost
    remover: Remover


class Exchange:
    """A request with its row of the policy.

    Args:
        client: the sandbox's connection.
        head: the request's head.
        row: the endpoint.
        refs: references in the path, resolved.
        query: checked pairs.
        version: API version to use.
        services: the worker's.
    """

    def __init__(
        self,
        client: Client,
        head: Head,
        row: Endpoint,
        refs: dict[str, str],
        query: list[tuple[str, str]],
        version: tuple[int, int],
        services: Services,
    ) -> None:
        self.client, self.head, self.row = client, head, row
        self.refs, self.query, self.version = refs, query, version
        self.services = services
        self.daemon, self.ledger, self.objects = services.daemon, services.ledger, services.objects

    # -- the request -------------------------------------------------------------------------

    def value(self, key: str) -> str:
        """Return a query value; empty when absent."""
        return next((value for name, value in self.query if name == key), "")

    def filters(self, allowed: frozenset[str]) -> dict[str, list[str]]:
        """Return the filters of the query, in the newer form.

        Raises:
            Denied: malformed, or a filter that is not allowed here.
        """
        raw = self.value("filters")
        parsed = strictjson.parse(raw.encode(), "filters") if raw else {}
        if not isinstance(parsed, dict):
            raise refused("the filters are not an object")
        found = {}
        for key, values in parsed.items():
            if key not in allowed:
                raise refused(f"the filter {key[:40]!r} is not known here", "Leave it out.")
            # What is false there means one thing for the daemon here, and another there.
            on = isinstance(values, dict) and all(value is True for value in values.values())
            names = list(values) if on else values
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise refused(f"the filter {key} is malformed")
            found[key] = names
        return found

    def json_body(self, rule: Rule, *, optional: bool = False) -> Any:
        """Return the body after its rule."""
        raw = self.client.read_body()
        if optional and not raw.strip():
            return {}
        try:
            body = strictjson.parse(raw)
            if isinstance(body, dict):
                # dockerode says what belongs into the query here, too.
                keys = {field.name for field in self.row.query}
                body = {name: value for name, value in body.items() if name not in keys}
            return rule(body, self.objects)
        except No as no:
            raise invalid(f"the body is {no}") from no

    # -- the daemon --------------------------------------------------------------------------

    def open(
        self,
        *,
        path: str = "",
        query: Iterable[tuple[str, str]] | None = None,
        body: bytes | Kept | Iterable[Piece] | None = None,
        headers: Mapping[str, str] | None = None,
        repeated: Iterable[tuple[str, str]] = (),
        version: tuple[int, int] | None = None,
        method: str = "",
        wait: bool = False,
    ) -> Answer:
        """Send this request, or a variation of it, to the daemon.

        Args:
            path: instead of its own; likewise the others.
            query: pairs.
            body: of the request.
            headers: checked.
            repeated: fields that are there more than once.
            version: of the API.
            method: of HTTP.
            wait: for the daemon's answer, also when the client has left.
        """
        return self.daemon.open(
            method or self.row.method,
            path or self.path,
            list(self.query if query is None else query),
            version=version or self.version,
            body=body,
            headers=headers,
            repeated=list(repeated),
            client=None if wait else self.client.sock,
        )

    def open_locked(self, **changes: Any) -> Answer:
        """Send the request while a lock is held that others rely on until the daemon is done."""
        return self.open(**changes, wait=True)

    @property
    def path(self) -> str:
        """The path with its references resolved."""
        return re.sub(r"\{(\w+)\}", lambda found: self.refs[found[1]], self.row.path)

    def ask(self, **changes: Any) -> tuple[int, Any, Answer]:
        """Send the request and return status, JSON value and headers; errors are passed on."""
        answer = self.open(**changes)
        raw = answer.read()
        try:
            return answer.status, json.loads(raw), answer
        except ValueError:
            return answer.status, None, answer

    # -- the answer --------------------------------------------------------------------------

    def reply(self, answer: Answer, *, over: Callable[[], object] | None = None) -> None:
        """Pass the daemon's answer on, whatever it is.

        Args:
            answer: of the daemon.
            over: called when the daemon is done, which then does not wait for the client.
        """
        with answer:
            if answer.status >= BAD_REQUEST:
                self.reply_error(answer.status, answer.response.read())
                return
            fields = self.fields(answer)
            if self.row.method == "HEAD" or answer.status in {204, 304}:
                self.client.answer(answer.status, b"", fields, head=True)
                return
            self._pass_on(answer, fields, over)

    def _pass_on(
        self, answer: Answer, fields: dict[str, str], over: Callable[[], object] | None
    ) -> None:
        """Send the daemon's body on as it is framed; the daemon closes after it, and so does this.

        A daemon that breaks off leaves the client a body that is visibly cut short.
        """
        chunked = "chunked" in answer.headers.get("transfer-encoding", "").lower()
        length = answer.headers.get("content-length", "")
        if not chunked and not length.isdigit():
            fields["Transfer-Encoding"] = "chunked"
            self.client.send_head(answer.status, {**fields, "Connection": "close"})
            for block in answer.response.blocks():
                self.client.send_chunk(block)
            self.client.end_chunks()
            return
        framing = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": length}
        head = {**fields, **framing, "Connection": "close"}
        _, first = answer.response.take()
        if over:
            with contextlib.suppress(OSError):  # of who is gone, the daemon knows nothing
                self.client.send_head(answer.status, head)
            directory = self.ledger.directory
            pass_kept(answer.watched, self.client.sock, first, directory, over)
            return
        self.client.send_head(answer.status, head)
        self.client.send(first)
        self.client.sock.settimeout(None)
        pass_all(answer.watched, self.client.sock)

    def fields(self, answer: Answer) -> dict[str, str]:
        """Return the header fields that are passed on."""
        found = {
            name: answer.headers[key] for key, name in _PASSED.items() if key in answer.headers
        }
        newest = self.daemon.newest
        return {**found, "Api-Version": f"{newest[0]}.{newest[1]}"}

    def reply_json(self, answer: Answer, value: Any, status: int = 0) -> None:
        """Answer with a rewritten JSON value."""
        fields = self.fields(answer)
        fields["Content-Type"] = "application/json"
        self.client.answer(status or answer.status, strictjson.dump(value) + b"\n", fields)

    def reply_error(self, status: int, raw: bytes) -> None:
        """Pass an error on, without ids of others' objects."""
        try:
            message = str(json.loads(raw)["message"])
        except (ValueError, KeyError, TypeError):
            message = raw.decode("utf-8", "replace").strip() or f"status {status}"
        self.client.answer_json(status, {"message": self.masked(message)})

    def masked(self, text: str) -> str:
        """Return a text without the full ids of what the project does not own."""
        owned = self.ledger.read()
        return _LONG_ID.sub(
            lambda found: (
                found[0]
                if any(found[0] in owned[kind] for kind in ("containers", "networks", "volumes"))
                or "sha256:" in text[max(0, found.start() - 7) : found.start()]
                else "(another's)"
            ),
            text,
        )

    def open_stream(self, body: bytes = b"", *, wait: bool = False) -> Answer:
        """Send a request that becomes a raw stream.

        Args:
            body: of the request.
            wait: for the daemon's answer, also when the client has left.
        """
        headers = {"Content-Type": "application/json"} if body else {}
        if self.head.upgrade:
            headers |= {"Connection": "Upgrade", "Upgrade": "tcp"}
        return self.open(body=body, headers=headers, wait=wait)

    def relay(self, answer: Answer) -> None:
        """Relay a raw stream; pass an answer on that is none."""
        kind = answer.headers.get("content-type", "")
        raw = answer.status == 101 or (answer.status == 200 and kind.startswith(_RAW))  # noqa: PLR2004
        if not raw:
            self.reply(answer)
            return
        with answer:
            fields = {"Content-Type": kind} if kind else {}
            if answer.status == 101:  # noqa: PLR2004 - Switching Protocols
                fields |= {"Connection": "Upgrade", "Upgrade": "tcp"}
            self.client.send_head(answer.status, fields)
            _, first = answer.response.take()
            early = self.client.early_bytes()
            relay(self.client.sock, answer.sock, to_client=first, to_daemon=early)


def checked_query(
    row: Endpoint, pairs: Iterable[tuple[str, str]], objects: Objects
) -> list[tuple[str, str]]:
    """Return the query that is forwarded.

    Raises:
        Denied: an unknown key, a repeated one, or a value that its row does not allow.
    """
    rows = {field.name: field for field in row.query}
    seen: set[str] = set()
    found = []
    for key, value in pairs:
        field = rows.get(key)
        if field is None:
            if row.body == JSON and key[:1].isupper():
                continue  # a field of the body: dockerode says them here, too
            raise refused(f"the query key {key} is not known here", "Leave it out.")
        if key in seen and key not in row.many:
            raise refused(f"the query key {key} is there twice", "Send it once.")
        seen.add(key)
        if not value and key in row.many:
            continue
        checked = apply(field, value, objects, "query key ")
        if checked is not DROP:
            found.append((key, str(checked)))
    return found
