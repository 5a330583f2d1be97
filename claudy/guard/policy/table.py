"""The policy's tables as Markdown, for docs/security.md: `python -m claudy.guard.policy.table`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from claudy.guard.buildkit.policy import CALLS
from claudy.guard.policy import build, create, endpoints, objects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from claudy.guard.policy.rules import Field

BEGIN, END = "<!-- policy: generated from the code -->", "<!-- /policy -->"

_BODIES = (
    ("Containers: Config", create.CONFIG),
    ("Containers: HostConfig (its resources also for update)", create.HOST_CONFIG),
    ("Containers: one mount", create.MOUNT),
    ("Containers: options of a bind, a volume and a tmpfs", (
        *create.BIND_OPTIONS, *create.VOLUME_OPTIONS, *create.DRIVER, *create.TMPFS_OPTIONS,
    )),
    ("Containers: published port, restart policy, log, ulimit", (
        *create.PORT_BINDING, *create.RESTART, *create.LOG_CONFIG, *create.ULIMIT,
    )),
    ("Containers: endpoint in a network", create.ENDPOINT),
    ("Exec", objects.EXEC),
    ("Networks", objects.NETWORK),
    ("Volumes", objects.VOLUME),
    ("Build: query keys", build.BUILD),
)  # fmt: skip


def markdown() -> str:
    """Return all tables."""
    parts = ["### Endpoints\n", *_table(("request", "what happens", "query keys"), _endpoints())]
    for title, fields in _BODIES:
        parts += [f"\n### {title}\n", *_table(("field", "allowed", "why"), _fields(fields))]
    calls = ((f"`{name}`", why) for name, why in CALLS.items())
    parts += ["\n### BuildKit calls\n", *_table(("call", "what happens"), calls)]
    return "\n".join(parts) + "\n"


def _endpoints() -> Iterable[tuple[str, ...]]:
    for row in endpoints.ENDPOINTS:
        verdict = "**refused**: " if row.handler in {"refuse", "no_swarm", "no_plugin"} else ""
        keys = ", ".join(f"`{field.name}`" for field in row.query)
        yield f"`{row.method} {row.path}`", f"{verdict}{row.why}", keys


def _fields(fields: tuple[Field, ...]) -> Iterable[tuple[str, ...]]:
    for field in fields:
        yield f"`{field.name}`", field.allowed, field.why


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join("---" for _ in heads) + " |"]
    return lines + [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows
    ]


def written_into(text: str) -> str:
    """Return a document with its tables brought up to date."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{markdown()}\n{END}{after}"


if __name__ == "__main__":
    sys.stdout.write(written_into(sys.stdin.read()))
