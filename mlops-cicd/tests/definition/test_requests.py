"""Every step's arguments are a request that botocore's model of SageMaker takes, once its expressions are texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import pytest
from botocore.model import Shape, StructureShape
from botocore.validate import ParamValidator

OPERATIONS = {
    "Processing": "CreateProcessingJob",
    "Training": "CreateTrainingJob",
    "Transform": "CreateTransformJob",
    "Model": "CreateModel",
    "RegisterModel": "CreateModelPackage",
}
KINDS = {
    "binary": {"problem_type": "binary_classification"},
    "multiclass": {"problem_type": "multiclass_classification"},
    "regression": {"problem_type": "regression"},
    "batch": {"inference_type": "batch"},
    "tracked": {"tracking_arn": "arn:aws:sagemaker:eu-central-1:111122223333:mlflow-app/app-ABC"},
    "longest name": {"project_name": "a" * 32},
}
SERVICE = botocore.session.get_session().get_service_model("sagemaker")


def filled(value: Any) -> Any:
    """Replace what Pipelines fills in by a text of the kind that it would be."""
    if isinstance(value, list):
        return [filled(each) for each in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Get"}:
        if value["Get"].endswith(("S3Uri", "S3OutputPath", "S3ModelArtifacts")):
            return "s3://churn-p-abc123/a"
        return "a1b2c3"
    if set(value) == {"Std:Join"}:
        return value["Std:Join"]["On"].join(str(filled(each)) for each in value["Std:Join"]["Values"])
    return {key: filled(each) for key, each in value.items()}


def steps_of(definition: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for step in definition["Steps"]:
        yield step
        if step["Type"] == "Condition":
            yield from step["Arguments"]["IfSteps"]
            yield from step["Arguments"]["ElseSteps"]


def beyond(value: Any, shape: Shape, where: str = "") -> Iterator[str]:
    """Yield what breaks a pattern, a list of values or a maximum: botocore itself checks none of them."""
    if shape.type_name == "structure":
        for name, each in value.items():
            yield from beyond(each, shape.members[name], f"{where}.{name}")  # type: ignore[attr-defined]
    elif shape.type_name == "list":
        for each in value:
            yield from beyond(each, shape.member, f"{where}[]")  # type: ignore[attr-defined]
    elif shape.type_name == "map":
        for key, each in value.items():
            yield from beyond(key, shape.key, f"{where}.keys")  # type: ignore[attr-defined]
            yield from beyond(each, shape.value, f"{where}.{key}")  # type: ignore[attr-defined]
    size = value if isinstance(value, int | float) else len(value)
    if "max" in shape.metadata and size > shape.metadata["max"]:
        yield f"{where}: {size} is over {shape.metadata['max']}"
    if isinstance(value, str):
        enum, pattern = shape.metadata.get("enum"), shape.metadata.get("pattern")
        if enum and value not in enum:
            yield f"{where}: {value} is none of the API's"
        # Java's classes of characters are none of Python's.
        if pattern and "\\p" not in pattern and not re.fullmatch(pattern, value, re.DOTALL):
            yield f"{where}: {value!r} does not fit {pattern}"


def shape_of(step: dict[str, Any]) -> StructureShape:
    shape = SERVICE.operation_model(OPERATIONS[step["Type"]]).input_shape
    assert shape is not None
    return shape


def problems(step: dict[str, Any]) -> list[str]:
    shape = shape_of(step)
    request = filled(step["Arguments"])
    report = ParamValidator().validate(request, shape)
    return [report.generate_report()] if report.has_errors() else list(beyond(request, shape))


@pytest.mark.parametrize("kind", KINDS)
def test_every_request_is_one_that_sagemaker_takes(made: Callable[..., dict[str, Any]], kind: str) -> None:
    definition = made(KINDS[kind])
    checked = [step for step in steps_of(definition) if step["Type"] in OPERATIONS]
    assert {step["Name"]: problems(step) for step in checked} == {step["Name"]: [] for step in checked}
    assert len(checked) == (7 if kind == "batch" else 5)


def test_the_checks_see_what_is_wrong(made: Callable[..., dict[str, Any]]) -> None:
    train = made()["Steps"][1]
    for place, value in (
        ("TrainingJobName", None),
        ("HyperParameters", {"trees": 200}),
        ("RoleArn", "no arn"),
        ("Tags", [{"Name": "x"}]),
        ("HyperParameters", {"trees": "2" * 3000}),
        ("ResourceConfig", {"InstanceType": "ml.big", "InstanceCount": 1, "VolumeSizeInGB": 5}),
    ):
        wrong = {**train["Arguments"], place: value}
        assert problems({**train, "Arguments": {key: each for key, each in wrong.items() if each is not None}}), place
    wrong = {**train["Arguments"], "AlgorithmSpecification": {"TrainingInputMode": "Slow"}}
    assert problems({**train, "Arguments": wrong})


def test_nothing_is_left_for_pipelines_to_fill_in_but_ends_of_names(made: Callable[..., dict[str, Any]]) -> None:
    """Required members are all there: with a prefix of its own, a name is given too, and SageMaker appends ids to it.

    https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-access.html#build-and-manage-step-permissions-prefix
    """
    for step in steps_of(made({"inference_type": "batch"})):
        if step["Type"] not in OPERATIONS:
            continue
        required = shape_of(step).required_members
        assert set(required) <= set(step["Arguments"]), step["Name"]


def test_arguments_environments_and_hyperparameters_are_texts(made: Callable[..., dict[str, Any]]) -> None:
    for step in steps_of(made({"inference_type": "batch", **KINDS["tracked"]}, data_config__target="Größe")):
        arguments = step["Arguments"]
        application = arguments.get("AppSpecification") or arguments.get("AlgorithmSpecification") or {}
        for text in [
            *application.get("ContainerArguments", []),
            *application.get("ContainerEntrypoint", []),
            *arguments.get("HyperParameters", {}).values(),
            *arguments.get("Environment", {}).values(),
        ]:
            assert isinstance(text, str)
