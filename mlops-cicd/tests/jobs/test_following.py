"""How the job sm_pipeline follows an execution, and what it says at its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError
from jobs.sm_pipeline.following import POLL_SECONDS
from jobs.sm_pipeline.job import FOLLOW_SECONDS
from tests.jobs.aws import Refused
from tests.jobs.world import BUCKET, JOB, PIPELINE, SUCCESS, World, step

Printed = Callable[[], str]


@pytest.mark.parametrize(
    ("reason", "metadata", "said"),
    [
        ("AlgorithmError: , exit code: 1", {"TrainingJob": {"Arn": JOB.format("training")}},
         ["log group /aws/sagemaker/TrainingJobs, streams that begin with churn--x-1/", "The script ended with an error"]),
        ("ResourceLimitExceeded: The account-level service limit 'ml.m5.large' is 0", {}, ["A quota of the account is used up"]),
        ("CapacityError: Unable to provision requested ML compute capacity", {}, ["no such machine free"]),
        ("ClientError: User is not authorized to perform", {}, ["The project's role lacks a right"]),
        ("MaxRuntimeExceeded", {"ProcessingJob": {"Arn": JOB.format("processing")}},
         ["/aws/sagemaker/ProcessingJobs", "took longer than the project allows"]),
        ("ClientError: No S3 objects found under S3 URL", {}, ["Files that the job reads are not there"]),
        ("InternalServerError: try again", {}, ["AWS had a fault of its own"]),
        ("ClientError: Cannot pull the image", {}, ["The image can't be used"]),
    ],
)  # fmt: skip
def test_a_failed_step_says_why_where_its_log_is_and_what_to_do(
    world: World, printed: Printed, reason: str, metadata: dict[str, Any], said: list[str]
) -> None:
    failed = step("Train", "Failed", 9, FailureReason=reason, Metadata=metadata)
    world.story = [("Failed", [step("Preprocess", "Succeeded", 5), failed])]
    assert world.run() == 1
    text = printed()
    for each in [f"Train failed: {reason}", *said]:
        assert each in text


def gate_story() -> list[Any]:
    message = "The model's auc is not GreaterThanOrEqualTo 0.95, so it was not registered."
    return [
        (
            "Failed",
            [
                step("GateNotMet", "Failed", 1, Metadata={"Fail": {"ErrorMessage": message}}, FailureReason=message),
                step("Baseline", "Failed", 3, FailureReason="AlgorithmError"),
            ],
        )
    ]


def test_the_gates_message_comes_last_with_the_value(world: World, printed: Printed) -> None:
    world.story = gate_story()
    report = {"binary_classification_metrics": {"auc": {"value": 0.9123}}}
    world.bucket.objects[BUCKET, f"pipelines/{'a' * 12}/evaluate/evaluation/evaluation.json"] = json.dumps(
        report
    ).encode()
    assert world.run() == 1
    lines = printed().splitlines()
    assert lines[-2] == "Quality gate: auc is 0.9123, and must be GreaterThanOrEqualTo 0.95."
    assert lines[-1].startswith("GateNotMet: The model's auc is not")
    assert any(line.startswith("Baseline failed") for line in lines)


def test_the_gates_message_needs_no_right_to_read_the_report(world: World, printed: Printed) -> None:
    world.story = gate_story()
    assert world.run() == 1
    assert "Quality gate: auc is" not in printed()


def test_a_stopped_execution_and_one_without_a_failed_step(world: World, printed: Printed) -> None:
    world.story = [("Stopped", [])]
    assert world.run() == 1
    assert "was stopped by a person or a program" in printed()
    world.story = [("Failed", [])]
    assert world.run(COMMIT="f" * 40) == 1
    assert "The execution failed: because" in printed()


def test_near_the_deadline_the_job_ends_and_the_execution_goes_on(world: World, printed: Printed) -> None:
    world.story = [("Executing", [step("Preprocess", "Executing")])]
    assert world.run() == 0
    assert FOLLOW_SECONDS - 2 * POLL_SECONDS < world.time <= FOLLOW_SECONDS
    text = printed()
    assert "It goes on by itself: " + PIPELINE in text
    assert text.count("Preprocess: Executing") == 1


def test_faults_while_following_are_borne_and_told(world: World, printed: Printed) -> None:
    fault = ConnectTimeoutError(endpoint_url="https://api.sagemaker")
    world.story = [SUCCESS[0], fault, Refused("ThrottlingException", "Rate exceeded"), *SUCCESS]
    assert world.run() == 0
    text = printed()
    assert "AWS can't be reached" in text
    assert "sagemaker:DescribePipelineExecution was throttled" in text


def test_faults_without_end_end_the_job(world: World, printed: Printed) -> None:
    world.story = [
        SUCCESS[0],
        *[ConnectTimeoutError(endpoint_url="https://api.sagemaker") for _ in range(30)],
        SUCCESS[-1],
    ]
    assert world.run() == 2
    assert "The platform is wrong: AWS can't be reached" in printed()
