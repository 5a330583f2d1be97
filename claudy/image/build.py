"""Build an image of claudy's own: the classic builder of `POST /build`, with its output as events.

The classic builder, because it is in every engine that claudy supports and needs one request;
BuildKit over the API needs a gRPC session beside it and says what it does in protobuf. The
Dockerfile itself builds under both.
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from typing import TYPE_CHECKING

from claudy import __version__
from claudy.errors import APIError, EngineError
from claudy.image.events import Log, Phase, Step
from claudy.image.failures import build_failure
from claudy.image.images import remove_image
from claudy.image.proxies import proxy_args
from claudy.image.reference import native_platform

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from claudy.engine.client import Engine
    from claudy.image.context import Recipe
    from claudy.image.workshop import Workshop

TAIL = 30
_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)")
_RESULT = re.compile(r" ---> ([0-9a-f]{12})$")
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# What the builder says about itself; everything else is a program's output.
_OWN_WORDS = (" --->", "Removing intermediate container ", "Successfully ")


class Transcript:
    """What the builder has said so far, read from the messages of its stream.

    Attributes:
        image: id of the finished image; empty before.
        step: the step that runs, as "step 5/14 (RUN …)"; empty before the first.
        error: the engine's error message; empty when there is none.
        tail: the last lines of output.
        leftovers: ids of what the steps made that is no part of the result, newest last.
    """

    def __init__(self) -> None:
        self.image = ""
        self.step = ""
        self.error = ""
        self.tail: deque[str] = deque(maxlen=TAIL)
        self._heads: list[list[str]] = []  # of each stage: its base, then what its steps made
        self._pending: Step | None = None
        self._rest = ""

    @property
    def leftovers(self) -> list[str]:
        """Return the last image of each stage that is not the result."""
        heads = [stage[-1] for stage in self._heads if len(stage) > 1]
        return heads[:-1] if self.image else heads

    def read(self, messages: Iterable[Mapping[str, Any]]) -> Iterator[Step | Log]:
        """Yield events from the messages of the engine."""
        for message in messages:
            if "error" in message:
                self.error = str(message["error"])
            self.image = str((message.get("aux") or {}).get("ID", self.image))
            *lines, self._rest = (self._rest + str(message.get("stream", ""))).split("\n")
            for line in lines:
                yield from self._line(_COLOURS.sub("", line).rsplit("\r", 1)[-1].rstrip())
        if self._rest.strip():
            yield from self._line(_COLOURS.sub("", self._rest).rstrip())
        yield from self._announce()

    def _line(self, line: str) -> Iterator[Step | Log]:
        if found := _STEP.match(line):
            yield from self._announce()
            text = found[3]
            self.step = f"step {found[1]}/{found[2]} ({text})"
            self._pending = Step(int(found[1]), int(found[2]), text)
            if text.startswith("FROM "):
                self._heads.append([""] if text == "FROM scratch" else [])
            return
        if line == " ---> Using cache":
            yield from self._announce(cached=True)
        elif line:
            yield from self._announce()
        if (found := _RESULT.match(line)) and self._heads:
            self._heads[-1].append(found[1])
        elif line and not line.startswith(_OWN_WORDS):
            self.tail.append(line)
            yield Log(line)

    def _announce(self, *, cached: bool = False) -> Iterator[Step]:
        """Yield the step that was read last, now that it is known whether it is cached."""
        if self._pending is not None:
            step, self._pending = self._pending, None
            yield Step(step.number, step.total, step.text, cached)


def build(workshop: Workshop, recipe: Recipe, base: str, *, no_cache: bool = False) -> str:
    """Build an image and return its id; it gets its tag only when all went well.

    When this is left early, closing the connection makes the engine end the running step and
    remove its container.

    Args:
        workshop: where.
        recipe: from what.
        base: reference of the base image, there already.
        no_cache: run every step again.

    Raises:
        BuildFailed: a step failed; the error has the last lines of output.
    """
    reference = recipe.reference
    workshop.report(Phase(f"Building {reference}"))
    query: dict[str, str | int | bool] = {
        "version": "1",
        "t": reference,
        "dockerfile": recipe.dockerfile,
        "rm": True,
        "forcerm": True,
        "nocache": no_cache,
        "buildargs": json.dumps(
            {
                **proxy_args(workshop.env, workshop.engine.endpoint.url),
                **dict(recipe.build_args),
                "BASE_IMAGE": base,
            }
        ),
        "labels": json.dumps(
            {
                "claudy.version": __version__,
                "claudy.created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
        ),
    }
    if recipe.platform != native_platform():
        query["platform"] = recipe.platform
    if _remaps_users(workshop.engine):
        # There the classic builder can't copy between stages (moby: "Container ID 1000042 cannot
        # be mapped to a host ID"); the first one is complete, only not as small.
        query["target"] = "root"
    transcript = Transcript()
    try:
        _run(workshop, query, recipe.context(), transcript)
    except APIError as error:
        raise build_failure(reference, transcript.step, error.detail, ()) from error
    finally:
        _clear(workshop.engine, transcript.leftovers)
    if transcript.error or not transcript.image:
        words = transcript.error or "the engine ended the build without a result"
        raise build_failure(reference, transcript.step, words, tuple(transcript.tail))
    return transcript.image


def _remaps_users(engine: Engine) -> bool:
    """Whether the daemon runs with userns-remap."""
    options = engine.call("GET", "/info").get("SecurityOptions") or ()
    return any(option.startswith("name=userns") for option in options)


def _run(
    workshop: Workshop, query: dict[str, str | int | bool], context: bytes, transcript: Transcript
) -> None:
    engine = workshop.engine
    headers = {"Content-Type": "application/x-tar"}
    response = engine.stream("POST", "/build", query, body=context, headers=headers)
    try:
        for event in transcript.read(engine.events(response)):
            workshop.report(event)
    finally:
        response.close()


def _clear(engine: Engine, images: list[str]) -> None:
    """Remove images that only the build needed."""
    for image in images:
        try:
            remove_image(engine, image)
        except EngineError:
            return  # the engine is gone
