#!/usr/bin/env python3
"""circles - no file calls one that calls it back, by whatever way

    circles.py LIBRARY...

Files of a circle can only be read, linked and tested together. Each object of the libraries is a node and each undefined symbol
another object defines an edge; what is strongly connected is a circle. Left alone are the objects that several files share, one
line each below: those may call one another as they like, and no other. Prints TAP.
"""
import os
import re
import subprocess
import sys

TOGETHER = [re.compile(pattern) for pattern in (
    r"tcp_(?!cc)\w+$",  # the connection: docs/tcp.md has its files in the order of the RFC
    r"tcp_cc(_\w+)?$",  # a table of algorithms, each of which knows the base
    r"(volume(_\w+)?|nbd_client)$",
    r"nbd_(conn|nego|reply)$",
    r"reserve_(ledger|ops|pool)$",
    r"(arp|nd|neigh)$",
    r"host(_route)?$",
    r"host_check(_port)?$",
    r"config(_dir)?$",
)]


def objects(paths):
    """{object: (defined, undefined)} of the archives."""
    found = {}
    for path in paths:
        for line in subprocess.run(["nm", "-gA", path], check=True, capture_output=True, text=True).stdout.splitlines():
            words = line.split()
            where = words[0].split(":")
            name = re.sub(r"\.c\.o$", "", os.path.basename(where[1]))
            defined, undefined = found.setdefault(name, (set(), set()))
            (undefined if words[-2] in "Uw" else defined).add(words[-1])
    return found


def reachable(calls, start):
    seen, todo = set(), [start]
    while todo:
        for to in calls[todo.pop()] - seen:
            seen.add(to)
            todo.append(to)
    return seen


def circles(found):
    """Sets of objects that reach each other."""
    home = {symbol: name for name, (defined, _) in found.items() for symbol in defined}
    calls = {name: {home[s] for s in undefined if s in home} - {name} for name, (_, undefined) in found.items()}
    reach = {name: reachable(calls, name) for name in calls}
    left = {name for name in reach if name in reach[name]}
    while left:
        one = min(left)
        circle = {name for name in reach[one] if one in reach[name]}
        left -= circle
        yield sorted(circle)


def is_left_alone(circle):
    return any(all(pattern.match(name) for name in circle) for pattern in TOGETHER)


def main():
    found = objects(sys.argv[1:])
    bad = [circle for circle in circles(found) if not is_left_alone(circle)]
    # A circle planted between two files that have none must be seen, or the check sees nothing.
    found["ports"][1].add(min(found["devices"][0]))
    sees = any({"ports", "devices"} <= set(circle) for circle in circles(found))
    print("1..2")
    print("not ok" if bad else "ok", "1 - no_file_calls_one_that_calls_it_back")
    for circle in bad:
        print("#", " ".join(circle))
    print("ok" if sees else "not ok", "2 - planted_circle_is_seen")
    return 1 if bad or not sees else 0


sys.exit(main())
