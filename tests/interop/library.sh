#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# libusan in programs that know its headers only, against our target and tgt: the examples, verified
# load from threads and from a loop while targets come and go, cancellation, resets, events, failures
# in words, and memory that is given back.
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"

lib=$BUILD/src/lib
[ -f "$lib/libusan.so.0" ] || bail "$lib/libusan.so.0 is not built"
sanitize=()
if nm -D "$lib/libusan.so.0" | grep -q ' U __asan_init'; then sanitize=(-fsanitize=address); fi
if nm -D "$lib/libusan.so.0" | grep -q ' U __tsan_init'; then sanitize=(-fsanitize=thread); fi
build_one() { # SOURCE
    "${CC:-cc}" -g -O1 -Wall -Wextra -Werror "${sanitize[@]}" -Iinclude -o "$WORK/$(basename "$1" .c)" \
        "$1" "$lib/libusan.so.0" -pthread "-Wl,-rpath,$lib"
}
for source in examples/*.c tests/interop/library.c; do
    check "$(basename "$source") is built" build_one "$source"
done
[ -x "$WORK/library" ] || bail "the programs can not be built"
# In programs with a sanitizer valgrind has nothing to look for. It stands still when one of several
# threads waits in io_uring, so it is for programs with a loop, which use epoll.
valgrind=()
if [ ${#sanitize[@]} = 0 ] && command -v valgrind >/dev/null; then
    valgrind=(timeout 120 valgrind --quiet --error-exitcode=9 --leak-check=full)
fi

head -c 20000000 /dev/urandom >"$WORK/image"
truncate -s 24M "$WORK/image"
truncate -s 64M "$WORK/disk" "$WORK/second"

check_complaint() { # NAME PATTERN URL
    local rc=0
    timeout 60 "$WORK/1-read" "$3" >"$WORK/complaint.out" 2>"$WORK/complaint" || rc=$?
    if [ $rc = 1 ] && [ "$(wc -l <"$WORK/complaint")" = 1 ] &&
        grep -qE -- "$2" "$WORK/complaint"; then
        pass "$1"
    else
        fail "$1" "exit code $rc, wanted 1 and one line that matches: $2"
        note <"$WORK/complaint"
    fi
}

check_examples() { # NAME URL FILE
    local name=$1 url=$2 file=$3
    check "$name: a disk is checked from a loop" "$WORK/2-poll" "$url" 32
    check_output "$name: all of it" '^33554432 bytes written and read back$'
    check "$name: an image is copied" "$WORK/3-copy" "$WORK/image" "$url"
    check "$name: it is in the original" cmp -n 25165824 "$WORK/image" "$file"
    check "$name: it is copied back" "$WORK/3-copy" "$url" "ram:64M"
    check "$name: a block is read" "$WORK/1-read" "$url" 7
    "$WORK/1-read" "$WORK/image" 7 | tail -n +2 >"$WORK/want"
    check_equal "$name: the right one" "$(tail -n +2 "$WORK/check.out" | cmp - "$WORK/want" 2>&1)" ""
    check "$name: a unit is reset" "$WORK/library" reset "$url"
}

load_start() { # load|loop URL SECONDS
    "$WORK/library" "$@" >"$WORK/load.out" 2>&1 &
    load_pid=$!
    wait_for 60 grep -q '^under way' "$WORK/load.out"
}
load_end() {
    local rc=0
    wait "$load_pid" || rc=$?
    cat "$WORK/load.out"
    return "$rc"
}

# ---- our own target ----

target_start -n 2 --thin --one-target --name iqn.2025-01.io.usan.test:own "$WORK/disk" \
    "$WORK/second"
url=${URLS[0]} address=$(url_portal "${URLS[0]}")
check_examples "our own target" "$url" "$WORK/disk"
check "digests" "$WORK/3-copy" "$WORK/image" "$url?header_digest=crc32c&data_digest=crc32c"
check_fails "a size that is no number" "$WORK/2-poll" "$url" all
check_output "is a mistake" '^usage: '
check_fails "a key that is no number" "$WORK/4-scsi" "$url" mine
check_output "is one, too" '^usage: '
check "SCSI commands" "$WORK/4-scsi" "$url" 0x1234
check_output "INQUIRY" '^INQUIRY: USAN '
check_output "REPORT LUNS" '^REPORT LUNS: 0001000000000000$'
check_output "a reservation" '^RESERVE: done$'
check_output "sense data in words" 'command C0h: INVALID .*\(5h/20h/00h\)$'
check_output "sense data in numbers" 'sense key 5h, additional sense code 20h, qualifier 00h$'
check_output "a reservation conflict in words" '^RELEASE with .*RESERVATION CONFLICT'
if [ ${#valgrind[@]} != 0 ]; then
    check "no memory is lost or misused: data" "${valgrind[@]}" "$WORK/2-poll" "$url" 4
    check "no memory is lost or misused: load" "${valgrind[@]}" "$WORK/library" loop "$url" 2
    check "no memory is lost or misused: nobody there" "${valgrind[@]}" "$WORK/library" refused \
        iscsi://127.0.0.1:1/iqn.2025-01.io.usan:x/0
fi

check_complaint "no such unit" "$address/.*/9|$address, .*: LUN 9: the target has no such unit" "${url%/*}/9"
check_complaint "no such target" 'no such target' "${url%:own*}:other/0"
check_complaint "nobody listens" 'Connection refused' "iscsi://127.0.0.1:1/iqn.2025-01.io.usan:x/0"
check_complaint "no such host" 'host "nobody.invalid": ' "iscsi://nobody.invalid/iqn.2025-01.io.usan:x/0"
check_complaint "no such file" '/nonexistent: ' /nonexistent
check_complaint "no URL" "LUN" "iscsi://$address/iqn.2025-01.io.usan.test:own"

# ---- restarts ----

for kind in load loop; do
    check "$kind: is under way" load_start $kind "$url" 5
    sleep 1
    port=$(url_port "$url")
    target_kill
    sleep 1
    PORT=$port target_start -n 2 --thin --one-target --name iqn.2025-01.io.usan.test:own \
        "$WORK/disk" "$WORK/second"
    check "$kind: saw no error in spite of a restart" load_end
    check_output "$kind: the session was lost" '^event: lost: .'
    check_output "$kind: and came back" '^event: back: .'
    check_output "$kind: everything is as it was written" ' all right$'
done
check_target_healthy
check "the target ends" target_stop

# ---- a target that takes its time ----

target_start --name iqn.2025-01.io.usan.test:slow "delay(time=20s,op=read)+ram:64M"
check "a read that the target has is cancelled" timeout 100 "$WORK/library" cancel "${URLS[0]}"
check_output "it says so" 'canceled$'
target_kill

# ---- CHAP ----

printf 'a-secret-of-20-bytes\n' >"$WORK/secret"
printf 'not-the-right-secret\n' >"$WORK/wrong"
target_start --chap-user alice --chap-secret-file "$WORK/secret" "$WORK/disk"
url=${URLS[0]}
check "CHAP" "$WORK/1-read" "iscsi://alice@${url#iscsi://}?password_file=$WORK/secret"
check_complaint "a wrong secret" 'authentication failed' \
    "iscsi://alice@${url#iscsi://}?password_file=$WORK/wrong"
check_complaint "no credentials" 'authenticat' "$url"
check "the target ends" target_stop

# ---- tgt ----

tgt_pid='' tgt_port=''
admin=(tgtadm -C $$ --lld iscsi)
mkdir -p /run/tgtd
tgt_up() {
    tgt_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
    tgtd -f -C $$ --iscsi "portal=127.0.0.1:$tgt_port" >"$WORK/tgt.log" 2>&1 </dev/null &
    tgt_pid=$!
    wait_for 60 "${admin[@]}" --op show --mode target &&
        "${admin[@]}" --op new --mode target --tid 1 -T iqn.2025-01.io.usan.test:tgt &&
        "${admin[@]}" --op new --mode logicalunit --tid 1 --lun 1 -b "$WORK/tgt" &&
        "${admin[@]}" --op bind --mode target --tid 1 -I ALL
}
tgt_down() {
    [ -z "$tgt_pid" ] || {
        kill -KILL "$tgt_pid"
        wait "$tgt_pid"
    } 2>/dev/null
    tgt_pid=''
    rm -f "/run/tgtd/socket.$$" "/run/tgtd/socket.$$.lock"
}
at_exit tgt_down

truncate -s 64M "$WORK/tgt"
check "tgt starts" tgt_up
url=iscsi://127.0.0.1:$tgt_port/iqn.2025-01.io.usan.test:tgt/1
check_examples "tgt" "$url" "$WORK/tgt"
check "tgt: SCSI commands" "$WORK/4-scsi" "$url" 0x1234
check_output "tgt: INQUIRY" '^INQUIRY: IET '
check_output "tgt: sense data in words" 'command C0h: .*\(5h/20h/00h\)$'
check "tgt: load from threads" "$WORK/library" load "$url" 2
check "tgt: load from a loop" "$WORK/library" loop "$url" 2
check_complaint "tgt: no such unit" 'LUN 9' "${url%/*}/9"
tgt_down
finish
