# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# usage: ./dev soak SECONDS
# what: verified mixed load on three disks with sessions coming and going; watches memory

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

# Logins and logouts beside the load, until the load has ended.
soak_sessions() { # URL
    while :; do
        iscsi-inq "$1" >/dev/null || echo "login failed at $(date +%T)" >>"$soak_dir/logins"
        sleep 0.2
    done
}

cmd_soak() {
    local seconds=${1:-} check=build/tests/fault/blockcheck urls=() i rc=0 first=0 last
    [[ $seconds =~ ^[0-9]+$ ]] || misuse "usage: ./dev soak SECONDS"
    install_packages build test
    build_in build
    soak_dir=$(mktemp -d "${TMPDIR:-/tmp}/usan-soak.XXXXXX") soak_pids=()
    trap soak_end EXIT
    for i in 0 1 2; do
        truncate -s 256M "$soak_dir/disk$i"
    done
    build/src/cli/usan serve --address 127.0.0.1 --port 0 --cores 2 --thin "$soak_dir"/disk? \
        >"$soak_dir/urls" 2>"$soak_dir/log" </dev/null &
    local target=$! loads=()
    soak_pids+=("$target")
    for ((i = 0; i < 200 && ${#urls[@]} < 3; i++)); do
        sleep 0.05
        mapfile -t urls < <(grep '^iscsi://' "$soak_dir/urls")
    done
    [ ${#urls[@]} = 3 ] || die "usan serve did not start: $(cat "$soak_dir/log")"
    say "soak for $seconds s"
    for i in 0 1 2; do
        $check load -t "$seconds" -q $((16 << i)) -f 10 -s 1 -m "$soak_dir/model$i" \
            "${urls[i]}" >"$soak_dir/load$i" 2>&1 &
        loads+=($!)
        soak_pids+=($!)
    done
    soak_sessions "${urls[0]}" &
    soak_pids+=($!)
    # The first fifth fills pools and caches; from then on memory has to stay.
    for ((i = 0; i < seconds; i += 2)); do
        sleep 2
        last=$(soak_kib "$target") || die "the target is gone: $(tail -n 5 "$soak_dir/log")"
        if [ "$first" = 0 ] && [ $i -ge $((seconds / 5)) ]; then
            first=$last
        fi
        if [ -t 1 ] || [ $((i % 30)) = 0 ]; then
            printf '  %5d s  %7d KiB resident\n' $i "$last"
        fi
    done
    for i in 0 1 2; do
        wait "${loads[i]}" || rc=1
        sed 's/^/  /' "$soak_dir/load$i"
        $check verify -a -m "$soak_dir/model$i" "${urls[i]}" || rc=1
    done
    last=$(soak_kib "$target")
    printf '  resident: %d KiB after warming up, %d KiB at the end\n' "$first" "$last"
    [ "$last" -le $((first + first / 10 + 4096)) ] || {
        echo "  memory grew"
        rc=1
    }
    [ ! -s "$soak_dir/logins" ] || {
        cat "$soak_dir/logins"
        rc=1
    }
    [ $rc = 0 ] || die "soak failed"
    say "soak passed"
}
