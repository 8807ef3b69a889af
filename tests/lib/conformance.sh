# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Runs the whole suite of iscsi-test-cu on one kind of disk. Sourced after target.sh.

# shellcheck disable=SC2034
CONFORMANCE_KINDS=(disk disk-one-path thin block-4096 read-only removable all)
# A test that finds its disk busy with SANITIZE looks again after a minute.
CONFORMANCE_LIMIT=300

conformance_about() { # KIND
    case $1 in
    disk) echo "a file, 512-byte blocks, two paths" ;;
    disk-one-path) echo "the same, one path" ;;
    thin) echo "thin provisioned, two paths" ;;
    block-4096) echo "4,096-byte blocks, thin provisioned, two paths" ;;
    read-only) echo "write protected, thin provisioned, two paths" ;;
    removable) echo "removable medium, two paths" ;;
    all) echo "thin provisioned, removable medium, two paths" ;;
    esac
}

# Every test there is, Suite.Test, one a line.
conformance_tests() {
    iscsi-test-cu -l | sed -n 's/^ALL\.\([^.]*\.[^.]*\)$/\1/p'
}

# What is run in a process of its own: a test, so that none inherits what another left behind and
# a crash costs one test. The two of iSCSITMF stay together: the second relies on a variable that
# the first sets.
conformance_units() {
    conformance_tests | sed 's/^iSCSITMF\..*/iSCSITMF/' | uniq
}

# One unit; prints lines in the form of parse.awk.
# -t ALL..., because without it the suite runs every test three times; --allow-sanitize, for the
# disk is ours to wipe.
conformance_unit() { # UNIT LOG URL...
    local unit=$1 log=$2
    shift 2
    timeout --foreground -k 2 "$CONFORMANCE_LIMIT" iscsi-test-cu --dataloss --allow-sanitize -t "ALL.$unit" \
        "$@" >"$log" 2>&1 </dev/null
    awk -f tests/conformance/parse.awk "$log" >"$log.result"
    if grep -qx END "$log.result"; then
        grep -vx END "$log.result"
    else
        conformance_tests | grep -E "^$unit(\.|\$)" |
            sed "s/.*/FAIL\t&\tthe process died or had no answer within $CONFORMANCE_LIMIT s/"
    fi
}

# The units of a list (standard input) on one target, which is ended after them. What was wrong
# with the target, if anything, goes to TROUBLE.
conformance_target() { # KIND DIRECTORY TROUBLE SERVE-ARGUMENT...
    local kind=$1 dir=$2 trouble=$3 unit paths
    shift 3
    # the suite sleeps for a minute without answering pings
    if ! target_launch 1 serve --address 127.0.0.1 --port 0 --nop-interval 0 "$@"; then
        echo "the target did not start" >>"$trouble"
        return
    fi
    paths=("${URLS[0]}" "${URLS[0]}")
    [ "$kind" != disk-one-path ] || paths=("${URLS[0]}")
    while read -r unit; do
        conformance_unit "$unit" "$dir/$unit.log" "${paths[@]}"
    done
    {
        target_stop
        grep -E 'Assertion|runtime error|ERROR: |WARNING: ThreadSanitizer' "$TARGET_LOG"
    } >>"$trouble"
}

# Results of all tests on fresh disks of this kind, in the form of parse.awk; DIRECTORY/KIND.trouble
# says what was wrong with the targets, if anything. Runs in a subshell.
conformance_run() { # KIND DIRECTORY
    local kind=$1 results=$2/$1 options=() dir=$WORK/conformance.$1
    local disk=$dir/disk other=$dir/other
    mkdir -p "$dir"
    truncate -s 100M "$disk" "$other"
    case $kind in
    thin) options=(--thin) ;;
    block-4096) options=(--thin --block-size 4096) ;;
    removable) options=(--removable) ;;
    all) options=(--thin --removable) ;;
    read-only)
        # a file opened for reading can not be thin; memory can
        options=(--thin --read-only)
        disk=ram:100M other=ram:100M
        ;;
    esac
    : >"$results.trouble"
    # SANITIZE, which takes minutes, has a target of its own, and a slow disk: on a fast one it is
    # over before the suite looks.
    conformance_units | grep '^Sanitize\.' | conformance_target "$kind" "$dir" \
        "$results.trouble" "${options[@]}" "ratelimit(bps=10M)+$other" >"$dir/sanitize" &
    target_tag=$target_tag.most
    conformance_units | grep -v '^Sanitize\.' | conformance_target "$kind" "$dir" \
        "$results.trouble" "${options[@]}" "$disk" >"$dir/most"
    wait
    cat "$dir/most" "$dir/sanitize" |
        awk -v kind="$kind" -f tests/conformance/except.awk tests/conformance/exceptions - \
            >"$results"
}

# Most of the time is spent in sleeps of the suite, so kinds run side by side.
conformance_run_all() { # DIRECTORY KIND...
    local dir=$1 kind
    shift
    for kind in "$@"; do
        (
            target_tag=.$kind # its logs have names of their own
            conformance_run "$kind" "$dir"
        ) &
    done
    wait
}
