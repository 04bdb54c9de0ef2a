#!/usr/bin/env python3
"""All measurements of docs/BENCHMARKS.md, and the page itself with its plots.

    cargo build --release
    python3 benches/peers/benchmarks.py peers finna --titles TITLES      # all engines on titles, or ...
    python3 benches/peers/benchmarks.py peers eurlex-4k amazon-3m@0.05   # ... on `xmc synth PRESET --scale SCALE`, or ...
    python3 benches/peers/benchmarks.py peers NAME --data DATA           # ... on matrices of your own
    python3 benches/peers/benchmarks.py slopes                           # how training and queries grow with instances and labels
    python3 benches/peers/benchmarks.py instances finna --data DATA      # ... and with instances alone
    python3 benches/peers/benchmarks.py cores eurlex-4k                  # what further threads are worth
    python3 benches/peers/benchmarks.py report                           # the page from all that was measured

Every measurement is a run of `compare.py` in a folder of its own below --work and is kept there: a phase that is started again goes
on where it stopped (`--again` forgets), and `report` renders what is there, beside what the page has of data sets and scales that are not.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import compare
import page
import report
from sets import PRESETS, synth_preset

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# What can be made again.
DISPOSABLE = ("data", "models", "predictions", "tree", "omikuji-train.txt", "xmc-tree.json")


def make_data(args, name, folder):
    """Matrices of a synthetic set, unless they are there."""
    preset = synth_preset(name)
    if not preset or folder.exists():
        return
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([args.xmc, "synth", preset[0], "--scale", preset[1], "--out", part, "--quiet"], check=True)
    part.rename(folder)


def compare_in(args, folder, *options):
    """Run `compare.py` with a work folder of its own."""
    command = [sys.executable, HERE / "compare.py", "all", "--work", folder, "--venv", args.venv, "--xmc", args.xmc]
    command += ["--python", args.python, "--repeats", args.repeats, "--experiments", args.experiments, *options]
    command += [] if args.again else ["--resume"]
    command += ["--limit", args.limit] if args.limit else []
    done = subprocess.run([str(word) for word in command], stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        sys.exit(f"benchmarks: compare.py failed in {folder}")


def peers(args):
    for name in args.sets:
        folder = args.work / "sets" / name
        make_data(args, name, folder / "data")
        options = ["--threads", args.threads, "--floor-max-labels", args.floor_max_labels]
        options += ["--titles", args.titles] if args.titles and not synth_preset(name) else []
        options += ["--data", args.data] if args.data else []
        compare_in(args, folder, *options)


def slopes(args):
    for preset in args.presets.split(","):
        for scale in args.scales.split(","):
            folder = args.work / "slopes" / f"{preset}@{scale}"
            if complete(args, folder) and not args.again:
                continue
            make_data(args, folder.name, folder / "data")
            compare_in(args, folder, "--threads", args.threads)
            if not args.keep:
                discard(folder)


def instances(args):
    for share in args.shares.split(","):
        folder = args.work / "instances" / f"{args.set}@{share}"
        if complete(args, folder) and not args.again:
            continue
        make_share(args, share, folder / "data")
        compare_in(args, folder, "--threads", args.threads)
        if not args.keep:
            discard(folder)


def make_share(args, share, folder):
    """A share of a set's training instances, unless it is there."""
    if folder.exists():
        return
    data = args.data or args.work / "sets" / args.set / "data"
    make_data(args, args.set, data)
    python = compare.make_venv(args.venv.absolute(), args.python)
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    subprocess.run([python, HERE / "rows.py", "--data", data, "--share", share, "--out", part], check=True)
    part.rename(folder)


def complete(args, folder):
    """Whether all rounds of all experiments are measured."""
    runs = compare.Runs(folder / "runs.json")
    return all(runs.rounds(experiment) >= args.repeats for experiment in args.experiments.split(","))


def discard(folder):
    """Remove what can be made again; the measurements stay."""
    for path in (folder / name for name in DISPOSABLE):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def cores(args):
    data = args.data or args.work / "sets" / args.set / "data"
    make_data(args, args.set, data)
    for threads in args.counts.split(","):
        folder = args.work / "cores" / args.set / f"threads-{threads}"
        compare_in(args, folder, "--data", data, "--threads", threads, "--predict-threads", threads)
        if not args.keep:
            discard(folder)


def measured(folder):
    """What `compare.py` left in a folder: facts, numbers by experiment, notes; `None` if nothing."""
    if not (folder / "facts.json").exists():
        return None
    facts = json.loads((folder / "facts.json").read_text())
    return {"name": folder.name, **facts, "experiments": report.summarise(compare.Runs(folder / "runs.json").tasks)}


def collect(work):
    """Everything that was measured, as the page and the plots take it."""
    found = {phase: [measured(folder) for folder in sorted((work / phase).glob("*"))] for phase in ("sets", "slopes", "instances")}
    numbers = {phase: [entry for entry in entries if entry] for phase, entries in found.items()}
    numbers["cores"] = []
    for folder in sorted((work / "cores").glob("*")):
        runs = [entry for entry in map(measured, folder.glob("threads-*")) if entry]
        runs.sort(key=lambda entry: entry["settings"]["threads"])
        numbers["cores"].append({"name": folder.name, "runs": runs})
    return numbers


def overlaid(earlier, numbers):
    """What the page was made of `earlier`, with what was measured since in its place: data sets and scales that were not measured again stay."""
    found = {}
    for phase, entries in numbers.items():
        again = {entry["name"] for entry in entries}
        found[phase] = entries + [entry for entry in earlier.get(phase, []) if entry["name"] not in again]
        found[phase].sort(key=place)
    return found


def place(entry):
    """Data sets by name, scales and shares of one by size."""
    return entry["name"].partition("@")[0], entry["data"]["nonzeros"] if "data" in entry else 0


def write_report(args):
    page_numbers = args.out / "benchmarks" / "numbers.json"
    earlier = json.loads(page_numbers.read_text()) if page_numbers.exists() and not args.afresh else {}
    numbers = overlaid(earlier, collect(args.work))
    if not any(numbers.values()):
        sys.exit(f"benchmarks: nothing was measured in {args.work}; run `peers`, `slopes`, `instances` or `cores` first")
    plots = args.out / "benchmarks"
    plots.mkdir(parents=True, exist_ok=True)
    page_numbers.write_text(json.dumps(numbers, indent=1) + "\n")
    python = compare.make_venv(args.venv.absolute(), args.python)
    subprocess.run([python, HERE / "plots.py", page_numbers, plots], check=True)
    drawn = {path.stem for path in plots.glob("*.svg")}
    (args.out / "BENCHMARKS.md").write_text(page.render(numbers, drawn))
    print(f"{args.out / 'BENCHMARKS.md'}: {len(numbers['sets'])} sets, {len(drawn)} plots", file=sys.stderr)


def common_options():
    parser = argparse.ArgumentParser(add_help=False)
    target = ROOT / "target"
    parser.add_argument("--work", type=Path, default=target / "benchmarks", help="folder for everything made [target/benchmarks]")
    parser.add_argument("--venv", type=Path, default=target / "peers" / "venv", help="the engines' environment [target/peers/venv]")
    parser.add_argument("--python", default=sys.executable, help="Python 3.10 to 3.12 to make it with [this one]")
    return parser


def measuring_options(experiments):
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--xmc", type=Path, default=ROOT / "target" / "release" / "xmc", help="the binary")
    parser.add_argument("--experiments", default=experiments, help="of `compare.py` [%(default)s]")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of each [3]")
    parser.add_argument("--limit", type=float, help="seconds after which a process is stopped and its experiment given up")
    parser.add_argument("--threads", type=int, default=2, help="threads of training [2]")
    parser.add_argument("--again", action="store_true", help="forget what is there and measure anew")
    return parser


def parse_args():
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=shape)
    phases = parser.add_subparsers(dest="phase", required=True)
    everyone = "pecos,xmc,omikuji,omikuji-3,napkinxc,napkinxc-default,floor"

    phase = phases.add_parser("peers", parents=[common_options(), measuring_options(everyone)], help="all engines")
    phase.add_argument("sets", nargs="+", metavar="SET", help=f"a name, or PRESET[@SCALE] with {', '.join(PRESETS)}")
    phase.add_argument("--titles", type=Path, help="folder with train.tsv.gz, test.tsv.gz, labels.tsv")
    phase.add_argument("--data", type=Path, help="folder with matrices of your own, for one SET")
    phase.add_argument("--floor-max-labels", type=int, default=5000, help="more labels than these: no floor [5000]")
    phase.set_defaults(run=peers)

    phase = phases.add_parser("slopes", parents=[common_options(), measuring_options("xmc,pecos")], help="growth with instances and labels")
    phase.add_argument("--presets", default="amazon-3m,amazon-670k", help="of `xmc synth` [%(default)s]")
    phase.add_argument("--scales", default="0.01,0.02,0.05,0.1,0.2", help="of each preset [%(default)s]")
    phase.add_argument("--keep", action="store_true", help="keep matrices and models")
    phase.set_defaults(run=slopes)

    phase = phases.add_parser("instances", parents=[common_options(), measuring_options("xmc,pecos")], help="growth with instances alone")
    phase.add_argument("set", metavar="SET", help="as for `peers`; its matrices are taken if they are there")
    phase.add_argument("--data", type=Path, help="folder with matrices of your own")
    phase.add_argument("--shares", default="0.0625,0.125,0.25,0.5,1", help="of its training instances [%(default)s]")
    phase.add_argument("--keep", action="store_true", help="keep matrices and models")
    phase.set_defaults(run=instances)

    everyone_once = "xmc,pecos,omikuji,napkinxc"
    phase = phases.add_parser("cores", parents=[common_options(), measuring_options(everyone_once)], help="growth with threads")
    phase.add_argument("set", metavar="SET", help="as for `peers`; its matrices are taken if they are there")
    phase.add_argument("--data", type=Path, help="folder with matrices of your own")
    phase.add_argument("--counts", default="1,2", help="numbers of threads [%(default)s]")
    phase.add_argument("--keep", action="store_true", help="keep models")
    phase.set_defaults(run=cores)

    phase = phases.add_parser("report", parents=[common_options()], help="the page and the plots")
    phase.add_argument("--out", type=Path, default=ROOT / "docs", help="folder of BENCHMARKS.md and benchmarks/ [docs]")
    phase.add_argument("--afresh", action="store_true", help="forget data sets and scales on the page that are not in --work")
    phase.set_defaults(run=write_report)
    return parser, parser.parse_args()


def main():
    parser, args = parse_args()
    if args.phase == "peers" and args.data and len(args.sets) > 1:
        parser.error("--data: give one SET with it")
    args.run(args)


if __name__ == "__main__":
    main()
