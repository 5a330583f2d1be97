"""What the measurements were made on."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.stage import Stage


def describe(stage: Stage) -> dict[str, str]:
    """Return machine and versions, as they are named in the results."""
    engine = stage.engine.call("GET", "/version")
    info = stage.engine.call("GET", "/info")
    facts = {
        "engine": f"Docker {engine['Version']}, API {engine['ApiVersion']}, {info['Driver']},"
        f" {info['DefaultRuntime']}, cgroup {info.get('CgroupVersion', '1')}",
        "docker CLI": _said("docker", "--version").removeprefix("Docker version "),
        "claudy": _said(stage.claudy, "--version").removeprefix("claudy "),
        "Python": _said(stage.python, "--version").removeprefix("Python "),
        "machine": f"{_cpu()}, {len(os.sched_getaffinity(0))} cores, {_memory()}",
        "kernel": f"{platform.system()} {platform.release()}",
    }
    facts |= {peer.name: peer.version for peer in stage.peers}
    return facts


def load() -> str:
    """Return the load average of the last minute and the last five."""
    one, five, _ = os.getloadavg()
    return f"{one:.1f} / {five:.1f}"


def _said(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, check=True, text=True)
    return done.stdout.strip()


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory() -> str:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{total / (1 << 30):.0f} GiB"
