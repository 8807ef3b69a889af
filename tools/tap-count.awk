# SPDX-License-Identifier: LGPL-2.1-or-later
# Reads the output of one TAP program; rc is its exit code. Prints passed, failed and skipped
# cases, then what was wrong with the program as a whole, if anything.
/^1\.\.[0-9]+/ { planned = 1; plan = substr($0, 4) + 0 }
/^1\.\.0 *# *[Ss][Kk][Ii][Pp]/ { all_skipped = 1 }
/^Bail out!/ { trouble = $0 }
/^ok( |$)/ { if (toupper($0) ~ /# *SKIP/) skipped++; else passed++ }
/^not ok( |$)/ { failed++ }
END {
    ran = passed + failed + skipped
    if (all_skipped)
        skipped++
    else if (trouble == "" && rc == 124)
        trouble = "out of time after " ran " cases"
    else if (trouble == "" && !planned)
        trouble = "ended early after " ran " cases, exit code " rc
    else if (trouble == "" && plan != ran)
        trouble = "planned " plan " cases, ran " ran
    else if (trouble == "" && rc != 0 && !failed)
        trouble = "exit code " rc " although no case failed"
    else if (trouble == "" && ran == 0)
        trouble = "ran no test"
    if (trouble != "")
        failed++
    print passed + 0, failed + 0, skipped + 0, trouble
}
