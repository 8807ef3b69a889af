# SPDX-License-Identifier: LGPL-2.1-or-later
"""Few combinations in which each pair of values of any two factors occurs.

usage: pairwise.py 'NAME=VALUE,VALUE...' ... [-- 'NAME=VALUE NAME=VALUE' ...]
What stands behind -- are pairs that can not go together. Prints a line of NAME=VALUE words for each
combination, always the same ones.
"""
import itertools
import sys


def main():
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    factors = [(w.split("=")[0], w.split("=")[1].split(",")) for w in words[:cut]]
    items = [[(name, v) for v in values] for name, values in factors]
    forbidden = {frozenset(tuple(p.split("=")) for p in w.split()) for w in words[cut + 1:]}
    open_pairs = [
        (a, b)
        for one, other in itertools.combinations(items, 2)
        for a in one
        for b in other
        if frozenset((a, b)) not in forbidden
    ]

    def fits(row, item):
        return all(frozenset((item, other)) not in forbidden for other in row.values())

    while open_pairs:
        row = {a[0]: a for a in open_pairs[0]}
        for choices in items:
            name = choices[0][0]
            if name in row:
                continue
            allowed = [c for c in choices if fits(row, c)]
            if not allowed:
                sys.exit("pairwise.py: nothing goes with " + " ".join(map(str, row.values())))
            row[name] = max(
                allowed,
                key=lambda c: sum(c in p and any(o in p for o in row.values()) for p in open_pairs),
            )
        print(" ".join("=".join(row[name]) for name, _ in factors))
        chosen = set(row.values())
        open_pairs = [p for p in open_pairs if not set(p) <= chosen]


main()
