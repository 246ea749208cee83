"""claims - a list of claims and the words ./check wants to hear about them"""
import sys
import traceback

from stt import AF_INET, AF_INET6, NO_TSO, Stack, load

CLAIMS = []


def claim(function):
    CLAIMS.append(function)
    return function


def both(function):
    """The same claim for IPv4 and IPv6, TSO off and on."""
    for family, name in ((AF_INET, "ip4"), (AF_INET6, "ip6")):
        for disable, tso in ((NO_TSO, ""), (0, "_tso")):
            def run(f=family, d=disable):
                function(f, d)
            run.__name__ = f"{function.__name__}_{name}{tso}"
            CLAIMS.append(run)
    return function


def main(wanted):
    failed = 0
    Stack.lib = load()
    for function in CLAIMS:
        if wanted and function.__name__ not in wanted:
            continue
        try:
            function()
            print(f"ok {function.__name__}", flush=True)
        except Exception:  # pylint: disable=broad-except
            print(f"not ok {function.__name__}", flush=True)
            traceback.print_exc()
            failed = 1
    return failed
