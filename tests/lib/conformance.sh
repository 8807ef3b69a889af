# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Runs the whole suite of iscsi-test-cu on one kind of disk. Sourced after target.sh.

# shellcheck disable=SC2034
CONFORMANCE_KINDS=(disk disk-one-path thin block-4096 read-only removable)
# The longest family, SANITIZE, waits for a minute in all.
CONFORMANCE_LIMIT=120

conformance_about() { # KIND
    case $1 in
    disk) echo "a file, 512-byte blocks, two paths" ;;
    disk-one-path) echo "the same, one path" ;;
    thin) echo "thin provisioned, two paths" ;;
    block-4096) echo "4,096-byte blocks, thin provisioned, two paths" ;;
    read-only) echo "write protected, thin provisioned, two paths" ;;
    removable) echo "removable medium, two paths" ;;
    esac
}

# Every test there is, Suite.Test, one a line.
conformance_tests() {
    iscsi-test-cu -l | sed -n 's/^ALL\.\([^.]*\.[^.]*\)$/\1/p'
}

# One process; its log is parsed to RESULTS. False when the process did not reach its end.
# -t ALL..., because without it the suite runs every test three times; -S allows SANITIZE, for
# the disk is ours to wipe.
conformance_process() { # NAME LOG RESULTS URL...
    local name=$1 log=$2 results=$3
    shift 3
    timeout -k 2 "$CONFORMANCE_LIMIT" iscsi-test-cu --dataloss --allow-sanitize -t "ALL.$name" \
        "$@" >"$log" 2>&1 </dev/null
    awk -f tests/conformance/parse.awk "$log" >"$results"
    grep -qx END "$results"
}

# A family whose process died is run again, a process for each test, so that the others count.
conformance_family() { # FAMILY DIRECTORY URL...
    local family=$1 dir=$2 test
    shift 2
    if conformance_process "$family" "$dir/$family.log" "$dir/part" "$@"; then
        grep -vx END "$dir/part"
        return
    fi
    conformance_tests | grep "^$family\." | while read -r test; do
        if conformance_process "$test" "$dir/$test.log" "$dir/part" "$@" </dev/null; then
            grep -vx END "$dir/part"
        else
            printf 'FAIL\t%s\tthe process died or had no answer within %d s\n' "$test" \
                "$CONFORMANCE_LIMIT"
        fi
    done
}

# Results of all tests on a fresh disk of this kind, in the form of parse.awk; logs beside it.
# Ends its target itself, so that it can run in a subshell: DIRECTORY/KIND.trouble says what was
# wrong with the target, if anything.
conformance_run() { # KIND DIRECTORY
    local kind=$1 results=$2/$1 options=() paths family
    local dir=$WORK/conformance.$kind
    mkdir -p "$dir"
    truncate -s 100M "$dir/disk"
    case $kind in
    thin) options=(--thin) ;;
    block-4096) options=(--thin --block-size 4096) ;;
    read-only) options=(--read-only --thin) ;;
    removable) options=(--removable) ;;
    esac
    : >"$results"
    if ! target_launch 1 serve --address 127.0.0.1 --port 0 "${options[@]}" "$dir/disk"; then
        echo "the target did not start" >"$results.trouble"
        return
    fi
    paths=("${URLS[0]}" "${URLS[0]}")
    [ "$kind" != disk-one-path ] || paths=("${URLS[0]}")
    for family in $(conformance_tests | cut -d . -f 1 | uniq); do
        conformance_family "$family" "$dir" "${paths[@]}"
    done | awk -v kind="$kind" -f tests/conformance/except.awk \
        tests/conformance/exceptions - >"$results"
    {
        target_stop 5
        grep -E 'Assertion|runtime error|ERROR: |WARNING: ThreadSanitizer' "$TARGET_LOG"
    } >"$results.trouble"
}

# Most of the time is spent in sleeps of the suite, so kinds run side by side.
conformance_run_all() { # DIRECTORY KIND...
    local dir=$1 kind
    shift
    for kind in "$@"; do
        (
            target_tag=.$kind
            conformance_run "$kind" "$dir"
        ) &
        while [ "$(jobs -rp | wc -l)" -ge 3 ]; do
            wait -n
        done
    done
    wait
}
