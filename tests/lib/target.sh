# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Starts and stops the program under test on a free loopback port. Sourced after tap.sh.

USAN=${USAN:-$BUILD/src/cli/usan}
[ -x "$USAN" ] || bail "$USAN is not built"
# Names of our own, so that reservations and unit attentions of tests do not mix.
export INITIATOR=iqn.2025-01.io.usan.test:initiator
TARGET_PID='' TARGET_LOG='' URLS=() target_starts=0
target_tag='' # set in subshells, so that their logs have names of their own

# What is attached is listed here only.
export USAN_RUN_DIR=$WORK/run

# Start the program in the background and wait until it has printed COUNT URLs or paths (one for
# each LUN or front end). Sets TARGET_PID, TARGET_LOG and URLS. False when it ends before.
target_launch() { # COUNT ARGUMENT...
    local count=$1
    shift
    target_starts=$((target_starts + 1))
    TARGET_OUT=$WORK/target$target_tag.$target_starts.out
    TARGET_LOG=$WORK/target$target_tag.$target_starts.log
    URLS=()
    ${LAUNCH_WITH:-} "$USAN" "$@" >"$TARGET_OUT" 2>"$TARGET_LOG" </dev/null &
    TARGET_PID=$!
    echo "$TARGET_PID" >>"$WORK/target.pids"
    local end=$((SECONDS + 60))
    while [ $SECONDS -lt $end ]; do
        mapfile -t URLS < <(grep -E '^((iscsi|nbd(\+unix)?):/)?/' "$TARGET_OUT" 2>/dev/null)
        [ ${#URLS[@]} -lt "$count" ] || return 0
        kill -0 "$TARGET_PID" 2>/dev/null || break
        sleep 0.05
    done
    note "the target did not come up: usan $*"
    tail -n 20 "$TARGET_OUT" "$TARGET_LOG" | note
    return 1
}

# usan serve on a free port of 127.0.0.1, or on PORT, with options and paths as given. The test ends
# when that does not work, because nothing after it can. While a target is away, somebody who
# connects from its port may have that for a moment.
target_start() { # [-n COUNT] ARGUMENT...
    local count=1
    if [ "${1:-}" = -n ]; then
        count=$2
        shift 2
    fi
    local try
    for try in 1 2 3 4 5 6 7 8 9 10; do
        target_launch "$count" serve --address 127.0.0.1 --port "${PORT:-0}" "$@" && return
        [ -n "${PORT:-}" ] || break
        [ $try = 10 ] || sleep 1
    done
    bail "usan serve does not start"
}

# Ask the target to end; false unless it does within SECONDS, with exit code 0. The limit that it
# has, 5 s, is the matter of interop/operator: a machine that is loaded may need longer.
# shellcheck disable=SC2120
target_stop() { # [SECONDS]
    local pid=$TARGET_PID rc=0
    TARGET_PID=''
    kill -TERM "$pid" 2>/dev/null || {
        note "the target had already ended"
        return 1
    }
    if ! wait_for "${1:-60}" process_ended "$pid"; then
        note "still running ${1:-60} s after SIGTERM"
        kill -KILL "$pid"
        wait "$pid" 2>/dev/null
        return 1
    fi
    wait "$pid" || rc=$?
    [ $rc = 0 ] || note "exit code $rc after SIGTERM"
    return $rc
}

# Ask the program for its state (SIGUSR1), and wait until a line of it that matches is in its log.
status_came() { # PATTERN COUNT
    [ "$(grep -cE -- "$1" "$TARGET_LOG")" -gt "$2" ]
}
status_ask() { # PATTERN
    local before
    before=$(grep -cE -- "$1" "$TARGET_LOG")
    kill -USR1 "$TARGET_PID"
    wait_for 60 status_came "$1" "$before"
}

# Without a chance to clean up.
target_kill() {
    kill -KILL "$TARGET_PID"
    wait "$TARGET_PID" 2>/dev/null
    TARGET_PID=''
}

# A zombie has ended too: our shell has not waited for it yet.
process_ended() { # PID
    ! grep -qE '^State:[[:space:]]+[^ZX]' "/proc/$1/status" 2>/dev/null
}

# At the end of the test: no process stays behind, not even those that subshells started.
target_end_all() {
    local pid
    [ -f "$WORK/target.pids" ] || return 0
    while read -r pid; do
        [ "$(readlink "/proc/$pid/exe")" = "$(readlink -f "$USAN")" ] || continue
        kill -TERM "$pid" 2>/dev/null
        wait_for 20 process_ended "$pid" || kill -KILL "$pid"
    done <"$WORK/target.pids"
    wait
}
at_exit target_end_all

# Parts of iscsi://HOST:PORT/IQN/LUN
url_portal() { # URL
    local rest=${1#iscsi://}
    echo "${rest%%/*}"
}
url_port() { # URL
    url_portal "$1" | sed 's/.*://'
}
url_target() { # URL
    local rest=${1#iscsi://*/}
    echo "${rest%/*}"
}
url_lun() { # URL
    echo "${1##*/}"
}
# iscsi://HOST:PORT, what iscsi-ls takes.
portal_url() {
    echo "iscsi://$(url_portal "${URLS[0]}")"
}
# iscsi://USER%SECRET@HOST:PORT/IQN/LUN
url_as() { # USER SECRET URL
    echo "iscsi://$1%$2@${3#iscsi://}"
}

# False where an engine of the event loop can not be used (containers may close io_uring).
engine_works() { # io_uring|epoll
    local rc=0
    target_launch 1 serve --address 127.0.0.1 --port 0 --engine "$1" ram:1M >/dev/null || rc=1
    [ $rc != 0 ] || target_stop 60 >/dev/null || rc=1
    return $rc
}

# Memory of a process that is not shared, KiB.
process_kib() { # PID
    awk '/^Private_(Clean|Dirty):/ { kib += $2 } END { print kib + 0 }' "/proc/$1/smaps_rollup"
}

# The test fails if the target logged a failed assertion or a sanitizer's report, or is gone.
check_target_healthy() {
    if ! kill -0 "$TARGET_PID" 2>/dev/null; then
        fail "the target still runs"
        tail -n 30 "$TARGET_LOG" | note
    elif grep -qE 'Assertion|runtime error|ERROR: |WARNING: ThreadSanitizer' "$TARGET_LOG"; then
        fail "the target reports no defect of its own"
        grep -E -A 20 'Assertion|runtime error|ERROR: |WARNING: Thread' "$TARGET_LOG" |
            head -n 60 | note
    else
        pass "the target runs and reports no defect of its own"
    fi
}
