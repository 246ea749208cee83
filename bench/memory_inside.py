#!/usr/bin/env python3
"""memory_inside - the measuring half of bench/memory, which made the namespaces and started the server"""
import argparse
import json
import os
import subprocess
import sys
import time

CLIENT, WORK = os.environ["CLIENT_NS"], os.environ["WORK"]
URI = "nbd://10.66.0.1/"
MIB = 1 << 20


def config(connections, depth, block):
    path = f"{WORK}/memory.yaml"
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'ports:\n  - name: net0\n    device: "af_packet:sl0"\n    address: ["10.66.0.2/24"]\n'
                   f"run_dir: {WORK}\nsocket: {WORK}/control.sock\nvolumes:\n  - name: v\n    uri: {URI}\n"
                   f"    connections: {connections}\n    queue_depth: {depth}\n    io_size_max: {block}\n")
    return path


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith(("VmRSS", "HugetlbPages"))) * 1024


def measure(volumes, connections, options):
    """One daemon: bytes the kernel counts while all volumes are attached, and bytes by term as it explains them."""
    process = subprocess.Popen(
        ["ip", "netns", "exec", CLIENT, os.environ["SLUICED"], "-c", config(connections, options.depth, options.block), "--bench", URI,
         "--rw=randread", f"--bs={options.block}", f"--iodepth={options.depth}", "--size=32m", f"--volumes={volumes}", "--runtime=2",
         "--json"], stdout=subprocess.PIPE, stderr=open(f"{WORK}/sluiced.log", "a", encoding="utf-8"), text=True)
    most = 0
    while process.poll() is None:  # a pipe holds what it prints; the most is when every volume is attached
        try:
            most = max(most, resident(process.pid))
        except OSError:
            break
        time.sleep(0.02)
    said, _ = process.communicate(timeout=60)
    if process.returncode != 0 or not said:
        with open(f"{WORK}/sluiced.log", encoding="utf-8") as log:
            sys.exit("memory: sluiced failed:\n" + log.read()[-2000:])
    explain = json.loads(said.splitlines()[-1])["explain"]
    terms = {}
    for term in [*(term for pool in explain["pools"] for term in pool["memory"]), *explain["memory"]["terms"]]:
        terms[term["term"]] = terms.get(term["term"], 0) + term["bytes"]
    return {"volumes": volumes, "connections": volumes * connections, "resident": most, "explained": sum(terms.values()), "terms": terms}


def show(rows):
    names = list(max(rows, key=lambda row: len(row["terms"]))["terms"])
    print(f"{'MiB':>8} {'conns':>6}" + "".join(f"{name:>12}" for name in (*names, "explained", "resident")) + f"{'ratio':>8}")
    for row in rows:
        print(f"{row['volumes']:8} {row['connections']:6}" + "".join(f"{row['terms'].get(name, 0) / MIB:12.2f}" for name in names) +
              f"{row['explained'] / MIB:12.2f}{row['resident'] / MIB:12.2f}{row['explained'] / row['resident']:8.3f}")


def growth(rows, key):
    """Between the ends of @rows, for each one of @key more: bytes resident, bytes explained."""
    more = rows[-1][key] - rows[0][key]
    seen, said = ((rows[-1][what] - rows[0][what]) / more for what in ("resident", "explained"))
    own = sum(rows[-1]["terms"].get(name, 0) - rows[0]["terms"].get(name, 0)
              for name in ("packets", "staging", "volumes", "connections")) / more
    return {"resident": seen, "explained": said, "ratio": said / seen, "own": own, "own_ratio": own / seen}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--volumes", default="1,2,4,8")
    parser.add_argument("--connections", default="1,2,4,8")
    parser.add_argument("--depth", type=int, default=32)
    parser.add_argument("--block", default="256k")
    parser.add_argument("--limit", type=float, help="per cent")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    by_volume = [measure(int(n), 1, options) for n in options.volumes.split(",")]
    by_connection = [measure(1, int(n), options) for n in options.connections.split(",")]
    show(by_volume + by_connection)
    found = {"rows": by_volume + by_connection, "volume": growth(by_volume, "volumes"),
             "connection": growth(by_connection, "connections"),
             "total_ratio": by_volume[-1]["explained"] / by_volume[-1]["resident"]}
    for what in ("volume", "connection"):
        print(f"a {what} more: {found[what]['resident'] / MIB:.2f} MiB resident, {found[what]['explained'] / MIB:.2f} explained "
              f"({found[what]['ratio']:.3f}); of that packets, staging and tables of its own {found[what]['own'] / MIB:.2f} "
              f"({found[what]['own_ratio']:.3f})")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)
    ratios = {"a volume": found["volume"]["ratio"], "a connection": found["connection"]["ratio"], "all": found["total_ratio"]}
    wrong = {name: ratio for name, ratio in ratios.items() if options.limit and abs(ratio - 1) * 100 > options.limit}
    for name, ratio in wrong.items():
        print(f"memory: of {name}, explain says {ratio:.3f} of what is resident", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
