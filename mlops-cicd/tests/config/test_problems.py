"""What is wrong within a configuration: each problem with line, key and mend, all of them together, in order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mlops_cicd.config import parse

Rows = Callable[[str], list[str]]
Change = Callable[[str, str], str]


def test_the_seed_is_taken(seed: str) -> None:
    config = parse(seed)
    assert config.train_config.hyperparameters == {"max_depth": 5, "learning_rate": 0.1, "kind": "fast", "warm": True}
    assert [type(each) for each in config.train_config.hyperparameters.values()] == [int, float, str, bool]
    assert config.preprocess_config.volume_size_gb == 10
    assert config.inference_config.samples[0].body == "1.0,2.0"
    assert config.gate_for("regression").metric == "rmse"


PROBLEMS = [
    # place, what is written instead, key, what is wrong, mend
    ("framework: sklearn", "framework: sklern", "train_config.framework", "'sklern' is not possible", "mean sklearn?"),
    ("version: 1.4-2-py312", "version: 1.4-2", "train_config.framework_version", "no supported image", "1.4-2-py312"),
    ("ml.t3.medium", "ml.t3.mediun", "preprocess_config.instance_type", "no instance type", "ml.t3.medium?"),
    ("ml.t3.medium", "t3.medium", "preprocess_config.instance_type", "not an instance type", "ml.m5.large"),
    ("ml.t3.medium", "ml.m6g.large", "preprocess_config.instance_type", "no instance type", "Did you mean"),
    ("transform_instances: [ml.m5.large]", "transform_instances: [ml.t3.medium]",
     "inference_config.transform_instances[1]", "for batch transform", "ml.m5.large"),
    ("inference_instances: [ml.m5.large]", "inference_instances: [ml.m6g.large]",
     "inference_config.inference_instances[1]", "ARM", "ml.m5.large"),
    ("inference_instances: [ml.m5.large]", "inference_instances: [ml.m5.large, ml.m5.large]",
     "inference_config.inference_instances[2]", "twice", "once"),
    ("inference_instances: [ml.m5.large]", "inference_instances: []",
     "inference_config.inference_instances", "empty", "at least one"),
    ("inference_instances: [ml.m5.large]", "inference_instances: ml.m5.large",
     "inference_config.inference_instances", "no list", "[a, b]"),
    ("volume_size_gb: 10", "volume_size_gb: 4", "train_config.volume_size_gb", "too small", "5 or more"),
    ("volume_size_gb: 10", "volume_size_gb: 10.5", "train_config.volume_size_gb", "no whole number", "without quotes"),
    ("volume_size_gb: 10", "volume_size_gb: true", "train_config.volume_size_gb", "no whole number", "without quotes"),
    ("volume_size_gb: 10", "volume_size_gb: 99999999999999999999999", "train_config.volume_size_gb", "too large", "16384"),
    ("volume_size_gb: 10", "volume_size_gb:", "train_config.volume_size_gb", "no value", "after the colon"),
    ("entrypoint: train/train.py", "entrypont: train/train.py", "train_config.entrypont", "no such key", "entrypoint?"),
    ("entrypoint: train/train.py", "entrypoint: /etc/passwd", "train_config.entrypoint", "absolute", "in train/"),
    ("entrypoint: train/train.py", "entrypoint: ../train.py", "train_config.entrypoint", "leads out", "in train/"),
    ("entrypoint: train/train.py", "entrypoint: train/../../t.py", "train_config.entrypoint", "leads out", "in train/"),
    ("entrypoint: train/train.py", "entrypoint: preprocess/train.py", "train_config.entrypoint", "no Python file", "train/"),
    ("entrypoint: train/train.py", "entrypoint: train/sub/train.py", "train_config.entrypoint", "no Python file", "train/"),
    ("entrypoint: train/train.py", "entrypoint: train/my-train.py", "train_config.entrypoint", "no Python file", "train/"),
    ("entrypoint: train/train.py", "entrypoint: 'C:\\train.py'", "train_config.entrypoint", "absolute", "in train/"),
    ("entrypoint: train/train.py", "entrypoint: 'train\\train.py'", "train_config.entrypoint", "backslash", "in train/"),
    ("entrypoint: train/train.py", "entrypoint: [train.py]", "train_config.entrypoint", "no text", "Write a text"),
    ("entrypoint: train/train.py", "entrypoint: train/train.py\n  dependencies: ~/r.txt",
     "train_config.dependencies", "absolute", "as it is in the repository"),
    ("entrypoint: train/train.py", "entrypoint: train/train.py\n  dependencies: train/.git/r.txt",
     "train_config.dependencies", "hidden", "as it is in the repository"),
    ("entrypoint: train/train.py", "entrypoint: train/train.py\n  dependencies: 'train/$(id).txt'",
     "train_config.dependencies", "characters", "as it is in the repository"),
    ("entrypoint: train/train.py", "entrypoint: " + "a" * 5000, "train_config.entrypoint", "5000 characters", "200"),
    ("'validation_auc=([0-9.]+)'", "'auc=[0-9.]+'", "train_config.metric_definitions[1].Regex", "0 groups", "one group"),
    ("'validation_auc=([0-9.]+)'", "'(a)(b)'", "train_config.metric_definitions[1].Regex", "2 groups", "(?:...)"),
    ("'validation_auc=([0-9.]+)'", "'auc=([0-9'", "train_config.metric_definitions[1].Regex", "no regular", "one group"),
    ("    - Name: validation", "    - name: validation", "train_config.metric_definitions[1].name", "no such key", "Name?"),
    ("max_depth: 5", "max_depth: [5]", "train_config.hyperparameters.max_depth", "is no number", "Write one"),
    ("max_depth: 5", "max_depth: {a: 5}", "train_config.hyperparameters.max_depth", "is no number", "Write one"),
    ("max_depth: 5", "max_depth: ", "train_config.hyperparameters.max_depth", "no value", "after the colon"),
    ("max_depth: 5", "-x: 5", "train_config.hyperparameters.-x", "no option can have this name", "Take letters"),
    ("max_depth: 5", "with blank: 5", "train_config.hyperparameters.with blank", "no option can have", "Take letters"),
    ("max_depth: 5", "max_depth: .nan", "train_config.hyperparameters.max_depth", "no number to train with", "finite"),
    ("max_depth: 5", "max_depth: " + "9" * 2600, "train_config.hyperparameters.max_depth", "2600 characters", "2500"),
    ("kind: fast", "int: [fast]", "train_config.hyperparameters.int", "is no number", "Write one"),
    ("[text/csv, application/json]", "[application/json]", "inference_config.supported_input_types", "text/csv", "Add"),
    ("[text/csv, application/json]", "[text/csv, csv]", "inference_config.supported_input_types[2]", "content type", "text/csv"),
    ("{content_type: text/csv", "{content_type: text/plain",
     "inference_config.samples[1].content_type", "not in supported_input_types", "text/csv"),
    ("datatype: csv", "datatype: parquet", "data_config.datatype", "'parquet' is not possible", "Take 'csv'"),
    ("target: target", "target: 5", "data_config.target", "5 is no text", "in quotes"),
    ("target: target", "target: ''", "data_config.target", "empty", "Write one"),
    ("{data: sample}", "{data: /data/}", "data_config.inputs.data", "begins with a slash", "data/"),
    ("{data: sample}", "{data: s3://Bad_Bucket/x}", "data_config.inputs.data", "no S3 address", "s3://company"),
    ("{data: sample}", "{data: s3://only-a-bucket}", "data_config.inputs.data", "no S3 address", "s3://company"),
    ("{data: sample}", "{data: data/../other/}", "data_config.inputs.data", "no prefix", "data/"),
    ("{data: sample}", "{data: 'data//x/'}", "data_config.inputs.data", "no prefix", "data/"),
    ("{data: sample}", "{data: 'https://x/y'}", "data_config.inputs.data", "no prefix", "data/"),
    ("{data: sample}", "{dta: sample}", "data_config.inputs.dta", "no such key", "data?"),
    ("metric: auc", "metric: acu", "quality_gate.binary_classification.metric", "'acu' is not a metric", "auc?"),
    ("metric: auc", "metric: rmse", "quality_gate.binary_classification.metric", "not a metric of binary", "Take one of"),
    ("threshold: 0.95", "threshold: 95", "quality_gate.binary_classification.threshold", "can't be 95", "0 to 1"),
    ("threshold: 0.95", "threshold: .inf", "quality_gate.binary_classification.threshold", "inf", "finite"),
    ("threshold: 0.95", "threshold: '0.95'", "quality_gate.binary_classification.threshold", "no number", "without quotes"),
    ("rmse, comparison: LessThanOrEqualTo", "rmse, comparison: GreaterThan",
     "quality_gate.regression.comparison", "lower", "LessThanOrEqualTo"),
    ("rmse, comparison: LessThanOrEqualTo", "rmse, comparison: '<='",
     "quality_gate.regression.comparison", "'<=' is not possible", "Take 'GreaterThan"),
    ("facets: []", "facets: [age]", "bias_config.facets[1]", "no section", "keys with values"),
    ("facets: []", "facets: [{name: target}]", "bias_config.facets[1].name", "is the target", "groups of people"),
    ("facets: []", "facets: [{name: a}, {name: a}]", "bias_config.facets[2].name", "twice", "Join"),
    ("instance_count: 2}", "instance_count: 1, canary: {percent: 10, wait_minutes: 5}}",
     "stages.production.canary", "two instances", "instance_count: 2"),
    ("instance_count: 2}", "instance_count: 2, autoscaling: {min_instances: 3, max_instances: 2, invocations_per_instance: 9}}",
     "stages.production.autoscaling.max_instances", "fewer", "3 or more"),
    ("drift: 0.2", "drift: 0", "monitor_config.thresholds.drift", "too small", "more than 0"),
    ("retrain: never", "retrain: on_violatoin", "monitor_config.retrain", "not possible", "on_violation?"),
    ("monitor_config:", "monitoring:", "monitoring", "no such key", "monitor_config?"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "key", "what", "mend"), PROBLEMS)
def test_each_problem_names_its_line_key_and_mend(
    seed: str, refusal: Rows, old: str, new: str, key: str, what: str, mend: str
) -> None:
    # The last place of what is in the seed several times: the later section.
    place = seed.rindex(old)
    text = (
        seed[:place] + new + seed[place + len(old) :]
        if old != "[text/csv, application/json]"
        else seed.replace(old, new, 1)
    )
    rows = [row for row in refusal(text) if f": {key}: " in row]
    assert len(rows) == 1, refusal(text)
    assert what in rows[0]
    assert mend in rows[0]
    line = int(rows[0].split(":")[1])
    word = key.rsplit(".", 1)[-1].split("[")[0]
    assert word in text.splitlines()[line - 1] or word in text.splitlines()[line - 2]
    assert len(rows[0]) < 400


@pytest.mark.parametrize(
    ("old", "new", "key", "what"),
    [
        ("instance_count: 1\n  entrypoint: preprocess", "instance_count: 2\n  entrypoint: preprocess",
         "preprocess_config.instance_count", "pyspark"),
        ("instance_count: 1\n  volume", "instance_count: 2\n  volume", "train_config.instance_count", "distribution"),
        ("entrypoint: train/train.py", "entrypoint: train/train.py\n  distribution: framework",
         "train_config.distribution", "xgboost"),
        ("entrypoint: train/train.py", "entrypoint: train/train.py\n  distribution: horovod",
         "train_config.distribution", "framework"),
        ("entrypoint: train/train.py", "entrypoint: train/train.py\n  distribution: {torchrun: {processes_per_host: 0}}",
         "train_config.distribution.torchrun.processes_per_host", "1 or more"),
        ("entrypoint: train/train.py", "entrypoint: train/train.py\n  distribution: {mpi: 1}",
         "train_config.distribution.mpi", "torchrun"),
    ],
)  # fmt: skip
def test_several_machines_need_what_divides_the_work(
    changed: Change, refusal: Rows, old: str, new: str, key: str, what: str
) -> None:
    assert any(f": {key}: " in row and what in row for row in refusal(changed(old, new)))


def test_several_machines_are_taken_with_what_divides_the_work(changed: Change) -> None:
    text = changed(
        "entrypoint: train/train.py", "distribution: {torchrun: {processes_per_host: 2}}\n  entrypoint: train/train.py"
    )
    text = text.replace("instance_count: 1\n  volume", "instance_count: 4\n  volume")
    distribution = parse(text).train_config.distribution
    assert not isinstance(distribution, str) and distribution is not None
    assert distribution.torchrun.processes_per_host == 2
    text = text.replace(
        "framework: sklearn\n  framework_version: 1.4-2-py312", "framework: xgboost\n  framework_version: 3.2-0"
    )
    assert (
        parse(text.replace("{torchrun: {processes_per_host: 2}}", "framework")).train_config.distribution == "framework"
    )


def test_all_problems_are_said_at_once_in_the_order_of_the_lines(seed: str, refusal: Rows) -> None:
    text = (
        seed.replace("drift: 0.2", "drift: high")
        .replace("ml.t3.medium", "ml.t3.mega")
        .replace("metric: auc", "metric: gini")
    )
    text = text.replace("  target: target\n", "").replace("facets: []", "facts: []")
    rows = refusal(text)
    keys = [row.split(": ")[1] for row in rows]
    assert keys == [
        "preprocess_config.instance_type",
        "data_config.target",
        "quality_gate.binary_classification.metric",
        "bias_config.facts",
        "monitor_config.thresholds.drift",
    ]
    lines = [int(row.split(":")[1]) for row in rows]
    assert lines == sorted(lines)
    assert text.splitlines()[lines[0] - 1].strip() == "instance_type: ml.t3.mega"


def test_a_mass_of_problems_is_cut(seed: str, refusal: Rows) -> None:
    rows = refusal(seed + "".join(f"key_{number}: 1\n" for number in range(500)))
    assert len(rows) == 51
    assert "450 more problems" in rows[-1]


def test_a_key_of_odd_characters_stays_on_one_line(seed: str, refusal: Rows) -> None:
    rows = refusal(seed + '"bad\\nkey\\e[31m": 1\n')
    assert len(rows) == 1
    assert rows[0].isprintable()


@pytest.mark.parametrize("version", ["2", "99999999999999999999"])
def test_a_newer_version_is_refused(changed: Change, refusal: Rows, version: str) -> None:
    rows = refusal(changed("version: 1\n", f"version: {version}\n"))
    assert len(rows) == 1
    assert rows[0].startswith(f"model_config.yaml:3: version: this is version {version}")
    assert "ML engineer" in rows[0]


@pytest.mark.parametrize("version", ["'1'", "1.0", "true", "one", "-1", "[1]", ""])
def test_what_is_no_version_is_refused(changed: Change, refusal: Rows, version: str) -> None:
    rows = refusal(changed("version: 1\n", f"version: {version}\n"))
    assert len(rows) == 1
    assert "is no version. Write version: 1." in rows[0]


@pytest.mark.parametrize(
    "place", ["sample", "data/", "data/2024/part one.csv", "s3://company-data/churn/", "s3://abc/x=1/y.csv"]
)
def test_places_of_data_are_taken(changed: Change, place: str) -> None:
    assert parse(changed("{data: sample}", f"{{data: {place}}}")).data_config.inputs.data == place


def test_a_configuration_can_not_be_changed(seed: str) -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse(seed).data_config.target = "other"
