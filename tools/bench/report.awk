# SPDX-License-Identifier: LGPL-2.1-or-later
# Reads lines "ROUND CONTENDER WORKLOAD key=value..." of all rounds; prints the verdict on each
# bar, then medians. A ratio is the median of the ratios within each round.
function median(list, n,    i, j, v) {
    for (i = 2; i <= n; i++) {
        v = list[i]
        for (j = i - 1; j >= 1 && list[j] > v; j--)
            list[j + 1] = list[j]
        list[j + 1] = v
    }
    return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}
# Median over the rounds of one figure; "" when it was not measured.
function figure(who, load, key,    r, n, list) {
    for (r = 1; r <= rounds; r++)
        if ((r, who, load, key) in value)
            list[++n] = value[r, who, load, key]
    return n ? median(list, n) : ""
}
function ratio(who, load, other, other_load, key,    r, n, list) {
    for (r = 1; r <= rounds; r++)
        if ((r, who, load, key) in value && value[r, other, other_load, key] > 0)
            list[++n] = value[r, who, load, key] / value[r, other, other_load, key]
    return n ? median(list, n) : ""
}
# sign is 1 where more is better, -1 where less is. beside: the same ratio to limit-memory.
function bar(text, got, sign, want, format, note,    ok, relation) {
    if (got == "")
        return
    ok = (sign > 0 ? got >= want : got <= want)
    relation = (sign > 0 ? "≥" : "≤")
    printf("| %s | %s " format " | " format " | %s | %s |\n", text, relation, want, got,
           ok ? "met" : "**not met**", note)
}
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
{
    if ($1 > rounds)
        rounds = $1
    if (!(($2, $3) in seen)) {
        seen[$2, $3] = 1
        who_at[++rows] = $2
        load_at[rows] = $3
    }
    for (i = 4; i <= NF; i++) {
        at = index($i, "=")
        value[$1, $2, $3, substr($i, 1, at - 1)] = substr($i, at + 1) + 0
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
