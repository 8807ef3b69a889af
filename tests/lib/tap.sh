# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Shell tests: cases in TAP, a work directory, clean-up. Sourced by every tests/*/*.sh, which end
# with `finish`. A test runs from anywhere: the working directory becomes the root of the tree.

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." || exit 1
ROOT=$PWD
BUILD=${BUILD:-$ROOT/build}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/usan-test.XXXXXX")
export ROOT BUILD WORK
tap_count=0 tap_failed=0
tap_cleanups=()

# Run at the end whatever happens, last one first.
at_exit() { # COMMAND...
    tap_cleanups+=("$(printf '%q ' "$@")")
}

# What still runs of all this test has started, in whatever process group: each has WORK among its
# variables, and no other test has the same.
tap_strays() {
    local files file pid
    files=$(grep -lzxF "WORK=$WORK" /proc/[0-9]*/environ 2>/dev/null) # grep is one, and gone then
    for file in $files; do
        pid=${file#/proc/}
        pid=${pid%/environ}
        [ "$pid" = $$ ] || [ ! -e "$file" ] || echo "$pid"
    done
}

tap_end_strays() {
    local pids
    mapfile -t pids < <(tap_strays)
    [ ${#pids[@]} != 0 ] || return 0
    kill -TERM "${pids[@]}" 2>/dev/null
    sleep 1
    mapfile -t pids < <(tap_strays)
    [ ${#pids[@]} = 0 ] || kill -KILL "${pids[@]}" 2>/dev/null
}

tap_exit() {
    trap '' TERM INT
    local i
    for ((i = ${#tap_cleanups[@]} - 1; i >= 0; i--)); do
        eval "${tap_cleanups[i]}"
    done
    tap_end_strays
    if [ -n "${KEEP:-}" ]; then
        echo "# kept $WORK"
    else
        rm -rf "$WORK"
    fi
}
trap tap_exit EXIT
trap 'exit 143' TERM INT

# A comment in the output; also the way to show files and output of commands.
note() { # [TEXT...]; without: standard input
    if [ $# != 0 ]; then
        printf '%s\n' "$*"
    else
        cat
    fi | sed 's/^/# /'
}

pass() { # NAME
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1"
}

fail() { # NAME [WHY...]
    tap_count=$((tap_count + 1))
    tap_failed=$((tap_failed + 1))
    echo "not ok $tap_count - $1"
    shift
    [ $# = 0 ] || note "$*"
}

# The reason is one that no installation can mend.
skip() { # NAME REASON
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1 # SKIP $2"
}

# One case: the command succeeds. Its output shows only when it does not.
check() { # NAME COMMAND...
    local name=$1 rc=0
    shift
    "$@" >"$WORK/check.out" 2>&1 </dev/null || rc=$?
    if [ $rc = 0 ]; then
        pass "$name"
    else
        fail "$name" "exit code $rc: $*"
        tail -n 20 "$WORK/check.out" | note
    fi
    return 0
}

# One case: the command fails with an exit code of its own (not by a signal or a time limit).
check_fails() { # NAME COMMAND...
    local name=$1 rc=0
    shift
    "$@" >"$WORK/check.out" 2>&1 </dev/null || rc=$?
    if [ $rc != 0 ] && [ $rc -lt 124 ]; then
        pass "$name"
    else
        fail "$name" "exit code $rc: $*"
        tail -n 20 "$WORK/check.out" | note
    fi
    return 0
}

# One case: the output of the last check, or FILE, has a line that matches.
check_output() { # NAME PATTERN [FILE]
    local file=${3:-$WORK/check.out}
    if grep -qE -- "$2" "$file"; then
        pass "$1"
    else
        fail "$1" "no line matches: $2"
        head -n 20 "$file" | note
    fi
}

check_equal() { # NAME GOT WANTED
    if [ "$2" = "$3" ]; then
        pass "$1"
    else
        fail "$1" "got '$2', wanted '$3'"
    fi
}

# Nothing further can be tested.
bail() { # WHY
    echo "Bail out! $1"
    exit 1
}

finish() {
    echo "1..$tap_count"
    [ $tap_failed = 0 ]
    exit
}

# Until the command succeeds; false after SECONDS.
wait_for() { # SECONDS COMMAND...
    local end=$(($(date +%s%N) / 1000000 + $1 * 1000))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $(($(date +%s%N) / 1000000)) -lt $end ] || return 1
        sleep 0.05
    done
}

# For at_exit: a process that may have ended already.
end_process() { # PID
    kill "$1" 2>/dev/null || true
}
