"""The shares of `rows.py`. Runs inside the virtual environment.

    target/peers/venv/bin/python benches/peers/test_rows.py
"""

import unittest

from rows import chosen


class Shares(unittest.TestCase):
    def test_the_rows_of_a_smaller_share_are_among_those_of_a_larger_one(self):
        half, quarter = chosen(1000, 0.5, 0), chosen(1000, 0.25, 0)
        self.assertEqual((len(half), len(quarter)), (500, 250))
        self.assertLess(set(quarter), set(half))

    def test_rows_are_in_order_and_each_is_there_once(self):
        self.assertEqual(chosen(50, 1.0, 3).tolist(), list(range(50)))

    def test_another_seed_chooses_others(self):
        self.assertNotEqual(chosen(1000, 0.5, 0).tolist(), chosen(1000, 0.5, 1).tolist())


if __name__ == "__main__":
    unittest.main()
