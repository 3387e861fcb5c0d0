#!/usr/bin/env bash
# Installs what opsd is built from (Debian 12). With --tests also what its tests need, and a pinned Python
# environment in .venv. Safe to run again: it asks the package manager only for what is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

with_tests=false
for arg in "$@"; do
    case "$arg" in
    --tests) with_tests=true ;;
    -h | --help) echo "usage: scripts/setup.sh [--tests]"; exit 0 ;;
    *) echo "setup.sh: unknown argument '$arg' (known: --tests)" >&2; exit 2 ;;
    esac
done

listed() { sed -e 's/#.*//' "$@" | grep -v '^[[:space:]]*$'; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
        echo "setup.sh: root is needed to install packages and sudo is missing; run as root: $*" >&2
        exit 1
    fi
}

lists=(scripts/packages.txt)
if $with_tests; then lists+=(scripts/packages-test.txt); fi
missing=()
while read -r name; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null || true)" = installed ] || missing+=("$name")
done < <(listed "${lists[@]}")
if [ ${#missing[@]} -gt 0 ]; then
    echo "setup: installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 install \
        --no-install-recommends "${missing[@]}"
fi

if $with_tests && [ -f tests/requirements.txt ]; then
    stamp=.venv/requirements.sha256
    want=$(sha256sum tests/requirements.txt | cut -d' ' -f1)
    if [ "$(cat "$stamp" 2>/dev/null || true)" != "$want" ]; then
        python3 -m venv .venv
        .venv/bin/pip install -q --disable-pip-version-check -r tests/requirements.txt
        echo "$want" >"$stamp"
    fi
fi
