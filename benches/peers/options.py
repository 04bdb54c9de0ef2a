#!/usr/bin/env python3
"""Each option alone against the default, in xmc and, where it has the option, in PECOS, on the same matrices.

    cargo build --release
    python3 benches/peers/options.py --sample                    # the data of this repository
    python3 benches/peers/options.py --synth                     # labels of two senses
    python3 benches/peers/options.py --data DIR                  # X.trn.npz, Y.trn.npz, X.tst.npz, Y.tst.npz

PECOS's environment is the one that `compare.py` makes (`--venv`). One implementation scores both (`score.py`). Seconds are those of
tree and weights. PECOS has no counter of inner products; on trees of the same shape and with the same beam they are the same.
"""

import argparse
import gzip
import json
import pathlib
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]


class Option:
    """What to type for xmc, and PECOS's settings; `pecos=None` where it has no such option."""

    def __init__(self, name, train=(), search=(), pecos=(), tree=None, label_features=None, predict=(), relevance=False):
        self.name, self.train, self.search, self.relevance = name, list(train), list(search), relevance
        self.pecos = None if pecos is None else dict(pecos)
        self.tree, self.label_features, self.predict = tree or {}, label_features, list(predict)


KEYS = ("p@1", "p@3", "p@5", "r@10", "psp@5")
OPTIONS = [
    Option("default"),
    Option("Cn 0.5", ["--cn", "0.5"], pecos={"Cn": 0.5}),
    Option("Cp 2", ["--cp", "2"], pecos={"Cp": 2.0}),
    Option("Cp 0.5, Cn 0.5", ["--cp", "0.5", "--cn", "0.5"], pecos={"Cp": 0.5, "Cn": 0.5}),
    Option("eps 0.01", ["--eps", "0.01"], pecos={"eps": 0.01}),
    Option("threshold 0.05", ["--threshold", "0.05"], pecos={"threshold": 0.05}),
    Option("threshold 0.2", ["--threshold", "0.2"], pecos={"threshold": 0.2}),
    Option("50 weights a label", ["--max-nonzeros", "50"], pecos={"max_nonzeros_per_label": 50}),
    Option("hinge", ["--loss", "hinge"], pecos={"solver_type": "L2R_L1LOSS_SVC_DUAL"}),
    Option("logistic, sigmoid", ["--loss", "logistic"], ["--post-processor", "sigmoid"], pecos=None),
    Option("negatives man", ["--negatives", "man"], pecos={"negative_sampling_scheme": "man"}),
    Option("negatives tfn+man", ["--negatives", "tfn+man"], pecos={"negative_sampling_scheme": "tfn+man"}),
    # An instance's labels share its weight: the labels themselves are the relevance.
    Option("relevance induce, l1", ["--relevance-mode", "induce"], pecos={"rel_mode": "induce", "rel_norm": "l1"}, relevance=True),
    Option("relevance ranker-only, l1", ["--relevance-mode", "ranker-only"], pecos={"rel_mode": "ranker-only", "rel_norm": "l1"}, relevance=True),
    Option("tail weights", ["--tail-weights"], pecos=None),
    Option("label features pii", ["--label-features", "pii"], label_features="pii"),
    Option("leaves of 50", ["--max-leaf", "50"], tree={"max_leaf_size": 50}),
    Option("leaves of 200", ["--max-leaf", "200"], tree={"max_leaf_size": 200}),
    Option("branching 4", ["--branching", "4"], tree={"nr_splits": 4}),
    Option("not spherical", ["--spherical=false"], tree={"spherical": False}),
    Option("k-means of any size", ["--clustering", "kmeans"], pecos=None),
    Option("one-vs-rest", ["--clustering", "none"], pecos=None),
    Option("copies 2", ["--copies", "2"], pecos=None),
    Option("trees 3", ["--trees", "3"], pecos=None),
    Option("beam 5", search=["--beam", "5"], predict=["--beam", "5"]),
    Option("beam 30", search=["--beam", "30"], predict=["--beam", "30"]),
    Option("sigmoid", search=["--post-processor", "sigmoid"], predict=["--post-processor", "sigmoid"]),
    Option("l2-hinge", search=["--post-processor", "l2-hinge"], predict=["--post-processor", "l2-hinge"]),
    Option("l5-hinge", search=["--post-processor", "l5-hinge"], predict=["--post-processor", "l5-hinge"]),
]


def run(*command):
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return done.stdout


def numbered(source, folder):
    """Records with row numbers for labels, as `pecos_run.py features` reads them."""
    keys_and_names = [line.split("\t") for line in (source / "labels.tsv").read_text(encoding="utf-8").splitlines()]
    # Records call labels by their names or their keys.
    number = {word: str(row) for row, words in enumerate(keys_and_names) for word in words}
    folder.mkdir(parents=True)
    (folder / "labels.tsv").write_text("".join(f"{words[-1]}\n" for words in keys_and_names), encoding="utf-8")
    for part in ("train", "test"):
        path = next(path for path in (source / f"{part}.tsv.gz", source / f"{part}.tsv") if path.exists())
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8", newline="\n") as lines:
            records = [line.split("\t", 1) for line in lines]
        with gzip.open(folder / f"{part}.tsv.gz", "wt", encoding="utf-8", newline="\n") as out:
            out.writelines(",".join(number[label] for label in labels.split(",")) + "\t" + text for labels, text in records)


class Bench:
    """Both engines on the same matrices."""

    def __init__(self, args, data, work):
        self.args, self.data, self.work, self.trained = args, data, work, {}
        self.python = args.venv / "bin/python"

    def score(self, predictions, seconds, size):
        given = ["--truth", self.data / "Y.tst.npz", "--train-labels", self.data / "Y.trn.npz"]
        scores = json.loads(run(self.python, HERE / "score.py", *given, "--scores", predictions))
        return {**{key: scores[key] for key in KEYS}, "s": seconds, "MB": size / 1e6}

    def once(self, engine, train, *key):
        """What `train(folder)` says of a model, and its folder; options of the search alone share a model."""
        key = json.dumps([engine, *key])
        if key not in self.trained:
            folder = self.work / f"{engine}-{len(self.trained)}"
            self.trained[key] = train(folder), folder
        return self.trained[key]

    def train_pecos(self, option, seed, folder):
        given = ["--train", self.data / "X.trn.npz", "--train-labels", self.data / "Y.trn.npz", "--model", folder]
        more = ["--settings", json.dumps(option.pecos), "--tree-settings", json.dumps(option.tree)]
        more += ["--label-features", option.label_features] if option.label_features else []
        more += ["--relevance", self.data / "Y.trn.npz"] if option.relevance else []
        more += ["--tree-out", folder.with_suffix(".tree")]
        trained = json.loads(run(self.python, HERE / "pecos_run.py", "train", *given, *more, "--seed", seed).splitlines()[-1])
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        return trained["stages"]["tree"] + trained["stages"]["weights"], size

    def pecos(self, option, seed):
        key = [option.pecos, option.tree, option.label_features, option.relevance, seed]
        (seconds, size), folder = self.once("pecos", lambda folder: self.train_pecos(option, seed, folder), *key)
        out = self.work / "pecos.npz"
        asked = ["--model", folder, "--input", self.data / "X.tst.npz", "--output", out]
        run(self.python, HERE / "pecos_run.py", "predict", *asked, *option.predict)
        return self.score(out, seconds, size), folder.with_suffix(".tree")

    def train_xmc(self, given, folder):
        given = ["--train", self.data / "X.trn.npz", "--train-labels", self.data / "Y.trn.npz", "--model", folder, *given]
        trained = json.loads(run(self.args.xmc, "train", *given, "--json"))
        return trained["stages"].get("tree", 0.0) + trained["stages"]["weights"], trained["model_bytes"]

    def xmc(self, option, seed, tree):
        given = [*option.train, "--seed", seed]
        given += ["--relevance", str(self.data / "Y.trn.npz")] if option.relevance else []
        given += ["--tree", ",".join(str(path) for path in sorted(tree.glob("C*.npz")))] if tree else []
        (seconds, size), model = self.once("xmc", lambda folder: self.train_xmc(given, folder), *given)
        out = self.work / "xmc.npz"
        run(self.args.xmc, "predict", "--model", model, "--input", self.data / "X.tst.npz", "--output", out, *option.search)
        test = ["--test", self.data / "X.tst.npz", "--test-labels", self.data / "Y.tst.npz"]
        own = json.loads(run(self.args.xmc, "eval", "--model", model, *test, *option.search, "--json"))
        return {**self.score(out, seconds, size), "products": own["inner_products"]}

    def line(self, option):
        """A line of the table: means over the seeds."""
        seeds = self.args.seeds.split(",")
        theirs, ours = [], []
        for seed in seeds:
            tree = None
            if option.pecos is not None:
                scores, tree = self.pecos(option, seed)
                theirs.append(scores)
            ours.append(self.xmc(option, seed, tree if self.args.pecos_trees else None))
        ours = mean(ours)
        cells = [f"{ours[key]:.2f}" for key in KEYS] + [f"{ours['products']:.0f}", f"{ours['s']:.2f}", f"{ours['MB']:.1f}"]
        if option.pecos is None:
            return cells + ["–"] * 9
        theirs = mean(theirs)
        cells += [f"{theirs[key]:.2f}" for key in KEYS] + [f"{theirs['s']:.2f}", f"{theirs['MB']:.1f}"]
        return cells + [f"{ours['p@1'] - theirs['p@1']:+.2f}", f"{ours['psp@5'] - theirs['psp@5']:+.2f}"]


def mean(runs):
    return {key: sum(run[key] for run in runs) / len(runs) for key in runs[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=pathlib.Path)
    source.add_argument("--sample", action="store_true")
    source.add_argument("--synth", action="store_true", help="synthetic labels of two senses")
    parser.add_argument("--venv", type=pathlib.Path, default=ROOT / "target/peers/venv", help="PECOS's environment")
    parser.add_argument("--xmc", default=ROOT / "target/release/xmc")
    parser.add_argument("--seeds", default="0", help="seeds of both engines, 0,1,2 [0]")
    parser.add_argument("--pecos-trees", action="store_true", help="xmc trains on the trees that PECOS made: do the weights agree?")
    parser.add_argument("--only", help="names of options, separated by semicolons")
    args = parser.parse_args()
    wanted = args.only.split(";") if args.only else [option.name for option in OPTIONS]
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        source, data = ROOT / "data/finna-sample", args.data
        if args.synth:
            source = work / "synth"
            run(args.xmc, "synth", "multi-sense", "--out", source)
        if data is None:
            numbered(source, work / "titles")
            data = work / "data"
            made = ["--titles", work / "titles", "--out", data]
            run(args.venv / "bin/python", HERE / "pecos_run.py", "features", *made)
        bench = Bench(args, data, work)
        names = ["P@1", "P@3", "P@5", "R@10", "PSP@5"]
        columns = ["option", *names, "inner products", "s", "MB", *[f"PECOS: {names[0]}", *names[1:], "s", "MB", "ΔP@1", "ΔPSP@5"]]
        print("| " + " | ".join(columns) + " |\n|---|" + "--:|" * (len(columns) - 1))
        comparable = [option for option in OPTIONS if option.pecos is not None or not args.pecos_trees]
        for option in (option for option in comparable if option.name in wanted):
            print(f"| {option.name} | " + " | ".join(bench.line(option)) + " |", flush=True)


if __name__ == "__main__":
    main()
