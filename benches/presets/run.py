#!/usr/bin/env python3
"""Train every preset on several data sets and print what each is worth.

    cargo build --release
    python3 benches/presets/run.py                                  # the sample and synthetic labels
    python3 benches/presets/run.py --titles TITLES --n 100000       # and the first titles of a folder

TITLES holds train.tsv.gz, test.tsv.gz (labels as row numbers) and labels.tsv. Labels without training titles are left out of
the truth. Without --test the scores are on a part of the training data that is held out: choose by these, and
look at the test data once.
"""

import argparse
import gzip
import itertools
import json
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRESETS = {
    "default": [],
    "fast": ["--preset", "fast"],
    "balanced": ["--preset", "balanced"],
    "accurate": ["--preset", "accurate"],
}
HELD_OUT = 10_000


class DataSet:
    """Files of one data set, as `xmc train` and `xmc eval` take them."""

    def __init__(self, name, train, test, labels, label_by):
        self.name, self.train, self.test = name, train, test
        by = ["--label-by", label_by] if label_by else []
        self.train_options = (["--labels", str(labels)] if labels else []) + by
        self.test_options = by


def lines_of(path, start, n):
    opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path, encoding="utf-8")
    with opened as lines:
        return list(itertools.islice(lines, start, None if n is None else start + n))


def cut(name, source, labels, label_by, work, n, on_test, n_test=HELD_OUT):
    """The first `n` training records with the test file, or with the training records that follow."""
    n_records = len(lines_of(source / source_file(source, "train"), 0, None))
    n = min(n or n_records, n_records)
    if not on_test:
        n = min(n, n_records - min(HELD_OUT, n_records // 10))
    train = work / f"{name}-train.tsv"
    train.write_text("".join(lines_of(source / source_file(source, "train"), 0, n)), encoding="utf-8")
    test = work / f"{name}-test.tsv"
    held_out = (
        lines_of(source / source_file(source, "test"), 0, n_test)
        if on_test
        else lines_of(source / source_file(source, "train"), n, HELD_OUT)
    )
    test.write_text("".join(held_out), encoding="utf-8")
    return DataSet(name, train, test, labels, label_by)


def source_file(source, which):
    names = [f"{which}.tsv.gz", f"{which}.tsv"]
    return next(name for name in names if (source / name).exists())


def run(command):
    return json.loads(subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout)


def measure(xmc, data, options, seed, work):
    model = work / "model"
    train = [xmc, "train", "--train", data.train, "--model", model, "--json", "--seed", seed]
    trained = run(train + data.train_options + options)
    test = [xmc, "eval", "--model", model, "--test", data.test, "--seen-only", "--json", "--at", "1,3,5,10"]
    scores = run(test + data.test_options)
    return {
        **{key: scores[key] for key in ("p@1", "p@3", "p@5", "r@10", "psp@5", "inner_products")},
        "seconds": trained["seconds"],
        "MB": trained["model_bytes"] / 1e6,
        "peak MiB": trained.get("peak_memory_bytes", 0) / 2**20,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--titles", type=pathlib.Path, help="folder of real data beside the sample")
    parser.add_argument("--n", type=int, help="first training titles of TITLES [all]")
    parser.add_argument("--test", action="store_true", help="score on the test data, not on held-out training data")
    parser.add_argument("--all-test", action="store_true", help="the whole test file, not its first 10,000 lines")
    parser.add_argument("--seeds", default="0", help="seeds, 0,1,2 [0]")
    parser.add_argument("--presets", default=",".join(PRESETS), help="which presets [all]")
    parser.add_argument("--only", action="store_true", help="TITLES alone")
    parser.add_argument("--also", action="append", default=[], help="a further line: options of xmc train, in quotes")
    parser.add_argument("--xmc", default=ROOT / "target/release/xmc")
    args = parser.parse_args()
    bundles = {name: PRESETS[name] for name in args.presets.split(",") if name}
    bundles |= {options: options.split() for options in args.also}
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        sets = []
        if args.titles:
            n_test = None if args.all_test else HELD_OUT
            sets.append(cut("titles", args.titles, args.titles / "labels.tsv", "row", work, args.n, args.test, n_test))
        if not args.only:
            sample = ROOT / "data/finna-sample"
            sets.append(cut("sample", sample, sample / "labels.tsv", None, work, None, args.test))
            subprocess.run([args.xmc, "synth", "multi-sense", "--out", work / "synth"], check=True, capture_output=True)
            sets.append(cut("multi-sense", work / "synth", None, None, work, None, args.test))
        seeds = [int(seed) for seed in args.seeds.split(",")]
        print("| data | options | P@1 | P@3 | P@5 | R@10 | PSP@5 | inner products | train, s | model, MB | peak, MiB |")
        print("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
        for data, (name, options) in itertools.product(sets, bundles.items()):
            runs = [measure(args.xmc, data, options, seed, work) for seed in seeds]
            mean = {key: sum(run[key] for run in runs) / len(runs) for key in runs[0]}
            cells = [f"{mean[key]:.2f}" for key in ("p@1", "p@3", "p@5", "r@10", "psp@5")]
            cells += [f"{mean['inner_products']:.0f}", f"{mean['seconds']:.1f}", f"{mean['MB']:.1f}", f"{mean['peak MiB']:.0f}"]
            print(f"| {data.name} | {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
