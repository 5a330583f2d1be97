"""The checks, in the order in which they are shown. One file each; a check never prints.

A new check is a file with a `CHECK`, a line here, and a test that makes its failure happen.
"""

from __future__ import annotations

from claudy.doctor.checks import (
    answer,
    bind_mount,
    connection,
    credentials,
    daemon,
    disk,
    disk_inside,
    dns,
    endpoint,
    files,
    image,
    leftovers,
    ownership,
    patches,
    ping,
    place,
    project,
    proxy,
    registry,
    sandbox,
    sibling,
    socket_source,
    terminal,
    tools,
    user,
)

CHECKS = tuple(
    module.CHECK
    for module in (
        place,
        project,
        endpoint,
        connection,
        answer,
        daemon,
        patches,
        files,
        socket_source,
        image,
        registry,
        credentials,
        disk,
        leftovers,
        sandbox,
        user,
        ping,
        tools,
        bind_mount,
        ownership,
        sibling,
        terminal,
        dns,
        proxy,
        disk_inside,
    )
)
