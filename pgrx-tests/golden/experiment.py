"""Writes experiment.json beside it: what reference libraries say of the results of experiments.

    python3.11 -m venv venv && venv/bin/pip install gbstats==0.8.0 scipy==1.17.1 statsmodels==0.15.0
    venv/bin/python experiment.py

Means, ratios, covariates and always-valid intervals are gbstats', GrowthBook's statistics; corrections and sample sizes are those
of statsmodels, distribution functions those of scipy.
"""

import json
from pathlib import Path

import numpy as np
import scipy.stats
from gbstats.frequentist.tests import FrequentistConfig, SequentialConfig, SequentialTwoSidedTTest, TwoSidedTTest
from gbstats.models.statistics import RatioStatistic, RegressionAdjustedStatistic, SampleMeanStatistic, compute_theta
from gbstats.utils import check_srm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower

random = np.random.default_rng(20240611)


def sample(n, lift, kind):
    x = random.gamma(2, 3, n)
    d = 1 + random.poisson(3, n)
    if kind == "proportion":
        y = (random.random(n) < 0.1 + lift).astype(float)
    else:
        y = 0.4 * x + random.normal(2 + lift, 1.5, n) * d / 4
    return y, d.astype(float), x


def moments(y, d, x):
    c = np.cov(np.array([y, d, x]), ddof=1)
    return [len(y), y.mean(), c[0, 0], d.mean(), c[1, 1], c[0, 1], x.mean(), c[2, 2], c[0, 2]]


def mean(y):
    return SampleMeanStatistic(n=len(y), sum=y.sum(), sum_squares=(y * y).sum())


def statistics(kind, a, b):
    if kind == "mean":
        return mean(a[0]), mean(b[0])
    if kind == "ratio":
        return tuple(RatioStatistic(n=len(y), m_statistic=mean(y), d_statistic=mean(d), m_d_sum_of_products=(y * d).sum()) for y, d, _ in (a, b))
    both = [RegressionAdjustedStatistic(n=len(y), post_statistic=mean(y), pre_statistic=mean(x), post_pre_sum_of_products=(y * x).sum(), theta=0)
            for y, _, x in (a, b)]
    theta = compute_theta(*both)
    for statistic in both:
        statistic.theta = theta
    return tuple(both)


comparisons = []
for n_a, n_b in [(12, 9), (60, 80), (400, 1500), (20000, 30000)]:
    for lift in [0, 0.05, 0.6]:
        for shape in ["amount", "proportion"]:
            a, b = sample(n_a, 0, shape), sample(n_b, lift, shape)
            for kind in ["mean", "ratio", "adjusted"]:
                for alpha, tuning in [(0.05, 5000), (0.1, 300)]:
                    one, other = statistics(kind, a, b)
                    if one.variance <= 0 or other.variance <= 0 or one.unadjusted_mean == 0:
                        continue
                    absolute = TwoSidedTTest(one, other, FrequentistConfig(alpha=alpha, difference_type="absolute"))
                    relative = TwoSidedTTest(one, other, FrequentistConfig(alpha=alpha, difference_type="relative"))
                    always = SequentialTwoSidedTTest(one, other, SequentialConfig(alpha=alpha, difference_type="absolute", sequential_tuning_parameter=tuning))
                    comparisons.append({
                        "kind": kind, "alpha": alpha, "tuning": tuning, "a": moments(*a), "b": moments(*b),
                        "difference": absolute.point_estimate, "std_error": float(np.sqrt(absolute.variance)),
                        "interval": list(map(float, absolute.confidence_interval)),
                        "p_value": float(2 * scipy.stats.t.sf(abs(absolute.critical_value), absolute.dof)),
                        "lift": [relative.point_estimate, *map(float, relative.confidence_interval)],
                        "always": list(map(float, always.confidence_interval)), "always_p": float(always.p_value),
                    })

counts = [([500, 500], [0.5, 0.5]), ([500, 560], [0.5, 0.5]), ([10000, 9500, 5100], [0.4, 0.4, 0.2]), ([30, 1], [0.9, 0.1]), ([100, 0], [0.5, 0.5]),
          ([5, 4, 6, 7], [0.25] * 4), ([120000, 121500], [0.5, 0.5])]
p_values = [[0.01, 0.04, 0.03, 0.005], [0.5], [0.2, 0.2, 0.001, 0.8, 1.0, 1e-9], [0.04, 0.04, 0.04], []]
content = {
    "made_by": {"gbstats": "0.8.0", "scipy": "1.17.1", "statsmodels": "0.15.0"},
    "comparisons": comparisons,
    "sample_ratios": [[c, w, float(check_srm(c, w))] for c, w in counts],
    "corrections": [[p, *([float(v) for v in multipletests(p, method=m)[1]] if p else [] for m in ("holm", "fdr_bh"))] for p in p_values],
    "t": [[t, f, float(2 * scipy.stats.t.sf(t, f)), float(scipy.stats.t.isf(0.025, f))]
          for t in [0, 0.3, 1.96, 4.5, 12] for f in [1, 2.5, 9, 57.3, 640, 1000, 1001, 3e4, 1e7]],
    "chi_square": [[x, k, float(scipy.stats.chi2.sf(x, k))] for x in [1e-3, 0.5, 3.84, 20, 90] for k in [1, 2, 5, 30]],
    # units of each of two equal variants that find an effect of so many standard deviations
    "sizes": [[d, alpha, power, float(NormalIndPower().solve_power(effect_size=d, alpha=alpha, power=power, ratio=1))]
              for d in [0.05, 0.2, 0.5] for alpha in [0.05, 0.01] for power in [0.8, 0.95]],
}
lines = ",\n".join(
    f"  {json.dumps(key)}: " + ("[\n" + ",\n".join("    " + json.dumps(row) for row in value) + "\n  ]" if isinstance(value, list) else json.dumps(value))
    for key, value in content.items())
(Path(__file__).parent / "experiment.json").write_text("{\n" + lines + "\n}\n")
