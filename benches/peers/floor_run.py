"""The floor of the comparison: a linear classifier for each label on all instances (one-vs-rest), no tree.

scikit-learn's `LinearSVC` is LIBLINEAR: squared hinge by dual coordinate descent, C = 1, ε = 0.1, at most 100 passes, bias 1. Weights
below 0.1 are dropped, as the other engines do. Training grows with instances times labels, so this is for few labels; what it
scores is what a tree could reach if it lost nothing.
"""

import argparse
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from runner import Stages, add_predict, add_train, load_matrix, n_columns, print_report, save_rankings, single_rows, timed_calls

THRESHOLD = 0.1

# Queries that are scored together: their scores of all labels are dense.
BATCH = 512


def weights_of(x, positives, seed):
    """Weights and bias of one label; a label that all or no instances have needs no weights."""
    empty = sparse.csr_matrix((1, x.shape[1]), dtype=np.float32)
    if len(positives) in (0, x.shape[0]):
        return empty, 1.0 if len(positives) else -np.inf
    target = np.zeros(x.shape[0])
    target[positives] = 1
    model = LinearSVC(C=1.0, tol=0.1, max_iter=100, dual=True, random_state=seed).fit(x, target)
    weights = model.coef_.astype(np.float32)
    weights[np.abs(weights) < THRESHOLD] = 0
    return sparse.csr_matrix(weights), float(model.intercept_[0])


def train(args):
    # Stopping at the limit of passes is one of the settings, not news.
    warnings.simplefilter("ignore", ConvergenceWarning)
    stages = Stages()
    with stages.stage("read"):
        # LIBLINEAR works on float64; converted here once, not once for each label.
        x, y = load_matrix(args.train).astype(np.float64), load_matrix(args.train_labels).tocsc()
    positives = np.split(y.indices, y.indptr[1:-1])
    # The solver releases Python's lock, so threads are enough.
    with stages.stage("train"), ThreadPoolExecutor(args.threads) as pool:
        trained = list(pool.map(lambda rows: weights_of(x, rows, args.seed), positives))
    with stages.stage("write"):
        folder = Path(args.model)
        folder.mkdir(parents=True, exist_ok=True)
        weights = sparse.vstack([weights for weights, _ in trained], format="csc").T
        sparse.save_npz(folder / "weights.npz", weights.tocsr(), compressed=False)
        np.save(folder / "bias.npy", np.array([bias for _, bias in trained], dtype=np.float32))
    return stages.report(weights=int(weights.nnz))


def rank(scores, top_k):
    """The best labels of each row of dense scores, best first."""
    top = np.argpartition(-scores, min(top_k, scores.shape[1]) - 1, axis=1)[:, :top_k]
    found = np.take_along_axis(scores, top, axis=1)
    order = np.argsort(-found, axis=1)
    return zip(np.take_along_axis(top, order, axis=1), np.take_along_axis(found, order, axis=1))


def predict(args):
    stages = Stages()
    folder = Path(args.model)
    with stages.stage("open"):
        weights, bias = load_matrix(folder / "weights.npz"), np.load(folder / "bias.npy")
    with stages.stage("read"):
        x = load_matrix(args.input)

    def batch(start):
        return list(rank((x[start : start + BATCH] @ weights).toarray() + bias, args.top_k))

    with stages.stage("predict"), ThreadPoolExecutor(args.threads) as pool:
        rankings = [ranking for part in pool.map(batch, range(0, x.shape[0], BATCH)) for ranking in part]
    with stages.stage("write"):
        save_rankings(args.output, rankings, n_columns(args.labels_like))
    result = {"seconds": stages.wall["predict"], "queries": x.shape[0]}
    if args.single:
        rows = single_rows(x, args.single)
        result["single_us"] = timed_calls(lambda row: list(rank((row @ weights).toarray() + bias, args.top_k)), rows)
    return stages.report(**result)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    add_train(verbs, train)
    add_predict(verbs, predict)
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parse_args()
    print_report(arguments.run(arguments))
