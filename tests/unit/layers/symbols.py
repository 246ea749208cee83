#!/usr/bin/env python3
"""symbols - no static library calls one that lies above it

    symbols.py LIBRARY...     lowest first

A static library is linked into every program together with all the others, so a call upwards links as well as one downwards.
Here the undefined symbols of each library are looked up among the definitions of those above it. Prints TAP.
"""
import subprocess
import sys


def symbols(path):
    """(defined, undefined) global symbols of an archive."""
    defined, undefined = set(), set()
    for line in subprocess.run(["nm", "-g", path], check=True, capture_output=True, text=True).stdout.splitlines():
        words = line.split()
        if len(words) < 2 or words[-1].endswith(":"):
            continue
        (undefined if words[-2] in "Uw" else defined).add(words[-1])
    return defined, undefined - defined


def upward(layers):
    """Yields (lower layer, upper layer, symbols) for each pair in which the lower one calls the upper one."""
    for i, (low, (_, wanted)) in enumerate(layers):
        below = set().union(*(defined for _, (defined, _) in layers[: i + 1]))
        for high, (defined, _) in layers[i + 1:]:
            calls = (wanted - below) & defined
            if calls:
                yield low, high, sorted(calls)


def main():
    layers = [(path, symbols(path)) for path in sys.argv[1:]]
    bad = list(upward(layers))
    # The reverse order must be refused, or the check sees nothing.
    sees = any(upward(layers[::-1]))
    print("1..2")
    print("not ok" if bad else "ok", "1 - no_library_calls_one_above_it")
    for low, high, calls in bad:
        print(f"# {low} calls {high}: {', '.join(calls)}")
    print("ok" if sees else "not ok", "2 - libraries_in_reverse_order_are_refused")
    return 1 if bad or not sees else 0


sys.exit(main())
