"""baseline.py: statistics that drift can be measured from, bias by Clarify's formulas, and a ranking that is true."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .conftest import SKLEARN_PROGRAM, Job, rule, table

FILES = ["baseline/constraints.json", "baseline/statistics.json", "bias/analysis.json", "explainability/analysis.json"]


def facets(*found: Any) -> list[str]:
    """Give the words for facets."""
    return ["--facets", json.dumps([{"name": name, "values_or_threshold": values} for name, values in found])]


def features(job: Job) -> dict[str, Any]:
    """Read the statistics by feature."""
    return {feature["name"]: feature for feature in job.output("baseline/statistics.json")["features"]}


@pytest.fixture
def people(empty: Job) -> Job:
    """Give a job of two classes with groups: sex 0 or 1, age continuous, rare 1 in two rows; the rule answers by `score`."""
    empty.problem_type = "binary_classification"
    made = random.Random(5)

    def rows(count: int) -> list[tuple[Any, ...]]:
        found = []
        for at in range(count):
            sex, age, score = int(made.random() < 0.3), made.randint(18, 80), made.gauss(0.2, 1)
            truth = int(score + made.gauss(0, 0.7) - 0.4 * sex > 0)
            found.append((truth, round(score - 0.5 * sex, 4), sex, age, int(at < 2)))
        return found

    empty.train, empty.test = rows(400), rows(200)  # type: ignore[attr-defined]
    header = ("y", "score", "sex", "age", "rare")
    empty.put("train/train.csv", table(empty.train, header))  # type: ignore[attr-defined]
    empty.put("test/test.csv", table(empty.test, header))  # type: ignore[attr-defined]
    empty.model(header[1:], [0, 1], rule("binary"))
    return empty


def test_bias_is_that_of_the_formulas(people: Job) -> None:
    assert people.run("baseline", *facets(("sex", [1]), ("age", [40]))).returncode == 0
    assert people.written() == FILES
    found = people.output("bias/analysis.json")
    before, after = found["pre_training_bias_metrics"], found["post_training_bias_metrics"]
    assert before["label"] == "y" and before["label_value_or_threshold"] == "1"
    for name, column, inside, shown in (("sex", 2, lambda v: v == 1, "1"), ("age", 3, lambda v: v > 40, "(40, 80]")):
        d = [row for row in people.train if inside(row[column])]  # type: ignore[attr-defined]
        a = [row for row in people.train if not inside(row[column])]  # type: ignore[attr-defined]
        expected = {"CI": (len(a) - len(d)) / (len(a) + len(d))}
        expected["DPL"] = sum(r[0] for r in a) / len(a) - sum(r[0] for r in d) / len(d)
        assert before["facets"][name][0]["value_or_threshold"] == shown
        assert values(before["facets"][name][0]) == pytest.approx(expected)
        d = [row for row in people.test if inside(row[column])]  # type: ignore[attr-defined]
        a = [row for row in people.test if not inside(row[column])]  # type: ignore[attr-defined]
        share = {who: sum(r[1] > 0 for r in rows) / len(rows) for who, rows in (("a", a), ("d", d))}
        right = {who: sum((r[1] > 0) == r[0] for r in rows) / len(rows) for who, rows in (("a", a), ("d", d))}
        assert values(after["facets"][name][0]) == pytest.approx(
            {"AD": right["a"] - right["d"], "DI": share["d"] / share["a"], "DPPL": share["a"] - share["d"]}
        )
    assert before["facets"]["sex"][0]["metrics"][0]["description"] == "Class Imbalance (CI)"
    assert values(after["facets"]["sex"][0])["DI"] < 0.9, "the data was made so that the rule disfavours the group"


def values(group: Any) -> dict[str, Any]:
    """Give the metrics of a group by name."""
    return {metric["name"]: metric["value"] for metric in group["metrics"]}


@pytest.mark.parametrize(
    ("name", "named", "says"),
    [
        ("rare", [1], "2 rows are in the group"),
        ("sex", [5], "0 rows are in the group"),
        ("sex", [0, 1], "0 rows are not in the group"),
        ("age", [79.5], "rows are in the group, and at least 10 are needed"),
    ],
)
def test_a_group_too_small_is_written_down_as_not_computed(people: Job, name: str, named: list[Any], says: str) -> None:
    assert people.run("baseline", *facets((name, named))).returncode == 0
    for section in ("pre_training_bias_metrics", "post_training_bias_metrics"):
        for metric in people.output("bias/analysis.json")[section]["facets"][name][0]["metrics"]:
            assert metric["value"] is None and says in metric["error"]


def test_without_values_each_value_is_a_group(people: Job) -> None:
    assert people.run("baseline", *facets(("sex", []))).returncode == 0
    found = people.output("bias/analysis.json")["pre_training_bias_metrics"]["facets"]["sex"]
    assert [group["value_or_threshold"] for group in found] == ["0", "1"]
    assert values(found[0])["CI"] == pytest.approx(-values(found[1])["CI"])


def test_no_facets_give_empty_reports(people: Job) -> None:
    assert people.run("baseline").returncode == 0
    assert people.output("bias/analysis.json")["post_training_bias_metrics"]["facets"] == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[{"name": "gender", "values_or_threshold": [1]}]', "names the column 'gender'"),
        ('[{"name": "y", "values_or_threshold": [1]}]', "names the column 'y', which is no feature"),
        ('[{"name": "age", "values_or_threshold": ["old"]}]', "give a lower bound"),
        ('[{"name": "age"}]', "gives no values for 'age'"),
        ('["sex"]', "can't be read"),
        ("{", "can't be read"),
        ("5", "can't be read"),
    ],
)
def test_facets_that_can_not_be_meant_name_their_key(people: Job, text: str, says: str) -> None:
    message = people.refused("baseline", "--facets", text)
    assert "bias_config.facets" in message and says in message


def test_a_ratio_without_a_divisor_is_infinite_or_not_computed(steps: None) -> None:
    import bias

    group = np.array([True] * 10 + [False] * 10)
    nobody = np.zeros(20, dtype=bool)
    by_name = {entry["name"]: entry for entry in bias.post_training(group, nobody, group)}
    assert by_name["DI"]["value"] == "\u221e" and by_name["DPPL"]["value"] == -1
    none = {entry["name"]: entry for entry in bias.post_training(group, nobody, nobody)}
    assert none["DI"]["value"] is None and "no row of either group" in none["DI"]["error"] and none["AD"]["value"] == 0


def test_the_ranking_finds_the_feature_that_the_rule_rests_on(people: Job) -> None:
    assert people.run("baseline").returncode == 0
    found = people.output("explainability/analysis.json")
    shares = found["explanations"]["permutation_importance"]["y"]
    importance = shares["global_importance_values"]
    assert found["ranking"][0] == "score" == next(iter(importance)) and importance["score"] > 0.1
    assert [importance[name] for name in ("sex", "age", "rare")] == [0, 0, 0]
    truth, score = np.array([(row[0], row[1]) for row in people.test]).T  # type: ignore[attr-defined]
    own = np.where(score > 0, np.where(truth == 1, 0.8, 0.2), np.where(truth == 1, 0.1, 0.9))
    assert shares["base_loss"] == pytest.approx(-np.log(own).mean())
    assert found["method"]["name"] == "permutation importance" and found["method"]["rows"] == 200
    first = (people.root / "processing/output/explainability/analysis.json").read_bytes()
    assert people.run("baseline").returncode == 0
    assert (people.root / "processing/output/explainability/analysis.json").read_bytes() == first


def test_importance_of_a_linear_model_is_what_its_weights_say(empty: Job) -> None:
    noise = np.random.default_rng(3)
    x = noise.normal(size=(600, 3))
    y = 3 * x[:, 0] - 1 * x[:, 1]
    for name in ("train", "test"):
        empty.put(f"{name}/{name}.csv", table([(b, *a) for a, b in zip(x, y, strict=True)], ("y", "a", "b", "c")))
    empty.model(("a", "b", "c"), None, SKLEARN_PROGRAM, Ridge(1e-9).fit(x, y))
    assert empty.run("baseline").returncode == 0
    found = empty.output("explainability/analysis.json")
    importance = found["explanations"]["permutation_importance"]["y"]["global_importance_values"]
    assert found["ranking"] == ["a", "b", "c"] and found["method"]["rows"] == 300
    # A shuffled column of unit variance moves each answer by its weight times a difference of variance 2.
    assert importance["a"] == pytest.approx(3 * 2**0.5, rel=0.15) and importance["b"] == pytest.approx(2**0.5, rel=0.15)
    assert importance["c"] == pytest.approx(0, abs=1e-6)


def test_many_classes_are_looked_at_one_by_one(empty: Job) -> None:
    empty.problem_type = "multiclass_classification"
    x, y = load_wine(return_X_y=True)
    names = [f"f{at}" for at in range(x.shape[1])]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
    for name in ("train", "test"):
        empty.put(f"{name}/{name}.csv", table([(b, *a) for a, b in zip(x, y, strict=True)], ("y", *names)))
    empty.model(names, [0, 1, 2], SKLEARN_PROGRAM, model)
    done = empty.start("baseline", *facets(("f0", [13])))
    assert done.returncode == 0, done.stderr
    found = empty.output("bias/analysis.json")["post_training_bias_metrics"]["facets"]["f0"]
    assert [group["label_value_or_threshold"] for group in found] == ["0", "1", "2"]
    answered, above = model.predict(x), x[:, 0] > 13
    for kind, group in enumerate(found):
        expected = (answered[~above] == kind).mean() - (answered[above] == kind).mean()
        assert values(group)["DPPL"] == pytest.approx(expected)


def test_numbers_count_as_positive_above_the_median(empty: Job) -> None:
    rows = [(2 * a, a, int(a > 10)) for a in range(-30, 30)]
    for name in ("train", "test"):
        empty.put(f"{name}/{name}.csv", table(rows, ("y", "a", "high")))
    empty.model(("a", "high"), None, rule("regression"))
    assert empty.run("baseline", *facets(("high", [1]))).returncode == 0
    found = empty.output("bias/analysis.json")["post_training_bias_metrics"]
    assert found["label_value_or_threshold"] == "(-1, 58]"
    assert values(found["facets"]["high"][0]) == pytest.approx({"AD": 0, "DI": 1 / (11 / 41), "DPPL": 11 / 41 - 1})


# --- statistics -------------------------------------------------------------------------------------------------------------


def wide(job: Job, columns: dict[str, list[Any]]) -> None:
    """Lay out a regression with these columns beside one that the rule answers by."""
    count = len(next(iter(columns.values())))
    names = ["a", *columns]
    rows = [(2 * at, at, *(column[at] for column in columns.values())) for at in range(count)]
    for name in ("train", "test"):
        job.put(f"{name}/{name}.csv", table(rows, ("y", *names)))
    first = rule("regression").replace('[float(x) if x else float("nan") for x in row]', "[float(row[0])]")
    job.model(names, None, first)


def test_statistics_have_model_monitors_form(empty: Job) -> None:
    whole, part = [1, 2, 2, "", 5], [0.5, -1.5, 2.5, 3.5, 4.0]
    wide(
        empty,
        {
            "whole": whole,
            "part": part,
            "word": ["x", "y", "x", "", "x"],
            "none": [""] * 5,
            "yes": [True, False] * 2 + [True],
        },
    )
    assert empty.run("baseline").returncode == 0
    found = features(empty)
    assert empty.output("baseline/statistics.json")["dataset"] == {"item_count": 5}
    kinds = {name: feature["inferred_type"] for name, feature in found.items()}
    assert kinds == {
        "a": "Integral",
        "whole": "Integral",
        "part": "Fractional",
        "word": "String",
        "none": "Unknown",
        "yes": "String",
    }
    numbers = found["whole"]["numerical_statistics"]
    assert numbers["common"] == {"num_present": 4, "num_missing": 1}
    assert [numbers[name] for name in ("mean", "sum", "std_dev", "min", "max")] == [2.5, 10, 1.5, 1, 5]
    assert found["word"]["string_statistics"] == {
        "common": {"num_present": 4, "num_missing": 1},
        "distinct_count": 2,
        "distribution": {"categorical": {"buckets": [{"value": "x", "count": 3}, {"value": "y", "count": 1}]}},
    }
    bounds = {one["name"]: one for one in empty.output("baseline/constraints.json")["features"]}
    assert bounds["whole"] == {
        "name": "whole",
        "inferred_type": "Integral",
        "completeness": 0.8,
        "num_constraints": {"is_non_negative": True},
    }
    assert bounds["part"]["num_constraints"] == {"is_non_negative": False}
    assert bounds["word"]["string_constraints"] == {"domains": ["x", "y"]}
    assert bounds["none"] == {"name": "none", "inferred_type": "Unknown", "completeness": 0.0}


def test_infinite_features_are_refused(empty: Job) -> None:
    wide(empty, {"b": [1, 2, "inf"]})
    assert "'b' holds infinite values" in empty.refused("baseline")


@pytest.mark.parametrize("count", [1, 9, 255, 256, 257, 1000, 4097, 30_000])
@pytest.mark.parametrize("kind", ["normal", "skewed", "capped", "binary", "constant", "whole"])
def test_drift_can_be_measured_from_the_file_alone(steps: None, count: int, kind: str) -> None:
    import distributions
    import pandas as pd

    noise = np.random.default_rng(count)
    first, later = {
        "normal": (noise.normal(size=count), noise.normal(0.3, 1.2, size=2000)),
        "skewed": (np.maximum(0, noise.normal(-1, size=count)), np.maximum(0, noise.normal(-0.5, size=2000))),
        "capped": (np.minimum(0, noise.normal(1, size=count)), np.minimum(0, noise.normal(0.5, size=2000))),
        "binary": (noise.binomial(1, 0.2, count).astype(float), noise.binomial(1, 0.4, 2000).astype(float)),
        "constant": (np.full(count, 3.0), np.full(2000, 3.0)),
        "whole": (noise.poisson(4, count).astype(float), noise.poisson(5, 2000).astype(float)),
    }[kind]
    found = distributions.statistics(pd.DataFrame({"f": first}))["features"][0]["numerical_statistics"]["distribution"]
    # Population stability index: bins of the file, against the same bins counted over the rows themselves.
    edges, counts = np.array(found["quantiles"]["edges"]), np.array(found["quantiles"]["counts"])
    assert counts.sum() == count and counts.min() > 0 and len(edges) == len(counts) + 1
    inner = [-np.inf, *edges[1:-1], np.inf]
    assert [((first > low) & (first <= high)).sum() for low, high in itertools.pairwise(inner)] == counts.tolist()
    if kind == "binary" and count >= 255:
        now = np.array([(later <= edges[1]).mean(), (later > edges[1]).mean()])
        share = counts / count
        assert ((now - share) * np.log(now / share)).sum() > 0.02
    # Kolmogorov-Smirnov: the distance by the sketch, against that of the rows.
    levels = found["kll"]["sketch"]["data"]
    values = np.concatenate([np.array(level, dtype=float) for level in levels])
    weights = np.concatenate([np.full(len(level), 2.0**at) for at, level in enumerate(levels)])
    assert weights.sum() == count and len(values) <= 256 + 16
    order = np.argsort(values, kind="stable")
    values, weights = values[order], np.cumsum(weights[order])
    places = np.concatenate([values, later])
    by_sketch = np.concatenate([[0], weights])[np.searchsorted(values, places, side="right")] / count
    by_rows = np.searchsorted(np.sort(later), places, side="right") / len(later)
    exact = ks_2samp(first, later).statistic
    assert abs(np.abs(by_sketch - by_rows).max() - exact) <= (1 / 256 if count > 256 else 1e-12)
    assert sum(bucket["count"] for bucket in found["kll"]["buckets"]) == count


# --- bad input --------------------------------------------------------------------------------------------------------------


def test_a_model_that_fails_leaves_none_of_the_files(people: Job) -> None:
    assert people.run("baseline").returncode == 0
    people.model(
        ("score", "sex", "age", "rare"), [0, 1], rule("binary") + "\ndef predict_fn(d, m): raise ValueError('no')"
    )
    assert "failed in predict_fn: ValueError: no" in people.refused("baseline")


def test_a_model_that_hangs_is_ended(people: Job) -> None:
    people.model(("score", "sex", "age", "rare"), [0, 1], "import time; time.sleep(60)")
    assert "no answer in 0.5 seconds" in people.refused("baseline", "--timeout", "0.5")


def test_sets_with_other_columns_are_refused(people: Job) -> None:
    people.put("train/train.csv", "y,score\n1,2\n")
    assert "differ in their columns" in people.refused("baseline")


def test_a_missing_set_is_refused(people: Job) -> None:
    (people.root / "processing/input/train/train.csv").unlink()
    assert "no .csv file" in people.refused("baseline")


def test_a_full_disk_leaves_none_of_the_files(people: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    import baseline

    def full(path: Any, document: Any) -> None:
        if "explainability" in str(path):
            raise OSError(28, "No space left on device")
        whole(path, document)

    whole = baseline.put_json
    monkeypatch.setattr(baseline, "put_json", full)
    assert "No space left on device" in people.refused("baseline")
