# SPDX-License-Identifier: LGPL-2.1-or-later
# Applies the list of exceptions (the first file) to the results of one kind of disk (the second).
FNR == NR {
    if ($1 == kind) {
        test = $2
        sub(/^[^ ]+ [^ ]+ /, "")
        reason[test] = $0
    }
    next
}
{
    split($0, field, "\t")
    test = field[2]
    if (!(test in reason))
        print
    else if (field[1] == "FAIL")
        print "SKIP\t" test "\t" reason[test]
    else
        print "FAIL\t" test "\tit is in the list of exceptions, but its result is " field[1]
}
