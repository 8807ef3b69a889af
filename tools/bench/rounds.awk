# SPDX-License-Identifier: LGPL-2.1-or-later
# Reads lines "ROUND CONTENDER WORKLOAD key=value..." of all rounds. A ratio is the median of the
# ratios within each round. The reports go on from here (awk -f rounds.awk -f REPORT.awk).
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
