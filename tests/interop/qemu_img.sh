#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# QEMU's iSCSI driver: patterns, whole images in and out, discard, header digests, two processes.
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"

truncate -s 96M "$WORK/disk"
truncate -s 96M "$WORK/second"
truncate -s 64M "$WORK/wide"
target_start -n 2 --cores 2 "$WORK/disk" "$WORK/second"
disk=${URLS[0]} second=${URLS[1]}

io() { # URL COMMAND...: one qemu-io with these commands; a pattern that differs is an error
    local url=$1 args=() c
    shift
    for c in "$@"; do
        args+=(-c "$c")
    done
    qemu-io -f raw "${args[@]}" "$url" >"$WORK/io.out" 2>&1 || {
        cat "$WORK/io.out"
        return 1
    }
    ! grep -iE 'verification failed|error' "$WORK/io.out"
}

check "the size is seen" qemu-img info "$disk"
check_output "it is 96 MiB" '\(100663296 bytes\)'

check "patterns of many sizes" io "$disk" \
    'write -P 1 0 512' 'write -P 2 512 1k' 'write -P 3 1536 4k' 'write -P 4 64k 64k' \
    'write -P 5 1M 1M' 'write -P 6 3M 4M' 'write -P 7 98303k 1k' \
    'read -P 1 0 512' 'read -P 2 512 1k' 'read -P 3 1536 4k' 'read -P 0 5632 512' \
    'read -P 4 64k 64k' 'read -P 5 1M 1M' 'read -P 6 3M 4M' 'read -P 7 98303k 1k' 'flush'
check "they are still there for a new session" io "$disk" \
    'read -P 1 0 512' 'read -P 3 1536 4k' 'read -P 6 3M 4M' 'read -P 7 98303k 1k'
check "they stand in the file itself" io "$WORK/disk" \
    'read -P 1 0 512' 'read -P 5 1M 1M' 'read -P 7 98303k 1k'
check "a write that is durable before it is acknowledged" io "$disk" \
    'write -f -P 8 8M 64k' 'read -P 8 8M 64k'
check "zeroes" io "$disk" 'write -P 9 16M 1M' 'write -z 16M 512k' 'read -P 0 16M 512k' \
    'read -P 9 16896k 512k'
check "many requests at once" io "$disk" \
    'aio_write -P 10 20M 1M' 'aio_write -P 11 21M 1M' 'aio_write -P 12 22M 1M' \
    'aio_write -P 13 23M 1M' 'aio_flush' 'aio_read -P 10 20M 1M' 'aio_read -P 13 23M 1M' \
    'aio_flush' 'read -P 11 21M 1M' 'read -P 12 22M 1M'

# Random data, so that a block in the wrong place cannot look right.
head -c 50331648 /dev/urandom >"$WORK/image"
truncate -s 96M "$WORK/image"
check "an image is copied in" qemu-img convert -n -f raw -O raw -W -m 8 "$WORK/image" "$second"
check "it compares equal" qemu-img compare -f raw -F raw "$WORK/image" "$second"
check "it is copied out" qemu-img convert -f raw -O raw "$second" "$WORK/out"
check "what came out is what went in" cmp "$WORK/image" "$WORK/out"
check "from one unit to the other" qemu-img convert -n -f raw -O raw "$second" "$disk"
check "both units compare equal" qemu-img compare -f raw -F raw "$second" "$disk"
check "a difference is found" io "$disk" 'write -P 99 40M 512'
check_fails "the units differ now" qemu-img compare -f raw -F raw "$second" "$disk"
check_target_healthy
check "it ends when asked to" target_stop

# A sparse image on a thin disk: what is discarded gives its space back and reads as zeroes.
target_start --thin "$WORK/wide"
thin=${URLS[0]}
check "a thin disk says so" iscsi-inq -e 1 -c $((0xb2)) "$thin"
check_output "on its page of provisioning" '[Pp]rovisioning [Tt]ype.*2|THIN'
check "a thin disk is filled" io "$thin" 'write -P 20 0 32M'
before=$(du -k "$WORK/wide" | cut -f 1)
check "and discarded in part" qemu-io -d unmap -f raw -c 'discard 0 16M' "$thin"
check "the space is given back" test "$(du -k "$WORK/wide" | cut -f 1)" -le $((before - 15 * 1024))
check "what was discarded reads as zeroes" io "$thin" 'read -P 0 0 16M' 'read -P 20 16M 16M'
check "the map shows a hole" qemu-img map --output=json -f raw "$thin"
check_output "from the start" '"start": 0, "length": 16777216.*"zero": true'

for digest in crc32c none; do
    opts="driver=iscsi,transport=tcp,portal=$(url_portal "$thin"),target=$(url_target "$thin")"
    opts="$opts,lun=$(url_lun "$thin"),header-digest=$digest"
    check "header digest $digest" qemu-io --image-opts -c 'write -P 30 40M 1M' \
        -c 'read -P 30 40M 1M' "$opts"
done
check_target_healthy
check "the thin one ends when asked to" target_stop

# Block size of 4096 bytes: nothing smaller is written, partial blocks are the initiator's work.
truncate -s 64M "$WORK/blocks"
target_start --block-size 4096 "$WORK/blocks"
check "a disk of 4 KiB blocks" iscsi-readcapacity16 "${URLS[0]}"
check_output "says so" 'LOGICAL BLOCK LENGTH IN BYTES:4096'
check "it is written and read" io "${URLS[0]}" 'write -P 40 0 1M' 'write -P 41 4k 4k' \
    'read -P 40 0 4k' 'read -P 41 4k 4k' 'read -P 40 8k 1016k'
check_target_healthy
check "and ends when asked to" target_stop

target_start --read-only "$WORK/image"
check "a read-only disk is read" qemu-img compare -f raw -F raw "$WORK/image" "${URLS[0]}"
check_fails "and not written" io "${URLS[0]}" 'write -P 1 0 4k'
check "its file is unchanged" cmp "$WORK/image" "$WORK/out"
check_target_healthy
finish
