"""The tables: medians over the repeats, ratios and differences, as result.json and result.md."""

import json
import os
import platform
import statistics
from pathlib import Path

from commands import EXPERIMENTS, TEXT_STAGES, TREE_STAGES, WEIGHT_STAGES, WHOLE_STAGES

METRICS = {"p@1": "P@1", "p@3": "P@3", "p@5": "P@5", "p@10": "P@10", "r@10": "R@10", "ndcg@5": "nDCG@5"}

# xmc prints what it found with fewer digits than `score.py`; a larger gap is a difference of meaning.
SAME_METRIC = 0.005

# Load of the machine above which it was not idle before a training.
BUSY = 1.5


def summarise(tasks):
    """Every number of the measured runs by experiment: `{"pecos": {"train_wall_s": ..., ...}, ...}`."""
    measured = {task.split(".")[0] for task in tasks}
    return {name: summarise_experiment(tasks, name) for name in EXPERIMENTS if name in measured}


def summarise_experiment(tasks, name):
    numbers = {}
    numbers.update(summarise_train(tasks.get(f"{name}.train", [])))
    numbers.update(summarise_predict(tasks.get(f"{name}.predict", [])))
    numbers.update(latencies(tasks.get(f"{name}.bench", [])))
    for run in tasks.get(f"{name}.score", [])[-1:]:
        numbers["metrics"] = {key: value for key, value in run["report"].items() if key != "agreement"}
        numbers["agreement_with_pecos"] = run["report"].get("agreement")
    for run in tasks.get(f"{name}.eval", [])[-1:]:
        numbers["own_metrics"] = run["report"]
    for reason in tasks.get(f"{name}.failed", []):
        numbers["failed"] = reason
    return numbers


def median_of(runs):
    """A function that takes the median over `runs` of what its argument reads from a run."""
    return lambda value: statistics.median(value(run) for run in runs)


def summarise_train(runs):
    if not runs:
        return {}
    median = median_of(runs)
    stages = runs[0]["report"].get("stages", {})
    return {
        "repeats": len(runs),
        "train_wall_s": median(lambda run: run["wall"]),
        "train_wall_range_s": [min(run["wall"] for run in runs), max(run["wall"] for run in runs)],
        "train_cpu_s": median(lambda run: run["cpu"]),
        "train_peak_mib": max(run["peak_mib"] for run in runs),
        "model_mb": median(lambda run: run["model_bytes"] / 1e6),
        "load_before": median(lambda run: run["load"]),
        "stages_s": {name: median(lambda run: run["report"]["stages"][name]) for name in stages},
        "text_s": median(lambda run: stage_seconds(run, TEXT_STAGES)),
        "tree_s": median(lambda run: stage_seconds(run, TREE_STAGES)),
        "weights_s": median(lambda run: stage_seconds(run, WEIGHT_STAGES)),
        "tree_and_weights_s": median(lambda run: stage_seconds(run, TREE_STAGES + WEIGHT_STAGES + WHOLE_STAGES)),
        "text_to_weights_s": median(lambda run: stage_seconds(run, TEXT_STAGES + TREE_STAGES + WEIGHT_STAGES)),
    }


def stage_seconds(run, names):
    """Seconds of some stages together; a stage that did not run took none."""
    stages = run["report"].get("stages", {})
    return sum(stages.get(name, 0.0) for name in names)


def summarise_predict(runs):
    if not runs:
        return {}
    median = median_of(runs)
    numbers = {
        "predict_us": median(lambda run: 1e6 * run["report"]["seconds"] / run["report"]["queries"]),
        "predict_peak_mib": max(run["peak_mib"] for run in runs),
    }
    return numbers | latencies(runs)


def latencies(runs):
    """Medians over the runs of the percentiles of single queries, where the engine reports them."""
    numbers = {}
    for key in ("single_us", "single_text_us"):
        found = [run["report"][key] for run in runs if key in run["report"]]
        for name in ("p50", "p99"):
            if found:
                numbers[f"{key}_{name}"] = statistics.median(latency[name] for latency in found)
    return numbers


def add_features(experiments, tasks):
    """PECOS from raw text: its vectoriser's process, without the test set, then its training process."""
    runs = tasks.get("features.make", [])
    if not runs or "train_wall_s" not in experiments.get("pecos", {}):
        return
    features, pecos = runs[-1], dict(experiments["pecos"])
    pecos["text_s"] = stage_seconds(features, TEXT_STAGES)
    pecos["text_to_weights_s"] = pecos["text_s"] + pecos["tree_and_weights_s"]
    pecos["train_wall_s"] += features["wall"] - features["report"]["stages"]["transform_test"]
    pecos["train_cpu_s"] += features["cpu"] - features["report"]["cpu"]["transform_test"]
    pecos["train_peak_mib"] = max(pecos["train_peak_mib"], features["peak_mib"])
    experiments["pecos-text"] = pecos


LINES = (
    ("text features, s", "text_s"),
    ("label features and tree, s", "tree_s"),
    ("weights, s", "weights_s"),
    ("tree and weights, s", "tree_and_weights_s"),
    ("text features, tree and weights, s", "text_to_weights_s"),
    ("training, whole process, s", "train_wall_s"),
    ("training, processor time, s", "train_cpu_s"),
    ("training, peak memory, MiB", "train_peak_mib"),
    ("model on disk, MB", "model_mb"),
    ("batch prediction, µs a query", "predict_us"),
    ("batch prediction, peak memory, MiB", "predict_peak_mib"),
    ("one query from features, p50, µs", "single_us_p50"),
    ("one query from features, p99, µs", "single_us_p99"),
    ("one query from text, p50, µs", "single_text_us_p50"),
    ("one query from text, p99, µs", "single_text_us_p99"),
)


def table(title, left, right, names):
    """A Markdown table of two experiments: numbers, ratio left to right, differences of the metrics."""
    rows = [f"### {title}", "", f"| | {names[0]} | {names[1]} | ratio or difference |", "|---|---:|---:|---:|"]
    for line, key in LINES:
        values = left.get(key), right.get(key)
        from_text = left.get("text_s") and right.get("text_s")
        if any(values) and (from_text or not key.startswith("text_")):
            ratio = f"{values[0] / values[1]:.2f} ×" if all(values) else ""
            rows.append(f"| {line} | {cell(values[0])} | {cell(values[1])} | {ratio} |")
    for key in METRICS:
        values = left.get("metrics", {}).get(key), right.get("metrics", {}).get(key)
        if None not in values:
            gap = f"{values[1] - values[0]:+.2f}"
            rows.append(f"| {METRICS[key]}, % | {values[0]:.2f} | {values[1]:.2f} | {gap} |")
    agreement = right.get("agreement_with_pecos")
    if agreement:
        rows.append(f"| same first label, % | | {agreement['same_first']:.2f} | |")
        for key, share in agreement.items():
            if key.startswith("common@"):
                rows.append(f"| first {key.split('@')[1]} in common, % | | {share:.2f} | |")
    return "\n".join(rows + [""])


def cell(value):
    """Four significant digits, nothing where nothing was measured."""
    if not value:
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


NAMES = {
    "pecos": "PECOS",
    "xmc": "xmc",
    "given-tree": "xmc, PECOS's tree",
    "our-tree": "PECOS, xmc's tree",
    "omikuji": "Omikuji, 1 tree",
    "omikuji-3": "Omikuji, its defaults",
    "napkinxc": "napkinXC",
    "napkinxc-default": "napkinXC, its defaults",
    "floor": "one-vs-rest",
}
# Title, key and whether the value is set against PECOS's.
COLUMNS = (
    ("training, s", "tree_and_weights_s", True),
    ("whole process, s", "train_wall_s", True),
    ("peak memory, MiB", "train_peak_mib", True),
    ("model, MB", "model_mb", True),
    ("batch, µs a query", "predict_us", True),
    ("one query, p50, µs", "single_us_p50", True),
    ("p99, µs", "single_us_p99", False),
)
OVERVIEW_METRICS = ("p@1", "p@3", "p@5", "r@10")


def overview(experiments):
    """One Markdown table of all engines on the same features; times and sizes in brackets over those of PECOS."""
    shown = [name for name in EXPERIMENTS if name in NAMES and "metrics" in experiments.get(name, {})]
    heads = [title for title, _, _ in COLUMNS] + [f"{METRICS[key]}, %" for key in OVERVIEW_METRICS] + ["PECOS's first, %"]
    rows = [f"| | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]
    for name in shown:
        numbers, pecos = experiments[name], {} if name == "pecos" else experiments.get("pecos", {})
        cells = [with_ratio(numbers.get(key), pecos.get(key) if compared else None) for _, key, compared in COLUMNS]
        cells += [f"{numbers['metrics'][key]:.2f}" for key in OVERVIEW_METRICS]
        agreement = numbers.get("agreement_with_pecos")
        cells.append(f"{agreement['same_first']:.1f}" if agreement else "")
        rows.append(f"| {NAMES[name]} | {' | '.join(cells)} |")
    return "\n".join(rows)


def with_ratio(value, base):
    return f"{cell(value)} ({value / base:.2f}×)" if value and base else cell(value)


TABLES = (
    ("The same features", "pecos", "xmc", ("PECOS", "xmc")),
    ("Given PECOS's own tree", "pecos", "given-tree", ("PECOS", "xmc, PECOS's tree")),
    ("PECOS's weights on xmc's tree", "our-tree", "xmc", ("PECOS, xmc's tree", "xmc")),
    ("From raw text", "pecos-text", "text", ("PECOS", "xmc")),
)


def warnings(experiments):
    """What a reader of the tables has to know."""
    yield from disagreements(experiments)
    for name, numbers in experiments.items():
        if numbers.get("load_before", 0) > BUSY:
            load = f"{numbers['load_before']:.1f}"
            yield f"{name}: the load before training was {load}: compare processor time, not wall time"
    yield from failures(experiments)


def disagreements(experiments):
    """Where xmc's own metrics are not those of `score.py`."""
    for name, numbers in experiments.items():
        for key, own in (numbers.get("own_metrics") or {}).items():
            ours = numbers.get("metrics", {}).get(key)
            if ours is not None and abs(ours - own) > SAME_METRIC:
                yield f"{name}: `xmc eval` says {key} = {own:.4f}, score.py {ours:.4f}"


def failures(experiments):
    """Engines without numbers."""
    for name, numbers in experiments.items():
        if "failed" in numbers:
            yield f"{NAMES.get(name, name)}: {numbers['failed']}"


def machine():
    fields = {"system": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        fields["processor"] = models[0] if models else platform.machine()
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        fields["memory_gib"] = round(int(meminfo.read_text().split()[1]) / 2**20, 1)
    return fields


def describe_machine(fields):
    memory = f", {fields['memory_gib']:g} GiB of memory" if "memory_gib" in fields else ""
    processor = fields.get("processor", "an unknown processor")
    return f"{fields['cores']} cores of {processor}{memory}, {fields['system']}, Python {fields['python']}"


def write(setup, tasks):
    """Write result.json and result.md to the work folder and print the tables."""
    experiments = summarise(tasks)
    notes = list(warnings(experiments))
    add_features(experiments, tasks)
    settings = {"threads": setup.threads, "top_k": setup.top_k, "beam": setup.beam, "seed": setup.seed}
    result = {"machine": machine(), "settings": settings, "experiments": experiments, "warnings": notes}
    (setup.work / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    parts = [
        table(title, experiments[left], experiments[right], names)
        for title, left, right, names in TABLES
        if left in experiments and right in experiments
    ]
    if any("metrics" in numbers for numbers in experiments.values()):
        parts.insert(0, f"### All engines\n\n{overview(experiments)}\n")
    head = f"{describe_machine(machine())}; {setup.threads} threads for training, medians of the repeats.\n"
    text = "\n".join([head, *parts, *(f"- {note}" for note in notes)])
    (setup.work / "result.md").write_text(text.rstrip() + "\n")
    print(text)
