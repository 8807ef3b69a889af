#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every link from a page of the tree to a file of the tree leads somewhere.
. "$(dirname "$0")/../lib/tap.sh"

# The targets of [text](target) outside of blocks of code, without what lies elsewhere.
links_of() { # FILE
    awk '/^ *```/ { code = !code } !code && !/^    /' "$1" |
        grep -oE '\]\([^) ]+\)' | sed 's/^](//; s/)$//; s/#.*//' | grep -vE '^([a-z]+:|$)' | sort -u
}

missing_of() { # FILE: links that lead nowhere
    local link
    while read -r link; do
        [ -e "$(dirname "$1")/$link" ] || echo "$link"
    done < <(links_of "$1")
}

printf '[a](b.md) [c](https://x.org) [d](#e)\n\n    [not](a.link)\n' >"$WORK/page.md"
check_equal "a link that leads nowhere is found" "$(missing_of "$WORK/page.md")" "b.md"
while read -r page; do
    check_equal "$page" "$(missing_of "$page")" ""
done < <(find . -name '*.md' -not -path './build*' -not -path './.git/*' | sort)
finish
