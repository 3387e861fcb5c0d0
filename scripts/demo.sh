#!/usr/bin/env bash
# Sets everything up on a fresh Debian 12 machine, starts opsd, and replays a recording of real services failing through
# its OTLP port at an accelerated clock, showing findings as they appear.
#   scripts/demo.sh [--keep] [--speed N] [CASE]
#     CASE     a name in bench/lab/recordings (default postgres_killed: PostgreSQL is killed under a small shop)
#     --keep   leave opsd running afterwards; --speed: how much faster than recorded (default 20)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

keep=0 speed=20 case_name=postgres_killed
while [ $# -gt 0 ]; do
    case $1 in
    --keep) keep=1 ;;
    --speed) speed=${2:?--speed needs a number} && shift ;;
    -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0" && exit 0 ;;
    -*) echo "demo.sh: unknown option $1" >&2 && exit 2 ;;
    *) case_name=$1 ;;
    esac
    shift
done
archive=bench/lab/recordings/$case_name.tar.gz
if [ ! -f "$archive" ]; then
    echo "demo.sh: no recording '$case_name'; there are:" >&2
    (cd bench/lab/recordings && ls -- *.tar.gz | sed 's/\.tar\.gz$//') >&2
    exit 2
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/opsd-demo.XXXXXX")
daemon='' watcher=''
finish() {
    [ -z "$watcher" ] || kill "$watcher" 2>/dev/null || true
    if [ -n "$daemon" ] && [ "$keep" = 0 ]; then
        kill "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
        rm -rf "$work"
    elif [ -z "$daemon" ]; then
        rm -rf "$work"
    fi
}
trap finish EXIT

echo "== set-up"
scripts/setup.sh
if ! { cmake --preset release && cmake --build --preset release -j "$(nproc)" --target opsd opsctl; } >"$work/build.log" 2>&1; then
    tail -n 40 "$work/build.log" >&2
    exit 1
fi
bin=build/release/bin

echo "== opsd"
"$bin/opsd" --data "$work/data" --otlp-grpc 127.0.0.1:0 --otlp-http 127.0.0.1:0 --api-address 127.0.0.1:0 \
    --web-address 127.0.0.1:0 2>"$work/opsd.log" &
daemon=$!
for _ in $(seq 100); do
    grep -q 'event=ready' "$work/opsd.log" && break
    kill -0 "$daemon" 2>/dev/null || { daemon='' && cat "$work/opsd.log" >&2 && exit 1; }
    sleep 0.1
done
port() { sed -n "s/.*event=ready.* $1=\([0-9]*\).*/\1/p" "$work/opsd.log"; }
api=127.0.0.1:$(port api) otlp=127.0.0.1:$(port otlp_http)
echo "   pid $daemon: OTLP/HTTP $otlp, OTLP/gRPC 127.0.0.1:$(port otlp_grpc), API $api, web http://127.0.0.1:$(port web)/metrics"
ctl=("$bin/opsctl")
server=(--server "$api")

echo "== replay of $case_name, $speed times as fast as it happened; what opsd finds, as it finds it:"
"${ctl[@]}" watch findings "${server[@]}" &
watcher=$!
bench/lab/replay "$archive" --endpoint "$otlp" --signals logs,traces --speed "$speed" >"$work/replay.json" 2>"$work/replay.log" ||
    { cat "$work/replay.log" >&2 && exit 1; }
sleep 3
kill "$watcher" 2>/dev/null || true
wait "$watcher" 2>/dev/null || true
watcher=''

echo
python3 - "$work/replay.json" <<'EOF'
import datetime, json, sys
r = json.load(open(sys.argv[1]))
if r.get("fault"):
    at = datetime.datetime.fromtimestamp(r["onset"], datetime.timezone.utc)
    print(f"== what was really done: {r['component']} {r['fault']} at {at:%H:%M:%S} UTC (replayed time)")
else:
    print("== nothing was broken in this recording: it is a control")
print(f"   {r['by']['logs']} log records and {r['by']['traces']} spans sent, {r['rejected']} rejected")
EOF
"${ctl[@]}" get status "${server[@]}"
echo
"${ctl[@]}" get findings "${server[@]}"
echo
echo "== what of it belongs together, and the likeliest cause:"
"${ctl[@]}" get incidents "${server[@]}"
first=$("${ctl[@]}" get incidents "${server[@]}" -o name --limit 1)
if [ -n "$first" ]; then
    echo
    "${ctl[@]}" describe incident "$first" "${server[@]}"
fi

echo
echo "Try next:"
if [ "$keep" = 1 ]; then
    echo "  $bin/opsctl get streams --server $api"
    echo "  $bin/opsctl logs --server $api --severity error --limit 20"
    echo "  $bin/opsctl get templates --server $api"
    [ -z "$first" ] || echo "  $bin/opsctl ack ${first/\// } --comment 'on it' --server $api"
    echo "  kill $daemon; rm -rf $work        # when done"
else
    echo "  scripts/demo.sh --keep            # the same, and opsd stays to be asked"
    echo "  scripts/demo.sh redis_oom         # another fault; control_deploy: none"
    echo "  $bin/opsctl offline findings /var/log/syslog"
fi
