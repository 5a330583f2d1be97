"""What an engine's refusal of a sandbox means: from its words to a finding with its remedy.

The words are those of moby, runc, Docker Desktop and snap; each is matched by the least of it that
has not changed between versions.
"""

from __future__ import annotations

from claudy.host.finding import Finding, way_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claudy.host.endpoint import Endpoint

LINUX_CONTAINERS = "In Docker Desktop's menu: Switch to Linux containers."


def refusal(
    words: str, *, project: str = "", image: str = "", snap: bool = False
) -> Finding | None:
    """Return what the engine's refusal to create or start a sandbox means, None if unknown.

    Args:
        words: the engine's message.
        project: path of the project on the engine's machine.
        image: image of the sandbox.
        snap: whether the engine is the snap, which sees only part of the file system.
    """
    lower = words.lower()
    detail = words.strip().rstrip(".")
    found = (
        (
            "socket mount denied" in lower or "enhanced container isolation" in lower,
            Finding(
                "socket-mount-denied",
                "Docker Desktop's Enhanced Container Isolation forbids to mount the Docker"
                f" socket: {detail}.",
                "claudy --docker none",
            ),
        ),
        (
            "mounts denied" in lower or "is not shared from" in lower,
            Finding(
                "project-not-shared",
                f"{project} is not shared with the virtual machine of the engine: {detail}.",
                f"In Docker Desktop: Settings > Resources > File sharing, add {project}.",
            ),
        ),
        (
            "docker.sock" in lower and "operation not supported" in lower,
            Finding(
                "mount-source-wrong",
                "The path of the socket is this machine's, and the engine runs in a virtual"
                f" machine: {detail}.",
                "unset CLAUDY_SOCKET_SOURCE",
            ),
        ),
        (
            snap and ("read-only file system" in lower or "does not exist" in lower),
            Finding(
                "snap-confined",
                f"The engine is the snap package, which sees only home directories: {detail}.",
                "sudo snap remove docker && claudy doctor --fix",
            ),
        ),
        (
            "bind source path does not exist" in lower or "creating mount source path" in lower,
            Finding(
                "project-not-visible",
                f"The engine does not see {project}: {detail}.",
                "claudy doctor",
            ),
        ),
        ("no space left on device" in lower or "disk quota" in lower, disk_full(detail)),
        (
            "exec format error" in lower or "does not match the specified platform" in lower,
            Finding(
                "image-wrong-architecture",
                f"{image} was built for another processor than the engine's: {detail}.",
                "claudy build-image",
            ),
        ),
        (
            "no such image" in lower,
            Finding("image-missing", f"The image {image} is missing.", "claudy build-image"),
        ),
        ("client version" in lower and "too" in lower, api_mismatch(detail)),
    )
    return next((finding for matches, finding in found if matches), None)


def disk_full(detail: str) -> Finding:
    """Return the finding for a full disk of the engine."""
    return Finding(
        "disk-full", f"The disk of the Docker engine is full: {detail}.", "docker system prune"
    )


def api_mismatch(detail: str) -> Finding:
    """Return the finding for a client and an engine that have no API version in common."""
    return Finding(
        "api-mismatch",
        f"claudy and the Docker engine have no API version in common: {detail}.",
        "unset DOCKER_API_VERSION",
    )


def engine_remote(endpoint: Endpoint) -> Finding:
    """Return the finding for an engine on another machine.

    Args:
        endpoint: where it answers.
    """
    return Finding(
        "engine-remote",
        f"The engine at {endpoint.url} (from: {endpoint.source}) is on another machine: it can't"
        " mount this machine's project, /workspace would be empty.",
        way_back(endpoint),
    )


def windows_containers(endpoint: Endpoint) -> Finding:
    """Return the finding for an engine that runs Windows containers.

    Args:
        endpoint: where it answers.
    """
    return Finding(
        "windows-containers",
        f"The engine at {endpoint.url} runs Windows containers; claudy needs Linux ones.",
        LINUX_CONTAINERS,
    )


def nested_unmounted(project: str) -> Finding:
    """Return the finding for a project that only exists in the container that claudy runs in.

    Args:
        project: its path here.
    """
    return Finding(
        "nested-unmounted",
        f"claudy runs in a container, and {project} is not mounted from the host: the engine"
        " can't see it.",
        "Start claudy on the host, or mount the project into this container.",
    )
