"""The plan of a container: one value that launch, `--dry-run`, doctor and the tests read.

A `Plan` says what the container is, a `Session` what runs in it first and how it is connected.
`create_body` and `docker_run` are two spellings of the same pair; a test compares what the engine
made of both.
"""

from __future__ import annotations

from claudy.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

WORKSPACE = "/workspace"
SOCKET = "/var/run/docker.sock"
GUARD_DIR = "/run/claudy"  # the image links SOCKET to docker.sock in it
INIT = "/usr/libexec/claudy/init"
HOME = "/home/claudy"


@record
class Mount:
    """Something mounted into the container.

    Args:
        kind: `bind` or `volume`.
        source: path on the daemon's file system, or the volume's name.
        target: path in the container.
        read_only: whether writing is refused.
        no_copy: for volumes: don't fill an empty one from the image.
        labels: for volumes that the engine makes on the way.
    """

    kind: str
    source: str
    target: str
    read_only: bool = False
    labels: tuple[tuple[str, str], ...] = ()


@record
class Port:
    """A published port.

    Args:
        container: port inside, 1 to 65535.
        host: port on the host, 0 for one that the engine chooses.
        address: address on the host to listen on, empty for all.
        protocol: `tcp`, `udp` or `sctp`.
    """

    container: int
    host: int = 0
    address: str = ""
    protocol: str = "tcp"


@record
class Plan:
    """A sandbox's container.

    Args:
        name: container name.
        image: reference or id of the image to run.
        user: `uid:gid`.
        hostname: name of the machine inside, empty for the engine's choice.
        env: environment of everything inside, sorted.
        labels: container labels, sorted.
        mounts: what is mounted.
        ports: what is published.
        groups: numeric supplementary groups, and names.
        network: network mode or name; empty for the engine's default.
        cpus: limit in units of 1e-9 CPUs, 0 for none.
        memory: limit in bytes, 0 for none.
        pids: limit of processes, 0 for none.
        security: security options.
        extra_hosts: `name:address` entries of /etc/hosts.
        init: how the session holder is started: its path in claudy's image, or a shell with its
            text for images that don't have it.
        userns: user namespace mode; empty for the engine's default.
        keep: whether the container outlives its sessions.
    """

    name: str
    image: str
    user: str
    hostname: str = ""
    env: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    ports: tuple[Port, ...] = ()
    groups: tuple[str, ...] = ()
    network: str = ""
    cpus: int = 0
    memory: int = 0
    pids: int = 0
    security: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    init: tuple[str, ...] = (INIT,)
    userns: str = ""
    keep: bool = False

    def digest(self) -> str:
        """Return a hash of all that matters to somebody who joins a running sandbox."""
        from claudy.digest import sha256
        from claudy.record import replace

        lasting = tuple(pair for pair in self.labels if pair[0] != "claudy.created")
        mounts = tuple(replace(mount, labels=()) for mount in self.mounts)
        compared = replace(self, labels=lasting, mounts=mounts, keep=False)
        return sha256(repr(compared).encode("utf-8", "surrogateescape")).hexdigest()


@record
class Session:
    """What runs, and how it is connected to this claudy.

    Args:
        id: random, 32 hex digits.
        command: argv; empty for an interactive shell.
        env: environment of this session on top of the plan's.
        tty: a terminal inside; stdout and stderr are one.
        rows: height of the terminal, 0 without one.
        columns: width of the terminal.
        stdin: whether standard input is passed on.
    """

    id: str
    command: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    tty: bool = False
    rows: int = 0
    columns: int = 0
    stdin: bool = True

    @property
    def size(self) -> tuple[str, str]:
        """Rows and columns as the session holder takes them."""
        return (str(self.rows), str(self.columns)) if self.tty and self.rows else ("", "")

    def environment(self) -> list[str]:
        """Return the environment as the API takes it."""
        return [f"{key}={value}" for key, value in self.env]


def create_body(plan: Plan, session: Session) -> dict[str, Any]:
    """Return the body of `POST /containers/create` (API 1.41 and newer)."""
    host: dict[str, Any] = {
        "AutoRemove": True,
        # What is shown and piped is the user's; json-file would keep all of it on the engine's disk
        # and slow every pipe down to that.
        "LogConfig": {"Type": "none"},
        "Mounts": [_mount(mount) for mount in plan.mounts],
        "GroupAdd": list(plan.groups),
        "SecurityOpt": list(plan.security),
        "ExtraHosts": list(plan.extra_hosts),
    }
    if plan.network:
        host["NetworkMode"] = plan.network
    if plan.userns:
        host["UsernsMode"] = plan.userns
    limits = {"NanoCpus": plan.cpus, "Memory": plan.memory, "PidsLimit": plan.pids}
    host |= {key: value for key, value in limits.items() if value}
    if session.tty and session.rows:
        host["ConsoleSize"] = [session.rows, session.columns]  # from API 1.42; ignored before
    exposed: dict[str, Any] = {}
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in plan.ports:
        key = f"{port.container}/{port.protocol}"
        exposed[key] = {}
        bindings.setdefault(key, []).append(
            {"HostIp": port.address, "HostPort": str(port.host) if port.host else ""}
        )
    if bindings:
        host["PortBindings"] = bindings
    body: dict[str, Any] = {
        "Image": plan.image,
        "User": plan.user,
        "WorkingDir": WORKSPACE,
        "Entrypoint": list(plan.init),
        "Cmd": _arguments(plan, session, session.id),
        "Env": [f"{key}={value}" for key, value in plan.env] + session.environment(),
        "Labels": dict(plan.labels),
        "Tty": session.tty,
        "OpenStdin": session.stdin,
        "StdinOnce": session.stdin and not session.tty,
        "AttachStdin": session.stdin,
        "AttachStdout": True,
        "AttachStderr": True,
        "StopTimeout": 2,  # the holder defers TERM while the first command runs
        "HostConfig": host,
    }
    if plan.hostname:
        body["Hostname"] = plan.hostname
    if exposed:
        body["ExposedPorts"] = exposed
    return body


def _arguments(plan: Plan, session: Session, mark: str) -> list[str]:
    """Return the session holder's arguments."""
    return [*(("--keep",) if plan.keep else ()), mark, *session.size, *session.command]


def _mount(mount: Mount) -> dict[str, Any]:
    entry: dict[str, Any] = {"Type": mount.kind, "Source": mount.source, "Target": mount.target}
    if mount.read_only:
        entry["ReadOnly"] = True
    if mount.labels:
        entry["VolumeOptions"] = {"Labels": dict(mount.labels)}
    return entry


def docker_run(plan: Plan, session: Session) -> list[str]:
    """Return the equivalent `docker run` argv; without the id, as no claudy will read along."""
    argv = ["docker", "run", "--rm"]
    argv += ["--interactive"] if session.stdin else []
    argv += ["--tty"] if session.tty else []
    argv += [f"--name={plan.name}", f"--user={plan.user}", f"--workdir={WORKSPACE}"]
    argv += [f"--hostname={plan.hostname}"] if plan.hostname else []
    argv += [f"--network={plan.network}"] if plan.network else []
    argv += [f"--userns={plan.userns}"] if plan.userns else []
    argv += [f"--label={key}={value}" for key, value in plan.labels]
    argv += [f"--env={key}={value}" for key, value in (*plan.env, *session.env)]
    argv += [f"--mount={_mount_option(mount)}" for mount in plan.mounts]
    argv += [f"--publish={_port_option(port)}" for port in plan.ports]
    argv += [f"--group-add={group}" for group in plan.groups]
    argv += [f"--security-opt={option}" for option in plan.security]
    argv += [f"--add-host={entry}" for entry in plan.extra_hosts]
    argv += [f"--cpus={_decimal(plan.cpus)}"] if plan.cpus else []
    argv += [f"--memory={plan.memory}"] if plan.memory else []
    argv += [f"--pids-limit={plan.pids}"] if plan.pids else []
    argv += ["--log-driver=none", "--stop-timeout=2", f"--entrypoint={plan.init[0]}", plan.image]
    return [*argv, *plan.init[1:], *_arguments(plan, session, "")]


def _decimal(billionths: int) -> str:
    """Return an amount in units of 1e-9 as a decimal number, exactly."""
    return f"{billionths // 10**9}.{billionths % 10**9:09}".rstrip("0").rstrip(".")


def _mount_option(mount: Mount) -> str:
    fields = [f"type={mount.kind}", f"source={mount.source}", f"target={mount.target}"]
    fields += ["readonly"] if mount.read_only else []
    fields += [f"volume-label={key}={value}" for key, value in mount.labels]
    return ",".join(
        f'"{f.replace(chr(34), chr(34) * 2)}"' if _needs_quotes(f) else f for f in fields
    )


def _needs_quotes(field: str) -> bool:
    """Whether a field of --mount, which is read as CSV, has to be quoted."""
    return any(char in field for char in ',"\n\r') or field != field.strip()


def _port_option(port: Port) -> str:
    host = f"{port.host or ''}"
    address = f"[{port.address}]" if ":" in port.address else port.address
    front = f"{address}:{host}:" if address else (f"{host}:" if host else "")
    return f"{front}{port.container}/{port.protocol}"


def shell_line(argv: Sequence[str]) -> str:
    """Return an argv quoted for a POSIX shell.

    Control characters are spelled as `$'...'` has them: a project's file may have brought them, and
    as they are a terminal would obey.
    """
    import shlex

    return " ".join(
        shlex.quote(word) if all(c.isprintable() or c == "\n" for c in word) else _spelled(word)
        for word in argv
    )


def _spelled(word: str) -> str:
    """Return a word in `$'...'`, with all but printable ASCII as octal numbers."""
    bytes_ = word.encode("utf-8", "surrogateescape")
    shown = (chr(b) if 32 <= b < 127 and b not in b"'\\" else f"\\{b:03o}" for b in bytes_)  # noqa: PLR2004
    return f"$'{''.join(shown)}'"
