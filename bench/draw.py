"""draw - the drawings of the bench commands, by matplotlib: ratios with their spread, stacks, panels over time

Every series has a colour of its own, which the legend shows. The background is white and the text is dark, so a drawing reads the
same on paper and on a page with a dark theme.
"""
import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

COLOURS = plt.get_cmap("tab10").colors
plt.rcParams.update({"figure.facecolor": "white", "axes.facecolor": "white", "axes.axisbelow": True, "axes.spines.top": False,
                     "axes.spines.right": False, "font.size": 9, "svg.hashsalt": "sluice"})


def colour(number):
    assert number < len(COLOURS), "two series would share a colour"
    return COLOURS[number]


def write(figure, path):
    figure.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def ratios(path, title, labels, series):
    """
    Grouped bars beside a line at 1. @series: name -> for each of @labels (median, least, greatest) of the rounds, or None where
    there is nothing.
    """
    figure, axes = plt.subplots(figsize=(max(7, 0.9 * len(labels) * max(1, len(series)) ** 0.5), 3.6))
    width = 0.8 / max(1, len(series))
    for number, (name, values) in enumerate(series.items()):
        places = [at - 0.4 + width * (number + 0.5) for at, value in enumerate(values) if value]
        known = [value for value in values if value]
        axes.bar(places, [median for median, _, _ in known], width * 0.92, color=colour(number), label=name)
        axes.errorbar(places, [median for median, _, _ in known], fmt="none", ecolor="black", elinewidth=0.8, capsize=2,
                      yerr=[[median - least for median, least, _ in known], [most - median for median, _, most in known]])
    axes.axhline(1, color="black", linewidth=1)
    axes.set_xticks(range(len(labels)), labels, rotation=25, ha="right")
    axes.set_ylabel("times (median of the rounds, least to greatest)")
    axes.set_title(title, loc="left")
    axes.grid(axis="y", color="#dddddd")
    axes.legend(ncols=4, fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.25))
    write(figure, path)


def stacks(path, title, unit, labels, series):
    """Bars of what a total is made of. @series: name -> a number for each of @labels."""
    figure, axes = plt.subplots(figsize=(max(7, 1.1 * len(labels)), 4))
    base = [0] * len(labels)
    for number, (name, values) in enumerate(series.items()):
        axes.bar(range(len(labels)), values, 0.6, bottom=base, color=colour(number), label=name)
        base = [low + value for low, value in zip(base, values)]
    for at, total in enumerate(base):
        axes.text(at, total, f"{total:,.0f}".replace(",", " "), ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(labels)), labels, rotation=25, ha="right")
    axes.set_ylabel(unit)
    axes.set_title(title, loc="left")
    axes.grid(axis="y", color="#dddddd")
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    write(figure, path)


def panels(path, title, phases, rows):
    """
    One panel above the other over the same time. @phases: (name, from, to) in seconds, each a band of its own colour; @rows:
    (title, unit, lines), a line being a list of (seconds, value).
    """
    figure, all_axes = plt.subplots(len(rows), 1, sharex=True, figsize=(9, 1.7 * len(rows)), squeeze=False)
    for axes, (what, unit, lines) in zip(all_axes[:, 0], rows):
        for number, (name, begin, end) in enumerate(phases):
            axes.axvspan(begin, end, color=colour(number), alpha=0.18, linewidth=0, label=name)
        for line in lines:
            axes.plot([at for at, _ in line], [value for _, value in line], color="#1f3b57", linewidth=1.3)
        axes.set_ylim(bottom=0)
        axes.set_title(what, loc="left", fontsize=9)
        axes.set_ylabel(unit)
        axes.grid(axis="y", color="#dddddd")
    all_axes[-1, 0].set_xlabel("seconds")
    all_axes[-1, 0].legend(ncols=4, fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.4))
    figure.suptitle(title, x=0.1, ha="left")
    figure.subplots_adjust(hspace=0.45)
    write(figure, path)
