"""Usage errors: code 2, one message, no traceback, nothing on stdout; JSON if it was asked for."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from claudy.cli.console import Console, guarded
from claudy.errors import ClaudyError, Terminated, UsageError

ROOT = Path(__file__).parents[2]


def claudy(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    # The project neither is nor has the home directory, about which claudy would ask.
    env = {"PATH": "/usr/bin:/bin", "HOME": f"{home}-home", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "claudy", *words],
        cwd=home,
        env=env | {"DOCKER_HOST": "unix:///nonexistent.sock"} | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "words",
    [
        ["--no-such-option"],
        ["ps", "--no-such-option"],
        ["ps", "unexpected"],
        ["logs", "--tail", "many"],
        ["logs", "--tail", "-1"],
        ["stop", "--time", "soon"],
        ["stop", "--time"],
        ["--host"],
        ["config"],
        ["config", "no-such"],
        ["config", "set", "image"],
        ["config", "set", "imagee", "x"],
        ["config", "set", "cpus", "many"],
        ["completion"],
        ["completion", "tcsh"],
        ["-H", "unix:///x", "-c", "default", "ps"],
        ["ps", "-H", "not a url"],
        ["--docker", "sometimes"],
        ["no-such-directory"],
        ["./no-such-directory"],
        ["a", "b"],
        [""],
    ],
)
def test_bad_usage_is_two(tmp_path: Path, words: list[str]) -> None:
    done = claudy(tmp_path, *words)
    assert done.returncode == (125 if words[-1] == "not a url" else 2), done.stderr
    assert done.stdout == ""
    assert "claudy" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Unexpected" not in done.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["ps", "--json", "--no-such-option"], "usage"),
        (["ps", "--json", "-H", "unix:///x", "-c", "y"], "host-and-context"),
        (["config", "show", "--json"], "settings"),
        (["doctor", "--json", "no-such-check"], "usage"),
    ],
)
def test_json_is_one_object_on_bad_usage_too(tmp_path: Path, words: list[str], code: str) -> None:
    (tmp_path / ".claudy.toml").write_text("imagee = 'x'\n" if code == "settings" else "")
    done = claudy(tmp_path, *words)
    assert done.returncode == 2
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["schema"] == 1
    assert found["error"]["code"] == code
    assert found["error"]["message"]
    assert set(found["error"]) == {"code", "message", "hint"}


@pytest.mark.parametrize("now", ["gone", "a link", "wrong"])
def test_trust_is_taken_back_whatever_is_there_now(tmp_path: Path, now: str) -> None:
    file = tmp_path / ".claudy.toml"
    file.write_text('docker = "host"\n')
    assert claudy(tmp_path, "trust", "--yes").returncode == 0
    file.unlink()
    if now == "a link":
        file.symlink_to("/etc/passwd")
    elif now == "wrong":
        file.write_text("[")
    done = claudy(tmp_path, "trust", "--remove")
    assert (done.returncode, done.stderr) == (0, f"claudy: {file} is no longer trusted.\n")


def test_what_is_asked_for_is_named_in_the_question(tmp_path: Path) -> None:
    """However much of the screen one of the values takes."""
    (tmp_path / ".claudy.toml").write_text(f'docker = "host"\nenv = ["A={"x" * 9999}", "K"]\n')
    done = claudy(tmp_path, "trust")
    assert done.returncode == 2
    assert f"{tmp_path}/.claudy.toml set docker, env, as long as" in done.stderr


def test_what_the_guard_is_told_is_shown(tmp_path: Path) -> None:
    """Each setting of the guard with its value and where that is from; the guard is the default."""
    (tmp_path / ".claudy.toml").write_text("budget_memory = '1g'\nbudget_ports = 3\n")
    found = json.loads(claudy(tmp_path, "config", "show", "--json").stdout)["settings"]
    shown = claudy(tmp_path, "config", "show").stdout
    defaults = {
        "docker": "guard", "visibility": "all", "guard_runs": "auto", "build_cache": "own",
        "publish_all": False, "budget_cpus": 0, "budget_pids": 0, "budget_containers": 0,
    }  # fmt: skip
    for name, value in defaults.items():
        assert found[name] == {"value": value, "source": "default"}
        assert name in shown
    for name, value in {"budget_memory": 1 << 30, "budget_ports": 3}.items():
        assert found[name] == {"value": value, "source": str(tmp_path / ".claudy.toml")}
        assert name in shown


def test_where_a_setting_is_from_gives_the_terminal_no_orders(tmp_path: Path) -> None:
    odd = tmp_path / "a\x1b[31mb"
    odd.mkdir()
    (odd / ".claudy.toml").write_text('image = "x"\n')
    done = claudy(odd, "config", "show")
    assert (done.returncode, done.stderr) == (0, "")
    assert "a\\x1b[31mb/.claudy.toml" in done.stdout
    assert "\x1b" not in done.stdout


def test_no_engine_is_125(tmp_path: Path) -> None:
    for words in (["ps"], ["status"], ["--docker", "none", "--no-input"]):
        done = claudy(tmp_path, *words)
        assert (done.returncode, done.stdout) == (125, "")
        assert "unix:///nonexistent.sock" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_version_is_said_the_same_everywhere(tmp_path: Path) -> None:
    plain, parsed = claudy(tmp_path, "--version"), claudy(tmp_path, "run", "--version")
    assert (plain.returncode, plain.stderr) == (parsed.returncode, parsed.stderr) == (0, "")
    assert plain.stdout == parsed.stdout


def test_what_nobody_reads_is_no_error(tmp_path: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "claudy", "config", "show"],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout
        assert child.stderr
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait() in (0, 141)


@pytest.mark.parametrize(
    "words",
    [["--version"], ["--help"], ["completion", "bash"], ["config", "show"], ["config", "path"]],
    ids=" ".join,
)
def test_a_result_that_cant_be_written_is_an_error(tmp_path: Path, words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "claudy", *words],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 125
    assert done.stderr.startswith("claudy: What this prints can't be written: No space left")
    assert list(tmp_path.glob("*.log")) == []


@pytest.mark.parametrize("as_json", [False, True])
def test_the_one_catch_site(
    as_json: bool,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    console = Console({}, as_json=as_json)

    def fail(error: BaseException) -> int:
        def act() -> int:
            raise error

        return guarded(console, act)

    cases: list[tuple[BaseException, int, str]] = [
        (ClaudyError("a", "b"), 125, "error"),
        (UsageError("a"), 2, "usage"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("oh"), 125, "error"),
    ]
    for error, code, name in cases:
        assert fail(error) == code
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        if as_json:
            assert said.err == ""
            assert json.loads(said.out)["error"]["code"] == name
        else:
            assert said.out == ""
    assert fail(Terminated(15)) == 143
    assert guarded(console, lambda: 7) == 7
