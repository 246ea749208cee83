#!/usr/bin/env python3
"""host_inside - the measuring half of bench/host, which made the two namespaces and started the server"""
import argparse
import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rounds  # noqa: E402

CLIENT, SERVER, WORK = os.environ["CLIENT_NS"], os.environ["SERVER_NS"], os.environ["WORK"]
JOBS = [("randread", "4k", 32), ("randwrite", "4k", 32), ("randread", "4k", 1), ("read", "128k", 8), ("write", "128k", 8)]
FRAME_BYTES, PAYLOAD_BYTES = 1514, 1448


def in_namespace(name, *command, timeout=60):
    """Runs a command; its output and the CPU seconds it took, all threads."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(["ip", "netns", "exec", name, *command], capture_output=True, text=True, timeout=timeout, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        sys.exit(f"host: {' '.join(command[:3])}…: {said[-1] if said else done.returncode}")
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def row(ios, megabytes, cpu, p50, p99, p999, seconds):
    return {"iops": ios / seconds, "mb_s": megabytes / seconds, "iops_per_cpu_s": ios / max(cpu, 1e-3),
            "mb_per_cpu_s": megabytes / max(cpu, 1e-3), "p50_us": p50, "p99_us": p99, "p999_us": p999}


def sluice(driver, job, seconds):
    rw, block, depth = job
    with open(f"{WORK}/{driver}.yaml", "w", encoding="utf-8") as file:
        file.write(f'ports:\n  - name: net0\n    device: "{driver}:sl0"\n    address: ["10.66.0.2/24"]\n'
                   f"run_dir: {WORK}\nsocket: {WORK}/control.sock\n")
    said, _ = in_namespace(CLIENT, os.environ["SLUICED"], "-c", f"{WORK}/{driver}.yaml", "--bench", "nbd://10.66.0.1/",
                           f"--rw={rw}", f"--bs={block}", f"--iodepth={depth}", f"--runtime={seconds}", "--size=64m", "--json")
    found = json.loads(said.splitlines()[-1])
    if found["errors"] or found["protected_drops"]:
        sys.exit(f"host: sluice on {driver}: {found['errors']} errors, {found['protected_drops']} protected drops")
    return {**row(found["ios"], found["mb_s"] * found["seconds"], found["cpu_s"], found["p50_us"], found["p99_us"],
                  found["p999_us"], found["seconds"]), "packets_sent_per_io": found["tcp"]["tx_segs"] / max(found["ios"], 1)}


def fio_nbd(job, seconds, *more):
    """fio's nbd engine on the client's side: its report of the job, and the CPU seconds it took."""
    rw, block, depth = job
    # The kernel has its address only now: while sluiced runs, no second stack shall look at its packets.
    subprocess.run(["ip", "-n", CLIENT, "addr", "add", "10.66.0.3/24", "dev", "sl0"], check=True)
    try:
        said, cpu = in_namespace(CLIENT, "fio", "--name=job", "--ioengine=nbd", "--uri=nbd://10.66.0.1/", f"--rw={rw}",
                                 f"--bs={block}", f"--iodepth={depth}", "--size=64m", "--time_based", f"--runtime={seconds}",
                                 "--norandommap", "--output-format=json", "--eta=never", *more)
    finally:
        subprocess.run(["ip", "-n", CLIENT, "addr", "del", "10.66.0.3/24", "dev", "sl0"], check=True)
    return json.loads(said[said.index("{"):])["jobs"][0]["write" if "write" in rw else "read"], cpu


def libnbd(job, seconds):
    part, cpu = fio_nbd(job, seconds)
    times = part["clat_ns"].get("percentile", {})
    return row(part["total_ios"], part["io_bytes"] / 1e6, cpu, *(times.get(f"{name}00000", times.get(name, 0)) / 1000
               for name in ("50.0", "99.0", "99.9")), part["runtime"] / 1000)


def testpmd(namespace, driver, device, mode, *more):
    """A process of DPDK's own test program, forwarding as soon as it is up."""
    vdev = f"net_af_packet0,iface={device},blocksz=65536,framesz=2048,framecnt=512" if driver == "af_packet" \
        else f"net_af_xdp0,iface={device}"
    return subprocess.Popen(
        ["ip", "netns", "exec", namespace, "dpdk-testpmd", "-l", "0,1", "--no-huge", "-m", "256", "--no-pci", "--no-shconf",
         "--no-telemetry", f"--vdev={vdev}", "--", f"--forward-mode={mode}", "--auto-start", "--total-num-mbufs=8192",
         "--stats-period=3600", *more], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def stop(process):
    """Ends it and counts: packets received and sent in all."""
    process.send_signal(signal.SIGINT)
    try:
        said, _ = process.communicate(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
    return {what: max((int(n) for n in re.findall(rf"{what}-packets: *(\d+)", said)), default=0) for what in ("RX", "TX")}


def forwarder(driver, seconds):
    """MB/s of READ payload that frames through a bare forwarder could carry."""
    with contextlib.ExitStack() as stack:
        sink = testpmd(CLIENT, driver, "sl0", "macswap")
        stack.callback(sink.kill)
        time.sleep(2)  # testpmd says nothing when it is up; what it misses meanwhile is not in its own count
        source = testpmd(SERVER, "af_packet", "sl1", "txonly", f"--txpkts={FRAME_BYTES}")
        stack.callback(source.kill)
        time.sleep(1 + seconds)
        start = time.monotonic()
        stop(source)
        through = stop(sink)
        taken = seconds + time.monotonic() - start
    return {"mb_s": min(through["RX"], through["TX"]) * PAYLOAD_BYTES / taken / 1e6}


def compare(options):
    contenders = {f"sluice/{driver}": (lambda job, driver=driver: sluice(driver, job, options.runtime))
                  for driver in options.drivers.split(",")}
    contenders["libnbd"] = lambda job: libnbd(job, options.runtime)
    libnbd(("write", "256k", 4), 1)  # what was never written costs a memory server nothing to read
    found = {}
    for job in options.jobs:
        name = rounds.job_name(job)
        found[name] = rounds.take_turns(contenders, options.rounds, job, "libnbd",
                                        ("iops", "iops_per_cpu_s", "mb_per_cpu_s"))
        rounds.show(name, found[name], ("iops", "mb_s", "p99_us", "iops_per_cpu_s"))
    return found


def bare(options, jobs):
    """NBD's goodput beside a bare forwarder's, driver by driver."""
    found = {}
    for driver in options.drivers.split(","):
        ceiling = rounds.median_of([forwarder(driver, options.runtime) for _ in range(options.rounds)])["mb_s"]
        goodput = jobs["read-128k-8"]["rows"][f"sluice/{driver}"]["mb_s"] if "read-128k-8" in jobs else None
        found[driver] = {"forwarder_mb_s": ceiling, "nbd_mb_s": goodput,
                         "ratio": goodput / ceiling if goodput and ceiling else None}
        if goodput and ceiling:
            print(f"{driver}: a bare forwarder passes {ceiling:.0f} MB/s, NBD reads {goodput:.0f}: {goodput / ceiling:.2f}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runtime", type=int, default=3)
    parser.add_argument("--drivers", default="af_packet,af_xdp")
    parser.add_argument("--job", action="append", help="RW,BS,DEPTH: only these")
    parser.add_argument("--no-forwarder", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--svg", metavar="FILE")
    options = parser.parse_args()
    options.jobs = [rounds.job_parse(text) for text in options.job] if options.job else JOBS
    found = {"jobs": compare(options)}
    if not options.no_forwarder:
        found["forwarder"] = bare(options, found["jobs"])
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)
    if options.svg:
        rounds.drawing(options.svg, "IOPS per CPU second of the client, libnbd on kernel TCP = 1", found["jobs"], "iops_per_cpu_s")


if __name__ == "__main__":
    main()
