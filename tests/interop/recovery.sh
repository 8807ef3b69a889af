#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Our initiator and our target over a network that cuts connections and changes bits: at each recovery
# level a load that is checked while it runs sees no error, and all it wrote is there.
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"

blockcheck=$BUILD/tests/fault/blockcheck
[ -x "$blockcheck" ] || bail "$blockcheck is not built"

proxy_pid=''
proxy_stop() {
    [ -z "$proxy_pid" ] || {
        kill "$proxy_pid"
        wait "$proxy_pid"
    } 2>/dev/null
    proxy_pid=''
}
at_exit proxy_stop
proxy_start() { # OPTION...: sets proxy_url
    rm -f "$WORK/proxy.port"
    python3 "$ROOT/tests/lib/tcp_proxy.py" "$@" "$(url_port "$target_url")" \
        >"$WORK/proxy.port" 2>"$WORK/proxy.log" &
    proxy_pid=$!
    wait_for 60 test -s "$WORK/proxy.port" &&
        proxy_url=iscsi://127.0.0.1:$(cat "$WORK/proxy.port")/$(url_target "$target_url")/0
}

# What a store's statistics say after SIGUSR1.
stat_of() { # NAME
    status_ask "[ .]$1=[0-9]"
    grep -o "[ .]$1=[0-9]*" "$TARGET_LOG" | tail -n 1 | sed 's/.*=//'
}

# A load of SECONDS through a store with these options over the proxy.
loaded() { # NAME OPTIONS LOAD_OPTIONS PROXY_OPTION...
    local name=$1 options=$2 load=$3 rc=0
    shift 3
    truncate -s 0 "$WORK/disk"
    truncate -s 32M "$WORK/disk"
    rm -f "$WORK/model"
    PORT='' target_start --thin --name iqn.2025-01.io.usan.test:net "$WORK/disk"
    local server=$TARGET_PID server_log=$TARGET_LOG
    target_url=${URLS[0]}
    check "$name: a network" proxy_start "$@"
    target_start --thin "$proxy_url?$options"
    # shellcheck disable=SC2086
    "$blockcheck" load -t 5 -q 16 -w 70 -s 1 $load -m "$WORK/model" "${URLS[0]}" \
        >"$WORK/load.out" 2>&1 || rc=$?
    note <"$WORK/load.out"
    check_equal "$name: the load has seen no error" "$rc" 0
    check "$name: all data is there" "$blockcheck" verify -a -m "$WORK/model" "$target_url"
    losses=$(stat_of losses) logins=$(stat_of logins)
    note "$name: $logins logins, $losses losses"
    check "$name: the store ends" target_stop
    TARGET_PID=$server TARGET_LOG=$server_log
    check_target_healthy
    check "$name: the target ends" target_stop
    proxy_stop
}

digests='header_digest=crc32c&data_digest=crc32c'
loaded "level 0, cut" "nop_interval=1s" "" --cut-every 0.7
check "the session was lost" test "$losses" -gt 0
loaded "level 2, cut" "error_recovery=2" "-c 10" --cut-every 0.7
check_equal "the session was never lost" "$losses" 0
loaded "level 2, four connections, cut" "error_recovery=2&connections=4&$digests" "-c 10" \
    --cut-every 0.7
check_equal "the session was never lost, either" "$losses" 0
loaded "level 1, bits" "error_recovery=1&$digests" "" --flip-every 1500007
loaded "level 2, bits" "error_recovery=2&connections=2&$digests" "-c 10" --flip-every 1500007
check_equal "nor here" "$losses" 0
loaded "level 0, bits" "$digests" "" --flip-every 5000011
finish
