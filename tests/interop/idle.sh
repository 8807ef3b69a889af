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

value() { # KEY
    sed -n "s/.*\\b$1=\\([0-9]*\\).*/\\1/p" <<<"$figures"
}
as_fast_as_before() {
    test "$(value read_us_after)" -le $(($(value read_us_before) * 3 + 100))
}
# Medians, so that a machine that stops now and then changes little, and of a few tries one, as it
# may be busier after than before: a look at every session would show in each.
for try in 1 2 3 4; do
    target_start --max-sessions $((sessions + 100)) --max-connections $((sessions + 100)) ram:64M
    "$idle" -n "$sessions" -P "$TARGET_PID" 127.0.0.1 "$(url_port "${URLS[0]}")" \
        "$(url_target "${URLS[0]}")" 0 >"$WORK/figures" 2>&1
    rc=$?
    figures=$(cat "$WORK/figures")
    note "$figures"
    if [ $try = 4 ] || [ $rc != 0 ] || as_fast_as_before; then
        break
    fi
    target_stop || break
done
check_equal "$sessions idle sessions" "$rc" 0
if [ -n "${SANITIZED:-}" ]; then
    skip "take little memory" "a sanitizer keeps freed memory on purpose"
else
    check "take little memory" test "$(value bytes_per_session)" -le 40960
fi
check "do not slow others down" as_fast_as_before
check_target_healthy
check "it ends when asked to" target_stop
finish
