"""What engines and registries say when an image can't be had, and what it means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from claudy.image.failures import (
    BuildFailed,
    ImageError,
    NotInRegistry,
    RegistryDenied,
    RegistryDown,
    build_failure,
    registry_failure,
)

if TYPE_CHECKING:
    from claudy.errors import ClaudyError


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        # Recorded from engines 20.10 and 26.1 with Debian's docker-registry.
        (
            "manifest for 127.0.0.1:5000/x:y not found: manifest unknown: manifest unknown",
            NotInRegistry,
        ),
        ("no basic auth credentials", RegistryDenied),
        ("unauthorized: authentication required", RegistryDenied),
        (
            'Get "http://127.0.0.1:9/v2/": dial tcp 127.0.0.1:9: connect: connection refused',
            RegistryDown,
        ),
        (
            'Get "https://registry.invalid/v2/": dial tcp: lookup registry.invalid: no such host',
            RegistryDown,
        ),
        # As Docker Hub words them.
        (
            "pull access denied for x, repository does not exist or may require 'docker login'",
            RegistryDenied,
        ),
        ("toomanyrequests: You have reached your pull rate limit", RegistryDown),
        ("no matching manifest for linux/s390x in the manifest list entries", NotInRegistry),
    ],
)
def test_words_have_a_meaning(words: str, kind: type[ImageError]) -> None:
    error = registry_failure("registry.example/x:y", "registry.example", words)
    assert type(error) is kind
    assert words in error.message
    assert error.exit_code == 125


def test_wrong_credentials_name_the_registry_to_log_in_to() -> None:
    error = registry_failure("registry.example/x", "registry.example", "unauthorized")
    assert error.hint == "docker login registry.example"


@pytest.mark.parametrize(
    "error",
    [
        registry_failure("x", "docker.io", "write /var/lib/docker/tmp/x: no space left on device"),
        build_failure("x", "step 1/2 (RUN y)", "write /y: no space left on device", ()),
        build_failure("x", "step 1/2 (RUN y)", "exit code 1", ("dd: no space left on device",)),
    ],
)
def test_a_full_disk_is_called_so(error: ClaudyError) -> None:
    assert "The disk of the Docker engine filled up" in error.message
    assert error.hint == "docker system df"


def test_a_failed_step_is_named_and_its_output_kept() -> None:
    error = build_failure("hal9000:1", "step 7/9 (RUN make)", "returned code: 2", ("a", "b"))
    assert isinstance(error, BuildFailed)
    assert error.message == "Building hal9000:1 failed at step 7/9 (RUN make): returned code: 2."
    assert error.log == ("a", "b")


def test_a_foreign_platform_without_emulation_is_called_so() -> None:
    error = build_failure("x", "s", "code 1", ("exec /bin/sh: exec format error",))
    assert "can't run programs of that platform" in error.message


def test_a_mirror_out_of_reach_suggests_another() -> None:
    error = build_failure("x", "s", "code 100", ("Temporary failure resolving 'mirror.example'",))
    assert "APT_MIRROR" in error.hint
