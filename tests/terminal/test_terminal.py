"""One session on one terminal."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.running.program import Claudy
    from tests.running.terminal import Terminal

CTRL_C, CTRL_D, CTRL_P, CTRL_Q, CTRL_Z = "\x03", "\x04", "\x10", "\x11", "\x1a"


@pytest.fixture(params=["first", "joined"])
def terminal(request: pytest.FixtureRequest, claudy: Claudy, project: Path) -> Iterator[Terminal]:
    """Return a terminal with a shell: of a new sandbox, or of one that another session started."""
    if request.param == "first":
        with claudy.terminal(cwd=project) as terminal:
            terminal.prompt()
            yield terminal
        return
    with claudy.terminal(cwd=project) as first:
        first.prompt()
        with claudy.terminal(cwd=project) as terminal:
            terminal.prompt()
            yield terminal
        first.enter("exit")
        assert first.end() == (0, None)


def test_the_shell_is_in_the_workspace_and_its_exit_code_is_claudy_s(terminal: Terminal) -> None:
    terminal.enter("pwd; tty")
    terminal.expect("/workspace\r\n/dev/pts/")
    terminal.prompt()
    terminal.enter("exit 7")

    assert terminal.end() == (7, None)


@pytest.mark.parametrize("joined", [False, True])
def test_the_size_is_right_at_once_and_after_a_resize(
    claudy: Claudy, project: Path, *, joined: bool
) -> None:
    # Until it is so, because keys may overtake a resize: the engine takes them on two connections.
    wait = "until stty size | grep -x '45 132'; do sleep 0.02; done"
    ask = ["--", "sh", "-c", f"stty size; {wait}"]
    with claudy.terminal(cwd=project) as first:
        first.prompt()
        if not joined:
            first.enter("exit")
            first.end()
        with claudy.terminal(*ask, cwd=project, size=(31, 97)) as terminal:
            terminal.expect("31 97\r\n")
            terminal.resize(45, 132)
            terminal.expect("45 132\r\n")
            assert terminal.end() == (0, None)


def test_a_full_screen_program_hears_of_a_resize(terminal: Terminal) -> None:
    program = "trap 'stty size' WINCH; echo re''ady; while :; do sleep 0.05; done"
    terminal.enter(f'sh -c "{program}"')
    terminal.expect("ready\r\n")
    terminal.resize(52, 111)
    terminal.expect("52 111\r\n")
    terminal.type(CTRL_C)
    terminal.prompt()
    terminal.enter("exit")

    assert terminal.end() == (130, None)


def test_ctrl_c_interrupts_the_program_inside_and_nothing_else(
    terminal: Terminal, claudy: Claudy, project: Path
) -> None:
    terminal.enter("sleep 1001")
    claudy.sandboxes(project).wait_process("sleep 1001", state="S+")
    terminal.type(CTRL_C)
    terminal.prompt()
    terminal.enter("echo code-$?")
    terminal.expect("code-130")
    terminal.prompt()
    terminal.type("half a line")
    terminal.expect("half a line")  # what the shell has not read yet, Ctrl-C would drop
    terminal.type(CTRL_C)
    terminal.prompt()
    terminal.enter("exit 3")

    assert terminal.end() == (3, None)


def test_ctrl_z_stops_the_program_inside_and_fg_goes_on(
    terminal: Terminal, claudy: Claudy, project: Path
) -> None:
    sandboxes = claudy.sandboxes(project)
    terminal.enter("sleep 1002")
    sandboxes.wait_process("sleep 1002", state="S+")
    terminal.type(CTRL_Z)
    terminal.expect("Stopped")
    terminal.prompt()
    sandboxes.wait_process("sleep 1002", state="T")
    terminal.enter("fg")
    sandboxes.wait_process("sleep 1002", state="S+")
    terminal.type(CTRL_C)
    terminal.prompt()
    terminal.enter("exit 0")

    assert terminal.end() == (0, None)


def test_ctrl_p_recalls_at_once_and_no_keys_detach(terminal: Terminal) -> None:
    terminal.enter("echo remember-$((40+2))")
    terminal.expect("remember-42")
    terminal.prompt()
    terminal.type(CTRL_P)
    terminal.expect("echo remember-$((40+2))")  # before any other key is pressed
    terminal.type(CTRL_C)
    terminal.prompt()
    terminal.enter("stty raw -echo; echo rea''dy; head -c 2 | od -An -tx1; stty sane")
    terminal.expect("ready")
    terminal.type(CTRL_P + CTRL_Q)
    terminal.expect(" 10 11")
    terminal.prompt()
    terminal.enter("exit 5")

    assert terminal.end() == (5, None)


def test_every_key_reaches_the_program_inside(terminal: Terminal) -> None:
    keys = "".join(map(chr, range(1, 128))) + "é☃"
    count = len(keys.encode())
    terminal.enter(f"stty raw -echo; echo rea''dy; head -c {count} | od -An -v -tx1; stty sane")
    terminal.expect("ready")
    terminal.type(keys)
    got = ""
    while len(bytes.fromhex(got)) < count:
        terminal.expect("\n")
        got += terminal.shown
    assert bytes.fromhex(got) == keys.encode()
    terminal.prompt()
    terminal.enter("exit 0")

    assert terminal.end() == (0, None)


def test_the_end_of_input_ends_the_shell(terminal: Terminal) -> None:
    terminal.type(CTRL_D)

    assert terminal.end() == (0, None)


def test_a_long_paste_arrives_whole(terminal: Terminal) -> None:
    lines = [f"line {number} of what is pasted" for number in range(2000)]
    terminal.enter("echo rea''dy; cat > pasted; md5sum < pasted; wc -l < pasted")
    terminal.expect("ready")
    terminal.paste("".join(f"{line}\r" for line in lines) + CTRL_D)
    wanted = hashlib.md5("".join(f"{line}\n" for line in lines).encode(), usedforsecurity=False)
    terminal.expect(wanted.hexdigest())
    terminal.expect("2000\r\n")
    terminal.enter("exit")

    assert terminal.end() == (0, None)


def test_output_is_shown_while_a_paste_waits_to_be_read(terminal: Terminal, project: Path) -> None:
    # Nobody reads the paste until every buffer on its way is full; then more is printed than fits
    # into those of the other direction. Who waits for one of the two alone waits for ever.
    program = "echo rea''dy; until [ -e go ]; do sleep 0.02; done; seq 300000"
    terminal.enter(f"stty raw -echo; {program}; head -c 2000000 | wc -c; stty sane")
    terminal.expect("ready")
    rest = terminal.paste("x" * 2_000_000, until_full=True)
    assert rest
    (project / "go").touch()
    terminal.paste(rest)
    terminal.expect("\n300000\n2000000\n")
    terminal.prompt()
    terminal.enter("exit")

    assert terminal.end() == (0, None)


def test_a_background_process_does_not_hold_up_the_exit(
    terminal: Terminal, claudy: Claudy, project: Path
) -> None:
    terminal.enter("setsid sh -c 'while :; do sleep 901; done' & disown; echo started-$((40+2))")
    terminal.expect("started-42")
    claudy.sandboxes(project).wait_process("sleep 901")
    terminal.enter("exit 4")

    assert terminal.end() == (4, None)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["false"], 1),
        (["sh", "-c", "exit 125"], 125),
        (["/etc/passwd"], 126),
        (["no-such-command"], 127),
        (["sh", "-c", "kill -TERM $$"], 143),
        (["sh", "-c", "kill -KILL $$"], 137),
    ],
)
@pytest.mark.parametrize("joined", [False, True])
def test_a_command_s_exit_code_is_claudy_s(
    claudy: Claudy, shared: Path, project: Path, command: list[str], code: int, *, joined: bool
) -> None:
    with claudy.terminal("--", *command, cwd=shared if joined else project) as terminal:
        assert terminal.end() == (code, None)


def test_what_is_typed_after_the_session_goes_to_the_shell_outside(
    claudy: Claudy, project: Path
) -> None:
    shell = ["sh", "-c", "PS1='outer> ' exec bash --norc --noediting -i"]
    with claudy.on_terminal(shell, cwd=project) as terminal:
        terminal.expect("outer> ")
        before = terminal.modes()
        terminal.enter(" ".join(claudy.command))
        terminal.prompt()
        terminal.enter("exit 9")
        terminal.wait_modes(before)
        terminal.enter("echo code-$? outer-$((40+2))")
        terminal.expect("code-9 outer-42")
        terminal.expect("outer> ")
        terminal.enter("exit")

        assert terminal.end() == (0, None)


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_without_colour_no_escape_sequences_are_printed(
    claudy: Claudy, project: Path, variables: dict[str, str]
) -> None:
    plain = claudy.with_environment(**variables)
    line = ("--docker", "host", "--", "sh", "-c", 'echo "inside $TERM"')
    with plain.terminal(*line, cwd=project) as terminal:
        terminal.expect(f"inside {variables.get('TERM', 'xterm')}\r\n")
        assert "root-equivalent" in terminal.shown or "root on the host" in terminal.shown
        assert "\x1b" not in terminal.shown
        assert terminal.end() == (0, None)


def test_notices_have_a_colour_on_a_terminal(claudy: Claudy, project: Path) -> None:
    with claudy.terminal("--docker", "host", "--", "echo", "done", cwd=project) as terminal:
        terminal.expect("done\r\n")
        assert "\x1b[" in terminal.shown
        assert terminal.end() == (0, None)


def test_a_file_as_input_on_a_terminal_is_passed_through(claudy: Claudy, project: Path) -> None:
    (project / "input").write_text("from the file\n")
    line = f"{' '.join(claudy.command)} -- cat < input; echo code-$?"
    with claudy.on_terminal(["sh", "-c", line], cwd=project) as terminal:
        terminal.expect("from the file\r\n")
        terminal.expect("code-0")
        assert terminal.end() == (0, None)


def test_no_input_on_a_terminal_ends_a_shell_at_once(claudy: Claudy, project: Path) -> None:
    line = f"{' '.join(claudy.command)} < /dev/null; echo code-$?"
    with claudy.on_terminal(["sh", "-c", line], cwd=project) as terminal:
        terminal.expect("code-0")
        assert terminal.end() == (0, None)


def test_in_the_background_claudy_is_not_stopped(claudy: Claudy, project: Path) -> None:
    line = f"{' '.join(claudy.command)} -- echo from the background & wait $!; echo code-$?"
    with claudy.on_terminal(["bash", "-mc", line], cwd=project) as terminal:
        terminal.expect("from the background")
        terminal.expect("code-0")
        assert terminal.end() == (0, None)


@pytest.mark.once
def test_a_slow_engine_is_waited_for_with_a_word(claudy: Claudy, project: Path, hang: str) -> None:
    with claudy.with_environment(DOCKER_HOST=hang).terminal("--", "true", cwd=project) as terminal:
        terminal.expect("Waiting for the engine at")
        assert terminal.end() == (125, None)
