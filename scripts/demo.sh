#!/usr/bin/env bash
# Sets everything up on a fresh Debian 12 machine and shows what opsd can do today, on a recording of real services
# failing: PostgreSQL is killed under a shop of nginx, two applications and redis.
#   scripts/demo.sh [CASE]   CASE: a name in bench/lab/recordings (default postgres_killed)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case_name=${1:-postgres_killed}
archive=bench/lab/recordings/$case_name.tar.gz
if [ ! -f "$archive" ]; then
    echo "demo.sh: no recording '$case_name'; there are:" >&2
    (cd bench/lab/recordings && ls -- *.tar.gz | sed 's/\.tar\.gz$//') >&2
    exit 2
fi

echo "== set-up"
scripts/setup.sh
log=$(mktemp) work=$(mktemp -d)
trap 'rm -rf "$log" "$work"' EXIT
if ! { cmake --preset release && cmake --build --preset release -j "$(nproc)" --target opsctl; } >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    exit 1
fi

tar -xzf "$archive" -C "$work"
python3 scripts/demo_templates.py build/release/bin/opsctl "$work/$case_name"

cat <<'EOF'

Try next:
  build/release/bin/opsctl help
  build/release/bin/opsctl offline templates --online /var/log/dpkg.log | head
  scripts/demo.sh redis_oom
EOF
