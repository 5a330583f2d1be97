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

say() { echo "install.sh: $*" >&2; }

fail() {
    say "$*"
    exit 1
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
case ${1:-} in
    '' | --open) ;;
    -h | --help)
        sed -n '2,/^set /{s/^# \{0,1\}//p;}' "$here/install.sh"
        exit
        ;;
    *)
        say "unknown option $1; see: $here/install.sh --help"
        exit 2
        ;;
esac

if [ "$(id -u)" = 0 ]; then
    lib=/usr/local/lib/claudy bin=/usr/local/bin sudo=
else
    lib=${XDG_DATA_HOME:-${HOME:?install.sh: HOME is not set}/.local/share}/claudy
    bin=$HOME/.local/bin
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
    need="claudy needs Python 3.11 or newer with its venv module"
    command -v apt-get >/dev/null || fail "$need: install it (Fedora: dnf install python3), or name one in CLAUDY_PYTHON"
    byhand="as root: apt-get update && apt-get install python3 python3-venv"
    if [ -n "$sudo" ] || [ "$(id -u)" = 0 ]; then
        say "installing python3 and python3-venv with apt-get"
        { $sudo apt-get update -qq &&
            $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
                python3 python3-venv ca-certificates >/dev/null; } ||
            fail "apt-get could not install Python, see above; mend that, then $byhand"
    fi
    python=$(find_python) || fail "$need; $byhand"
fi

# A new environment each time, so that what is installed works until the new one does.
mkdir -p "$lib" "$bin"
new=$(mktemp -d "$lib/venv-XXXXXX")
trap 'rm -rf "$new"' EXIT
chmod 755 "$new"
"$python" -m venv "$new"
pip() { "$new/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
# The newest pip writes a start script that imports less; setuptools would only slow the start down.
pip install --retries 1 --upgrade pip 2>/dev/null || true
pip install "$here" ||
    fail "nothing was changed: pip could not install claudy, see above; it asks the package index of its settings (PIP_INDEX_URL names another)"
pip uninstall --yes setuptools 2>/dev/null || true
ln -sf "$new/bin/claudy" "$bin/claudy"
trap - EXIT
for old in "$lib"/venv*; do
    [ "$old" = "$new" ] || rm -rf "$old"
done

say "$("$bin/claudy" --version) is at $bin/claudy"
case ":$PATH:" in
    *":$bin:"*) ;;
    *) say "add it to your PATH: export PATH=\"$bin:\$PATH\"" ;;
esac

if [ "${1:-}" = --open ]; then
    shift
    exec "$bin/claudy" --yes "$@"
fi
