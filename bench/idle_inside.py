#!/usr/bin/env python3
"""idle_inside - the measuring half of bench/idle, which made the namespaces and started the server"""
import argparse
import glob
import json
import os
import subprocess
import time

CLIENT, WORK = os.environ["CLIENT_NS"], os.environ["WORK"]
TICK = os.sysconf("SC_CLK_TCK")
THINK_US = 50000


def config(driver):
    path = f"{WORK}/{driver}.yaml"
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'ports:\n  - name: net0\n    device: "{driver}:sl0"\n    address: ["10.66.0.2/24"]\n'
                   f"run_dir: {WORK}\nsocket: {WORK}/control.sock\n")
    return path


def start(driver, *arguments):
    return subprocess.Popen(["ip", "netns", "exec", CLIENT, os.environ["SLUICED"], "-c", config(driver), *arguments],
                            stdout=subprocess.PIPE, stderr=open(f"{WORK}/sluiced.log", "a", encoding="utf-8"), text=True)


def threads(pid):
    """CPU nanoseconds of each thread, by name."""
    found = {}
    for task in glob.glob(f"/proc/{pid}/task/*"):
        try:
            with open(f"{task}/comm", encoding="ascii") as comm, open(f"{task}/schedstat", encoding="ascii") as stat:
                name = comm.read().strip()
                found[name] = found.get(name, 0) + int(stat.read().split()[0])
        except OSError:
            continue
    return found


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith(("VmRSS", "HugetlbPages"))) / 1024


def watch(process, seconds):
    """Per cent of a core of each thread, over @seconds of its life."""
    before, start_s = threads(process.pid), time.monotonic()
    time.sleep(seconds)
    after, took = threads(process.pid), time.monotonic() - start_s
    return {name: (after[name] - before.get(name, 0)) / took / 1e7 for name in after}


def load(driver, seconds, *more):
    """A bench of depth 1; what it printed, and its threads' CPU while it ran."""
    process = start(driver, "--bench", "nbd://10.66.0.1/", "--rw=randread", "--bs=4k", "--iodepth=1", "--size=64m",
                    f"--runtime={seconds + 2}", "--json", *more)
    time.sleep(1.5)  # it has no way to say that its load has begun; what is watched is the middle of it
    cpu, mib = watch(process, seconds), resident(process.pid)
    said, _ = process.communicate(timeout=30)
    return json.loads(said.splitlines()[-1]), cpu, mib


def measure(driver, seconds):
    quiet, idle_cpu, mib = load(driver, seconds, f"--thinktime={1000000 * (seconds + 10)}")
    paused, paused_cpu, _ = load(driver, seconds, f"--thinktime={THINK_US}")
    busy, _, _ = load(driver, 2)
    return {"idle_worker_cpu_pct": idle_cpu.get("sluice-worker", 0), "resident_mib": mib, "idle_ios": quiet["ios"],
            "paused_worker_cpu_pct": paused_cpu.get("sluice-worker", 0),
            "first_p50_us": paused["p50_us"], "first_p99_us": paused["p99_us"],
            "busy_p50_us": busy["p50_us"], "busy_p99_us": busy["p99_us"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--drivers", default="af_packet,af_xdp")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    found = {driver: measure(driver, options.seconds) for driver in options.drivers.split(",")}
    for driver, row in found.items():
        print(f"{driver:10} a worker with an idle volume {row['idle_worker_cpu_pct']:.2f} % of a core, with a request each "
              f"{THINK_US // 1000} ms {row['paused_worker_cpu_pct']:.2f} %; such a request p50 {row['first_p50_us']:.0f} us, p99 "
              f"{row['first_p99_us']:.0f} us, without pauses p50 {row['busy_p50_us']:.0f} us; {row['resident_mib']:.0f} MiB resident")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
