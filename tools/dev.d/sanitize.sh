# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# usage: ./dev sanitize [address|thread|valgrind]
# what: tests with ASan + UBSan, with TSan, and the cores' unit tests under valgrind
# more: Without an argument all three, one after the other, in build-address, build-thread and
# more: build. ASan and TSan run all unit tests and the interop tests that are not about time.

# A run of meson's tests, its counts in COUNTS.
sanitize_units() { # DIR COUNTS MESON-TEST-ARGUMENT...
    local dir=$1 counts=$2 log=$1/meson-logs/testlog.junit.xml rc=0 passed failed skipped
    shift 2
    rm -f "$dir"/meson-logs/*.xml
    interruptible meson test -C "$dir" --no-rebuild --print-errorlogs "$@" >"$dir/unit.log" 2>&1 \
        </dev/null || rc=1
    [ $rc = 0 ] || tail -n 60 "$dir/unit.log"
    log=$(find "$dir/meson-logs" -name '*.junit.xml' | sed -n 1p)
    read -r passed failed skipped < <(awk -f tools/junit-count.awk "$log")
    # a program that the sanitizer ended may have no failed case of its own
    [ $rc = 0 ] || [ "$failed" != 0 ] || failed=1
    printf '  %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    echo "$passed $failed $skipped" >>"$counts"
    return $rc
}

sanitize_one() { # NAME MESON-VALUE COUNTS
    local dir=build-$1 rc=0
    build_in "$dir" -Db_sanitize="$2" -Db_lundef=false -Dbuildtype=debugoptimized
    say "unit tests with $1 sanitizer"
    sanitize_units "$dir" "$3" -t 10 || rc=1
    say "interop with $1 sanitizer"
    SANITIZED=1 BUILD=$PWD/$dir interruptible tools/tap-run -t 1200 -l "$dir/test-logs" -c "$3" \
        tests/interop/{libiscsi_tools,chap,sessions,qemu_img,operator,two_targets,nbd}.sh \
        tests/interop/{attach_file,attach_restart,library}.sh \
        tests/fault/*.sh || rc=1
    return $rc
}

# What ASan does not see: values that nobody set. The cores only: valgrind knows little of rings.
sanitize_valgrind() { # COUNTS
    local names
    build_in build
    say "unit tests of the cores under valgrind"
    mapfile -t names < <(meson test -C build --list 2>/dev/null |
        sed -nE 's,^(.* / )?((base|scsi|iscsi)/[a-z0-9_]+)$,\2,p')
    [ ${#names[@]} != 0 ] || die "no unit tests of the cores"
    sanitize_units build "$1" --setup valgrind "${names[@]}"
}

cmd_sanitize() {
    local counts rc=0 only=${1:-}
    case $only in
    '' | address | thread | valgrind) ;;
    *) misuse "sanitize: unknown argument '$1' (./dev sanitize --help)" ;;
    esac
    install_packages build test fuzz sanitize
    counts=$(mktemp build/counts.XXXXXX)
    export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 TSAN_OPTIONS=halt_on_error=0
    export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    [ "${only:-address}" != address ] || sanitize_one address address,undefined "$counts" || rc=1
    [ "${only:-thread}" != thread ] || sanitize_one thread thread "$counts" || rc=1
    [ "${only:-valgrind}" != valgrind ] || sanitize_valgrind "$counts" || rc=1
    print_counts "$counts"
    rm -f "$counts"
    return $rc
}
