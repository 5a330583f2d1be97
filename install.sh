#!/bin/sh
# Installs claudy from this directory for this user and, with --open, opens a sandbox with it.
#
#   ./install.sh                         install
#   ./install.sh --open [ARGS...]        install, then run `claudy --yes ARGS...`
#
# For root everything goes to /usr/local (command in /usr/local/bin), for others to ~/.local.
# Needs Python 3.11 or newer with venv; on Debian and Ubuntu a missing one is installed with apt-get.
# CLAUDY_PYTHON names another interpreter.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

if [ "$(id -u)" = 0 ]; then
    lib=/usr/local/lib/claudy bin=/usr/local/bin sudo=
else
    lib=${XDG_DATA_HOME:-$HOME/.local/share}/claudy bin=$HOME/.local/bin
    sudo=$(command -v sudo || true)
fi

usable() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for candidate in ${CLAUDY_PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if usable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

if ! python=$(find_python); then
    if ! command -v apt-get >/dev/null; then
        echo "install.sh: claudy needs Python 3.11 or newer with its venv module." >&2
        exit 1
    fi
    if [ -n "$sudo" ] || [ "$(id -u)" = 0 ]; then
        echo "install.sh: installing python3 and python3-venv with apt-get" >&2
        $sudo apt-get update -qq
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
            python3 python3-venv ca-certificates >/dev/null
    fi
    python=$(find_python) || {
        echo "install.sh: as root: apt-get install python3 python3-venv" >&2
        exit 1
    }
fi

"$python" -m venv --clear "$lib/venv"
# The newest pip writes a start script that imports less; setuptools would only slow the start down.
"$lib/venv/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade pip
"$lib/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$here"
"$lib/venv/bin/python" -m pip uninstall --quiet --yes setuptools 2>/dev/null || true
mkdir -p "$bin"
ln -sf "$lib/venv/bin/claudy" "$bin/claudy"
echo "install.sh: $("$bin/claudy" --version) is at $bin/claudy" >&2
case ":$PATH:" in
    *":$bin:"*) ;;
    *) echo "install.sh: add $bin to your PATH" >&2 ;;
esac

if [ "${1:-}" = --open ]; then
    shift
    exec "$bin/claudy" --yes "$@"
fi
