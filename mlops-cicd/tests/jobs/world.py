"""A project and what AWS has of it: S3, ECR and SageMaker answer by botocore's model, nothing is sent and all is checked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jobs.sm_pipeline import job
from tests.jobs.aws import Bucket, Refused, Service, clients
from tests.jobs.making import environment, write_project

BUCKET = "churn-p-abc123"
JOB = "arn:aws:sagemaker:eu-central-1:111122223333:{}-job/churn--x-1"
PIPELINE = f"arn:aws:sagemaker:eu-central-1:111122223333:pipeline/{BUCKET}"
VERSION = f"arn:aws:sagemaker:eu-central-1:111122223333:model-package/{BUCKET}/7"
DIGEST = "sha256:" + "d" * 64
HEADER = b"target,age,sex\n1,2,3\n"
START = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
Step = dict[str, Any]


def step(name: str, status: str, seconds: int | None = None, **more: Any) -> Step:
    found: Step = {"StepName": name, "StepStatus": status, "StartTime": START, **more}
    return found if seconds is None else {**found, "EndTime": START + timedelta(seconds=seconds)}


SUCCESS = [
    ("Executing", [step("Preprocess", "Executing")]),
    ("Executing", [step("Preprocess", "Executing")]),
    ("Executing", [step("Preprocess", "Succeeded", 61), step("Train", "Starting")]),
    (
        "Succeeded",
        [
            step("Preprocess", "Succeeded", 61),
            step("Train", "Succeeded", 120),
            step("QualityGate", "Succeeded", 1, Metadata={"Condition": {"Outcome": "True"}}),
            step("Register", "Succeeded", 2, Metadata={"RegisterModel": {"Arn": VERSION}}),
        ],
    ),
]


class World:
    """A project, and what AWS has of it. `story` is what each look at the execution sees; the last look stays."""

    def __init__(
        self, folder: Path, changes: dict[str, Any] | None = None, files: dict[str, str] | None = None
    ) -> None:
        self.project = write_project(folder / "project", changes, files)
        self.bucket = Bucket({(BUCKET, "data/churn.csv"): HEADER})
        self.story: list[Any] = list(SUCCESS)
        self.pipeline: dict[str, Any] | None = None
        self.executions: dict[str, str] = {}
        self.ended: dict[str, tuple[str, datetime]] = {}
        self.tags: dict[str, str] = {}
        self.time = 0.0
        self.s3 = Service("s3", self.bucket)
        self.sagemaker = Service("sagemaker", self.answer)
        self.ecr = Service("ecr", self.answer_ecr)

    def answer(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        return {
            "DescribePipeline": self.describe_pipeline,
            "CreatePipeline": self.create_pipeline,
            "UpdatePipeline": self.update_pipeline,
            "StartPipelineExecution": self.start,
            "DescribePipelineExecution": self.describe_execution,
            "ListPipelineExecutionSteps": self.list_steps,
        }[operation](params)

    def describe_pipeline(self, params: dict[str, Any]) -> dict[str, Any]:
        if self.pipeline is None:
            raise Refused("ResourceNotFound", "Pipeline does not exist")
        return {key: self.pipeline[key] for key in ("PipelineName", "PipelineDefinition", "RoleArn")}

    def create_pipeline(self, params: dict[str, Any]) -> dict[str, Any]:
        self.pipeline = dict(params)
        return {"PipelineArn": PIPELINE}

    def update_pipeline(self, params: dict[str, Any]) -> dict[str, Any]:
        assert self.pipeline is not None
        self.pipeline |= params
        return {"PipelineArn": PIPELINE}

    def start(self, params: dict[str, Any]) -> dict[str, Any]:
        token = params["ClientRequestToken"]
        self.executions.setdefault(token, f"{PIPELINE}/execution/{'abcdefghij'[len(self.executions)] * 12}")
        return {"PipelineExecutionArn": self.executions[token]}

    def describe_execution(self, params: dict[str, Any]) -> dict[str, Any]:
        arn = params["PipelineExecutionArn"]
        status, created = self.ended.get(arn, (self.now()[0], datetime.now(UTC)))
        return {"PipelineExecutionStatus": status, "CreationTime": created, "FailureReason": "because"}

    def list_steps(self, params: dict[str, Any]) -> dict[str, Any]:
        steps = self.now()[1]
        if len(self.story) > 1:
            self.story.pop(0)
        # Two pages, as a long list has.
        if len(steps) < 2 or params.get("NextToken"):
            return {"PipelineExecutionSteps": steps[1:] if params.get("NextToken") else steps}
        if len(self.story) == 1 and not params.get("NextToken"):
            return {"PipelineExecutionSteps": steps[:1], "NextToken": "more"}
        return {"PipelineExecutionSteps": steps}

    def now(self) -> Any:
        if isinstance(self.story[0], BaseException):
            raise self.story.pop(0)
        return self.story[0]

    def answer_ecr(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        assert operation == "DescribeImages"
        tag = params["imageIds"][0]["imageTag"]
        if self.tags.get(params["repositoryName"]) not in (tag, "any"):
            raise Refused("ImageNotFoundException")
        return {"imageDetails": [{"imageDigest": DIGEST}]}

    def run(self, settings: dict[str, str] | None = None, **more: str) -> int:
        def sleep(seconds: float) -> None:
            self.time += seconds

        make = clients(s3=self.s3, sagemaker=self.sagemaker, ecr=self.ecr)
        return job.main(environment(self.project, settings, **more), make, lambda: self.time, sleep)
