#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The commands of README.md, as they are printed there, one after the other in one shell. Its port
# is the standard one, so this runs in a network namespace of its own.
set -u
if [ -z "${USAN_IN_NS:-}" ]; then
    if ! why=$(unshare --net -- true 2>&1); then
        echo "1..0 # SKIP this process may make no network namespace: $why"
        exit 0
    fi
    USAN_IN_NS=1 exec unshare --net -- "$0"
fi
. "$(dirname "$0")/../lib/tap.sh"

ip link set lo up
# Blocks of code of the section. Those of ./dev install and build, which has been done; what is
# attached has tests of its own.
awk '/^## Try it|^Copy, measure/ { on = 1 } /^Attach|^Who knows|^## Read on/ { on = 0 } on' README.md |
    sed -n 's/^    //p' | grep -v '^\./dev ' >"$WORK/commands"
check "the page has commands" test "$(wc -l <"$WORK/commands")" -gt 10

mkdir "$WORK/tree"
ln -s "$BUILD" "$WORK/tree/build"
cd "$WORK/tree" || exit 1
port=3260
listening() {
    : 2>/dev/null <"/dev/tcp/127.0.0.1/$port"
}
silent() {
    ! listening
}
# A person who types sees when the server is there, or gone.
set -m
while IFS= read -r command; do
    rc=0
    case $command in
    *' -p 3261 '*) port=3261 ;;
    esac
    # in this shell, for the jobs
    eval "$command" >"$WORK/check.out" 2>&1 </dev/null || rc=$?
    case $command in
    '#'*) continue ;;
    *'&')
        at_exit end_process $!
        wait_for 60 listening || rc=1
        ;;
    'kill '*)
        wait_for 60 silent || rc=1
        wait
        jobs >"$WORK/jobs" # it has been told that the job ended
        ;;
    esac
    check_equal "$command" "$rc" 0
    [ $rc = 0 ] || note <"$WORK/check.out"
done <"$WORK/commands"
set +m

# Who pastes a block is not there to see that the server is: each has to wait by itself.
racing() { # FILE: lines that start something in the background, and what comes at once behind
    grep -A1 -E '^    .*&$' "$1" | grep -vE '&$|^--$|^    sleep 1$'
}
check_equal "a block waits for what it has started" "$(racing "$ROOT/README.md")" ""
finish
