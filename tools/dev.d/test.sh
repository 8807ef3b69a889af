# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# usage: ./dev test [NAME...]
# what: build and run all tests, or those of a folder or file (unit, lint, interop, interop/chap)
# more: A NAME is unit, lint, interop, conformance or fault; a script of these, as fault/power_loss;
# more: or a unit test as meson calls it, as scsi/read_write. doc/testing.md says what they are.

# Counts of the unit tests go to the file, failures to the terminal.
run_unit_tests() { # COUNTS [NAME...]
    local counts=$1 log=build/meson-logs/testlog.junit.xml rc=0 passed failed skipped
    shift
    rm -f $log
    local started=$SECONDS
    say "unit tests"
    # Limits of a machine that is ten times slower than one that is not.
    interruptible meson test -C build --no-rebuild --no-stdsplit --print-errorlogs -t 10 "$@" \
        >build/unit.log 2>&1 </dev/null || rc=$?
    if [ ! -f $log ]; then
        if grep -q 'No tests defined' build/unit.log; then
            echo "  none defined"
            return
        fi
        cat build/unit.log
        echo "0 1 0" >>"$counts"
        return
    fi
    read -r passed failed skipped < <(awk -f tools/junit-count.awk $log)
    # A program that crashed may have no failed case of its own.
    [ "$rc" = 0 ] || [ "$failed" != 0 ] || failed=$rc
    [ "$failed" = 0 ] || sed -n '/^[ 0-9]*\/[0-9]* .*OK  /!p' build/unit.log | sed -n 1,200p
    printf '  %-34s %-4s %3d passed %2d failed %2d skipped %5d s\n' \
        "$(grep -c '<testsuite ' <(sed 's/<testsuite /\n&/g' $log)) programs" \
        "$([ "$failed" = 0 ] && echo ok || echo FAIL)" "$passed" "$failed" "$skipped" \
        $((SECONDS - started))
    echo "$passed $failed $skipped" >>"$counts"
}

# The shell tests of a folder, or the one that is named, in the order of their names.
shell_tests() { # FOLDER|FOLDER/NAME
    local t
    for t in tests/"$1"/*.sh tests/"$1".sh; do
        [ -x "$t" ] && echo "$t"
    done
    return 0
}

cmd_test() {
    local groups=(build test) wanted=("$@") name counts programs=() started
    local default=(unit lint)
    ! have_program || default+=(interop conformance fault)
    [ ${#wanted[@]} != 0 ] || wanted=("${default[@]}")
    case " ${wanted[*]} " in
    *" interop"*) groups+=(guest) ;;
    esac
    install_packages "${groups[@]}"
    started=$SECONDS
    build_in build
    printf '  built in %d s\n' $((SECONDS - started))
    counts=$(mktemp build/counts.XXXXXX)
    local all_units='' units=()
    for name in "${wanted[@]}"; do
        case $name in
        unit) all_units=1 ;;
        lint* | interop* | conformance* | fault*)
            local found
            mapfile -t found < <(shell_tests "$name")
            [ ${#found[@]} != 0 ] || misuse "no test named $name"
            programs+=("${found[@]}")
            ;;
        *) units+=("$name") ;;
        esac
    done
    if [ -n "$all_units" ]; then
        run_unit_tests "$counts"
    elif [ ${#units[@]} != 0 ]; then
        run_unit_tests "$counts" "${units[@]}"
    fi
    if [ ${#programs[@]} != 0 ]; then
        say "tests of the programs"
        interruptible tools/tap-run -c "$counts" "${programs[@]}" || true
    fi
    local failed
    failed=$(counted_failures "$counts")
    if [ -n "${COUNTS:-}" ]; then
        cat "$counts" >>"$COUNTS"
    else
        print_counts "$counts"
    fi
    rm -f "$counts"
    [ "$failed" = 0 ]
}
