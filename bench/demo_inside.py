#!/usr/bin/env python3
"""demo_inside - the main job of Sluice, run where the NIC is: in the VM of ./demo, or on a host with a NIC to spare

Starts sluiced on a NIC bound to vfio-pci, attaches the export as /dev/ublkbN, proves the data with fio's verify, then measures.
Beside it stands kernel nbd: the same server and export, the same boot, and in the VM a second NIC of the same model. Two boots
differ by up to a factor of two, so only figures of one boot are set side by side, and the two take turns: round by round, job by job,
and the median of the rounds counts.

Then the case the project is for: the same writer with and without a memory limit of 64 MiB, buffered and direct. Buffered
writing under a limit is memory that becomes free only when the network answers.

Nothing else may use the export: the jobs write over all of it.
"""
import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

JOBS = [("randread", "4k", 32), ("randwrite", "4k", 32), ("randread", "4k", 1), ("read", "128k", 8), ("write", "128k", 8)]
LIMIT_MIB = 64
AREA = "256M"
CGROUP = "/sys/fs/cgroup/sluice-demo"
CONFIG = "/run/sluice-demo.yaml"


class DemoError(Exception):
    """One line for the user."""


def run(*command, timeout=60):
    """Runs a command to its end; its output, or DemoError with what it said last."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise DemoError(f"{os.path.basename(command[0])} {command[1]} did not end within {timeout} s") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise DemoError(f"{' '.join(command)}: {said[-1] if said else f'status {done.returncode}'}")
    return done.stdout


def program(name):
    build = os.environ["BUILD"]
    for room in ("cli", "daemon"):  # a walk through the whole directory takes seconds over the VM's 9p
        path = os.path.join(build, room, name)
        if os.access(path, os.X_OK):
            return path
    raise DemoError(f"no {name} in {build}")


class Sluice:
    """The daemon, from its configuration to its end."""

    def __init__(self, options):
        self.options = options
        self.client = program("sluice")
        self.log = tempfile.TemporaryFile("w+")
        self.process = None

    def start(self):
        with open(CONFIG, "w", encoding="utf-8") as file:
            file.write(f'ports:\n  - name: nic\n    device: "{self.options.device}"\n')
            if self.options.address:
                file.write(f'    address: ["{self.options.address}"]\n')
            if self.options.gateway:
                file.write(f'    gateway: ["{self.options.gateway}"]\n')
        self.process = subprocess.Popen([program("sluiced"), "-c", CONFIG], stdout=self.log, stderr=self.log)
        end = time.monotonic() + 90
        while True:
            with contextlib.suppress(DemoError):
                return self.status()
            if self.process.poll() is not None:
                raise DemoError(f"sluiced ended with {self.process.returncode}: {self.last_words()}")
            if time.monotonic() > end:
                raise DemoError(f"sluiced does not answer: {self.last_words()}")
            time.sleep(0.1)

    def last_words(self):
        self.log.seek(0)
        return (self.log.read().strip().splitlines() or ["it said nothing"])[-1]

    def status(self):
        return json.loads(run(self.client, "status", "--json", timeout=10))

    def attach(self):
        device = run(self.client, "attach", self.options.server).strip()
        if not device.startswith("/dev/"):
            raise DemoError(f'sluice attach printed "{device}", no device')
        return device

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()


def numbers(tree, key):
    """Every number with this key, wherever in the tree: of all pools, of all workers."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name == key and isinstance(value, (int, float)) and not isinstance(value, bool):
                yield value
            else:
                yield from numbers(value, key)
    elif isinstance(tree, list):
        for value in tree:
            yield from numbers(value, key)


def reserve_figures(status):
    def parts(tree):
        if isinstance(tree, dict):
            for name, value in tree.items():
                if name == "reserve":
                    yield value
                else:
                    yield from parts(value)
        elif isinstance(tree, list):
            for value in tree:
                yield from parts(value)

    reserve = list(parts(status))
    return {key: sum(numbers(reserve, key)) for key in ("total", "low_water", "dips")}


def attach_kernel_nbd(options):
    """The same export through the kernel's client; None, with the reason printed, where that is not to be had."""
    match = re.fullmatch(r"nbd://(\[[^]]+\]|[^:/]+)(?::(\d+))?/?(.*)", options.server)
    if not match:
        raise DemoError(f"{options.server} is no nbd://HOST[:PORT]/EXPORT")
    host = options.kernel_server or match.group(1).strip("[]")
    try:
        run("modprobe", "nbd")
        device = free_kernel_nbd()
        run("nbd-client", host, match.group(2) or "10809", device, "-N", match.group(3), timeout=30)
    except DemoError as error:
        print(f"kernel nbd cannot be compared with: {error}")
        return None
    return device


def free_kernel_nbd():
    """A device nobody uses: on a host that is not ours alone the first ones may be somebody's disks."""
    for number in range(16):
        if os.path.exists(f"/sys/block/nbd{number}") and not os.path.exists(f"/sys/block/nbd{number}/pid"):
            return f"/dev/nbd{number}"
    raise DemoError("no free /dev/nbdN")


def limit_memory():
    with open(f"{CGROUP}/cgroup.procs", "w", encoding="ascii") as file:
        file.write(str(os.getpid()))


def make_cgroup():
    if not os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        print("no cgroup v2 here: the memory-limited jobs are left out")
        return False
    os.makedirs(CGROUP, exist_ok=True)
    with open(f"{CGROUP}/memory.max", "w", encoding="ascii") as file:
        file.write(str(LIMIT_MIB << 20))
    return True


def fio(device, *arguments, limited=False, timeout=300):
    """Runs one fio job; its JSON and exit status."""
    command = ["fio", "--name=job", "--thread", f"--filename={device}", "--output-format=json", "--eta=never", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False,
                              preexec_fn=limit_memory if limited else None)
    except subprocess.TimeoutExpired:
        raise DemoError(f"fio on {device} did not end within {timeout} s: {' '.join(arguments)}") from None
    start = done.stdout.find("{")
    if start < 0:
        raise DemoError(f"fio on {device}: {(done.stderr.strip().splitlines() or ['no output'])[-1]}")
    return json.loads(done.stdout[start:])["jobs"][0], done.returncode


def figures(job, direction):
    part = job[direction]
    percentiles = part["clat_ns"].get("percentile", {})
    return {"iops": round(part["iops"], 1), "mb_s": round(part["bw_bytes"] / 1e6, 1),
            "p99_us": round(percentiles.get("99.000000", 0) / 1000)}


def verify(device):
    job, status = fio(device, "--ioengine=io_uring", "--direct=1", "--iodepth=16", "--rw=randrw", "--bsrange=4k-256k",
                      "--size=64M", "--verify=crc32c", "--verify_state_save=0", "--randrepeat=0")
    return job.get("total_err", 0) or (1 if status else 0)


def measure(device, rw, block, depth, seconds):
    job, status = fio(device, "--ioengine=io_uring", "--direct=1", f"--rw={rw}", f"--bs={block}", f"--iodepth={depth}",
                      f"--size={AREA}", "--time_based", f"--runtime={seconds}", "--norandommap")
    if status:
        raise DemoError(f"fio {rw} {block} on {device} failed")
    return figures(job, "write" if "write" in rw else "read")


def take_turns(devices, count, job):
    """Runs job(device) count times for each, in changing order, and keeps the median of each figure."""
    rounds = {who: [] for who in devices}
    for number in range(count):
        order = list(devices) if number % 2 == 0 else list(reversed(devices))
        for who in order:
            rounds[who].append(job(devices[who]))
    row = {}
    for who, found in rounds.items():
        row[who] = {key: round(statistics.median(one[key] for one in found), 1) for key in found[0]}
    return ratio(row)


def ratio(row):
    if len(row) == 2 and row["kernel_nbd"]["iops"]:
        row["ratio"] = round(row["sluice"]["iops"] / row["kernel_nbd"]["iops"], 2)
    return row


def compare(devices, options):
    results = {}
    for rw, block, depth in JOBS:
        row = take_turns(devices, options.rounds, lambda device: measure(device, rw, block, depth, options.runtime))
        results[f"{rw}-{block}-{depth}"] = row
        show_row(f"{rw} {block} QD{depth}", row)
    return results


def show_row(name, row):
    text = f"  {name:30}"
    for who in ("sluice", "kernel_nbd"):
        if who in row:
            text += f"  {row[who]['iops']:>7.0f} IOPS {row[who]['mb_s']:>7.1f} MB/s p99 {row[who]['p99_us']:>7.0f} us |"
    print(text + (f" {row['ratio']:.2f}x" if "ratio" in row else ""), flush=True)


def write_whole(device, direct, limited, mib):
    """One writer, with an fsync at its end: how long it took in all, and fio's figures."""
    start = time.monotonic()
    job, status = fio(device, "--ioengine=io_uring", f"--direct={direct}", "--rw=write", "--bs=128k", "--iodepth=8",
                      f"--size={mib}M", "--end_fsync=1", limited=limited)
    if status:
        raise DemoError(f"the {'limited ' if limited else ''}writer on {device} failed with status {status}")
    return {**figures(job, "write"), "seconds": round(time.monotonic() - start, 1)}


def compare_limited(devices, options):
    if not make_cgroup():
        return {}
    results = {}
    for name, direct in (("buffered", 0), ("direct", 1)):
        for kind, limited in (("unlimited", False), (f"{LIMIT_MIB}MiB", True)):
            row = take_turns(devices, options.rounds, lambda device: write_whole(device, direct, limited, options.writer_mib))
            results[f"write-128k-8-{name}-{kind}"] = row
            show_row(f"write 128k {name} {kind}", row)
    return results


def nic_facts(device):
    try:
        driver = os.path.basename(os.readlink(f"/sys/bus/pci/devices/{device}/driver"))
    except OSError:
        driver = "none"
    model = os.environ.get("SLUICE_NIC_MODEL", "")
    return f"{device} ({model})" if model else device, driver


def demonstrate(options, sluice, found, undo):
    nic, driver = nic_facts(options.device)
    status = sluice.start()
    device = sluice.attach()
    # In the order in which the JSON line shows them; the last three are filled in at the end.
    found.update(nic=nic, driver=driver, device=device, kernel=os.uname().release, verify_errors=None, protected_drops=None,
                 reserve=None)
    print(f"NIC     {nic}, driver {driver}\ndevice  {device}, {options.server}, kernel {found['kernel']}")
    if "guarantee" in status:
        print(f"        guarantee: {json.dumps(status['guarantee'])}")
    found["verify_errors"] = verify(device)
    print(f"verify  fio randrw 4k-256k crc32c: {found['verify_errors']} errors", flush=True)
    devices = {"sluice": device}
    kernel = attach_kernel_nbd(options)
    if kernel:
        devices["kernel_nbd"] = kernel
        undo.callback(subprocess.run, ["nbd-client", "-d", kernel], capture_output=True, check=False, timeout=30)
    # Reads of what was never written cost a memory server nothing: fill the area first.
    fio(device, "--ioengine=io_uring", "--direct=1", "--rw=write", "--bs=256k", "--iodepth=4", f"--size={AREA}")
    print(f"jobs    {' | '.join(devices)} | ratio of IOPS, median of {options.rounds} rounds of {options.runtime} s", flush=True)
    found["jobs"] = compare(devices, options)
    print(f"memory  one writer, memory.max {LIMIT_MIB} MiB against none", flush=True)
    found["memory_limited"] = compare_limited(devices, options)
    status = sluice.status()
    found["protected_drops"] = sum(numbers(status, "protected_drops"))
    found["reserve"] = reserve_figures(status)
    print("reserve {total} mbufs, low water {low_water}, dips {dips}".format(**found["reserve"]))
    print(f"drops   of protected traffic: {found['protected_drops']}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", required=True, help="PCI address of a NIC on vfio-pci")
    parser.add_argument("--server", required=True, help="nbd://HOST[:PORT]/EXPORT, written over")
    parser.add_argument("--address", help="address of the NIC, CIDR")
    parser.add_argument("--gateway")
    parser.add_argument("--kernel-server", help="the same server as kernel nbd reaches it (default: as in --server)")
    parser.add_argument("--runtime", type=int, default=3, help="seconds of one job")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--writer-mib", type=int, default=128, help="what the memory-limited writer writes")
    parser.add_argument("--json", action="store_true", help="end with one JSON line")
    return parser.parse_args()


def main():
    options = parse()
    found = {}
    # Undone last first, whatever happens: kernel nbd, the daemon, the cgroup, the file.
    with contextlib.ExitStack() as undo:
        try:
            undo.callback(tidy)
            sluice = Sluice(options)
            undo.callback(sluice.stop)
            demonstrate(options, sluice, found, undo)
        except DemoError as error:
            print(f"demo: {error}")
            return 1
    if options.json:
        print(json.dumps(found))
    return 1 if found["verify_errors"] or found["protected_drops"] else 0


def tidy():
    with contextlib.suppress(OSError):
        os.unlink(CONFIG)
    with contextlib.suppress(OSError):
        os.rmdir(CGROUP)


if __name__ == "__main__":
    sys.exit(main())
