"""Sizes of a data folder and versions of the engines, as one JSON object. Runs inside the virtual environment."""

import argparse
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np

from runner import print_report

PACKAGES = {
    "PECOS": "libpecos",
    "Omikuji": "omikuji",
    "napkinXC": "napkinxc",
    "scikit-learn": "scikit-learn",
    "NumPy": "numpy",
    "SciPy": "scipy",
}


def sizes(path):
    """Rows, columns and stored entries of a matrix, from its small arrays."""
    with np.load(path) as arrays:
        return *map(int, arrays["shape"]), int(arrays["indptr"][-1])


def columns_used(path):
    """How many columns of a matrix have an entry."""
    with np.load(path) as arrays:
        return np.unique(arrays["indices"]).size


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with X.trn.npz, Y.trn.npz, X.tst.npz")
    folder = parser.parse_args().data
    samples, features, nonzeros = sizes(folder / "X.trn.npz")
    _, labels, label_entries = sizes(folder / "Y.trn.npz")
    test_samples = sizes(folder / "X.tst.npz")[0]
    data = {
        "samples": samples,
        "test_samples": test_samples,
        "features": features,
        "labels": labels,
        "labels_used": columns_used(folder / "Y.trn.npz"),
        "nonzeros": nonzeros,
        "label_entries": label_entries,
    }
    versions = {name: version(package) for name, package in PACKAGES.items()}
    print_report({"data": data, "versions": {**versions, "Python": platform.python_version()}})


if __name__ == "__main__":
    main()
