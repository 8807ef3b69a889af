#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Help texts and man pages agree: each command is named in doc/man/usan.1 and has a page
# doc/man/usan-WORD.1 by its first word; a page describes exactly the options that --help shows; pages are well formed.
. "$(dirname "$0")/../lib/tap.sh"

usan=$BUILD/src/cli/usan
[ -x "$usan" ] || bail "$usan is not built"

# The page as plain text, without the bold and underlined letters.
page_text() { # FILE
    mandoc -T ascii -O width=300 "$1" | col -bx
}

# Option names at the start of a line (after a short form, perhaps): "  -p, --port NUMBER  ...".
options_of() { # FILE
    sed -nE 's/^ +(-[A-Za-z0-9],? *)?(--[a-z][a-z0-9-]*).*/\2/p' "$1" | sort -u
}

"$usan" --help >"$WORK/help" 2>&1
sed -nE 's/^  ([a-z]+( [a-z]+)*)  +[a-z].*/\1/p' "$WORK/help" >"$WORK/commands"
check "--help lists commands" test -s "$WORK/commands"

if [ -f doc/man/usan.1 ]; then
    page_text doc/man/usan.1 >"$WORK/usan.1"
else
    fail "doc/man/usan.1 exists"
    : >"$WORK/usan.1"
fi
while read -r command; do
    check "usan.1 names: $command" grep -qE "(^|[^a-z])$command([^a-z]|\$)" "$WORK/usan.1"
    # shellcheck disable=SC2086
    "$usan" $command --help >"$WORK/help" 2>&1 </dev/null
    options_of "$WORK/help" | grep -vx -- --help >>"$WORK/options.${command%% *}"
done <"$WORK/commands"

for file in "$WORK"/options.*; do
    page=doc/man/usan-${file##*.}.1
    sort -u "$file" >"$WORK/want"
    if [ ! -f "$page" ]; then
        # a command without options of its own is described in usan.1
        check_equal "no $page, so no options of its own" "$(tr '\n' ' ' <"$WORK/want")" ""
        continue
    fi
    page_text "$page" >"$WORK/page"
    options_of "$WORK/page" | grep -vx -- --help >"$WORK/got"
    check_equal "$page describes every option and no other" \
        "$(diff "$WORK/want" "$WORK/got" | grep '^[<>]')" ""
done

for page in doc/man/*.[1-8]; do
    [ -f "$page" ] || continue
    check_equal "$page is well formed" "$(mandoc -T lint -W warning "$page" 2>&1)" ""
done
finish
