#!/usr/bin/env python3
"""Hide the training titles of some labels, keep the labels' names, and see whether they are found.

    cargo build --release
    python3 benches/zero_shot/run.py --titles TITLES --n 100000
    python3 benches/zero_shot/run.py --sample                     # the data of this repository

TITLES holds train.tsv.gz, test.tsv.gz (labels as row numbers) and labels.tsv. Every training title that has a hidden label is left
out, with all its labels. R@k is of the hidden labels alone, over the test titles that have one. A model that does not learn from names
cannot find them; `--label-rows 0` shows it.
"""

import argparse
import collections
import gzip
import json
import pathlib
import random
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = {
    "without names": ["--label-rows", "0"],
    "default": [],
    "label features pifa-lf-concat": ["--label-features", "pifa-lf-concat"],
    "balanced": ["--preset", "balanced"],
    "balanced, pifa-lf-concat": ["--preset", "balanced", "--label-features", "pifa-lf-concat"],
    "balanced, beam 30": ["--preset", "balanced", "--beam", "30"],
    "accurate": ["--preset", "accurate"],
}


def read(path, n=None):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            if number == n:
                return
            labels, text = line.rstrip("\n").split("\t", 1)
            yield labels.split(","), text


def write(path, records):
    path.write_text("".join(f"{','.join(labels)}\t{text}\n" for labels, text in records), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--titles", type=pathlib.Path)
    source.add_argument("--sample", action="store_true", help="the data of this repository, a tenth of its labels hidden")
    parser.add_argument("--n", type=int, help="first training titles [all]")
    parser.add_argument("--hidden", type=int, default=500, help="labels to hide [500]")
    parser.add_argument("--fewest", type=int, default=5, help="test titles that a hidden label has at least [5]")
    parser.add_argument("--seed", type=int, default=0, help="which labels are hidden [0]")
    parser.add_argument("--xmc", default=ROOT / "target/release/xmc")
    args = parser.parse_args()
    folder = ROOT / "data/finna-sample" if args.sample else args.titles
    names = [] if args.sample else ["--label-by", "row"]
    train = list(read(folder / "train.tsv.gz", args.n))
    test = list(read(folder / "test.tsv.gz"))
    in_train = {label for labels, _ in train for label in labels}
    in_test = collections.Counter(label for labels, _ in test for label in labels)
    known = sorted(label for label, n in in_test.items() if n >= args.fewest and label in in_train)
    hidden = set(random.Random(args.seed).sample(known, min(args.hidden, len(known) // 10 if args.sample else len(known))))
    left = [record for record in train if not hidden & set(record[0])]
    asked = [([label for label in labels if label in hidden], text) for labels, text in test]
    asked = [record for record in asked if record[0]]
    print(f"{len(hidden)} labels hidden, {len(left)} of {len(train)} training titles left, {len(asked)} test titles")
    print("| options | R@10 | R@100 | P@1 |\n|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        write(work / "train.tsv", left)
        write(work / "test.tsv", asked)
        for name, options in MODELS.items():
            command = [args.xmc, "train", "--train", work / "train.tsv", "--labels", folder / "labels.tsv", *names]
            subprocess.run([*command, "--model", work / "model", "--quiet", *options], check=True, capture_output=True)
            command = [args.xmc, "eval", "--model", work / "model", "--test", work / "test.tsv", *names]
            scores = subprocess.run([*command, "--at", "1,10,100", "--json"], check=True, capture_output=True, text=True)
            scores = json.loads(scores.stdout)
            print(f"| {name} | {scores['r@10']:.2f} | {scores['r@100']:.2f} | {scores['p@1']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
