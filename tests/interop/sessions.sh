#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Many sessions at once, on one reactor and on two, on both engines of the event loop; memory that
# is given back when they are gone.
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"

truncate -s 64M "$WORK/disk"

# Eight processes write and read back, each in a MiB of its own.
eight_at_once() { # URL
    local i pids=() rc=0
    for i in 1 2 3 4 5 6 7 8; do
        qemu-io -f raw -c "write -P $i ${i}M 1M" -c "read -P $i ${i}M 1M" "$1" \
            >"$WORK/io.$i" 2>&1 &
        pids+=($!)
    done
    for i in "${pids[@]}"; do
        wait "$i" || rc=1
    done
    cat "$WORK"/io.*
    ! grep -i 'verification failed' "$WORK"/io.* && [ "$rc" = 0 ]
}

for engine in io_uring epoll; do
    if ! engine_works $engine; then
        skip "$engine: eight sessions at once" "$engine is closed on this machine"
        continue
    fi
    for cores in 1 2; do
        target_start --engine $engine --cores $cores "$WORK/disk"
        check "$engine, $cores reactors: eight sessions at once" eight_at_once "${URLS[0]}"
        check "$engine, $cores reactors: all data is there" qemu-io -f raw \
            -c 'read -P 1 1M 1M' -c 'read -P 4 4M 1M' -c 'read -P 8 8M 1M' "${URLS[0]}"
        check_output "$engine, $cores reactors: no pattern differs" 'read 1048576/1048576'
        check_target_healthy
        check "$engine, $cores reactors: it ends when asked to" target_stop
    done
done

# One session of four connections, which are on both reactors; and others beside it.
head -c 16M /dev/urandom >"$WORK/random"
for digests in none crc32c; do
    options="connections=4&header_digest=$digests&data_digest=$digests"
    target_start --cores 2 --verbose "$WORK/disk"
    check "four connections, digests $digests: data is written and compared" \
        "$USAN" cp --quiet --verify "$WORK/random" "${URLS[0]}?$options"
    check "four connections, digests $digests: and read" \
        "$USAN" cp --quiet --verify "${URLS[0]}?$options" "$WORK/back"
    check "four connections, digests $digests: it is the same" \
        cmp -n 16777216 "$WORK/random" "$WORK/back"
    check "four connections, digests $digests: they were on both reactors" \
        sh -c "grep -q 'connection-added.*reactor=0' '$TARGET_LOG' &&
               grep -q 'connection-added.*reactor=1' '$TARGET_LOG'"
    check "four connections, digests $digests: eight sessions more" \
        eight_at_once "${URLS[0]}"
    # the closing line of the first session counts what ran on both: 16 MiB, read back to compare
    check "four connections, digests $digests: all that was written is counted" \
        grep -q 'event=session-closed.* read_bytes=16777216 .*write_bytes=16777216 ' "$TARGET_LOG"
    check_target_healthy
    check "four connections, digests $digests: it ends when asked to" target_stop
done

# A login and logout a hundred times leaves no memory behind (a first round fills the pools).
login_times() { # TIMES
    local i
    for ((i = 0; i < $1; i++)); do
        iscsi-inq -i "$INITIATOR" "${URLS[0]}" >/dev/null || return 1
    done
}
target_start --cores 1 "$WORK/disk"
check "thirty sessions, one after the other" login_times 30
before=$(process_kib "$TARGET_PID")
check "a hundred more" login_times 100
after=$(process_kib "$TARGET_PID")
note "private memory: $before KiB, then $after KiB"
if [ -n "${SANITIZED:-}" ]; then
    skip "take no memory for ever" "a sanitizer keeps freed memory on purpose"
else
    check "take no memory for ever" test "$after" -le $((before + 512))
fi
check_target_healthy
finish
