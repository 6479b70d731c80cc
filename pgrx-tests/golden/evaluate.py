"""Writes the golden files of estimators, uplift metrics and assignment beside it, as make.py does for the others.

    python3.11 -m venv venv && venv/bin/pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 pandas==3.1.1
    venv/bin/pip install causalml==0.18.0 growthbook==4.0.0
    venv/bin/pip install --no-deps --ignore-requires-python obp==0.5.7
    venv/bin/pip install --no-deps scikit-uplift==0.5.1
    venv/bin/python evaluate.py OBD

where OBD is the folder obp/dataset/obd of the wheel obp==0.4.1, which has the Open Bandit Dataset (released by ZOZO).
Of obp only the module with the estimators is loaded: the package as a whole wants PyTorch, which the estimators need
for other types of input alone.
"""

import functools
import importlib.util
import json
import sys
import types
from pathlib import Path

import causalml.metrics
import growthbook.core
import numpy as np
import pandas as pd
import scipy.stats
import sklift.metrics

HERE = Path(__file__).parent
VERSIONS = {
    "numpy": np.__version__, "scipy": scipy.__version__, "pandas": pd.__version__, "obp": "0.5.7",
    "scikit-uplift": "0.5.1", "causalml": "0.18.0", "growthbook": "4.0.0",
}


def write(name, made_by, content):
    made_by = {library: VERSIONS[library] for library in made_by}
    lines = ",\n".join(f"  {json.dumps(key)}: {table(value)}" for key, value in {"made_by": made_by, **content}.items())
    (HERE / f"{name}.json").write_text("{\n" + lines + "\n}\n")


def plain(value):
    """What JSON can say: NaN, which these libraries give where a group has no row, as null."""
    if isinstance(value, (list, tuple)):
        return [plain(of) for of in value]
    if isinstance(value, dict):
        return {key: plain(of) for key, of in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value


def table(value):
    value = plain(value)
    if isinstance(value, list) and value and isinstance(value[0], (list, dict)):
        return "[\n" + ",\n".join("    " + json.dumps(row) for row in value) + "\n  ]"
    return json.dumps(value)


@functools.cache
def obp_estimators():
    place = Path(importlib.util.find_spec("obp").submodule_search_locations[0])
    for name, path in [("obp", place), ("obp.ope", place / "ope")]:
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(path)]
    torch = sys.modules["torch"] = types.ModuleType("torch")
    torch.Tensor = torch.tensor = type("Tensor", (), {})
    from obp.ope import estimators

    return estimators


def by_obp(reward, logged, action, target, q, most_weight, threshold, lambda_):
    """Every estimator: its value by obp; the standard error of the mean of what obp computes for each row, or that of a
    ratio of means from its gradient and the covariance of the means."""
    e = obp_estimators()
    n = len(reward)
    given = {
        "reward": reward, "action": action, "pscore": logged, "position": np.zeros(n, dtype=int),
        "action_dist": target[:, :, None], "estimated_rewards_by_reg_model": q[:, :, None],
    }
    every = np.arange(n)
    w = target[every, action] / logged
    b = (target * q).sum(axis=1)
    y = w * (reward - q[every, action])

    def of_means(gradient, *columns):
        return float(np.sqrt(np.array(gradient) @ (np.cov(np.stack(columns)) / n) @ np.array(gradient)))

    answers = {}
    for name, estimator, weights in [
        ("ips", e.InverseProbabilityWeighting(), w),
        ("snips", e.SelfNormalizedInverseProbabilityWeighting(), w),
        ("cips", e.InverseProbabilityWeighting(lambda_=most_weight), np.minimum(w, most_weight)),
        ("dm", e.DirectMethod(), None),
        ("dr", e.DoublyRobust(), w),
        ("sndr", e.SelfNormalizedDoublyRobust(), w),
        ("switch_dr", e.SwitchDoublyRobust(lambda_=threshold), np.where(w <= threshold, w, 0)),
        ("dros", e.DoublyRobustWithShrinkage(lambda_=lambda_), lambda_ * w / (w**2 + lambda_)),
    ]:
        value = float(estimator.estimate_policy_value(**given))
        if name == "snips":
            error = of_means([1 / w.mean(), -(w * reward).mean() / w.mean() ** 2], w * reward, w)
        elif name == "sndr":
            error = of_means([1, 1 / w.mean(), -y.mean() / w.mean() ** 2], b, y, w)
        else:
            error = float(scipy.stats.sem(estimator._estimate_round_rewards(**given)))
        answer = {"estimator": name, "value": value, "std_error": error}
        if weights is not None:
            answer |= {"ess": float(weights.sum() ** 2 / (weights**2).sum()), "max_weight": float(weights.max()), "mean_weight": float(weights.mean())}
        answers[name] = answer
    return [answers[name] for name in answers]


def estimators():
    rng = np.random.default_rng(7)
    n, actions = 300, 5
    logged = rng.dirichlet(np.ones(actions) * 2, size=n)
    target = rng.dirichlet(np.ones(actions), size=n)
    action = np.array([rng.choice(actions, p=chances) for chances in logged])
    truth = rng.uniform(0, 3, size=(n, actions))
    q = truth + rng.normal(scale=0.5, size=(n, actions))
    every = np.arange(n)
    reward = np.round(truth[every, action] + rng.normal(size=n), 3)
    p = logged[every, action]
    parameters = {"most_weight": 3.0, "threshold": 2.5, "lambda": 4.0}
    rows = zip(reward, p, target[every, action], q[every, action], (target * q).sum(axis=1))
    write("estimators", ["numpy", "scipy", "obp"], {
        "rows": [[float(v) for v in row] for row in rows],
        **parameters,
        "estimates": by_obp(reward, p, action, target, q, *parameters.values()),
        "z": [[level, float(scipy.stats.norm.ppf(0.5 + level / 2))] for level in [0.01, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999999]],
    })


def open_bandit(folder):
    """The six logs, each under a policy and a model that SQL can say as well: item i has the weight 1 + (7·i mod 5), and the
    value (clicks + 1) / (rows + 100)."""
    parameters = {"most_weight": 1.5, "threshold": 1.5, "lambda": 2.0}
    logs = []
    for policy in ["random", "bts"]:
        for campaign in ["all", "men", "women"]:
            log = pd.read_csv(folder / policy / campaign / f"{campaign}.csv")
            n, items = len(log), int(log["item_id"].max()) + 1
            weights = 1.0 + (7 * np.arange(items)) % 5
            target = np.tile(weights / weights.sum(), (n, 1))
            clicks = np.bincount(log["item_id"], weights=log["click"], minlength=items)
            q = np.tile((clicks + 1) / (np.bincount(log["item_id"], minlength=items) + 100), (n, 1))
            answers = by_obp(
                log["click"].to_numpy(float), log["propensity_score"].to_numpy(float), log["item_id"].to_numpy(int),
                target, q, *parameters.values(),
            )
            logs += [{"policy": policy, "campaign": campaign, **answer} for answer in answers]
    write("open_bandit", ["numpy", "scipy", "pandas", "obp"], {**parameters, "estimates": logs})


def uplift_case(name, outcome, treated, score):
    """One data set with what scikit-uplift says of it, and causalml where no scores are tied: it lets the order of rows decide."""
    case = {"name": name, "rows": [[float(y), int(t), float(s)] for y, t, s in zip(outcome, treated, score)]}
    x, y = sklift.metrics.uplift_curve(outcome, score, treated)
    _, z = sklift.metrics.qini_curve(outcome, score, treated)
    case |= {
        "qini": float(sklift.metrics.qini_auc_score(outcome, score, treated, negative_effect=True)),
        "auuc": float(sklift.metrics.uplift_auc_score(outcome, score, treated)),
        "curve": [[int(a), float(b), float(c)] for a, b, c in zip(x, y, z)],
        "at": [
            [k, strategy, float(sklift.metrics.uplift_at_k(outcome, score, treated, strategy, k=int(k) if k >= 1 else k))]
            for k in [0.1, 0.29, 0.3, 0.5, 12.0] for strategy in ["overall", "by_group"]
        ],
        "bins": [],
    }
    for strategy in ["overall", "by_group"]:
        for bins in [4, 10]:
            frame = sklift.metrics.uplift_by_percentile(outcome, score, treated, strategy=strategy, bins=bins, std=True)
            columns = ["n_treatment", "n_control", "response_rate_treatment", "response_rate_control", "uplift", "std_uplift"]
            case["bins"].append([strategy, bins, [[float(v) for v in row] for row in frame[columns].to_numpy()]])
    if len(set(score)) == len(score):
        frame = pd.DataFrame({"y": outcome, "w": treated, "model": score})
        case["causalml"] = {
            "auuc": float(causalml.metrics.auuc_score(frame)["model"]),
            "qini": float(causalml.metrics.qini_score(frame)["model"]),
            "auuc_raw": float(causalml.metrics.auuc_score(frame, normalize=False)["model"]),
            "qini_raw": float(causalml.metrics.qini_score(frame, normalize=False)["model"]),
        }
    return case


def uplift():
    cases = []
    for seed, n, name, share, digits in [
        (8, 200, "no ties", 0.5, None), (9, 300, "many ties", 0.5, 1), (10, 150, "few controls", 0.9, 2),
        (11, 120, "few treated", 0.12, None), (12, 160, "negative effect", 0.4, 2),
    ]:
        rng = np.random.default_rng(seed)
        score = rng.normal(size=n)
        treated = (rng.uniform(size=n) < share).astype(int)
        sign = -1 if name == "negative effect" else 1
        outcome = (rng.uniform(size=n) < 0.3 + sign * 0.15 * treated * np.tanh(score)).astype(int)
        if digits is not None:
            score = np.round(score, digits)
        cases.append(uplift_case(name, outcome, treated, score))
    rng = np.random.default_rng(13)
    treated = (rng.uniform(size=80) < 0.5).astype(int)
    outcome = (rng.uniform(size=80) < 0.5).astype(int)
    cases.append(uplift_case("one score", outcome, treated, np.zeros(80)))
    predicted, realized = np.round(rng.normal(size=12), 1), np.round(rng.normal(size=12), 1)
    write("uplift", ["numpy", "scipy", "scikit-uplift", "causalml"], {
        "cases": cases,
        "kendall": [[float(a), float(b)] for a, b in zip(predicted, realized)],
        "tau": float(scipy.stats.kendalltau(predicted, realized).statistic),
    })


def assignment():
    """Users of several alphabets through the hash and the choice of the GrowthBook SDK."""
    rng = np.random.default_rng(14)
    texts = ["", "a", "123", "user-1", "Ünïcödé", "日本語", "🎉 emoji", "a" * 300, *(str(int(v)) for v in rng.integers(0, 10**12, size=20))]
    seeds = ["", "seed", "my-test", "тест"]
    buckets = [
        [seed, text, version, growthbook.core.gbhash(seed, text, version)]
        for seed in seeds for text in texts for version in [1, 2]
    ]
    buckets += [["abc", "def", version, None] for version in [-1, 0, 3, 99]]
    choices = []
    for coverage in [-0.5, 0.0, 0.1, 0.5, 0.999, 1.0, 1.5]:
        for weights in [[1.0], [0.5, 0.5], [0.4, 0.6], [0.2, 0.3, 0.5], [0.4, 0.1], [0.7, 0.6], [0.4, 0.5999], [0.0, 1.0], [0.25] * 4, [1.2, -0.2]]:
            ranges = growthbook.core.getBucketRanges(len(weights), coverage, weights)
            for bucket in [0.0, 0.1, 0.2, 0.25, 0.3, 0.4, 0.45, 0.5, 0.7, 0.75, 0.9, 0.9999, 1.0]:
                choices.append([bucket, coverage, weights, growthbook.core.chooseVariation(bucket, ranges)])
    write("assignment", ["growthbook"], {"buckets": buckets, "choices": choices})


if __name__ == "__main__":
    estimators()
    open_bandit(Path(sys.argv[1]))
    uplift()
    assignment()
