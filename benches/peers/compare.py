#!/usr/bin/env python3
"""Compares xmc with PECOS 1.2.8: the same matrices, the same threads, in turn, on the same machine.

Every step is a process of its own, measured from outside (`measure.py`); both engines' predictions go through one
implementation of the metrics (`score.py`). Each phase can be run alone; what it measured is kept in
`runs.json` of the work folder until the phase runs again, and `report` makes the tables from what is there.

phases
  features    PECOS's TF-IDF over --titles, into the data folder
  pecos       PECOS trains and predicts
  xmc         xmc trains, predicts and evaluates on the same matrices
  given-tree  xmc on the tree that PECOS made (after `pecos`)
  our-tree    PECOS on the tree that xmc made (after `xmc`)
  text        xmc from the titles with its own text features
  report      result.json and result.md from all of the above
  all         features if there are none, the experiments named by --experiments, report
"""

import argparse
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

# PECOS's own list of requirements brings PyTorch and Transformers (6 GB), which XR-Linear never imports.
REQUIREMENTS = (["numpy<2", "scipy<1.14", "scikit-learn"], ["--no-deps", "libpecos==1.2.8"])


def make_venv(folder, base):
    """The virtual environment's Python, made and filled first if need be."""
    python, ready = folder / "bin" / "python", folder / "ready"
    if ready.exists():
        return python
    print(f"making {folder}", file=sys.stderr)
    subprocess.run([base, "-m", "venv", "--clear", folder], check=True)
    for packages in REQUIREMENTS:
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        subprocess.run(command, check=True)
    # Written last: an interrupted installation is started again, not used.
    ready.touch()
    return python


class Runs:
    """All that was measured, by task, kept in a file so that phases can be run one by one."""

    def __init__(self, path):
        self.path = path
        self.tasks = json.loads(path.read_text()) if path.exists() else {}

    def forget(self, tasks):
        """Drop what earlier calls measured for `tasks`."""
        self.tasks = {task: runs for task, runs in self.tasks.items() if task not in tasks}

    def add(self, task, run):
        self.tasks.setdefault(task, []).append(run)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.tasks, indent=1))
        part.rename(self.path)
        line = f"{task:20} wall {run['wall']:8.2f} s  cpu {run['cpu']:8.2f} s  peak {run['peak_mib']:7.0f} MiB"
        print(f"{line}  load {run['load']:.1f}", file=sys.stderr)


def measured(setup, runs, task, command, threads=None, model=None):
    """Run the command of `task` and note what it took, with the size of the folder `model` afterwards."""
    log = setup.work / "logs" / f"{task}.{len(runs.tasks.get(task, []))}.log"
    run = measure.run(command, threads or setup.threads, log)
    if model:
        run["model_bytes"] = measure.folder_bytes(model)
    runs.add(task, run)


def make_features(setup, runs):
    runs.forget(["features.make"])
    measured(setup, runs, "features.make", commands.features(setup))


def train(setup, runs, experiment):
    """One training of an experiment, from nothing."""
    model = setup.model(experiment)
    shutil.rmtree(model, ignore_errors=True)
    model.parent.mkdir(parents=True, exist_ok=True)
    if experiment == "our-tree":
        tree = measure.run(commands.export_tree(setup), setup.threads, setup.work / "logs" / "tree.log")
        (setup.work / "xmc-tree.json").write_text(json.dumps(tree["report"]))
    measured(setup, runs, f"{experiment}.train", commands.train(setup, experiment), model=model)


def predict(setup, runs, experiment, threads):
    """Prediction of a trained experiment, its scores, and for xmc its own evaluation."""
    setup.predictions(experiment).parent.mkdir(parents=True, exist_ok=True)
    measured(setup, runs, f"{experiment}.predict", commands.predict(setup, experiment, threads), threads)
    against = "pecos" if experiment != "pecos" and setup.predictions("pecos").exists() else None
    measured(setup, runs, f"{experiment}.score", commands.score(setup, experiment, against))
    if experiment not in ("pecos", "our-tree"):
        measured(setup, runs, f"{experiment}.eval", commands.evaluate(setup, experiment))


def parse_args():
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=shape)
    phases = ("features", *commands.EXPERIMENTS, "report", "all")
    parser.add_argument("phase", nargs="?", choices=phases, default="all", help="what to run [all]")
    work = REPOSITORY / "target" / "peers"
    parser.add_argument("--titles", type=Path, help="folder with train.tsv.gz, test.tsv.gz, labels.tsv")
    parser.add_argument("--data", type=Path, help=f"folder with {', '.join(MATRICES)} [WORK/data]")
    parser.add_argument("--work", type=Path, default=work, help="folder for everything made [target/peers]")
    parser.add_argument("--venv", type=Path, default=work / "venv", help="PECOS's environment [target/peers/venv]")
    parser.add_argument("--python", default=sys.executable, help="Python 3.10 to 3.12 to make it with [this one]")
    parser.add_argument("--xmc", type=Path, default=REPOSITORY / "target" / "release" / "xmc", help="the binary")
    parser.add_argument("--experiments", default="pecos,xmc,given-tree", help="what `all` runs [%(default)s]")
    parser.add_argument("--threads", type=int, default=2, help="threads of training, both engines [2]")
    parser.add_argument("--predict-threads", type=int, default=1, help="threads of prediction [1]")
    parser.add_argument("--repeats", type=int, default=3, help="trainings of each engine, in turn [3]")
    parser.add_argument("--predict-only", action="store_true", help="keep the models, only predict again")
    parser.add_argument("--top-k", type=int, default=10, help="labels for a query [10]")
    parser.add_argument("--beam", type=int, default=10, help="beam of PECOS; 10 is xmc's default too [10]")
    parser.add_argument("--seed", type=int, default=0, help="seed of both [0]")
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
    if experiments and not setup.xmc.exists() and set(experiments) != {"pecos"}:
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
        run_experiments(setup, runs, experiments, args)
    except measure.Failed as failure:
        sys.exit(f"compare: {failure}")
    if args.phase in ("report", "all"):
        report.write(setup, runs.tasks)


def run_experiments(setup, runs, experiments, args):
    """Round after round, each experiment once: slow drifts of the machine then meet all of them alike."""
    steps = ("predict", "score", "eval") if args.predict_only else ("train", "predict", "score", "eval")
    runs.forget([f"{experiment}.{step}" for experiment in experiments for step in steps])
    for _ in range(args.repeats):
        for experiment in experiments:
            if not args.predict_only:
                train(setup, runs, experiment)
            predict(setup, runs, experiment, args.predict_threads)


if __name__ == "__main__":
    main()
