#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Sessions that only wait: they cost little memory, and a command on one is not slower for them.
# IDLE_SESSIONS=10000 for a larger look; that needs as many file descriptors in two processes.
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"

sessions=${IDLE_SESSIONS:-1000}
idle=$BUILD/bench/idle
[ -x "$idle" ] || bail "$idle is not built"
if [ "$(ulimit -Hn)" != unlimited ] && [ "$(ulimit -Hn)" -lt $((sessions + 200)) ]; then
    skip "idle sessions" "$(ulimit -Hn) file descriptors are too few"
    finish
fi
ulimit -Sn "$(ulimit -Hn)"

target_start --max-sessions $((sessions + 100)) --max-connections $((sessions + 100)) ram:64M
check "$sessions idle sessions" "$idle" -n "$sessions" -P "$TARGET_PID" 127.0.0.1 \
    "$(url_port "${URLS[0]}")" "$(url_target "${URLS[0]}")" 0
figures=$(cat "$WORK/check.out")
note "$figures"
value() { # KEY
    sed -n "s/.*\\b$1=\\([0-9]*\\).*/\\1/p" <<<"$figures"
}
if [ -n "${SANITIZED:-}" ]; then
    skip "take little memory" "a sanitizer keeps freed memory on purpose"
else
    check "take little memory" test "$(value bytes_per_session)" -le 40960
fi
# Medians, so that a machine that stops now and then changes little; a look at every session would
# show.
check "do not slow others down" \
    test "$(value read_us_after)" -le $(($(value read_us_before) * 3 + 100))
check_target_healthy
check "it ends when asked to" target_stop
finish
