"""Image archives, unpacked and packed again: what the daemon reads is what was checked.

Two tar readers can disagree about a crafted archive, so the sandbox's bytes never reach the
daemon: members are read by `tarfile`, refused if they are odd, and written into a new archive
without any tag. Tags are put on afterwards, one by one.
"""

from __future__ import annotations

import itertools
import json
import re
import secrets
import tarfile
import zlib
from lzma import LZMAError
from typing import IO, TYPE_CHECKING

from claudy.guard import strictjson
from claudy.guard.refusal import invalid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

MAX_MEMBERS = 20_000
MAX_HEADER = 64 * 1024
_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
MAX_META = 16 * 1024 * 1024
_NAME = re.compile(r"(?!/)(?!.*(?:^|/)\.\.(?:/|$))[A-Za-z0-9._/:-]{1,400}")
_BLOCK = 1024 * 1024


class _Member(tarfile.TarInfo):
    """A member whose name is not gigabytes long: `tarfile` reads extended headers whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header's block.

        Raises:
            tarfile.TarError: it is none, or announces a header that is too large.
        """
        found = super().frombuf(buf, encoding, errors)
        if found.type in _EXTENDED and found.size > MAX_HEADER:
            raise tarfile.ReadError("an extended header is too large")
        if found.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError("a sparse member")
        return found

    def _proc_gnusparse_10(self, *_: object) -> None:
        """Read no map of holes, which may be endless; overrides `tarfile`'s own."""
        raise tarfile.ReadError("a sparse member")


class Parcel:
    """An image archive in a file.

    Args:
        file: the archive, open for reading.
    """

    def __init__(self, file: IO[bytes]) -> None:
        try:
            self._tar = tarfile.open(fileobj=file, mode="r:*", tarinfo=_Member)  # noqa: SIM115 - lives as long as the file
            self._members = list(itertools.islice(self._tar, MAX_MEMBERS + 1))
        except (tarfile.TarError, EOFError, OSError, MemoryError, zlib.error, LZMAError) as error:
            raise invalid("the archive can't be read") from error
        self._named = {self._key(member.name): member for member in self._members}
        self._check()
        self._manifest = self._read_manifest()

    def _check(self) -> None:
        if len(self._members) > MAX_MEMBERS or len(self._named) != len(self._members):
            raise invalid("the archive has too many members, or one twice")
        for member in self._members:
            plain = member.isreg() or member.isdir() or (member.issym() and self._inside(member))
            if not plain or member.issparse() or not _NAME.fullmatch(self._key(member.name) or "."):
                raise invalid(f"the archive has an odd member: {member.name[:100]!r}")

    @staticmethod
    def _key(name: str) -> str:
        return name.removeprefix("./").rstrip("/")

    @staticmethod
    def _inside(member: tarfile.TarInfo) -> bool:
        """Whether a link is one that old `docker save` writes for a layer it has already."""
        return bool(re.fullmatch(r"\.\./[0-9a-f]{64}/layer\.tar", member.linkname))

    def _read_manifest(self) -> list[dict[str, object]]:
        raw = self._content("manifest.json")
        found = strictjson.parse(raw, "manifest.json")
        if not found or not isinstance(found, list) or not all(isinstance(e, dict) for e in found):
            raise invalid("manifest.json is not a list of images")
        for entry in found:
            names = entry.get("RepoTags") or []
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise invalid("manifest.json has malformed tags")
            if not entry.keys() <= {"Config", "RepoTags", "Layers", "Parent", "LayerSources"}:
                raise invalid("manifest.json has unknown keys")
        return found

    def _content(self, name: str) -> bytes:
        member = self._named.get(name)
        if member is None or not member.isreg():
            raise invalid(f"the archive has no {name}; only `docker save` archives are loaded")
        if member.size > MAX_META:
            raise invalid(f"{name} is too large")
        file = self._tar.extractfile(member)
        return file.read() if file else b""

    @property
    def tags(self) -> list[list[str]]:
        """Tags that the archive would put, for each of its images."""
        return [[str(name) for name in entry.get("RepoTags") or []] for entry in self._manifest]  # type: ignore[attr-defined]

    def repacked(self, number: int) -> Iterator[bytes]:
        """Yield one image as an archive of its own, without tags and without what could carry them.

        Nothing in it has a name of the client's, which could be one that means something to the
        daemon: containerd takes tags from an `index.json` beside an `oci-layout`. The names are new
        each time, because containerd goes on with what was begun under the same one.

        Args:
            number: which of the images.

        Raises:
            Denied: 400, a part of the image is missing.
        """
        entry = self._manifest[number]
        layers = entry.get("Layers") or []
        if not isinstance(layers, list):
            raise invalid("manifest.json has malformed layers")
        parts = [self._part(name) for name in (entry.get("Config"), *layers)]
        token = secrets.token_hex(8)
        # Legacy archives have a layer once, and links to it.
        names = {name: f"{token}-{count}" for count, name in enumerate(dict.fromkeys(parts))}
        config, *found = (names[name] for name in parts)
        manifest = [{"Config": config, "RepoTags": None, "Layers": found}]
        yield from _file("manifest.json", json.dumps(manifest).encode())
        for key, member in self._named.items():
            if key in names:
                yield _header(names[key], member.size)
                yield from self._data(member)
        yield b"\0" * 1024

    def _part(self, name: object) -> str:
        """Return the name of the file that a config's or layer's name leads to."""
        wanted = self._key(str(name))
        member = self._named.get(wanted)
        if member and member.issym():
            wanted = member.linkname.removeprefix("../")
            member = self._named.get(wanted)
        if not member or not member.isreg():
            raise invalid(f"the archive has no {wanted[:100]!r}")
        return wanted

    def _data(self, member: tarfile.TarInfo) -> Iterator[bytes]:
        file = self._tar.extractfile(member)
        left = member.size
        while file and left:
            data = file.read(min(_BLOCK, left))
            if not data:
                raise invalid("the archive is cut short")
            left -= len(data)
            yield data
        yield b"\0" * (-member.size % 512)


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.PAX_FORMAT)


def _file(name: str, data: bytes) -> Iterator[bytes]:
    yield _header(name, len(data))
    yield data + b"\0" * (-len(data) % 512)
