"""Cases 1 to 7 of what users were promised, word for word inside a sandbox.

Images that need a container registry are replaced by stand-ins of the test engines: what is shown
is that Docker inside is the host's, not what those images do.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.engines.shell import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engines.engine import Engine
    from tests.running.program import Claudy, Done

DOCKERFILE = """\
FROM busybox:latest
COPY greeting /greeting
CMD ["cat", "/greeting"]
"""


@pytest.fixture(params=["host", "guard"])
def inside(request: pytest.FixtureRequest, claudy: Claudy, project: Path) -> Inside:
    """Return what runs a script in a fresh project's sandbox, with each way to Docker."""
    return Inside(claudy, project, str(request.param))


class Inside:
    """Runs scripts in a project's sandbox."""

    def __init__(self, claudy: Claudy, project: Path, mode: str) -> None:
        self.claudy, self.project, self.mode = claudy, project, mode

    def label(self, label: str) -> str:
        """Return the option that labels what is made; the guard keeps `claudy.*` for itself."""
        return f"--label {label}" if self.mode == "host" else ""

    def run(self, script: str) -> Done:
        """Run a shell script."""
        return self.claudy.run(
            "--docker", self.mode, "--", "sh", "-ec", script, cwd=self.project, timeout=170
        )

    def output(self, script: str) -> str:
        """Run a shell script that works and return what it prints."""
        done = self.run(script)
        assert done.code == 0, done.said
        return done.text


def write_app(project: Path) -> None:
    (project / "Dockerfile").write_text(DOCKERFILE)
    (project / "greeting").write_text("hello from my-app\n")


def test_1_build_an_image_and_run_it(inside: Inside, engine: Engine) -> None:
    name = f"my-app-{secrets.token_hex(4)}"
    write_app(inside.project)
    script = f"docker build -t {name}:latest . >/dev/null 2>&1; docker run --rm {name}:latest"
    try:
        assert inside.output(script) == "hello from my-app\n"
        on_a_terminal = f'script -qec "docker run --rm -it {name}:latest" /dev/null'
        assert inside.output(on_a_terminal).endswith("hello from my-app\r\n")
        # Case 4 and 7: the image is the host's, and so is the cache.
        assert (
            f"{name} latest" in engine.cli("images", "--format", "{{.Repository}} {{.Tag}}").stdout
        )
        built = engine.cli("image", "inspect", "--format", "{{.Id}}", name).stdout
        ask = f"docker image inspect -f '{{{{.Id}}}}' {name}"
        again = f"docker build -q -t {name}:latest . >/dev/null; {ask}"
        assert inside.output(again) == built
    finally:
        engine.cli("rmi", "-f", name, check=False)


def test_2_compose_project_of_two_services(inside: Inside, label: str) -> None:
    key, _, value = label.partition("=")
    labels = f"{{{key}: {value}}}" if inside.mode == "host" else "{}"
    service = f"image: busybox:latest\n    labels: {labels}\n    command: "
    (inside.project / "compose.yaml").write_text(
        f'services:\n  web:\n    {service}sh -c "echo web-is-up; exec sleep 600"\n'
        f'  db:\n    {service}sh -c "echo db-is-up; exec sleep 600"\n'
    )
    seen = inside.output(
        "docker compose up -d 2>/dev/null\n"
        "docker compose ps --services --status running | sort\n"
        "for try in $(seq 50); do docker compose logs | grep -q db-is-up && break; sleep .1; done\n"
        # Followed until both have spoken: they go on running.
        "docker compose logs -f --no-log-prefix > followed & follower=$!\n"
        "for try in $(seq 50); do [ $(wc -l < followed) = 2 ] && break; sleep .1; done\n"
        "kill -INT $follower; wait $follower || :\n"
        "sort followed\n"
        "docker compose ls -q\n"
        "docker compose down -t 0 2>/dev/null\n"
        "docker compose ps -q"
    )
    # compose names the project as it would on the host: after the directory.
    assert seen.replace("\x1b[2K", "").splitlines() == [
        "db",
        "web",
        "db-is-up",
        "web-is-up",
        "project",
    ]


def test_3_a_database_that_a_test_reaches(inside: Inside, label: str) -> None:
    name = f"postgres-{secrets.token_hex(4)}"
    address = "docker inspect -f '{{.NetworkSettings.IPAddress}}' " + name
    said = inside.output(
        f"docker run -d {inside.label(label)} --name {name} postgres:latest >/dev/null\n"
        f"for try in $(seq 50); do curl -s telnet://$({address}):5432 </dev/null | head -c1 |"
        " grep -q . && echo reached && break; sleep 0.1; done\n"
        f"docker rm -f {name} >/dev/null"
    )
    assert said == "reached\n"


def test_4_ps_and_images_show_the_hosts(inside: Inside, engine: Engine, label: str) -> None:
    name = f"host-{secrets.token_hex(4)}"
    engine.cli("run", "-d", "--label", label, "--name", name, "busybox:latest", "sleep", "600")
    shown = inside.output(
        "docker --version; docker ps --format '{{.Names}}'; docker images -q --no-trunc"
    )
    assert shown.startswith("Docker version 26.1")
    assert name in shown.split()
    assert set(engine.cli("images", "-q", "--no-trunc").stdout.split()) <= set(shown.split())
    engine.cli("rm", "-f", name)


def test_4_a_dockerfile_from_a_heredoc(inside: Inside, engine: Engine) -> None:
    name = f"test-claudy-{secrets.token_hex(4)}"
    script = (
        f"cat > Dockerfile <<'EOF'\nFROM busybox:latest\nRUN echo built > /it\n"
        f'CMD ["cat", "/it"]\nEOF\ndocker build -t {name}:latest . >/dev/null 2>&1\n'
        f"docker run --name {name} {name}:latest"
    )
    try:
        assert inside.output(script) == "built\n"
        listed = engine.cli("ps", "-a", "--format", "{{.Image}}").stdout
        assert f"{name}:latest" in listed
    finally:
        engine.cli("rm", "-f", name, check=False)
        engine.cli("rmi", "-f", name, check=False)


def test_5_link_and_publish(inside: Inside, engine: Engine, label: str) -> None:
    db, app = (f"{name}-{secrets.token_hex(4)}" for name in ("db", "app"))
    done = inside.output(
        f"docker run -d {inside.label(label)} --name {db} postgres:15 >/dev/null\n"
        f"docker run -d {inside.label(label)} --name {app} --link {db}:db -p 3000:3000"
        " busybox:latest"
        " sh -c 'grep -q db /etc/hosts && mkdir /w && echo linked >/w/index.html;"
        " exec httpd -f -p 3000 -h /w' >/dev/null\n"
        f"docker port {app}"
    )
    assert "3000/tcp -> " in done

    def reached() -> bool:
        found = engine.in_room("curl", "-s", "http://127.0.0.1:3000/")
        return subprocess.run(found, capture_output=True, check=False).stdout == b"linked\n"

    try:
        wait_for(reached, 20, "the published port to answer on the host")
        assert inside.output("curl -s localhost:3000") == "linked\n"
    finally:
        engine.cli("rm", "-f", db, app)


def test_6_docker_without_root(inside: Inside) -> None:
    os.chown(inside.project, 12345, 12345)
    assert inside.output("id -u; docker version -f '{{.Server.Os}}'").split() == ["12345", "linux"]


@pytest.mark.parametrize("cache", ["own", "shared"])
def test_7_what_the_host_has_built_is_cached(inside: Inside, engine: Engine, cache: str) -> None:
    """All of it with `build_cache = "shared"`; else the guard has `RUN` built once a project."""
    name = f"my-app-{secrets.token_hex(4)}"
    write_app(inside.project)
    with (inside.project / "Dockerfile").open("a") as file:
        file.write(f"RUN echo {name} > /built\n")
    command = [engine.program, "build", "-t", name, str(inside.project)]
    environment = engine.environment | {"DOCKER_BUILDKIT": "1"}
    subprocess.run(command, env=environment, capture_output=True, check=True)
    inside.claudy = inside.claudy.with_environment(CLAUDY_BUILD_CACHE=cache)
    build = f"docker build --progress=plain -t {name}-inside . 2>&1"
    try:
        first, again = (inside.output(build).count(" CACHED") for _ in range(2))
        assert (first, again) == (1 if (inside.mode, cache) == ("guard", "own") else 2, 2)
        if first == again:
            built = engine.cli("image", "inspect", "-f", "{{.Id}}", name, f"{name}-inside").stdout
            assert len(set(built.split())) == 1
    finally:
        engine.cli("rmi", "-f", name, f"{name}-inside", check=False)
