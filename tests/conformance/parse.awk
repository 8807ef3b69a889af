# SPDX-License-Identifier: LGPL-2.1-or-later
# Reads the output of iscsi-test-cu. One line a test: PASS, FAIL or SKIP, Suite.Test, the reason,
# separated by tabs. A test that skips a part of itself counts as skipped. The last line is
# "END" if the suite ran to its end.
function close_test() {
    if (test == "")
        return
    if (!ended) {
        status = "FAIL"
        why = "the test did not end"
    } else if (status == "PASS" && skip != "") {
        status = "SKIP"
        why = skip
    }
    print status "\t" suite "." test "\t" (status == "PASS" ? "" : why)
    test = ""
}
/^Suite: / { close_test(); suite = $2 }
/^  Test: / {
    close_test()
    test = $0
    sub(/^  Test: /, "", test)
    sub(/ \.\.\..*/, "", test)
    status = "PASS"
    why = skip = ""
    ended = 0
}
/\[SKIPPED\]/ && skip == "" { skip = $0; sub(/.*\[SKIPPED\] */, "", skip) }
/\[FAILED\]/ && why == "" { why = $0; sub(/.*\[FAILED\] */, "", why) }
/^passed/ || /\.\.\.passed/ { ended = 1 }
/^FAILED/ || /\.\.\.FAILED/ { ended = 1; status = "FAIL" }
/^ +[0-9]+\. .*CU_/ && status == "FAIL" && why == "" {
    why = $0
    sub(/^ +[0-9]+\. */, "", why)
}
/^Run Summary/ { close_test(); complete = 1 }
END {
    close_test()
    if (complete)
        print "END"
}
