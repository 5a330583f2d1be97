"""The guard in images that are not claudy's: no link to its socket, no init."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.running.fixtures import claudy, claudy_command, claudy_without_image, places, project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.running.program import Claudy

__all__ = ["claudy", "claudy_command", "claudy_without_image", "places", "project"]
IMAGE = "debian:trixie-slim"
# What the daemon says to a ping at a socket; at the place where tools without DOCKER_HOST look.
PING = """
use IO::Socket::UNIX;
my $socket = IO::Socket::UNIX->new($ARGV[0]) or print "$!" and exit;
print $socket "GET /_ping HTTP/1.1\\r\\nHost: docker\\r\\nConnection: close\\r\\n\\r\\n";
print((<$socket>)[-1]);
"""


@pytest.mark.parametrize("owner", [0, 1000])
@pytest.mark.parametrize("socket", ["/var/run/docker.sock", "/run/claudy/docker.sock"])
def test_socket_in_an_image_of_the_users_own(
    claudy: Claudy, project: Path, owner: int, socket: str
) -> None:
    os.chown(project, owner, owner)
    words = ("--docker", "guard", "--image", IMAGE, "--", "perl", "-e", PING, socket)
    done = claudy.run(*words, cwd=project)
    assert (done.code, done.text) == (0, "OK"), done.said
