"""What an engine's refusal of a sandbox means: from its words to a finding with its remedy.

The words are those of moby, runc, Docker Desktop and snap; each is matched by the least of it that
has not changed between versions.
"""

from __future__ import annotations

from claudy.host.finding import Finding, way_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claudy.errors import APIError
    from claudy.host.endpoint import Endpoint

NOT_FOUND = 404
# Home directories are what every engine in a virtual machine or a snap can see.
HOME_COPY = 'cp -r "$PWD" ~ && claudy ~/"${PWD##*/}"'
UPGRADE_ENGINE = "Upgrade the Docker engine: https://docs.docker.com/engine/install/"
SOURCE_AS_FOUND = "unset CLAUDY_SOCKET_SOURCE; claudy config set socket_source ''"
GUARD_BESIDE = "claudy config set guard_runs sidecar"
LINUX_CONTAINERS = "In Docker Desktop's menu: Switch to Linux containers."


def refusal(words: str) -> Finding | None:
    """Return what the engine's refusal to create or start a sandbox means, None if unknown.

    Args:
        words: the engine's message.
    """
    lower = words.lower()
    detail = words.strip().rstrip(".")
    unseen = "bind source path does not exist" in lower or "creating mount source path" in lower
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
                f"The engine's virtual machine does not share the project's directory: {detail}.",
                "In Docker Desktop: Settings > Resources > File sharing, add the directory.",
            ),
        ),
        (
            "docker.sock" in lower and "operation not supported" in lower,
            Finding(
                "mount-source-wrong",
                "The path of the socket is this machine's, and the engine runs in a virtual"
                f" machine: {detail}.",
                SOURCE_AS_FOUND,
            ),
        ),
        (
            "@guard" in lower and "bind" in lower,
            Finding(
                "guard-not-visible",
                "The engine does not see the directory of the guard, which can run in a container"
                f" beside the sandbox instead: {detail}.",
                GUARD_BESIDE,
            ),
        ),
        (
            (unseen and ".sock" in lower) or "is not a socket" in lower,
            Finding(
                "mount-source-wrong",
                f"The engine has no socket at the path that was to be mounted: {detail}.",
                SOURCE_AS_FOUND,
            ),
        ),
        (
            unseen and "read-only file system" in lower,
            Finding(
                "snap-confined",
                f"The engine can't see the directory; the snap package sees only homes: {detail}.",
                HOME_COPY,
            ),
        ),
        (
            unseen,
            Finding(
                "project-not-visible",
                f"The engine does not see the directory: {detail}.",
                HOME_COPY,
            ),
        ),
        ("no space left on device" in lower or "disk quota" in lower, disk_full(detail)),
        (
            "exec format error" in lower or "does not match the specified platform" in lower,
            Finding(
                "image-wrong-architecture",
                f"The image was built for another processor than the engine's: {detail}.",
                "claudy build-image",
            ),
        ),
        (
            "claudy guard" in lower and "labels" in lower,
            Finding(
                "nested-guard",
                "This is a sandbox behind claudy's guard: it can start containers, but no sandbox"
                " in the sandbox.",
                "On the host: claudy --new",
            ),
        ),
        (
            "no such image" in lower,
            Finding("image-missing", f"The image is missing: {detail}.", "claudy build-image"),
        ),
    )
    return next((finding for matches, finding in found if matches), None) or _version(words)


def _version(words: str) -> Finding | None:
    """Return what it means that the engine refuses a version of the API."""
    lower = words.lower()
    if "client version" in lower and "too" in lower:
        return api_mismatch(words.strip().rstrip("."), engine_is_older="too new" in lower)
    return None


def explain(error: APIError, endpoint: Endpoint) -> APIError:
    """Give an engine's refusal the words, remedy and id of the finding that it means, if known.

    Args:
        error: the refusal; its `detail` stays the engine's own words.
        endpoint: where it came from.
    """
    if error.request == "GET /_ping":
        finding = _no_ping(error, endpoint)
    elif error.request.startswith("POST /containers/"):
        finding = refusal(error.detail)
    else:
        finding = _version(error.detail)
    if finding:
        error.args = (finding.message,)
        error.message, error.hint, error.code = finding.message, finding.remedy, finding.id
    return error


def _no_ping(error: APIError, endpoint: Endpoint) -> Finding | None:
    """Return what it means that a ping was refused."""
    where = f"{endpoint.url} (from: {endpoint.source})"
    if "HTTPS server" in error.detail:
        message = f"The engine at {where} expects TLS."
        return Finding("tls-expected", message, "export DOCKER_TLS_VERIFY=1")
    if error.status == NOT_FOUND:
        message = f"What answers at {where} is no Docker engine."
        return Finding("not-an-engine", message, way_back(endpoint))
    return refusal(error.detail)


def disk_full(detail: str) -> Finding:
    """Return the finding for a full disk of the engine."""
    return Finding(
        "disk-full", f"The disk of the Docker engine is full: {detail}.", "docker system prune"
    )


def api_mismatch(detail: str, *, engine_is_older: bool) -> Finding:
    """Return the finding for a client and an engine that have no API version in common.

    Args:
        detail: which versions.
        engine_is_older: which of the two has to be upgraded.
    """
    return Finding(
        "api-mismatch",
        f"claudy and the Docker engine have no API version in common: {detail}.",
        UPGRADE_ENGINE if engine_is_older else "git pull && ./install.sh, in a clone of claudy",
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


def wrong_architecture(reference: str, platform: str, engines: str, *, chosen: bool) -> Finding:
    """Return the finding for an image whose programs the engine's processor can't run.

    Args:
        reference: the image.
        platform: what it was built for, as "linux/arm64".
        engines: what the engine runs.
        chosen: whether it is the user's own image.
    """
    return Finding(
        "image-wrong-architecture",
        f"{reference} is for {platform}, the engine runs {engines}.",
        f"docker pull --platform {engines} {reference}" if chosen else "claudy build-image",
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


def nested_unmounted(project: str, engine: str) -> Finding:
    """Return the finding for a project that only exists in the container that claudy runs in.

    Args:
        project: its path here.
        engine: name of the engine.
    """
    return Finding(
        "nested-unmounted",
        f"claudy runs in a container, and {project} is not mounted from the host: the engine"
        f" {engine} can't see it.",
        "Start claudy on the host, or mount the project into this container.",
    )
