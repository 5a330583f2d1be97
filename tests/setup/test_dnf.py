"""An engine is installed with dnf and started, on a machine that calls itself Fedora.

dnf, rpm and the repository are real, and so is the engine in its package; the files around them
are Debian's, as no mirror of Fedora is at hand. There is no systemd: the daemon is started itself.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.engines.roots import machine_archive, root_of
from tests.setup.bare import Bare, require_root

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGES = "createrepo-c,dnf,iptables,libseccomp2,python3,rpm"
_RELEASE = 'NAME="Fedora Linux"\nID=fedora\nVERSION_ID=43\n'
_REPOSITORY = "[fedora]\nname=Fedora\nbaseurl=file:///srv/repository\ngpgcheck=0\n"
# As Fedora's packages divide them.
_ENGINE = (
    "dockerd",
    "docker-proxy",
    "containerd",
    "containerd-shim-runc-v2",
    "runc",
    "tini-static",
)
_SPEC = """
Name: {name}
Version: 26.1.5
Release: 1
Summary: the engine under test
License: Apache-2.0
AutoReqProv: no
%global debug_package %{{nil}}
%global __os_install_post %{{nil}}
%define _binary_payload w0.gzdio
%description
It.
%install
mkdir -p %{{buildroot}}/usr/bin
cp {files} %{{buildroot}}/usr/bin
%files
/usr/bin/*
"""
DNF = "dnf install -y moby-engine docker-cli"
DAEMON = "sh -c 'setsid /usr/bin/dockerd >/var/log/dockerd.log 2>&1 </dev/null &'"
INSTALL = """
import os, socket
from claudy.host.install import plan_install, run_plan, survey

def is_live():
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex("/var/run/docker.sock") == 0

plan = plan_install(survey(env=os.environ, platform="linux", uid=0))
print(plan.title)
run_plan(plan, notify=print, is_live=is_live)
print(is_live())
"""


@pytest.fixture
def fedora(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bare]:
    """Return a machine with dnf, a repository that has the engine, and no engine."""
    require_root(request.config)
    root = tmp_path_factory.mktemp("fedora") / "root"
    root.mkdir()
    machine = Bare(root, "fedora", machine_archive("trixie", _PACKAGES))
    try:
        (root / "etc/os-release").unlink()
        (root / "etc/os-release").write_text(_RELEASE)
        _package(machine, "moby-engine", _ENGINE)
        _package(machine, "docker-cli", ("docker",))
        made = machine.run("createrepo_c", "-q", "/srv/repository")
        assert made.returncode == 0, made.stderr
        (root / "etc/yum.repos.d").mkdir(exist_ok=True)
        (root / "etc/yum.repos.d/fedora.repo").write_text(_REPOSITORY)
        yield machine
    finally:
        machine.halt()
        shutil.rmtree(root, ignore_errors=True)


def _package(machine: Bare, name: str, programs: tuple[str, ...]) -> None:
    """Make a package of programs of the test engine, and put it into the repository."""
    there = root_of("26.1") / "usr"
    work = machine.root / "srv" / name
    work.mkdir()
    for program in programs:
        found = next(p for p in (there / "sbin" / program, there / "bin" / program) if p.exists())
        shutil.copy(found, work / program.replace("tini-static", "docker-init"))
    (work / "it.spec").write_text(_SPEC.format(name=name, files=f"/srv/{name}/[!i]*"))
    options = ("-D", "_topdir /srv/build", "-D", "_rpmdir /srv/repository")
    made = machine.run("rpmbuild", "--quiet", "-bb", *options, f"/srv/{name}/it.spec")
    assert made.returncode == 0, made.stderr
    shutil.rmtree(work)


def test_dnf_installs_an_engine_and_it_is_started(fedora: Bare) -> None:
    install = ("env", "PYTHONPATH=/srv/claudy", "python3", "-c", INSTALL)
    repository = fedora.root / "srv/repository"
    away = repository.rename(repository.with_name("away"))
    done = fedora.run(*install)
    assert done.returncode == 1
    assert f"InstallError: {DNF} failed with status 1." in done.stderr
    away.rename(repository)

    # In one go: /run with the socket is that command's own.
    script = '"$@" && rpm -q moby-engine docker-cli && docker version -f "{{.Server.Version}}"'
    done = fedora.run("sh", "-c", script, "sh", *install)
    assert done.returncode == 0, done.stderr
    *said, engine, cli, version = done.stdout.splitlines()
    assert said == [
        "Install moby-engine with dnf and start it",
        f"{DNF}  # install the engine from Fedora",
        f"{DAEMON}  # start it in a session of its own; its log is /var/log/dockerd.log",
        "True",
    ]
    assert engine.startswith("moby-engine-26.1.5-1.")
    assert cli.startswith("docker-cli-26.1.5-1.")
    assert version.startswith("26.1.5")
