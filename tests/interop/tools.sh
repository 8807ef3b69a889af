#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# usan cp, bench, pr and inq against our own target and tgt: data is compared with other programs'
# means, files that are replaced are whole or as they were, figures are there and make sense.
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"
. "$ROOT/tests/lib/tgt.sh"

json() { # COMMAND...: its output is JSON
    "$@" >"$WORK/json" && python3 -m json.tool "$WORK/json"
}
# One line on standard error that matches, and the exit code.
check_error() { # NAME CODE PATTERN COMMAND...
    local name=$1 code=$2 pattern=$3 rc=0
    shift 3
    timeout 60 "$@" >"$WORK/error.out" 2>"$WORK/error" </dev/null || rc=$?
    if [ $rc = "$code" ] && [ "$(wc -l <"$WORK/error")" = 1 ] && grep -qE -- "$pattern" "$WORK/error"
    then
        pass "$name"
    else
        fail "$name" "exit code $rc, wanted $code and one line that matches: $pattern"
        note <"$WORK/error"
    fi
}
kib() { # FILE: what it takes on the disk
    du -k "$1" | cut -f 1
}

# 24 MiB of data at both ends of 96 MiB, a hole and zeroes between, and the end in no block.
head -c 12582912 /dev/urandom >"$WORK/image"
truncate -s 48M "$WORK/image"
head -c 12582912 /dev/zero >>"$WORK/image"
truncate -s 84M "$WORK/image"
head -c 12582912 /dev/urandom >>"$WORK/image"
cp "$WORK/image" "$WORK/odd"
printf 'the end' >>"$WORK/odd"
truncate -s 96M "$WORK/disk" "$WORK/tgt"

target_start --thin "$WORK/disk"
url=${URLS[0]}
tgt_start "$WORK/tgt" || bail "tgt does not start"
tgt_url=iscsi://127.0.0.1:$TGT_PORT/$TGT_NAME/1

# ---- cp ----

check "cp of a file that ends in no block" "$USAN" cp --verify "$WORK/odd" "$WORK/copy"
check_output "says what was done" '100663303 bytes \(72M of them zeroes\) in .*; compared equal$'
check "byte by byte" cmp "$WORK/odd" "$WORK/copy"
check "what is zero takes no room" test "$(kib "$WORK/copy")" -lt 26000
check "to a pipe and from one" sh -c "'$USAN' cp -q '$WORK/odd' - | '$USAN' cp -q - '$WORK/piped'"
check "byte by byte" cmp "$WORK/odd" "$WORK/piped"
check "what is zero takes no room then either" test "$(kib "$WORK/piped")" -lt 26000
for channels in 1 3; do
    truncate -s 0 "$WORK/disk"
    truncate -s 96M "$WORK/disk"
    check "to a unit, $channels channels" "$USAN" cp --verify -c $channels "$WORK/image" "$url"
    check "as others read it" qemu-img compare -f raw -F raw "$WORK/image" "$url"
    check "zeroes were unmapped" test "$(kib "$WORK/disk")" -lt 26000
    check "and back, $channels channels" "$USAN" cp -q -c $channels "$url" "$WORK/back$channels"
    check "byte by byte" cmp "$WORK/image" "$WORK/back$channels"
done
check "what was there is overwritten" sh -c "head -c 96M /dev/urandom | '$USAN' cp -q - '$url' &&
    '$USAN' cp -q --sparse 0 --chunk 64K '$WORK/image' '$url'"
check "by zeroes, too" qemu-img compare -f raw -F raw "$WORK/image" "$url"
check "to tgt" "$USAN" cp --verify "$WORK/image" "$tgt_url"
check "as others read it" qemu-img compare -f raw -F raw "$WORK/image" "$tgt_url"
check "from tgt to our own" "$USAN" cp --verify "$tgt_url" "$url"
# A target that tells what is mapped: nobody reads 200 GiB of nothing, or sends it.
pid=$TARGET_PID log=$TARGET_LOG
PORT='' target_start --thin ram:200G
sparse_url=${URLS[0]} sparse_pid=$TARGET_PID
TARGET_PID=$pid TARGET_LOG=$log URLS=("$url")
check "a little into a large unit" "$USAN" cp -q "$WORK/odd" "$sparse_url"
check "the large unit to a file, and compared" timeout 100 "$USAN" cp --verify "$sparse_url" \
    "$WORK/large"
check_equal "that is as large" "$(stat -c %s "$WORK/large")" $((200 << 30))
check "and takes little room" test "$(kib "$WORK/large")" -lt 26000
check "with the data" cmp -n 100663303 "$WORK/odd" "$WORK/large"
check "and back, compared too" timeout 100 "$USAN" cp --verify "$WORK/large" "$sparse_url"
rm "$WORK/large"
end_process "$sparse_pid"
check "into a file that keeps its size" sh -c "truncate -s 97M '$WORK/larger' &&
    '$USAN' cp -q -n --verify '$WORK/image' '$WORK/larger'"
check_equal "it does" "$(stat -c %s "$WORK/larger")" $((97 << 20))
check "and has the data" cmp -n 100663296 "$WORK/image" "$WORK/larger"
ln -s larger "$WORK/link"
chmod 640 "$WORK/larger"
check "through a link" "$USAN" cp -q "$WORK/image" "$WORK/link"
check_equal "what it leads to is replaced" "$(stat -c '%s %a %F' "$WORK/larger")" \
    "100663296 640 regular file"
check "the link is one still" test -L "$WORK/link"

check_error "a destination that is too small" 1 'has room for 1048576 bytes.*has 100663296' \
    "$USAN" cp "$WORK/image" ram:1M
pid=$TARGET_PID log=$TARGET_LOG
PORT='' target_start --read-only "$WORK/image"
check_error "a destination that is read-only" 1 'is read-only' "$USAN" cp ram:1M "${URLS[0]}"
end_process "$TARGET_PID"
TARGET_PID=$pid TARGET_LOG=$log URLS=("$url")
check_error "a pipe that has too much" 1 'more comes than it has room for' \
    sh -c "'$USAN' cp - ram:1M <'$WORK/image'"
check_error "a source that does not exist" 1 'No such file' "$USAN" cp "$WORK/none" "$WORK/copy2"
check "leaves nothing" test ! -e "$WORK/copy2"
check_error "a target that does not" 1 'no such target' "$USAN" cp "${url%/*}x/0" "$WORK/copy2"
check_error "a file that is served is not replaced" 1 \
    'disk: in use by another process, which has locked it; end that first' \
    "$USAN" cp "$WORK/image" "$WORK/disk"
check_equal "nothing is left beside it" "$(find "$WORK" -name '*.part-*')" ""
check_error "a name that is empty" 2 'without a name' "$USAN" cp "$WORK/image" ''
check_error "source and destination in one" 2 'the same file' \
    "$USAN" cp "$WORK/image" "$WORK/../$(basename "$WORK")/image"
check_error "nothing to be read back" 2 'standard output can not be read back' \
    "$USAN" cp --verify "$WORK/image" -
check_error "a number of words" 2 'needs a source and a destination' "$USAN" cp "$WORK/image"
check_error "a source that fails" 1 'reading at [0-9]+: input/output error; nothing was kept' \
    "$USAN" cp "error(op=read,after=20)+$WORK/image" "$WORK/copy"
check "leaves the old file" cmp "$WORK/odd" "$WORK/copy"
check_error "a destination that fails" 1 'writing at [0-9]+: no space left' \
    "$USAN" cp "$WORK/image" "error(op=write,after=20,err=nospc)+ram:96M"
check_output "is said to be in part" 'it is incomplete now, and usan cp --resume' "$WORK/error"

interrupted() {
    "$USAN" cp --queue-depth 1 "delay(time=20ms)+$WORK/image" "$WORK/copy" 2>"$WORK/error" &
    local pid=$! rc=0
    wait_for 60 sh -c "ls '$WORK'/copy.part-*" || return 1
    kill -INT "$pid"
    wait "$pid" || rc=$?
    [ "$rc" = 1 ]
}
check "one that is interrupted" interrupted
check_output "says so" 'interrupted after .* to .*copy; nothing was kept' "$WORK/error"
check "leaves the old file" cmp "$WORK/odd" "$WORK/copy"
check_equal "and nothing else" "$(find "$WORK" -name '*.part-*')" ""

# Killed in the middle, and there again: the copy goes on and is whole.
restarted() {
    "$USAN" cp -q -d 2 --verify "delay(time=20ms)+$WORK/image" "$url" &
    local pid=$! port
    port=$(url_port "$url")
    sleep 0.5
    target_kill
    PORT=$port target_start --thin "$WORK/disk"
    wait "$pid"
}
check "to a target that is killed and restarted" restarted
check "byte by byte" cmp "$WORK/image" "$WORK/disk"

# Interrupted on the way to a unit, and begun again: only what is missing is written.
stopped_on_the_way() {
    truncate -s 0 "$WORK/disk"
    truncate -s 96M "$WORK/disk"
    "$USAN" cp --queue-depth 1 "delay(time=20ms)+$WORK/image" "$url" 2>"$WORK/error" &
    local pid=$! rc=0
    wait_for 60 sh -c "[ \$(du -k '$WORK/disk' | cut -f 1) -gt 2000 ]" || return 1
    kill -INT "$pid"
    wait "$pid" || rc=$?
    [ "$rc" = 1 ]
}
check "one to a unit that is interrupted" stopped_on_the_way
check_output "says what is left" 'interrupted.*incomplete now, and usan cp --resume goes on' \
    "$WORK/error"
check_fails "it is" cmp "$WORK/image" "$WORK/disk"
check "it is resumed" "$USAN" cp --resume --verify "$WORK/image" "$url"
check_output "what was there is not written again" '\([0-9.]+M of them were there\).*compared equal'
check "byte by byte" cmp "$WORK/image" "$WORK/disk"
check "again, from a pipe" sh -c "'$USAN' cp --resume - '$url' <'$WORK/image'"
check_output "everything is there" '^usan cp: 100663296 bytes \(96M of them were there\)'
printf x | dd of="$WORK/disk" bs=1 seek=5000000 conv=notrunc status=none
check "one byte that differs" "$USAN" cp --resume "$WORK/image" "$url"
check "is mended" cmp "$WORK/image" "$WORK/disk"
check_error "a stream is no place to resume" 2 'standard output can not be read' \
    "$USAN" cp --resume "$WORK/image" -
check_error "nor a file that is not there" 1 'No such file' "$USAN" cp --resume "$WORK/image" \
    "$WORK/not-there"

progress() {
    script -qec "'$USAN' cp -d 4 'delay(time=150ms)+$WORK/image' '$WORK/slow'" /dev/null \
        >"$WORK/terminal" </dev/null
}
check "on a terminal" progress
check_output "a bar, the rate and the time that is left" \
    '\[=+> *\] [0-9]+%  [0-9.]+M of 96M  [0-9.]+M/s  [0-9]+s left' "$WORK/terminal"

# What is not the same is found, wherever it is: the store loses what it was given.
check_error "a difference that is found" 3 'differ at byte [0-9]+' \
    "$USAN" cp --verify "$WORK/image" null:96M
check_equal "is where data begins" "$(sed -E 's/.* at byte ([0-9]+).*/\1/' "$WORK/error")" \
    "$(cmp "$WORK/image" /dev/zero | sed -E 's/.*byte ([0-9]+),.*/\1/' | awk '{ print $1 - 1 }')"

# ---- bench ----

check "bench" "$USAN" bench --seconds 300ms "$url"
check_output "shows requests a second" '^read +[1-9][0-9]* IOPS  [0-9.]+[KMG]/s$'
check_output "percentiles" '^ +99\.9 %  [0-9.]+ (us|ms|s)$'
check_output "processor time" '^cpu +[0-9.]+ us each, [0-9]+ % of a processor$'
cat >"$WORK/figures.py" <<'PY'
import json, sys
b = json.load(open(sys.argv[1]))
assert b["block_bytes"] == 8192 and b["channels"] == 2 and b["queue_depth"] == 8, b
assert abs(b["time_ns"] - 0.4e9) < 5e9, b
for op in "read", "write":
    k = b[op]
    lat = k["latency_ns"]
    p = [lat["percentiles"][x] for x in ("50", "99", "100")]
    assert k["ops"] > 0 and abs(k["bytes_per_second"] - k["iops"] * 8192) <= 8192, k
    assert lat["min"] <= p[0] <= p[1] <= p[2] == lat["max"], lat
share = b["read"]["ops"] / (b["read"]["ops"] + b["write"]["ops"])
assert 0.2 < share < 0.4, share
PY
check "a mix as JSON" json "$USAN" bench -o mix --read-percent 30 --write -b 8K -d 8 -c 2 -t 400ms \
    --percentiles 50,99,100 --json "$tgt_url"
check "its figures agree" python3 "$WORK/figures.py" "$WORK/json"
check "reading changes nothing" cmp "$WORK/image" "$WORK/disk"
check "only the first part is written to" "$USAN" bench -o write -w -s --size 1M -t 200ms "$url"
check "the rest is as it was" cmp -i 1048576 "$WORK/image" "$WORK/disk"
check_fails "the first part is not" cmp -n 1048576 "$WORK/image" "$WORK/disk"
check "bench with a warm-up" json "$USAN" bench --warm-up 5s -t 100ms --json -q ram:1M
check "which does not count" python3 -c \
    'import json, sys; assert 0 < json.load(open(sys.argv[1]))["time_ns"] < 5e9' "$WORK/json"
check_error "stopped before it was over" 1 'nothing was measured' \
    timeout --foreground --preserve-status -s INT 2 "$USAN" bench --warm-up 1h -q ram:1M
check_error "writing has to be allowed" 2 'add --write' "$USAN" bench -o write "$url"
check_error "a size that is no block" 2 'blocks of 512 bytes' "$USAN" bench -b 1000 "$url"
check_error "a store that fails" 1 'reading at [0-9]+: input/output error' \
    "$USAN" bench "error(after=50)+ram:1M"
check_error "a percentile there is not" 2 'is not a list' "$USAN" bench --percentiles 101 "$url"

# ---- pr ----

other=(--initiator iqn.2025-01.io.usan.test:other)
check "pr register" "$USAN" pr register "$url" --key 0xabc
check_error "pr register again" 1 'CONFLICT: this initiator has registered a key already' \
    "$USAN" pr register "$url" --key 0xabd
check_error "a wrong key" 1 'CONFLICT: a wrong key: nobody has registered 0x7$' \
    "$USAN" pr reserve "$url" --key 7 --type exclusive-access
check "pr reserve" "$USAN" pr reserve "$url" --key 0xabc --type exclusive-access
check "pr show" "$USAN" pr show "$url"
check_output "the key" '^    0xabc$'
check_output "the type" '^  type: exclusive-access$'
check_fails "others can not write then" qemu-io -f raw -c 'write 0 512' "$url"
check_error "cp says why" 1 'input/output error \(RESERVATION CONFLICT: another initiator' \
    "$USAN" cp --in-place ram:1M "$url"
check_error "bench says why" 1 'input/output error \(RESERVATION CONFLICT: another initiator' \
    "$USAN" bench --seconds 1 "$url"
check_error "nor take it" 1 'CONFLICT: a wrong key: nobody has registered 0x5$' \
    "$USAN" pr reserve "$url" "${other[@]}" --key 5 --type 3
check "they register" "$USAN" pr register "$url" "${other[@]}" --key 5
check_error "and can not reserve it either" 1 'CONFLICT: it is reserved, with the key 0xabc$' \
    "$USAN" pr reserve "$url" "${other[@]}" --key 5 --type 3
check_error "a key of another" 1 'CONFLICT: a wrong key: 0xabc is not what this initiator has' \
    "$USAN" pr clear "$url" "${other[@]}" -k 0xabc
check "and preempt" "$USAN" pr preempt "$url" "${other[@]}" --key 5 --victim 0xabc --type 1
check "as JSON" json "$USAN" pr show "$url" --read-full-status --json
check_output "whose it is" '"initiator": "iqn.2025-01.io.usan.test:other,i,0x80'
check_equal "one key is left" "$(grep -c '"key"' "$WORK/json")" 1
check_error "the first has none any more" 1 'RESERVATION CONFLICT' "$USAN" pr clear "$url" -k 0xabc
check "pr clear" "$USAN" pr clear "$url" "${other[@]}" -k 5
full() { # who has registered what, and holds the reservation
    "$USAN" pr show "$url" --read-full-status --json |
        sed -nE 's/.*"(key|holder|initiator)": "?([^",]*).*/\2/p' | sed 's/.*test://' | paste -d ' ' - - - | sort |
        tr '\n' ' '
}
me=(--initiator iqn.2025-01.io.usan.test:me)
check "pr register for another as well" "$USAN" pr register "$url" "${me[@]}" --key 1 \
    --for iqn.2025-01.io.usan.test:other --for iqn.2025-01.io.usan.test:third,i,0x80112233
check_equal "all three have it" "$(full)" "0x1 false me 0x1 false other 0x1 false third "
check_error "--for of a name that is none" 2 "'you' is no iSCSI initiator" \
    "$USAN" pr register "$url" --key 1 --for you
check_error "--for with another action" 2 '--for has no meaning' \
    "$USAN" pr register-ignore "$url" --key 1 --for iqn.a
check "the other reserves with it" "$USAN" pr reserve "$url" "${other[@]}" --key 1 --type 5
check_error "who does not hold it can not move it" 1 'does not hold the reservation' \
    "$USAN" pr move "$url" "${me[@]}" --key 1 --new-key 9 --to iqn.2025-01.io.usan.test:new
check_error "nor to a port there is not" 1 'INVALID FIELD IN PARAMETER LIST' "$USAN" pr move "$url" \
    "${other[@]}" --key 1 --new-key 9 --to iqn.2025-01.io.usan.test:new --to-port 77
check "pr move" "$USAN" pr move "$url" "${other[@]}" --key 1 --new-key 9 --unregister \
    --to iqn.2025-01.io.usan.test:new
check_equal "it has gone there" "$(full)" "0x1 false me 0x1 false third 0x9 true new "
check "pr preempt-abort" "$USAN" pr preempt-abort "$url" "${me[@]}" --key 1 --victim 9 --type 3
check_equal "takes it" "$(full)" "0x1 false third 0x1 true me "
check "pr register-ignore" "$USAN" pr register-ignore "$url" "${me[@]}" --key 4
check_equal "has another key" "$(full)" "0x1 false third 0x4 true me "
check_error "APTPL of a unit that keeps nothing" 1 "^usan pr: $url: .*no place .*--state-dir\$" \
    "$USAN" pr register "$url" "${me[@]}" --key 4 --new-key 5 --aptpl
check "clear" "$USAN" pr clear "$url" "${me[@]}" --key 4
check "others can write again" qemu-io -f raw -c 'write -P 1 0 512' "$url"
check_error "a unit there is not" 1 '^usan pr: iscsi://.*/99: LUN 99: READ KEYS: LUN NOT SUPPORTED' \
    "$USAN" pr show "${url%/*}/99"
check_error "an action there is not" 2 "no action 'steal'" "$USAN" pr steal "$url"
check_error "an option that is missing" 2 'reserve: needs --type' "$USAN" pr reserve "$url" -k 1
check "pr show of tgt" "$USAN" pr show "$tgt_url"
check_output "has capabilities" '^Capabilities$'

check_target_healthy
check "the target ends when asked to" target_stop
finish
