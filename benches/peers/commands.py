"""What is run: one command for each task, and the names under which the engines report their stages.

A task is `experiment.step`. Change an option or a JSON key of either engine here and nowhere else.
"""

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent

# Stages of the two engines' JSON reports that make up one line of the tables.
TEXT_STAGES = ("tfidf", "fit", "transform_train")
TREE_STAGES = ("label_features", "tree")
WEIGHT_STAGES = ("weights", "merge")
# Engines that grow the tree and train in one call.
WHOLE_STAGES = ("train",)

# The further engines: script, what is said when training, what when predicting. Omikuji searches alike in both of its experiments.
RUNNERS = {
    "omikuji": ("omikuji_run.py", [], []),
    "omikuji-3": ("omikuji_run.py", ["--defaults"], []),
    "napkinxc": ("napkinxc_run.py", [], []),
    "napkinxc-default": ("napkinxc_run.py", ["--defaults"], ["--defaults"]),
    "floor": ("floor_run.py", [], []),
}

# Every experiment trains, then predicts. `text` takes its own features, all others the same; `given-tree` is xmc on
# PECOS's tree, `our-tree` is PECOS on xmc's tree.
EXPERIMENTS = ("pecos", "xmc", "given-tree", "our-tree", "text", *RUNNERS)
OURS = ("xmc", "given-tree", "text")


@dataclass
class Setup:
    """Where things are and the settings that the engines share."""

    python: Path
    xmc: Path
    data: Path
    work: Path
    titles: Path | None
    threads: int
    top_k: int
    beam: int
    seed: int
    max_ngram: int
    single: int
    limit: float | None
    xmc_options: list
    text_options: list

    def model(self, experiment):
        return self.work / "models" / experiment

    def predictions(self, experiment):
        return self.work / "predictions" / f"{experiment}.npz"

    def omikuji_text(self):
        return self.work / "omikuji-train.txt"

    def tree(self):
        """PECOS's cluster matrices, the top one first."""
        found = (self.work / "tree").glob("C*.npz")
        return ",".join(str(path) for path in sorted(found, key=lambda path: int(path.stem[1:])))


def pecos(setup, verb, *options):
    return [setup.python, HERE / "pecos_run.py", verb, *options]


def runner(setup, experiment, verb, *options):
    script, training, predicting = RUNNERS[experiment]
    return [setup.python, HERE / script, verb, *options, *(training if verb == "train" else predicting)]


def needs_text(experiment):
    """Omikuji reads no matrices."""
    return experiment.startswith("omikuji")


def convert(setup):
    """Omikuji's training file, made once from the matrices."""
    given = ["--train", setup.data / "X.trn.npz", "--train-labels", setup.data / "Y.trn.npz"]
    return [setup.python, HERE / "omikuji_run.py", "convert", *given, "--out", setup.omikuji_text()]


def facts(setup):
    """Sizes of the data and versions of the engines."""
    return [setup.python, HERE / "facts.py", "--data", setup.data]


def train(setup, experiment):
    """The training command of an experiment."""
    model = setup.model(experiment)
    x, y = setup.data / "X.trn.npz", setup.data / "Y.trn.npz"
    given = ["--train", x, "--train-labels", y, "--model", model]
    ours = ["--threads", setup.threads, "--seed", setup.seed, "--json"]
    theirs = ["--threads", setup.threads, "--seed", setup.seed, "--beam", setup.beam]
    if experiment == "pecos":
        return pecos(setup, "train", *given, *theirs, "--tree-out", setup.work / "tree")
    if experiment == "our-tree":
        return pecos(setup, "train", *given, *theirs, "--tree", setup.work / "xmc-tree.json")
    if experiment == "xmc":
        return [setup.xmc, "train", *given, *ours, *setup.xmc_options]
    if experiment == "given-tree":
        return [setup.xmc, "train", *given, *ours, *setup.xmc_options, "--tree", setup.tree()]
    if experiment in RUNNERS:
        given = ["--train", setup.omikuji_text(), "--model", model] if needs_text(experiment) else given
        return runner(setup, experiment, "train", *given, "--threads", setup.threads, "--seed", setup.seed)
    titles, labels = setup.titles / "train.tsv.gz", setup.titles / "labels.tsv"
    given = ["--train", titles, "--labels", labels, "--model", model]
    return [setup.xmc, "train", *given, *ours, *setup.text_options]


def predict(setup, experiment, threads):
    """The prediction command of an experiment: the test set, one batch."""
    x = setup.titles / "test.tsv.gz" if experiment == "text" else setup.data / "X.tst.npz"
    given = ["--model", setup.model(experiment), "--input", x, "--output", setup.predictions(experiment)]
    given += ["--top-k", setup.top_k, "--threads", threads]
    if experiment in OURS:
        return [setup.xmc, "predict", *given, "--json"]
    if experiment in RUNNERS:
        given += ["--labels-like", setup.data / "Y.tst.npz", "--single", setup.single]
        return runner(setup, experiment, "predict", *given, "--beam", setup.beam)
    single = ["--single", setup.single] if experiment == "pecos" else []
    vectorizer = setup.data / "vectorizer"
    if single and setup.titles and vectorizer.is_dir():
        single += ["--vectorizer", vectorizer, "--titles", setup.titles / "test.tsv.gz"]
    return pecos(setup, "predict", *given, "--beam", setup.beam, *single)


def evaluate(setup, experiment):
    """xmc's own evaluation of an experiment, to hold its numbers against those of `score.py`."""
    given = ["--test", setup.data / "X.tst.npz", "--test-labels", setup.data / "Y.tst.npz"]
    if experiment == "text":
        given = ["--test", setup.titles / "test.tsv.gz"]
    return [setup.xmc, "eval", "--model", setup.model(experiment), *given, "--at", "1,3,5,10", "--json"]


def bench(setup, experiment):
    """Latencies of single queries of xmc."""
    given = ["--model", setup.model(experiment), "--test", setup.data / "X.tst.npz"]
    return [setup.xmc, "bench", *given, "--top-k", setup.top_k, "--queries", setup.single, "--no-batch", "--json"]


def bench_help(xmc):
    """Succeeds where the binary has `bench`."""
    return [xmc, "bench", "--help"]


def export_tree(setup):
    """Prints the tree of xmc's model as JSON: `{"layers": [{"child_ptr", "children", "n_children"}, ...]}`."""
    return [setup.xmc, "inspect", "--model", setup.model("xmc"), "--tree", "--json"]


def features(setup):
    """PECOS's vectoriser over the titles."""
    options = ["--titles", setup.titles, "--out", setup.data, "--max-ngram", setup.max_ngram]
    return pecos(setup, "features", *options, "--threads", setup.threads)


def score(setup, experiment, against=None):
    """P@k and the rest of an experiment's predictions."""
    command = [setup.python, HERE / "score.py", "--truth", setup.data / "Y.tst.npz"]
    command += ["--scores", setup.predictions(experiment)]
    return command + (["--against", setup.predictions(against)] if against else [])
