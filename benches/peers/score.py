"""One measuring stick for every engine: P@k, R@k, nDCG@k and PSP@k in percent, from prediction matrices.

Runs inside the virtual environment (NumPy, SciPy); prints one JSON object. Conventions, those of PECOS's own
`Metrics.generate`: labels rank by score, ties by the lower label number; precision divides by k even when
fewer labels came back; recall divides by the number of true labels; all rows count, those without a
true label with 0. nDCG@k divides by the gain of min(k, true labels) hits. PSP@k (with `--train-labels`) weighs a hit by
one over the label's propensity (Jain et al. 2016, A = 0.55, B = 1.5) and divides by the best that any ranking could have.
"""

import argparse
import json

import numpy as np
import scipy.sparse as sparse


def ranked(scores, top_k):
    """The first `top_k` labels of each row, best first: arrays `rows`, `ranks`, `labels`."""
    scores = scores.tocsr()
    rows = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))
    order = np.lexsort((scores.indices, -scores.data, rows))
    # Sorting keeps the rows together, so a rank is the distance from the row's first entry.
    ranks = np.arange(len(rows)) - scores.indptr[rows]
    kept = ranks < top_k
    return rows[kept], ranks[kept], scores.indices[order][kept].astype(np.int64)


def hits(truth, rows, labels):
    """Which (row, label) pairs are in the 0/1 matrix `truth`."""
    width = truth.shape[1]
    true_rows = np.repeat(np.arange(truth.shape[0]), np.diff(truth.indptr))
    return np.isin(rows * width + labels, true_rows * width + truth.indices.astype(np.int64))


def inverse_propensities(train_labels, a=0.55, b=1.5):
    """For each label one over the chance that an instance that has it says so."""
    counts, n = np.bincount(train_labels.indices, minlength=train_labels.shape[1]), train_labels.shape[0]
    c = (np.log(n) - 1.0) * (b + 1.0) ** a
    return 1.0 + c * (counts + b) ** -a


def propensity_scored(truth, scores, at, worth):
    """Percentages keyed `psp@k`; `worth` is that of a hit on each label."""
    rows, ranks, labels = ranked(scores, max(at))
    hit = hits(truth, rows, labels)
    best_rows, best_ranks, best_labels = ranked(truth.multiply(worth[None, :]).tocsr(), max(at))
    result = {}
    for k in at:
        found = worth[labels[hit & (ranks < k)]].sum()
        result[f"psp@{k}"] = 100.0 * float(found / worth[best_labels[best_ranks < k]].sum())
    return result


def metrics(truth, scores, at):
    """Percentages keyed `p@k`, `r@k`, `ndcg@k`."""
    rows, ranks, labels = ranked(scores, max(at))
    hit = hits(truth, rows, labels)
    true_labels = np.diff(truth.indptr)
    discounts = 1.0 / np.log2(np.arange(max(at)) + 2.0)
    ideal = np.concatenate(([1.0], np.cumsum(discounts)))
    result = {}
    for k in at:
        found = hit & (ranks < k)
        count = np.bincount(rows[found], minlength=truth.shape[0])
        gain = np.bincount(rows[found], weights=discounts[ranks[found]], minlength=truth.shape[0])
        result[f"p@{k}"] = 100.0 * float(np.mean(count / k))
        result[f"r@{k}"] = 100.0 * float(np.mean(count / np.maximum(true_labels, 1)))
        result[f"ndcg@{k}"] = 100.0 * float(np.mean(gain / ideal[np.minimum(np.maximum(true_labels, 1), k)]))
    return result


def agreement(scores, other, at):
    """How alike two rankings are: share of equal first labels, and of the first k labels in common."""
    rows, _, labels = ranked(scores, at)
    other_rows, _, other_labels = ranked(other, at)
    width = scores.shape[1]
    common = np.isin(rows * width + labels, other_rows * width + other_labels).sum()
    first, other_first = first_labels(scores), first_labels(other)
    return {"same_first": 100.0 * float(np.mean(first == other_first)), f"common@{at}": 100.0 * common / len(rows)}


def first_labels(scores):
    """The best label of each row, -1 where the row is empty."""
    rows, _, labels = ranked(scores, 1)
    first = np.full(scores.shape[0], -1, dtype=np.int64)
    first[rows] = labels
    return first


def load(path):
    return sparse.load_npz(path).tocsr()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", required=True, help="true labels, CSR .npz (n x L)")
    parser.add_argument("--scores", required=True, help="predicted scores, CSR .npz (n x L)")
    parser.add_argument("--train-labels", help="labels of the training data, CSR .npz: adds PSP@k")
    parser.add_argument("--against", help="other predictions to compare the ranking with")
    parser.add_argument("--at", default="1,3,5,10", help="cut-offs [1,3,5,10]")
    args = parser.parse_args()
    at = [int(k) for k in args.at.split(",")]
    truth, scores = load(args.truth), load(args.scores)
    truth.eliminate_zeros()
    if truth.shape != scores.shape:
        parser.error(f"{args.scores}: expected the shape {truth.shape} of the truth, found {scores.shape}")
    result = metrics(truth, scores, at)
    if args.train_labels:
        train_labels = load(args.train_labels)
        train_labels.eliminate_zeros()
        result |= propensity_scored(truth, scores, at, inverse_propensities(train_labels))
    if args.against:
        result["agreement"] = agreement(scores, load(args.against), max(at))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
