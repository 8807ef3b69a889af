#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Interleaved rounds of the same loads on every contender: the echo limit of a socket, tgt, ours.
# Client on processor 0, target on 1; targets that are not measured are stopped (SIGSTOP).
# doc/benchmarks.md explains the bars.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
. tools/bench/common.sh

mib=256
stop_all() {
    local p
    for p in "${pid_of[@]}"; do
        kill -CONT "$p" 2>/dev/null || true
        kill -TERM "$p" 2>/dev/null || true
    done
    # tgtd does not end while it has targets.
    [ -z "${pid_of[tgt]:-}" ] || kill -KILL "${pid_of[tgt]}" 2>/dev/null || true
    rm -f "$out"/*.img
}
trap stop_all EXIT

start_tgt() {
    wanted tgt || return 0
    local admin=(tgtadm -C 9 --lld iscsi) i
    mkdir -p /run/tgtd
    tgtd -f -C 9 --iscsi portal=127.0.0.1:3260 >"$out/tgt.log" 2>&1 </dev/null &
    pid_of[tgt]=$! port_of[tgt]=3260
    for ((i = 0; i < 1200; i++)); do
        "${admin[@]}" --op show --mode target >/dev/null 2>&1 && break
        sleep 0.05
    done
    "${admin[@]}" --op new --mode target --tid 1 -T $iqn
    "${admin[@]}" --op bind --mode target --tid 1 -I ALL
    "${admin[@]}" --op new --mode logicalunit --tid 1 --lun 1 -b "$out/tmpfs/tgt"
    "${admin[@]}" --op new --mode logicalunit --tid 1 --lun 2 -b "$out/tgt.img"
    "${admin[@]}" --op new --mode logicalunit --tid 1 --lun 3 -b "$out/tgt-direct.img" \
        --bsoflags direct
    pid_of[tgt-disk]=${pid_of[tgt]} port_of[tgt-disk]=3260
    pid_of[tgt-direct]=${pid_of[tgt]} port_of[tgt-direct]=3260
}

rawload() { # CONTENDER OPTION...
    local name=$1 lun=0
    shift
    case $name in
    tgt) lun=1 ;;
    tgt-disk) lun=2 ;;
    tgt-direct) lun=3 ;;
    esac
    "$build/bench/rawload" -W 0.3 -P "${pid_of[$name]}" "$@" 127.0.0.1 "${port_of[$name]}" $iqn \
        $lun
}

limit_load() { # ROUND CONTENDER OPTION...: the echo of each workload's message sizes
    local round=$1 name=$2 q
    shift 2
    wanted "$name" || return 0
    local run=("$build/bench/limit" -C cubic -t "$seconds" "$@")
    for q in 1 8 32 128; do
        record "$round" "$name" read-4k-q$q "${run[@]}" -q $q -i 48 -o 4144
    done
    for q in 32 128; do
        record "$round" "$name" write-4k-q$q "${run[@]}" -q $q -i 4144 -o 48
    done
    record "$round" "$name" read-512k-q8 "${run[@]}" -q 8 -i 48 -o 524384
    record "$round" "$name" write-512k-q8 "${run[@]}" -q 8 -i 524336 -o 48
}

# What the disk itself does with O_DIRECT, asked by fio through io_uring.
disk_fio() { # RW BYTES DEPTH
    fio --name=disk --filename="$out/raw.img" --size=${mib}M --direct=1 --ioengine=io_uring \
        --rw="$1" --bs="$2" --iodepth="$3" --runtime="$seconds" --time_based --cpus_allowed=1 \
        --output-format=terse --terse-version=3 | awk -F ';' -v bytes="$2" '{
            write = $49 > 0
            split(write ? $65 : $24, p50, "=")
            split(write ? $71 : $30, p99, "=")
            iops = write ? $49 : $8
            printf "iops=%d MBps=%.1f p50_us=%s p99_us=%s\n", iops, iops * bytes / 1e6, p50[2], p99[2]
        }'
}
disk_load() { # ROUND
    wanted disk || return 0
    record "$1" disk read-4k-q32 disk_fio randread 4096 32
    record "$1" disk write-4k-q32 disk_fio randwrite 4096 32
    record "$1" disk read-512k-q8 disk_fio read 524288 8
    record "$1" disk write-512k-q8 disk_fio write 524288 8
}

target_load() { # ROUND CONTENDER WORKLOAD...
    local round=$1 name=$2 w
    shift 2
    wanted "$name" && [ -n "${pid_of[$name]:-}" ] || return 0
    kill -CONT "${pid_of[$name]}"
    local run=(rawload "$name" -t "$seconds")
    for w in "$@"; do
        local options=(-c 0)
        case $w in
        # the client of two reactors may use both processors, as the target does
        *-2sessions) options=(-n 2) ;;
        *-4sessions) options+=(-n 4) ;;
        esac
        case $w in
        *-digests*) options+=(-D hd) ;;
        esac
        case $w in
        write-*) options+=(-w 100) ;;
        esac
        case $w in
        *-512k-*) options+=(-b 524288 -s) ;;
        *-4k-*) options+=(-b 4096) ;;
        esac
        local q=${w#*-q}
        record "$round" "$name" "$w" "${run[@]}" "${options[@]}" -q "${q%%-*}"
    done
    kill -STOP "${pid_of[$name]}"
}

# Processor time of all threads while a session is open and nothing comes.
busy_ns() { # PID
    cat /proc/"$1"/task/*/schedstat | awk '{ ns += $1 } END { printf "%.0f\n", ns }'
}
measure_idle() { # ROUND CONTENDER
    wanted "$2" || return 0
    local pid=${pid_of[$2]} before after
    kill -CONT "$pid"
    rawload "$2" -c 0 -q 1 -t 0.2 >/dev/null
    sleep 0.3
    before=$(busy_ns "$pid")
    sleep 5
    after=$(busy_ns "$pid")
    kill -STOP "$pid"
    echo "$1 $2 idle cpu=$(awk -v a="$before" -v b="$after" \
        'BEGIN { printf "%.6f", (b - a) / 5e9 }')" >>"$results"
}

# What one contender wrote is not still on its way to the disk while the next one is measured, and
# what goes through the page cache is in it.
settle_files() {
    sync "$out"/*.img
    cat "$out"/{disk,tgt}.img >/dev/null
}

all_loads=(read-4k-q1 read-4k-q8 read-4k-q32 read-4k-q128 write-4k-q32 write-4k-q128
    read-512k-q8 write-512k-q8)
digest_loads=(read-4k-q32-digests write-4k-q32-digests read-512k-q8-digests
    write-512k-q8-digests)
session_loads=(read-4k-q32-4sessions write-4k-q32-4sessions read-512k-q8-4sessions
    write-512k-q8-4sessions)
fresh_loads=(read-4k-q32 read-4k-q128)
file_loads=(read-4k-q32 write-4k-q32 read-512k-q8 write-512k-q8)
file_kinds=(usan-tmpfs tgt-disk usan-disk tgt-direct usan-direct)

for f in "$out/tmpfs/tgt" "$out/tmpfs/usan" "$out"/{disk,direct,tgt,tgt-direct,raw}.img; do
    head -c ${mib}M /dev/zero >"$f"
done
start_tgt
start_usan usan-ram "ram:${mib}M"
start_usan usan-fresh "ram:${mib}M"
start_usan usan-two "ram:${mib}M" --cores 2
start_usan usan-tmpfs "$out/tmpfs/usan"
start_usan usan-disk "$out/disk.img"
start_usan usan-direct "$out/direct.img?direct=1"
for name in "${!pid_of[@]}"; do
    kill -CONT "${pid_of[$name]}" # one tgtd has several names
    # memory that was never written is read from one page of zeroes: usan-fresh shows that
    [ "$name" = usan-fresh ] || rawload "$name" -c 0 -b 524288 -s -w 100 -t 1.2 >/dev/null
    [ "$name" = usan-two ] || pin "$name" 1
    kill -STOP "${pid_of[$name]}"
done
for ((round = 1; round <= rounds; round++)); do
    limit_load $round limit
    target_load $round tgt "${all_loads[@]}" "${session_loads[@]}"
    target_load $round usan-ram "${all_loads[@]}" "${digest_loads[@]}" "${session_loads[@]}"
    limit_load $round limit-memory -m $mib
    target_load $round usan-fresh "${fresh_loads[@]}"
    disk_load $round
    for name in "${file_kinds[@]}"; do
        settle_files
        target_load $round "$name" "${file_loads[@]}"
    done
    target_load $round usan-two read-4k-q32-2sessions read-512k-q8-2sessions
    measure_idle $round usan-ram
done
report target.awk performance.md Performance "tgt $(dpkg-query -W -f '${Version}' tgt)"
