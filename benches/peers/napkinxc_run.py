"""napkinXC's side of the comparison: probabilistic label trees, trained and queried in one child process each.

As matched to PECOS: balanced 2-means trees with three of four layers taken out (`flatten_tree`), which gives the shape of PECOS's trees,
at most 100 labels below a node, squared hinge by dual coordinate descent with C = 1, ε = 0.1 and at most 100 passes, bias 1, weights
below 0.1 dropped, beam 10. `--defaults` takes napkinXC's own where they differ: binary trees, logistic loss with C = 10, exact
search for the best labels.

What cannot be matched: a squared hinge margin counts as exp(-max(0, 1 - margin)²), PECOS's "l2-hinge", not its default "l3-hinge".
"""

import argparse

import numpy as np
from napkinxc.models import PLT

from runner import (
    Stages, add_predict, add_train, load_matrix, n_columns, print_report, save_rankings, single_rows, timed_calls
)

MATCHED = {
    "arity": 2,
    "flatten_tree": 3,
    "max_leaves": 100,
    "loss": "l2",
    "liblinear_c": 1,
    "liblinear_eps": 0.1,
    "liblinear_max_iter": 100,
    "weights_threshold": 0.1,
}


def train(args):
    stages = Stages()
    with stages.stage("read"):
        x, y = load_matrix(args.train), load_matrix(args.train_labels)
        labels = [row.tolist() for row in np.split(y.indices, y.indptr[1:-1])]
    settings = {} if args.defaults else MATCHED
    model = PLT(args.model, seed=args.seed, threads=args.threads, verbose=0, **settings)
    # One call builds the tree, trains and writes the weights; what each takes cannot be told from outside.
    with stages.stage("train"):
        model.fit(x, labels)
    return stages.report()


def predict(args):
    stages = Stages()
    # A model does not keep how it is to be searched. Weights are opened as the hash tables that are the default:
    # version 0.7.2 crashes where a beam search meets `load_as="sparse"`.
    search = {} if args.defaults else {"tree_search_type": "beam", "beam_search_width": args.beam}
    model = PLT(args.model, threads=args.threads, verbose=0, **search)
    with stages.stage("open"):
        model.load()
    with stages.stage("read"):
        x = load_matrix(args.input)
    with stages.stage("predict"):
        found = model.predict_proba(x, top_k=args.top_k)
    with stages.stage("write"):
        rankings = [([label for label, _ in row], [score for _, score in row]) for row in found]
        save_rankings(args.output, rankings, n_columns(args.labels_like))
    result = {"seconds": stages.wall["predict"], "queries": x.shape[0]}
    if args.single:
        rows = single_rows(x, args.single)
        result["single_us"] = timed_calls(lambda row: model.predict_proba(row, top_k=args.top_k), rows)
    return stages.report(**result)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in (add_train(verbs, train), add_predict(verbs, predict)):
        verb.add_argument("--defaults", action="store_true", help="napkinXC's own settings")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parse_args()
    print_report(arguments.run(arguments))
