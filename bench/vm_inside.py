#!/usr/bin/env python3
"""vm_inside - the measuring half of bench/vm, run in the guest; demo_inside has the daemon, kernel nbd and fio"""
import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import demo_inside as demo  # noqa: E402
import rounds  # noqa: E402

QUICK = [("randread", "4k", 32), ("randwrite", "4k", 32), ("randread", "4k", 1), ("read", "128k", 8), ("write", "128k", 8)]
JOBS = [(rw, "4k", depth) for rw in ("randread", "randwrite") for depth in (1, 8, 32, 128)] + \
       [(rw, block, 8) for block in ("128k", "1m") for rw in ("read", "write")] + [("randrw", "4k", 32)]
IDLE_S = 5
SAMPLE_S = 0.1


def busy_seconds():
    """CPU seconds the whole guest has spent: all but idle and waiting for I/O."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq = (int(word) for word in file.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def process_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Meter:
    """Guest CPU and bytes moved between the first and the last sample that saw the device at work.

    fio takes seconds of CPU to start in a VM without KVM, the same for every contender, and whoever moves less in its time
    would pay more of it for each byte. So only the time in which the device is at work is counted.
    """

    def __init__(self, device):
        self.path = f"/sys/block/{os.path.basename(os.path.realpath(device))}/stat"
        self.samples = []
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def sample(self):
        with open(self.path, encoding="ascii") as file:
            fields = file.read().split()
        return (int(fields[2]) + int(fields[6])) * 512, busy_seconds()

    def watch(self):
        while not self.is_over.wait(SAMPLE_S):
            self.samples.append(self.sample())

    def __enter__(self):
        self.samples.append(self.sample())
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()

    def seconds_per_gb(self):
        """0 when the device was at work for less than two samples."""
        start, end = self.samples[0][0], self.samples[-1][0]
        at_work = [one for one in self.samples if start < one[0] < end]
        if len(at_work) < 2:
            return 0
        (first, busy_before), (last, busy) = at_work[0], at_work[-1]
        return (busy - busy_before) / ((last - first) / 1e9) if last > first else 0


def measure(device, job, seconds):
    rw, block, depth = job
    more = ["--rwmixread=70"] if rw == "randrw" else []
    with Meter(device) as meter:
        found, status = demo.fio(device, "--ioengine=io_uring", "--direct=1", f"--rw={rw}", f"--bs={block}", f"--iodepth={depth}",
                                 f"--size={demo.AREA}", "--time_based", f"--runtime={seconds}", "--norandommap", *more)
    if status:
        raise demo.DemoError(f"fio {rw} {block} on {device} failed")
    parts = [found[name] for name in ("read", "write") if found[name]["total_ios"]]
    return {"iops": sum(part["iops"] for part in parts), "mb_s": sum(part["bw_bytes"] for part in parts) / 1e6,
            "cpu_s_per_gb": meter.seconds_per_gb(),
            **{name: max(part["clat_ns"]["percentile"][key] for part in parts) / 1000
               for name, key in (("p50_us", "50.000000"), ("p99_us", "99.000000"), ("p999_us", "99.900000"))}}


def idle(devices, pid):
    """What a device costs while nobody uses it, and how long the first request after a pause takes."""
    time.sleep(1)
    before = process_seconds(pid)
    time.sleep(IDLE_S)
    found = {"sluiced_cpu_pct": 100 * (process_seconds(pid) - before) / IDLE_S}
    for name, device in devices.items():
        job, _ = demo.fio(device, "--ioengine=io_uring", "--direct=1", "--rw=randread", "--bs=4k", "--iodepth=1",
                          "--thinktime=50000", "--time_based", "--runtime=5", f"--size={demo.AREA}", "--norandommap")
        found[f"{name}_first_p50_us"] = job["read"]["clat_ns"]["percentile"]["50.000000"] / 1000
    return found


def packets(status):
    """Bytes of a received packet on average: what LRO makes of it."""
    count, size = sum(demo.numbers(status, "rx_packets")), sum(demo.numbers(status, "rx_bytes"))
    return size / count if count else 0


def peers_up(options):
    up = {}
    host, port, export = options.kernel_server, "10809", options.server.rsplit("/", 1)[1]
    for name, setup, device in options.peer or []:
        done = subprocess.run(setup, shell=True, env={**os.environ, "SERVER": host, "PORT": port, "EXPORT": export},
                              timeout=60, check=False)
        if done.returncode or not os.path.exists(device):
            raise demo.DemoError(f"peer {name}: its set-up ended with {done.returncode}, {device} is "
                                 f"{'' if os.path.exists(device) else 'not '}there")
        up[name] = device
    return up


def run(options, sluice, undo):
    undo.callback(sluice.stop)
    sluice.start()
    devices = {"sluice": sluice.attach()}
    kernel = demo.attach_kernel_nbd(options)
    if kernel:
        devices["kernel_nbd"] = kernel
        undo.callback(subprocess.run, ["nbd-client", "-d", kernel], capture_output=True, check=False, timeout=30)
    devices.update(peers_up(options))
    demo.fio(devices["sluice"], "--ioengine=io_uring", "--direct=1", "--rw=write", "--bs=256k", "--iodepth=4",
             f"--size={demo.AREA}")
    contenders = {name: (lambda job, device=device: measure(device, job, options.runtime)) for name, device in devices.items()}
    jobs = [rounds.job_parse(text) for text in options.job] if options.job else QUICK if options.quick else JOBS
    found = {"jobs": {}, "kernel": os.uname().release, "nic": os.environ.get("SLUICE_NIC_MODEL", "")}
    for job in jobs:
        name = rounds.job_name(job)
        found["jobs"][name] = rounds.take_turns(contenders, options.rounds, job, "kernel_nbd",
                                                ("iops", "p999_us", "cpu_s_per_gb"))
        rounds.show(name, found["jobs"][name], ("iops", "mb_s", "p999_us"))
    status = sluice.status()
    found["rx_packet_bytes"] = packets(json.loads(demo.run(sluice.client, "stats", "--json")))
    found["protected_drops"] = sum(demo.numbers(status, "protected_drops"))
    found["idle"] = idle(devices, sluice.process.pid)
    print(json.dumps({key: found[key] for key in ("idle", "rx_packet_bytes", "protected_drops")}))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--device", "--server", "--address", "--kernel-server", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runtime", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--job", action="append", help="RW,BS,DEPTH: only these")
    parser.add_argument("--peer", nargs=3, action="append", metavar=("NAME", "SETUP", "DEVICE"))
    options = parser.parse_args()
    options.gateway = None
    sluice = demo.Sluice(options)
    try:
        with contextlib.ExitStack() as undo:
            found = run(options, sluice, undo)
    except demo.DemoError as error:
        print(f"vm: {error}")
        return 1
    with open(os.path.join(options.out, "vm.json"), "w", encoding="utf-8") as file:
        json.dump(found, file, indent=1)
    rounds.drawing(os.path.join(options.out, "vm.svg"), f"IOPS on {found['nic']}, kernel nbd = 1", found["jobs"], "iops")
    return 1 if found["protected_drops"] else 0


if __name__ == "__main__":
    sys.exit(main())
