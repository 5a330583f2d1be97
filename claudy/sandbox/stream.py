"""Carry a session's bytes between this process and a hijacked connection.

With a terminal one thread polls everything. Without one a helper thread carries standard input,
so that neither direction waits for the other and memory stays constant whatever goes through.
"""

from __future__ import annotations

import _signal
import os
import select

from claudy.errors import Hangup
from claudy.sandbox.terminal import STDERR, STDIN, STDOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from claudy.engine.wire import Socket

# Held once for each direction: new memory for each read costs more than the copying does, and
# larger blocks leave the cache and keep the engine waiting.
OUT_BLOCK = 64 * 1024
IN_BLOCK = 64 * 1024  # what a pipe holds
_PIECES = 512  # at once: writev takes 1024
_TYPED = 1024  # bytes that a socket with room takes without waiting
_SHUT_WR = 1
_WORD = 5  # bytes of `ready`; an exit code has less
_HEAD = 8  # of a frame: stream, three zeros, length
_READ = select.POLLIN | select.POLLHUP | select.POLLERR


class Marks:
    """Finds what the session holder writes before and behind a session's output.

    Args:
        session: the session's id, which nobody else knows.
        on_ready: called when the word `ready` has come.
    """

    def __init__(self, session: str, on_ready: Callable[[], None] | None = None) -> None:
        self._start = f"\x1b]claudy;{session};".encode()
        self._on_ready = on_ready
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, int | None]:
        """Take bytes and return those to pass on, and the exit code once it has come.

        A program of the first session can know its id: what it writes is output, unless it is
        exactly what the holder writes.
        """
        data, self._held = self._held + data, b""
        passed = []
        while (at := data.find(self._start)) >= 0:
            behind = at + len(self._start)
            end = data.find(b"\x07", behind, behind + _WORD + 1)
            word = data[behind:end]
            if end < 0 and len(data) - behind <= _WORD:
                break
            if end >= 0 and word == b"ready":
                passed.append(data[:at])
                data = data[end + 1 :]
                on_ready, self._on_ready = self._on_ready, None
                if on_ready:
                    on_ready()
            elif end >= 0 and word.isdigit():
                return b"".join([*passed, data[:at]]), int(word)
            else:
                passed.append(data[:behind])
                data = data[behind:]
        if at < 0:
            at = data.rfind(b"\x1b", -len(self._start))
            if at < 0 or not self._start.startswith(data[at:]):
                return b"".join([*passed, data]), None
        self._held = data[at:]
        return b"".join([*passed, data[:at]]), None

    def rest(self) -> bytes:
        """Return what was held back and turned out to be output."""
        held, self._held = self._held, b""
        return held


def write_all(descriptor: int, pieces: list[memoryview]) -> None:
    """Write everything, also where another program has left the descriptor non-blocking."""
    for start in range(0, len(pieces), _PIECES):
        some = pieces[start : start + _PIECES]
        left = sum(map(len, some))
        while left:
            try:
                done = os.writev(descriptor, some)
            except BlockingIOError:
                room = select.poll()
                room.register(descriptor, select.POLLOUT)
                room.poll()
                continue
            left -= done
            while left and done >= len(some[0]):
                done -= len(some.pop(0))
            if left:
                some[0] = some[0][done:]


class Carrier:
    """Carries one session's streams until it ends.

    Args:
        sock: the hijacked connection.
        first: bytes of the stream that came with the answer's head.
        tty: the session has a terminal: one raw stream; else stdout and stderr in frames.
        stdin: whether standard input is passed on.
        mark: the session's id.
        on_ready: for a container's first session: called when others may join it. The holder
            also writes the exit code then, as the session may end while the container goes on.
        watched: descriptors with what to do when they can be read; a callback may raise.
        on_resize: called when the terminal has changed its size.

    Attributes:
        begun: whether the session runs, as far as is known. Until an exec says so, standard input
            is left where it is, and what comes is held back: it is the engine that speaks.
    """

    def __init__(
        self,
        sock: Socket,
        first: bytes,
        *,
        tty: bool,
        stdin: bool,
        mark: str,
        on_ready: Callable[[], None] | None = None,
        watched: dict[int, Callable[[], None]] | None = None,
        on_resize: Callable[[], None] | None = None,
    ) -> None:
        self._sock = sock
        self._first = first
        self._tty = tty
        self._stdin = stdin
        self.begun = on_ready is not None
        self._opening = Marks(mark, self._begin)
        self._held: list[tuple[int, bytes]] = []
        streams = (STDOUT,) if tty else (STDOUT, STDERR)
        self._marks = {n: Marks(mark, on_ready) for n in streams if on_ready}
        self._code: int | None = None
        self._watched = dict(watched or {})
        self._on_resize = on_resize
        self._poll = select.poll()
        self._frame = (STDOUT, 0)
        self._head = b""
        self._block = memoryview(bytearray(OUT_BLOCK))

    def run(self) -> int | None:  # noqa: C901, PLR0912 - one loop over all that can happen
        """Carry until the session ends.

        Returns:
            The exit code if the holder has told it, None if the stream just ended.

        Raises:
            Hangup: the terminal has gone away.
            BrokenPipeError: nobody reads our standard output any more.
        """
        sock, poll = self._sock.fileno(), self._poll
        poll.register(sock, _READ)
        for descriptor in self._watched:
            poll.register(descriptor, _READ)
        wake, waker = os.pipe()
        stop, stopper = os.pipe()
        os.set_blocking(waker, False)
        poll.register(wake, _READ)
        before = _signal.signal(_signal.SIGWINCH, lambda *_: None)
        _signal.set_wakeup_fd(waker)
        self._stop = stop
        if self.begun:
            self._begin()
        try:
            if self._first and self._output(memoryview(self._first)):
                return self._code
            while True:
                for descriptor, event in poll.poll():
                    if event & select.POLLOUT:  # the engine takes keys again
                        poll.modify(sock, _READ)
                        poll.register(STDIN, _READ)
                    if not event & _READ:
                        continue
                    if descriptor == sock:
                        data = self._block[: self._sock.recv_into(self._block)]
                        if not data or self._output(data):
                            return self._finish()
                    elif descriptor == wake:
                        signals = os.read(wake, 64)
                        if _signal.SIGWINCH in signals and self._on_resize:
                            self._on_resize()
                    elif descriptor == STDIN and self._tty:
                        self._keys()
                    else:
                        poll.unregister(descriptor)
                        self._watched.pop(descriptor)()
        except ConnectionResetError:
            return self._finish()
        finally:
            _signal.set_wakeup_fd(-1)
            _signal.signal(_signal.SIGWINCH, before)
            os.close(stopper)  # ends the helper thread before it reads what is the next program's
            for descriptor in (wake, waker, self._stop):
                if descriptor >= 0:
                    os.close(descriptor)

    def _begin(self) -> None:
        """Carry standard input from now on."""
        self.begun = True
        if self._stdin and self._tty:
            self._poll.register(STDIN, _READ)
        elif self._stdin:
            import _thread

            stop, self._stop = self._stop, -1  # the thread's own
            _thread.start_new_thread(self._carry_stdin, (stop,))

    def _keys(self) -> None:
        """Pass on what was typed; leave it where it is while the engine takes no more.

        To wait for the engine here would be a deadlock: the program inside may read on only when
        its output has been taken.
        """
        taker = select.poll()
        taker.register(self._sock.fileno(), select.POLLOUT)
        if not taker.poll(0):
            self._poll.unregister(STDIN)
            self._poll.modify(self._sock.fileno(), _READ | select.POLLOUT)
            return
        try:
            data = os.read(STDIN, _TYPED)
        except OSError as error:
            raise Hangup from error
        if not data:
            raise Hangup
        try:
            self._sock.sendall(data)
        except BrokenPipeError:
            pass  # the session has just ended; the other direction says so

    def _carry_stdin(self, stop: int) -> None:
        """Pass on standard input until it ends or the session does."""
        poll = select.poll()
        poll.register(STDIN, _READ)
        poll.register(stop, _READ)
        block = memoryview(bytearray(IN_BLOCK))
        try:
            while True:
                if any(descriptor == stop for descriptor, _ in poll.poll()):
                    break
                size = os.readv(STDIN, (block,))
                if not size:
                    self._sock.shutdown(_SHUT_WR)
                    break
                self._sock.sendall(block[:size])
        except OSError:
            pass  # the session has ended, or standard input is closed
        finally:
            os.close(stop)

    def _output(self, data: memoryview) -> bool:
        """Write what came out; True once the end marks have come."""
        if self._tty:
            return self._emit(STDOUT, [data])
        ended = False
        target, left = self._frame
        pieces: list[memoryview] = []
        at = 0
        while at < len(data):
            if left:
                piece = data[at : at + left]
                pieces.append(piece)
                at += len(piece)
                left -= len(piece)
                continue
            head = self._head + data[at : at + _HEAD - len(self._head)]
            at += len(head) - len(self._head)
            self._head = head if len(head) < _HEAD else b""
            if not self._head:
                into = STDERR if head[0] == STDERR else STDOUT
                if pieces and into != target:
                    ended = self._emit(target, pieces) or ended
                    pieces = []
                target, left = into, int.from_bytes(head[4:], "big")
        self._frame = (target, left)
        if pieces:
            ended = self._emit(target, pieces) or ended
        return ended

    def _emit(self, target: int, pieces: list[memoryview]) -> bool:
        """Write to one of our streams, looking for its end mark."""
        if not self.begun:
            self._emit_late(target, b"".join(pieces))
            return False
        mark = self._marks.get(target)
        if mark is None:
            if not self._code_known():
                write_all(target, pieces)
            return False
        out, code = mark.feed(b"".join(pieces))
        if out:
            write_all(target, [memoryview(out)])
        if code is not None:
            self._code = code
            del self._marks[target]
            return not self._marks
        return False

    def _emit_late(self, target: int, data: bytes) -> None:
        """Hold back what comes before the session has begun."""
        if target == STDOUT:
            data, _ = self._opening.feed(data)
            if self.begun:
                data += self._opening.rest()
        self._held.append((target, data))
        if self.begun:
            self.pass_held()

    def pass_held(self) -> None:
        """Write what was held back."""
        for target, data in self._held:
            write_all(target, [memoryview(data)])
        self._held = []

    def _code_known(self) -> bool:
        """Whether the command has ended; background jobs' later output is not its own."""
        return self._code is not None

    def _finish(self) -> int | None:
        """Write what was held back and return the code."""
        for target, mark in self._marks.items():
            if rest := mark.rest():
                write_all(target, [memoryview(rest)])
        return self._code
