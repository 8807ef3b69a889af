# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
# What scripts in the guest use (busybox sh). Cases go to the host as lines "case ok NAME" and
# "case not ok NAME", the output of a failed command before them.

ok() {
    echo "case ok $1"
}

not_ok() {
    echo "case not ok $1"
}

check() { # NAME COMMAND...
    _name=$1
    shift
    if "$@" >/tmp/out 2>&1; then
        ok "$_name"
    else
        tail -n 15 /tmp/out
        not_ok "$_name"
    fi
}

check_fails() { # NAME COMMAND...
    _name=$1
    shift
    if "$@" >/tmp/out 2>&1; then
        tail -n 15 /tmp/out
        not_ok "$_name"
    else
        ok "$_name"
    fi
}

# The output of the last check has a line that matches.
check_output() { # NAME PATTERN
    if grep -qE -- "$2" /tmp/out; then
        ok "$1"
    else
        tail -n 15 /tmp/out
        not_ok "$1"
    fi
}

# Nothing further can be tested.
give_up() {
    not_ok "$1"
    dmesg | tail -n 15
    exit 1
}

wait_for() { # SECONDS COMMAND...
    _turns=$(($1 * 10))
    shift
    while [ $_turns -gt 0 ]; do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
        _turns=$((_turns - 1))
    done
    return 1
}

start_iscsid() {
    modprobe iscsi_tcp
    iscsid
    wait_for 60 iscsiadm -m iface || sleep 1
}

# The block device of a session to a target, e.g. /dev/sda; waits for it.
disk_of() { # TARGET LUN
    wait_for 120 find_disk "$1" "$2"
    find_disk "$1" "$2"
}

find_disk() { # TARGET LUN
    for _s in /sys/class/iscsi_session/session*; do
        [ "$(cat "$_s/targetname")" = "$1" ] || continue
        for _b in "$_s"/device/target*/*:"$2"/block/*; do
            [ -e "$_b" ] || continue
            echo "/dev/${_b##*/}"
            return 0
        done
    done
    return 1
}
