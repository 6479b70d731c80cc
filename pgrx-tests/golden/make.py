"""Writes the golden files beside it: what reference libraries answer to the questions that the unit tests of src/math ask.

    python3 -m venv venv && venv/bin/pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 pandas
    venv/bin/pip install statsmodels==0.15.0 vowpalwabbit==9.11.9
    venv/bin/python make.py

Estimators, uplift metrics and assignment have a script of their own, evaluate.py, with other libraries.
"""

import json
import struct
from pathlib import Path

import numpy as np
import scipy
import scipy.integrate
import scipy.optimize
import scipy.special
import sklearn
import sklearn.linear_model
import sklearn.metrics

HERE = Path(__file__).parent


def write(name, made_by, content):
    versions = {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__,
                "statsmodels": "0.15.0", "vowpalwabbit": "9.11.9"}
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


def propensity():
    """Multinomial fits, cross-fitted probabilities at the temperature of least log loss, and balance before and after weighting."""
    rng = np.random.default_rng(11)
    n, folds = 150, 3
    x = matrix(rng, n)
    x[:, 1] = as_f32((x[:, 1] - 100) / 15)
    scores = np.column_stack([np.zeros(n), 0.8 * x[:, 0] - 0.4, 0.6 * x[:, 1] + x[:, 3] - 0.7])
    p = scipy.special.softmax(scores, axis=1)
    y = np.array([rng.choice(3, p=row) for row in p])
    fold = np.arange(n) % folds

    def fitted(l2, rows):
        model = sklearn.linear_model.LogisticRegression(C=1 / l2, solver="newton-cholesky", tol=1e-13, max_iter=1000)
        return model.fit(x[rows], y[rows])

    fits = []
    for l2 in [0.01, 1.0, 20.0]:
        logits = np.empty((n, 3))
        for k in range(folds):
            logits[fold == k] = fitted(l2, fold != k).decision_function(x[fold == k])
        log_loss = lambda t: -scipy.special.log_softmax(logits / np.exp(t), axis=1)[np.arange(n), y].sum()
        t = scipy.optimize.minimize_scalar(log_loss, bounds=(-np.log(20), np.log(20)), method="bounded", options={"xatol": 1e-10}).x
        propensities = scipy.special.softmax(logits / np.exp(t), axis=1)
        balance = []
        for k in range(3):
            of = y == k
            for j in range(5):
                sd = x[:, j].std(ddof=1)
                after = np.average(x[of, j], weights=1 / propensities[of, k])
                balance.append([k, j + 1, (x[of, j].mean() - x[:, j].mean()) / sd, (after - x[:, j].mean()) / sd])
        fits.append({"l2": l2, "probabilities": fitted(l2, fold >= 0).predict_proba(x).tolist(), "temperature": float(np.exp(t)),
                     "propensities": propensities.tolist(), "balance": [[float(v) for v in row] for row in balance]})
    write("propensity", ["numpy", "scipy", "scikit-learn"], {
        "rows": [[*map(float, xi), int(yi)] for xi, yi in zip(x, y)], "folds": fold.tolist(), "fits": fits})


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


def chances(scores, spreads):
    """The chance of each independent normal to be the largest, by adaptive quadrature; without spread it is its score."""
    spread, certain = np.flatnonzero(spreads > 0), np.flatnonzero(spreads == 0)
    m, s = scores[spread], spreads[spread]
    low = max([(m - 9 * s).max(), *scores[certain]])
    points = np.unique(np.concatenate([m + z * s for z in range(-9, 10, 3)]))

    def densities(t):
        z = (t - m) / s
        logs = scipy.special.log_ndtr(z)
        return np.exp(logs.sum() - logs - z**2 / 2) / (s * np.sqrt(2 * np.pi))

    out = np.zeros(len(scores))
    out[spread] = scipy.integrate.quad_vec(
        densities, low, max(low, (m + 9 * s).max()), points=points[points > low], epsabs=1e-13, epsrel=1e-13, limit=100_000)[0]
    if len(certain):
        best = certain[np.argmax(scores[certain])]
        out[best] = np.exp(scipy.special.log_ndtr((scores[best] - m) / s).sum())
    return out.tolist()


def thompson():
    """Equal ones, ones that are far better known than others, certain ones, many that are nearly equal."""
    rng = np.random.default_rng(8)
    cases = []

    def add(scores, spreads):
        scores, spreads = as_f32(scores), as_f32(spreads)
        cases.append({"scores": scores.tolist(), "spreads": spreads.tolist(), "probabilities": chances(scores, spreads)})

    add([0.0, 1.0], [1.0, 2.0])
    add([0.5] * 7, [0.25] * 7)
    add([1.0, 1.0, 0.999], [1e-6, 0.1, 3.0])
    add([0.2, 0.1, 0.3, 0.25], [0.05, 0.0, 0.1, 0.0])
    add([100.0, 100.01, 99.9], [0.01, 0.02, 1e-4])
    add(rng.normal(size=20), 10 ** rng.uniform(-3, 0, size=20))
    add(0.1 * rng.normal(size=100), 0.3 + 0.05 * rng.uniform(size=100))
    add(0.02 + 0.01 * rng.normal(size=100), rng.uniform(0.0005, 0.02, size=100))
    add(0.01 * rng.normal(size=300), 0.3 + 0.01 * rng.uniform(size=300))
    write("thompson", ["numpy", "scipy"], {"cases": cases})


def squarecb():
    """What vowpalwabbit draws from, for the same model with different gammas. It does not show its costs: the gap of
    each action to the least cost is taken from the probabilities at gamma 10, and those at the others are the test."""
    import vowpalwabbit

    def run(scale, exponent):
        model = vowpalwabbit.Workspace(
            f"--quiet --cb_explore_adf --squarecb --cb_type mtr --gamma_scale {scale} --gamma_exponent {exponent}")
        rng = np.random.default_rng(9)
        action = lambda k: f"|a x{k}:1 y:{rng.uniform():.3f}"
        for _ in range(200):
            shown = rng.integers(0, 4)
            lines = [action(k) for k in range(4)]
            lines[shown] = f"0:{shown / 4 + 0.3 * rng.uniform():.3f}:0.25 {lines[shown]}"
            model.learn(lines)
        answers = []
        for n in [2, 3, 6]:
            examples = model.parse([action(k) for k in range(n)])
            answers.append(model.predict(examples))
            model.finish_example(examples)
        return answers

    cases = []
    at_ten = run(10, 0)
    for scale, exponent in [(100, 0), (1, 0.5), (10, 0.5)]:
        for known, p in zip(at_ten, run(scale, exponent)):
            best = int(np.argmax(known))
            gaps = [0.0 if i == best else (1 / q - len(known)) / 10 for i, q in enumerate(known)]
            cases.append({"scale": scale, "exponent": exponent, "rows": 200, "gaps": gaps, "probabilities": p})
    write("squarecb", ["numpy", "vowpalwabbit"], {"cases": cases})


def posterior():
    """Covariances of weights: statsmodels where nothing is penalised, BayesianRidge, and the inverse of the second
    derivative where the penalty is given."""
    import statsmodels.api as sm

    rng = np.random.default_rng(10)
    x = matrix(rng, 80)
    design = sm.add_constant(x)
    y = x @ [1.5, 0.2, -40.0, 0.5, -1.0] + rng.normal(size=80)
    w = rng.uniform(0.2, 3.0, size=80)
    clicks = (rng.uniform(size=80) < scipy.special.expit(x @ [1.0, 0.05, -30.0, 0.5, -1.0] - 5.5)).astype(float)
    lower = lambda c: np.asarray(c)[np.tril_indices(6)].tolist()
    ones = np.ones(80)
    fits = []
    least_squares = sm.OLS(y, design).fit()
    fits.append({"family": "linear", "by": "OLS", "l2": 0.0, "labels": y.tolist(), "weights": ones.tolist(),
                 "noise": float(least_squares.scale), "covariance": lower(least_squares.cov_params())})
    ridge = sklearn.linear_model.BayesianRidge(tol=1e-10, max_iter=10_000).fit(x, y, sample_weight=w)
    inner = ridge.sigma_
    # BayesianRidge centres instead of having an intercept: what it says of that follows from the means
    means = np.average(x, axis=0, weights=w)
    full = np.zeros((6, 6))
    full[1:, 1:] = inner
    full[0, 1:] = full[1:, 0] = -means @ inner
    full[0, 0] = means @ inner @ means + 1 / (ridge.alpha_ * w.sum())
    fits.append({"family": "linear", "by": "BayesianRidge", "l2": float(ridge.lambda_ / ridge.alpha_), "labels": y.tolist(),
                 "weights": w.tolist(), "given_noise": float(1 / ridge.alpha_), "covariance": lower(full)})
    logit = sm.Logit(clicks, design).fit(disp=0, method="newton", tol=1e-14, maxiter=200)
    fits.append({"family": "logistic", "by": "Logit", "l2": 0.0, "labels": clicks.tolist(), "weights": ones.tolist(),
                 "covariance": lower(logit.cov_params())})
    l2 = 2.0
    penalty = np.diag([0.0] + [l2] * 5)
    loss = lambda b: float((w * (np.logaddexp(0, design @ b) - clicks * (design @ b))).sum() + b @ penalty @ b / 2)
    slope = lambda b: design.T @ (w * (scipy.special.expit(design @ b) - clicks)) + penalty @ b
    curvature = lambda b: (design.T * (w * scipy.special.expit(design @ b) * scipy.special.expit(-design @ b))) @ design + penalty
    mode = scipy.optimize.minimize(loss, np.zeros(6), jac=slope, hess=curvature, method="trust-exact", tol=1e-12).x
    for _ in range(3):
        mode = mode - np.linalg.solve(curvature(mode), slope(mode))
    fits.append({"family": "logistic", "by": "Laplace", "l2": l2, "labels": clicks.tolist(), "weights": w.tolist(),
                 "covariance": lower(np.linalg.inv(curvature(mode)))})
    write("posterior", ["numpy", "scipy", "scikit-learn", "statsmodels"],
          {"rows": [[float(v) for v in row] for row in x], "fits": fits})


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
    for make in [ridge, logistic, propensity, posterior, metrics, softmax, thompson, squarecb, decay, draws]:
        make()
        print(make.__name__)
