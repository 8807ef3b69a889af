# SPDX-License-Identifier: LGPL-2.1-or-later
# What `./dev bench initiator` found: the verdict on each bar, then medians.
function against(other, load, key, sign, want,    text) {
    text = load ": " (key == "iops" ? "IOPS" : "CPU for each I/O") " of " other "'s"
    bar(text, ratio("usan", load, other, load, key), sign, want, "%.2f", "")
}
# of all rounds the worst
function slowest(who, load,    r, worst) {
    for (r = 1; r <= rounds; r++)
        if ((r, who, load, "max_us") in value && value[r, who, load, "max_us"] / 1000 > worst)
            worst = value[r, who, load, "max_us"] / 1000
    return worst
}
END {
    print "## Bars\n\n| what | bar | measured | | beside it |\n|---|---|---|---|---|"
    against("libiscsi", "read-4k-q32", "iops", 1, 1.8)
    against("libiscsi", "read-4k-q32", "cli_us", -1, 0.5)
    against("libiscsi", "write-4k-q32", "iops", 1, 3)
    against("libiscsi", "write-4k-q32", "cli_us", -1, 0.35)
    against("libiscsi", "read-512k-q8", "iops", 1, 1.05)
    against("libiscsi", "write-512k-q8", "iops", 1, 1.25)
    split("read-4k-q32 write-4k-q32 read-512k-q8 write-512k-q8", loads, " ")
    for (i = 1; i <= 4; i++)
        against("rawload", loads[i], "iops", 1, 0.9)
    bar("NBD, read-4k-q32: IOPS of qemu-nbd's", ratio("usan-attach", "read-4k-q32", "qemu-nbd", "read-4k-q32", "iops"), 1, 2, "%.2f", "")
    split("read-4k-delayed read-4k-delayed-digests", loads, " ")
    for (i = 1; i <= 2; i++)
        bar("two connections, " loads[i] ": of one", ratio("usan-2conn", loads[i], "usan-1conn", loads[i], "iops"), 1, 1.8, "%.2f", "")
    bar("cut, recovery level 0: slowest I/O, ms", slowest("usan-erl0", "read-4k-cut"), -1, 1000, "%.0f", "")
    bar("cut, recovery level 2: slowest I/O, ms", slowest("usan-erl2", "read-4k-cut"), -1, 100, "%.0f", "")
    print "\n## Medians\n\n| contender | load | IOPS | MB/s | CPU µs per I/O | p50 µs | p99 µs |\n|---|---|---|---|---|---|---|"
    for (i = 1; i <= rows; i++) {
        who = who_at[i]
        load = load_at[i]
        cpu = figure(who, load, "cli_us")
        if (cpu == "")
            cpu = figure(who, load, "srv_us")
        printf "| %s | %s | %.0f | %.0f | %.2f | %s | %s |\n", who, load, figure(who, load, "iops"), figure(who, load, "MBps"), cpu, number(figure(who, load, "p50_us")), number(figure(who, load, "p99_us"))
    }
}
function number(x) {
    return x == "" ? "" : sprintf("%.1f", x)
}
