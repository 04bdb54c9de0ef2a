"""The plots of docs/BENCHMARKS.md, as SVG, from the numbers that `benchmarks.py` collected. Runs inside the virtual environment.

    plots.py NUMBERS.json FOLDER [--format png]
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from page import GROWTHS, fitted, series
from report import NAMES

# Colour and marker of each engine, the same in all plots; the colours are Okabe and Ito's, which the colour-blind can tell apart.
LOOKS = {
    "pecos": ("#0072B2", "s"),
    "xmc": ("#D55E00", "o"),
    "given-tree": ("#D55E00", "*"),
    "our-tree": ("#0072B2", "*"),
    "omikuji": ("#009E73", "^"),
    "omikuji-3": ("#009E73", "v"),
    "napkinxc": ("#CC79A7", "D"),
    "napkinxc-default": ("#CC79A7", "X"),
    "floor": ("#555555", "P"),
}
DASHES = ("-", "--", ":", "-.")

# Text stays text, and the same numbers give the same bytes.
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "xmc",
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


class Folder:
    """Where figures go."""

    def __init__(self, path, kind):
        self.path, self.kind = path, kind

    def save(self, figure, name):
        kept_out = {"metadata": {"Date": None}} if self.kind == "svg" else {}
        figure.savefig(self.path / f"{name}.{self.kind}", bbox_inches="tight", facecolor="white", **kept_out)
        plt.close(figure)


def legend_below(figure, axes):
    """One legend for all panels."""
    found = {}
    for panel in axes:
        handles, labels = panel.get_legend_handles_labels()
        found |= dict(zip(labels, handles))
    figure.legend(found.values(), found.keys(), loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=4, frameon=False)


def logarithmic(axis):
    """A logarithmic axis with plain numbers: 1, 2, 5, 10 … where it spans little, else powers of ten."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 100 else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.set_minor_formatter(NullFormatter())


def short(value):
    """1500000 as `1.5M`."""
    for limit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{letter}"
    return f"{value:g}"


TRADE_OFFS = (
    ("training, s", "tree_and_weights_s"),
    ("model, MB", "model_mb"),
    ("batch prediction, µs a query", "predict_us"),
)


def trade_offs(entry, folder):
    """P@1 against what it costs: training time, model size, prediction time."""
    shown = [name for name in LOOKS if "metrics" in entry["experiments"].get(name, {})]
    figure, axes = plt.subplots(1, 3, figsize=(10, 3), sharey=True, layout="constrained")
    for panel, (title, key) in zip(axes, TRADE_OFFS):
        for name in shown:
            numbers, (colour, marker) = entry["experiments"][name], LOOKS[name]
            panel.plot(numbers[key], numbers["metrics"]["p@1"], marker, color=colour, markersize=8, label=NAMES[name])
        panel.set_xscale("log")
        panel.set_xlabel(title)
        panel.margins(0.15)
        logarithmic(panel.xaxis)
    axes[0].set_ylabel("P@1, %")
    figure.suptitle(entry["name"])
    legend_below(figure, axes)
    folder.save(figure, entry["name"])


PANELS = {
    "slopes": (
        ("training, s", "tree_and_weights_s", "non-zeros of the features", "nonzeros"),
        ("batch prediction, µs a query", "predict_us", "labels", "labels"),
        ("one query, p50, µs", "single_us_p50", "labels", "labels"),
    ),
    "instances": (
        ("training, s", "tree_and_weights_s", "non-zeros of the features", "nonzeros"),
        ("peak memory of training, MiB", "train_peak_mib", "non-zeros of the features", "nonzeros"),
    ),
}


def growth(kind, entries, folder):
    """Costs against sizes on logarithmic axes, with the fitted power laws."""
    found, panels = series(entries), PANELS[kind.phase]
    sets = list(dict.fromkeys(of for of, _ in found))
    figure, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels), 4.2), layout="constrained")
    for panel, (title, cost, size_title, size) in zip(axes, panels):
        for (of, experiment), runs in found.items():
            line(panel, runs, cost, size, f"{NAMES[experiment]}, {of}", LOOKS[experiment], DASHES[sets.index(of) % len(DASHES)])
        panel.set(xscale="log", yscale="log", xlabel=size_title, ylabel=title)
        if panel.lines:
            logarithmic(panel.xaxis)
            logarithmic(panel.yaxis)
            panel.legend(fontsize=7, frameon=False)
    folder.save(figure, kind.plot)


def line(panel, runs, cost, size, label, look, dash):
    """Measured points and the power law through them, whose exponent goes into the legend."""
    points = [(run[size], run[cost]) for run in runs if run.get(cost)]
    fit = fitted(runs, cost, size)
    if not points:
        return
    sizes, costs = zip(*points)
    slope = f": {fit['exponent']:.2f}" if fit else ""
    style = dash if fit else ""
    fits = [fit["factor"] * x ** fit["exponent"] for x in sizes] if fit else costs
    panel.plot(sizes, fits, style, color=look[0], linewidth=1, marker="", label=label + slope)
    panel.plot(sizes, costs, look[1], color=look[0], markersize=5)


def cores(entry, folder):
    """How many times faster training and batch prediction are with more threads."""
    runs = entry["runs"]
    counts = [run["settings"]["threads"] for run in runs]
    figure, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
    for panel, (title, key) in zip(axes, (("training", "tree_and_weights_s"), ("batch prediction", "predict_us"))):
        ideal = [count / counts[0] for count in counts]
        panel.plot(counts, ideal, ":", color="black", linewidth=1, label="ideal")
        for name in (name for name in LOOKS if all(run["experiments"].get(name, {}).get(key) for run in runs)):
            costs = [run["experiments"][name][key] for run in runs]
            speed_ups = [costs[0] / cost for cost in costs]
            panel.plot(counts, speed_ups, color=LOOKS[name][0], marker=LOOKS[name][1], label=NAMES[name])
        panel.set(xlabel="threads", title=title)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].set_ylabel("times faster")
    legend_below(figure, axes)
    folder.save(figure, f"cores-{entry['name']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", type=Path, help="the JSON of `benchmarks.py report`")
    parser.add_argument("folder", type=Path, help="where the plots go")
    parser.add_argument("--format", default="svg", choices=("svg", "png"), help="[svg]")
    args = parser.parse_args()
    plt.rcParams.update(STYLE)
    numbers, folder = json.loads(args.numbers.read_text()), Folder(args.folder, args.format)
    for entry in numbers["sets"]:
        if any("metrics" in found for found in entry["experiments"].values()):
            trade_offs(entry, folder)
    for kind in GROWTHS:
        if numbers[kind.phase]:
            growth(kind, numbers[kind.phase], folder)
    for entry in numbers["cores"]:
        if len(entry["runs"]) > 1:
            cores(entry, folder)


if __name__ == "__main__":
    main()
