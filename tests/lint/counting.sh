#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What counts test cases counts right: skipped ones of cmocka, programs that end early.
. "$(dirname "$0")/../lib/tap.sh"

count() { # EXIT-CODE LINE...: "PASSED FAILED SKIPPED TROUBLE" of a program that prints these
    local rc=$1
    shift
    printf '%s\n' "$@" | awk -v rc="$rc" -f tools/tap-count.awk
}

check_equal "a good program" "$(count 0 'ok 1 - a' 'ok 2 - b' 1..2)" "2 0 0 "
check_equal "a failed case" "$(count 1 'ok 1 - a' 'not ok 2 - b' 1..2)" "1 1 0 "
check_equal "a skipped case" "$(count 0 'ok 1 - a' 'ok 2 - b # SKIP no c' 1..2)" "1 0 1 "
check_equal "a program that is skipped" "$(count 0 '1..0 # SKIP no d')" "0 0 1 "
check_equal "one that ends early" "$(count 3 'ok 1 - a')" \
    "1 1 0 ended early after 1 cases, exit code 3"
check_equal "one that forgets a case" "$(count 0 'ok 1 - a' 1..2)" "1 1 0 planned 2 cases, ran 1"
check_equal "one that runs nothing" "$(count 0 1..0)" "0 1 0 ran no test"
check_equal "one that is out of time" "$(count 124 'ok 1 - a')" "1 1 0 out of time after 1 cases"
check_equal "one that says it passed and exits with 1" "$(count 1 'ok 1 - a' 1..1)" \
    "1 1 0 exit code 1 although no case failed"
check_equal "one that gives up" "$(count 1 'ok 1 - a' 'Bail out! no')" "1 1 0 Bail out! no"

cat >"$WORK/cmocka" <<'PROGRAM'
#!/bin/sh
echo '1..4'
echo '# of a'
echo 'ok 1 - a'
echo '# skipped: no c here'
echo 'not ok 2 # SKIP b'
echo '# of c'
echo 'not ok 3 - c'
echo '# 0x1 != 0'
echo '# c.c:5: error: Failure!'
[ -z "$ENDS" ] || { echo '# of d' && exit 3; }
echo 'ok 4 - d'
exit 1
PROGRAM
chmod +x "$WORK/cmocka"
ENDS='' tools/cmocka-tap "$WORK/cmocka" >"$WORK/cmocka.out" 2>"$WORK/cmocka.err"
check_equal "the exit code of a unit test is kept" $? 1
check_equal "its skipped case is skipped, its failed one failed" \
    "$(grep -v '^#' "$WORK/cmocka.out" | tr '\n' ';')" \
    "1..4;ok 1 - a;ok 2 - b # SKIP no c here;not ok 3 - c;ok 4 - d;"
why='# of c;not ok 3 - c;# 0x1 != 0;# c.c:5: error: Failure!;'
check_equal "why it failed is told where meson shows it" "$(tr '\n' ';' <"$WORK/cmocka.err")" "$why"
ENDS=1 tools/cmocka-tap "$WORK/cmocka" >"$WORK/cmocka.out" 2>"$WORK/cmocka.err"
check_equal "and the exit code of one that ends early" $? 3
check_equal "and what it said last" "$(tr '\n' ';' <"$WORK/cmocka.err")" \
    "$why# of d;# ended after 3 of 4 cases;"
cat >"$WORK/junit" <<'JUNIT'
<?xml version='1.0' encoding='utf-8'?><testsuites tests="6" errors="0" failures="1">
<testsuite name="a" tests="4" errors="0" failures="1" skipped="1" time="1"></testsuite>
<testsuite name="b" tests="2" errors="0" failures="0" skipped="0" time="1"></testsuite></testsuites>
JUNIT
check_equal "the sum of meson's log" "$(awk -f tools/junit-count.awk "$WORK/junit")" "4 1 1"
finish
