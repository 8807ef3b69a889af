# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# usage: ./dev sanitize [address|thread]
# what: unit tests and some interop tests with ASan + UBSan, and with TSan

sanitize_one() { # NAME MESON-VALUE COUNTS
    local dir=build-$1 rc=0
    build_in "$dir" -Db_sanitize="$2" -Db_lundef=false -Dbuildtype=debugoptimized
    say "unit tests with $1 sanitizer"
    meson test -C "$dir" --no-rebuild --print-errorlogs -t 4 >"$dir/unit.log" 2>&1 </dev/null ||
        rc=1
    [ $rc = 0 ] || tail -n 60 "$dir/unit.log"
    awk -f tools/junit-count.awk "$dir/meson-logs/testlog.junit.xml" >>"$3"
    say "interop with $1 sanitizer"
    SANITIZED=1 BUILD=$PWD/$dir tools/tap-run -t 600 -l "$dir/test-logs" -c "$3" \
        tests/interop/{libiscsi_tools,chap,sessions,qemu_img}.sh tests/fault/kill_under_load.sh ||
        rc=1
    return $rc
}

cmd_sanitize() {
    local counts rc=0
    case ${1:-} in
    '' | address | thread | valgrind) ;;
    *) misuse "sanitize: unknown argument '$1' (./dev sanitize --help)" ;;
    esac
    install_packages build test fuzz
    mkdir -p build
    counts=$(mktemp build/counts.XXXXXX)
    export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1
    UBSAN_OPTIONS=$UBSAN_OPTIONS:halt_on_error=1 TSAN_OPTIONS=halt_on_error=0
    export TSAN_OPTIONS
    [ "${1:-address}" != address ] || sanitize_one address address,undefined "$counts" || rc=1
    [ "${1:-thread}" != thread ] || sanitize_one thread thread "$counts" || rc=1
    awk '{ p += $1; f += $2; s += $3 }
         END { printf "%d passed, %d failed, %d skipped\n", p, f, s }' "$counts"
    rm -f "$counts"
    return $rc
}
