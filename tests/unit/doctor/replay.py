"""A Unix socket that answers as an engine that this machine can't have.

It replays `/_ping`, `/version` and `/info` from the documents in `tests/unit/host/engines`, each
marked recorded or synthesised; it has every image, and refuses containers in the words it is given.
What it was asked to create is kept.
"""

from __future__ import annotations

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self

ENGINES = Path(__file__).parents[1] / "host/engines"
PROBE = b"socket 0 991 660"


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    replay: Replay


class Replay:
    """The engine; use it as a context manager.

    Args:
        path: where its socket is made.
        name: of a document.
        refusal: words in which it refuses to create a sandbox.
        changes: to `ping`, `version` and `info` of the document.
    """

    def __init__(
        self, path: Path, name: str, *, refusal: str = "no", **changes: dict[str, Any]
    ) -> None:
        self.document: dict[str, Any] = json.loads((ENGINES / f"{name}.json").read_text())
        for part, values in changes.items():
            self.document[part].update(values)
        self.refusal = refusal
        self.created: list[dict[str, Any]] = []
        self._path = path

    @property
    def url(self) -> str:
        """DOCKER_HOST of it."""
        return f"unix://{self._path}"

    def __enter__(self) -> Self:
        self._server = _Server(str(self._path), _Handler)
        self._server.replay = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def address_string(self) -> str:
        """Unix sockets have no peer address."""
        return ""

    def do_GET(self) -> None:
        document = self.server.replay.document
        path = self.path.partition("?")[0].removeprefix("/v")
        path = path if path.startswith("/") else "/" + path.partition("/")[2]
        if path == "/_ping":
            self._answer(200, b"OK", document["ping"], "text/plain")
        elif path in {"/version", "/info"}:
            self._json(200, document[path[1:]])
        elif path.startswith("/images/") and path.endswith("/json") and path != "/images/json":
            arch = document["version"].get("Arch", "amd64")
            self._json(
                200,
                {"Id": "sha256:1", "Os": "linux", "Architecture": arch, "Config": {}, "Size": 1},
            )
        elif path.startswith("/containers/") and path.endswith("/json") and path.count("/") > 2:
            self._json(404, {"message": "No such container"})
        elif path.endswith("/logs"):
            self._answer(200, b"\1\0\0\0\0\0\0" + bytes([len(PROBE)]) + PROBE, {}, "x/stream")
        else:
            self._json(200, [])

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        path = self.path.partition("?")[0]
        if path.endswith("/containers/create"):
            probe = "claudy.probe" in (body.get("Labels") or {})
            if not probe:
                self.server.replay.created.append(body)
                self._json(400, {"message": self.server.replay.refusal})
                return
            self._json(201, {"Id": "probe"})
        elif path.endswith("/wait"):
            self._json(200, {"StatusCode": 0})
        else:
            self._answer(204, b"", {}, "")

    def do_DELETE(self) -> None:
        self._answer(204, b"", {}, "")

    def _json(self, status: int, value: Any) -> None:
        self._answer(status, json.dumps(value).encode(), {}, "application/json")

    def _answer(self, status: int, body: bytes, headers: dict[str, str], kind: str) -> None:
        self.send_response_only(status)
        for key, value in headers.items():
            if key.lower() not in {"content-length", "content-type"}:
                self.send_header(key, value)
        if status != 204:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
