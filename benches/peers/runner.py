"""What the runners of all engines share: stage times, latencies, matrices. Runs inside the virtual environment.

A runner is a script with the verbs `train` and `predict` that prints one JSON object: `stages` and `cpu`, the wall and
processor seconds of its stages, `peak_mib`, and after a prediction `seconds`, `queries` and, if asked for, `single_us`.
"""

import json
import resource
import sys
import time
from contextlib import contextmanager

import numpy as np
import scipy.sparse as sparse


class Stages:
    """Wall and processor seconds of named stages, in the order in which they first ran."""

    def __init__(self):
        self.wall = {}
        self.cpu = {}

    @contextmanager
    def stage(self, name):
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall[name] = self.wall.get(name, 0.0) + time.perf_counter() - wall
        self.cpu[name] = self.cpu.get(name, 0.0) + time.process_time() - cpu

    def report(self, **fields):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"stages": self.wall, "cpu": self.cpu, "peak_mib": peak, **fields}


def percentiles(seconds):
    """p50, p99 and the mean in microseconds."""
    micros = np.asarray(seconds) * 1e6
    return {"p50": np.percentile(micros, 50), "p99": np.percentile(micros, 99), "mean": micros.mean()}


def timed_calls(call, inputs):
    seconds = []
    for value in inputs:
        start = time.perf_counter()
        call(value)
        seconds.append(time.perf_counter() - start)
    return percentiles(seconds)


def load_matrix(path):
    return sparse.load_npz(path).tocsr()


def save_matrix(path, matrix):
    """Uncompressed CSR of float32 with sorted columns; renamed last, so that a reader never sees half a file."""
    matrix = matrix.tocsr().astype(np.float32)
    matrix.sort_indices()
    part = path.with_name("part." + path.name)
    sparse.save_npz(part, matrix, compressed=False)
    part.rename(path)


def single_rows(x, n):
    """The first `n` rows, cut beforehand: slicing a SciPy matrix costs about as much as a query."""
    return [x[row] for row in range(min(n, x.shape[0]))]


def n_columns(path):
    """The width of a saved matrix, without reading the rest of it."""
    with np.load(path) as arrays:
        return int(arrays["shape"][1])


def save_rankings(path, rankings, n_labels):
    """Rankings, a pair of arrays `labels, scores` for each query, as the CSR matrix that `score.py` reads."""
    indptr = np.concatenate(([0], np.cumsum([len(labels) for labels, _ in rankings])))
    indices = np.concatenate([labels for labels, _ in rankings]).astype(np.int64)
    data = np.concatenate([scores for _, scores in rankings]).astype(np.float32)
    sparse.save_npz(path, sparse.csr_matrix((data, indices, indptr), shape=(len(rankings), n_labels)), compressed=False)


def add_train(verbs, run, *, matrices=True):
    """The verb `train` with what every engine takes; `matrices=False` where it reads a file of its own form."""
    verb = verbs.add_parser("train", help="train a model")
    verb.add_argument("--train", required=True, help="instance features, CSR .npz (n x d)" if matrices else "training data")
    if matrices:
        verb.add_argument("--train-labels", required=True, help="labels, CSR .npz (n x L)")
    verb.add_argument("--model", required=True, help="folder for the model")
    verb.add_argument("--seed", type=int, default=0, help="seed, where the engine takes one [0]")
    verb.add_argument("--threads", type=int, default=2, help="threads of training [2]")
    verb.set_defaults(run=run)
    return verb


def add_predict(verbs, run):
    verb = verbs.add_parser("predict", help="ranked labels of a matrix")
    verb.add_argument("--model", required=True, help="folder of the model")
    verb.add_argument("--input", required=True, help="instance features, CSR .npz")
    verb.add_argument("--labels-like", required=True, help="a matrix with as many columns as there are labels, .npz")
    verb.add_argument("--output", required=True, help="scores, CSR .npz (n x L)")
    verb.add_argument("--top-k", type=int, default=10, help="labels for a query [10]")
    verb.add_argument("--beam", type=int, default=10, help="beam width, where the engine searches with a beam [10]")
    verb.add_argument("--single", type=int, default=0, help="also time this many queries one at a time")
    verb.add_argument("--threads", type=int, default=1, help="threads of the batch [1]")
    verb.set_defaults(run=run)
    return verb


def print_report(report):
    json.dump(report, sys.stdout)
    print()
