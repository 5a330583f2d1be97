"""The few calls of the Engine API that make an engine ready, over its socket."""

from __future__ import annotations

import http.client
import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from tests.engines.shell import EngineError

if TYPE_CHECKING:
    from pathlib import Path

_VERSION = "v1.41"
_SECONDS = 120


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Api:
    """One engine, reached at its socket.

    Args:
        path: Path of the socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def request(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None = None,
        body: Any = None,
    ) -> Any:
        """Send one request and return its answer, decoded if it is JSON.

        Args:
            method: The HTTP method.
            path: Path below the API version.
            query: Query values; lists and objects are sent as JSON.
            body: A file to send as it is, or a value to send as JSON.

        Raises:
            EngineError: The engine does not answer, or refused.
        """
        connection = _Connection(self._path)
        headers = {}
        if body is not None and not hasattr(body, "read"):
            body = json.dumps(body)
            headers["Content-Type"] = "application/json"
        pairs = [
            (name, json.dumps(value) if isinstance(value, dict) else value)
            for name, value in (query or {}).items()
        ]
        target = f"/{_VERSION}{quote(path)}?{urlencode(pairs, doseq=True)}"
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            message = f"{method} {path} at {self._path}: {error}"
            raise EngineError(message) from error
        finally:
            connection.close()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            message = f"{method} {path}: {answer.status} {text.strip()}"
            raise EngineError(message)
        if answer.headers.get_content_type() != "application/json" or not text.strip():
            return text
        # Progress comes as several objects, one a line.
        values = [json.loads(line) for line in text.splitlines() if line.strip()]
        return values[0] if len(values) == 1 else values

    def answers(self) -> bool:
        """Tell whether the engine is ready."""
        try:
            return bool(self.request("GET", "/_ping") == "OK")
        except EngineError:
            return False
