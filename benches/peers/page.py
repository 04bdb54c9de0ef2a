"""The text of docs/BENCHMARKS.md from the numbers that `benchmarks.py` collected."""

from typing import NamedTuple

from growth import power_law
from report import BUSY, NAMES, cell, describe_machine, disagreements, failures, overview
from sets import synth_preset

SCRIPT = "python3 benches/peers/benchmarks.py"

INTRODUCTION = """# Benchmarks

`xmc` beside PECOS, Omikuji, napkinXC and a classifier for each label, on the same matrices, with the same number of threads, in turn; the engines of one table on one machine.
How each number is taken, and the settings of each engine, are in [benches/peers](../benches/peers/README.md); the numbers themselves are in
[numbers.json](benchmarks/numbers.json). `{script} report` writes this page and its plots from what the commands below measured.
"""

HOW_TO_READ = """**training** is the time of the algorithm (label features, tree, weights), without reading and writing; **whole process** has both, and the start of Python. **peak memory** is that of
the training process. **batch** is the whole test set on one thread, without opening the model; **one query** is one row after the other, which for PECOS, napkinXC and
one-vs-rest is a call from Python. In brackets: over PECOS's number. All engines' predictions are scored by one script; **PECOS's first** is how often an engine's first label is the one that PECOS puts first.
Times and sizes are medians of the rounds, peaks are maxima. All of it is with one seed; what another one changes is told in
[benches/peers](../benches/peers/README.md#seeds).

PECOS, Omikuji (1 tree) and napkinXC have the settings that `xmc` has by default: a tree of 16 children by balanced 2-means, at most 100 labels in a leaf, squared hinge with C = 1 and ε = 0.1, weights
below 0.1 dropped, beam 10. What could not be made alike: Omikuji has no seed, and collapses layers from the root down, PECOS from the leaves up; Omikuji and napkinXC turn
margins to scores by exp(-max(0, 1 - m)²), PECOS and `xmc` by the third power; napkinXC and Omikuji report tree and weights as one.
"""


def render(numbers, drawn):
    """The page; `drawn` are the names of the plots that there are."""
    parts = [INTRODUCTION.format(script=SCRIPT), conditions(numbers)]
    if numbers["sets"]:
        parts += ["## All engines\n", HOW_TO_READ]
        parts += [data_set(entry, drawn) for entry in numbers["sets"]]
    parts += [growth(kind, numbers[kind.phase], drawn) for kind in GROWTHS if numbers[kind.phase]]
    parts += [cores(entry, drawn) for entry in numbers["cores"] if entry["runs"]]
    return "\n".join(parts).rstrip() + "\n"


def everything(numbers):
    """All runs of `compare.py` that the page rests on."""
    growing = [entry for kind in GROWTHS for entry in numbers[kind.phase]]
    return numbers["sets"] + growing + [run for entry in numbers["cores"] for run in entry["runs"]]


def conditions(numbers):
    """The machines, versions and commits of all measurements; each usually is one."""
    runs = everything(numbers)
    machines = unique(describe_machine(run["machine"]) for run in runs)
    versions = unique(", ".join(f"{name} {version}" for name, version in run["versions"].items()) for run in runs)
    commits = unique(commit for run in runs for commit in run["commits"].values())
    lines = [f"- machine: {' / '.join(machines)}", f"- versions: {' / '.join(versions)}", f"- `xmc`: commit {', '.join(commits)}"]
    return "\n".join(lines) + "\n"


def processors(runs):
    """Where `runs` were measured: what is measured again may be on another machine than the rest."""
    return " and ".join(unique(run["machine"].get("processor", "an unknown processor") for run in runs))


def unique(values):
    return list(dict.fromkeys(values))


def peers_command(name, facts):
    """What to type for a data set."""
    data = " --titles TITLES" if facts.get("titles") and not synth_preset(name) else data_option(name)
    return f"{SCRIPT} peers {name}{data}"


def sizes(data):
    return (
        f"{data['samples']:,} training and {data['test_samples']:,} test instances, {data['features']:,} features, {data['labels']:,} labels; "
        f"{data['nonzeros']:,} non-zeros of features, {data['label_entries']:,} of labels"
    )


def data_set(entry, drawn):
    """Heading, command, table, notes and plot of one data set."""
    name = entry["name"]
    source = "Made by `xmc synth`, of the shape of a public set. " if synth_preset(name) else ""
    repeats = unique(str(numbers["repeats"]) for numbers in entry["experiments"].values() if "repeats" in numbers)
    rounds = "round" if repeats == ["1"] else "rounds"
    lines = [
        f"### {name}\n",
        f"{source}{sizes(entry['data'])}. Trained with {threads_text(entry['settings']['threads'])}, {' or '.join(repeats)} {rounds}, on {processors([entry])}.\n",
        f"```sh\n{peers_command(name, entry)}\n```\n",
        overview(entry["experiments"]) + "\n",
        *(f"- {note}" for note in notes(entry["experiments"])),
    ]
    return "\n".join(lines) + "\n" + image(name, "P@1 against training time, model size and prediction time", drawn)


def notes(experiments):
    """What a reader of a table has to know; the engines took turns, so one note on the load is enough."""
    yield from disagreements(experiments)
    loads = [numbers["load_before"] for numbers in experiments.values() if numbers.get("load_before", 0) > BUSY]
    if loads:
        yield f"the machine was not idle: its load before trainings was up to {max(loads):.1f}"
    yield from failures(experiments)


def image(name, text, drawn):
    return f"\n![{text}](benchmarks/{name}.svg)\n" if name in drawn else ""


GROWTH_COLUMNS = (
    ("training, s", "tree_and_weights_s"),
    ("peak memory, MiB", "train_peak_mib"),
    ("model, MB", "model_mb"),
    ("batch, µs a query", "predict_us"),
    ("one query, p50, µs", "single_us_p50"),
)


class Growth(NamedTuple):
    """A phase of `benchmarks.py` that measures how costs grow, and how the page shows it."""

    phase: str
    title: str
    words: str
    # Columns that tell the sizes, what tells the runs of one set apart first: title, key.
    sizes: tuple
    # What grows, with what: title, cost, size.
    fits: tuple
    plot: str
    alt: str


EXPONENT = "An exponent of 1 is linear growth, 0 none; fitted by least squares on the logarithms, with R²."

GROWTHS = (
    Growth(
        "slopes",
        "Growth with the data",
        f"Synthetic sets of one shape at several scales: instances and labels grow together, features with the square root. {EXPONENT}",
        (("scale", "scale"), ("instances", "samples"), ("labels", "labels"), ("non-zeros", "nonzeros")),
        (
            ("training / instances", "tree_and_weights_s", "samples"),
            ("training / labels", "tree_and_weights_s", "labels"),
            ("training / non-zeros", "tree_and_weights_s", "nonzeros"),
            ("peak memory / non-zeros", "train_peak_mib", "nonzeros"),
            ("batch query / labels", "predict_us", "labels"),
            ("one query / labels", "single_us_p50", "labels"),
        ),
        "growth",
        "Training time against non-zeros and query time against labels, on logarithmic axes",
    ),
    Growth(
        "instances",
        "Growth with the instances alone",
        f"Shares of the training instances of one set, whose labels stay what they are; fewer instances have fewer of them. {EXPONENT}",
        (("share", "scale"), ("instances", "samples"), ("labels used", "labels_used"), ("non-zeros", "nonzeros")),
        (("training / non-zeros", "tree_and_weights_s", "nonzeros"), ("peak memory / non-zeros", "train_peak_mib", "nonzeros")),
        "growth-instances",
        "Training time and memory against non-zeros, on logarithmic axes",
    ),
)


def series(entries):
    """The runs of each set and engine: `{(set, experiment): [run, ...]}` in order of size."""
    found = {}
    for entry in entries:
        of, _, scale = entry["name"].rpartition("@")
        for experiment, numbers in entry["experiments"].items():
            if "train_wall_s" in numbers:
                found.setdefault((of, experiment), []).append({**entry["data"], **numbers, "scale": scale})
    return found


def fitted(runs, cost, size):
    """The power law of a cost over a size, from the runs that have both."""
    both = [run for run in runs if run.get(cost)]
    return power_law([run[size] for run in both], [run[cost] for run in both])


def growth(kind, entries, drawn):
    """Exponents and the numbers that they are fitted to."""
    found = series(entries)
    sets = unique(of for of, _ in found)
    commands = [SCRIPT + " slopes"] if kind.phase == "slopes" else [f"{SCRIPT} {kind.phase} {of}{data_option(of)}" for of in sets]
    lines = [f"## {kind.title}\n", "```sh", *commands, "```\n", f"{kind.words} Measured on {processors(entries)}.\n"]
    lines += ["| set | engine | " + " | ".join(title for title, _, _ in kind.fits) + " |", "|---|---|" + "---:|" * len(kind.fits)]
    for (of, experiment), runs in found.items():
        cells = [exponent(fitted(runs, cost, size)) for _, cost, size in kind.fits]
        lines.append(f"| {of} | {NAMES[experiment]} | {' | '.join(cells)} |")
    heads = [kind.sizes[0][0], "engine", *(title for title, _ in (*kind.sizes[1:], *GROWTH_COLUMNS))]
    for of in sets:
        lines += [f"\n### {of}\n", f"| {' | '.join(heads)} |", "|---:|---|" + "---:|" * (len(heads) - 2)]
        lines += [growth_row(kind, name, run) for (named, name), runs in found.items() if named == of for run in runs]
    return "\n".join(lines) + "\n" + image(kind.plot, kind.alt, drawn)


def data_option(name):
    return "" if synth_preset(name) else " --data DATA"


def exponent(fit):
    return f"{fit['exponent']:.2f} ({fit['r2']:.3f})" if fit else ""


def growth_row(kind, experiment, run):
    sizes = [f"{run[key]:,}" for _, key in kind.sizes[1:]]
    return f"| {' | '.join([run['scale'], NAMES[experiment], *sizes, *(cell(run.get(key)) for _, key in GROWTH_COLUMNS)])} |"


def cores(entry, drawn):
    """Training and batch prediction of one set with more and more threads."""
    name, runs = entry["name"], entry["runs"]
    counts = [run["settings"]["threads"] for run in runs]
    lines = [
        f"## Growth with threads: {name}\n",
        f"```sh\n{SCRIPT} cores {name}{data_option(name)} --counts {','.join(map(str, counts))}\n```\n",
        f"{sizes(runs[0]['data'])}. In brackets: how many times faster than with {threads_text(counts[0])}. Measured on {processors(runs)}.\n",
        f"| | {' | '.join(f'training, s, {threads_text(n)} | batch, µs a query, {threads_text(n)}' for n in counts)} |",
        "|---|" + "---:|" * (2 * len(counts)),
    ]
    for experiment in unique(experiment for run in runs for experiment in run["experiments"]):
        cells = [faster(runs, experiment, run, key) for run in runs for key in ("tree_and_weights_s", "predict_us")]
        lines.append(f"| {NAMES[experiment]} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n" + image(f"cores-{name}", "Speed-up with threads", drawn)


def threads_text(n):
    return "1 thread" if n == 1 else f"{n} threads"


def faster(runs, experiment, run, key):
    value, first = (of["experiments"].get(experiment, {}).get(key) for of in (run, runs[0]))
    return f"{cell(value)} ({first / value:.2f}×)" if value and first and run is not runs[0] else cell(value)
