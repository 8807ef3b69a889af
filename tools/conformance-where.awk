# SPDX-License-Identifier: LGPL-2.1-or-later
# Reads the list of exceptions, then the results of each kind of disk (the file's name is the
# kind). Prints which tests pass on no kind, and why, and for each suite where its tests passed.
FILENAME ~ /exceptions$/ {
    if ($1 == "any") {
        test = $2
        sub(/^any [^ ]+ /, "")
        reason[test] = $0
    }
    next
}
FNR == 1 {
    kind = FILENAME
    sub(/.*\//, "", kind)
    kinds++
}
{
    split($0, field, "\t")
    test = field[2]
    if (!(test in known)) {
        known[test] = 1
        order[++tests] = test
    }
    if (field[1] == "PASS") {
        passed[test]++
        where[test] = where[test] (where[test] == "" ? "" : ", ") kind
    }
}
END {
    for (i = 1; i <= tests; i++)
        somewhere += (order[i] in passed)
    printf "\n%d of %d tests pass on some kind of disk", somewhere, tests
    if (somewhere < tests) {
        print "; these do on none:\n\n| test | why |\n|---|---|"
        for (i = 1; i <= tests; i++)
            if (!(order[i] in passed))
                printf "| %s | %s |\n", order[i], order[i] in reason ? reason[order[i]] : "**unexplained**"
    } else {
        print "."
    }
    print "\n## Where each test passed\n\n| suite | tests | passed on |\n|---|---|---|"
    for (i = 1; i <= tests; i++) {
        test = order[i]
        suite = name = test
        sub(/\..*/, "", suite)
        sub(/[^.]*\./, "", name)
        place = passed[test] == kinds ? "every kind" : passed[test] ? where[test] : "none"
        if (!((suite, place) in list)) {
            key[++rows] = suite SUBSEP place
            list[suite, place] = name
        } else {
            list[suite, place] = list[suite, place] ", " name
        }
    }
    for (i = 1; i <= rows; i++) {
        split(key[i], part, SUBSEP)
        printf "| %s | %s | %s |\n", part[1], list[key[i]], part[2]
    }
}
