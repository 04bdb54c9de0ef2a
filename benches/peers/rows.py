"""A share of the training instances of a data folder, with all of its labels and test instances. Runs inside the virtual environment.

The instances of a smaller share are among those of a larger one.
"""

import argparse
from pathlib import Path

import numpy as np

from runner import load_matrix, save_matrix


def chosen(n_rows, share, seed):
    """Row numbers in ascending order."""
    return np.sort(np.random.default_rng(seed).permutation(n_rows)[: round(share * n_rows)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with X.trn.npz, Y.trn.npz, X.tst.npz, Y.tst.npz")
    parser.add_argument("--share", type=float, required=True, help="of the training instances, at most 1")
    parser.add_argument("--seed", type=int, default=0, help="of the choice [0]")
    parser.add_argument("--out", type=Path, required=True, help="folder for the matrices; those to test on are links")
    args = parser.parse_args()
    if not 0 < args.share <= 1:
        parser.error(f"--share: {args.share} is not above 0 and at most 1")
    args.out.mkdir(parents=True, exist_ok=True)
    for kind in ("X", "Y"):
        matrix = load_matrix(args.data / f"{kind}.trn.npz")
        save_matrix(args.out / f"{kind}.trn.npz", matrix[chosen(matrix.shape[0], args.share, args.seed)])
        (args.out / f"{kind}.tst.npz").symlink_to((args.data / f"{kind}.tst.npz").resolve())


if __name__ == "__main__":
    main()
