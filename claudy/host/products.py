"""The products that put an engine's socket somewhere, and how each is started."""

from __future__ import annotations

from claudy.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claudy.host.finding import Host


@record
class Product:
    """A product that provides an engine.

    Args:
        name: as people call it.
        start: command that starts it.
        restart: command that starts it anew when it hangs.
    """

    name: str
    start: str
    restart: str


def product_of(path: str, host: Host) -> Product | None:
    """Return the product whose socket this is, None for the machine's own engine.

    Args:
        path: path of the socket.
        host: this machine and user.
    """
    mac = host.platform == "darwin"
    home = host.home
    own = f"/run/user/{host.uid}/"
    runtime = (host.env.get("XDG_RUNTIME_DIR") or own).rstrip("/") + "/"
    colima = (host.env.get("COLIMA_HOME") or f"{home}/.colima") + "/"
    profile = _first_part(path, colima).replace("docker.sock", "default")
    lima = _first_part(path, f"{home}/.lima/")
    desktop = (f"{home}/.docker/run/docker.sock", f"{home}/.docker/desktop/docker.sock")
    rootless = (f"{runtime}docker.sock", f"{own}docker.sock")
    known = (
        (path in desktop and mac, _application("Docker", "Docker Desktop")),
        (path in desktop, _service("docker-desktop", "Docker Desktop")),
        (path.startswith(f"{home}/.orbstack/"), _application("OrbStack", "OrbStack")),
        (path.startswith(f"{home}/.rd/"), _command("Rancher Desktop", "rdctl", "shutdown", "")),
        (path.startswith(colima), _command("Colima", "colima", "stop -f", profile)),
        (path.startswith(f"{home}/.lima/"), _command("Lima", "limactl", "stop -f", lima)),
        (
            "podman" in path and (mac or "machine" in path),
            _command("The podman machine", "podman machine", "stop", ""),
        ),
        (
            path.endswith("/podman/podman.sock"),
            _service("podman.socket", "Podman's API service", user=path.startswith(runtime)),
        ),
        (path in rootless, _service("docker", "The rootless engine")),
    )
    return next((product for matches, product in known if matches), None)


def _first_part(path: str, directory: str) -> str:
    """Return the first name below a directory."""
    return path.removeprefix(directory).split("/", 1)[0]


def _application(app: str, name: str) -> Product:
    """Return an application of macOS."""
    return Product(name, f"open -a {app}", f"""osascript -e 'quit app "{app}"'; open -a {app}""")


def _command(name: str, program: str, stop: str, instance: str) -> Product:
    """Return a product that has a command line."""
    start = f"{program} start {instance}".rstrip()
    return Product(name, start, f"{program} {stop} {instance}".rstrip() + f"; {start}")


def _service(unit: str, name: str, *, user: bool = True) -> Product:
    """Return a systemd service, of the user's own manager or of the system's."""
    command = "systemctl --user" if user else "sudo systemctl"
    return Product(name, f"{command} start {unit}", f"{command} restart {unit}")
