"""Get a Docker engine onto this machine and make it run.

First a plan, which is data: what will be run, as which user, and why; it is shown and agreed to
before `run_plan` does it. Used by the first run of claudy and by `claudy doctor --fix`.
"""

from __future__ import annotations

import os

from claudy.errors import ClaudyError
from claudy.host.endpoint import under
from claudy.host.whereami import where_am_i
from claudy.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

LOG = "/var/log/dockerd.log"
PLACES = (
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/bin",
    "/sbin",
    "/snap/bin",
)
PATIENCE = 60.0  # seconds a fresh engine has to answer: the first start builds its networks
GUIDE = "https://docs.docker.com/engine/install/"


class InstallError(ClaudyError):
    """The engine could not be installed or started."""

    code = "install"


@record
class Machine:
    """What matters for installing an engine.

    Args:
        system: `linux`, `wsl2`, `macos` or `windows`.
        distribution: `ID` of os-release, then its `ID_LIKE`.
        version: `VERSION_ID` of os-release.
        uid: user id of this process.
        user: login name.
        dockerd: path of the daemon, empty if there is none.
        init: `systemd`, `script` (an init script of the daemon), or empty.
        has_sudo: whether sudo exists.
        app: on macOS the product that is installed: `Docker`, `OrbStack`, `Rancher Desktop`.
    """

    system: str
    distribution: tuple[str, ...] = ()
    version: str = ""
    uid: int = 0
    user: str = "root"
    dockerd: str = ""
    init: str = ""
    has_sudo: bool = False
    app: str = ""


@record
class Step:
    """One command.

    Args:
        argv: the command, with sudo where it is needed.
        why: what it is for.
        background: it is a daemon: start it in a session of its own, with its output in LOG.
        otherwise: what to run if the command fails.
    """

    argv: tuple[str, ...]
    why: str
    background: bool = False
    otherwise: Step | None = None

    @property
    def line(self) -> str:
        """The command as it can be pasted into a shell."""
        import shlex

        if not self.background:
            line = shlex.join(self.argv)
            return f"{line} || {self.otherwise.line}" if self.otherwise else line
        *sudo, daemon = self.argv
        inner = f"setsid {daemon} >{LOG} 2>&1 </dev/null &"
        return shlex.join([*sudo, "sh", "-c", inner])


@record
class InstallPlan:
    """What gets an engine running.

    Args:
        title: one line: what will be done.
        steps: commands in order; empty if only a person can do it.
        manual: what a person has to do instead.
    """

    title: str
    steps: tuple[Step, ...] = ()
    manual: str = ""

    @property
    def line(self) -> str:
        """All of it as one line for a shell, or what to do by hand."""
        return " && ".join(step.line for step in self.steps) or self.manual


def survey(*, env: Mapping[str, str], platform: str, uid: int, root: str = "/") -> Machine:
    """Look at this machine.

    Args:
        env: the process environment.
        platform: `sys.platform`.
        uid: user id.
        root: directory that stands for `/`, for tests.
    """
    system = where_am_i(env=env, platform=platform, root=root).system
    release = _os_release(root)
    systemd = os.path.isdir(under(root, "/run/systemd/system"))
    script = os.access(under(root, "/etc/init.d/docker"), os.X_OK)
    return Machine(
        system=system,
        distribution=tuple(f"{release.get('ID', '')} {release.get('ID_LIKE', '')}".split()),
        version=release.get("VERSION_ID", ""),
        uid=uid,
        user=env.get("SUDO_USER") or env.get("USER") or env.get("LOGNAME") or str(uid),
        dockerd=_which("dockerd", root),
        init="systemd" if systemd else "script" if script else "",
        has_sudo=bool(_which("sudo", root)),
        app=_mac_app(root) if system == "macos" else "",
    )


def plan_install(machine: Machine) -> InstallPlan:
    """Return how an engine gets installed, if it is missing, and started.

    Args:
        machine: what `survey` found.
    """
    if machine.system in {"macos", "windows"}:
        return _desktop(machine)
    if machine.dockerd:
        return plan_start(machine)
    packages, tool = _packages(machine)
    if not packages:
        return InstallPlan(
            "Install Docker", manual=f"Install a Docker engine for this system: {GUIDE}"
        )
    if tool == "apt-get":
        quiet = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get")
        steps = [
            Step(("apt-get", "update"), "read the package lists"),
            Step(
                (*quiet, "install", "-y", "--no-install-recommends", *packages),
                "install the engine from the distribution's own packages",
            ),
        ]
    else:
        steps = [Step(("dnf", "install", "-y", *packages), "install the engine from Fedora")]
    # The packages bring an init script and, where systemd runs, a unit.
    init = machine.init or ("script" if tool == "apt-get" else "")
    steps.append(_start(init, "/usr/sbin/dockerd" if tool == "apt-get" else "/usr/bin/dockerd"))
    return _as_root(machine, f"Install {packages[0]} with {tool} and start it", steps)


def plan_start(machine: Machine) -> InstallPlan:
    """Return how an installed engine is started.

    Args:
        machine: what `survey` found.
    """
    if machine.system in {"macos", "windows"}:
        return _desktop(machine)
    how = {"systemd": " with systemd", "script": " with its init script"}.get(machine.init, "")
    return _as_root(
        machine, f"Start the Docker engine{how}", [_start(machine.init, machine.dockerd)]
    )


def plan_group(machine: Machine, group: str = "docker") -> InstallPlan:
    """Return how this user may use the engine: membership of the socket's group.

    Args:
        machine: what `survey` found.
        group: name of the socket's group.
    """
    why = "membership is root-equivalent on this machine, and counts from the next login on"
    step = Step(("usermod", "-aG", group, machine.user), why)
    return _as_root(machine, f"Add {machine.user} to the group {group} ({why})", [step])


def plan_ssh(machine: Machine) -> InstallPlan:
    """Return how the ssh client is installed.

    Args:
        machine: what `survey` found.
    """
    known, title = machine.distribution, "Install the ssh client"
    if "debian" in known or "ubuntu" in known:
        command = ("apt-get", "install", "-y", "openssh-client")
    elif "fedora" in known:
        command = ("dnf", "install", "-y", "openssh-clients")
    else:
        return InstallPlan(title, manual="Install the OpenSSH client.")
    return _as_root(machine, title, [Step(command, "reach the engine's machine")])


def run_plan(
    plan: InstallPlan,
    *,
    notify: Callable[[str], None],
    is_live: Callable[[], bool] | None = None,
    log: str = LOG,
) -> None:
    """Run a plan's steps, and wait for the engine if asked to.

    Args:
        plan: what to run; the user has agreed to it.
        notify: told each command before it runs.
        is_live: whether the engine answers; waits for it after the last step.
        log: file for the output of a daemon that claudy itself starts.

    Raises:
        InstallError: a command failed, or the engine did not come up within a minute.
    """
    if not plan.steps:
        raise InstallError(f"{plan.title}: claudy can't do that by itself.", plan.manual)
    for step in plan.steps:
        _run_step(step, notify, log)
    if is_live is not None:
        _wait(is_live, log)


def _run_step(step: Step, notify: Callable[[str], None], log: str) -> None:
    """Run a command, or what stands in for it when it fails."""
    import shlex
    import subprocess

    line = step.line if step.background else shlex.join(step.argv)
    notify(f"{line}  # {step.why}")
    if step.background:
        _daemon(step.argv, log)
        return
    try:
        # Its output is the user's to see, and not claudy's result.
        code = subprocess.run(step.argv, stdin=subprocess.DEVNULL, stdout=2, check=False).returncode
        problem = f"{line} failed with status {code}." if code else ""
    except OSError as e:
        problem = f"{line} can't be run: {e.strerror}."
    if problem and step.otherwise:
        notify(problem)
        _run_step(step.otherwise, notify, log)
    elif problem:
        raise InstallError(problem, line)


def _daemon(argv: tuple[str, ...], log: str) -> None:
    """Start a daemon that outlives this process, in a session of its own."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    try:
        os.posix_spawnp(
            argv[0],
            argv,
            os.environ,
            setsid=True,
            file_actions=(
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o640),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ),
        )
    except OSError as e:
        raise InstallError(f"{argv[-1]} can't be started: {e}.", f"ls -l {log}") from e


def _wait(is_live: Callable[[], bool], log: str) -> None:
    """Wait until the engine answers."""
    import time

    deadline = time.monotonic() + PATIENCE
    while not is_live():
        if time.monotonic() > deadline:
            hint = f"tail {log}" if os.path.exists(log) else "journalctl -u docker -n 20"
            raise InstallError(f"The engine did not answer within {PATIENCE:.0f} s.", hint)
        time.sleep(0.2)


def _start(init: str, dockerd: str) -> Step:
    """Return the command that starts the daemon: systemd, else its script, else itself."""
    if init == "systemd":
        return Step(("systemctl", "enable", "--now", "docker"), "start it now and at boot")
    itself = Step(
        (dockerd,), f"start it in a session of its own; its log is {LOG}", background=True
    )
    if init == "script":
        # Debian's script gives up where it may not raise the limit of open files.
        why = "start it: systemd does not run here"
        return Step(("/etc/init.d/docker", "start"), why, otherwise=itself)
    return itself


def _as_root(machine: Machine, title: str, steps: Iterable[Step]) -> InstallPlan:
    """Return the plan with sudo where this user is not root; without sudo only as text."""
    steps = tuple(steps)
    if machine.uid == 0:
        return InstallPlan(title, steps)
    if machine.has_sudo:
        return InstallPlan(title, tuple(_with_sudo(step) for step in steps))
    return InstallPlan(title, manual="As root: " + " && ".join(step.line for step in steps))


def _with_sudo(step: Step) -> Step:
    """Return a step as an ordinary user runs it."""
    otherwise = _with_sudo(step.otherwise) if step.otherwise else None
    return Step(("sudo", *step.argv), step.why, step.background, otherwise)


def _packages(machine: Machine) -> tuple[tuple[str, ...], str]:
    """Return the packages of an engine and the tool that installs them."""
    known = machine.distribution
    if "debian" in known or "ubuntu" in known:
        # From Debian 13 on the command line is a package of its own.
        own_cli = known[0] == "debian" and int(machine.version.partition(".")[0] or 13) > 12  # noqa: PLR2004
        return ("docker.io", "iptables", *(["docker-cli"] if own_cli else [])), "apt-get"
    if "fedora" in known:
        return ("moby-engine", "docker-cli"), "dnf"
    return (), ""


def _desktop(machine: Machine) -> InstallPlan:
    """Return what to do where the engine is an application."""
    if machine.app:
        step = Step(("open", "-a", machine.app), "start its virtual machine")
        return InstallPlan(f"Start {machine.app}", (step,))
    if machine.system == "macos":
        where = "https://docs.docker.com/desktop/setup/install/mac-install/"
    else:
        where = "https://docs.docker.com/desktop/setup/install/windows-install/"
    return InstallPlan(
        "Install Docker Desktop", manual=f"Install Docker Desktop, start it: {where}"
    )


def _mac_app(root: str) -> str:
    """Return the first installed product."""
    return next(
        (
            name
            for name in ("Docker", "OrbStack", "Rancher Desktop")
            if os.path.isdir(under(root, f"/Applications/{name}.app"))
        ),
        "",
    )


def _which(program: str, root: str) -> str:
    """Return where a program is, also in places that an ordinary user's PATH leaves out."""
    for directory in PLACES:
        path = f"{directory}/{program}"
        if os.access(under(root, path), os.X_OK):
            return path
    return ""


def _os_release(root: str) -> dict[str, str]:
    """Return the fields of os-release(5)."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            with open(under(root, path), encoding="utf-8", errors="replace") as file:
                pairs = (line.strip().partition("=") for line in file)
                return {key: value.strip("\"'") for key, _, value in pairs if value}
        except OSError:
            continue
    return {}
