"""pressure_sample - the measuring half of bench/pressure: a line of JSON a second, from inside the machine

    pressure_sample.py PHASE SECONDS DISK PID

What the block layer has finished, what the daemon's counters say, what the kernel sent by the shared NIC, and the processor time
of each of the daemon's threads. One process for a whole phase and one connection to the daemon: in an emulated machine a command
that is started each second costs more than what it looks at. A daemon that does not answer within 2 s leaves its part null.
"""
import glob
import json
import socket
import sys
import time

SOCKET = "/run/sluice/control.sock"
PATIENCE_S = 2


class Daemon:
    """The control socket; a request a line."""

    def __init__(self):
        self.file = None

    def open(self):
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(PATIENCE_S)
        link.connect(SOCKET)
        self.file = link.makefile("rw", encoding="utf-8")

    def stats(self):
        try:
            if self.file is None:
                self.open()
            self.file.write('{"jsonrpc": "2.0", "id": 1, "method": "stats"}\n')
            self.file.flush()
            return json.loads(self.file.readline())["result"]
        except (OSError, ValueError, KeyError):
            self.file = None
            return None


def read(path):
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""


def threads(pid):
    """Seconds on a processor, and seconds in wait for one, of each thread, by name."""
    ran, waited = {}, {}
    for task in glob.glob(f"/proc/{pid}/task/*"):
        stat = read(f"{task}/schedstat").split()
        if stat:
            name = read(f"{task}/comm").strip()
            ran[name] = ran.get(name, 0) + int(stat[0]) / 1e9
            waited[name] = waited.get(name, 0) + int(stat[1]) / 1e9
    return ran, waited


def of_workers(stats, family):
    total = {}
    for worker in stats["workers"]:
        for name, value in worker[family].items():
            total[name] = total.get(name, 0) + value
    return total


def sample(phase, disk, pid, daemon):
    stats = daemon.stats()
    ran, waited = threads(pid)
    line = {"phase": phase, "t": time.monotonic(), "bytes": int(read(f"/sys/block/{disk}/stat").split()[2]) * 512,
            "cpu_s": ran, "wait_s": waited,
            "kernel_tx_bytes": int(read("/sys/class/net/sluice0/statistics/tx_bytes") or 0), "stats": None}
    if stats:
        pool, kept = stats["reserve"][0], ("level", "depth_pct", "free", "floor", "dips", "refused_refills")
        line["stats"] = {"reserve": {key: pool[key] for key in kept}, "other": of_workers(stats, "classes")["other"],
                         "shed": of_workers(stats, "other"), "loop": of_workers(stats, "loop"),
                         "net": of_workers(stats, "net"),
                         "protected_drops": of_workers(stats, "net")["protected_drops"]}
    return line


def main():
    phase, seconds, disk, pid = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    daemon, due = Daemon(), time.monotonic()
    for _ in range(seconds + 1):
        print(json.dumps(sample(phase, disk, pid, daemon)), flush=True)
        due += 1
        time.sleep(max(0, due - time.monotonic()))


main()
