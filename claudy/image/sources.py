"""Find a Debian mirror in the host's apt sources, in both of their formats."""

from __future__ import annotations

import glob
import os
import re

from claudy.record import record

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_OPTIONS = re.compile(r"^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.*)$")


@record
class Source:
    """One suite of one archive.

    Args:
        uri: address of the archive.
        suite: as `bookworm` or `bookworm-security`.
        components: as `main`.
        trusted: whether it is used without a valid signature (`trusted=yes`).
    """

    uri: str
    suite: str
    components: tuple[str, ...]
    trusted: bool = False

    def line(self) -> str:
        """Return it as a line of sources.list that only takes the main component."""
        return f"deb {'[trusted=yes] ' if self.trusted else ''}{self.uri} {self.suite} main"


def read_sources(root: str = "/") -> list[Source]:
    """Return what the apt sources of a machine name, in apt's order.

    Args:
        root: directory that stands for `/`.
    """
    apt = os.path.join(root, "etc/apt")
    found: list[Source] = []
    for path in [f"{apt}/sources.list", *sorted(glob.glob(f"{apt}/sources.list.d/*"))]:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        if path.endswith(".sources"):
            found += _parse_deb822(text)
        elif path.endswith(".list"):
            found += _parse_lines(text)
    return [
        Source(_mirror_list(source.uri, root), source.suite, source.components, source.trusted)
        for source in found
    ]


def debian_release(root: str = "/") -> str:
    """Return the code name of the machine's Debian release; empty if it is another system."""
    try:
        with open(os.path.join(root, "etc/os-release"), encoding="utf-8") as file:
            pairs = dict(line.rstrip("\n").split("=", 1) for line in file if "=" in line)
    except OSError:
        return ""
    release = {key: value.strip("\"'") for key, value in pairs.items()}
    return release.get("VERSION_CODENAME", "") if release.get("ID") == "debian" else ""


def sources_for(release: str, host: list[Source], host_release: str) -> list[Source]:
    """Return the sources of another Debian release on the archives that the host uses.

    The first of them is the release itself; those after it (updates, security) may not exist there.

    Args:
        release: the wanted release.
        host: the host's sources.
        host_release: the host's own release.
    """
    found: list[Source] = []
    for suffix in ("", "-updates", "-security"):
        for source in host:
            usable = "main" in source.components and source.uri.startswith(("http:", "https:"))
            if usable and source.suite in (f"{host_release}{suffix}", f"{release}{suffix}"):
                found.append(Source(source.uri, f"{release}{suffix}", ("main",), source.trusted))
                break
        if not found:
            return []
    return found


def _parse_deb822(text: str) -> list[Source]:
    found = []
    for paragraph in re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n?", "", text)):
        fields: dict[str, str] = {}
        name = ""
        for line in paragraph.splitlines():
            if line[:1].isspace():
                fields[name] = f"{fields.get(name, '')} {line.strip()}"
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields.get("enabled", "yes").lower() in ("no", "false", "0", "off"):
            continue
        if "deb" in fields.get("types", "").split():
            found += [
                Source(
                    uri.rstrip("/"),
                    suite,
                    tuple(fields.get("components", "").split()),
                    fields.get("trusted", "").lower() == "yes",
                )
                for uri in fields.get("uris", "").split()
                for suite in fields.get("suites", "").split()
            ]
    return found


def _parse_lines(text: str) -> list[Source]:
    found = []
    for line in text.splitlines():
        match = _OPTIONS.match(line.split("#", 1)[0].strip())
        if match:
            options, uri, suite, components = match.groups()
            trusted = "trusted=yes" in (options or "").split()
            found.append(Source(uri.rstrip("/"), suite, tuple(components.split()), trusted))
    return found


def _mirror_list(uri: str, root: str) -> str:
    """Return the first address of a `mirror+file:` list, any other address as it is."""
    if not uri.startswith(("mirror+file:", "mirror:file:")):
        return uri
    path = uri.split("file:", 1)[1]
    try:
        with open(os.path.join(root, path.lstrip("/")), encoding="utf-8") as file:
            lines = [line.split("#", 1)[0].split() for line in file]
    except OSError:
        return uri
    return next((words[0].rstrip("/") for words in lines if words), uri)
