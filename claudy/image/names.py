"""Image references as people write them, taken apart."""

from __future__ import annotations

import re

from claudy.errors import UsageError
from claudy.record import record

DOCKER_HUB = "docker.io"
# The grammar of distribution/reference.
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_WORD = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"((?:{_HOST}/)?{_WORD}(?:/{_WORD})*)(?::(\w[\w.-]{{0,127}}))?(?:@([a-z0-9]+:[0-9a-f]+))?",
    re.ASCII,
)


@record
class Name:
    """An image reference taken apart.

    Args:
        registry: host name of the registry, as `docker login` takes it.
        repository: name with its registry and without tag.
        tag: digest or tag, `latest` if neither was given.
    """

    registry: str
    repository: str
    tag: str


def parse_name(reference: str) -> Name:
    """Take an image reference apart.

    Raises:
        UsageError: it is none.
    """
    found = _REFERENCE.fullmatch(reference)
    if not found:
        raise UsageError(
            f"{reference!r} is not an image reference.", "give NAME[:TAG], the name in lower case"
        )
    repository, tag, digest = found.groups()
    host, slash, _ = repository.partition("/")
    named = slash and (host == "localhost" or "." in host or ":" in host)
    return Name(host if named else DOCKER_HUB, repository, digest or tag or "latest")
