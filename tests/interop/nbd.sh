#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# usan attach: NBD clients on Unix sockets and TCP: libnbd's tools, QEMU, fio; clients that die,
# stall or lie; stores that are read-only or full; sockets that are in the way.
# time limit: 600
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"

attach() { # ARGUMENT...: a start that is expected to fail
    timeout 60 "$USAN" attach "$@"
}
attach_start() { # COUNT ARGUMENT...
    local count=$1
    shift
    target_launch "$count" attach "$@" || bail "usan attach does not start"
}
io() { # URI COMMAND...: one qemu-io with these commands; a pattern that differs is an error
    local uri=$1 args=() c
    shift
    for c in "$@"; do
        args+=(-c "$c")
    done
    qemu-io -f raw "${args[@]}" "$uri" >"$WORK/io.out" 2>&1 || {
        cat "$WORK/io.out"
        return 1
    }
    ! grep -iE 'verification failed|error' "$WORK/io.out"
}
status_of() { # KEY: of the program's status line
    status_ask "event=status .*$1="
    sed -nE "s/.*event=status .*$1=([0-9a-z_]+).*/\1/p" "$TARGET_LOG" | tail -n 1
}
no_clients() {
    [ "$(status_of connections)" = 0 ]
}
# fio checks what it wrote, in random order at depth 32.
fio_verify() { # URI OPTION...
    local uri=$1
    shift
    fio --name=verify --ioengine=nbd --uri="$uri" --rw=randwrite --verify=crc32c --do_verify=1 \
        --iodepth=32 --size=32M --verify_fatal=1 --verify_state_save=0 "$@"
}

# ---- memory, both kinds of sockets, several reactors ----
sock=$WORK/a.sock
attach_start 2 --cores 2 --as "nbd:unix:$sock" --as nbd:tcp:127.0.0.1:0 --name data ram:64M
unix_uri=${URLS[0]} tcp_uri=${URLS[1]}
check_equal "the URI of a Unix socket" "$unix_uri" "nbd+unix:///data?socket=$sock"
check_equal "the socket is for its owner only" "$(stat -c %a "$sock")" 600
for uri in "$unix_uri" "$tcp_uri"; do
    kind=${uri%%:*}
    check "$kind: nbdinfo" nbdinfo "$uri"
    check_output "has the size" 'export-size: 67108864 '
    for flag in can_cache can_df can_fast_zero can_flush can_fua can_multi_conn can_trim can_zero; do
        check_output "says $flag" "$flag: true"
    done
    check_output "is not read-only" 'is_read_only: false'
    check_output "has block sizes" 'block_size_minimum: 512'
    check_output "has a metadata context" 'base:allocation'
    check "$kind: the list of exports" nbdinfo --list "${uri/data/}"
    check_output "has the name" 'export="data"'
    check "$kind: the default export" nbdinfo --size "${uri/data/}"
    check_fails "$kind: a name that there is not" nbdinfo --size "${uri/data/other}"
    check "$kind: patterns" io "$uri" 'write -P 1 0 512' 'write -P 2 512 1k' 'write -P 3 64k 64k' \
        'write -P 4 1M 4M' 'write -f -P 5 8M 32M' 'read -P 1 0 512' 'read -P 2 512 1k' \
        'read -P 3 64k 64k' 'read -P 4 1M 4M' 'read -P 5 8M 32M' 'flush'
    check "$kind: zeroes and discard" io "$uri" 'write -z 1M 1M' 'write -z -u 2M 1M' \
        'discard 3M 1M' 'read -P 0 1M 3M' 'read -P 4 4M 1M'
    check "$kind: many requests at once" io "$uri" \
        'aio_write -P 10 20M 1M' 'aio_write -P 11 21M 1M' 'aio_write -P 12 22M 1M' \
        'aio_flush' 'aio_read -P 10 20M 1M' 'aio_read -P 12 22M 1M' 'aio_flush' \
        'read -P 11 21M 1M'
    check "$kind: fio verifies 4 KiB" fio_verify "$uri" --bs=4k
    check "$kind: fio verifies mixed sizes" fio_verify "$uri" --bsrange=512-256k --bs_unaligned=0 \
        --blockalign=512
done

head -c 40M /dev/urandom >"$WORK/image"
truncate -s 64M "$WORK/image"
check "nbdcopy in, 4 connections" nbdcopy --connections=4 --flush "$WORK/image" "$tcp_uri"
check "nbdcopy out, 4 connections" nbdcopy --connections=4 "$unix_uri" "$WORK/out"
check "what came out is what went in" cmp "$WORK/image" "$WORK/out"
check "the map" nbdinfo --map "$unix_uri"
check_output "has the hole" '41943040 +25165824 +3 +hole,zero'
check "nbdcopy from one socket to the other" nbdcopy "$unix_uri" "$tcp_uri"
check "qemu-img compares equal" qemu-img compare -f raw -F raw "$WORK/image" "$unix_uri"
check "qemu-img copies in" qemu-img convert -n -f raw -O raw -W -m 8 "$WORK/image" "$unix_uri"
check "and out" qemu-img convert -f raw -O raw "$tcp_uri" "$WORK/out"
check "what came out is what went in" cmp "$WORK/image" "$WORK/out"
check "qemu-img sees the hole" qemu-img map --output=json -f raw "$tcp_uri"
check_output "as zeroes" '"start": 41943040, "length": 25165824.*"zero": true'

LIBNBD_DEBUG=1 nbdinfo "nbds+unix:///?socket=$sock" >"$WORK/tls" 2>&1
check_output "that there is no TLS is said" 'server error message: there is no TLS here' "$WORK/tls"
# QEMU has words of its own for it.
check_fails "QEMU does not connect then either" qemu-io -c 'read 0 512' --object tls-creds-anon,id=t,endpoint=client \
    --image-opts "driver=nbd,server.type=unix,server.path=$sock,tls-creds=t"

# A client that dies in the middle of writing, again and again.
for i in 1 2 3; do
    fio --name=killed --ioengine=nbd --uri="$unix_uri" --rw=randwrite --bs=256k --iodepth=32 \
        --size=64M --time_based --runtime=20 >/dev/null 2>&1 &
    pid=$!
    sleep 0.$((i * 3))
    # fio works in a child
    kill -KILL $pid "$(ps -o pid= --ppid $pid | head -n 1)" 2>/dev/null
    wait $pid 2>/dev/null
done
check "clients that were killed are gone" wait_for 60 no_clients
check "and others served" fio_verify "$tcp_uri" --bs=64k
check_target_healthy
check "it ends" target_stop
check "the path is gone" test ! -e "$sock"

# ---- a file, on each engine ----
truncate -s 64M "$WORK/disk"
for engine in io_uring epoll; do
    for direct in 0 1; do
        attach_start 1 --engine $engine --cores 2 --as "nbd:unix:$sock" \
            "file:$WORK/disk?direct=$direct"
        uri=${URLS[0]}
        check "$engine, direct=$direct: copy in" nbdcopy --flush "$WORK/image" "$uri"
        check "it stands in the file" cmp "$WORK/image" "$WORK/disk"
        check "fio verifies" fio_verify "$uri" --bs=16k --fsync=64
        check "discard and zeroes" io "$uri" 'write -P 7 0 4M' 'discard 1M 1M' 'write -z 3M 1M' \
            'read -P 7 0 1M' 'read -P 7 2M 1M' 'read -P 0 3M 1M'
        check "it ends" target_stop
    done
done

# ---- requests that have to wait for memory, and maps that take more than one reply ----
head -c 96M /dev/urandom >"$WORK/large"
truncate -s 96M "$WORK/copy"
attach_start 1 --cores 2 --memory 128M --as "nbd:unix:$sock" "$WORK/copy"
check "much more than there is memory for, in" nbdcopy --connections=4 --requests=16 \
    --request-size=33554432 --allocated "$WORK/large" "${URLS[0]}"
check "it stands in the file" cmp "$WORK/large" "$WORK/copy"
check "and out" nbdcopy --connections=4 --requests=16 --request-size=33554432 "${URLS[0]}" \
    "$WORK/out"
check "what came out is what went in" cmp "$WORK/large" "$WORK/out"
check "the memory bound holds" test "$(status_of memory_taken)" -le $((128 << 20))
check_target_healthy
check "it ends" target_stop
rm "$WORK/large" "$WORK/copy" "$WORK/out"

truncate -s 128M "$WORK/comb"
# 64 KiB of data, 64 KiB of hole, ...
python3 -c 'import sys
with open(sys.argv[1], "r+b") as f:
    for i in range(1000):
        f.seek(i << 17)
        f.write(b"x" * 65536)' "$WORK/comb"
attach_start 1 --as "nbd:unix:$sock" "$WORK/comb"
check "a map of many pieces" nbdinfo --map "${URLS[0]}"
check_equal "has all holes" "$(grep -c 'hole,zero' "$WORK/check.out")" 1000
check_output "the last of them to the end" '^ *[0-9]+ +[0-9]+ +3 +hole,zero'
check_equal "and no byte twice" "$(awk '$1 != at { print $1, at } { at = $1 + $2 }
    END { print at }' "$WORK/check.out")" $((128 << 20))
check "a sparse copy" nbdcopy "${URLS[0]}" "$WORK/out"
check "is the same" cmp "$WORK/comb" "$WORK/out"
check "it ends" target_stop

# ---- an end under load ----
attach_start 1 --as nbd:tcp:127.0.0.1:0 "$WORK/disk"
fio --name=load --ioengine=nbd --uri="${URLS[0]}" --rw=randrw --bs=4k --iodepth=32 --size=64M \
    --time_based --runtime=20 >/dev/null 2>&1 &
load=$!
at_exit end_process $load
sleep 0.5
check "it ends under load, too" target_stop 60
wait $load

# ---- read-only ----
attach_start 1 --read-only --as "nbd:unix:$sock" "$WORK/image"
check "a read-only export" nbdinfo "${URLS[0]}"
check_output "says so" 'is_read_only: true'
check "it is read" qemu-img compare -f raw -F raw "$WORK/image" "${URLS[0]}"
check "its hole reads as zeroes" nbdinfo --map "${URLS[0]}"
check_output "from 40 MiB on" '41943040 +25165824 +3 +hole,zero'
check_fails "it is not written" io "${URLS[0]}" 'write -P 1 0 4k'
check "it ends" target_stop

# ---- full ----
attach_start 1 --as "nbd:unix:$sock" 'ram:16M?mem=1M'
check_fails "a store that is full" io "${URLS[0]}" 'write -P 1 0 8M'
check_output "says so" 'No space left' "$WORK/io.out"
check "it gives space back" io "${URLS[0]}" 'discard 0 16M' 'write -P 2 0 512k' 'read -P 2 0 512k'
check_target_healthy
check "it ends" target_stop
mkdir "$WORK/small"
if mount -t tmpfs -o size=4M tmpfs "$WORK/small" 2>/dev/null; then
    at_exit umount "$WORK/small"
    attach_start 1 --as "nbd:unix:$sock" "file:$WORK/small/disk?create=16M"
    check_fails "a file system that is full" io "${URLS[0]}" 'write -P 1 0 8M'
    check_output "says so" 'No space left' "$WORK/io.out"
    check "it gives space back" io "${URLS[0]}" 'discard 0 16M' 'write -P 2 0 1M' 'read -P 2 0 1M'
    check_target_healthy
    check "it ends" target_stop
else
    skip "a file system that is full" "mounting is not permitted here"
fi

# ---- clients that stall or lie ----
attach_start 2 -v --handshake-timeout 3s --stall-timeout 3s --max-connections 4 \
    --as nbd:tcp:127.0.0.1:0 --as "nbd:unix:$sock" ram:16M
port=${URLS[0]#nbd://127.0.0.1:}
port=${port%/}
cat >"$WORK/hostile.py" <<'PY'
import os, random, select, socket, struct, sys, time

port = int(sys.argv[1])
OPT = b"IHAVEOPT"

def connect():
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(60)
    return s

def read(s, n):
    b = b""
    while len(b) < n:
        piece = s.recv(n - len(b))
        if not piece:
            raise EOFError
        b += piece
    return b

def handshake():
    s = connect()
    read(s, 18)
    s.sendall(struct.pack(">I", 3) + OPT + struct.pack(">II", 1, 0))
    read(s, 10)
    return s

def opened():
    """Those that have just gone may still count, and this one may have been too slow."""
    end = time.time() + 60
    while True:
        try:
            return handshake()
        except (EOFError, OSError):
            if time.time() > end:
                raise
            time.sleep(0.05)

def ended(s, within):
    """The server hangs up within so many seconds."""
    s.settimeout(within)
    try:
        while s.recv(65536):
            pass
    except ConnectionResetError:
        pass
    except socket.timeout:
        return False
    return True

def request(kind, off, length, cookie=0, magic=0x25609513):
    return struct.pack(">IHHQQI", magic, 0, kind, cookie, off, length)

what = sys.argv[2]
if what == "silent":
    assert ended(connect(), 60)
elif what == "half":
    s = opened()
    s.sendall(request(1, 0, 4096) + b"x" * 100)
    assert ended(s, 60)
elif what == "deaf":
    s = opened()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for i in range(64):
        s.sendall(request(0, 0, 1 << 20, i))
    hung_up = select.poll() # without taking anything in
    hung_up.register(s, select.POLLRDHUP)
    assert hung_up.poll(60000)
    assert ended(s, 60)
elif what == "many":
    held = [opened() for _ in range(4)]
    assert ended(connect(), 60)
    for s in held:
        s.sendall(request(3, 0, 0))
        assert read(s, 16)[4:8] == bytes(4)
elif what == "lies":
    s = opened()
    s.sendall(request(0, 0, 512, magic=0x25609514))
    assert ended(s, 60)
    s = opened()
    s.sendall(request(1, 0, 0xfffffe00))
    assert ended(s, 60)
    s = connect()
    read(s, 18)
    s.sendall(struct.pack(">I", 3) + OPT + struct.pack(">II", 7, 0xffffffff))
    assert ended(s, 60)
elif what == "noise":
    rnd = random.Random(int(sys.argv[3]))
    for _ in range(200):
        s = opened() if rnd.random() < 0.5 else connect()
        s.settimeout(0.01)
        try:
            for _ in range(rnd.randrange(1, 20)):
                if rnd.random() < 0.3:
                    s.sendall(rnd.randbytes(rnd.randrange(1, 3000)))
                else:
                    s.sendall(request(rnd.randrange(10), rnd.choice([0, 512, 1 << 24, 1 << 63]),
                                      rnd.choice([0, 512, 4096, 1 << 20, 1 << 31])))
            s.recv(65536)
        except OSError:
            pass
        s.close()
PY
hostile() {
    timeout 250 python3 "$WORK/hostile.py" "$port" "$@"
}
check "a client that says nothing is given up" hostile silent
check_output "in the log" 'event=handshake-ended .*the handshake took too long' "$TARGET_LOG"
check "one that stops in the middle of a write" hostile half
check_output "in the log" 'client-gone .*stopped in the middle of a request' "$TARGET_LOG"
check "one that does not read its replies" hostile deaf
check_output "in the log" 'client-gone .*does not take its replies in' "$TARGET_LOG"
check "no more connections than allowed" hostile many
check "wrong magic numbers and lengths end the connection" hostile lies
for seed in 1 2 3; do
    check "noise ($seed)" hostile noise $seed
done
check "they are all gone" wait_for 60 no_clients
check "an honest client is served" fio_verify "nbd+unix:///?socket=$sock" --bs=4k --size=16M
check_target_healthy
check "it ends" target_stop

# ---- sockets in the way, and other mistakes ----
attach_start 1 --as "nbd:unix:$sock" --mode 0666 ram:1M
check_equal "a mode that was asked for" "$(stat -c %a "$sock")" 666
check_fails "a socket in use" attach --as "nbd:unix:$sock" ram:1M
check_output "is named" "$sock.*in use"
check "and left alone" nbdinfo --size "${URLS[0]}"
target_kill
check "a program that was killed leaves its socket" test -S "$sock"
attach_start 1 --as "nbd:unix:$sock" ram:1M
check "the next one takes its place" nbdinfo --size "${URLS[0]}"
check_fails "a port in use: nothing is started" attach --as "nbd:unix:$WORK/b.sock" \
    --as "nbd:unix:$sock" ram:1M
check "nor left behind" test ! -e "$WORK/b.sock"
check "it ends" target_stop
: >"$sock"
check_fails "a file in place of the socket" attach --as "nbd:unix:$sock" ram:1M
check_output "is named" "$sock.*no socket"
check "and left alone" test -f "$sock"
check_fails "a store that does not exist" attach --as nbd:tcp:127.0.0.1:0 "$WORK/missing"
check_output "is named" "$WORK/missing"

usage_error() { # ARGUMENT...
    local rc=0
    attach "$@" || rc=$?
    [ "$rc" = 2 ] || note "exit code $rc"
    [ "$rc" = 2 ]
}
check "exit code 2: no front end" usage_error ram:1M
check "exit code 2: an unknown front end" usage_error --as nbd:udp:1 ram:1M
check_output "is named" 'nbd:udp:1'
check_output "and all there are" 'nbd:unix:PATH, nbd:tcp:HOST:PORT, fuse:DIR or iscsi:HOST:PORT'
check "exit code 2: no store" usage_error --as nbd:tcp:127.0.0.1:0
check "exit code 2: two stores" usage_error --as nbd:tcp:127.0.0.1:0 ram:1M ram:2M
check "exit code 2: no port" usage_error --as nbd:tcp:127.0.0.1 ram:1M
check "exit code 2: a path that is too long" usage_error \
    --as "nbd:unix:/$(printf 'x%.0s' {1..120})" ram:1M
check "exit code 2: a mode that is none" usage_error --mode 888 --as nbd:tcp:127.0.0.1:0 ram:1M
check "exit code 2: an unknown store" usage_error --as nbd:tcp:127.0.0.1:0 nosuchstore:x
finish
