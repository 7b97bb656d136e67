"""The job sm_pipeline: images, code, definition, pipeline and start, and what a repeated job does."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jobs.sm_pipeline import pipeline
from tests.jobs.aws import Refused
from tests.jobs.making import REGISTRY
from tests.jobs.world import BUCKET, DIGEST, PIPELINE, VERSION, World, step

Printed = Callable[[], str]


def test_a_push_becomes_a_registered_version(world: World, printed: Printed) -> None:
    assert world.run() == 0
    text = printed()
    for line in (
        "Preprocess: Succeeded after 61 s",
        "Train: Succeeded after 120 s",
        "QualityGate: Succeeded after 1 s, the condition is True",
        f"Registered, waiting for approval: {VERSION}",
        f"group {BUCKET}, version 7",
    ):
        assert line in text
    assert text.count("Preprocess: Executing") == 1
    assert world.pipeline is not None
    assert world.pipeline["RoleArn"].endswith("role/mlops/churn/runs")
    assert {tag["Key"]: tag["Value"] for tag in world.pipeline["Tags"]}["mlops:project"] == "churn"
    start = world.sagemaker.named("StartPipelineExecution")[0]
    assert start["PipelineName"] == "churn-p-abc123"
    assert start["PipelineParameters"] == [{"Name": "Commit", "Value": "0123456789abcdef0123456789abcdef01234567"}]


def test_code_and_definition_lie_where_their_content_says_and_are_put_once(world: World) -> None:
    assert world.run() == 0
    keys = {key for bucket, key in world.bucket.objects if bucket == BUCKET}
    assert {key.split("/")[2] for key in keys if key.startswith("build/code/")} == {
        "preprocess",
        "train",
        "inference",
        "steps",
    }
    kept = [key for key in keys if key.startswith("build/definitions/")]
    assert len(kept) == 1
    assert world.pipeline is not None
    assert world.bucket.objects[BUCKET, kept[0]].decode() == world.pipeline["PipelineDefinition"]
    definition = json.loads(world.pipeline["PipelineDefinition"])
    train = next(step for step in definition["Steps"] if step["Name"] == "Train")
    channels = {each["ChannelName"]: each["DataSource"] for each in train["Arguments"]["InputDataConfig"]}
    place = channels["code"]["S3DataSource"]["S3Uri"]
    assert world.bucket.objects[BUCKET, place.removeprefix(f"s3://{BUCKET}/") + "train.py"] == b"print('training')\n"
    puts = len(world.s3.named("PutObject"))
    assert world.run() == 0
    assert len(world.s3.named("PutObject")) == puts


@pytest.mark.parametrize("checksum", ["", base64.b64encode(hashlib.sha256(b"forged").digest()).decode()])
def test_what_a_unit_test_left_where_the_code_goes_is_not_run(world: World, checksum: str) -> None:
    assert world.run() == 0
    (place,) = [each for each in world.bucket.objects if each[1].endswith("/evaluate.py")]
    honest = world.bucket.objects[place]
    world.bucket.objects[place], world.bucket.checksums[place] = b"forged", checksum
    assert world.run() == 0
    assert world.bucket.objects[place] == honest


def test_a_repeated_job_goes_on_with_the_same_execution_and_pipeline(world: World, printed: Printed) -> None:
    assert world.run() == 0
    assert world.run() == 0
    assert len(world.executions) == 1
    assert len(world.sagemaker.named("CreatePipeline")) == 1
    assert world.sagemaker.named("UpdatePipeline") == []
    assert "is as it should be" in printed()
    assert world.run(COMMIT="f" * 40) == 0
    assert len(world.executions) == 2
    assert len(world.sagemaker.named("UpdatePipeline")) == 1
    assert world.run(COMMIT="f" * 40, EXECUTION_ID="another") == 0
    assert len(world.executions) == 3


def test_a_pipeline_with_another_role_is_brought_back(world: World) -> None:
    assert world.run() == 0
    assert world.pipeline is not None
    world.pipeline["RoleArn"] = "arn:aws:iam::111122223333:role/another"
    assert world.run() == 0
    assert world.pipeline["RoleArn"].endswith("role/mlops/churn/runs")


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_a_retried_stage_starts_anew_after_a_failure_of_an_earlier_try(
    world: World, printed: Printed, status: str
) -> None:
    first = f"{PIPELINE}/execution/{'a' * 12}"
    world.ended[first] = (status, datetime.now(UTC) - timedelta(hours=1))
    assert world.run() == 0
    assert list(world.executions.values()) == [first, f"{PIPELINE}/execution/{'b' * 12}"]
    assert f"of an earlier try is {status}; starting another one" in printed()


def test_an_execution_that_fails_at_once_is_not_started_again(world: World) -> None:
    world.story = [("Failed", [step("Preprocess", "Failed", 1, FailureReason="AlgorithmError: exit code 1")])]
    assert world.run() == 1
    assert len(world.executions) == 1


def test_tokens_differ_by_run_commit_and_try_and_have_the_length_that_the_api_takes() -> None:
    tokens = {
        pipeline.token(*each) for each in (("a", "b", 0), ("a", "b", 1), ("a", "c", 0), ("b", "b", 0), ("ab", "", 0))
    }
    assert len(tokens) == 5
    assert all(32 <= len(each) <= 128 for each in tokens)


@pytest.mark.parametrize(
    "operation", ["DescribePipeline", "CreatePipeline", "StartPipelineExecution", "ListPipelineExecutionSteps"]
)
def test_a_denied_action_is_named_and_is_the_platforms_fault(world: World, printed: Printed, operation: str) -> None:
    def answer(called: str, params: dict[str, Any]) -> dict[str, Any]:
        if called == operation:
            raise Refused("AccessDeniedException", "User: x is not authorized to perform it")
        return world.answer(called, params)

    world.sagemaker.handler = answer
    assert world.run() == 2
    assert f"The platform is wrong: sagemaker:{operation} was denied" in printed()


def test_images_are_named_by_digest(tmp_path: Path) -> None:
    changes = {"train_config.dependencies": "train/requirements.txt"}
    world = World(tmp_path, changes, {"train/requirements.txt": "shap==0.46\n"})
    world.tags["churn-p-abc123-training"] = "any"
    assert world.run() == 0
    assert world.pipeline is not None
    steps = {each["Name"]: each for each in json.loads(world.pipeline["PipelineDefinition"])["Steps"]}
    assert (
        steps["Train"]["Arguments"]["AlgorithmSpecification"]["TrainingImage"]
        == f"{REGISTRY}/churn-p-abc123-training@{DIGEST}"
    )
    assert "sagemaker-scikit-learn" in steps["Preprocess"]["Arguments"]["AppSpecification"]["ImageUri"]


def test_missing_images_are_named_together_and_lead_to_the_stage_that_builds_them(
    tmp_path: Path, printed: Printed
) -> None:
    changes = {f"{section}.dependencies": "requirements.txt" for section in ("preprocess_config", "train_config")}
    world = World(tmp_path, changes, {"requirements.txt": "shap==0.46\n"})
    assert world.run() == 1
    text = printed()
    assert "PushPreprocessing" in text
    assert "PushTraining" in text
    assert "Look at the stage PushImages" in text
    assert world.sagemaker.calls == []
