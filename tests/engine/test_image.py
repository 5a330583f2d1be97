"""The bundled image itself: its size, its conventions, and that what sessions need works in it."""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.engines.engine import Engine
    from tests.running.program import Claudy

ROOT = Path(__file__).parents[2]
SIZE = 277_400_000
"""Bytes of the image on amd64. Change it only with a reason in the commit's message."""
MINUTES = 600
CLI_VERSION = re.compile(r"Docker version 26\.1\.\d")


@pytest.fixture(scope="module")
def image(claudy: Claudy) -> str:
    """Return the reference of the bundled image, built if it is not there."""
    done = claudy.run("build-image", cwd="/", timeout=MINUTES)
    assert done.code == 0, done.said
    return done.text.strip()


@pytest.fixture
def inside(engine: Engine, image: str, label: str) -> Any:
    """Return a function that runs a shell script in the image and returns what it printed."""

    def run(script: str, *options: str) -> str:
        command = ("run", "--rm", "--label", label, *options, image, "bash", "-c", script)
        return engine.cli(*command).stdout

    return run


def inspect(engine: Engine, image: str) -> Any:
    """Return what the engine knows of an image."""
    return engine.api.request("GET", f"/images/{image}/json")


def test_it_does_not_grow(engine: Engine, image: str) -> None:
    assert inspect(engine, image)["Size"] < SIZE * 1.05


@pytest.mark.parametrize("name", ["README-CLAUDY.md", "docs/image.md"])
def test_the_documents_say_how_big_it_is(name: str) -> None:
    assert f"{SIZE / 1e6:.0f} MB" in (ROOT / name).read_text()


def test_its_configuration_is_the_contract(engine: Engine, image: str) -> None:
    config = inspect(engine, image)["Config"]
    assert not config["Entrypoint"]
    assert config["Cmd"] == ["bash"]
    assert config["User"] == "dev"
    assert config["WorkingDir"] == "/workspace"
    assert "LANG=C.UTF-8" in config["Env"]
    assert config["Labels"]["claudy.image"] == "hal9000"
    assert config["Labels"].keys() >= {"claudy.version", "claudy.created"}


def test_the_user_is_an_ordinary_one(inside: Any) -> None:
    assert inside("id; echo ~").splitlines() == [
        "uid=1000(dev) gid=1000(dev) groups=1000(dev)",
        "/home/dev",
    ]


def test_the_tools_run_and_the_pinned_one_has_its_version(inside: Any) -> None:
    found = inside(
        "docker --version && docker compose version && docker buildx version && git --version"
        " && curl --version && ssh -V 2>&1 && less --version && ps --version && nano --version"
        " && bash --version && sudo --version"
    )
    assert CLI_VERSION.search(found)
    for name in ("Docker Compose version 2", "buildx 0.", "git version 2", "curl 8", "OpenSSH_"):
        assert name in found


def test_it_works_for_any_user_id(inside: Any) -> None:
    script = "cd /workspace && git init -q x && cd x && docker --version && id -u && git status -sb"
    lines = inside(script, "--user", "54321:54322").splitlines()
    assert lines[1:] == ["54321", "## No commits yet on master"]


def test_git_works_without_the_packages_that_it_was_repacked_without(inside: Any) -> None:
    script = """
        set -e
        cd /tmp
        git init -q a && cd a && git config user.email a@b && git config user.name a
        echo one >file && git add file && git commit -qm one && echo two >>file
        printf 'y\\nq\\n' | git add --patch >/dev/null
        git commit -qm two && git rebase -q --root && git stash list
        git clone -q . ../b && cd ../b && git submodule add -q ../a sub 2>&1 || true
        git -c protocol.file.allow=always submodule add -q /tmp/a sub
        git log --oneline | wc -l
        git ls-remote https://127.0.0.1:9/x 2>&1 || true
    """
    lines = inside(script).splitlines()
    assert "2" in lines
    # The helper for https is there and gets as far as the network.
    assert "Failed to connect to 127.0.0.1 port 9" in lines[-1]


def test_packages_can_be_added_and_git_with_all_its_parts(inside: Any) -> None:
    script = """
        set -e
        dpkg --audit
        apt-get check -qq
        apt-get --simulate install git | grep 'already the newest'
        apt-get update -qq
        apt-get --simulate install perl | grep '^Inst perl '
        apt-get install -qq -y --no-install-recommends hello >/dev/null 2>&1
        hello
    """
    lines = inside(script, "--user", "0").splitlines()
    assert lines[0].startswith("git is already the newest version")
    assert lines[-1] == "Hello, world!"


def test_the_users_locale_terminal_and_time_zone_are_known(inside: Any) -> None:
    script = (
        "locale >/dev/null && printf '\\xc3\\xa4' | wc -m && tput colors && date -d @0 +%H"
        " && tput -T xterm-ghostty clear >/dev/null && tput -T alacritty clear >/dev/null"
    )
    options = ("-e", "LC_ALL=de_DE.UTF-8", "-e", "TERM=xterm-kitty", "-e", "TZ=Asia/Tokyo")
    assert inside(f"({script}) 2>&1", *options).split() == ["1", "256", "09"]


def test_an_interactive_shell_has_its_prompt_history_and_completion(inside: Any) -> None:
    script = "echo 'echo \"$PS1|$PROMPT_COMMAND\"; type -t _comp_load' | bash -i 2>/dev/null"
    found = inside(script)
    assert "\\u@claudy:\\w\\$ |history -a" in found
    assert "function" in found


def test_only_members_of_the_group_may_use_sudo(inside: Any) -> None:
    assert inside("sudo -n id -u 2>&1 || true").strip().endswith("a password is required")
    assert inside("sudo -n id -u", "--group-add", "claudy-sudo") == "0\n"


def test_the_session_holder_is_where_the_launcher_expects_it(inside: Any) -> None:
    assert inside("stat -c '%a %U' /usr/libexec/claudy/init; ls /usr/libexec/claudy").split() == [
        "755",
        "root",
        "init",
    ]
    # Exit code of the command that it starts.
    assert inside("/usr/libexec/claudy/init '' '' '' sh -c 'exit 7'; echo $?").strip() == "7"


def test_docker_inside_is_the_host_daemon(engine: Engine, inside: Any) -> None:
    if engine.place and engine.place.kind == "userns":
        pytest.skip("the socket belongs to nobody under userns-remap")
    socket = f"{engine.socket}:/var/run/docker.sock"
    version = inside("docker version --format '{{.Server.Version}}'", "-v", socket, "--user", "0")
    assert version.startswith(engine.version)


def test_another_version_of_the_tool_fails_the_build(claudy: Claudy) -> None:
    done = claudy.run(
        "build-image", "--build-arg", "DOCKER_CLI_VERSION=1.2.3", cwd="/", timeout=MINUTES
    )
    assert done.code == 125
    assert "claudy: no docker-cli 1.2.3 in the package sources, which have:" in done.said
    assert "failed at step" in done.said


@pytest.mark.parametrize(
    ("wanted", "code"),
    [("26.1", 0), ("26.1.5", 0), ("26", 0), ("26.1.4", 1), ("6.1.5", 1), ("2", 1)],
)
def test_the_verification_is_of_the_tool_that_is_there(
    engine: Engine, image: str, label: str, wanted: str, code: int
) -> None:
    script = (ROOT / "docker/verify-versions").read_text()
    command = ("run", "--rm", "-i", "--label", label, image, "sh", "-s", wanted)
    done = engine.cli(*command, input=script, check=False)
    assert done.returncode == code, done.stderr
    assert ("claudy: the docker command line tool is version" in done.stderr) == bool(code)


def test_the_verification_misses_a_library_of_git(engine: Engine, image: str, label: str) -> None:
    script = "rm /usr/lib/*/libcurl-gnutls.so.4*\n" + (ROOT / "docker/verify-versions").read_text()
    command = ("run", "--rm", "-i", "--user", "0", "--label", label, image, "sh", "-s", "26.1")
    done = engine.cli(*command, input=script, check=False)
    assert done.returncode == 1
    assert "claudy: /usr/lib/git-core/git-remote-https lacks a library" in done.stderr


def test_it_builds_under_buildkit_too(engine: Engine, label: str, image: str) -> None:
    if not engine.place:
        pytest.skip("needs a docker CLI with BuildKit, which the test engines have")
    name = f"claudy-test-buildkit:{label.rpartition('-')[2]}"
    done = subprocess.run(
        [
            engine.program, "build", "--label", label, "--tag", name, "--no-cache",
            "--progress", "plain", "--file", str(ROOT / "docker/Dockerfile.hal9000"),
            str(ROOT / "docker"),
        ],
        env=engine.environment | {"DOCKER_BUILDKIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "#1 [internal] load" in done.stderr  # it was BuildKit that built
    built, classic = inspect(engine, name), inspect(engine, image)
    assert abs(built["Size"] - classic["Size"]) < 100_000
    for key in ("User", "WorkingDir", "Cmd", "Env"):
        assert built["Config"][key] == classic["Config"][key]
    mode = engine.cli("run", "--rm", "--label", label, name, "stat", "-c", "%a", "/usr/bin/sudo")
    assert mode.stdout == "4755\n"


# -- as it is shipped --------------------------------------------------------------------------


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty environment with nothing but the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv")
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "venv"), "install", "--no-compile"]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True, cwd=folder)
    return folder / "venv"


@pytest.mark.once
def test_the_wheel_names_and_finds_the_same_image(
    claudy: Claudy, image: str, installed: Path
) -> None:
    shipped = replace(claudy, command=(str(installed / "bin/claudy"),))
    done = shipped.run("build-image", "--check", cwd="/")
    assert (done.code, done.text) == (0, f"{image} is up to date\n"), done.said


@pytest.mark.once
@pytest.mark.first(1)
def test_the_wheel_alone_builds_the_image(
    claudy_without_image: Claudy, engine: Engine, label: str, installed: Path
) -> None:
    """Where the engine has the image already it is another one that is built, and goes again."""
    (shipped,) = installed.glob("lib/python3*/site-packages/claudy/_docker/Dockerfile.hal9000")
    text = shipped.read_text()
    command = replace(claudy_without_image, command=(str(installed / "bin/claudy"),))
    there = command.run("build-image", "--check", cwd="/").code == 0
    if there:
        shipped.write_text(f"{text}LABEL {label}\n")
    try:
        assert command.run("build-image", "--check", cwd="/").code == 1
        done = command.run("build-image", cwd="/", timeout=MINUTES)
        assert done.code == 0, done.said
        config = inspect(engine, done.text.strip())["Config"]
        assert config["Labels"]["claudy.image"] == "hal9000"
        name, _, value = label.partition("=")
        assert config["Labels"].get(name) == (value if there else None)
        assert command.run("build-image", "--check", cwd="/").code == 0
    finally:
        shipped.write_text(text)
    if there:
        assert command.run("build-image", "--check", cwd="/").code == 0


@pytest.mark.once
@pytest.mark.usefixtures("engine")
def test_the_wheel_holds_every_file_of_the_image(installed: Path) -> None:
    (folder,) = installed.glob("lib/python3*/site-packages/claudy/_docker")
    tree = {path.name: path.read_bytes() for path in (ROOT / "docker").iterdir() if path.is_file()}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == tree
