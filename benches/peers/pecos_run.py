"""PECOS's side of the comparison: features, training and prediction, one child process for each.

Runs inside the virtual environment that `compare.py` makes; nothing else needs PECOS. Every subcommand
prints one JSON object on standard output, its seconds measured by stage inside the process, so that
what PECOS does is told apart from reading files and importing Python. `compare.py` measures the whole
process from outside.

The settings are those of `python3 -m pecos.xmc.xlinear.train` where nothing is given: 16 splits, leaves of at
most 100 labels, PIFA label features, seed 0, teacher-forced negatives, threshold 0.1, bias 1, beam 10.
"""

import argparse
import gzip
import json
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sparse

from runner import Stages, print_report, save_matrix, single_rows, timed_calls


def read_titles(path, n_labels):
    """`label,label<TAB>text` lines, gzipped, as a 0/1 label matrix and the list of texts."""
    indptr, indices, texts = [0], [], []
    # Python's universal newlines would also split at a bare carriage return: only "\n" ends a row here.
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            labels, text = line.rstrip("\n").split("\t", 1)
            indices += sorted({int(label) for label in labels.split(",")}) if labels else []
            indptr.append(len(indices))
            texts.append(text)
    ones = np.ones(len(indices), dtype=np.float32)
    shape = (len(texts), n_labels)
    return sparse.csr_matrix((ones, np.asarray(indices), np.asarray(indptr)), shape=shape), texts


def features(args):
    from pecos.utils.featurization.text.vectorizers import Vectorizer

    stages = Stages()
    titles, out = Path(args.titles), Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    with stages.stage("read"):
        with open(titles / "labels.tsv", encoding="utf-8", newline="\n") as lines:
            n_labels = sum(1 for line in lines if line != "\n")
        y_train, train = read_titles(titles / "train.tsv.gz", n_labels)
        y_test, test = read_titles(titles / "test.tsv.gz", n_labels)
    kwargs = {"ngram_range": (1, args.max_ngram), "threads": args.threads}
    with stages.stage("fit"):
        vectorizer = Vectorizer.train(train, {"type": "tfidf", "kwargs": kwargs})
    with stages.stage("transform_train"):
        x_train = vectorizer.predict(train, threads=args.threads)
    with stages.stage("transform_test"):
        x_test = vectorizer.predict(test, threads=args.threads)
    with stages.stage("write"):
        vectorizer.save(str(out / "vectorizer"))
        for name, matrix in (("X.trn", x_train), ("X.tst", x_test), ("Y.trn", y_train), ("Y.tst", y_test)):
            save_matrix(out / f"{name}.npz", matrix)
    return stages.report(
        samples=x_train.shape[0], features=x_train.shape[1], labels=n_labels, nonzeros=int(x_train.nnz)
    )


def time_layers(seconds):
    """Have PECOS append the solver seconds of each layer, from the root down, to `seconds`."""
    from pecos.xmc.base import MLModel

    train = MLModel.train.__func__

    def timed(cls, *args, **kwargs):
        start = time.perf_counter()
        model = train(cls, *args, **kwargs)
        seconds.append(time.perf_counter() - start)
        return model

    MLModel.train = classmethod(timed)


def grow_tree(stages, x, y, args):
    from pecos.xmc.base import HierarchicalKMeans, LabelEmbeddingFactory

    with stages.stage("label_features"):
        embedding = LabelEmbeddingFactory.create(y, x, method=args.label_features, threads=args.threads)
    with stages.stage("tree"):
        params = {"nr_splits": args.branching, "max_leaf_size": args.max_leaf}
        params |= json.loads(args.tree_settings)
        return HierarchicalKMeans.gen(embedding, **params, seed=args.seed, threads=args.threads)


def read_tree(stages, paths):
    """A tree from cluster matrices, `C0.npz,C1.npz,...`, or from the JSON of xmc's `inspect --tree`."""
    from pecos.utils.cluster_util import ClusterChain

    with stages.stage("read"):
        if paths.endswith(".json"):
            return ClusterChain(list(cluster_matrices(json.loads(Path(paths).read_text()))))
        return ClusterChain([sparse.load_npz(path).tocsc().astype(np.float32) for path in paths.split(",")])


def save_tree(folder, tree):
    """The cluster matrices as C0.npz (the top), C1.npz, ...; those of an earlier, deeper tree are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for earlier in folder.glob("C*.npz"):
        earlier.unlink()
    for depth, level in enumerate(tree):
        sparse.save_npz(folder / f"C{depth}.npz", level, compressed=False)


def cluster_matrices(root):
    """The layers of xmc's tree, from the top, as matrices children x parents."""
    parents = [root]
    while parents:
        below = [child for parent in parents for child in parent["children"]]
        columns = np.repeat(np.arange(len(parents)), [len(parent["children"]) for parent in parents])
        # Labels have numbers of their own, clusters those of their places.
        rows = [child.get("label", place) for place, child in enumerate(below)]
        ones, shape = np.ones(len(rows), dtype=np.float32), (max(rows) + 1, len(parents))
        yield sparse.csc_matrix((ones, (rows, columns)), shape=shape)
        parents = [child for child in below if "label" not in child]


def train(args):
    from pecos.xmc.xlinear.model import XLinearModel

    stages, layers = Stages(), []
    with stages.stage("read"):
        x = XLinearModel.load_feature_matrix(args.train)
        y = XLinearModel.load_label_matrix(args.train_labels, for_training=True)
    tree = read_tree(stages, args.tree) if args.tree else grow_tree(stages, x, y, args)
    if args.tree_out:
        # Saved before the weights: the tree is then at hand, whatever happens to the rest of the run.
        save_tree(Path(args.tree_out), tree)
    time_layers(layers)
    with stages.stage("weights"):
        settings = {"beam_size": args.beam, **json.loads(args.settings)}
        relevance = XLinearModel.load_label_matrix(args.relevance, for_training=True) if args.relevance else None
        model = XLinearModel.train(x, y, C=tree, R=relevance, threads=args.threads, **settings)
    with stages.stage("write"):
        model.save(args.model)
    weights = [int(layer.W.nnz) for layer in model.model.model_chain]
    shapes = [list(level.shape) for level in tree]
    return stages.report(tree_shapes=shapes, layer_seconds=layers, layer_weights=weights, weights=sum(weights))


def text_latency(predict, args):
    from pecos.utils.featurization.text.vectorizers import Vectorizer

    vectorizer = Vectorizer.load(args.vectorizer)
    with gzip.open(args.titles, "rt", encoding="utf-8", newline="\n") as lines:
        texts = [line.rstrip("\n").split("\t", 1)[1] for _, line in zip(range(args.single), lines)]
    return timed_calls(lambda text: predict(vectorizer.predict([text], threads=1)), texts)


def predict(args):
    from pecos.xmc.xlinear.model import XLinearModel

    stages = Stages()
    with stages.stage("open"):
        model = XLinearModel.load(args.model, is_predict_only=True)
    with stages.stage("read"):
        x = XLinearModel.load_feature_matrix(args.input)
    search = {"only_topk": args.top_k, "beam_size": args.beam}
    if args.post_processor:
        search["post_processor"] = args.post_processor
    with stages.stage("predict"):
        scores = model.predict(x, threads=args.threads, **search)
    with stages.stage("write"):
        sparse.save_npz(args.output, scores.tocsr(), compressed=False)
    result = {"seconds": stages.wall["predict"], "queries": x.shape[0]}
    if args.single:

        def single(row):
            return model.predict(row, threads=1, **search)

        result["single_us"] = timed_calls(single, single_rows(x, args.single))
        if args.vectorizer and args.titles:
            result["single_text_us"] = text_latency(single, args)
    return stages.report(**result)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)

    verb = verbs.add_parser("features", help="titles to matrices with PECOS's TF-IDF")
    verb.add_argument("--titles", required=True, help="folder with train.tsv.gz, test.tsv.gz, labels.tsv")
    verb.add_argument("--out", required=True, help="folder for X.trn.npz, X.tst.npz, Y.trn.npz, Y.tst.npz")
    verb.add_argument("--max-ngram", type=int, default=2, help="word n-grams up to this length [2]")
    verb.set_defaults(run=features)

    verb = verbs.add_parser("train", help="tree and weights of XR-Linear")
    verb.add_argument("--train", required=True, help="instance features, CSR .npz (n x d)")
    verb.add_argument("--train-labels", required=True, help="labels, CSR .npz (n x L)")
    verb.add_argument("--model", required=True, help="folder for the model")
    verb.add_argument("--tree", help="train on this tree: C0.npz,C1.npz,... from the top, or a .json of xmc")
    verb.add_argument("--tree-out", help="folder for the tree's cluster matrices, C0.npz at the top")
    verb.add_argument("--branching", type=int, default=16, help="children of an inner node [16]")
    verb.add_argument("--max-leaf", type=int, default=100, help="labels in a leaf cluster at most [100]")
    verb.add_argument("--seed", type=int, default=0, help="seed of the clustering [0]")
    verb.add_argument("--beam", type=int, default=10, help="beam stored in the model [10]")
    verb.add_argument("--label-features", default="pifa", help="PECOS's name of a method [pifa]")
    verb.add_argument("--tree-settings", default="{}", help="more settings of HierarchicalKMeans.gen (JSON)")
    verb.add_argument("--settings", default="{}", help="more settings of XLinearModel.train (JSON)")
    verb.add_argument("--relevance", help="what each label is worth to each instance, CSR .npz (n x L)")
    verb.set_defaults(run=train)

    verb = verbs.add_parser("predict", help="ranked labels of a matrix with the predict-only model")
    verb.add_argument("--model", required=True, help="folder of the model")
    verb.add_argument("--input", required=True, help="instance features, CSR .npz")
    verb.add_argument("--output", required=True, help="scores, CSR .npz (n x L)")
    verb.add_argument("--top-k", type=int, default=10, help="labels for a query [10]")
    verb.add_argument("--beam", type=int, default=10, help="beam width [10]")
    verb.add_argument("--post-processor", help="PECOS's name of a transform of margins")
    verb.add_argument("--single", type=int, default=0, help="also time this many queries one at a time")
    verb.add_argument("--vectorizer", help="time them from text too, with this saved vectoriser ...")
    verb.add_argument("--titles", help="... on the titles of this .tsv.gz")
    verb.set_defaults(run=predict)

    for verb in verbs.choices.values():
        verb.add_argument("--threads", type=int, default=2, help="threads of PECOS's own pools [2]")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parse_args()
    print_report(arguments.run(arguments))
