"""The one process in a sandbox that carries its localhost on to published ports.

It lives as long as the connection to its standard input: when that is closed, when the guard dies
or when the daemon does, it ends and its ports are free. What it runs is fixed (`forward.pl`, by the
absolute path of perl, as the sandbox's own user, with no right that the sandbox has not); ports go
in as numbers, addresses as checked ones. It runs in the sandbox, so what it answers is not trusted:
it may speak only when asked, a short line each time.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from claudy.guard.refusal import Denied
from claudy.guard.strictjson import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from claudy.guard.daemon import Answer, Daemon

PERL = "/usr/bin/perl"
READY = "ready"
ASKED, LISTENING, BUSY = "asked", "listening", "busy"
_STDOUT = 1
_LONGEST_LINE = 200
_MUCH = 4096  # characters that perl may complain in
_SEND_SECONDS = 2
_CREATED, _SWITCHING = 201, 101
# The user's own settings of perl are for the user's own programs.
_ENV = ["PERL5OPT=", "PERL5LIB=", "PERL_BADLANG=0"]


class Forwarder:
    """The process, seen from the guard.

    Args:
        daemon: starts it.
        sandbox: full id of the sandbox's container.
        changed: called from another thread when a port has changed its state or all is over.

    Attributes:
        ports: what was asked for: port to address.
        states: what has become of it: port to state.
        over: whether it has ended.
        began: when it was started, monotonic.
        said: what it said instead of answering; why it could not run.

    Raises:
        Denied: the daemon does not start it now.
    """

    def __init__(self, daemon: Daemon, sandbox: str, changed: Callable[[], None]) -> None:
        self.sandbox = sandbox
        self.ports: dict[int, str] = {}
        self.states: dict[int, str] = {}
        self.ready = self.over = False
        self.began = time.monotonic()
        self.said = ""
        self._changed = changed
        self._unanswered: deque[int] = deque()
        self._lock = threading.Lock()
        self._answer = _start(daemon, sandbox)
        # Sending must not wait for a process that takes nothing.
        patience = struct.pack("ll", _SEND_SECONDS, 0)
        self._answer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        threading.Thread(target=self._listen, daemon=True).start()

    def carry(self, wanted: dict[int, str]) -> None:
        """Make it carry exactly these ports, each to its address."""
        old, self.ports = self.ports, dict(wanted)
        gone = old.keys() - wanted.keys()
        with self._lock:
            for port in gone:
                del self.states[port]
        self._ask(
            [f"-{port}" for port in gone],
            [port for port, address in wanted.items() if old.get(port) != address],
        )

    def again(self, port: int) -> None:
        """Ask once more for a port that something else had."""
        self._ask([], [port])

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._answer.sock.shutdown(socket.SHUT_RDWR)

    def _ask(self, lines: list[str], ports: list[int]) -> None:
        with self._lock:
            for port in ports:
                self.states[port] = ASKED
                self._unanswered.append(port)
                lines.append(f"+{port} {self.ports[port]}")
        if lines:
            try:
                self._answer.sock.sendall("".join(f"{line}\n" for line in lines).encode())
            except OSError:
                self.close()

    # -- what it says; runs in a thread of its own ---------------------------------------------

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            for line in self._lines():
                if not self._understood(line):
                    break
                self._changed()
        self.over = True
        self._answer.close()
        self._changed()

    def _understood(self, line: str) -> bool:
        """Whether a line is what it may say now."""
        if not self.ready:
            self.ready = line == READY
            self.said = "" if self.ready else f"{self.said} {line}"
            return self.ready
        with self._lock:
            if not self._unanswered:
                return False
            port = self._unanswered.popleft()
            number, _, state = line.partition(" ")
            if number != str(port) or state not in {LISTENING, BUSY}:
                return False
            if port in self.states and port not in self._unanswered:
                self.states[port] = state
        return True

    def _lines(self) -> Iterator[str]:
        """Yield what it writes to its standard output; the rest is kept as its last words."""
        _, buffer = self._answer.response.take()
        rest = b""
        while True:
            while len(buffer) < 8 or len(buffer) < 8 + int.from_bytes(buffer[4:8], "big"):  # noqa: PLR2004
                data = self._answer.sock.recv(4096)
                if not data or len(buffer) > 1 << 20:
                    return
                buffer += data
            end = 8 + int.from_bytes(buffer[4:8], "big")
            stream, text, buffer = buffer[0], buffer[8:end], buffer[end:]
            if stream != _STDOUT:
                self.said += text.decode("utf-8", "replace")
                if len(self.said) > _MUCH:
                    return
                continue
            *lines, rest = (rest + text).split(b"\n")
            yield from (line.decode("utf-8", "replace")[:_LONGEST_LINE] for line in lines)
            if len(rest) > _LONGEST_LINE:
                return


def _start(daemon: Daemon, sandbox: str) -> Answer:
    """Start the process and return the connection to its streams."""
    from importlib.resources import files

    body = {
        "Cmd": [PERL, "-e", files("claudy.guard").joinpath("forward.pl").read_text("utf-8")],
        "Env": _ENV,
        "WorkingDir": "/",
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
    }
    status, made = daemon.json("POST", f"/containers/{sandbox}/exec", body=body)
    if status != _CREATED:
        raise Denied(status, str((made or {}).get("message", status)))
    answer = daemon.open(
        "POST",
        f"/exec/{made['Id']}/start",
        body=dump({"Detach": False, "Tty": False}),
        headers={
            "Content-Type": "application/json",
            "Connection": "Upgrade",
            "Upgrade": "tcp",
        },
    )
    if answer.status != _SWITCHING:
        raise Denied(answer.status, answer.read().decode("utf-8", "replace")[:_LONGEST_LINE])
    return answer
