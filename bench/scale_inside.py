#!/usr/bin/env python3
"""scale_inside - the measuring half of bench/scale, which made the namespaces and started the server"""
import argparse
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import callgrind  # noqa: E402
import rounds  # noqa: E402

CLIENT, WORK = os.environ["CLIENT_NS"], os.environ["WORK"]
URI = "nbd://10.66.0.1/"
DEPTH = 64  # of all loaded volumes together


def instructions(volumes, depth, ios):
    """Of a 4k READ, with so many volumes attached."""
    profile, said = callgrind.run("client_turn", os.environ["PATH_COST"], "--rw", "randread", "--bs", "4k", "--iodepth", str(depth),
                                  "--ios", str(ios), "--volumes", str(volumes))
    done = json.loads(said)
    return {"per_read": profile.total / done["ios"], "per_turn": profile.total / done["turns"]}


def count(options):
    found = {}
    for depth in (32, 1):
        rows = {n: instructions(n, depth, options.ios) for n in options.counts}
        first, last = rows[options.counts[0]], rows[options.counts[-1]]
        more = options.counts[-1] - options.counts[0]
        idle = (last["per_turn"] - first["per_turn"]) / more if more else 0
        for n, row in rows.items():
            print(f"depth {depth:2}, {n:2} attached: {row['per_read']:8.0f} instructions a 4k READ "
                  f"({row['per_read'] / first['per_read']:.2f}x)")
        print(f"depth {depth:2}: an idle volume costs {idle:.0f} instructions a turn", flush=True)
        found[f"depth {depth}"] = {"rows": rows, "idle_per_turn": idle}
    return found


def load(volumes, busy, seconds, workers=1, block="4k", depth=DEPTH):
    """One daemon with @volumes, of which @busy share the load of @depth, on a port of as many queues as there are @workers."""
    path = f"{WORK}/scale.yaml"
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'ports:\n  - name: net0\n    device: "af_packet:sl0"\n    queues: {workers}\n    address: ["10.66.0.2/24"]\n'
                   f"run_dir: {WORK}\nsocket: {WORK}/control.sock\nvolumes:\n  - name: v\n    uri: {URI}\n"
                   f"    queue_depth: 64\n    io_size_max: 128k\n")
    done = subprocess.run(["ip", "netns", "exec", CLIENT, os.environ["SLUICED"], "-c", path, "--bench", URI, "--rw=randread", f"--bs={block}",
                           f"--iodepth={depth // busy}", f"--runtime={seconds}", "--size=32m", f"--volumes={volumes}", f"--busy={busy}",
                           "--json"], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        sys.exit("scale: " + (done.stderr.strip().splitlines() or ["sluiced failed"])[-1])
    said = json.loads(done.stdout.splitlines()[-1])
    return {"iops": said["iops"], "p99_us": said["p99_us"], "cpu_us": said["cpu_s"] * 1e6 / said["ios"]}


def spread(options):
    """One worker on one queue beside two workers on two queues of the same port: a volume's connections are on both."""
    found = {}
    for block, depth in (("4k", DEPTH), ("128k", 8)):
        contenders = {f"{n} worker{'s' * (n > 1)}": (lambda _, n=n, block=block, depth=depth: load(1, 1, options.runtime, n, block, depth))
                      for n in (1, 2)}
        found[block] = rounds.take_turns(contenders, options.rounds, None, "1 worker", ("iops", "cpu_us"))
        rounds.show(f"{block} randread", found[block], ("iops", "cpu_us", "p99_us"))
    return found


def share(options):
    """One volume, many of which one is loaded, and the same load on all of them."""
    more = [n for n in options.counts if n > 1]
    contenders = {"1 volume": lambda _: load(1, 1, options.runtime)}
    contenders.update({f"{n} volumes, 1 loaded": (lambda _, n=n: load(n, 1, options.runtime)) for n in more})
    contenders.update({f"{n} volumes, all loaded": (lambda _, n=n: load(n, n, options.runtime)) for n in more})
    found = rounds.take_turns(contenders, options.rounds, None, "1 volume", ("iops", "cpu_us"))
    rounds.show("4k randread", found, ("iops", "cpu_us", "p99_us"))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--volumes", default="1,4,16,64")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runtime", type=int, default=2)
    parser.add_argument("--ios", type=int, default=320)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--no-load", action="store_true", help="instructions only")
    options = parser.parse_args()
    options.counts = [int(n) for n in options.volumes.split(",")]
    found = {"instructions": count(options)}
    if not options.no_load:
        found["load"] = share(options)
        found["workers"] = spread(options)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
