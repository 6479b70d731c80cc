"""Writes the golden files beside it: what reference libraries answer to the questions that the unit tests of src/math ask.

    python3 -m venv venv && venv/bin/pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 pandas
    venv/bin/python make.py

Estimators, uplift metrics and assignment have a script of their own, evaluate.py, with other libraries.
"""

import json
import struct
from pathlib import Path

import numpy as np
import scipy
import scipy.special
import sklearn
import sklearn.linear_model
import sklearn.metrics

HERE = Path(__file__).parent


def write(name, made_by, content):
    versions = {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__}
    made_by = {library: versions[library] for library in made_by}
    # one line for each row of a table, so that a change can be read
    lines = ",\n".join(f"  {json.dumps(key)}: {table(value)}" for key, value in {"made_by": made_by, **content}.items())
    (HERE / f"{name}.json").write_text("{\n" + lines + "\n}\n")


def table(value):
    if isinstance(value, list) and value and isinstance(value[0], (list, dict)):
        return "[\n" + ",\n".join("    " + json.dumps(row) for row in value) + "\n  ]"
    return json.dumps(value)


def as_f32(x):
    """Numbers that f32 holds exactly, so that both sides see the same input."""
    return np.asarray(x, dtype=np.float32).astype(np.float64)


def rows(x, y, w):
    return [[float(v) for v in (*xi, yi, wi)] for xi, yi, wi in zip(x, y, w)]


def matrix(rng, n):
    """Numbers of different scale, correlated ones, and a one-hot pair."""
    a = rng.normal(size=n)
    b = 100 + 15 * rng.normal(size=n)
    c = 0.01 * (a + rng.normal(size=n))
    group = rng.integers(0, 3, size=n)
    return as_f32(np.column_stack([a, b, c, group == 1, group == 2]))


def ridge():
    rng = np.random.default_rng(1)
    x = matrix(rng, 60)
    y = x @ [1.5, 0.2, -40.0, 0.5, -1.0] + rng.normal(size=60)
    w = rng.uniform(0.2, 3.0, size=60)
    fits = []
    for l2 in [0.0, 0.1, 10.0, 1000.0]:
        model = sklearn.linear_model.Ridge(alpha=l2, solver="svd").fit(x, y, sample_weight=w)
        fits.append({"l2": l2, "intercept": float(model.intercept_), "weights": model.coef_.tolist()})
    write("ridge", ["numpy", "scikit-learn"], {"rows": rows(x, y, w), "fits": fits})


def logistic():
    rng = np.random.default_rng(2)
    x = matrix(rng, 120)
    p = scipy.special.expit(x @ [1.0, 0.05, -30.0, 0.5, -1.0] - 5.5)
    y = (rng.uniform(size=120) < p).astype(float)
    w = rng.uniform(0.2, 3.0, size=120)
    fits = []
    for l2 in [0.001, 1.0, 50.0]:
        model = sklearn.linear_model.LogisticRegression(C=1 / l2, solver="newton-cholesky", tol=1e-12, max_iter=1000)
        model.fit(x, y, sample_weight=w)
        fits.append({"l2": l2, "intercept": float(model.intercept_[0]), "weights": model.coef_[0].tolist()})
    write("logistic", ["numpy", "scikit-learn"], {"rows": rows(x, y, w), "fits": fits})


def metrics():
    rng = np.random.default_rng(3)
    n = 150
    # rounded, so that there are ties
    p = np.round(rng.beta(2, 3, size=n), 2).clip(0.01, 0.99)
    y = (rng.uniform(size=n) < scipy.special.expit(0.7 * scipy.special.logit(p) + 0.3)).astype(float)
    w = rng.uniform(0.2, 3.0, size=n)
    line = sklearn.linear_model.LinearRegression().fit(p[:, None], y, sample_weight=w)
    logits = as_f32(scipy.special.logit(p))[:, None]
    curve = sklearn.linear_model.LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    curve.fit(logits, y, sample_weight=w)
    write("metrics", ["numpy", "scipy", "scikit-learn"], {
        "rows": [[float(v) for v in row] for row in zip(p, y, w)],
        "rmse": float(sklearn.metrics.root_mean_squared_error(y, p, sample_weight=w)),
        "log_loss": float(sklearn.metrics.log_loss(y, p, sample_weight=w)),
        "auc": float(sklearn.metrics.roc_auc_score(y, p, sample_weight=w)),
        "linear": [float(line.coef_[0]), float(line.intercept_)],
        "logistic": [float(curve.coef_[0][0]), float(curve.intercept_[0])],
    })


def softmax():
    rng = np.random.default_rng(4)
    cases = []
    for n, temperature in [(1, 1.0), (5, 1.0), (5, 0.01), (20, 0.3), (40, 7.0)]:
        scores = as_f32(rng.normal(size=n))
        p = scipy.special.softmax(scores / temperature)
        cases.append({"temperature": temperature, "scores": scores.tolist(), "probabilities": p.tolist()})
    write("softmax", ["numpy", "scipy"], {"cases": cases})


def decay():
    """Sums over exact times, with one rounding for each event."""
    rng = np.random.default_rng(6)
    cases = []
    for half_life in [3.6e9, 8.64e10, 6.048e11]:
        at = rng.integers(1_700_000_000_000_000, 1_702_592_000_000_000, size=30)
        x = np.round(rng.exponential(20, size=30), 2)
        now = int(at.max() + 5_000_000_000)
        value = float(np.sum(x * np.exp2(-(now - at) / half_life)))
        events = [[float(a), int(b)] for a, b in zip(x, at)]
        cases.append({"half_life": half_life, "now": now, "value": value, "events": events})
    write("decay", ["numpy"], {"cases": cases})


def chacha8(key, block):
    """One block of 16 words: ChaCha (D. J. Bernstein, 2008) with 8 rounds, a 64-bit counter and stream 0."""
    start = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), *struct.unpack("<2I", struct.pack("<Q", block)), 0, 0]
    s = list(start)

    def quarter(a, b, c, d):
        for x, y, z, turn in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)]:
            s[x] = (s[x] + s[y]) & 0xFFFFFFFF
            s[z] ^= s[x]
            s[z] = ((s[z] << turn) | (s[z] >> (32 - turn))) & 0xFFFFFFFF

    for _ in range(4):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return [(a + b) & 0xFFFFFFFF for a, b in zip(s, start)]


def draws():
    """No library has this generator, so it is written out above: whoever can run this can redo a draw."""
    cases = []
    for seed in [0, 1, 42, 2**64 - 1]:
        key = seed.to_bytes(8, "little") + b"pg_decide draws, v1     "
        words = [word for block in range(3) for word in chacha8(key, block)]
        units = [(low | high << 32) >> 11 for low, high in zip(words[::2], words[1::2])]  # times 2**-53
        cases.append({"seed": str(seed), "draws": units})
    write("draws", [], {"cases": cases})


if __name__ == "__main__":
    for make in [ridge, logistic, metrics, softmax, decay, draws]:
        make()
        print(make.__name__)
