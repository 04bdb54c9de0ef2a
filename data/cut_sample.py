#!/usr/bin/env python3
"""Cuts `finna-sample/` from the full finna-en data set.

    python3 data/cut_sample.py SOURCE [TARGET]

SOURCE has train.tsv.gz, test.tsv.gz (`row,row,...<TAB>title`) and labels.tsv (`YSO id<TAB>name`, whose
rows the data files number from 0). TARGET defaults to finna-sample beside this script. Only the standard
library is used; the same source gives the same bytes.

What is kept: 400 subjects that titles speak of, and titles that have at least one of them. The most
frequent subjects of the catalogue ("change", "good", "Works") can hardly be told from a title, so subjects
with enough titles are ranked by how well the best single word of the title tells them (its F1), and the
best are taken; names must be unique and without a comma. Titles are taken in the order of a hash, so that the choice is random but
fixed, those with several of the subjects first, each one as long as one of its subjects still lacks titles. Subjects that were not chosen are
removed from a title's list. In the files, subjects stand by name.
"""

import gzip
import hashlib
import io
import re
import sys
from collections import Counter
from pathlib import Path

N_LABELS = 400
# Titles that a subject must have in train.
MIN_TITLES = 150
# Titles that each subject gets at least (where there are so many). Test has a tenth of train.
QUOTA = {"train": 80, "test": 8}
# Shorter titles ("Annual report", "Poems") say too little of their subject to learn from.
MIN_WORDS = 3


def normal(title):
    """What makes two titles the same."""
    return " ".join(title.lower().split())


def order(title):
    return hashlib.sha256(normal(title).encode()).digest()


def read(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            labels, title = line.rstrip("\n").split("\t", 1)
            yield [int(label) for label in labels.split(",")], " ".join(title.split())


def words(title):
    return set(re.findall(r"\w+", title.lower()))


def choose_labels(names, train):
    counts = Counter(label for labels, _ in train for label in labels)
    shared = Counter(name for _, name in names)
    usable = {
        row
        for row, (_, name) in enumerate(names)
        if shared[name] == 1 and "," not in name and counts[row] >= MIN_TITLES
    }
    best = best_word_f1(usable, counts, train)
    return sorted(sorted(usable, key=lambda row: (-best[row], row))[:N_LABELS])


def best_word_f1(labels, counts, train):
    """F1 of `title has the word` as a predictor of each label, for the best word."""
    word_counts, pairs = Counter(), Counter()
    for title_labels, title in train:
        title_words = words(title)
        word_counts.update(title_words)
        pairs.update((label, word) for label in title_labels if label in labels for word in title_words)
    best = Counter()
    for (label, word), both in pairs.items():
        best[label] = max(best[label], 2 * both / (counts[label] + word_counts[word]))
    return best


def choose_titles(records, labels, quota, taken):
    """Titles in order, while one of their labels has fewer than `quota`."""
    usable = [(sorted(labels.intersection(all_labels)), title) for all_labels, title in records]
    usable = [(kept, title) for kept, title in usable if kept and len(title.split()) >= MIN_WORDS]
    usable.sort(key=lambda record: (len(record[0]) == 1, order(record[1])))
    chosen, count = [], Counter()
    for kept, title in usable:
        if normal(title) not in taken and any(count[label] < quota for label in kept):
            taken.add(normal(title))
            count.update(kept)
            chosen.append((kept, title))
    # Back to the order of the hash alone: the beginning of the file is then a fair sample of it.
    chosen.sort(key=lambda record: order(record[1]))
    return chosen


def write(path, records, names):
    text = "".join(
        ",".join(names[label][1] for label in labels) + "\t" + title + "\n" for labels, title in records
    )
    packed = io.BytesIO()
    # No time and no file name in the header: the bytes depend on the text alone.
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=9, mtime=0) as out:
        out.write(text.encode("utf-8"))
    path.write_bytes(packed.getvalue())


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    source = Path(sys.argv[1])
    target = Path(sys.argv[2]) if len(sys.argv) == 3 else Path(__file__).parent / "finna-sample"
    target.mkdir(parents=True, exist_ok=True)
    lines = (source / "labels.tsv").read_text(encoding="utf-8").splitlines()
    names = [line.split("\t", 1) for line in lines]
    train = list(read(source / "train.tsv.gz"))
    labels = choose_labels(names, train)
    # One set of titles over both sides: none is on both.
    taken = set()
    for side, records in [("test", read(source / "test.tsv.gz")), ("train", train)]:
        chosen = choose_titles(records, set(labels), QUOTA[side], taken)
        write(target / f"{side}.tsv.gz", chosen, names)
        per_title = sum(len(kept) for kept, _ in chosen) / len(chosen)
        print(f"{side}: {len(chosen)} titles, {per_title:.2f} subjects each")
    (target / "labels.tsv").write_text("".join("\t".join(names[row]) + "\n" for row in labels), encoding="utf-8")


if __name__ == "__main__":
    main()
