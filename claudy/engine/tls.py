"""TLS on a socket that carries a session: both directions at once, each ended alone.

`ssl.SSLSocket` can't do that: its `shutdown` takes the TLS layer off, so that `recv` returns
ciphertext, and its `unwrap` waits for the other side. Here OpenSSL computes in memory, and what it
has computed is sent and received around it.
"""

from __future__ import annotations

import _thread
import ssl

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

_BLOCK = 65536
_RECORD = 16384 + 2048 + 5  # the most that a record may be (RFC 5246 6.2.3)
_SHUT_RD, _SHUT_WR = 0, 1


class TlsSocket:
    """A connected socket with TLS on it.

    One thread may receive while another one sends: neither waits for the network while it holds
    what the other needs.

    Args:
        sock: the connection; its time-out holds for each step of the handshake.
        context: what to trust and to present.
        host: name that the certificate has to be for.

    Raises:
        ssl.SSLError: the handshake failed.
        OSError: the connection did.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._sock = sock
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._arrived, self._leaving, server_hostname=host)
        self._state = _thread.allocate_lock()  # of OpenSSL's objects, held while they compute
        self._order = _thread.allocate_lock()  # of what is sent, held until it has been
        self._plain = b""
        self._ended = self._told = False
        while not self._shake_hands():
            self._take(_BLOCK)

    def recv(self, bufsize: int, /) -> bytes:
        """Return what has arrived, at least a byte unless the other side has ended.

        With 64 KiB and more nothing stays behind that could be returned: after that, to wait for
        the descriptor is to wait for what comes next.

        Args:
            bufsize: bytes, at most.
        """
        while True:
            with self._state:
                self._decode()
                if self._plain or self._ended:
                    piece, self._plain = self._plain[:bufsize], self._plain[bufsize:]
                    return piece
            # What is decoded of it, with a record that had begun before, fits into `bufsize`.
            self._take(max(bufsize - _RECORD, 4096))

    def recv_into(self, buffer: memoryview, /) -> int:
        """Take what has arrived into a buffer, as `recv` does; return its size."""
        data = self.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def sendall(self, data: bytes | memoryview, /) -> None:
        """Send everything."""
        with self._order:
            view = memoryview(data)
            while view:
                with self._state:
                    sent = self._tls.write(view[:_BLOCK])
                    records = self._leaving.read()
                view = view[sent:]
                self._sock.sendall(records)

    def shutdown(self, how: int, /) -> None:
        """End one direction: ours is ended within TLS, and theirs goes on.

        Args:
            how: as `socket.shutdown` has it.
        """
        if how != _SHUT_WR:
            self._sock.shutdown(how)
            return
        with self._order:
            with self._state:
                # `unwrap` also looks for the answer, and data in its place is fatal to it.
                self._decode()
                try:
                    self._tls.unwrap()
                except ssl.SSLError:
                    pass  # it has said so, and would like an answer
                records = self._leaving.read()
            self._sock.sendall(records)

    def settimeout(self, value: float | None, /) -> None:
        """Set how long to wait for the other side, in seconds."""
        self._sock.settimeout(value)

    def fileno(self) -> int:
        """Return the descriptor, which is readable when something arrives."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()

    def _shake_hands(self) -> bool:
        """Do the next step of the handshake; True once it is done."""
        done, problem = False, None
        try:
            self._tls.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            problem = error
        self._sock.sendall(self._leaving.read())  # an alert too
        if problem is not None:
            raise problem
        return done

    def _decode(self) -> None:
        """Take out what is complete of what has arrived."""
        pieces = [self._plain]
        try:
            while not self._ended:
                piece = self._tls.read(_BLOCK)
                pieces.append(piece)
                self._ended = not piece
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._ended = True
        finally:
            self._plain = b"".join(pieces)
        if self._ended and not self._told:
            self._told = True
            # An engine ends its side within TLS alone. Whoever waits for the descriptor has to
            # see that, also when the end came together with the last data.
            try:
                self._sock.shutdown(_SHUT_RD)
            except OSError:
                pass  # the connection has gone, which can be seen as well

    def _take(self, most: int) -> None:
        """Wait for more from the other side."""
        data = self._sock.recv(most)
        with self._state:
            if data:
                self._arrived.write(data)
            else:
                self._arrived.write_eof()
