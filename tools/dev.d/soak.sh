# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# usage: ./dev soak SECONDS
# what: verified mixed load on one server with sessions coming and going; watches its memory
# more: Checked reads, writes, UNMAPs, COMPARE AND WRITEs, flushes and aborts on three disks, with
# more: and without digests; data digests on a fourth; beside them logins, discovery, clients that
# more: are killed, and bytes that are no iSCSI. At the end every disk is read against its model,
# more: counters have to be 0 again, the server has to end by itself, and its memory must not have
# more: grown. The last line is the verdict; the exit code is 0 or 1. SOAK_BUILD=build-address (made
# more: by ./dev sanitize address) looks for leaks instead of growth.

soak_kib() { # PID
    awk '/^VmRSS:/ { print $2 }' "/proc/$1/status"
}

soak_end() {
    local pid
    for pid in "${soak_pids[@]}"; do
        kill -TERM "$pid" 2>/dev/null || true
    done
    wait
    rm -rf "${soak_dir:-/nonexistent}"
}

# One line a round to $soak_dir/done.NAME, so that what was done can be counted; what went wrong
# goes to $soak_dir/wrong.
soak_did() { # NAME
    echo >>"$soak_dir/done.$1"
}

soak_wrong() { # WHAT
    echo "$1 at $(date +%T)" >>"$soak_dir/wrong"
}

# Logins, discovery, logouts.
soak_sessions() { # URL
    while [ ! -e "$soak_dir/stop" ]; do
        iscsi-inq "$1" >/dev/null 2>&1 || soak_wrong "a login failed"
        soak_did logins
        iscsi-ls -s "${1%/*/*}" >/dev/null 2>&1 || soak_wrong "discovery failed"
        soak_did discoveries
        sleep 0.2
    done
}

# Header and data digests, two sessions, a logout now and then.
soak_digests() { # ADDRESS PORT TARGET LUN
    while [ ! -e "$soak_dir/stop" ]; do
        "$soak_build/bench/rawload" -D hd -n 2 -q 16 -w 50 -b 16384 -W 0 -t 2 "$@" \
            >"$soak_dir/digests.out" 2>&1 ||
            soak_wrong "load with digests: $(cat "$soak_dir/digests.out")"
        soak_did digest-loads
    done
}

# A client that dies amid its commands.
soak_killed() { # ADDRESS PORT TARGET LUN
    local pid
    while [ ! -e "$soak_dir/stop" ]; do
        "$soak_build/bench/rawload" -n 3 -q 64 -w 70 -b 65536 -s -W 0 -t 30 "$@" >/dev/null 2>&1 &
        pid=$!
        sleep "0.$((RANDOM % 9 + 1))"
        kill -KILL $pid 2>/dev/null || soak_wrong "the client to be killed had ended before"
        wait $pid 2>/dev/null || true
        soak_did killed-clients
    done
}

# What the fuzzers found worth keeping, and noise; the server closes the connection.
soak_noise() { # ADDRESS PORT
    local files=(fuzz/corpus/login/* fuzz/corpus/pdu/*) f
    while [ ! -e "$soak_dir/stop" ]; do
        f=${files[RANDOM % ${#files[@]}]}
        {
            [ $((RANDOM % 4)) = 0 ] && head -c $((RANDOM % 4096 + 1)) /dev/urandom
            cat "$f"
        } 2>/dev/null | timeout 5 bash -c "cat >/dev/tcp/$1/$2" 2>/dev/null || true
        soak_did bad-inputs
        sleep 0.1
    done
}

# Memory of the server every two seconds: "SECOND KIB" lines.
soak_watch() { # PID SECONDS
    local i kib
    for ((i = 2; i <= $2; i += 2)); do
        sleep 2
        kib=$(soak_kib "$1" 2>/dev/null) || return 1
        [ -n "$kib" ] || return 1
        echo "$i $kib" >>"$soak_dir/memory"
        [ ! -t 1 ] || printf '\r  %5d s  %7d KiB resident' $i "$kib"
    done
    [ ! -t 1 ] || printf '\r%40s\r' ''
}

# The first half fills pools and caches; from then on a straight line through the samples must be
# flat: what it rises by in the time must be less than 4 MiB or 5 %.
soak_memory() {
    awk '
        { t[NR] = $1; k[NR] = $2 }
        END {
            for (i = int(NR / 2) + 1; i <= NR; i++) {
                n++; st += t[i]; sk += k[i]; stt += t[i] * t[i]; stk += t[i] * k[i]
                if (k[i] > peak) peak = k[i]
            }
            first = int(NR / 2) + 1
            slope = n > 1 && n * stt != st * st ? (n * stk - st * sk) / (n * stt - st * st) : 0
            rise = slope * (t[NR] - t[first])
            bound = 0.05 * k[first] > 4096 ? 0.05 * k[first] : 4096
            printf "  memory: %d KiB at half time, %d at the end, %d at most\n",
                   k[first], k[NR], peak
            printf "  memory slope: %+.1f KiB/min, in all %+.0f KiB (allowed %.0f)\n",
                   slope * 60, rise, bound
            exit rise > bound
        }' "$soak_dir/memory"
}

# Everything is given back when all clients are gone.
soak_idle() { # PID
    local i
    for ((i = 0; i < 60; i++)); do
        : >"$soak_dir/log"
        kill -USR1 "$1"
        sleep 1
        ! grep -q 'event=status' "$soak_dir/log" ||
            grep -E 'event=(status|reactor) ' "$soak_dir/log" |
            grep -qE ' (sessions|connections|buffers_used)=[1-9]' || return 0
    done
    grep -E 'event=(status|reactor) ' "$soak_dir/log"
    return 1
}

soak_load() { # NUMBER URL OPTION...
    local i=$1 url=$2
    shift 2
    "$soak_build/tests/fault/blockcheck" load -t "$soak_seconds" -q $((16 << i)) -w 50 -f 10 \
        -s 1 -u 10 -c 20 -x 2 "$@" -m "$soak_dir/model$i" "$url" >"$soak_dir/load$i" 2>&1 &
    soak_loads+=($!)
    soak_pids+=($!)
}

soak_start() { # the server; sets soak_target and soak_urls
    local i
    for i in 0 1 2 3; do
        truncate -s 256M "$soak_dir/disk$i"
    done
    # appended to, so that the log can be emptied while it is written
    "$soak_build/src/cli/usan" serve --address 127.0.0.1 --port 0 --cores 2 --thin \
        "$soak_dir"/disk? >"$soak_dir/urls" 2>>"$soak_dir/log" </dev/null &
    soak_target=$!
    soak_pids+=("$soak_target")
    for ((i = 0; i < 1200; i++)); do
        mapfile -t soak_urls < <(grep '^iscsi://' "$soak_dir/urls")
        [ ${#soak_urls[@]} -lt 4 ] || return 0
        kill -0 "$soak_target" 2>/dev/null || break
        sleep 0.05
    done
    die "usan serve did not start: $(cat "$soak_dir/log")"
}

soak_beside() { # all that is not checked loads
    local rest=${soak_urls[3]#iscsi://} where
    where=("${rest%%:*}" "${rest%%/*}")
    where[1]=${where[1]##*:}
    rest=${rest#*/}
    soak_sessions "${soak_urls[0]}" &
    soak_pids+=($!)
    soak_digests "${where[@]}" "${rest%/*}" "${rest##*/}" &
    soak_pids+=($!)
    soak_killed "${where[@]}" "${rest%/*}" "${rest##*/}" &
    soak_pids+=($!)
    soak_noise "${where[@]}" &
    soak_pids+=($!)
}

soak_verify() { # all disks; the figures of the loads
    local i rc=0
    for i in 0 1 2; do
        wait "${soak_loads[i]}" || rc=1
        grep -v '^under way' "$soak_dir/load$i" | sed "s/^/  disk $i: /"
    done
    touch "$soak_dir/stop"
    local pid
    for pid in "${soak_pids[@]:4}"; do
        wait "$pid" || rc=1
    done
    for i in 0 1 2; do
        "$soak_build/tests/fault/blockcheck" verify -a -m "$soak_dir/model$i" \
            "${soak_urls[i]}" >"$soak_dir/verify$i" 2>&1 || rc=1
        sed "s/^/  disk $i: /" "$soak_dir/verify$i"
    done
    return $rc
}

soak_stop() { # SIGTERM; it has to end by itself and to have nothing to say
    local rc=0
    kill -TERM "$soak_target"
    wait "$soak_target" || rc=$?
    grep -E 'Assertion|runtime error|ERROR: |WARNING: ThreadSanitizer' "$soak_dir/log" && rc=1
    [ $rc = 0 ] || echo "  the server ended with $rc"
    return $rc
}

cmd_soak() {
    [[ $# = 1 && $1 =~ ^[1-9][0-9]*$ ]] || misuse "usage: ./dev soak SECONDS"
    soak_seconds=$1
    local rc=0 f
    install_packages build test
    soak_build=${SOAK_BUILD:-build}
    build_in "$soak_build"
    soak_dir=$(mktemp -d "${TMPDIR:-/tmp}/usan-soak.XXXXXX")
    soak_pids=() soak_loads=() soak_urls=() soak_target=''
    trap soak_end EXIT
    trap 'exit 143' TERM INT
    soak_start
    say "soak for $soak_seconds s"
    soak_load 0 "${soak_urls[0]}"
    soak_load 1 "${soak_urls[1]}" -d
    soak_load 2 "${soak_urls[2]}" -d
    soak_beside
    soak_watch "$soak_target" "$soak_seconds" || {
        tail -n 30 "$soak_dir/log"
        echo "  the server is gone"
        rc=1
    }
    soak_verify || rc=1
    for f in "$soak_dir"/done.*; do
        printf '  %s: %d\n' "${f##*/done.}" "$(wc -l <"$f")"
    done
    [ ! -s "$soak_dir/wrong" ] || {
        head -n 40 "$soak_dir/wrong" | sed 's/^/  /'
        rc=1
    }
    if [ "$soak_build" = build ]; then
        soak_memory || rc=1
    fi
    soak_idle "$soak_target" || {
        echo "  something is still held when all clients are gone"
        rc=1
    }
    soak_stop || rc=1
    soak_pids=()
    say "soak for $soak_seconds s: $([ $rc = 0 ] && echo passed || echo FAILED)"
    return $rc
}
