#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# usan iscsiadm against our own target and tgt: discovery, records, sessions with their disks, exit
# codes; and open-iscsi's own iscsiadm on the same database, where it is installed.
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"
. "$ROOT/tests/lib/tgt.sh"

export USAN_ISCSI_DIR=$WORK/db USAN_RUN_DIR=$WORK/run
unset XDG_RUNTIME_DIR
adm() {
    "$USAN" iscsiadm "$@"
}
# Its exit code, and one line on standard error.
check_code() { # NAME CODE PATTERN OPTION...
    local name=$1 code=$2 pattern=$3 rc=0
    shift 3
    timeout 100 "$USAN" iscsiadm "$@" >"$WORK/error.out" 2>"$WORK/error" </dev/null || rc=$?
    if [ $rc = "$code" ] && grep -qE -- "$pattern" "$WORK/error"; then
        pass "$name"
    else
        fail "$name" "exit code $rc, wanted $code and a line that matches: $pattern"
        note <"$WORK/error"
    fi
}
record() { # NAME: a value of the node's record
    adm -m node -T "$own" -S | sed -n "s/^$1 = //p"
}
# Whatever happens, no disk stays attached.
log_out() {
    adm -m node -U all >/dev/null 2>&1
}
at_exit log_out

mkdir -p "$USAN_ISCSI_DIR"
echo "InitiatorName=$INITIATOR" >"$USAN_ISCSI_DIR/initiatorname.iscsi"
printf 'node.session.timeo.replacement_timeout = 33\n' >"$USAN_ISCSI_DIR/iscsid.conf"
truncate -s 32M "$WORK/one" "$WORK/tgt"
truncate -s 48M "$WORK/two"
own=iqn.2025-01.io.usan.test:own
target_start -n 2 --one-target --name $own "$WORK/one" "$WORK/two"
portal=$(url_portal "${URLS[0]}")
tgt_start "$WORK/tgt" || bail "tgt does not start"

# ---- discovery and records ----

check_code "no node as yet" 21 'no record of a node' -m node
check_code "no portal as yet" 21 'no portal' -m discovery
check "discovery" adm -m discovery -t sendtargets -p "$portal"
check_equal "shows portal, tag and target" "$(cat "$WORK/check.out")" "$portal,1 $own"
check "of tgt, too" adm -m discovery -t st -p "127.0.0.1:$TGT_PORT"
check "the nodes" adm -m node
check_output "the own one" "^$portal,1 $own\$"
check_output "that of tgt" "^127.0.0.1:$TGT_PORT,1 $TGT_NAME\$"
address=${portal%:*},${portal#*:}
check "are files where open-iscsi has them" test -f "$USAN_ISCSI_DIR/nodes/$own/$address,1/default"
check "with a link" test -L "$USAN_ISCSI_DIR/send_targets/$address/$own,$address,1,default"
check_equal "a new record has what iscsid.conf says" \
    "$(record node.session.timeo.replacement_timeout)" 33
check "an update" adm -m node -T $own -o update -n node.startup -v automatic
check_equal "is read again" "$(record node.startup)" automatic
check_code "a value it can not have" 7 'manual\|automatic' -m node -T $own -o update \
    -n node.startup -v sometimes
check_code "a name there is not" 7 "no parameter 'node.x'" -m node -T $own -o update -n node.x -v 1
check "discovery again" adm -m discovery -t st -p "$portal"
check_equal "leaves what was changed" "$(record node.startup)" automatic
check "a node by hand" adm -m node -o new -T iqn.2025-01.io.usan.test:hand -p 127.0.0.1:1,5
check "deleted" adm -m node -o delete -T iqn.2025-01.io.usan.test:hand
check_code "is gone" 21 'no record' -m node -T iqn.2025-01.io.usan.test:hand
check "nonpersistent discovery" adm -m discovery -t st -p "$portal" -o nonpersistent --root "$WORK/x"
check "writes nothing" test ! -e "$WORK/x"

# ---- sessions ----

size() { # SID LUN
    nbdinfo --size "nbd+unix:///?socket=$USAN_RUN_DIR/iscsi-$1-$2.nbd"
}
check_code "no session as yet" 21 'no session' -m session
check "login" adm -m node -T $own -l
check_output "says whereto" "^Logging in to \[iface: default, target: $own, portal: ${portal/:/,}\]\$"
check_output "and that it worked" "^Login to \[.*\] successful\.\$"
check_code "its record is not deleted meanwhile" 15 'session 1 uses its record' \
    -m node -T $own -o delete
check "the session" adm -m session
check_equal "in one line" "$(cat "$WORK/check.out")" "tcp: [1] $portal,1 $own (non-flash)"
check_equal "the first disk is there" "$(size 1 0)" $((32 << 20))
check_equal "the second" "$(size 1 1)" $((48 << 20))
check "all there is" adm -m session -r 1 -P 3
check_output "the name from the database" "Iface Initiatorname: $INITIATOR\$"
check_output "what the record said" 'Recovery Timeout: 33$'
check_output "what was agreed on" 'MaxRecvDataSegmentLength: 262144$'
check_output "the disks" "Attached scsi disk nbd.*iscsi-1-1.nbd.*State: running"
levels() { # LEVEL: which parts of all there is are shown
    adm -m session -r 1 -P "$1" >"$WORK/level" || return
    for part in 'Target: ' 'iSCSI Session State:' 'Recovery Timeout:' 'MaxBurstLength:' \
        'Attached scsi disk'; do
        grep -c "$part" "$WORK/level"
    done | tr '\n' ' '
}
check_equal "a session at level 0 is its line" "$(adm -m session -r 1 -P 0)" \
    "$(adm -m session -r 1)"
check_equal "at level 1 its state" "$(levels 1)" '1 1 0 0 0 '
check_equal "at level 2 times and parameters" "$(levels 2)" '1 1 1 1 0 '
check_equal "at level 3 disks" "$(levels 3)" '1 1 1 1 2 '
check_code "there is no level 4" 7 . -m session -r 1 -P 4
check_code "a second login" 15 'session 1 is there already' -m node -T $own -l
check "another" adm -m node -L all
check_equal "has the next number" "$(adm -m session | cut -d ' ' -f 2 | tr -d '\n')" '[1][2]'
check "data to tgt" qemu-io -f raw -c 'write -P 7 1M 1M' \
    "nbd+unix:///?socket=$USAN_RUN_DIR/iscsi-2-1.nbd"
check "logout" adm -m session -r 2 -u
check_output "says so" "^Logout of \[sid: 2, target: $TGT_NAME, portal: 127.0.0.1,$TGT_PORT\] successful\.\$"
check "the data stands there" qemu-io -r -f raw -c 'read -P 7 1M 1M' "$WORK/tgt"
check "only what starts so" adm -m node -L automatic
check_equal "is logged in to" "$(adm -m session | wc -l)" 1
pid=$(sed -n 's/^usan.unit\[1\].pid = //p' "$USAN_RUN_DIR/iscsiadm/1")
kill -KILL "$pid"
check "a disk whose program was killed" wait_for 60 process_ended "$pid"
check "is offline" adm -m session -P 3
check_output "and the other is not" 'iscsi-1-0.nbd.*State: running'
check "is attached again by a rescan" adm -m session -R
check_equal "and is there" "$(size 1 1)" $((48 << 20))
check "logout of all" adm -m node -U all
check_code "none is left" 21 'no session' -m session
check_equal "nothing runs" "$("$USAN" attach list)" ""
check_equal "and nothing lies about" "$(find "$USAN_RUN_DIR" -type f ! -name lock)" ""
check_code "a session there is not" 2 'no session 9' -m session -r 9 -P 1
check "another front" adm -m node -T $own -l --front "nbd:unix:$WORK/f-%s-%l"
check_equal "is used" "$(nbdinfo --size "nbd+unix:///?socket=$WORK/f-1-1")" $((48 << 20))
pid=$(sed -n 's/^usan.unit\[1\].pid = //p' "$USAN_RUN_DIR/iscsiadm/1")
kill -KILL "$pid"
check "a disk of it whose program was killed" wait_for 60 process_ended "$pid"
check "is attached again by a rescan" adm -m session -R
check_equal "where it was" "$(nbdinfo --size "nbd+unix:///?socket=$WORK/f-1-1")" $((48 << 20))
check "and left" adm -m node -T $own -u

# A disk that does not end: who waits for that keeps nobody else waiting.
check "two sessions" adm -m node -L all
pid=$(sed -n 's/^usan.unit\[0\].pid = //p' "$USAN_RUN_DIR/iscsiadm/1")
kill -STOP "$pid"
adm -m session -r 1 -u >"$WORK/logout" 2>&1 &
logout=$!
check "a logout that waits" wait_for 30 grep -q '^Logging out' "$WORK/logout"
check "sessions are shown meanwhile" timeout 60 "$USAN" iscsiadm -m session -P 3
check_output "this one, too" "^Target: $own "
check "the other one is logged out of" timeout 60 "$USAN" iscsiadm -m session -r 2 -u
check "and in to" timeout 60 "$USAN" iscsiadm -m node -T "$TGT_NAME" -l
check "the logout still waits" kill -0 $logout
kill -CONT "$pid"
check "until its disk ends" wait $logout
check_equal "then it is done" "$(grep -c '^Logout of' "$WORK/logout")" 1
check "the other one as well" adm -m node -U all

# Logging in twice at the same time: one of them does.
adm -m node -T $own -l >"$WORK/twice.1" 2>&1 &
twice=$!
rc=0
adm -m node -T $own -l >"$WORK/twice.2" 2>&1 || rc=$?
wait $twice || rc=$((rc + $?))
check_equal "of two logins at a time one is refused" $rc 15
check_equal "and there is one session" "$(adm -m session | wc -l)" 1
check "logout" adm -m node -T $own -u

# A login that fails leaves nothing behind.
adm -m node -T $own -l --front "fuse:$WORK/nowhere" >"$WORK/refused" 2>&1
check_equal "a login whose disk can not be attached" "$?" 5
check_code "leaves no session" 21 'no session' -m session
check_equal "no program" "$("$USAN" attach list)" ""
check_equal "and no file" "$(find "$USAN_RUN_DIR" -type f ! -name lock ! -name '*.log')" ""

# The target goes and comes back.
shown() { # STATE-OF-CONNECTION STATE-OF-SESSION STATE-OF-DISKS
    adm -m session -P 3 >"$WORK/shown" && grep -q "iSCSI Connection State: $1\$" "$WORK/shown" &&
        grep -q "iSCSI Session State: $2\$" "$WORK/shown" &&
        [ "$(grep -c "Attached scsi disk .*State: $3\$" "$WORK/shown")" = 2 ]
}
check "a login" adm -m node -T $own -l
check "is shown" wait_for 60 shown 'LOGGED IN' LOGGED_IN running
target_kill
check "a session that is lost is shown as that" wait_for 30 shown 'TRANSPORT WAIT' FAILED blocked
PORT=${portal#*:} target_start -n 2 --one-target --name $own "$WORK/one" "$WORK/two"
check "and one that is back" wait_for 60 shown 'LOGGED IN' LOGGED_IN running
check "logout" adm -m node -T $own -u

check "the target ends when asked to" target_stop
check_code "nobody answers at the portal" 4 'refused' -m node -T $own -l
check_code "nor for discovery" 4 'refused' -m discovery -t st -p "$portal"
secret=a-secret-of-20-bytes
printf '%s\n' $secret >"$WORK/secret"
chmod 600 "$WORK/secret"
PORT=${portal#*:} target_start --one-target --name $own --chap-user bob \
    --chap-secret-file "$WORK/secret" "$WORK/one"
check_code "a login without its secret" 24 'authentication' -m node -T $own -l
check "the secret into the record" adm -m node -T $own -o update \
    -n node.session.auth.authmethod -v CHAP -n node.session.auth.username -v bob \
    -n node.session.auth.password -v $secret
check "a login with it" adm -m node -T $own -l
check_equal "attaches the disk" "$(size 1 0)" $((32 << 20))
check_fails "the secret is in no command line" grep -l $secret /proc/[0-9]*/cmdline
check "a record is shown" adm -m node -T $own
check_fails "without its secret" grep -q $secret "$WORK/check.out"
check "logout" adm -m node -T $own -u
check "a node of a target there is not" adm -m node -o new -T $own-2 -p "$portal,1"
check_code "can not be logged in to" 19 'no such target' -m node -T $own-2 -l
check_target_healthy

# ---- the command line ----

check_code "no mode" 7 'needs a mode'
check_code "a mode there is not" 7 'use one of' -m nodes
check_code "a portal that is none" 7 'is no portal' -m node -p 1:2:3/
check_code "an operation there is not" 7 'use new' -m node -o remove
check_code "a record without a target" 7 'needs --targetname' -m node -o new -p 127.0.0.1
check_code "a name without a value" 7 'needs a --value' -m node -o update -n x

# ---- open-iscsi ----

theirs() {
    # In a name space of its own: it knows no other database.
    # shellcheck disable=SC2016
    unshare -m sh -c 'mount --bind "$0" /etc/iscsi && mkdir -p /run/lock/iscsi &&
        mount -t tmpfs none /run/lock/iscsi && iscsiadm "$@"' "$USAN_ISCSI_DIR" "$@" 2>/dev/null
}
if ! command -v iscsiadm >/dev/null || [ ! -d /etc/iscsi ]; then
    skip "open-iscsi reads the database" "its iscsiadm is not installed"
elif ! unshare -m true 2>/dev/null; then
    skip "open-iscsi reads the database" "no mount name spaces here"
else
    check_equal "open-iscsi lists the same nodes" "$(theirs -m node | sort)" "$(adm -m node | sort)"
    check_equal "as a tree, too" "$(theirs -m node -P 1)" "$(adm -m node -P 1)"
    check_equal "and what was discovered" "$(theirs -m discovery -P 1 | sort)" \
        "$(adm -m discovery -P 1 | sort)"
    check_equal "a record word for word" "$(theirs -m node -T $own -S | grep -v '^#')" \
        "$(adm -m node -T $own -S | grep -v '^#')"
    check "it adds a node" theirs -m node -o new -T iqn.2025-01.io.usan.test:new -p 10.0.0.1,2
    check "that is known here" adm -m node -T iqn.2025-01.io.usan.test:new -o update \
        -n node.session.cmds_max -v 64
    check "and there again" theirs -m node -T iqn.2025-01.io.usan.test:new
    check_output "with the new value" '^node.session.cmds_max = 64$'
    check "deleted there" theirs -m node -o delete -T iqn.2025-01.io.usan.test:new
    check_code "it is gone here" 21 'no record' -m node -T iqn.2025-01.io.usan.test:new
fi
finish
