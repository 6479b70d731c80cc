"""Writes the golden file of delays beside it: what lifelines fits to censored times.

    python3 -m venv venv && venv/bin/pip install lifelines==0.30.3 numpy==2.4.6
    venv/bin/python delays.py
"""

import json
import warnings
from pathlib import Path

import lifelines
import numpy as np

warnings.simplefilter("ignore")


def fitted(name, times, happened, weights):
    simple = lifelines.ExponentialFitter().fit(times, happened, weights=weights)
    # to the last digits: with its own options lifelines stops five digits after the point
    options = {"ftol": 1e-18, "gtol": 1e-13, "maxls": 200}
    rich = lifelines.WeibullFitter().fit(times, happened, weights=weights, fit_options=options)
    return {
        "name": name, "times": list(times), "happened": [bool(of) for of in happened], "weights": list(weights),
        "exponential": {"scale": simple.lambda_, "log_likelihood": simple.log_likelihood_},
        "weibull": {"scale": rich.lambda_, "shape": rich.rho_, "log_likelihood": rich.log_likelihood_},
    }


def main():
    rng = np.random.default_rng(17)
    cases = []
    for shape, longest, rows in [(1.0, 3.0, 60), (0.5, 2.0, 80), (2.5, 1.2, 80), (1.0, 50.0, 40), (0.8, 0.3, 120)]:
        delays = rng.weibull(shape, rows)
        ages = rng.uniform(0, longest, rows)
        times = np.round(np.minimum(delays, ages) + 1e-4, 6)
        cases.append(fitted(f"shape {shape}, ages to {longest}", times, delays <= ages, np.ones(rows)))
    delays, ages = 7200 * rng.weibull(0.7, 50), rng.uniform(0, 9000, 50)
    weights = rng.integers(1, 9, 50).astype(float)
    cases.append(fitted("seconds, with weights", np.round(np.minimum(delays, ages) + 1, 3), delays <= ages, weights))
    lines = ",\n".join("    " + json.dumps(case) for case in cases)
    made_by = json.dumps({"lifelines": lifelines.__version__, "numpy": np.__version__})
    text = '{\n  "made_by": ' + made_by + ',\n  "cases": [\n' + lines + "\n  ]\n}\n"
    Path(__file__).with_name("delays.json").write_text(text)


main()
