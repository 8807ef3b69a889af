#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What an operator meets: signals, ports in use, files that are missing or of a bad size, ready
# messages, the pid file. An error says what is wrong and where, and the exit code is not 0.
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"

truncate -s 16M "$WORK/disk"
serve() { # a start that is expected to fail
    timeout 60 "$USAN" serve --address 127.0.0.1 "$@"
}

check "help" "$USAN" --help
check_output "names the command" 'serve'
for ask in --version -V version; do
    check "usan $ask" "$USAN" "$ask"
    check_output "is a number" '[0-9]+\.[0-9]+\.[0-9]+'
done
check "help on the commands that begin with target" "$USAN" help target
check_output "has target run" '^  target run '
check "usan target --help" "$USAN" target --help
check_output "has target run" '^  target run '
check_fails "usan target alone" "$USAN" target
check_output "has target run" '^  target run '
check_fails "usan target with another word" "$USAN" target walk
check_output "is told so" "no command 'target walk'"
check_fails "an unknown command" "$USAN" no-such-command
check_fails "an unknown option" serve --no-such-option "$WORK/disk"
check_output "is named" 'no-such-option'
check_fails "nothing to serve" serve --port 0

check_fails "a file that does not exist" serve --port 0 "$WORK/missing"
check_output "is named" "$WORK/missing"
check_output "with the reason" '[Nn]o such file|not found'
cd "$WORK" || bail "no $WORK"
check_fails "a file that does not exist, here" serve --port 0 missing
check_output "is told how to make it" "'./missing\?create=1G' makes a new one"
check_fails "a source that does not exist" "$USAN" cp missing copy
check_equal "is not told so" "$(grep -c create= "$WORK/check.out")" 0
check_fails "a kind of store without its size" serve --port 0 ram
check_output "is told what to write" "there is no file 'ram'; did you mean ram:SIZE"
cd - >/dev/null || bail "no way back"
check_fails "a directory" serve --port 0 "$WORK"
check_output "is named" "$WORK"
check_output "is told so" 'a directory; name a file in it'
: >"$WORK/empty"
check_fails "an empty file" serve --port 0 "$WORK/empty"
check_output "is named" "$WORK/empty"
head -c 100 /dev/zero >"$WORK/small"
check_fails "a file that is smaller than a block" serve --port 0 "$WORK/small"
check_output "is named" "$WORK/small"
check_fails "memory of no whole blocks" serve --port 0 ram:1000
check_output "is named" '1000'
check_fails "a block size that disks do not have" serve --port 0 --block-size 1000 "$WORK/disk"
check_output "is named" '1000'
check_fails "a port that is no port" serve --port 70000 "$WORK/disk"
check_fails "an address that is none of ours" timeout 60 "$USAN" serve --address 192.0.2.1 \
    --port 0 "$WORK/disk"
check_output "is named" '192\.0\.2\.1'
check_fails "an unknown back end" serve --port 0 'nosuchstore:x'
check_output "is named" 'nosuchstore'

# What is wrong with the command line alone ends with 2, and before anything is opened.
usage_error() { # ARGUMENT...
    local rc=0
    serve --port 0 "$@" || rc=$?
    [ "$rc" = 2 ] || note "exit code $rc"
    [ "$rc" = 2 ]
}
for bad in ram:abc ram: ram:0 ratelimit+ram:1M tape:1G '/x?creat=1M'; do
    check "exit code 2: $bad" usage_error "$bad"
done
check "exit code 2: a block size that disks do not have" usage_error -b 1024 "$WORK/disk"
check_output "is told the option" '--block-size 1024: use 512 or 4096'
check "exit code 2: a name that is none" usage_error -n disk1 "$WORK/disk"
check "exit code 2: an initiator that is none" usage_error -i host1 "$WORK/disk"
check "exit code 2: a CHAP user without a secret" usage_error --chap-user joe "$WORK/disk"
check "exit code 2: a mutual user without a user" usage_error --mutual-user gate \
    --mutual-secret-file "$WORK/small" "$WORK/disk"
check_output "is told the option" '--mutual-user needs --chap-user'
printf 'one-secret-for-both\n' >"$WORK/both"
chmod 600 "$WORK/both"
check "exit code 2: one secret for both directions" usage_error --chap-user joe \
    --chap-secret-file "$WORK/both" --mutual-user gate --mutual-secret-file "$WORK/both" ram:1M
check_output "is told the options" '--chap-secret-file and --mutual-secret-file hold one secret'
check "exit code 2: one file as two disks" usage_error "$WORK/disk" "$WORK/../${WORK##*/}/disk"
check_output "is told so" 'same file'
check "exit code 2: one path twice" usage_error "$WORK/disk" "$WORK/disk"
check_output "is told so" "$WORK/disk is given twice"
check "exit code 2: a port in the address" usage_error -a 127.0.0.1:3261 "$WORK/disk"
check_output "is told where it goes" 'use --port 3261'

printf 'a-secret-of-20-bytes\n' >"$WORK/secret"
chmod 644 "$WORK/secret"
target_start --chap-user joe --chap-secret-file "$WORK/secret" "file:$WORK/new.img?create=16M"
check "the target is called after the file" \
    grep -q '^iscsi://.*/iqn.2025-01.io.usan:new.img/0$' "$TARGET_OUT"
check "a secret that everybody can read is warned of" \
    grep -q 'level=warn event=secret-file-open .*mode=0644' "$TARGET_LOG"
check "it ends when asked to" target_stop

# A configuration file: what is wrong with a store is said with its place.
config() { # STORE
    printf 'portals: [{address: 127.0.0.1, port: 0}]\ntargets:\n  - name: %s\n    luns:\n%s\n' \
        iqn.2025-01.io.usan.test:c "      - store: $1" >"$WORK/c.yaml"
}
config "$WORK/missing"
check "--check opens nothing" "$USAN" target run --config "$WORK/c.yaml" --check
check_fails "a store that is not there" timeout 60 "$USAN" target run --config "$WORK/c.yaml"
check_output "is told with line, target and LUN" \
    "c.yaml:5: target iqn.2025-01.io.usan.test:c: LUN 0: .*$WORK/missing"
config 'nosuchstore:x'
check_fails "--check reads what stores say" "$USAN" target run --config "$WORK/c.yaml" --check
check_output "likewise" 'c.yaml:5: target iqn.2025-01.io.usan.test:c: LUN 0: .*nosuchstore'

for bad in ram:abc ram: ratelimit+ram:1M 'file:'; do
    config "'$bad'"
    check_fails "--check refuses $bad" "$USAN" target run --config "$WORK/c.yaml" --check
    check_output "with its place" 'c.yaml:5: target iqn.2025-01.io.usan.test:c: LUN 0: '
done
config_error() { # ARGUMENT...: ends with 2
    local rc=0
    timeout 60 "$USAN" target run --config "$@" || rc=$?
    [ "$rc" = 2 ] || note "exit code $rc"
    [ "$rc" = 2 ]
}
config ram:abc
check "exit code 2: a configuration that is wrong" config_error "$WORK/c.yaml"
config "$WORK/disk
      - {lun: 1, store: $WORK/../${WORK##*/}/disk}"
check "exit code 2: one file as two disks" config_error "$WORK/c.yaml"
check_output "is told so, with its place" \
    "c.yaml:6: target .*: LUN 1: .*/disk is LUN 0 of target .*:c already; .* one disk only"
check_fails "a directory as configuration" "$USAN" target run --config "$WORK" --check
check_output "is told so" "$WORK: is a directory"

# A file that ends with a part of a block.
head -c 10000 /dev/zero >"$WORK/odd"
target_start "$WORK/odd"
check "what is not served of a file is told" wait_for 60 grep -q \
    'level=warn event=tail-not-served target=.*:odd lun=0 file=.*/odd bytes=272 ' "$TARGET_LOG"
check "it ends when asked to" target_stop

# A directory for states that can not be made or used.
check_fails "a state directory in none" serve --port 0 --state-dir "$WORK/no/state" ram:1M
check_output "is told what to make" 'no/state: No such file .*; create the directory it is in first'
check_fails "a state directory that is a file" serve --port 0 --state-dir "$WORK/disk" ram:1M
check_output "is told so" 'disk: Not a directory'

# What stats counts is in the log when it is asked for.
target_start 'stats(name=first)+ram:1M'
asked="${URLS[0]%/*}-another/0"
check_fails "a target that is not there" iscsi-inq "$asked"
check "the log has the name that was asked for" wait_for 60 grep -q \
    'event=login-refused .*target=iqn.2025-01.io.usan:ram-another .*why="no such target"' "$TARGET_LOG"
check "a read" qemu-io -f raw -r -c 'read 0 64k' "${URLS[0]}"
kill -USR1 "$TARGET_PID"
check "SIGUSR1 logs what stats counted" wait_for 60 grep -q \
    'event=store target=iqn.*:ram lun=0 what=first.read ops=[0-9]* bytes=[0-9]* errors=0 .*p99_us=' \
    "$TARGET_LOG"
check "and what the memory holds" \
    wait_for 60 grep -q 'event=store .*lun=0 what=ram mapped_bytes=' "$TARGET_LOG"
check "it ends when asked to" target_stop
target_launch 1 attach 'stats+ram:1M' --as "nbd:unix:$WORK/stats.sock" || bail "no usan attach"
check "a write" qemu-io -f raw -c 'write 0 64k' "${URLS[0]}"
kill -USR1 "$TARGET_PID"
check "usan attach does too" wait_for 60 grep -q \
    'event=store store="stats+ram:1M" what=stats.write ops=1 bytes=65536 errors=0 ' "$TARGET_LOG"
check "it ends when asked to" target_stop

# How a session ended, and what its store did to it.
target_start --verbose 'error(op=read,off=64k)+ram:1M'
check "a session that is logged out" iscsi-inq "${URLS[0]}"
check "is logged as that" wait_for 60 grep -q \
    'event=session-closed .*connections=0 .*why=logout$' "$TARGET_LOG"
check_equal "nothing is said to be lost" "$(grep -c 'event=session-closed .*lost' "$TARGET_LOG")" 0
reads=()
for _ in $(seq 40); do reads+=(-c 'read 64k 4k'); done
qemu-io -f raw -r "${reads[@]}" "${URLS[0]}" >/dev/null 2>&1
failed='level=error event=io-failed target=.*:ram lun=0 store="error(op=read,off=64k)+ram:1M" '
failed+='op=read offset=65536 bytes=4096 why="input/output error"'
check "reads that the store fails are logged, with their place" wait_for 60 grep -q \
    "$failed" "$TARGET_LOG"
lines=$(grep -c 'event=io-failed' "$TARGET_LOG")
check "but not each of many" test "$lines" -lt 35
check "it ends when asked to" target_stop
target_start 'error(op=flush)+ram:1M'
check_fails "a last flush that fails: it ends with an error" target_stop
check "the log has the store and the reason" grep -q \
    'level=error event=flush-failed .*lun=0 store="error(op=flush)+ram:1M" why="input/output error"' \
    "$TARGET_LOG"

# A session of an iSCSI store that is lost, given up, and back: in the logs without --verbose, and
# in what shows its state.
target_start ram:1M
far=$TARGET_PID url="${URLS[0]}?reconnect_timeout=3s"
port=$(url_port "$url")
target_launch 1 serve --address 127.0.0.1 --port 0 "$url" || bail "usan serve does not start"
near=$TARGET_PID near_log=$TARGET_LOG
check "a read through both" qemu-io -f raw -r -c 'read 0 4k' "${URLS[0]}"
target_launch 1 attach --name far "$url" --as "nbd:unix:$WORK/far.sock" || bail "no usan attach"
attached=$TARGET_PID attach_log=$TARGET_LOG
listed() { # STATE: in the list, and by show
    "$USAN" attach list | grep -qE "^far +$1 " && "$USAN" attach show far | grep -q "^state: $1\$"
}
in_logs() { # TEXT
    grep -q "level=warn event=store target=.* what=\"iscsi: the session $1" "$near_log" &&
        grep -q "level=warn event=store store=.* what=\"iscsi: the session $1" "$attach_log"
}
check "attached" wait_for 60 listed attached
TARGET_PID=$far
target_kill
check "lost: it is listed so" wait_for 60 listed lost
check "both logs say so" wait_for 60 in_logs "is lost: 127.0.0.1:$port, "
check "given up: it is listed so" wait_for 60 listed given-up
check "both logs say so" wait_for 60 in_logs "is given up, requests fail: 127.0.0.1:$port, "
check "since when is shown" "$USAN" attach show far
check_output "as a time" '^down_since: [0-9]{9,}$'
PORT=$port target_start ram:1M
far=$TARGET_PID
check "back: it is listed as attached" wait_for 60 listed attached
check "both logs say so" wait_for 60 in_logs "is back: 127.0.0.1:$port, "
check_equal "each was said once" "$(grep -c 'what="iscsi: the session is' "$attach_log")" 3
for TARGET_PID in $attached $near $far; do
    check "it ends when asked to" target_stop
done

# usan attach opens nothing that has no block either.
for small in small empty; do
    check_fails "usan attach: $small" timeout 60 "$USAN" attach "$WORK/$small" \
        --as "nbd:unix:$WORK/$small.sock"
    check_output "is told what is missing" "$small: holds less than one block of 512 bytes"
done

target_start --verbose --pid-file "$WORK/pid" "$WORK/disk"
check_equal "the pid file holds the process id" "$(cat "$WORK/pid")" "$TARGET_PID"
port=$(url_port "${URLS[0]}")
check_fails "a disk that is served already" serve --port 0 "$WORK/disk"
check_output "is named" "$WORK/disk"
check_fails "a port in use" serve --port "$port" ram:1M
check_output "is named" "$port"
check_output "with the reason" '[Aa]ddress already in use|in use'

# A session that is open does not hold the end up. On a machine that is loaded the best of a few
# tries counts.
open_session() {
    qemu-io -f raw -c 'write 0 4k' -c 'sleep 100000' "${URLS[0]}" >/dev/null 2>&1 &
    at_exit end_process $!
    wait_for 60 grep -q 'event=session-opened' "$TARGET_LOG" || note "no session"
}
ends_in_time() {
    local i
    for i in 1 2 3 4; do
        ! target_stop 5 || return 0
        target_launch 1 serve --verbose --address 127.0.0.1 --port 0 --pid-file "$WORK/pid" \
            "$WORK/disk" ||
            return 1
        open_session
    done
    return 1
}
open_session
check "SIGTERM ends it within 5 s with a session open" ends_in_time
check "the pid file is gone" test ! -e "$WORK/pid"
check_fails "nothing listens any more" iscsi-ls "iscsi://127.0.0.1:$port"
PORT=$port target_start "$WORK/disk"
check "the port can be used again at once" iscsi-inq "${URLS[0]}"
kill -INT "$TARGET_PID"
check "SIGINT ends it too" wait_for 60 process_ended "$TARGET_PID"

# SIGHUP; and timeout(1), which signals its child and then the group the child is in.
target_start "$WORK/disk"
kill -HUP "$TARGET_PID"
check "SIGHUP does not end it" wait_for 60 grep -q 'event=hangup-ignored' "$TARGET_LOG"
check "it serves on" iscsi-inq "${URLS[0]}"
check "SIGTERM does" target_stop
check "a second SIGTERM right behind the first changes nothing" timeout --preserve-status 3 \
    "$USAN" serve --address 127.0.0.1 --port 0 "$WORK/disk"

# Without --address: IPv4 and IPv6, port 3260 unless told otherwise.
if target_launch 1 serve --port 0 "$WORK/disk"; then
    port=$(url_port "${URLS[0]}")
    check "all addresses: IPv4" iscsi-ls "iscsi://127.0.0.1:$port"
    if [ -e /proc/net/if_inet6 ] && grep -q ' lo$' /proc/net/if_inet6; then
        check "all addresses: IPv6" iscsi-ls "iscsi://[::1]:$port"
    else
        skip "all addresses: IPv6" "this kernel has no IPv6 on its loopback interface"
    fi
    check "and it ends when asked to" target_stop
else
    fail "it listens on all addresses"
fi
finish
