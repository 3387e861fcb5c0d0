#!/usr/bin/env bash
# Sets everything up and runs every test. Last line: N passed, N failed, N skipped.
#   --quick   no sanitizer builds, no fuzzers
#   --fuzz    each fuzzer for 60 s instead of a few
#   --long    the long forms of suites that have one
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

quick=false fuzz_seconds=3
export OPS_TEST_LONG=0
for arg in "$@"; do
    case "$arg" in
    --quick) quick=true ;;
    --fuzz) fuzz_seconds=60 ;;
    --long) OPS_TEST_LONG=1 ;;
    -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "test.sh: unknown argument '$arg' (known: --quick --fuzz --long)" >&2; exit 2 ;;
    esac
done

passed=0 failed=0 skipped=0
jobs=$(nproc)
say() { printf '\n== %s\n' "$*"; }
count() { # status name
    case "$1" in
    ok) passed=$((passed + 1)) ;;
    skip) skipped=$((skipped + 1)); echo "SKIP $2" ;;
    *) failed=$((failed + 1)); echo "FAIL $2" ;;
    esac
}
finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}

# Adds up a ctest run from its JUnit report: tests="" failures="" skipped="".
ctest_suite() { # preset args...
    local preset=$1 report
    shift
    report=$PWD/build/$preset/report.xml
    rm -f "$report"
    ctest --test-dir "build/$preset" -j "$jobs" --output-on-failure --output-junit "$report" "$@" >"build/$preset/ctest.log" 2>&1
    local rc=$?
    if [ ! -f "$report" ]; then
        cat "build/$preset/ctest.log"
        count fail "ctest $preset: no report (exit $rc)"
        return
    fi
    local totals total bad skips
    totals=$(python3 - "$report" <<'P'
import sys, xml.etree.ElementTree as e
s = e.parse(sys.argv[1]).getroot()
cases = s.findall("testcase")
skip = [c for c in cases if c.get("status") in ("notrun", "disabled") or c.find("skipped") is not None]
bad = [c for c in cases if c.get("status") == "fail"]
for c in skip:
    print("SKIP %s: %s" % (c.get("name"), (c.findtext("system-out") or "no reason given").strip()[-200:]), file=sys.stderr)
for c in bad:
    print("FAIL %s" % c.get("name"), file=sys.stderr)
print(len(cases), len(bad), len(skip))
P
    )
    read -r total bad skips <<<"$totals"
    [ "$bad" -eq 0 ] || sed -n '/% tests passed/,$!p' "build/$preset/ctest.log" | tail -n 200
    passed=$((passed + total - bad - skips)) failed=$((failed + bad)) skipped=$((skipped + skips))
    echo "ctest $preset: $((total - bad - skips)) passed, $bad failed, $skips skipped"
    if [ "$rc" -ne 0 ] && [ "$bad" -eq 0 ]; then count fail "ctest $preset: exit $rc without a failed case"; fi
}

build() { # preset
    cmake --preset "$1" >"/tmp/opsd-cmake-$1.$$" 2>&1 && cmake --build --preset "$1" -j "$jobs" >>"/tmp/opsd-cmake-$1.$$" 2>&1
    local rc=$?
    if [ $rc -ne 0 ]; then
        grep -E 'error|FAILED|Error' "/tmp/opsd-cmake-$1.$$" | head -n 60
        tail -n 20 "/tmp/opsd-cmake-$1.$$"
    fi
    rm -f "/tmp/opsd-cmake-$1.$$"
    return $rc
}

say "set-up"
scripts/setup.sh --tests || { count fail "set-up"; finish; }
scripts/models.sh --tests || count fail "models: the tests of the real model are skipped"

say "build dev"
if build dev; then count ok build; else
    count fail "build dev"
    finish
fi

say "unit, component, simulation"
ctest_suite dev

say "formatting"
if git ls-files '*.c' '*.h' | xargs -r clang-format-14 --dry-run --Werror >/tmp/opsd-format.$$ 2>&1; then
    count ok format
else
    head -n 20 /tmp/opsd-format.$$
    count fail "format: run clang-format-14 -i on the files above"
fi
rm -f /tmp/opsd-format.$$

say "clang-tidy"
if scripts/lint.py build/dev; then count ok clang-tidy; else count fail clang-tidy; fi

pytest_suites() {
    local report=$PWD/build/pytest.xml
    [ -n "$(git ls-files 'tests/integration/**/test_*.py' 'tests/integration/*_test.py' 'tests/unit/**/test_*.py')" ] || return 0
    say "integration (pytest)"
    OPS_BUILD=$PWD/build/dev OPS_VENV=$PWD/.venv .venv/bin/python -m pytest -q -rs -p no:cacheprovider --junit-xml "$report" tests
    local rc=$?
    [ -f "$report" ] || { count fail "pytest: no report (exit $rc)"; return; }
    local totals total bad skips
    totals=$(python3 - "$report" <<'P'
import sys, xml.etree.ElementTree as e
s = list(e.parse(sys.argv[1]).getroot().iter("testsuite"))
g = lambda k: sum(int(x.get(k, 0)) for x in s)
print(g("tests"), g("failures") + g("errors"), g("skipped"))
P
    )
    read -r total bad skips <<<"$totals"
    passed=$((passed + total - bad - skips)) failed=$((failed + bad)) skipped=$((skipped + skips))
    if [ "$rc" -ne 0 ] && [ "$bad" -eq 0 ]; then count fail "pytest: exit $rc"; fi
}
pytest_suites

if ! $quick; then
    for preset in asan tsan; do
        say "unit suites under $preset"
        if build $preset; then ctest_suite $preset -L unit; else count fail "build $preset"; fi
    done

    say "fuzzers, $fuzz_seconds s each"
    if build fuzz; then
        for binary in build/fuzz/fuzz/*_fuzz; do
            [ -x "$binary" ] || continue
            name=$(basename "$binary" _fuzz)
            corpus=tests/fuzz/corpus/$name work=build/fuzz/work/$name
            mkdir -p "$work"
            seeds=()
            [ -d "$corpus" ] && seeds=("$corpus")
            dict=()
            [ -f "tests/fuzz/$name.dict" ] && dict=("-dict=tests/fuzz/$name.dict")
            "$binary" -max_total_time="$fuzz_seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$work/" "${dict[@]}" \
                "$work" "${seeds[@]}" >"$work.log" 2>&1
            rc=$?
            if [ "$name" = canary ]; then
                if [ $rc -ne 0 ]; then count ok "fuzz canary"; else count fail "fuzz canary: the seeded bug was not found"; fi
            elif [ $rc -eq 0 ]; then count ok "fuzz $name"; else
                tail -n 30 "$work.log"
                count fail "fuzz $name"
            fi
        done
    else
        count fail "build fuzz"
    fi
fi
finish
