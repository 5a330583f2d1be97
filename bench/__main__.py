"""`python -m bench`: measure, print, and keep the results of a whole run."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from dataclasses import replace

from bench import machine
from bench.installed import default_python, install_peers
from bench.measure import Bench
from bench.report import Run, as_json, as_table, save, write_results
from bench.stage import set_up

# With `--docker host`, a launch is what `docker run` beside it is; the guard is measured where it
# has a part in it.
SECTIONS = {
    "floor": ("host",),
    "cold": ("host", "guard"),
    "warm": ("host", "guard"),
    "peers": ("host",),
    "commands": ("host",),
    "memory": ("host",),
    "throughput": ("host",),
    "guard": ("guard",),
    "growth": ("host",),
    "diagnosis": ("host",),
}
_PEERS_IN = {"warm", "peers"}


def main() -> int:
    """Do what the command line asks and return the exit code: 0 also if a target is missed."""
    options = _parser().parse_args()
    if options.render:
        write_results()
        return 0
    sections = options.section or list(SECTIONS)
    whole = not options.quick and sections == list(SECTIONS) and not options.docker
    bench = Bench(quick=options.quick)
    before = machine.load()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # clear up then too
    with set_up(options.python, keep_image=options.keep_image) as prepared:
        stage = prepared
        if _PEERS_IN & set(sections) and not options.no_peers:
            peers, missing = install_peers(stage.directory / "peers", options.python)
            stage = replace(stage, peers=tuple(peers), missing=tuple(missing))
        for section in sections:
            measure = importlib.import_module(f"bench.sections.{section}").measure
            for mode in (options.docker,) if options.docker else SECTIONS[section]:
                bench.section = section if section == mode else f"{section}, --docker {mode}"
                measure(bench, stage.using(mode))
        facts = machine.describe(stage)
    facts["load average before / after"] = f"{before}; {machine.load()}"
    run = Run(facts, bench.results)
    if whole and not options.no_save:
        save(run)
    sys.stdout.write((as_json(run) if options.json else as_table(run)) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("section", nargs="*", choices=[*SECTIONS, []], help="only these sections")
    parser.add_argument("--quick", action="store_true", help="few rounds, for a look")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--docker", choices=("guard", "host", "none"), default="", help="only with this"
    )
    parser.add_argument("--no-peers", action="store_true", help="don't install other launchers")
    parser.add_argument(
        "--keep-image", action="store_true", help="leave claudy's image, for the next run"
    )
    parser.add_argument("--no-save", action="store_true", help="leave RESULTS.md as it is")
    parser.add_argument("--render", action="store_true", help="only write RESULTS.md anew")
    parser.add_argument(
        "--python", default=default_python(), help="interpreter to install claudy with"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
