#!/usr/bin/env python3
"""Each option alone against the default, in xmc and, where it has the option, in PECOS, on the same matrices.

    cargo build --release
    python3 benches/peers/options.py --sample                    # the data of this repository
    python3 benches/peers/options.py --data DIR                  # X.trn.npz, Y.trn.npz, X.tst.npz, Y.tst.npz

PECOS's environment is the one that `compare.py` makes (`--venv`). One implementation scores both (`score.py`). Seconds are those of
tree and weights, one run each.
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

    def __init__(self, name, train=(), search=(), pecos=(), tree=None, label_features=None, predict=()):
        self.name, self.train, self.search = name, list(train), list(search)
        self.pecos = None if pecos is None else dict(pecos)
        self.tree, self.label_features, self.predict = tree or {}, label_features, list(predict)


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
    Option("logistic", ["--loss", "logistic"], pecos=None),
    Option("negatives man", ["--negatives", "man"], pecos={"negative_sampling_scheme": "man"}),
    Option("negatives tfn+man", ["--negatives", "tfn+man"], pecos={"negative_sampling_scheme": "tfn+man"}),
    Option("relevance induce", ["--relevance-mode", "induce"], pecos={"rel_mode": "induce", "rel_norm": "l1"}),
    Option("relevance ranker-only", ["--relevance-mode", "ranker-only"], pecos={"rel_mode": "ranker-only", "rel_norm": "l1"}),
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


def sample_titles(folder):
    """The data of this repository with row numbers for labels, as `pecos_run.py features` reads them."""
    sample = ROOT / "data/finna-sample"
    keys_and_names = [line.split("\t") for line in (sample / "labels.tsv").read_text(encoding="utf-8").splitlines()]
    # The titles call labels by their names.
    number = {word: str(row) for row, words in enumerate(keys_and_names) for word in words}
    folder.mkdir(parents=True)
    (folder / "labels.tsv").write_text("".join(f"{words[-1]}\n" for words in keys_and_names), encoding="utf-8")
    for part in ("train.tsv.gz", "test.tsv.gz"):
        with gzip.open(sample / part, "rt", encoding="utf-8", newline="\n") as lines:
            records = [line.split("\t", 1) for line in lines]
        with gzip.open(folder / part, "wt", encoding="utf-8", newline="\n") as out:
            out.writelines(",".join(number[label] for label in labels.split(",")) + "\t" + text for labels, text in records)


class Bench:
    def __init__(self, args, data, work):
        self.args, self.data, self.work = args, data, work
        self.python = args.venv / "bin/python"

    def score(self, predictions):
        return json.loads(run(self.python, HERE / "score.py", "--truth", self.data / "Y.tst.npz", "--scores", predictions))

    def pecos(self, option):
        if option.pecos is None:
            return None
        given = ["--train", self.data / "X.trn.npz", "--train-labels", self.data / "Y.trn.npz", "--model", self.work / "pecos"]
        more = ["--settings", json.dumps(option.pecos), "--tree-settings", json.dumps(option.tree)]
        more += ["--label-features", option.label_features] if option.label_features else []
        trained = json.loads(run(self.python, HERE / "pecos_run.py", "train", *given, *more, "--seed", self.args.seed).splitlines()[-1])
        out = self.work / "pecos.npz"
        asked = ["--model", self.work / "pecos", "--input", self.data / "X.tst.npz", "--output", out]
        run(self.python, HERE / "pecos_run.py", "predict", *asked, *option.predict)
        size = sum(file.stat().st_size for file in (self.work / "pecos").rglob("*") if file.is_file())
        return self.score(out), trained["stages"]["tree"] + trained["stages"]["weights"], size / 1e6

    def xmc(self, option):
        model, out = self.work / "model", self.work / "xmc.npz"
        given = ["--train", self.data / "X.trn.npz", "--train-labels", self.data / "Y.trn.npz", "--model", model]
        trained = json.loads(run(self.args.xmc, "train", *given, *option.train, "--seed", self.args.seed, "--json"))
        run(self.args.xmc, "predict", "--model", model, "--input", self.data / "X.tst.npz", "--output", out, *option.search)
        given = ["--test", self.data / "X.tst.npz", "--test-labels", self.data / "Y.tst.npz"]
        own = json.loads(run(self.args.xmc, "eval", "--model", model, *given, *option.search, "--json"))
        seconds = trained["stages"].get("tree", 0.0) + trained["stages"]["weights"]
        return self.score(out), seconds, trained["model_bytes"] / 1e6, own


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=pathlib.Path)
    source.add_argument("--sample", action="store_true")
    parser.add_argument("--venv", type=pathlib.Path, default=ROOT / "target/peers/venv", help="PECOS's environment")
    parser.add_argument("--xmc", default=ROOT / "target/release/xmc")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--only", help="names of options, separated by semicolons")
    args = parser.parse_args()
    wanted = args.only.split(";") if args.only else [option.name for option in OPTIONS]
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        data = args.data
        if args.sample:
            sample_titles(work / "titles")
            data = work / "data"
            made = ["--titles", work / "titles", "--out", data]
            run(args.venv / "bin/python", HERE / "pecos_run.py", "features", *made)
        bench = Bench(args, data, work)
        keys = ("p@1", "p@3", "p@5", "r@10")
        print("| option | P@1 | P@3 | P@5 | R@10 | PSP@5 | inner products | s | MB | PECOS: P@1 | P@3 | P@5 | R@10 | s | MB |")
        print("|---|" + "--:|" * 14)
        for option in (option for option in OPTIONS if option.name in wanted):
            score, seconds, size, own = bench.xmc(option)
            cells = [f"{score[key]:.2f}" for key in keys]
            cells += [f"{own['psp@5']:.2f}", f"{own['inner_products']:.0f}", f"{seconds:.2f}", f"{size:.1f}"]
            theirs = bench.pecos(option)
            cells += ["–"] * 6 if theirs is None else [f"{theirs[0][key]:.2f}" for key in keys] + [f"{theirs[1]:.2f}", f"{theirs[2]:.1f}"]
            print(f"| {option.name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
