#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the protocol cores import: memory and string functions, hashes, CRC32C, our base library.
# No system call, stdio, clock, randomness, thread or allocation can hide in them.
. "$(dirname "$0")/../lib/tap.sh"

allowed='mem(cpy|move|set|cmp|chr)|__mem(cpy|move|set)_chk|str(len|nlen|cmp|ncmp|chr|rchr|spn|cspn|str)'
allowed="$allowed|EVP_[A-Za-z0-9_]+|OPENSSL_cleanse|CRYPTO_memcmp|crc32_iscsi"
allowed="$allowed|__assert_fail|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__ctype_[a-z_]+"

defined_in() { # ARCHIVE...
    nm --defined-only -g "$@" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u
}

for core in scsi iscsi nbd/nbd_proto; do
    folder=${core%/*}
    archive=$BUILD/src/$folder/lib${core#*/}.a
    if [ ! -f "$archive" ]; then
        grep -q static_library "src/$folder/meson.build" || continue
        fail "$core is built" "no $archive"
        continue
    fi
    # The heap allocator of base is for programs: a core is given its allocator.
    { defined_in "$archive" && defined_in "$BUILD/src/base/libbase.a" | grep -v '^alloc_heap'; } |
        sort -u >"$WORK/own"
    nm -u "$archive" | awk 'NF == 2 { print $2 }' | sort -u | comm -23 - "$WORK/own" |
        grep -vE "^($allowed)$" >"$WORK/wrong"
    check_equal "$core imports only what a core may" "$(tr '\n' ' ' <"$WORK/wrong")" ""
    # Data that changes would be a global: only constants are allowed.
    objdump -t "$archive" | awk 'NF == 6 && $4 ~ /^\.t?(data|bss)(\.|$)/ &&
        $4 !~ /^\.data\.rel\.ro/ { print $6 }' | grep -vE '^(__|\.)' >"$WORK/wrong"
    check_equal "$core has no variable of its own" "$(tr '\n' ' ' <"$WORK/wrong")" ""
done
finish
