"""callgrind - instructions of one function and all it calls, by room of the tree

Runs a program under valgrind's callgrind, counting only while a named function is on the stack, and reads the file it writes:
"fl=" and its kin name the source file of what follows, "fn=" the function, a line of two numbers is self cost, and the
line behind "calls=" is the cost of a call, which belongs to whom was called. Code that was inlined is booked on the file it
was written in, so the file says the room.
"""
import collections
import os
import re
import subprocess
import tempfile

NAMED = re.compile(r"(fl|fi|fe|fn|cfn|cfi|cfl|ob|cob)=(?:\((\d+)\))?(?: ?(.*))?$")
COPIES = re.compile(r"^_*(mem(cpy|move|set)\w*)$")


class Profile:
    """Self cost by source file, and the cost of calls from one function to another."""

    def __init__(self):
        self.total = 0
        self.by_file = collections.Counter()
        self.by_function = collections.Counter()
        self.by_call = collections.Counter()
        self.copied = 0
        self.names = {}

    def name(self, kind, number, text):
        """Names are written once, as "(7) text", and then called "(7)"."""
        space = "fn" if kind in ("fn", "cfn") else "ob" if kind in ("ob", "cob") else "file"
        if number is None:
            return text
        if text:
            self.names[space, number] = text
        return self.names.get((space, number), "?")

    def read(self, path):
        file = function = called = obj = "?"
        is_call = False
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                line = line.rstrip("\n")
                match = NAMED.match(line)
                if match:
                    kind, number, text = match.groups()
                    name = self.name(kind, number, text)
                    if kind in ("fl", "fi", "fe"):
                        file = name
                    elif kind == "fn":
                        function = name
                    elif kind == "cfn":
                        called = name
                    elif kind == "ob":
                        obj = name
                elif line.startswith("calls="):
                    is_call = True
                elif line[:1] in "+-*0123456789" and line:
                    cost = int((line.split() + ["0"])[1])
                    if is_call:
                        self.by_call[function, called] += cost
                    else:
                        self.total += cost
                        self.by_file[file if file != "???" else obj] += cost
                        self.by_function[file, function] += cost
                    is_call = False
        return self

    def rooms(self, root, order):
        """Self cost by the first of @order whose text is part of the file's path."""
        found = collections.Counter()
        for path, cost in self.by_file.items():
            short = os.path.relpath(path, root) if path.startswith("/") and not path.startswith("/usr") else path
            found[next((room for room, parts in order if any(part in short for part in parts)), "other")] += cost
        return found

    def payload_copy(self, callers):
        """Cost of memcpy and its kin as called from these functions: the payload, not headers."""
        return sum(cost for (caller, callee), cost in self.by_call.items()
                   if caller in callers and COPIES.match(callee.split("@")[0].split("'")[0]))


def run(function, *command, timeout=300):
    """Counts @function and below in @command; its profile and what it printed."""
    with tempfile.TemporaryDirectory() as where:
        path = os.path.join(where, "out")
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--collect-atstart=no", f"--toggle-collect={function}",
             f"--callgrind-out-file={path}", *command],
            capture_output=True, text=True, timeout=timeout, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} under callgrind: {done.stderr.strip().splitlines()[-1]}")
        return Profile().read(path), done.stdout
