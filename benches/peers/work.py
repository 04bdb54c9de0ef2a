#!/usr/bin/env python3
"""How much work a data set and the tree of a model make for the solver, beside the time that it took.

    target/peers/venv/bin/python benches/peers/work.py --data DATA --report train.json MODEL

DATA holds X.trn.npz and Y.trn.npz, train.json is what `xmc train --json` printed for MODEL. A problem is a cluster: its instances are those that
have a label below it, and up to sixteen children are solved together. So what the solver goes through is, for each instance, its non-zeros
times the groups of sixteen children of all clusters that it is in. The more labels a set has, the fewer of an instance's labels share a cluster, and
the more groups there are: training grows faster than the non-zeros of the data until every label has a cluster of its own.
"""

import argparse
import json
import subprocess
from pathlib import Path

import numpy as np
import scipy.sparse as sparse

ROOT = Path(__file__).resolve().parents[2]
LANES = 16


def layers_of(tree):
    """For each layer, root first: the parent of every child, and the number of children of every parent."""
    level, layers = [tree], []
    while "children" in level[0]:
        children = [(parent, child) for parent, node in enumerate(level) for child in node["children"]]
        counts = np.array([len(node["children"]) for node in level])
        if "label" in children[0][1]:
            parents = np.empty(1 + max(child["label"] for _, child in children), dtype=np.int64)
            parents[[child["label"] for _, child in children]] = [parent for parent, _ in children]
            return [*layers, (parents, counts)]
        layers.append((np.array([parent for parent, _ in children]), counts))
        level = [child for _, child in children]
    return layers


def clusters_and_groups(y, layers):
    """For each layer, root first: clusters that an instance is in, and groups of their children, in the mean."""
    rows = np.repeat(np.arange(y.shape[0]), np.diff(y.indptr))
    nodes, found = y.indices.astype(np.int64), []
    for parents, counts in reversed(layers):
        pairs = np.unique(rows * len(counts) + parents[nodes])
        rows, nodes = pairs // len(counts), pairs % len(counts)
        groups = (counts[nodes] + LANES - 1) // LANES
        found.append((len(pairs) / y.shape[0], groups.sum() / y.shape[0]))
    return found[::-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder with X.trn.npz and Y.trn.npz")
    parser.add_argument("--report", type=Path, required=True, help="what `xmc train --json` printed")
    parser.add_argument("--xmc", type=Path, default=ROOT / "target" / "release" / "xmc", help="the binary")
    args = parser.parse_args()
    x, y = (sparse.load_npz(args.data / f"{name}.trn.npz").tocsr() for name in "XY")
    command = [args.xmc, "inspect", "--model", args.model, "--tree", "--json"]
    tree = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    stages = json.loads(args.report.read_text())["stages"]
    by_layer = clusters_and_groups(y, layers_of(tree))
    groups = sum(groups for _, groups in by_layer)
    numbers = {
        "nonzeros": int(x.nnz),
        "clusters": [round(clusters, 2) for clusters, _ in by_layer],
        "groups": round(groups, 1),
        "weights_s": round(stages["weights"], 2),
        "ns_for_nonzero_and_group": round(1e9 * stages["weights"] / (x.nnz * groups), 1),
    }
    print(json.dumps(numbers))


if __name__ == "__main__":
    main()
