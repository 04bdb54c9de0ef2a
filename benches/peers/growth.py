"""How a cost grows with a size: the exponent of a power law, fitted by least squares on the logarithms of both."""

import math
import statistics


def power_law(sizes, costs):
    """Exponent, factor and R² of `cost = factor * size ** exponent`; `None` for fewer than two different sizes."""
    points = [(math.log(size), math.log(cost)) for size, cost in zip(sizes, costs) if size and cost]
    if len({x for x, _ in points}) < 2:
        return None
    xs, ys = zip(*points)
    exponent, intercept = statistics.linear_regression(xs, ys)
    residual = sum((y - intercept - exponent * x) ** 2 for x, y in points)
    spread = sum((y - statistics.fmean(ys)) ** 2 for y in ys)
    return {
        "exponent": exponent,
        "factor": math.exp(intercept),
        "r2": 1.0 - residual / spread if spread else 1.0,
        "points": len(points),
    }
