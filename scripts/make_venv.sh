#!/bin/sh
# Make a virtual environment with a Python that is new enough.
# Usage: make_venv.sh FOLDER [PYTHON]; without PYTHON the usual names are tried in turn.
set -eu

folder=$1
wanted=${2:-}
here=$(dirname "$0")

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1
}

can_make_environments() {
    # Debian ships Python without ensurepip; an environment made there would have no pip.
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1
}

fail() {
    echo "$1" >&2
    exit 1
}

# Sets `python` to the first that does; `incomplete` to one that would, had it the modules for environments.
find_python() {
    python=
    incomplete=
    for candidate in python3 python3.13 python3.12 python3.11 python3.10 python3.14 python; do
        if is_new_enough "$candidate"; then
            if can_make_environments "$candidate"; then
                python=$candidate
                return 0
            fi
            incomplete=${incomplete:-$candidate}
        fi
    done
    return 1
}

if [ -n "$wanted" ]; then
    command -v "$wanted" >/dev/null 2>&1 || fail "PYTHON=$wanted: there is no such program."
    is_new_enough "$wanted" || fail "PYTHON=$wanted is $("$wanted" --version 2>&1); Python 3.10 or newer is needed."
    can_make_environments "$wanted" ||
        fail "PYTHON=$wanted has no venv and ensurepip modules; on Debian and Ubuntu install python3-venv."
    python=$wanted
elif ! find_python; then
    # Tried only now: where a Python is complete, the system is left as it is.
    if ! { "$here/apt_install.sh" python3 python3-venv && find_python; }; then
        [ -z "$incomplete" ] ||
            fail "$incomplete has no venv and ensurepip modules. Install them (Debian, Ubuntu: apt-get install python3-venv)."
        fail "No Python 3.10 or newer was found. Install one, or name it: make PYTHON=/path/to/python3 ..."
    fi
fi

echo "Making $folder with $("$python" --version 2>&1)." >&2
if ! "$python" -m venv --clear "$folder"; then
    rm -rf "$folder"
    fail "$python could not make the environment $folder; its message is above."
fi
