"""The files of a build's context, read along on their way from the client to the daemon.

A client answers the daemon's call `FileSync/DiffCopy` with the names, modes and contents of files,
and the daemon writes them as root into a directory of its own. Before fsutil 30cd4fc5d911 (BuildKit
0.31.2) it takes the name `..`, too: that directory can be replaced by a link to anywhere, and what
is built then has the host's files. So names are checked here, whatever the engine. A name after the
end of the names ends the daemon of every version, and with it the host's containers; some are ended
by a Dockerfile, too (`claudy.guard.buildkit.dockerfile`).

The connection is HTTP/2 with the daemon as its client. Frames go on as they are, each when what it
completes has been looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hpack
import hyperframe.exceptions
from hyperframe.frame import ContinuationFrame, DataFrame, Frame, HeadersFrame, PushPromiseFrame

from claudy.guard.buildkit.dockerfile import has_no_stage
from claudy.guard.buildkit.wire import MESSAGE, NUMBER, RAW, Slot, decode
from claudy.guard.refusal import invalid, refused

if TYPE_CHECKING:
    from claudy.guard.buildkit.wire import Table

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_FRAME = 1 << 20
MAX_MESSAGE = 1 << 24
_HEAD = 9  # bytes of a frame's head
_PREFIX = 5  # compression flag and length of a gRPC message
_FILES = "/moby.filesync.v1.FileSync/"
_DOCKERFILE = b"dockerfile"
_LONGEST = 1 << 22
_DATA = 2  # type of a packet with a part of a file; one without a part ends it
_LINK, _DEVICE = 1 << 27, 1 << 26  # Go's os.ModeSymlink and os.ModeDevice
_KIND = (1 << 32) - 1  # the daemon takes as many bits of a packet's type; a name has none of them
_PAIR: Table = {1: Slot("key", RAW), 2: Slot("value", RAW)}
_STAT: Table = {
    1: Slot("path", RAW),
    2: Slot("mode", NUMBER),
    3: Slot("uid", NUMBER),
    4: Slot("gid", NUMBER),
    5: Slot("size", NUMBER),
    6: Slot("modTime", NUMBER),
    7: Slot("linkname", RAW),
    8: Slot("devmajor", NUMBER),
    9: Slot("devminor", NUMBER),
    10: Slot("xattrs", MESSAGE, many=True, table=_PAIR),
}
# fsutil's wire.proto and stat.proto, the same in every version.
_PACKET: Table = {
    1: Slot("type", NUMBER),
    2: Slot("stat", MESSAGE, table=_STAT),
    3: Slot("ID", NUMBER),
    4: Slot("data", RAW),
}


class Reader:
    """Reads a session along.

    Args:
        stages: every Dockerfile has to have a stage.

    Both methods take what has arrived and return what may go on, which may be nothing yet. They
    raise Denied where the connection has to end.
    """

    def __init__(self, *, stages: bool = False) -> None:
        self._stages = stages
        self._preface = PREFACE
        self._asked, self._said = bytearray(), bytearray()
        self._headers = hpack.Decoder()
        self._headers.max_allowed_table_size = MAX_FRAME  # the client's to choose
        self._block: tuple[int, bytearray] | None = None
        self._last = 0
        """The highest stream that the daemon has opened."""
        self._messages: dict[int, bytearray] = {}
        """Streams that carry files, with the part of a message that is there."""
        self._named: set[int] = set()
        """Those of them whose names have ended."""
        self._dockerfiles: dict[int, dict[int, bytearray]] = {}
        """Those with Dockerfiles, with what there is of each, by its number."""

    def from_daemon(self, data: bytes) -> bytes:
        """Learn which streams carry files."""
        start = data[: len(self._preface)]
        if not self._preface.startswith(start):
            raise invalid("a session that does not begin as HTTP/2")
        self._preface = self._preface[len(start) :]
        self._asked += data[len(start) :]
        passed = bytearray(start)
        while (frame := _take(self._asked, passed)) is not None:
            if self._block is not None and not isinstance(frame, ContinuationFrame):
                raise invalid("a session with a header block that is cut short")
            if isinstance(frame, HeadersFrame):
                self._block = (frame.stream_id, bytearray(frame.data))
            elif isinstance(frame, ContinuationFrame):
                if self._block is None or self._block[0] != frame.stream_id:
                    raise invalid("a session with a header block out of place")
                self._block[1].extend(frame.data)
            else:
                continue
            if "END_HEADERS" in frame.flags:
                self._opened(*self._block)
                self._block = None
        return bytes(passed)

    def _opened(self, stream: int, block: bytearray) -> None:
        try:
            fields = self._headers.decode(bytes(block), raw=True)
        except hpack.HPACKError as error:
            raise invalid("a session with malformed headers") from error
        if stream <= self._last:
            return  # trailers
        self._last = stream
        said = {bytes(name): bytes(value) for name, value, *_ in fields}
        if said.get(b":path", b"").decode("latin-1").startswith(_FILES):
            self._messages[stream] = bytearray()
            if self._stages and said.get(b"dir-name", _DOCKERFILE) == _DOCKERFILE:
                self._dockerfiles[stream] = {}

    def from_client(self, data: bytes) -> bytes:
        """Look at the files."""
        self._said += data
        passed = bytearray()
        while (frame := _take(self._said, passed)) is not None:
            if isinstance(frame, PushPromiseFrame):
                raise invalid("a session that pushes")
            if frame.stream_id > self._last:
                raise invalid("a session that answers what was not asked")
            if isinstance(frame, DataFrame) and frame.stream_id in self._messages:
                self._look(frame.stream_id, frame.data)
        return bytes(passed)

    def _look(self, stream: int, data: bytes) -> None:
        """Look at the messages that are whole now; leave the beginning of the next."""
        held = self._messages[stream]
        held += data
        while len(held) >= _PREFIX:
            size = int.from_bytes(held[1:_PREFIX], "big")
            if held[0] or size > MAX_MESSAGE:
                raise refused("files of a build in a compressed or too large message")
            if len(held) < _PREFIX + size:
                return
            packet = decode(bytes(held[_PREFIX : _PREFIX + size]), _PACKET)
            if not packet.get("type", 0) & _KIND:
                if stream in self._named:
                    raise invalid("a build's file is named after the last one")
                if "stat" not in packet:
                    self._named.add(stream)
            require_harmless(packet)
            if stream in self._dockerfiles and packet.get("type", 0) & _KIND == _DATA:
                self._read(self._dockerfiles[stream], packet)
            del held[: _PREFIX + size]

    @staticmethod
    def _read(files: dict[int, bytearray], packet: dict[str, Any]) -> None:
        """Look at a Dockerfile when it is whole; the daemon does not read it before."""
        number, part = packet.get("ID", 0), packet.get("data", b"")
        content = files.setdefault(number, bytearray())
        content += part
        if sum(map(len, files.values())) > _LONGEST:
            raise refused("the Dockerfile is too large")
        if not part and has_no_stage(bytes(files.pop(number))):
            raise refused("a Dockerfile without FROM would end this engine", "Begin with FROM.")


def _take(buffer: bytearray, passed: bytearray) -> Frame | None:
    """Move a whole frame from what has arrived to what may go on, and return it."""
    if len(buffer) < _HEAD:
        return None
    size = int.from_bytes(buffer[:3], "big")
    if size > MAX_FRAME:
        raise invalid("a session with a frame that is too large")
    if len(buffer) < _HEAD + size:
        return None
    raw = bytes(buffer[: _HEAD + size])
    try:
        frame, _ = Frame.parse_frame_header(memoryview(raw)[:_HEAD])
        frame.parse_body(memoryview(raw)[_HEAD:])
    except (hyperframe.exceptions.HyperframeError, ValueError) as error:
        raise invalid("a session with a malformed frame") from error
    passed += raw
    del buffer[: _HEAD + size]
    return frame


def require_harmless(packet: dict[str, Any]) -> None:
    """Refuse a packet that names something outside of the directory that is sent.

    Args:
        packet: fsutil's Packet.

    Raises:
        Denied: it does.
    """
    found = packet.get("stat")
    if not found:
        return  # contents, or the end of the names
    path, link = found.get("path", b""), found.get("linkname", b"")
    if found.get("mode", 0) & _DEVICE:
        # The daemon would open it if it was called Dockerfile, and say what is in it.
        raise refused(f"the build's file {path[:100]!r} is a device", "List it in .dockerignore.")
    hard = link and not found.get("mode", 0) & _LINK
    for name in [path, link] if hard else [path]:
        if b"\0" in name or any(part in {b"", b".", b".."} for part in name.split(b"/")):
            raise refused(f"the build's file {name[:100]!r} is outside of its context")
    for pair in found.get("xattrs", []):
        # An overlay's own, which tell it where a directory's files are.
        if pair.get("key", b"").startswith(b"trusted."):
            raise refused(f"the attribute {pair['key'][:60]!r} of a build's file is the host's")
