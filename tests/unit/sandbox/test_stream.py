"""What carries a session's bytes: the end mark however it is cut, and frames on real sockets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudy.containers.logs import split_frames
from claudy.sandbox.stream import Marks

if TYPE_CHECKING:
    from collections.abc import Iterator

SESSION = "0123456789abcdef"
MARK = f"\x1b]claudy;{SESSION};".encode()
# Much of it looks like the beginning of a mark; a whole one nobody can print by chance.
_PIECES = (
    st.lists(
        st.sampled_from(
            [b"\x1b", MARK[:3], MARK[:-1], MARK[: len(MARK) // 2], b"\x1b]", b"out\n", b"\x07"]
        )
        | st.binary(max_size=8),
        max_size=12,
    )
    .map(b"".join)
    .filter(lambda output: MARK not in output)
)
_CUTS = st.lists(st.integers(1, 30), max_size=20)


def cut(data: bytes, lengths: list[int]) -> Iterator[bytes]:
    for length in lengths:
        if data[:length]:
            yield data[:length]
        data = data[length:]
    if data:
        yield data


@given(_PIECES, _PIECES, st.integers(0, 255), _CUTS)
def test_the_marks_are_found_and_the_rest_passes(
    before: bytes, output: bytes, code: int, lengths: list[int]
) -> None:
    ready: list[bytes] = []
    passed, found = b"", None

    def on_ready() -> None:
        ready.append(passed)

    mark = Marks(SESSION, on_ready)
    for piece in cut(before + MARK + b"ready\x07" + output + MARK + b"%d\x07" % code, lengths):
        assert found is None
        out, found = mark.feed(piece)
        passed += out
    assert found == code
    assert passed == before + output
    assert len(ready) == 1
    assert before.startswith(ready[0])


@given(_PIECES, _CUTS)
def test_without_a_mark_everything_passes(output: bytes, lengths: list[int]) -> None:
    mark = Marks(SESSION)
    passed = b""
    for piece in cut(output, lengths):
        out, code = mark.feed(piece)
        assert code is None
        passed += out
    assert passed + mark.rest() == output
    assert mark.rest() == b""


@given(_PIECES, _CUTS)
def test_little_is_held_back(output: bytes, lengths: list[int]) -> None:
    mark = Marks(SESSION)
    seen = passed = 0
    for piece in cut(output, lengths):
        seen += len(piece)
        passed += len(mark.feed(piece)[0])
        assert seen - passed <= len(MARK)


def test_the_mark_of_another_session_is_output() -> None:
    other = MARK.replace(b"0123", b"9999") + b"0\x07"
    assert Marks(SESSION).feed(other) == (other, None)


@pytest.mark.parametrize("word", [b"abc\x07", b"1234567\x07", b"", b"ready", b"x" * 9, b"-1\x07"])
def test_what_only_begins_as_a_mark_is_output(word: bytes) -> None:
    """A program of the session can write it; it neither ends the session nor holds it up."""
    ready: list[int] = []
    mark = Marks(SESSION, lambda: ready.append(1))
    text = (MARK + word) * 3 + b" and more of it"
    out, code = mark.feed(text)
    assert code is None
    assert out + mark.rest() == text
    assert not ready


def test_it_is_ready_once_and_however_often_that_is_said() -> None:
    ready: list[int] = []
    mark = Marks(SESSION, lambda: ready.append(1))
    assert mark.feed((MARK + b"ready\x07") * 5000 + b"x") == (b"x", None)
    assert ready == [1]


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=300)), max_size=8), _CUTS)
def test_frames_are_split(frames: list[tuple[int, bytes]], lengths: list[int]) -> None:
    stream = b"".join(
        bytes([target, 0, 0, 0]) + len(data).to_bytes(4, "big") + data for target, data in frames
    )
    found: dict[int, bytes] = {1: b"", 2: b""}
    for target, data in split_frames(cut(stream, lengths)):
        found[target] += data
    for target in (1, 2):
        assert found[target] == b"".join(data for at, data in frames if at == target)


def test_a_session_without_a_terminal_is_carried() -> None:
    """In a process of its own: standard input, output and error are its real ones."""
    script = (
        "import socket, sys\n"
        "from claudy.sandbox.stream import Carrier\n"
        "sock = socket.socket(fileno=int(sys.argv[1]))\n"
        f"carrier = Carrier(sock, b'', tty=False, stdin=True, mark={SESSION!r}, on_ready=print)\n"
        "code = carrier.run()\n"
        "sys.exit(100 + code)\n"
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = subprocess.Popen(
            [sys.executable, "-c", script, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=os.getcwd(),
        )
        theirs.close()
        assert child.stdin
        child.stdin.write(b"typed\n")
        child.stdin.close()
        got = b""
        while data := ours.recv(100):  # until the end of standard input has come through, too
            got += data
        assert got == b"typed\n"
        mark = MARK + b"7\x07"
        for target, data in ((1, b"to out"), (2, b"to err"), (1, mark), (2, mark)):
            ours.sendall(bytes([target, 0, 0, 0]) + len(data).to_bytes(4, "big") + data)
        assert child.stdout
        assert child.stderr
        assert child.stdout.read() == b"to out"
        assert child.stderr.read() == b"to err"
        assert child.wait() == 107
        child.stdout.close()
        child.stderr.close()


@pytest.mark.parametrize("begins", [True, False])
def test_an_exec_takes_input_and_gives_output_once_it_has_begun(begins: bool) -> None:
    """What comes before is the engine's; who opens the session anew finds all of the input."""
    script = (
        "import os, socket, sys\n"
        "from claudy.sandbox.stream import Carrier\n"
        "sock = socket.socket(fileno=int(sys.argv[1]))\n"
        f"carrier = Carrier(sock, b'', tty=False, stdin=True, mark={SESSION!r})\n"
        "carrier.run()\n"
        "print(carrier.begun, os.read(0, 100), end='')\n"
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        argv = [sys.executable, "-c", script, str(theirs.fileno())]
        pipe = subprocess.PIPE
        with subprocess.Popen(argv, pass_fds=[theirs.fileno()], stdin=pipe, stdout=pipe) as child:
            theirs.close()
            assert child.stdin
            assert child.stdout
            child.stdin.write(b"typed\n")
            child.stdin.close()
            sent = [b"said before. "]
            if begins:
                sent += [MARK + b"ready\x07", b"and after. "]
            for data in sent:
                ours.sendall(bytes([1, 0, 0, 0]) + len(data).to_bytes(4, "big") + data)
            if begins:
                assert ours.recv(100) == b"typed\n"
            ours.shutdown(socket.SHUT_WR)
            shown = child.stdout.read()
            assert child.wait() == 0
    if begins:
        assert shown == b"said before. and after. True b''"
    else:
        assert shown == b"False b'typed\\n'"
