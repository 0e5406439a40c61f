#!/bin/sh
# Install Debian packages, quietly. Fails where there is no apt-get, or nobody who may use it.
# Usage: apt_install.sh PACKAGE...
set -eu

[ "$(id -u)" -eq 0 ] || exit 1
command -v apt-get >/dev/null 2>&1 || exit 1

echo "Installing $* with apt-get." >&2
export DEBIAN_FRONTEND=noninteractive
# A list that cannot be refreshed may still be good enough to install from.
apt-get update -qq >&2 || true
apt-get install -qq --yes --no-install-recommends "$@" >&2
