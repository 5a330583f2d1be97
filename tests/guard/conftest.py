"""A guard on the engine under test, with things of the host beside it that must not change."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.engines.roots import root_of
from tests.engines.shell import wait_for
from tests.guard.raw import Answer, request

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tests.engines.engine import Engine

VOLATILE = ("Status", "State", "Ports")
AT_ONCE = ("--stop-timeout", "1")
"""What would not end by itself when the engine is stopped; the default is 10 s."""


class Guard:
    """A running guard.

    Args:
        engine: the engine that it guards.
        root: directory for its files; the project is `root/project`.
        name: of the sandbox's container, unique.
        extra: further arguments.
    """

    def __init__(self, engine: Engine, root: Path, name: str, *extra: str) -> None:
        self.engine, self.root, self.name, self.extra = engine, root, name, extra
        self.project = root / "project"
        self.socket = root / "run" / "docker.sock"
        (root / "run.pid").touch()  # as a launcher does: the directory is in use
        self.ledger = root / "ledger"
        self.log = root / "guard.log"
        for directory in (self.project, root / "run"):
            directory.mkdir(exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> list[str]:
        """The command line of the guard."""
        arguments = {
            "--listen": self.socket,
            "--upstream": self.engine.socket,
            "--project": self.project,
            "--project-id": self.name,
            "--sandbox": self.name,
            "--ledger": self.ledger,
            "--log": self.log,
            "--uid": os.getuid(),
            "--gid": os.getgid(),
        }
        words = [str(word) for pair in arguments.items() for word in pair]
        return [sys.executable, "-m", "claudy.guard", "serve", *words, *self.extra]

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        self._process = subprocess.Popen(
            self.command,
            stdout=subprocess.PIPE,
            env={**os.environ, "CLAUDY_GUARD_DEBUG": "1"},
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        assert self._process is not None
        return self._process.pid

    def wait(self, seconds: float = 20) -> int:
        """Wait for the supervisor's end and return its exit code."""
        assert self._process is not None
        return self._process.wait(seconds)

    def stop(self) -> None:
        """End the guard as the launcher does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)
            if self._process.stdout:
                self._process.stdout.close()
            self._process = None

    def ask(self, method: str, target: str, body: Any = None, **headers: str) -> Answer:
        """Send a request to the guard."""
        return request(self.socket, method, target, body, headers)

    def create(self, host_config: dict[str, Any] | None = None, **fields: Any) -> Answer:
        """Create a container of busybox through the guard."""
        body = {
            "Image": "busybox",
            "Cmd": ["sleep", "1000"],
            "HostConfig": host_config or {},
            **fields,
        }
        return self.ask("POST", "/containers/create", body)

    @property
    def environment(self) -> dict[str, str]:
        """Return an environment in which clients use the guard."""
        settings = self.root / "docker-config"
        settings.mkdir(exist_ok=True)
        plugins = str(root_of("26.1") / "usr/libexec/docker/cli-plugins")
        (settings / "config.json").write_text(json.dumps({"cliPluginsExtraDirs": [plugins]}))
        kept = self.engine.environment | {"DOCKER_BUILDKIT": "0"}
        return kept | {"DOCKER_HOST": f"unix://{self.socket}", "DOCKER_CONFIG": str(settings)}

    def cli(
        self, *arguments: str, program: str = "", check: bool = True, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run the docker CLI against the guard, in the project."""
        options.setdefault("cwd", self.project)
        done = subprocess.run(
            [program or newest_cli(), *arguments],
            env=self.environment | options.pop("env", {}),
            capture_output=True,
            text=True,
            check=False,
            **options,
        )
        if check:
            assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done

    def owned(self) -> dict[str, Any]:
        """Return the ledger as it is on disk."""
        path = self.ledger / "ledger.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def clean(self) -> None:
        """Remove all that was made through the guard, by id."""
        try:
            owned = self.owned()
        except ValueError:
            return
        for kind, query in (("containers", "?force=1&v=1"), ("networks", ""), ("volumes", "")):
            for full in owned.get(kind, {}):
                request(self.engine.socket, "DELETE", f"/{kind}/{full}{query}")
        for tag in owned.get("tags", {}):
            request(self.engine.socket, "DELETE", f"/images/{tag}")
        for full in owned.get("images", {}):
            request(self.engine.socket, "DELETE", f"/images/{full}?force=1")
        request(self.engine.socket, "DELETE", f"/volumes/claudy-workspace-{self.name}")


class Host:
    """Things of the host on the engine: what no request through the guard may change.

    Args:
        engine: where they are.
        label: `claudy.test` label of the run.
        word: makes their names unique.
    """

    def __init__(self, engine: Engine, label: str, word: str) -> None:
        self.engine = engine
        self.container_name = f"host-{word}"
        self.volume = f"hostvol-{word}"
        self.network_name = f"hostnet-{word}"
        self.tag = f"hostimage-{word}:latest"
        cli = engine.cli
        cli("volume", "create", "--label", label, self.volume)
        cli("network", "create", "--label", label, self.network_name)
        self.network = self._out("network", "inspect", "-f", "{{.Id}}", self.network_name)
        cli("tag", "busybox", self.tag)
        self.container = self._out(
            "run", "-d", *AT_ONCE, "--label", label, "--label", "secret=42",
            "--name", self.container_name, "--network", self.network_name,
            "-v", f"{self.volume}:/data", "-e", "PASSWORD=hunter2",
            "busybox", "sh", "-c", "echo started; exec sleep 100000",
        )  # fmt: skip
        logs = f"/containers/{self.container}/logs?stdout=1"
        wait_for(lambda: request(engine.socket, "GET", logs).content, 30, "the host's container")
        self.exec = request(
            engine.socket, "POST", f"/containers/{self.container}/exec", {"Cmd": ["true"]}
        ).json["Id"]

    def _out(self, *arguments: str) -> str:
        return self.engine.cli(*arguments).stdout.strip()

    def state(self) -> dict[str, Any]:
        """Return what must be the same before and after an attack."""
        sock = self.engine.socket
        inspected = request(sock, "GET", f"/containers/{self.container}/json").json
        network = request(sock, "GET", f"/networks/{self.network}").json
        tags = {
            tag: image["Id"]
            for image in request(sock, "GET", "/images/json").json
            for tag in image["RepoTags"] or []
            if tag.startswith(("hostimage", "busybox", "debian", "alpine", "postgres"))
        }
        host = request(sock, "GET", "/containers/json?all=1").json
        return {
            "container": {
                "name": inspected["Name"],
                "state": {
                    k: inspected["State"][k] for k in ("Running", "Paused", "Pid", "StartedAt")
                },
                "host": inspected["HostConfig"],
                "networks": sorted(inspected["NetworkSettings"]["Networks"]),
                "execs": sorted(inspected["ExecIDs"] or []),
            },
            "exec": request(sock, "GET", f"/exec/{self.exec}/json").json["Running"],
            "network": sorted(network["Containers"]),
            "volume": request(sock, "GET", f"/volumes/{self.volume}").status,
            "tags": tags,
            "names": sorted(n for c in host for n in c["Names"] if n.startswith("/host-")),
            "log": request(
                sock, "GET", f"/containers/{self.container}/logs?stdout=1&stderr=1"
            ).content,
            "files": self._files(),
        }

    def _files(self) -> Any:
        """Return the volume's files: where they are if that is here, which spares two processes."""
        sock = self.engine.socket
        if self.engine.place is None:
            inside = f"/containers/{self.container}/archive?path=/data"
            return request(sock, "GET", inside).content
        top = Path(request(sock, "GET", f"/volumes/{self.volume}").json["Mountpoint"])
        found = {}
        for path in [top, *sorted(top.rglob("*"))]:
            about = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(about.st_mode) else b""
            owner = (about.st_uid, about.st_gid)
            found[str(path)] = (about.st_mode, owner, about.st_mtime_ns, content)
        return found

    def remove(self) -> None:
        """Remove them, by id."""
        sock = self.engine.socket
        request(sock, "DELETE", f"/containers/{self.container}?force=1&v=1")
        request(sock, "DELETE", f"/networks/{self.network}")
        request(sock, "DELETE", f"/volumes/{self.volume}")
        request(sock, "DELETE", f"/images/{self.tag}")


def newest_cli() -> str:
    """Return the docker CLI 26.1 of the harness."""
    return str(root_of("26.1") / "usr/bin/docker")


@pytest.fixture(scope="module")
def word(run_label: str, request: pytest.FixtureRequest) -> str:
    """Return a word that makes names unique to a module and run."""
    return f"{run_label}-{request.module.__name__.rpartition('_')[2]}"


@pytest.fixture(scope="module")
def host(engine: Engine, run_label: str, word: str) -> Iterator[Host]:
    """Return things of the host."""
    found = Host(engine, f"claudy.test={run_label}", word)
    yield found
    found.remove()


@pytest.fixture(scope="module")
def guard(
    engine: Engine, run_label: str, word: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guard]:
    """Return a running guard with its sandbox's container."""
    yield from running_guard(engine, run_label, f"sandbox-{word}", tmp_path_factory.mktemp("guard"))


def running_guard(
    engine: Engine, run_label: str, name: str, root: Path, *extra: str, image: str = "busybox"
) -> Generator[Guard, None, None]:
    """Run a sandbox's container and its guard."""
    found = Guard(engine, root.resolve(), name, *extra)
    sandbox = engine.cli(
        "run", "-d", *AT_ONCE, "--name", name, "--label", f"claudy.test={run_label}",
        "--label", f"claudy.sandbox={name}", "--label", f"claudy.project={found.project}",
        "-v", f"{found.project}:/workspace", image, "sleep", "100000",
    ).stdout.strip()  # fmt: skip
    found.start()
    try:
        yield found
    finally:
        found.stop()
        found.clean()
        request(engine.socket, "DELETE", f"/containers/{sandbox}?force=1&v=1")


@pytest.fixture
def untouched(host: Host) -> Iterator[Host]:
    """Compare the host's things before and after a test."""
    before = host.state()
    yield host
    assert host.state() == before
