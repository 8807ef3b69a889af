# SPDX-License-Identifier: LGPL-2.1-or-later
# Reads meson's testlog.junit.xml; prints passed, failed and skipped test cases.
function attribute(name,    at, rest) {
    at = index($0, " " name "=\"")
    if (!at)
        return 0
    rest = substr($0, at + length(name) + 3)
    return substr(rest, 1, index(rest, "\"") - 1) + 0
}
BEGIN { RS = "<testsuite" }
# The first record is the XML head, the second the sum of all suites.
/^ / {
    tests += attribute("tests")
    failed += attribute("failures") + attribute("errors")
    skipped += attribute("skipped")
}
END { print tests - failed - skipped, failed + 0, skipped + 0 }
