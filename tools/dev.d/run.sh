# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# usage: ./dev run [--once]
# what: build, serve a small disk, use it with stock clients, keep serving (--once: end)
# more: The disk is build/run.img (64 MiB, sparse); the port is a free one of 127.0.0.1.

run_stop() {
    [ -z "${run_pid:-}" ] || {
        kill -TERM "$run_pid" 2>/dev/null || true
        wait "$run_pid" 2>/dev/null || true
    }
}

# A command as the reader could type it, and the head of what it prints.
run_show() { # COMMAND...
    printf '\n$ %s\n' "$*"
    "$@" >build/run.out 2>&1 </dev/null || {
        cat build/run.out
        die "failed: $*"
    }
    head -n 12 build/run.out
}

run_clients() { # URL
    local portal=${1%/*/*}
    run_show iscsi-ls -s "$portal"
    run_show iscsi-inq "$1"
    run_show qemu-img info "$1"
    run_show qemu-io -f raw -c 'write -P 0x55 1M 8M' -c 'flush' "$1"
    run_show qemu-io -f raw -c 'read -P 0x55 1M 8M' -c 'read -P 0 9M 1M' "$1"
    ! grep -q 'verification failed' build/run.out || die "what was read is not what was written"
}

cmd_run() {
    local once='' image=build/run.img url='' i
    case ${1:-} in
    --once) once=1 ;;
    '') ;;
    *) misuse "usage: ./dev run [--once]" ;;
    esac
    install_packages build test
    build_in build
    truncate -s 64M $image
    say "serve $image"
    printf '\n$ build/src/cli/usan serve --port 0 --address 127.0.0.1 %s\n' $image
    build/src/cli/usan serve --port 0 --address 127.0.0.1 $image >build/run.urls 2>build/run.log \
        </dev/null &
    run_pid=$!
    trap run_stop EXIT
    for ((i = 0; i < 1200; i++)); do
        url=$(grep -m 1 '^iscsi://' build/run.urls) && break
        kill -0 $run_pid 2>/dev/null || break
        sleep 0.05
    done
    [ -n "$url" ] || {
        cat build/run.log
        die "usan serve did not start"
    }
    echo "$url"
    run_clients "$url"
    printf '\n'
    say "works: $url"
    [ -z "$once" ] || return 0
    say "serving until Ctrl-C"
    trap 'exit 0' INT TERM
    wait $run_pid
}
