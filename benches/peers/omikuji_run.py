"""Omikuji's side of the comparison: its training file, training and prediction, one child process for each.

As matched to PECOS: one tree, balanced 2-means with every four layers collapsed into one of 16 children (which is how
PECOS makes its own), no splits below 100 labels, squared hinge (what Omikuji calls "Hinge") with C = 1, ε = 0.1 and at most
100 passes, weights below 0.1 dropped, beam 10. `--defaults` takes Omikuji's own: three binary trees, 20 passes.
Omikuji has no seed: two trainings on the same data differ.

Its logger writes to standard output, where the report of a runner belongs: everything but the report goes to standard error.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from runner import Stages, add_predict, add_train, load_matrix, n_columns, print_report, save_rankings, timed_calls

MATCHED = {"n_trees": 1, "collapse_every_n_layers": 3, "linear_max_iter": 100}

# Vectors that are denser than this are opened as dense ones, as Omikuji's command line does; its Python does not by itself.
MAX_SPARSE_DENSITY = 0.1


def convert(args):
    """The matrices as text, the only form that Omikuji trains on: `label,label feature:value …` below a line of sizes."""
    stages = Stages()
    with stages.stage("read"):
        x, y = load_matrix(args.train), load_matrix(args.train_labels)
    out = Path(args.out)
    part = out.with_suffix(".part")
    with stages.stage("write"), open(part, "w", encoding="ascii") as text:
        text.write(f"{x.shape[0]} {x.shape[1]} {y.shape[1]}\n")
        text.writelines(lines(x, y))
    part.rename(out)
    return stages.report()


def lines(x, y):
    for row in range(x.shape[0]):
        labels = y.indices[y.indptr[row] : y.indptr[row + 1]].tolist()
        columns = slice(x.indptr[row], x.indptr[row + 1])
        # Nine digits give back every float32.
        features = [f"{j}:{v:.9g}" for j, v in zip(x.indices[columns].tolist(), x.data[columns].tolist())]
        yield ",".join(map(str, labels)) + " " + " ".join(features) + "\n"


def train(args):
    import omikuji

    stages = Stages()
    settings = omikuji.Model.default_hyper_param()
    for name, value in {} if args.defaults else MATCHED.items():
        setattr(settings, name, value)
    # `Model.train_on_data` is these calls in one; reading text apart from learning is fairer to Omikuji.
    lib, ffi = omikuji.lib, omikuji.ffi
    pool = ffi.gc(lib.init_omikuji_thread_pool(args.threads), lib.free_omikuji_thread_pool)
    with stages.stage("read"):
        data = lib.load_omikuji_data_set(ffi.new("char[]", args.train.encode()), pool)
        if data == ffi.NULL:
            sys.exit(f"omikuji: cannot read {args.train}")
        data = ffi.gc(data, lib.free_omikuji_data_set)
    with stages.stage("train"):
        trained = lib.train_omikuji_model(data, settings, pool)
        if trained == ffi.NULL:
            sys.exit("omikuji: training failed")
    model = omikuji.Model(trained)
    with stages.stage("write"):
        model.save(args.model)
    return stages.report(trees=model.n_trees)


class Search:
    """Queries through the C function of the wheel, from arrays: its Python wrapper copies value by value, which costs more than the search."""

    def __init__(self, model, beam, top_k):
        import omikuji

        self.lib, self.ffi = omikuji.lib, omikuji.ffi
        self.model, self.beam, self.top_k = model, beam, top_k
        self.labels, self.scores = np.empty(top_k, np.uint32), np.empty(top_k, np.float32)
        self.out = self.ffi.from_buffer("uint32_t[]", self.labels), self.ffi.from_buffer("float[]", self.scores)

    def __call__(self, row):
        features, values = row
        given = self.ffi.from_buffer("uint32_t[]", features), self.ffi.from_buffer("float[]", values)
        pool = self.model._thread_pool.ptr
        found = self.lib.omikuji_predict(
            self.model._model_ptr, self.beam, len(features), *given, self.top_k, *self.out, pool
        )
        return self.labels[:found].copy(), self.scores[:found].copy()


def rows_of(x):
    """Each row as arrays of sorted feature numbers and values."""
    x.sort_indices()
    features, values = x.indices.astype(np.uint32), x.data.astype(np.float32)
    cuts = x.indptr[1:-1]
    return list(zip(np.split(features, cuts), np.split(values, cuts)))


def predict(args):
    import omikuji

    stages = Stages()
    with stages.stage("open"):
        model = omikuji.Model.load(args.model)
        model.init_prediction_thread_pool(args.threads)
        model.densify_weights(MAX_SPARSE_DENSITY)
    with stages.stage("read"):
        rows = rows_of(load_matrix(args.input))
    search = Search(model, args.beam, args.top_k)
    with stages.stage("predict"):
        rankings = [search(row) for row in rows]
    with stages.stage("write"):
        save_rankings(args.output, rankings, n_columns(args.labels_like))
    result = {"seconds": stages.wall["predict"], "queries": len(rows)}
    if args.single:
        model.init_prediction_thread_pool(1)
        result["single_us"] = timed_calls(search, rows[: args.single])
    return stages.report(**result)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("convert", help="matrices to Omikuji's training file")
    verb.add_argument("--train", required=True, help="instance features, CSR .npz (n x d)")
    verb.add_argument("--train-labels", required=True, help="labels, CSR .npz (n x L)")
    verb.add_argument("--out", required=True, help="the file to write")
    verb.set_defaults(run=convert)
    add_train(verbs, train, matrices=False).add_argument("--defaults", action="store_true", help="Omikuji's own settings")
    add_predict(verbs, predict)
    return parser.parse_args()


def main():
    report_to = os.dup(1)
    os.dup2(2, 1)
    args = parse_args()
    report = args.run(args)
    sys.stdout.flush()
    os.dup2(report_to, 1)
    print_report(report)


if __name__ == "__main__":
    main()
