"""pressure_plot - what bench/pressure sampled, as a table, as JSON and as a picture

    pressure_plot.py NIC RATE_MB SAMPLES LEDGER DIR

SAMPLES has a JSON object a line (pressure_sample.py), LEDGER the answer of `sluice reserve` under pressure. Writes DIR/NIC.json,
NIC.txt and NIC.svg and prints the table. The picture has panels over time: throughput, depth in the reserve, other packets that
arrived and those that were shed; each phase is a band with its name.
"""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import draw  # noqa: E402

WORDS = {"calm": "calm", "shared": "beside iperf3", "pressed": "pressed, reserve on", "bare": "pressed, reserve off"}
KEYS = ("depth_pct", "other_pps", "shed_pps", "iperf_mb_s", "worker_cpu", "exception_cpu", "turns_s", "busy_turns_s", "sleeps_s")


def shed(stats):
    return sum(stats["shed"][key] for key in ("aged", "shed_flow", "shed_off", "shed_red", "shed_memory", "shed_unfit"))


# What the daemon counted, as rates.
COUNTED = {"other_pps": lambda s: s["other"], "shed_pps": shed, "turns_s": lambda s: s["loop"]["turns"],
           "busy_turns_s": lambda s: s["loop"]["busy_turns"], "sleeps_s": lambda s: s["loop"]["sleeps"]}


def point(before, now, clock):
    """Rates between two samples of one phase."""
    seconds = now["t"] - before["t"]

    def rate(get):
        return (get(now) - get(before)) / seconds

    found = {"phase": now["phase"], "t": round(clock + seconds, 2), "mb_s": rate(lambda s: s["bytes"]) / 1e6,
             "iperf_mb_s": rate(lambda s: s["kernel_tx_bytes"]) / 1e6,
             "worker_cpu": rate(lambda s: s["cpu_s"].get("sluice-worker", 0)),
             "exception_cpu": rate(lambda s: s["cpu_s"].get("sluice-except", 0)),
             "depth_pct": None, "level": None} | {key: None for key in COUNTED}
    if now["stats"]:
        found |= {key: now["stats"]["reserve"][key] for key in ("depth_pct", "level")}
    if now["stats"] and before["stats"]:
        found |= {key: rate(lambda s, get=get: get(s["stats"])) for key, get in COUNTED.items()}
    return found


def series(samples):
    points, clock = [], 0.0
    for before, now in zip(samples, samples[1:]):
        if before["phase"] == now["phase"] and now["t"] > before["t"]:
            points.append(point(before, now, clock))
            clock = points[-1]["t"]
    return points


def mean(points, phase, key):
    values = [p[key] for p in points if p["phase"] == phase and p[key] is not None]
    return sum(values) / len(values) if values else 0.0


def throughput(samples, phase):
    """
    MB/s from the last sample before the phase to the last one in it. So the moment in which the pressure sets in counts, and
    a stall is not hidden by fio, which catches up later with what its rate promised. bare is another daemon's: it begins alone.
    """
    own = [s for s in samples if s["phase"] == phase]
    before = [s for s in samples if s["t"] < own[0]["t"]] if own and phase != "bare" else []
    first = before[-1] if before else own[0] if own else None
    if first is None or own[-1]["t"] <= first["t"]:
        return 0.0
    return (own[-1]["bytes"] - first["bytes"]) / (own[-1]["t"] - first["t"]) / 1e6


def ledger_sums(pools):
    roots = [o for pool in pools for o in pool["owners"] if o["parent"] == -1 and o["limit"] > 0]
    return sum(o["limit"] for o in roots), sum(o["peak"] for o in roots), roots


def summary(nic, rate, samples, pools):
    points = series(samples)
    limits, peaks, roots = ledger_sums(pools)
    phases = {}
    for phase in WORDS:
        phases[phase] = {key: round(mean(points, phase, key), 3) for key in KEYS}
        phases[phase]["mb_s"] = round(throughput(samples, phase), 3)
    calm = phases["calm"]["mb_s"] or 1e-9
    return {
        "nic": nic, "rate_mb_s": rate, "phases": phases,
        "pressed_ratio": round(phases["pressed"]["mb_s"] / calm, 3), "bare_ratio": round(phases["bare"]["mb_s"] / calm, 3),
        "limits": limits, "peaks": peaks, "limits_to_peaks": round(limits / peaks, 2) if peaks else None,
        "over_limit": [o["owner"] for o in roots if o["peak"] > o["limit"]],
        "owners": [{key: o[key] for key in ("owner", "limit", "peak", "refused")} for o in roots], "points": points}


def table(result):
    lines = [f"{result['nic']}: reads at {result['rate_mb_s']} MB/s beside ten times as many bytes of UDP",
             f"{'':22} {'MB/s':>7} {'of calm':>8} {'depth %':>8} {'other/s':>8} {'shed/s':>8} {'iperf3 MB/s':>12} {'CPU: worker':>12} {'exception':>10}"]
    for phase, words in WORDS.items():
        p = result["phases"][phase]
        share = p["mb_s"] / (result["phases"]["calm"]["mb_s"] or 1e-9)
        lines.append(f"{words:22} {p['mb_s']:7.2f} {share:8.2f} {p['depth_pct']:8.0f} {p['other_pps']:8.0f} {p['shed_pps']:8.0f} "
                     f"{p['iperf_mb_s']:12.2f} {p['worker_cpu']:12.2f} {p['exception_cpu']:10.2f}")
    lines.append("")
    lines.append(f"{'owner':22} {'limit':>7} {'peak':>8} {'refused':>8}")
    for o in result["owners"]:
        lines.append(f"{o['owner']:22} {o['limit']:7} {o['peak']:8} {o['refused']:8}")
    lines.append(f"{'all':22} {result['limits']:7} {result['peaks']:8}   limits are {result['limits_to_peaks']} of the peaks")
    return "\n".join(lines)


def picture(result, path):
    points = result["points"]
    panels = (("mb_s", "storage throughput", "MB/s"), ("depth_pct", "depth in the reserve", "%"),
              ("other_pps", "other packets that arrived", "1/s"), ("shed_pps", "other packets that were shed", "1/s"))
    own = {phase: [p for p in points if p["phase"] == phase] for phase in WORDS}
    bands = [(WORDS[phase], min(p["t"] for p in of), max(p["t"] for p in of)) for phase, of in own.items() if of]
    draw.panels(path, f"{result['nic']}: storage beside a flood, packet memory gone", bands,
                [(title, unit, [[(p["t"], p[key] or 0) for p in of] for of in own.values() if of]) for key, title, unit in panels])


def main():
    nic, rate, samples, ledger, directory = sys.argv[1:6]
    with open(samples, encoding="utf-8") as file:
        samples = [json.loads(line) for line in file]
    with open(ledger, encoding="utf-8") as file:
        result = summary(nic, float(rate), samples, json.load(file))
    text = table(result)
    picture(result, f"{directory}/{nic}.svg")
    for suffix, content in (("json", json.dumps(result, indent=1)), ("txt", text)):
        with open(f"{directory}/{nic}.{suffix}", "w", encoding="utf-8") as file:
            file.write(content + "\n")
    print(text, file=sys.stderr)


main()
