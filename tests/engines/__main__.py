"""Bring test engines up and down, and run commands beside them."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

from tests.engines.api import Api
from tests.engines.daemon import halt, start
from tests.engines.engine import FOREIGN
from tests.engines.images import load_images
from tests.engines.layout import (
    DATA,
    ENGINE_VARIABLE,
    INSTANCE_VARIABLE,
    KINDS,
    RUN,
    Place,
    chosen_instance,
)
from tests.engines.registry import start_registries
from tests.engines.room import command_in
from tests.engines.roots import prepare_host, root_of, slim_image
from tests.engines.shell import EngineError, locked, say
from tests.engines.suite import instance_apart, run_suite

_REGISTRY = "registry"
_SUITE_ENGINES = ["20.10", "26.1"]
# What the suite can be run on; two versions are enough for each change.
_WHOLE_ENGINES = [*_SUITE_ENGINES, "28.5", "containerd"]
_DEFAULT = [*_SUITE_ENGINES, _REGISTRY]


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.action == "up":
            return _up(options.names or _DEFAULT, options.suffix)
        if options.action == "down":
            names = options.names or list(KINDS)
            for instance in (options.suffix, instance_apart(options.suffix)):
                _down(names, instance, purge=options.purge)
            return 0
        if options.action == "status":
            return _status()
        if options.action == "test":
            return _test(options.engine, options.suffix, options.pytest)
        _exec(options.name, options.suffix, options.command)
    except EngineError as error:
        say(f"error: {error}")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.engines", description=__doc__)
    parser.add_argument(
        "--suffix",
        default=chosen_instance(),
        metavar="INSTANCE",
        help=f"a second, independent set of engines (default: ${INSTANCE_VARIABLE})",
    )
    actions = parser.add_subparsers(dest="action", required=True)
    up = actions.add_parser("up", help="start what is missing; prints the DOCKER_HOST of each")
    up.add_argument("names", nargs="*", choices=[*KINDS, _REGISTRY, []])
    down = actions.add_parser("down", help="stop engines and their containers")
    down.add_argument("names", nargs="*", choices=[*KINDS, []])
    down.add_argument("--purge", action="store_true", help="remove their images too")
    actions.add_parser("status", help="list the engines that were brought up")
    execute = actions.add_parser("exec", help="run a command that sees that engine alone")
    execute.add_argument("name", choices=KINDS)
    execute.add_argument("command", nargs=argparse.REMAINDER)
    test = actions.add_parser("test", help="bring all up, run every test, on each engine")
    test.add_argument("--engine", action="append", choices=[*_WHOLE_ENGINES, FOREIGN])
    test.add_argument("pytest", nargs="*", help="options of pytest, after --")
    return parser


def _up(names: list[str], instance: str) -> int:
    kinds = [name for name in names if name != _REGISTRY]
    places = [Place(kind, instance) for kind in kinds or _SUITE_ENGINES]
    prepare_host()
    with ThreadPoolExecutor() as pool:
        slim = pool.submit(slim_image)
        for future in [
            pool.submit(_bring_up, place, registry=_REGISTRY in names) for place in places
        ]:
            future.result()
        slim.result()
    for place in places:
        sys.stdout.write(f"{place.name} {place.host}\n")
    return 0


def _bring_up(place: Place, *, registry: bool) -> None:
    with locked(RUN / f"{place.name}.lock"):
        root = root_of(place.kind)
        start(place, root)
        load_images(Api(place.socket), root)
        if registry and place.kind in _WHOLE_ENGINES:
            start_registries(place, root)


def _down(names: list[str], instance: str, *, purge: bool) -> None:
    for name in names:
        place = Place(name, instance)
        if place.run.exists() or (purge and place.data.exists()):
            with locked(RUN / f"{place.name}.lock"):
                halt(place, purge=purge)


def _status() -> int:
    for directory in sorted(DATA.glob("*")):
        kind, _, instance = directory.name.partition("-")
        if kind not in KINDS:
            continue
        place = Place(kind, instance)
        state = "up" if Api(place.socket).answers() else "down"
        sys.stdout.write(f"{place.name} {place.host} {state}\n")
    return 0


def _test(engines: list[str] | None, instance: str, options: list[str]) -> int:
    possible = os.geteuid() == 0 and shutil.which("apt-get")
    chosen = engines or (_SUITE_ENGINES if possible else [FOREIGN])
    if chosen != [FOREIGN]:
        _up([*chosen, "rootless", "userns", _REGISTRY], instance)
        _up(chosen, instance_apart(instance))
    return run_suite(chosen, instance, options)


def _exec(name: str, instance: str, command: list[str]) -> NoReturn:
    place = Place(name, instance)
    command = command[1:] if command[:1] == ["--"] else command
    if not command:
        message = "exec needs a command"
        raise EngineError(message)
    whole = command_in(place, command)
    for variable in ("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        os.environ.pop(variable, None)
    os.environ |= {
        "DOCKER_HOST": place.host,
        ENGINE_VARIABLE: name,
        INSTANCE_VARIABLE: instance,
    }
    os.execvp(whole[0], whole)  # noqa: S606 - no shell is what is wanted


if __name__ == "__main__":
    sys.exit(main())
