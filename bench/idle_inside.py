#!/usr/bin/env python3
"""idle_inside - the measuring half of bench/idle, which made the namespaces and started the server"""
import argparse
import glob
import json
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import host_inside  # noqa: E402

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


def measure_libnbd(seconds):
    """The same from fio's nbd engine: submission to answer, so its own sending is in it, as ours is."""
    def times(runtime, *more):
        part, _ = host_inside.fio_nbd(("randread", "4k", 1), runtime, "--lat_percentiles=1", *more)
        return [part["lat_ns"]["percentile"][share] / 1000 for share in ("50.000000", "99.000000")]
    (first, worst), (busy, _) = times(seconds, f"--thinktime={THINK_US}"), times(2)
    return {"first_p50_us": first, "first_p99_us": worst, "busy_p50_us": busy}


def wake_up_us(times=50):
    """Two processes on two processors, both asleep for a pause, one wakes the other and is woken by it: the median of that."""
    to, back, cpus = os.eventfd(0), os.eventfd(0), sorted(os.sched_getaffinity(0))
    child = os.fork()
    os.sched_setaffinity(0, {cpus[0] if child else cpus[-1]})
    if child == 0:
        for _ in range(times):
            os.eventfd_read(to)
            os.eventfd_write(back, 1)
        os._exit(0)
    took = []
    for _ in range(times):
        time.sleep(THINK_US / 1e6)
        start = time.monotonic_ns()
        os.eventfd_write(to, 1)
        os.eventfd_read(back)
        took.append((time.monotonic_ns() - start) / 1000)
    os.waitpid(child, 0)
    os.sched_setaffinity(0, cpus)
    return statistics.median(took)


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
    found["libnbd"], found["two wake-ups"] = measure_libnbd(options.seconds), {"first_p50_us": wake_up_us()}
    print(f"libnbd     such a request p50 {found['libnbd']['first_p50_us']:.0f} us, p99 {found['libnbd']['first_p99_us']:.0f} us, without "
          f"pauses p50 {found['libnbd']['busy_p50_us']:.0f} us; waking a process on another processor and being woken by it "
          f"{found['two wake-ups']['first_p50_us']:.0f} us")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
