"""A project's settings: read whole, or refused with every key at fault."""

from __future__ import annotations

import copy
import json

import pytest
from mlops_cicd.project import Project, ProjectError

SETTINGS = {
    "project_name": "churn",
    "project_id": "p-abc123",
    "cost_center": "4711",
    "problem_type": "binary_classification",
    "inference_type": "realtime",
    "framework": "sklearn",
    "region": "eu-central-1",
    "account_id": "111122223333",
    "project_role_arn": "arn:aws:iam::111122223333:role/mlops/churn/project",
    "project_kms": "arn:aws:kms:eu-central-1:111122223333:key/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f",
    "project_bucket": "churn-p-abc123",
    "private_subnets": "subnet-0a, subnet-0b",
    "sg_compute": "sg-0a",
    "model_package_group": "churn-p-abc123",
    "preprocessing_image": "111122223333.dkr.ecr.eu-central-1.amazonaws.com/churn-preprocessing-p-abc123",
    "training_image": "111122223333.dkr.ecr.eu-central-1.amazonaws.com/churn-training-p-abc123",
    "inference_image": "111122223333.dkr.ecr.eu-central-1.amazonaws.com/churn-inference-p-abc123",
    "tracking_arn": "none",
    "max_runtime_seconds": "86400",
    "topic_arn": "arn:aws:sns:eu-central-1:111122223333:churn",
}


def test_settings_become_a_project() -> None:
    project = Project.from_text(json.dumps(SETTINGS))
    assert project == Project.from_settings(SETTINGS)
    assert project.pipeline_name == "churn-p-abc123"
    assert project.subnets == ("subnet-0a", "subnet-0b")
    assert project.tracking_arn is None
    assert project.max_runtime_seconds == 86400
    assert project.image_repositories["training"].endswith("/churn-training-p-abc123")
    # A copy goes the way of pickle, by which a project reaches another process.
    assert copy.deepcopy(project) == project


def test_tracking_is_kept_when_there_is_some() -> None:
    arn = "arn:aws:sagemaker:eu-central-1:111122223333:mlflow-app/app-ABC"
    assert Project.from_settings({**SETTINGS, "tracking_arn": arn}).tracking_arn == arn


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-central-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("us-iso-east-1", "aws-iso"),
     ("us-isob-east-1", "aws-iso-b"), ("us-isof-south-1", "aws-iso-f"), ("eu-isoe-west-1", "aws-iso-e"),
     ("eusc-de-east-1", "aws-eusc")],
)  # fmt: skip
def test_a_region_has_its_partition(region: str, partition: str) -> None:
    assert Project.from_settings({**SETTINGS, "region": region}).partition == partition


NEEDED = sorted(set(SETTINGS) - {"topic_arn"})


@pytest.mark.parametrize("key", NEEDED)
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(ProjectError, match=f"{key} is missing") as caught:
        Project.from_settings({name: value for name, value in SETTINGS.items() if name != key})
    assert str(caught.value).endswith("update the stack.")


@pytest.mark.parametrize("value", ["", " ", "none of it;", "${Token}", "a\nb", None, 5, ["x"]])
@pytest.mark.parametrize("key", sorted(set(NEEDED) - {"cost_center", "max_runtime_seconds"}))
def test_a_value_that_can_not_be_is_named(key: str, value: object) -> None:
    with pytest.raises(ProjectError, match=key):
        Project.from_settings({**SETTINGS, key: value})  # type: ignore[dict-item]


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "99999999", "²"])
def test_a_runtime_is_seconds_that_sagemaker_takes(value: str) -> None:
    with pytest.raises(ProjectError, match="max_runtime_seconds"):
        Project.from_settings({**SETTINGS, "max_runtime_seconds": value})


def test_all_keys_at_fault_are_named_at_once() -> None:
    with pytest.raises(ProjectError) as caught:
        Project.from_settings({**SETTINGS, "region": "here", "problem_type": "clustering", "account_id": ""})
    assert all(key in str(caught.value) for key in ("region", "problem_type", "account_id"))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "5", "[" * 100_000])
def test_a_text_that_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(ProjectError, match="settings"):
        Project.from_text(text)
