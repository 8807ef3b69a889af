# SPDX-License-Identifier: LGPL-2.1-or-later
# What `./dev bench target` found: the verdict on each bar, then medians.
function limit_bar(who, load, want) {
    bar((who == "usan-fresh" ? "fresh memory, " : "memory, ") load ": of the limit",
        ratio(who, load, "limit", load, "iops"), 1, want, "%.2f",
        beside(who, load, "limit-memory", " of limit-memory"))
}
function beside(who, load, other, text,    r) {
    r = ratio(who, load, other, load, "iops")
    return r == "" ? "" : sprintf("%.2f%s", r, text)
}
# Against tgt on the same kind of file; beside it what the disk itself can do.
function file_bars(who, text, tgt,    i, load, note) {
    for (i = 1; i <= 4; i++) {
        load = file_load[i]
        note = ""
        if (tgt == "tgt-direct")
            note = beside(who, load, "disk", " of the disk")
        else if (tgt == "tgt-disk")
            note = beside(who, load, "tgt", " times tgt on tmpfs")
        bar(text ", " load ": times tgt there", ratio(who, load, tgt, load, "iops"), 1,
            load ~ /512k/ ? 2 : 4, "%.2f", note)
    }
}
END {
    split("read-4k-q32 write-4k-q32 read-512k-q8 write-512k-q8", file_load, " ")
    ram = "usan-ram"
    print "## Bars\n\n| what | bar | measured | | beside it |\n|---|---|---|---|---|"
    bar("memory, read-4k-q32: times tgt", ratio(ram, "read-4k-q32", "tgt", "read-4k-q32", "iops"), 1, 7, "%.2f")
    limit_bar(ram, "read-4k-q32", 1.1)
    limit_bar(ram, "read-4k-q128", 0.4)
    limit_bar("usan-fresh", "read-4k-q32", 1.1)
    limit_bar("usan-fresh", "read-4k-q128", 0.4)
    bar("memory, read-4k-q32: CPU µs per I/O", figure(ram, "read-4k-q32", "tgt_us"), -1, 2.2, "%.2f")
    bar("memory, read-4k-q128: CPU µs per I/O", figure(ram, "read-4k-q128", "tgt_us"), -1, 1.5, "%.2f")
    limit_bar(ram, "write-4k-q128", 0.35)
    bar("memory, read-4k-q1: p50 of tgt's", ratio(ram, "read-4k-q1", "tgt", "read-4k-q1", "p50_us"), -1, 0.45, "%.2f")
    bar("idle: share of a core", figure(ram, "idle", "cpu"), -1, 0.005, "%.4f")
    limit_bar(ram, "read-512k-q8", 0.85)
    limit_bar(ram, "write-512k-q8", 0.75)
    file_bars("usan-tmpfs", "file on tmpfs", "tgt")
    file_bars("usan-disk", "file on disk, buffered", "tgt-disk")
    file_bars("usan-direct", "file on disk, O_DIRECT", "tgt-direct")
    for (i = 1; i <= 4; i++)
        bar("digests, " file_load[i] ": of without", ratio(ram, file_load[i] "-digests", ram, file_load[i], "iops"), 1, file_load[i] ~ /512k/ ? 0.7 : 0.8, "%.2f")
    bar("two reactors, read-4k-q32: cores used", figure("usan-two", "read-4k-q32-2sessions", "tgt_util"), 1, 1.0, "%.2f")
    print "\n## Medians\n\n| contender | load | IOPS | MB/s | target CPU µs per I/O | target cores | p50 µs | p99 µs | of limit | of limit-memory | of tgt |\n|---|---|---|---|---|---|---|---|---|---|---|"
    for (i = 1; i <= rows; i++) {
        who = who_at[i]
        load = load_at[i]
        if (load == "idle")
            continue
        cpu = figure(who, load, "tgt_us")
        util = figure(who, load, "tgt_util")
        if (cpu == "") {
            cpu = figure(who, load, "srv_us")
            util = figure(who, load, "srv_util")
        }
        plain = load
        sub(/-digests|-[0-9]+sessions/, "", plain)
        if (cpu == "") { # fio: the kernel's work is not its own
            printf "| %s | %s | %.0f | %.0f | | | %.1f | %.1f | | | |\n", who, load, figure(who, load, "iops"), figure(who, load, "MBps"), figure(who, load, "p50_us"), figure(who, load, "p99_us")
            continue
        }
        printf "| %s | %s | %.0f | %.0f | %.2f | %.2f | %.1f | %.1f | %s | %s | %s |\n", who, load, figure(who, load, "iops"), figure(who, load, "MBps"), cpu, util, figure(who, load, "p50_us"), figure(who, load, "p99_us"), fraction(who, load, "limit", plain), fraction(who, load, "limit-memory", plain), fraction(who, load, "tgt", ("tgt", load) in seen ? load : plain)
    }
}
function fraction(who, load, other, other_load,    r) {
    r = ratio(who, load, other, other_load, "iops")
    return r == "" ? "" : sprintf("%.2f", r)
}
