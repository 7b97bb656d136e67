"""What the definition says: its steps and their order, where things go, and what the configuration changes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mlops_cicd.definition import BATCH_STEPS, STEPS, Code, LimitError, render

Made = Callable[..., dict[str, Any]]
KEY = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"


def steps(definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = {}
    for step in definition["Steps"]:
        found[step["Name"]] = step
        if step["Type"] == "Condition":
            for inner in [*step["Arguments"]["IfSteps"], *step["Arguments"]["ElseSteps"]]:
                found[inner["Name"]] = inner
    return found


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    yield path, value
    if isinstance(value, dict):
        for key, each in value.items():
            yield from walk(each, f"{path}.{key}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from walk(each, f"{path}[{index}]")


def inputs(step: dict[str, Any]) -> dict[str, Any]:
    return {each["InputName"]: each["S3Input"]["S3Uri"] for each in step["Arguments"]["ProcessingInputs"]}


def outputs(step: dict[str, Any]) -> dict[str, Any]:
    return {each["OutputName"]: each["S3Output"] for each in step["Arguments"]["ProcessingOutputConfig"]["Outputs"]}


@pytest.mark.parametrize(("inference", "names"), [("realtime", STEPS), ("batch", BATCH_STEPS)])
def test_the_steps_and_their_order(made: Made, inference: str, names: tuple[str, ...]) -> None:
    definition = made({"inference_type": inference})
    assert tuple(steps(definition)) == names
    assert definition["Version"] == "2020-12-01"
    assert definition["Parameters"] == [{"Name": "Commit", "Type": "String", "DefaultValue": "0123abcd"}]


@pytest.mark.parametrize("inference", ["realtime", "batch"])
def test_every_reference_names_a_step_before_it_and_what_that_step_has(made: Made, inference: str) -> None:
    definition = made({"inference_type": inference})
    every = steps(definition)
    seen: list[str] = []
    for step in definition["Steps"]:
        for _, value in walk(step):
            if not (isinstance(value, dict) and set(value) == {"Get"} and value["Get"].startswith("Steps.")):
                continue
            name, path = re.fullmatch(r"Steps\.([A-Za-z]+)\.(.+)", value["Get"]).groups()  # type: ignore[union-attr]
            assert name in seen
            if output := re.fullmatch(r"ProcessingOutputConfig\.Outputs\['(\w+)'\]\.S3Output\.S3Uri", path):
                assert output[1] in outputs(every[name])
            elif report := re.fullmatch(r"PropertyFiles\.(\w+)", path):
                assert report[1] in [each["PropertyFileName"] for each in every[name]["PropertyFiles"]]
            else:
                assert (every[name]["Type"], path) in {
                    ("Training", "ModelArtifacts.S3ModelArtifacts"),
                    ("Model", "ModelName"),
                    ("Transform", "TransformOutput.S3OutputPath"),
                }
        assert set(step.get("DependsOn", [])) <= set(seen)
        seen.append(step["Name"])


def test_every_output_carries_the_execution(made: Made) -> None:
    found = {}
    for name, step in steps(made({"inference_type": "batch"})).items():
        for path, value in walk(step["Arguments"]):
            if path.endswith(("S3Output.S3Uri", "S3OutputPath")) and "Std:Join" in value:
                join = value["Std:Join"]
                found[name, path] = join["On"].join(
                    each if isinstance(each, str) else "EXECUTION" for each in join["Values"]
                )
                assert {"Get": "Execution.PipelineExecutionId"} in join["Values"]
    places = sorted(found.values())
    assert len(places) == len(set(places)) == 11
    assert "s3://churn-p-abc123/pipelines/EXECUTION/preprocess/train" in places
    assert "s3://churn-p-abc123/pipelines/EXECUTION/evaluate/evaluation" in places
    assert "s3://churn-p-abc123/pipelines/EXECUTION/transform" in places
    assert "s3://churn-p-abc123/models/EXECUTION" in places
    # S3 prefixes are raw texts: one that another begins with would take that one's files too.
    assert not [
        pair for pair in [(a, b) for a in places for b in places] if pair[0] != pair[1] and pair[1].startswith(pair[0])
    ]


def test_jobs_run_in_the_network_with_key_time_role_tags_and_the_projects_names(made: Made) -> None:
    found = steps(made({"inference_type": "batch", "max_runtime_seconds": "3600"}))
    vpc = {"SecurityGroupIds": ["sg-0a1b2c3d"], "Subnets": ["subnet-0a1b2c3d", "subnet-4e5f6a7b"]}
    prefixes = {
        "Preprocess": "prep",
        "Train": "train",
        "Model": "model",
        "Transform": "batch",
        "Evaluate": "eval",
        "Baseline": "base",
    }
    for name, kind in prefixes.items():
        arguments = found[name]["Arguments"]
        own = next(value for key, value in arguments.items() if key in (
            "ProcessingJobName", "TrainingJobName", "TransformJobName", "ModelName") and isinstance(value, str))  # fmt: skip
        assert own == f"churn--{kind}"
        assert {tag["Key"]: tag["Value"] for tag in arguments["Tags"]} == {
            "mlops:project": "churn", "sagemaker:project-name": "churn", "sagemaker:project-id": "p-abc123", "CostCenter": "4711",
        }  # fmt: skip
        if name == "Transform":
            # A transform runs in its model's network and role.
            continue
        assert (arguments.get("VpcConfig") or arguments["NetworkConfig"]["VpcConfig"]) == vpc
        assert arguments.get("RoleArn", arguments.get("ExecutionRoleArn")).endswith(":role/mlops/churn/runs")
        if name != "Model":
            assert arguments["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600}
    assert found["Model"]["Arguments"]["EnableNetworkIsolation"] is True
    assert [
        found[name]["Arguments"]["ProcessingOutputConfig"]["KmsKeyId"]
        for name in ("Preprocess", "Evaluate", "Baseline")
    ] == [KEY] * 3
    assert found["Train"]["Arguments"]["OutputDataConfig"]["KmsKeyId"] == KEY
    assert found["Transform"]["Arguments"]["TransformOutput"]["KmsKeyId"] == KEY


def test_volumes_have_the_key_where_the_machine_has_a_volume(made: Made) -> None:
    plain = steps(made({"inference_type": "batch"}))
    own_disks = steps(
        made(
            {"inference_type": "batch"},
            preprocess_config__instance_type="ml.r5d.large",
            train_config__instance_type="ml.g5.xlarge",
            inference_config__transform_instances=["ml.g4dn.xlarge"],
        )
    )
    places: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "Preprocess": lambda found: found["ProcessingResources"]["ClusterConfig"],
        "Train": lambda found: found["ResourceConfig"],
        "Transform": lambda found: found["TransformResources"],
    }
    for name, resources in places.items():
        assert resources(plain[name]["Arguments"])["VolumeKmsKeyId"] == KEY
        assert "VolumeKmsKeyId" not in resources(own_disks[name]["Arguments"])


def test_names_stay_within_what_sagemaker_prefixes(made: Made) -> None:
    name = "a" * 32
    found = steps(made({"project_name": name, "inference_type": "batch"}))
    for step, key in (("Preprocess", "ProcessingJobName"), ("Train", "TrainingJobName"), ("Model", "ModelName")):
        prefix = found[step]["Arguments"][key]
        assert len(prefix) <= 38
        assert prefix.startswith(f"{name}--")


def test_a_processing_job_never_asks_for_more_time_than_processing_has(made: Made) -> None:
    found = steps(made({"max_runtime_seconds": "2000000"}))
    assert found["Preprocess"]["Arguments"]["StoppingCondition"]["MaxRuntimeInSeconds"] == 777600
    assert found["Train"]["Arguments"]["StoppingCondition"]["MaxRuntimeInSeconds"] == 2000000


@pytest.mark.parametrize(
    ("data", "uri"),
    [
        ("sample", None),
        ("data/", "s3://churn-p-abc123/data/"),
        ("s3://company/churn/", "s3://company/churn/"),
    ],
)
def test_the_data_come_from_where_the_configuration_says(made: Made, data: str, uri: str | None) -> None:
    step = steps(made(data_config__inputs={"data": data}))["Preprocess"]
    assert inputs(step).get("data") == uri
    assert list(outputs(step)) == ["train", "validation", "test", "batch", "metadata"]
    assert step["Arguments"]["AppSpecification"]["ContainerArguments"] == [
        "--problem-type", "binary_classification", "--target", "target"]  # fmt: skip


def test_pyspark_preprocesses_on_several_machines_and_the_rest_on_one(made: Made) -> None:
    found = steps(
        made(
            preprocess_config__framework="pyspark",
            preprocess_config__framework_version="3.5",
            preprocess_config__instance_count=3,
            preprocess_config__instance_type="ml.m5.xlarge",
        )
    )
    assert found["Preprocess"]["Arguments"]["AppSpecification"]["ContainerEntrypoint"] == [
        "smspark-submit", "/opt/ml/processing/input/code/preprocess.py"]  # fmt: skip
    counts = {name: found[name]["Arguments"]["ProcessingResources"]["ClusterConfig"]["InstanceCount"]
              for name in ("Preprocess", "Evaluate", "Baseline")}  # fmt: skip
    assert counts == {"Preprocess": 3, "Evaluate": 1, "Baseline": 1}


@pytest.mark.parametrize(
    ("changes", "arguments"),
    [
        ({}, ["--entrypoint", "train.py", "--"]),
        (
            {"train_config__distribution": {"torchrun": {"processes_per_host": 4}}},
            ["--entrypoint", "train.py", "--torchrun", "4", "--"],
        ),
        (
            {
                "train_config__framework": "xgboost",
                "train_config__framework_version": "3.0-5",
                "train_config__distribution": "framework",
                "train_config__instance_count": 2,
            },
            ["--entrypoint", "train.py", "--"],
        ),
    ],
)
def test_the_driver_is_told_how_to_start_the_script(made: Made, changes: dict[str, Any], arguments: list[str]) -> None:
    algorithm = steps(made(**changes))["Train"]["Arguments"]["AlgorithmSpecification"]
    assert algorithm["ContainerEntrypoint"] == ["python3", "/opt/ml/input/data/steps/train.py"]
    assert algorithm["ContainerArguments"] == [
        *arguments,
        "--problem-type",
        "binary_classification",
        "--target",
        "target",
    ]


def test_hyperparameters_are_texts_as_json_spells_them(made: Made) -> None:
    assert steps(made())["Train"]["Arguments"]["HyperParameters"] == {
        "trees": "200", "rate": "0.1", "balanced": "true", "loss": "log_loss"}  # fmt: skip


def test_tracking_reaches_training_only_when_there_is_a_server(made: Made) -> None:
    arn = "arn:aws:sagemaker:eu-central-1:111122223333:mlflow-app/app-ABC"
    assert "Environment" not in steps(made())["Train"]["Arguments"]
    assert steps(made({"tracking_arn": arn}))["Train"]["Arguments"]["Environment"] == {
        "MLFLOW_TRACKING_URI": arn, "MLFLOW_EXPERIMENT_NAME": "churn"}  # fmt: skip


def test_batch_predictions_are_made_as_production_makes_them_and_measured(made: Made) -> None:
    found = steps(made({"inference_type": "batch"}))
    transform = found["Transform"]["Arguments"]
    assert transform["ModelName"] == {"Get": "Steps.Model.ModelName"}
    assert (transform["TransformInput"]["SplitType"], transform["TransformOutput"]["AssembleWith"]) == ("Line", "Line")
    assert inputs(found["Evaluate"])["predictions"] == {"Get": "Steps.Transform.TransformOutput.S3OutputPath"}
    assert (
        found["Model"]["Arguments"]["PrimaryContainer"]
        == found["Register"]["Arguments"]["InferenceSpecification"]["Containers"][0]
    )
    assert "predictions" not in inputs(steps(made())["Evaluate"])


def test_facets_reach_the_baseline_as_json(made: Made) -> None:
    facets = [{"name": "age", "values_or_threshold": [40]}, {"name": "sex", "values_or_threshold": ["f", "x"]}]
    arguments = steps(made(bias_config__facets=facets))["Baseline"]["Arguments"]["AppSpecification"][
        "ContainerArguments"
    ]
    assert json.loads(arguments[arguments.index("--facets") + 1]) == facets


@pytest.mark.parametrize(
    ("problem", "path", "comparison", "threshold"),
    [
        ("binary_classification", "binary_classification_metrics.auc.value", "GreaterThanOrEqualTo", 0.95),
        ("multiclass_classification", "multiclass_classification_metrics.weighted_f1.value", "GreaterThan", 0.9),
        ("regression", "regression_metrics.rmse.value", "LessThanOrEqualTo", 60.0),
    ],
)
def test_the_gate_of_the_problem_counts_and_says_why_it_failed(
    made: Made, problem: str, path: str, comparison: str, threshold: float
) -> None:
    found = steps(made({"problem_type": problem}))
    gate = found["QualityGate"]
    assert gate["Arguments"]["Conditions"] == [
        {
            "Type": comparison,
            "LeftValue": {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.EvaluationReport"}, "Path": path}},
            "RightValue": threshold,
        }
    ]  # fmt: skip
    assert set(gate["DependsOn"]) == {"Evaluate", "Baseline"}
    assert [step["Name"] for step in gate["Arguments"]["IfSteps"]] == ["Register"]
    assert [step["Name"] for step in gate["Arguments"]["ElseSteps"]] == ["GateNotMet"]
    message = json.dumps(found["GateNotMet"]["Arguments"]["ErrorMessage"])
    for part in (
        path.split(".")[1],
        comparison,
        str(threshold),
        "Steps.Evaluate",
        "evaluation.json",
        "model_config.yaml",
    ):
        assert part in message


def test_a_version_is_born_pending_with_its_reports_and_where_it_came_from(made: Made) -> None:
    arguments = steps(made())["Register"]["Arguments"]
    assert arguments["ModelApprovalStatus"] == "PendingManualApproval"
    assert "Tags" not in arguments
    assert arguments["CustomerMetadataProperties"] == {
        "commit": {"Get": "Parameters.Commit"}, "execution": {"Get": "Execution.PipelineExecutionId"},
        "problem_type": "binary_classification", "inference_type": "realtime", "target": "target", "framework": "sklearn",
    }  # fmt: skip
    files = {value["Std:Join"]["Values"][-1] for _, value in walk(arguments["ModelMetrics"])
             if isinstance(value, dict) and "Std:Join" in value}  # fmt: skip
    assert files == {"evaluation.json", "statistics.json", "constraints.json", "analysis.json"}
    environment = arguments["InferenceSpecification"]["Containers"][0]["Environment"]
    assert environment["SAGEMAKER_PROGRAM"] == "inference.py"
    assert environment["SAGEMAKER_SUBMIT_DIRECTORY"] == "/opt/ml/model/code"


def test_the_same_input_gives_the_same_bytes(made: Made) -> None:
    text = render(made())
    assert text == render(made())
    assert json.loads(text) == made()
    assert text != render(made(commit="4567"))


@pytest.mark.parametrize(
    ("changes", "commit", "said"),
    [
        (
            {"bias_config__facets": [{"name": "x" * 250, "values_or_threshold": [1]}]},
            "c",
            "bias_config.facets: it makes an argument of",
        ),
        ({}, " ", "The commit is empty"),
    ],
)
def test_what_sagemaker_would_refuse_is_said_before(
    made: Made, changes: dict[str, Any], commit: str, said: str
) -> None:
    with pytest.raises(LimitError, match=said):
        made(commit=commit, **changes)


@pytest.mark.parametrize("uri", ["s3://bucket/code", "/code/", "bucket/code/"])
def test_code_is_named_by_a_folder_in_s3(uri: str) -> None:
    with pytest.raises(LimitError, match="ends in a slash"):
        Code(uri, "s3://b/t/", "s3://b/i/", "s3://b/s/")


def test_build_takes_no_look_at_the_machine(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    before = render(made())
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    assert render(made()) == before
