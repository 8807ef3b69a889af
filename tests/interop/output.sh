#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Where output goes that can not be written: a full disk, a closed descriptor, a reader that has
# left. Nothing may get lost without a word, and no file may take the place of standard output.
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"

export USAN_RUN_DIR=$WORK/run USAN_ISCSI_DIR=$WORK/db
truncate -s 64M "$WORK/disk" "$WORK/store"
target_start "$WORK/disk"
url=${URLS[0]}
portal=$(url_portal "$url")
check "a store is attached" "$USAN" attach --background --log "$WORK/attach.log" --name one \
    --as "nbd:unix:$WORK/one.sock" "$WORK/store"

# What writes something: the words after `usan`.
commands=("version" "help" "cp --help" "discover iscsi://$portal" "ls $url" "inq $url" "inq -j $url"
    "pr show $url" "attach list" "attach show one" "attach show --json one"
    "bench --seconds 100ms ram:1M" "bench -j --seconds 100ms ram:1M" "cp -q $url -"
    "iscsiadm -m discovery -t st -p $portal" "iscsiadm -m node")

# It has ended with 1, and said once, in one line, what is wrong with standard output.
code=0
said() { # PATTERN
    [ "$code" = 1 ] && [ "$(wc -l <"$WORK/err")" = 1 ] && grep -qE "standard output.*$1" "$WORK/err"
}
# COMMAND... with an output that nobody reads as its standard output; sets code.
unread() {
    code=0
    mkfifo "$WORK/pipe"
    # shellcheck disable=SC2094 # that is meant: opened for both, it does not wait for a reader
    exec 7<>"$WORK/pipe" 8>"$WORK/pipe" 7<&-
    "$@" >&8 2>"$WORK/err" 8>&- || code=$?
    exec 8>&-
    rm "$WORK/pipe"
}
run() {
    timeout 100 "$USAN" "$@"
}
run_ignoring() {
    (trap '' PIPE && exec timeout 100 "$USAN" "$@")
}
for words in "${commands[@]}"; do
    name=${words%% iscsi:*}
    read -ra argv <<<"$words"
    code=0
    run "${argv[@]}" >/dev/full 2>"$WORK/err" || code=$?
    check "full: $name" said 'No space left on device$'
    code=0
    run "${argv[@]}" >&- 2>"$WORK/err" || code=$?
    check "closed: $name" said 'Bad file descriptor$'
    unread run "${argv[@]}"
    check_equal "left: $name: ended by SIGPIPE, without a word" "$code $(<"$WORK/err")" "141 "
    unread run_ignoring "${argv[@]}"
    check "left, and the signal is ignored: $name" said 'Broken pipe$'
done

# ---- programs that serve ----

# Told to end as soon as it is ready, it does.
ends() { # PID
    wait_for 30 test -s "$WORK/pid" && kill -TERM "$1" && wait "$1" && [ ! -e "$WORK/pid" ]
}
serves_closed() {
    "$USAN" "$@" >&- &
    ends $!
}
serves_unread() {
    unread start "$@" && ends "$pid"
}
start() {
    "$USAN" "$@" &
    pid=$!
}
printf 'a disk that has something in it' >"$WORK/store2"
truncate -s 1M "$WORK/store2"
cp "$WORK/store2" "$WORK/before"
for name in serve attach; do
    argv=(serve -a 127.0.0.1 -p 0 --pid-file "$WORK/pid" "$WORK/store2")
    [ $name = serve ] ||
        argv=(attach --as "nbd:unix:$WORK/two.sock" --pid-file "$WORK/pid" "$WORK/store2")
    code=0
    run "${argv[@]}" >/dev/full 2>"$WORK/err" || code=$?
    check "$name: a full disk keeps it from serving" said 'No space left on device$'
    check "$name: nothing is left of it" test ! -e "$WORK/two.sock" -a ! -e "$WORK/pid"
    check "$name: without standard output it serves" serves_closed "${argv[@]}"
    check "$name: when nobody reads it, too" serves_unread "${argv[@]}"
    check "$name: the disk has what it had" cmp "$WORK/store2" "$WORK/before"
done

# ---- other descriptors ----

code=0
run cp "$WORK/before" "$WORK/store2" --verify <&- >&- 2>&- || code=$?
check_equal "no descriptor at all" $code 0
check "what is said is not written into files" cmp "$WORK/store2" "$WORK/before"
code=0
run cp - "$WORK/copy" <&- 2>"$WORK/err" || code=$?
check_equal "standard input that is closed" "$code $(grep -c 'standard input.*Bad file' "$WORK/err")" "1 1"
check "leaves no file" test ! -e "$WORK/copy"
head -c 8M /dev/urandom >"$WORK/random"
check_equal "a reader that takes what it wants" \
    "$("$USAN" cp -q "$WORK/random" - 2>&1 | head -c 1000000 | sha256sum)" \
    "$(head -c 1000000 "$WORK/random" | sha256sum)"
check "the attached store ends" "$USAN" attach detach one
check_target_healthy
finish
