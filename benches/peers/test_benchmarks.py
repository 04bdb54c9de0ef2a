"""The fitted slopes, the tables and the resuming of `benchmarks.py`; needs no engine and no environment.

    python3 benches/peers/test_benchmarks.py
"""

import tempfile
import unittest
from pathlib import Path

import benchmarks
import compare
import measure
import page
import report
from growth import power_law
from sets import synth_preset


def numbers(training, p1):
    metrics = {key: p1 for key in report.METRICS}
    return {"repeats": 3, "tree_and_weights_s": training, "train_wall_s": training + 1, "model_mb": 10.0, "predict_us": 50.0, "metrics": metrics}


def entry(name, nonzeros, training, experiment="xmc"):
    data = {"samples": nonzeros // 10, "test_samples": 5, "features": 7, "labels": nonzeros // 20, "nonzeros": nonzeros, "label_entries": 9}
    machine = {"cores": 2, "system": "Linux", "python": "3.11", "memory_gib": 16.0, "processor": "a processor"}
    return {
        "name": name,
        "data": data,
        "versions": {"PECOS": "1.2.8"},
        "commits": {experiment: "abc"},
        "machine": machine,
        "settings": {"threads": 2},
        "experiments": {experiment: numbers(training, 50.0)},
    }


class PowerLaw(unittest.TestCase):
    def test_finds_the_exponent_of_an_exact_power_law(self):
        sizes = [10, 100, 1000]
        fit = power_law(sizes, [3 * size**1.5 for size in sizes])
        self.assertAlmostEqual(fit["exponent"], 1.5)
        self.assertAlmostEqual(fit["factor"], 3.0)
        self.assertAlmostEqual(fit["r2"], 1.0)

    def test_constant_costs_do_not_grow(self):
        fit = power_law([1, 10, 100], [4, 4, 4])
        self.assertAlmostEqual(fit["exponent"], 0.0)
        self.assertAlmostEqual(fit["r2"], 1.0)

    def test_noise_lowers_the_share_that_is_explained(self):
        fit = power_law([1, 10, 100, 1000], [1, 40, 60, 2000])
        self.assertLess(fit["r2"], 0.99)

    def test_one_size_has_no_slope(self):
        self.assertIsNone(power_law([5, 5], [1, 2]))
        self.assertIsNone(power_law([], []))


class Overlay(unittest.TestCase):
    def test_what_is_measured_again_takes_the_place_of_what_was_there(self):
        earlier = {"sets": [entry("finna", 10, 1.0)], "slopes": [entry("a@1", 1000, 9.0), entry("a@0.1", 100, 2.0)], "cores": []}
        now = {"sets": [], "slopes": [entry("b@0.1", 5, 3.0), entry("a@0.1", 100, 4.0)], "cores": [{"name": "a@0.1", "runs": []}]}
        found = benchmarks.overlaid(earlier, now)
        names = {phase: [one["name"] for one in entries] for phase, entries in found.items()}
        self.assertEqual(names, {"sets": ["finna"], "slopes": ["a@0.1", "a@1", "b@0.1"], "cores": ["a@0.1"]})
        self.assertEqual(found["slopes"][0], now["slopes"][1])

    def test_without_a_page_it_is_what_was_measured(self):
        now = {"sets": [entry("finna", 10, 1.0)], "slopes": [], "cores": []}
        self.assertEqual(benchmarks.overlaid({}, now), now)


class Tables(unittest.TestCase):
    def test_ratios_are_over_pecos_and_engines_keep_their_order(self):
        table = report.overview({"xmc": numbers(5.0, 51.0), "pecos": numbers(20.0, 50.0), "floor": {"failed": "left out"}})
        pecos, xmc = table.splitlines()[2:]
        self.assertTrue(pecos.startswith("| PECOS | 20 |"))
        self.assertTrue(xmc.startswith("| xmc | 5 (0.25×) | 6 (0.29×) |"))
        self.assertIn("| 51.00 |", xmc)

    def test_all_lines_of_a_table_have_as_many_cells(self):
        table = report.overview({"pecos": numbers(20.0, 50.0), "xmc": numbers(5.0, 51.0)})
        self.assertEqual(len({line.count("|") for line in table.splitlines()}), 1)

    def test_what_was_left_out_is_said(self):
        notes = list(report.warnings({"floor": {"failed": "left out: 9,000 labels are more than 5,000"}}))
        self.assertEqual(notes, ["one-vs-rest: left out: 9,000 labels are more than 5,000"])


class Page(unittest.TestCase):
    def test_names_the_command_of_each_table(self):
        slopes = [entry("amazon-3m@0.01", 1000, 1.0), entry("amazon-3m@0.1", 10000, 10.0)]
        cores = [{"name": "eurlex-4k", "runs": [entry("threads-1", 100, 4.0), entry("threads-2", 100, 2.0)]}]
        cores[0]["runs"][0]["settings"]["threads"] = 1
        shares = [entry("finna@0.5", 500, 4.0), entry("finna@1", 1000, 8.0)]
        for share, used in zip(shares, (20, 25)):
            share["data"]["labels_used"] = used
        text = page.render({"sets": [entry("finna", 1000, 2.0)], "slopes": slopes, "instances": shares, "cores": cores}, {"growth"})
        for command in ("peers finna --data DATA", "slopes", "instances finna --data DATA", "cores eurlex-4k --counts 1,2"):
            self.assertIn(f"benchmarks.py {command}\n", text)
        self.assertIn("| amazon-3m | xmc | 1.00 (1.000) | 1.00 (1.000) | 1.00 (1.000) |", text)
        self.assertIn("| finna | xmc | 1.00 (1.000) |  |", text)
        self.assertIn("| 0.5 | xmc | 50 | 20 | 500 | 4 |", text)
        self.assertIn("| xmc | 4 | 50 | 2 (2.00×) | 50 (1.00×) |", text)
        self.assertIn("(benchmarks/growth.svg)", text)
        self.assertNotIn("(benchmarks/finna.svg)", text)

    def test_a_share_of_a_scaled_set_belongs_to_that_set(self):
        self.assertEqual(list(page.series([entry("amazon-670k@0.1@0.25", 10, 1.0)])), [("amazon-670k@0.1", "xmc")])

    def test_a_set_is_synthetic_by_its_preset(self):
        self.assertEqual(synth_preset("amazon-3m@0.05"), ("amazon-3m", "0.05"))
        self.assertEqual(synth_preset("eurlex-4k"), ("eurlex-4k", "1"))
        self.assertIsNone(synth_preset("finna"))


class Resuming(unittest.TestCase):
    def test_keeps_complete_rounds_and_drops_the_interrupted_one(self):
        with tempfile.TemporaryDirectory() as folder:
            runs = compare.Runs(Path(folder) / "runs.json")
            runs.tasks = {"xmc.train": [1, 2], "xmc.predict": [1], "xmc.score": [1], "xmc.failed": ["why"], "pecos.train": [1]}
            runs.keep_rounds("xmc")
            self.assertEqual(runs.tasks, {"xmc.train": [1], "xmc.predict": [1], "xmc.score": [1], "pecos.train": [1]})
            runs.keep_rounds("pecos")
            self.assertEqual(runs.rounds("pecos"), 0)
            self.assertNotIn("pecos.train", runs.tasks)


class Limit(unittest.TestCase):
    def test_a_process_that_takes_too_long_is_stopped(self):
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            with self.assertRaises(measure.Failed) as failure:
                measure.run(["sleep", "30"], 1, log, limit=0.2)
            self.assertEqual(failure.exception.reason, "stopped after 0.2 s")
            self.assertLess(measure.run(["sleep", "0"], 1, log, limit=20)["wall"], 10)


if __name__ == "__main__":
    unittest.main()
