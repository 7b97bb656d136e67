"""Expressions and conditions, as the SDK and the published schema write them."""

from __future__ import annotations

from typing import Any

import pytest
from mlops_cicd.local.conditions import condition_problems, holds, told
from mlops_cicd.local.errors import JobFailed
from mlops_cicd.local.expressions import UNKNOWN, Values, problems, tokens

STEPS: dict[str, dict[str, Any]] = {
    "Prep": {
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "train", "S3Output": {"S3Uri": "s3://b/train"}}]},
        "ProcessingJobName": "p-1",
    },
    "Train": {
        "ModelArtifacts": {"S3ModelArtifacts": "s3://b/m"},
        "FinalMetricDataList": [{"MetricName": "auc", "Value": 0.9}],
    },
}
DOCUMENT = {
    "regression_metrics": {"mse": {"value": 4.5, "odd.name": 1}},
    "Output": [5, 10],
    "ok": True,
    "nan": float("nan"),
}
VALUES = Values(
    {"N": 3, "Name": "x", "Flag": True}, {"PipelineName": "churn"}, STEPS, read_json=lambda kind, what: DOCUMENT
)


def json_get(path: str) -> dict[str, Any]:
    return {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Prep.PropertyFiles.Report"}, "Path": path}}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ({"Get": "Parameters.N"}, 3),
        ({"Get": "Execution.PipelineName"}, "churn"),
        ({"Get": "Steps.Prep.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"}, "s3://b/train"),
        ({"Get": "Steps.Prep.ProcessingOutputConfig.Outputs[0].S3Output.S3Uri"}, "s3://b/train"),
        ({"Get": 'Steps.Train.FinalMetricDataList["auc"].Value'}, 0.9),
        ({"Std:Join": {"On": "/", "Values": ["s3:/", {"Get": "Parameters.Name"}, {"Get": "Parameters.N"}]}}, "s3://x/3"),
        ({"Std:Join": {"Values": ["is ", {"Get": "Parameters.Flag"}]}}, "is true"),
        ({"Std:Join": {"Values": ["a", "b"]}}, "ab"),
        (json_get("regression_metrics.mse.value"), 4.5),
        (json_get("$.regression_metrics.mse['odd.name']"), 1),
        (json_get("Output[1]"), 10),
        ({"Std:JsonGet": {"S3Uri": {"Std:Join": {"On": "", "Values": ["s3://b/", "x"]}}, "Path": "Output[0]"}}, 5),
        ([{"a": {"Get": "Parameters.N"}}, "b", None], [{"a": 3}, "b", None]),
    ],
)  # fmt: skip
def test_an_expression_gives_its_value(expression: Any, value: Any) -> None:
    assert list(problems(expression, "X")) == []
    assert VALUES.resolve(expression) == value


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ({"Get": "Steps.Other.X"}, "Other did not run"),
        ({"Get": "Steps.Prep.ProcessingOutputConfig.Outputs['test'].S3Output"}, "there is no 'test'"),
        ({"Get": "Execution.TrainingJobName"}, "no value in this step"),
        (json_get("regression_metrics.rmse.value"), "there is no 'rmse' (there is: mse)"),
        (json_get("Output"), "no single value"),
        (json_get("Output[7]"), "there is no 7"),
        (json_get("ok.deeper"), "there is no 'deeper'"),
    ],
)
def test_what_is_not_there_is_named(expression: Any, message: str) -> None:
    with pytest.raises(JobFailed) as caught:
        VALUES.resolve(expression)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ({"Get": "Parameter.N"}, "gets nothing"),
        ({"Get": "Parameters"}, "gets nothing"),
        ({"Get": ["Parameters", "N"]}, "gets nothing"),
        ({"Get": "Steps.Prep"}, "names no property"),
        ({"Get": "Execution.Id"}, "no execution variable"),
        ({"Std:Split": {}}, "Std:Split is not played"),
        ({"Std:Join": ["a"]}, "Std:Join is"),
        ({"Std:Join": {"On": 3, "Values": []}}, "Std:Join is"),
        ({"Std:Join": {"On": "", "Values": [{"Get": "no"}]}}, "gets nothing"),
        ({"Std:JsonGet": {"Path": "a"}}, "Std:JsonGet is"),
        ({"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Prep"}, "Path": "a"}}, "PropertyFile: write"),
        (json_get("a[?(@.x)]"), "no path"),
    ],
)
def test_a_malformed_expression_is_a_problem_before_the_run(expression: Any, message: str) -> None:
    found = list(problems({"Key": [expression]}, "Step"))
    assert len(found) == 1
    assert message in found[0]
    assert found[0].startswith("Step.Key[0]")


def test_before_the_run_what_a_step_gives_is_unknown() -> None:
    early = Values({"N": 3}, {}, {}, early=True)
    assert early.resolve({"Get": "Steps.Prep.X"}) is UNKNOWN
    assert early.resolve({"Std:Join": {"On": "", "Values": ["a", {"Get": "Steps.Prep.X"}]}}) is UNKNOWN
    assert early.resolve(json_get("a")) is UNKNOWN
    assert early.resolve({"Get": "Parameters.N"}) == 3


def compare(kind: str, left: Any, right: Any) -> dict[str, Any]:
    return {"Type": kind, "LeftValue": left, "RightValue": right}


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        (compare("Equals", 1, 1.0), True),
        (compare("Equals", "a", "b"), False),
        (compare("NotEquals", "a", "b"), True),
        (compare("GreaterThan", 1, 1), False),
        (compare("GreaterThanOrEqualTo", 1, 1), True),
        (compare("LessThan", json_get("regression_metrics.mse.value"), 4.6), True),
        (compare("LessThanOrEqualTo", {"Get": "Parameters.N"}, 2), False),
        ({"Type": "In", "QueryValue": {"Get": "Parameters.Name"}, "Values": ["x", "y"]}, True),
        ({"Type": "In", "Value": 3, "In": [{"Get": "Parameters.N"}]}, True),
        ({"Type": "In", "QueryValue": 1, "Values": [True]}, False),
        ({"Type": "NotIn", "Value": "a", "In": ["b"]}, True),
        ({"Type": "Not", "Condition": compare("Equals", 1, 1)}, False),
        ({"Type": "Not", "Expression": compare("Equals", 1, 2)}, True),
        ({"Type": "Or", "Conditions": [compare("Equals", 1, 2), compare("LessThan", 1, 2)]}, True),
        ({"Type": "Or", "Conditions": [compare("Equals", 1, 2)]}, False),
    ],
)
def test_every_condition_type(condition: dict[str, Any], met: bool) -> None:
    assert list(condition_problems(condition, "C")) == []
    assert holds(condition, VALUES) is met
    assert told(condition, VALUES)


@pytest.mark.parametrize(
    "condition",
    [
        compare("LessThan", "4.5", 5),
        compare("Equals", True, 1),
        compare("GreaterThan", True, False),
        compare("GreaterThan", json_get("nan"), 1),
        compare("Equals", None, 1),
    ],
)
def test_what_cannot_be_compared_fails_the_step_instead_of_deciding(condition: dict[str, Any]) -> None:
    with pytest.raises(JobFailed):
        holds(condition, VALUES)


@pytest.mark.parametrize(
    "condition",
    [
        {"Type": "And", "Conditions": []},
        {"Type": "Equals", "LeftValue": 1},
        {"Type": "In", "QueryValue": 1, "Values": 2},
        {"Type": "Or", "Conditions": []},
        {"Type": "Not"},
        {"Type": "Not", "Condition": {"Type": "Maybe"}},
        "Equals",
    ],
)
def test_a_malformed_condition_is_a_problem(condition: Any) -> None:
    assert list(condition_problems(condition, "C"))


def test_a_path_is_cut_into_names_and_indexes() -> None:
    assert tokens("A.B['c d'][0].E[-1]") == ["A", "B", "c d", 0, "E", -1]
