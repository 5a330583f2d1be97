"""What fixtures give to tests besides an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class PasswordRegistry:
    """A container registry that asks for a user name and a password.

    Args:
        address: Its host:port.
        user: A user name that it accepts.
        password: The password of that user.
    """

    address: str
    user: str
    password: str


@dataclass(frozen=True)
class TlsEndpoint:
    """An engine that answers over TLS, and only to clients with its authority's certificate.

    Args:
        host: Its DOCKER_HOST.
        certificates: A DOCKER_CERT_PATH that it accepts.
        wrong_certificates: A DOCKER_CERT_PATH of another authority.
    """

    host: str
    certificates: Path
    wrong_certificates: Path


@dataclass(frozen=True)
class OrdinaryUser:
    """A user who is not root.

    Args:
        name: Its name.
        uid: Its user id.
        gid: Its group id; it is in no other group.
        docker_gid: The group that may use the engine's socket.
        home: Its home directory.
    """

    name: str
    uid: int
    gid: int
    docker_gid: int
    home: Path

    def command(self, *command: str, docker: bool = True) -> list[str]:
        """Return the command that runs another one as this user.

        Args:
            command: The program and its arguments.
            docker: Whether it is in the docker group.
        """
        groups = f"--groups={self.docker_gid}" if docker else "--clear-groups"
        become = [
            "setpriv",
            f"--reuid={self.uid}",
            f"--regid={self.gid}",
            groups,
            "--inh-caps=-all",
        ]
        return [*become, "env", f"HOME={self.home}", f"USER={self.name}", *command]
