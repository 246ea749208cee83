"""rounds - contenders that take turns, medians and ratios; what bench/vm and bench/host have in common

Two runs of one thing on a shared machine differ by more than two contenders do, so a figure alone says little. In each round every
contender does the job, the order turning each time, and a ratio is taken within its round. Of the rounds the median counts.
"""
import statistics

import draw


def job_parse(text):
    rw, block, depth = text.split(",")
    return rw, block, int(depth)


def job_name(job):
    return "-".join(str(part) for part in job)


def median_of(rows):
    """The median of each figure of @rows."""
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def take_turns(contenders, count, job, base, ratio_keys):
    """Runs each of @contenders (name -> function of the job) @count times; rows, and ratios to @base."""
    found = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(count):
        for name in names[number % len(names):] + names[:number % len(names)]:
            found[name].append(contenders[name](job))
    ratios, spread = {}, {}
    for name in names:
        if name == base or base not in found:
            continue
        each = {key: [ours[key] / theirs[key] for ours, theirs in zip(found[name], found[base])]
                for key in ratio_keys if all(theirs[key] for theirs in found[base])}
        ratios[name] = {key: statistics.median(values) for key, values in each.items()}
        spread[name] = {key: [min(values), max(values)] for key, values in each.items()}
    return {"rows": {name: median_of(rows) for name, rows in found.items()}, "ratios": ratios, "spread": spread}


def show(name, found, keys):
    for who, row in found["rows"].items():
        ratio = found["ratios"].get(who, {})
        figures = "  ".join(f"{key} {row[key]:>9.0f}" for key in keys if key in row)
        print(f"{name:18} {who:18} {figures}" + "".join(f"  {key} {value:.2f}x" for key, value in ratio.items()), flush=True)
        name = ""


def drawing(path, title, jobs, key):
    """Bars of the ratios, job by job, with the spread of the rounds."""
    names = sorted({who for found in jobs.values() for who in found["ratios"]})

    def of(found, who):
        median = found["ratios"].get(who, {}).get(key)
        return None if median is None else (median, *found["spread"][who][key])
    draw.ratios(path, title, list(jobs), {who: [of(found, who) for found in jobs.values()] for who in names})
