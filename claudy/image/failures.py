"""What can go wrong with an image, and what the engine's and registries' words for it mean."""

from __future__ import annotations

from claudy.errors import ClaudyError

INSTEAD = "claudy --image ''"
"""Goes on in claudy's own image, where the chosen one can't be had."""


class ImageError(ClaudyError):
    """An image can't be had."""

    code = "image"


class BuildFailed(ImageError):
    """A step of the build failed.

    Args:
        log: the last lines that the build wrote.
    """

    code = "build-failed"

    def __init__(self, message: str, hint: str, log: tuple[str, ...]) -> None:
        super().__init__(message, hint)
        self.log = log


class RegistryDown(ImageError):
    """The registry can't be reached, or does not answer."""

    code = "registry-down"


class RegistryDenied(ImageError):
    """The registry wants other credentials."""

    code = "registry-denied"


class NotInRegistry(ImageError):
    """The registry has no such image."""

    code = "not-in-registry"


_DISK_FULL = ("no space left on device", "disk quota exceeded")
# Words of docker/distribution's client, of containerd's resolver and of the registries.
_DENIED = ("unauthorized", "authentication required", "denied", "no basic auth", "forbidden")
_ABSENT = ("manifest unknown", "not found", "name unknown", "no such manifest", "does not exist")
_FOREIGN = ("no matching manifest", "does not match the specified platform")


def registry_failure(reference: str, registry: str, words: str) -> ImageError:
    """Return the error that a registry's or the engine's words about an image mean.

    Args:
        reference: the image.
        registry: host name of its registry, as `docker login` takes it.
        words: message from the engine.
    """
    lower = words.lower()
    detail = words.strip().rstrip(".")
    if any(word in lower for word in _DISK_FULL):
        return disk_full(f"fetching {reference}")
    if any(word in lower for word in _FOREIGN):
        return NotInRegistry(f"{reference} does not exist for this platform: {detail}.", "")
    # Registries say "denied" also for what does not exist, to those who are not logged in.
    if any(word in lower for word in _DENIED):
        return RegistryDenied(
            f"{registry} refuses access to {reference}: {detail}.", f"docker login {registry}"
        )
    if any(word in lower for word in _ABSENT):
        return NotInRegistry(f"There is no image {reference}: {detail}.", "check its name and tag")
    return RegistryDown(f"{registry} can't be reached for {reference}: {detail}.", "claudy doctor")


def disk_full(doing: str) -> ImageError:
    """Return the error for a full disk of the engine."""
    return ImageError(
        f"The disk of the Docker engine filled up while {doing}: no space left on device.",
        "docker system df",
    )


def build_failure(reference: str, step: str, words: str, log: tuple[str, ...]) -> ImageError:
    """Return the error for a build that failed.

    Args:
        reference: what was to be built.
        step: the failed step, as "step 6/14 (RUN …)"; empty when none had begun.
        words: the engine's message.
        log: the last lines of output.
    """
    everything = "\n".join((words, *log)).lower()
    if any(word in everything for word in _DISK_FULL):
        return BuildFailed(*_message(disk_full(f"building {reference}")), log)
    where = f" at {step}" if step else ""
    message = f"Building {reference} failed{where}: {words.strip().rstrip('.')}."
    if "exec format error" in everything:
        return BuildFailed(
            f"{message} This machine can't run programs of that platform.",
            "install qemu-user-static and binfmt-support",
            log,
        )
    network = ("temporary failure resolving", "could not connect", "unable to connect")
    if any(word in everything for word in network):
        return BuildFailed(
            f"{message} The package mirror can't be reached from a container.",
            "claudy build-image --build-arg APT_MIRROR=URL-of-a-Debian-mirror",
            log,
        )
    return BuildFailed(message, "claudy build-image --no-cache", log)


def _message(error: ClaudyError) -> tuple[str, str]:
    return error.message, error.hint
