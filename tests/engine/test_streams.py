"""Without a terminal: standard input, output and error are pipes, byte for byte."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.engines.shell import wait_for
from tests.running.fixtures import LINGERING
from tests.running.program import SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.running.program import Claudy

EVERY_BYTE = bytes(range(256)) * 16
GIGABYTE = 1 << 30
MEMORY_LIMIT_KB = 32 * 1024
"""claudy's own high-water mark is about 13 MB; a block more or less is no news, a buffer is."""


@pytest.fixture(params=["first", "joined"])
def place(request: pytest.FixtureRequest) -> Path:
    """Return a project without a sandbox, or one whose sandbox runs: two ways to carry streams."""
    path: Path = request.getfixturevalue("project" if request.param == "first" else "shared")
    return path


def test_standard_input_is_piped_through(claudy: Claudy, place: Path) -> None:
    done = claudy.run("--", "cat", cwd=place, input=EVERY_BYTE)

    assert (done.code, done.out) == (0, EVERY_BYTE)


def test_empty_standard_input_ends_at_once(claudy: Claudy, place: Path) -> None:
    done = claudy.run("--", "wc", "-c", cwd=place, input=b"")

    assert (done.code, done.out) == (0, b"0\n")


def test_a_file_as_standard_input(claudy: Claudy, place: Path, tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(EVERY_BYTE)
    with (tmp_path / "input").open("rb") as file:
        done = claudy.run("--", "sha256sum", cwd=place, stdin=file)

    assert (done.code, done.text.split()[0]) == (0, hashlib.sha256(EVERY_BYTE).hexdigest())


@pytest.mark.parametrize(
    ("closed", "command", "out"),
    [
        ("<&-", "cat; echo out; echo err >&2", b"out\n"),
        (">&-", "cat; echo out; echo err >&2", b""),
        ("2>&-", "cat; echo out; echo err >&2", b"out\n"),
        ("<&- >&- 2>&-", "exit 6", b""),
    ],
)
def test_a_closed_stream_is_an_empty_one(
    claudy: Claudy, place: Path, closed: str, command: str, out: bytes
) -> None:
    line = f'"$@" {closed}'
    with subprocess.Popen(
        ["sh", "-c", line, "sh", *claudy.argv("--", "sh", "-c", command)],
        cwd=place, env=claudy.environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        got, said = process.communicate(timeout=SECONDS)

    assert (process.returncode, got) == (6 if "exit" in command else 0, out)
    assert (b"err\n" in said) == ("2>&-" not in closed and "exit" not in command)
    assert b"Unexpected" not in said


def test_standard_output_and_error_are_apart(claudy: Claudy, place: Path) -> None:
    script = "for n in 1 2 3; do echo out $n; echo err $n >&2; done"
    done = claudy.run("-q", "--", "sh", "-c", script, cwd=place)

    assert (done.code, done.out) == (0, b"out 1\nout 2\nout 3\n")
    assert done.err == b"err 1\nerr 2\nerr 3\n"


def test_binary_data_passes_both_ways_unchanged(claudy: Claudy, place: Path) -> None:
    data = random.Random(7).randbytes(5_000_000) + EVERY_BYTE  # noqa: S311 - not a secret
    script = "tee /dev/stderr | cat"

    done = claudy.run("-q", "--", "sh", "-c", script, cwd=place, input=data)

    assert done.code == 0
    assert done.out == data
    assert done.err == data


def test_what_looks_like_the_end_of_a_session_is_only_output(claudy: Claudy, place: Path) -> None:
    fake = b"\x1b]claudy;" + b"0" * 32 + b";0\x07 \x1b]claudy;\x1b]\x1b"
    done = claudy.run("--", "cat", cwd=place, input=fake * 1000)

    assert (done.code, done.out) == (0, fake * 1000)


@pytest.mark.parametrize(("where", "size"), [("project", GIGABYTE), ("shared", GIGABYTE // 4)])
def test_a_gigabyte_in_and_out_at_once_in_constant_memory(
    claudy: Claudy, request: pytest.FixtureRequest, where: str, size: int
) -> None:
    place = request.getfixturevalue(where)
    with (
        subprocess.Popen(["head", "-c", str(size), "/dev/zero"], stdout=subprocess.PIPE) as source,
        claudy.start("--", "cat", cwd=place, stdin=source.stdout) as process,
    ):
        assert source.stdout
        source.stdout.close()
        count, most = count_bytes(process)
        _, said = process.communicate(timeout=SECONDS)

    assert (process.returncode, count) == (0, size), said
    assert 0 < most < MEMORY_LIMIT_KB


def count_bytes(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    """Read all output and return its length, and the high-water mark of memory in kB."""
    assert process.stdout
    status = Path(f"/proc/{process.pid}/status")
    count = most = 0
    while block := os.read(process.stdout.fileno(), 1 << 20):
        count += len(block)
        if count % (1 << 26) < len(block):
            lines = status.read_text().splitlines()
            most = max(most, *(int(line.split()[1]) for line in lines if "VmHWM" in line))
    return count, most


def test_the_engine_keeps_no_copy_of_what_passes(claudy: Claudy, project: Path) -> None:
    with claudy.start("--", "cat", cwd=project) as process:
        claudy.sandboxes(project).wait_process("cat")
        found = claudy.sandboxes(project).only()
        process.communicate(b"", timeout=SECONDS)

    assert found["HostConfig"]["LogConfig"]["Type"] == "none"


def test_a_reader_that_has_seen_enough_ends_the_command(claudy: Claudy, place: Path) -> None:
    with claudy.start("--", "yes", "until nobody reads", cwd=place) as process:
        assert process.stdout
        process.stdout.read(4096)
        process.stdout.close()

        assert process.wait(SECONDS) == 141
    claudy.sandboxes(place).wait_no_process("until nobody reads", LINGERING)


@pytest.mark.parametrize("gone", ["stdout", "stderr"])
def test_a_reader_gone_before_the_first_word(claudy: Claudy, place: Path, gone: str) -> None:
    script = "echo to nobody; echo to nobody >&2; exit 3"
    with claudy.start("--", "sh", "-c", script, cwd=place) as process:
        getattr(process, gone).close()
        process.communicate(timeout=SECONDS)

    assert process.returncode in {3, 141}


def test_a_slow_reader_that_does_not_block_gets_everything(claudy: Claudy, place: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)  # as programs leave it that share the pipe with an event loop
    with claudy.start("--", "seq", "200000", cwd=place, stdout=writer) as process:
        os.close(writer)
        wait_for(lambda: pipe_is_full(reader), SECONDS, "the pipe to be full")
        with os.fdopen(reader, "rb") as output:
            got = output.read()
        _, said = process.communicate(timeout=SECONDS)

    assert process.returncode == 0, said
    assert got == b"".join(b"%d\n" % number for number in range(1, 200001))


def pipe_is_full(reader: int) -> bool:
    """Tell whether a pipe has no room for a page."""
    import fcntl
    import termios

    held = int.from_bytes(fcntl.ioctl(reader, termios.FIONREAD, b"\0" * 4), "little")
    return held >= fcntl.fcntl(reader, fcntl.F_GETPIPE_SZ) - 8192


def test_the_session_ends_while_standard_input_stays_open(claudy: Claudy, place: Path) -> None:
    with claudy.start("--", "sh", "-c", "read line; exit 4", cwd=place) as process:
        assert process.stdin
        process.stdin.write(b"a line\n")

        assert process.wait(SECONDS) == 4


def test_what_comes_after_the_end_is_left_for_the_next_reader(claudy: Claudy, place: Path) -> None:
    reader, writer = os.pipe()
    with claudy.start("--", "head", "-c", "5", cwd=place, stdin=reader) as process:
        os.write(writer, b"first")
        out, _ = process.communicate(timeout=SECONDS)
    os.write(writer, b"second")
    os.close(writer)

    with os.fdopen(reader, "rb") as rest:
        assert rest.read() == b"second"
    assert (process.returncode, out) == (0, b"first")


def test_a_background_writer_does_not_hold_up_the_end(claudy: Claudy, place: Path) -> None:
    script = "(while :; do echo late; sleep 0.01; done) & echo early; exit 5"
    done = claudy.run("--", "sh", "-c", script, cwd=place)

    assert done.code == 5
    assert done.out.startswith(b"early\n") or done.out.startswith(b"late\n")


def test_output_that_is_not_read_does_not_stop_standard_input(claudy: Claudy, place: Path) -> None:
    data = os.urandom(3_000_000)
    with claudy.start("--", "sh", "-c", "seq 300000; wc -c >&2", cwd=place) as process:
        assert process.stdin
        writer = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=process.stdin)
        with writer:
            assert writer.stdin
            process.stdin.close()
            out, said = b"", b""
            assert process.stdout
            assert process.stderr
            # Everything is read first, then the input comes.
            while not out.endswith(b"\n300000\n"):
                out += os.read(process.stdout.fileno(), 65536)
            writer.stdin.write(data)
            writer.stdin.close()
            said = process.stderr.read()

    assert said.endswith(b"3000000\n")
    assert process.returncode == 0


@pytest.fixture
def pinned(claudy: Claudy, project: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Return a first session that no longer ends its container, because others have joined."""
    script = "cat; (while :; do echo late; echo late >&2; sleep 0.01; done) & exit 9"
    with claudy.start("--", "sh", "-c", script, cwd=project) as first:
        claudy.sandboxes(project).wait_process("cat")
        with claudy.start("--", "cat", cwd=project) as second:
            assert second.stdin
            assert second.stdout
            second.stdin.write(b"here\n")
            assert second.stdout.read(5) == b"here\n"
            yield first
            second.stdin.close()
            assert second.wait(SECONDS) == 0


def test_the_first_session_ends_while_its_background_jobs_write_on(
    pinned: subprocess.Popen[bytes],
) -> None:
    out, said = pinned.communicate(EVERY_BYTE, timeout=SECONDS)

    assert pinned.returncode == 9
    assert out.startswith(EVERY_BYTE)
    assert b"\x1b" not in out[len(EVERY_BYTE) :]
    assert b"\x1b" not in said
