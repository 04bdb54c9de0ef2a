"""`score.py` against PECOS's own metrics and against numbers worked out by hand.

    target/peers/venv/bin/python benches/peers/test_score.py
"""

import unittest

import numpy as np
import scipy.sparse as sparse
from pecos.utils.smat_util import Metrics

import score

AT = [1, 3, 5, 10]


def random_case(seed):
    """Truth and predictions with tied scores, short rows, empty rows and rows without a true label."""
    rng = np.random.default_rng(seed)
    truth = sparse.random(200, 60, density=0.05, format="csr", random_state=rng, dtype=np.float32)
    truth.data[:] = 1.0
    scores = sparse.random(200, 60, density=0.2, format="csr", random_state=rng, dtype=np.float32)
    scores.data = np.ceil(scores.data * 8) / 8
    return truth, scores


class Score(unittest.TestCase):
    def test_agrees_with_pecos_on_random_rankings(self):
        for seed in range(20):
            truth, scores = random_case(seed)
            expected = Metrics.generate(truth, scores, topk=10)
            found = score.metrics(truth, scores, AT)
            for k in AT:
                self.assertAlmostEqual(found[f"p@{k}"], 100 * expected.prec[k - 1], places=9)
                self.assertAlmostEqual(found[f"r@{k}"], 100 * expected.recall[k - 1], places=9)

    def test_counts_by_hand(self):
        truth = sparse.csr_matrix(np.array([[1, 0, 1, 0], [0, 0, 0, 0]], dtype=np.float32))
        scores = sparse.csr_matrix(np.array([[0.1, 0.9, 0.5, 0.2], [0.3, 0, 0, 0]], dtype=np.float32))
        found = score.metrics(truth, scores, [1, 3])
        self.assertEqual(found["p@1"], 0.0)
        self.assertAlmostEqual(found["p@3"], 100 * (1 / 3) / 2)
        self.assertAlmostEqual(found["r@3"], 100 * (1 / 2) / 2)
        ideal = 1 + 1 / np.log2(3)
        self.assertAlmostEqual(found["ndcg@3"], 100 * (1 / np.log2(3) / ideal) / 2)

    def test_a_ranking_agrees_with_itself_and_not_with_its_reverse(self):
        _, scores = random_case(0)
        turned = scores.copy()
        turned.data = 2.0 - turned.data
        self.assertEqual(score.agreement(scores, scores, 10), {"same_first": 100.0, "common@10": 100.0})
        self.assertLess(score.agreement(scores, turned, 1)["common@1"], 100.0)


if __name__ == "__main__":
    unittest.main()
