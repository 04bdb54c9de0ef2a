#!/usr/bin/env python3
"""Compares xmc with PECOS 1.2.8 and others: the same matrices, the same threads, in turn, on the same machine.

Every step is a process of its own, measured from outside (`measure.py`); all engines' predictions go through one
implementation of the metrics (`score.py`). Each phase can be run alone; what it measured is kept in
`runs.json` of the work folder until the phase runs again, and `report` makes the tables from what is there.

phases
  features          PECOS's TF-IDF over --titles, into the data folder
  pecos             PECOS trains and predicts
  xmc               xmc trains, predicts and evaluates on the same matrices
  given-tree        xmc on the tree that PECOS made (after `pecos`)
  our-tree          PECOS on the tree that xmc made (after `xmc`)
  text              xmc from the titles with its own text features
  omikuji           Omikuji 0.5.2 with one tree of the shape of PECOS's
  omikuji-3         Omikuji with its own defaults, three trees
  napkinxc          napkinXC 0.7.2 with PECOS's settings
  napkinxc-default  napkinXC with its own
  floor             LIBLINEAR for each label (few labels only: --floor-max-labels)
  report            result.json and result.md from all of the above
  all               features if there are none, the experiments named by --experiments, report
"""

import argparse
import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import commands
import measure
import report

REPOSITORY = commands.HERE.parent.parent
TITLES = ("train.tsv.gz", "test.tsv.gz", "labels.tsv")
MATRICES = ("X.trn.npz", "X.tst.npz", "Y.trn.npz", "Y.tst.npz")

# PECOS's own list of requirements brings PyTorch and Transformers (6 GB), which XR-Linear never imports; napkinXC's
# brings what downloads data sets. Matplotlib is for the plots of `benchmarks.py`.
REQUIREMENTS = (
    ["numpy<2", "scipy<1.14", "scikit-learn", "omikuji==0.5.2", "matplotlib"],
    ["--no-deps", "libpecos==1.2.8", "napkinxc==0.7.2"],
)


def make_venv(folder, base):
    """The virtual environment's Python, made and filled first if need be."""
    python, ready = folder / "bin" / "python", folder / "ready"
    contents = json.dumps(REQUIREMENTS)
    if ready.exists() and ready.read_text() == contents:
        return python
    print(f"making {folder}", file=sys.stderr)
    subprocess.run([base, "-m", "venv", "--clear", folder], check=True)
    for packages in REQUIREMENTS:
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        subprocess.run(command, check=True)
    # Written last: an interrupted installation is started again, not used; so is one of other packages.
    ready.write_text(contents)
    return python


class Runs:
    """All that was measured, by task, kept in a file so that phases can be run one by one."""

    def __init__(self, path):
        self.path = path
        self.tasks = json.loads(path.read_text()) if path.exists() else {}

    def forget(self, tasks):
        """Drop what earlier calls measured for `tasks`."""
        self.tasks = {task: runs for task, runs in self.tasks.items() if task not in tasks}

    def rounds(self, experiment):
        """How many rounds of an experiment are complete: its scores come last."""
        return len(self.tasks.get(f"{experiment}.score", []))

    def keep_rounds(self, experiment):
        """Drop what an interrupted round left, and earlier failures."""
        for step in ("train", "predict", "bench", "eval"):
            task = f"{experiment}.{step}"
            self.tasks[task] = self.tasks.get(task, [])[: self.rounds(experiment)]
        self.forget([f"{experiment}.failed", *(task for task, runs in self.tasks.items() if not runs)])

    def save(self):
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.tasks, indent=1))
        part.rename(self.path)

    def fail(self, experiment, why):
        self.tasks[f"{experiment}.failed"] = [why]
        self.save()
        print(f"{experiment}: {why}", file=sys.stderr)

    def add(self, task, run):
        self.tasks.setdefault(task, []).append(run)
        self.save()
        line = f"{task:20} wall {run['wall']:8.2f} s  cpu {run['cpu']:8.2f} s  peak {run['peak_mib']:7.0f} MiB"
        print(f"{line}  load {run['load']:.1f}", file=sys.stderr)


def measured(setup, runs, task, command, threads=None, model=None):
    """Run the command of `task` and note what it took, with the size of the folder `model` afterwards."""
    log = setup.work / "logs" / f"{task}.{len(runs.tasks.get(task, []))}.log"
    run = measure.run(command, threads or setup.threads, log, setup.limit)
    if model:
        run["model_bytes"] = measure.folder_bytes(model)
    runs.add(task, run)


def make_features(setup, runs):
    runs.forget(["features.make"])
    measured(setup, runs, "features.make", commands.features(setup))


def make_omikuji_text(setup):
    """Omikuji's training file, unless it is there and younger than the matrices."""
    text, matrices = setup.omikuji_text(), [setup.data / name for name in ("X.trn.npz", "Y.trn.npz")]
    if not text.exists() or text.stat().st_mtime < max(path.stat().st_mtime for path in matrices):
        measure.run(commands.convert(setup), 1, setup.work / "logs" / "convert.log")


def train(setup, runs, experiment):
    """One training of an experiment, from nothing."""
    if commands.needs_text(experiment):
        make_omikuji_text(setup)
    model = setup.model(experiment)
    shutil.rmtree(model, ignore_errors=True)
    model.parent.mkdir(parents=True, exist_ok=True)
    if experiment == "our-tree":
        tree = measure.run(commands.export_tree(setup), setup.threads, setup.work / "logs" / "tree.log")
        (setup.work / "xmc-tree.json").write_text(json.dumps(tree["report"]))
    measured(setup, runs, f"{experiment}.train", commands.train(setup, experiment), model=model)


def predict(setup, runs, experiment, threads):
    """Prediction of a trained experiment, for xmc its own evaluation and latencies, and its scores, which end the round."""
    setup.predictions(experiment).parent.mkdir(parents=True, exist_ok=True)
    measured(setup, runs, f"{experiment}.predict", commands.predict(setup, experiment, threads), threads)
    if experiment in commands.OURS:
        measured(setup, runs, f"{experiment}.eval", commands.evaluate(setup, experiment))
        if experiment != "text" and has_bench(setup.xmc):
            measured(setup, runs, f"{experiment}.bench", commands.bench(setup, experiment))
    against = "pecos" if experiment != "pecos" and setup.predictions("pecos").exists() else None
    measured(setup, runs, f"{experiment}.score", commands.score(setup, experiment, against))


@functools.cache
def has_bench(xmc):
    return subprocess.run(commands.bench_help(xmc), capture_output=True, check=False).returncode == 0


def facts_of(setup):
    """Sizes of the data, versions of the engines, the machine and the settings."""
    facts = measure.run(commands.facts(setup), 1, setup.work / "logs" / "facts.log")["report"]
    settings = {"threads": setup.threads, "top_k": setup.top_k, "beam": setup.beam, "seed": setup.seed}
    return {**facts, "titles": bool(setup.titles), "machine": report.machine(), "settings": settings}


def save_facts(setup, runs, facts, pending):
    """Keep the facts with the results, and the commit of each experiment; `pending` are those to be measured now."""
    path = setup.work / "facts.json"
    earlier = json.loads(path.read_text())["commits"] if path.exists() else {}
    kept = {name: commit for name, commit in earlier.items() if runs.rounds(name)}
    commits = {**kept, **dict.fromkeys(pending, commit())}
    path.write_text(json.dumps({**facts, "commits": commits}, indent=1) + "\n")


def commit():
    """The commit of the working tree, with `-dirty` where it has changes."""
    command = ["git", "-C", REPOSITORY, "describe", "--always", "--dirty", "--abbrev=8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def parse_args():
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=shape)
    phases = ("features", *commands.EXPERIMENTS, "report", "all")
    parser.add_argument("phase", nargs="?", choices=phases, default="all", help="what to run [all]")
    work = REPOSITORY / "target" / "peers"
    parser.add_argument("--titles", type=Path, help="folder with train.tsv.gz, test.tsv.gz, labels.tsv")
    parser.add_argument("--data", type=Path, help=f"folder with {', '.join(MATRICES)} [WORK/data]")
    parser.add_argument("--work", type=Path, default=work, help="folder for everything made [target/peers]")
    parser.add_argument("--venv", type=Path, default=work / "venv", help="the engines' environment [target/peers/venv]")
    parser.add_argument("--python", default=sys.executable, help="Python 3.10 to 3.12 to make it with [this one]")
    parser.add_argument("--xmc", type=Path, default=REPOSITORY / "target" / "release" / "xmc", help="the binary")
    parser.add_argument("--experiments", default="pecos,xmc,given-tree", help="what `all` runs [%(default)s]")
    parser.add_argument("--threads", type=int, default=2, help="threads of training, all engines [2]")
    parser.add_argument("--predict-threads", type=int, default=1, help="threads of prediction [1]")
    parser.add_argument("--repeats", type=int, default=3, help="trainings of each engine, in turn [3]")
    parser.add_argument("--resume", action="store_true", help="keep the complete rounds that are there, add the missing ones")
    parser.add_argument("--limit", type=float, help="seconds after which a process is stopped and its experiment given up")
    parser.add_argument("--floor-max-labels", type=int, default=5000, help="more labels than these: no floor [5000]")
    parser.add_argument("--predict-only", action="store_true", help="keep the models, only predict again")
    parser.add_argument("--top-k", type=int, default=10, help="labels for a query [10]")
    parser.add_argument("--beam", type=int, default=10, help="beam of the others; 10 is xmc's default too [10]")
    parser.add_argument("--seed", type=int, default=0, help="seed, where there is one [0]")
    parser.add_argument("--max-ngram", type=int, default=2, help="longest word n-gram of PECOS's features [2]")
    parser.add_argument("--single", type=int, default=2000, help="queries timed one by one [2000]")
    parser.add_argument("--xmc-options", default="", help="more options for xmc on the shared matrices")
    parser.add_argument("--text-options", default="", help="more options for xmc from text")
    return parser, parser.parse_args()


def resolve(parser, args):
    """From what was typed to where things are; complains about what is missing before anything runs."""
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    experiments = wanted(parser, args)
    setup = commands.Setup(
        python=args.venv.absolute() / "bin" / "python",
        xmc=args.xmc.absolute(),
        data=(args.data or work / "data").resolve(),
        work=work,
        titles=args.titles.resolve() if args.titles else None,
        threads=args.threads,
        top_k=args.top_k,
        beam=args.beam,
        seed=args.seed,
        max_ngram=args.max_ngram,
        single=args.single,
        limit=args.limit,
        xmc_options=args.xmc_options.split(),
        text_options=args.text_options.split(),
    )
    check(parser, args, setup, experiments)
    return setup, experiments


def wanted(parser, args):
    """The experiments that this call runs, PECOS's before those that need its tree."""
    names = args.experiments.split(",") if args.phase == "all" else [args.phase]
    unknown = set(names) - set(commands.EXPERIMENTS)
    if args.phase == "all" and unknown:
        parser.error(f"--experiments: {', '.join(sorted(unknown))}: expected {', '.join(commands.EXPERIMENTS)}")
    return [name for name in commands.EXPERIMENTS if name in names]


def check(parser, args, setup, experiments):
    needs_titles = args.phase == "features" or "text" in experiments
    if setup.titles or needs_titles:
        missing = [name for name in TITLES if not (setup.titles and (setup.titles / name).is_file())]
        if missing:
            parser.error(f"--titles: give the folder with {', '.join(TITLES)}; not found: {', '.join(missing)}")
    if not setup.xmc.exists() and not {*commands.OURS, "our-tree"}.isdisjoint(experiments):
        parser.error(f"--xmc: no binary at {setup.xmc}; build it with `cargo build --release`")
    made = all((setup.data / name).exists() for name in MATRICES)
    if experiments and not made and not (args.phase == "all" and setup.titles):
        parser.error(f"--data: {', '.join(MATRICES)} are not all in {setup.data}; give --titles to make them")


def main():
    parser, args = parse_args()
    setup, experiments = resolve(parser, args)
    runs = Runs(setup.work / "runs.json")
    if args.phase != "report":
        make_venv(args.venv.absolute(), args.python)
    try:
        if args.phase == "features" or (experiments and not (setup.data / MATRICES[-1]).exists()):
            make_features(setup, runs)
        if experiments:
            facts = facts_of(setup)
            experiments = without_floor(runs, experiments, facts["data"]["labels"], args)
            forget_or_keep(runs, experiments, args)
            save_facts(setup, runs, facts, [name for name in experiments if runs.rounds(name) < args.repeats])
            run_experiments(setup, runs, experiments, args)
    except measure.Failed as failure:
        sys.exit(f"compare: {failure}")
    if args.phase in ("report", "all"):
        report.write(setup, runs.tasks)


def without_floor(runs, experiments, n_labels, args):
    """The experiments, less the floor where there are too many labels for it, which is noted."""
    if "floor" not in experiments or n_labels <= args.floor_max_labels:
        return experiments
    runs.fail("floor", f"left out: {n_labels:,} labels are more than {args.floor_max_labels:,}")
    return [name for name in experiments if name != "floor"]


def forget_or_keep(runs, experiments, args):
    """Start anew, or with the complete rounds of an earlier call."""
    if args.resume:
        for experiment in experiments:
            runs.keep_rounds(experiment)
        return
    steps = ("predict", "score", "eval", "bench", "failed") + (() if args.predict_only else ("train",))
    runs.forget([f"{experiment}.{step}" for experiment in experiments for step in steps])


def run_experiments(setup, runs, experiments, args):
    """Round after round, each experiment once: slow drifts of the machine then meet all of them alike."""
    for number in range(args.repeats):
        for experiment in experiments:
            if runs.rounds(experiment) <= number and f"{experiment}.failed" not in runs.tasks:
                run_round(setup, runs, experiment, args)


def run_round(setup, runs, experiment, args):
    """Training and prediction; where a further engine fails, that is noted and the others go on."""
    try:
        if not args.predict_only:
            train(setup, runs, experiment)
        predict(setup, runs, experiment, args.predict_threads)
    except measure.Failed as failure:
        if experiment not in commands.RUNNERS:
            raise
        runs.fail(experiment, failure.reason)
        print(failure, file=sys.stderr)


if __name__ == "__main__":
    main()
