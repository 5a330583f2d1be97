"""The one engine client: requests, streams and hijacked connections on one endpoint."""

from __future__ import annotations

import errno
import time

from claudy.engine.jsonc import dumps, loads
from claudy.engine.wire import Response, dial, request_head, target, translate
from claudy.errors import APIError, EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from claudy.engine.wire import Socket
    from claudy.host.endpoint import Endpoint

CONNECT_TIMEOUT = 5.0
OPERATION_TIMEOUT = 30.0
SILENCE = 5.0  # seconds without an answer after which a second connection asks whether it lives
ALIVE = 0.5  # seconds that connection has, if it is not ssh that carries it
BACK_OFF = (1.0, 2.0, 4.0)
# 1.41 is engine 20.10; 1.51 the newest whose API documentation this client was written against.
OLDEST, NEWEST = (1, 41), (1, 51)
SUBPATHS = (1, 45)
# A daemon that has too much to do. An address that does not answer within the time for connecting,
# or that no way leads to, will not do so a second later either.
_TRANSIENT = {errno.EAGAIN, errno.EINTR}


class Engine:
    """A Docker engine at an endpoint.

    Args:
        endpoint: where it answers.
        api: API version as "1.45"; empty: negotiated from /_ping with the first request.
        sleep: how to wait between tries (seconds); tests pass their own.
    """

    def __init__(
        self, endpoint: Endpoint, *, api: str = "", sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.endpoint = endpoint
        self._api = api
        self._sleep = sleep
        self._idle: Socket | None = None
        self.requests = 0

    # -- connections -------------------------------------------------------------------------

    def connect(self) -> Socket:
        """Return a new connection, trying again on what passes by itself.

        Three more tries after 1, 2 and 4 s; none when nothing listens there or it is forbidden.
        """
        for pause in (*BACK_OFF, None):
            try:
                return dial(self.endpoint, CONNECT_TIMEOUT)
            except EngineError as error:
                cause = error.__cause__
                number = cause.errno if isinstance(cause, OSError) else None
                if pause is None or number not in _TRANSIENT:
                    raise
                self._sleep(pause)
        raise AssertionError

    def close(self) -> None:
        """Close the kept connection."""
        if self._idle is not None:
            self._idle.close()
            self._idle = None

    # -- versions ----------------------------------------------------------------------------

    @property
    def api(self) -> str:
        """API version that client and engine both know, as "1.45"."""
        if not self._api:
            self.ping()
        return self._api

    @property
    def follows_links(self) -> bool:
        """Whether it follows a link in the place of what it mounts: it knows no subpaths."""
        major, _, minor = self.api.partition(".")
        return (int(major), int(minor)) < SUBPATHS

    def use_api(self, version: str) -> None:
        """Speak this API version without asking, because an earlier run has settled it."""
        self._api = version

    def ping(self) -> dict[str, str]:
        """Ask /_ping and settle the API version.

        Returns:
            The answer's headers, names in lower case (Api-Version, Server, Ostype, …).
        """
        response = self._send("GET", "/_ping", {}, b"", SILENCE)
        body = response.read()
        self._keep(response)
        if response.status != 200:  # noqa: PLR2004 - HTTP's own number
            raise self._refusal(response.status, body, "GET /_ping")
        offered = response.headers.get("api-version", "1.41")
        major, _, minor = offered.partition(".")
        newest = (int(major), int(minor)) if major.isdigit() and minor.isdigit() else OLDEST
        if newest < OLDEST:
            from claudy.host.finding import as_error
            from claudy.host.refusals import api_mismatch

            versions = (
                f"the engine at {self.endpoint.url} speaks {offered}, claudy "
                f"{OLDEST[0]}.{OLDEST[1]} (Docker 20.10) and newer"
            )
            raise as_error(api_mismatch(versions, engine_is_older=True), EngineError)
        self._api = "{}.{}".format(*min(newest, NEWEST))
        return response.headers

    # -- requests ----------------------------------------------------------------------------

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int | bool] | None = None,
        body: Any = None,
        *,
        timeout: float | None = OPERATION_TIMEOUT,
    ) -> Any:
        """Make one request on the kept connection and return its parsed answer.

        Args:
            method: HTTP method.
            path: path below the API version, as "/containers/json".
            query: query parameters; JSON-valued ones already serialised.
            body: value sent as JSON; None sends none.
            timeout: seconds for the whole answer to start; None waits for ever.

        Returns:
            The JSON value; None for an empty answer; the text when it is not JSON.

        Raises:
            APIError: the engine answered 4xx or 5xx.
            EngineError: it can't be reached, or stopped answering.
        """
        response = self.request(method, path, query, body, timeout=timeout)
        try:
            data = self._guarded(response.read)
        except BaseException:
            response.close()
            raise
        self._keep(response)
        if response.status >= 400:  # noqa: PLR2004
            raise self._refusal(response.status, data, f"{method} {path}")
        if "json" in response.headers.get("content-type", "") and data.strip():
            return loads(data)
        return data.decode("utf-8", "replace") or None

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int | bool] | None = None,
        body: Any = None,
        *,
        timeout: float | None = OPERATION_TIMEOUT,
    ) -> Response:
        """Make one request on the kept connection; the caller reads the body."""
        data = b"" if body is None else dumps(body)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        return self._send(method, f"/v{self.api}{target(path, query)}", headers, data, timeout)

    def stream(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int | bool] | None = None,
        *,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Response:
        """Make a request on a connection of its own, for answers that go on.

        Args:
            method: HTTP method.
            path: path below the API version.
            query: query parameters.
            body: bytes, or an iterable of blocks that is sent chunked (a build context).
            headers: further header fields (Content-Type, X-Registry-Auth, …).
            timeout: seconds of silence allowed; None: any.

        Returns:
            The response; use `.lines()`, `.blocks()` and `.close()`.

        Raises:
            APIError: the engine answered 4xx or 5xx.
        """
        where = f"/v{self.api}{target(path, query)}"
        sock = self.connect()

        def ask() -> Response:
            sock.settimeout(timeout)
            fields = dict(headers or {})
            if body is None or isinstance(body, bytes):
                fields["Content-Length"] = str(len(body or b""))
                sock.sendall(request_head(method, where, fields) + (body or b""))
            else:
                fields["Transfer-Encoding"] = "chunked"
                sock.sendall(request_head(method, where, fields))
                try:
                    for block in body:
                        if block:
                            sock.sendall(b"%x\r\n%b\r\n" % (len(block), block))
                    sock.sendall(b"0\r\n\r\n")
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the engine refused early; its answer says why
            return Response(sock)

        try:
            response: Response = self._guarded(ask)
            if response.status >= 400:  # noqa: PLR2004
                raise self._refusal(  # noqa: TRY301
                    response.status, self._guarded(response.read), f"{method} {path}"
                )
        except BaseException:
            sock.close()
            raise
        return response

    def start_hijack(
        self, path: str, query: Mapping[str, str | int | bool] | None = None, body: Any = None
    ) -> Hijack:
        """Send a POST that turns its connection into a raw stream; `.finish()` reads the answer."""
        data = dumps(body) if body is not None else b""
        headers = {
            "Connection": "Upgrade",
            "Upgrade": "tcp",
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
        }
        where = f"/v{self.api}{target(path, query)}"
        sock = self.connect()
        self._guarded(lambda: sock.sendall(request_head("POST", where, headers) + data))
        return Hijack(self, sock, f"POST {path}")

    def begin(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int | bool] | None = None,
        body: Any = None,
    ) -> Pending:
        """Send a request on a connection of its own and don't wait for the answer."""
        where = f"/v{self.api}{target(path, query)}"
        data = b"" if body is None else dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        head = request_head(method, where, {**headers, "Content-Length": str(len(data))})
        sock = self.connect()
        self._guarded(lambda: sock.sendall(head + data))
        return Pending(self, sock, f"{method} {path}")

    def events(self, response: Response) -> Iterator[Any]:
        """Yield the JSON values of a line-by-line answer, closing it at the end."""
        try:
            lines = response.lines()
            while (line := self._guarded(lambda: next(lines, None))) is not None:
                yield loads(line)
        finally:
            response.close()

    # -- inside ------------------------------------------------------------------------------

    def _send(
        self,
        method: str,
        where: str,
        headers: Mapping[str, str],
        data: bytes,
        timeout: float | None,
    ) -> Response:
        """Send on the kept connection, on a fresh one if the engine has closed that meanwhile."""
        fields = dict(headers)
        fields["Content-Length"] = str(len(data))
        message = request_head(method, where, fields) + data
        self.requests += 1
        for fresh in (False, True):
            kept, self._idle = (None, self._idle) if fresh else (self._idle, None)
            sock = kept or self.connect()
            try:
                sock.settimeout(timeout if timeout is None else min(timeout, SILENCE))
                sock.sendall(message)
                return self._first_answer(sock, method, timeout)
            except OSError as error:
                sock.close()
                if kept is None or not isinstance(error, ConnectionError):
                    raise translate(error, self.endpoint) from error
            except BaseException:
                sock.close()
                raise
        raise AssertionError

    def _first_answer(self, sock: Socket, method: str, timeout: float | None) -> Response:
        """Wait for the answer; when it takes long, ask on the side whether the engine lives."""
        try:
            response = Response(sock, no_body=method == "HEAD")
        except TimeoutError:
            if timeout is not None and timeout <= SILENCE:
                raise
            self._require_life()
            sock.settimeout(timeout)
            return Response(sock, no_body=method == "HEAD")
        sock.settimeout(timeout)
        return response

    def _require_life(self) -> None:
        """Raise if the engine does not answer a ping soon."""
        sock = dial(self.endpoint, ALIVE)
        try:
            sock.settimeout(SILENCE if self.endpoint.kind == "ssh" else ALIVE)
            sock.sendall(request_head("GET", "/_ping", {"Connection": "close"}))
            Response(sock)
        finally:
            sock.close()

    def _keep(self, response: Response) -> None:
        """Keep the response's connection for the next request, if it can carry one."""
        if response.reusable and self._idle is None:
            self._idle = response.take()[0]
        else:
            response.close()

    def _guarded(self, step: Callable[[], Any]) -> Any:
        """Run a step on a socket with its OSErrors translated."""
        try:
            return step()
        except OSError as error:
            raise translate(error, self.endpoint) from error

    def _refusal(self, status: int, data: bytes, request: str) -> APIError:
        """Return the error for a refused request: what it means where known, else its words."""
        text = data.decode("utf-8", "replace").strip()
        try:
            parsed = loads(text)
            text = str(parsed.get("message", text)) if isinstance(parsed, dict) else text
        except ValueError:
            pass
        from claudy.host.refusals import explain

        return explain(APIError(status, text or f"status {status}", request), self.endpoint)


class Pending:
    """A request whose answer is read later."""

    def __init__(self, engine: Engine, sock: Socket, request: str) -> None:
        self._engine = engine
        self._sock = sock
        self._request = request

    def finish(self, timeout: float | None = OPERATION_TIMEOUT) -> Any:
        """Wait for the answer and return its JSON value.

        Args:
            timeout: seconds; None waits for ever.
        """
        try:
            self._sock.settimeout(timeout)
            response = Response(self._sock)
            data = response.read()
        except OSError as error:
            raise translate(error, self._engine.endpoint) from error
        finally:
            self._sock.close()
        if response.status >= 400:  # noqa: PLR2004
            raise self._engine._refusal(response.status, data, self._request)  # noqa: SLF001
        return loads(data) if data.strip() else None

    def fileno(self) -> int:
        """Return the connection's descriptor: readable once the answer comes."""
        return self._sock.fileno()

    def close(self) -> None:
        """Forget the request."""
        self._sock.close()


class Hijack(Pending):
    """A connection that becomes a raw stream (attach, exec start)."""

    def finish(self, timeout: float | None = OPERATION_TIMEOUT) -> tuple[Socket, bytes]:
        """Wait for the engine's 101 (or 200) and return the socket and its first bytes."""
        try:
            self._sock.settimeout(timeout)
            response = Response(self._sock)
            if response.status >= 400:  # noqa: PLR2004
                request = self._request
                raise self._engine._refusal(response.status, response.read(), request)  # noqa: SLF001
            self._sock.settimeout(None)
            return response.take()
        except OSError as error:
            self._sock.close()
            raise translate(error, self._engine.endpoint) from error
        except EngineError:
            self._sock.close()
            raise
