"""claudy with a Dockerfile that is built in a second, for what does not depend on the real one."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claudy.engine.client import Engine as Client
from claudy.host.endpoint import resolve
from claudy.image.context import make_recipe
from claudy.image.reference import native_platform
from claudy.image.workshop import Workshop
from tests.engines.shell import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudy.image.context import Recipe
    from claudy.image.events import Event
    from tests.engines.engine import Engine
    from tests.running.program import Claudy

_ROOT = Path(__file__).parents[2]
DOCKERFILE = """\
ARG BASE_IMAGE={base}
FROM ${{BASE_IMAGE}} AS root
LABEL {label}
ARG GREETING=hello
RUN mkdir -p /etc && echo "$GREETING" >/etc/greeting && echo "{label}" >/etc/label
{more}
FROM scratch
COPY --from=root / /
LABEL claudy.image=hal9000
LABEL {label}
CMD ["sh"]
"""


@dataclass(frozen=True)
class Small:
    """A source tree of claudy with a Dockerfile of its own.

    Args:
        root: The tree: `claudy` is a link to the real package.
        label: What everything made from it is labelled with.
        engine: The engine that it is for.
        environment: The environment of its processes.
        clients: The engine clients that were given out, closed in the end.
    """

    root: Path
    label: str
    engine: Engine
    environment: dict[str, str]
    clients: list[Client] = field(default_factory=list)

    def write(self, *, base: str = "busybox:latest", more: str = "") -> None:
        """Write the Dockerfile.

        Args:
            base: Default of BASE_IMAGE.
            more: Further instructions of the first stage.
        """
        text = DOCKERFILE.format(base=base, label=self.label, more=more)
        (self.root / "docker/Dockerfile.hal9000").write_text(text)

    def recipe(self, **build_args: str) -> Recipe:
        """Return the recipe of the image."""
        return make_recipe(build_args, native_platform(), str(self.root / "docker"))

    def workshop(self, events: list[Event], **more: Any) -> Workshop:
        """Return a workshop in this process, whose events are collected.

        Args:
            events: Where events go.
            more: Further variables of the environment.
        """
        env = {**self.environment, **more}
        endpoint = resolve(env=env, home=env["HOME"], platform=sys.platform, uid=os.getuid())
        client = Client(endpoint)
        self.clients.append(client)

        def confirm(question: str, flag: str) -> bool:
            raise AssertionError(f"{question} ({flag})")

        return Workshop(client, env, events.append, confirm)

    def command(self, claudy: Claudy) -> Claudy:
        """Return the command that runs claudy from this tree."""
        script = self.root / "run-claudy"
        script.write_text(
            f"import sys\nsys.path[0] = {str(self.root)!r}\n"
            "from claudy.__main__ import main\nsys.exit(main())\n"
        )
        here = (sys.executable, str(script))
        return replace(claudy, command=here, environment=self.environment)

    def images(self) -> list[dict[str, Any]]:
        """Return all images made from this tree, also those without a name."""
        found: list[dict[str, Any]] = self.engine.api.request(
            "GET", "/images/json", {"all": "1", "filters": {"label": [self.label]}}
        )
        return found

    def names(self) -> set[str]:
        """Return the names of all images made from this tree."""
        return {name for image in self.images() for name in image["RepoTags"] or ()} - {
            "<none>:<none>"
        }

    def clear(self) -> None:
        """Remove all images made from this tree, those that others are derived from last."""
        api = self.engine.api
        for container in self.containers():
            api.request("DELETE", f"/containers/{container['Id']}", {"force": "1", "v": "1"})
        left = self.images()
        while left:
            for image in left:
                with suppress(EngineError):  # has children still
                    api.request("DELETE", f"/images/{image['Id']}", {"force": "1"})
            before, left = left, self.images()
            assert len(left) < len(before), f"can't be removed: {left}"

    def containers(self) -> list[dict[str, Any]]:
        """Return all containers made from images of this tree, whatever their state."""
        found: list[dict[str, Any]] = self.engine.api.request(
            "GET", "/containers/json", {"all": "1", "filters": {"label": [self.label]}}
        )
        return found


@contextmanager
def small_tree(root: Path, label: str, claudy: Claudy) -> Iterator[Small]:
    """Make a tree with the Dockerfile of `Small.write`.

    Args:
        root: An empty directory.
        label: As name=value.
        claudy: Whose environment is taken, but for the caches.
    """
    (root / "claudy").symlink_to(_ROOT / "claudy")
    (root / "docker").mkdir()
    environment = claudy.environment | {"XDG_CACHE_HOME": str(root / "cache")}
    small = Small(root, label, claudy.engine, environment)
    small.write()
    yield small
    for client in small.clients:
        client.close()
    small.clear()


def fresh_name() -> str:
    """Return a name that nothing else has."""
    return f"claudy-test-{secrets.token_hex(4)}"
