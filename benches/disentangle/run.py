#!/usr/bin/env python3
"""What label disentanglement gives: P@1 and R@10 beside the inner products of a query.

    cargo build --release
    python3 benches/disentangle/run.py                                  # synthetic labels of two senses
    python3 benches/disentangle/run.py --titles TITLES --n 100000 --beams 5,10,12,15

A plain model is trained, labels find further places in its tree, and every model is searched with several beams. Copies make clusters
larger: compare lines of about the same inner products, not of the same beam. `greedy:1` only moves labels, which is what
copies have to beat; `topk` is the published rule, which knows neither cross-fit nor places that are kept unless
`--options` says so.
"""

import argparse
import gzip
import itertools
import json
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
HELD_OUT = 10_000
PUBLISHED = ["--folds=1", "--keep-places=false"]


def run(command):
    done = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def cut(path, n, to, start=0):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        to.write_text("".join(itertools.islice(lines, start, n and start + n)), encoding="utf-8")
    return to


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--titles", type=pathlib.Path, help="folder of titles in place of synthetic data")
    parser.add_argument("--n", type=int, help="first training titles [all]")
    parser.add_argument("--beams", default="5,10", help="beams of the search [5,10]")
    parser.add_argument("--seeds", default="0,1,2", help="seeds of data and training [0,1,2]")
    parser.add_argument("--variants", default="greedy:1,greedy:2,greedy:3,greedy:6,topk:2,topk:3,topk:6", help="rules and copies")
    parser.add_argument("--preset", help="of the plain model")
    parser.add_argument("--train", default="12000", help="records of the synthetic data [12000]")
    parser.add_argument("--held-out", action="store_true", help="test on the training titles that follow the first N")
    parser.add_argument("--from-nothing", action="store_true", help="also train each model without the plain one")
    parser.add_argument("--options", default="", help="more options of xmc disentangle, in quotes")
    parser.add_argument("--xmc", default=ROOT / "target/release/xmc")
    args = parser.parse_args()
    beams, seeds = args.beams.split(","), args.seeds.split(",")
    variants = [variant.split(":") for variant in args.variants.split(",")]
    lines = {}
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        for seed in seeds:
            if args.titles:
                train = cut(args.titles / "train.tsv.gz", args.n, work / "train.tsv")
                source, start = ("train", args.n) if args.held_out else ("test", 0)
                test = cut(args.titles / f"{source}.tsv.gz", HELD_OUT, work / "test.tsv", start)
                labels, by = ["--labels", args.titles / "labels.tsv", "--label-by", "row"], ["--label-by", "row"]
            else:
                made = [args.xmc, "synth", "multi-sense", "--out", work, "--seed", seed, "--train", args.train]
                subprocess.run(list(map(str, made)), check=True, capture_output=True)
                train, test, labels, by = work / "train.tsv", work / "test.tsv", [], []
            plain = work / "plain"
            preset = ["--preset", args.preset] if args.preset else []
            trained = run([args.xmc, "train", "--train", train, *labels, "--model", plain, "--seed", seed, "--json", *preset])
            models = {"plain": (plain, 0, trained["seconds"])}
            for rule, copies in variants:
                out = work / f"{rule}-{copies}"
                command = [args.xmc, "disentangle", "--model", plain, "--train", train, *by, "--out", out, "--json"]
                # An option can be given once: those of the published rule make way for what was typed.
                published = [word for word in PUBLISHED if rule == "topk" and word.split("=")[0] not in args.options]
                done = run([*command, "--copies", copies, "--copy-rule", rule, *published, *args.options.split()])
                models[f"{rule}, k = {copies}"] = (out, done["trees"][0]["copies"], done["seconds"])
                if args.from_nothing:
                    command = [args.xmc, "train", "--train", train, *labels, "--model", work / "nothing", "--seed", seed, "--json"]
                    command += [*preset, "--copies", copies, "--copy-rule", rule, *published, *args.options.split()]
                    models[f"{rule}, k = {copies}, from nothing"] = (work / "nothing", done["trees"][0]["copies"], run(command)["seconds"])
            for (name, (model, copies, seconds)), beam in itertools.product(models.items(), beams):
                command = [args.xmc, "eval", "--model", model, "--test", test, *by, "--beam", beam, "--at", "1,3,5,10", "--json"]
                scores = run([*command, "--seen-only"])
                values = [scores["p@1"], scores["p@3"], scores["r@10"], scores["psp@5"], scores["inner_products"], copies, seconds]
                lines.setdefault((name, beam), []).append(values)
    print(f"Means over {len(seeds)} seeds; seconds are of `xmc train` for the plain model and of `xmc disentangle` for the others.\n")
    print("| model | beam | P@1 | P@3 | R@10 | PSP@5 | inner products | further places | s |\n|---|" + "--:|" * 8)
    for (name, beam), values in lines.items():
        p1, p3, r10, psp5, products, copies, seconds = (sum(column) / len(column) for column in zip(*values))
        cells = f"{p1:.2f} | {p3:.2f} | {r10:.2f} | {psp5:.2f} | {products:.1f} | {copies:.0f} | {seconds:.2f}"
        print(f"| {name} | {beam} | {cells} |")


if __name__ == "__main__":
    main()
