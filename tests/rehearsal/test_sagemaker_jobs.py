"""Jobs, models, versions and pipelines of SageMaker: real policies, real jobs, real files."""

from __future__ import annotations

import io
import json
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rehearsal.client import Emulator, Session
from tests.rehearsal.small import REGION, deployed, refused, until

TEMPLATE = (Path(__file__).parent / "templates/jobs.yaml").read_text(encoding="utf-8")
IMAGE = f"683313688378.dkr.ecr.{REGION}.amazonaws.com/sagemaker-scikit-learn:1.4-2-py312"
VPC = {"Subnets": ["subnet-0123456789abcdef0"], "SecurityGroupIds": ["sg-0123456789abcdef0"]}
STEP = """
import os, sys
base = os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")
words = open(os.path.join(base, "processing/input/data/words.txt")).read()
print("read", words.strip(), sys.argv[1])
if sys.argv[1] == "fail":
    raise SystemExit("the words are wrong")
if sys.argv[1] == "hang":
    import time
    time.sleep(300)
out = os.path.join(base, "processing/output/result")
open(os.path.join(out, "evaluation.json"), "w").write('{"metric": {"value": %s}}' % len(words.split()))
"""
TRAIN = """
import os
base = os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")
os.makedirs(os.path.join(base, "model"), exist_ok=True)
open(os.path.join(base, "model", "weights.txt"), "w").write("1")
print("loss=0.25")
"""


@dataclass(frozen=True)
class Stage:
    """A stack of `jobs.yaml`."""

    account: Emulator
    facts: dict[str, str]
    person: Session
    starter: Session

    @property
    def bucket(self) -> str:
        return self.facts["Bucket"]

    def put(self, key: str, body: str) -> None:
        self.account.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body.encode())

    def get(self, key: str) -> bytes:
        return bytes(self.account.client("s3").get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def lines(self, group: str, job: str) -> str:
        logs = self.account.client("logs")
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")["logStreams"]
        names = [stream["logStreamName"] for stream in streams]
        events = [logs.get_log_events(logGroupName=group, logStreamName=name)["events"] for name in names]
        return "\n".join(event["message"] for found in events for event in found)

    def processing(self, name: str, word: str = "go", prefix: str = "open", **more: Any) -> dict[str, Any]:
        """Give a processing job's request."""
        place, home = f"s3://{self.bucket}/{prefix}", "/opt/ml/processing"
        return {
            "ProcessingJobName": name,
            "RoleArn": self.facts["JobRole"],
            "ProcessingInputs": [
                {"InputName": key, "S3Input": {"S3Uri": f"{place}/{key}/", "LocalPath": f"{home}/input/{key}",
                                               "S3DataType": "S3Prefix", "S3InputMode": "File"}}
                for key in ("code", "data")
            ],
            "ProcessingOutputConfig": {
                "KmsKeyId": self.facts["Key"],
                "Outputs": [{"OutputName": "result", "S3Output": {"S3Uri": f"{place}/out/{name}", "S3UploadMode": "EndOfJob",
                                                                  "LocalPath": f"{home}/output/result"}}],
            },
            "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5,
                                                      "VolumeKmsKeyId": self.facts["Key"]}},
            "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", f"{home}/input/code/step.py"],
                                 "ContainerArguments": [word]},
            "NetworkConfig": {"VpcConfig": VPC},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            **more,
        }  # fmt: skip

    def training(self, name: str, **more: Any) -> dict[str, Any]:
        """Give a training job's request."""
        channel = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{self.bucket}/open/train/"}
        return {
            "TrainingJobName": name,
            "RoleArn": self.facts["JobRole"],
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python3", "/opt/ml/input/data/code/train.py"],
                "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}],
            },
            "InputDataConfig": [{"ChannelName": "code", "DataSource": {"S3DataSource": channel}}],
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.bucket}/open/models", "KmsKeyId": self.facts["Key"]},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5,
                               "VolumeKmsKeyId": self.facts["Key"]},
            "VpcConfig": VPC,
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            **more,
        }  # fmt: skip

    def told(self, title: str) -> list[dict[str, Any]]:
        """Take the events of a kind from the queue."""
        sqs = self.account.client("sqs")
        found = sqs.receive_message(QueueUrl=self.facts["Told"], MaxNumberOfMessages=10).get("Messages", [])
        events = [json.loads(message["Body"]) for message in found]
        return [event for event in events if event["detail-type"] == title]


@pytest.fixture(scope="module")
def stage(account: Emulator) -> Iterator[Stage]:
    facts = deployed(account, "own", TEMPLATE)
    assert facts["Status"] == "CREATE_COMPLETE", facts["Why"]
    account.client("sqs").purge_queue(QueueUrl=facts["Told"])
    people = (account.as_role(facts[role], "ana@example.com") for role in ("Person", "Starter"))
    made = Stage(account, facts, *people)
    for prefix in ("open", "closed"):
        made.put(f"{prefix}/code/step.py", STEP)
        made.put(f"{prefix}/data/words.txt", "one two three")
    made.put("open/train/train.py", TRAIN)
    yield made


def ended(stage: Stage, name: str, kind: str = "processing") -> dict[str, Any]:
    """Wait for a job's end, and describe it."""
    word = kind.capitalize()
    describe = getattr(stage.person.client("sagemaker"), f"describe_{kind}_job")
    job = lambda: dict(describe(**{f"{word}JobName": name}))  # noqa: E731
    until(lambda: job()[f"{word}JobStatus"] in ("Completed", "Failed", "Stopped"))
    return job()


def test_processing_job_really_runs_as_its_role(stage: Stage) -> None:
    api = stage.person.client("sagemaker")
    api.create_processing_job(**stage.processing("own-one"), Tags=[{"Key": "project", "Value": "own"}])
    with refused("ResourceInUse", "must be unique"):
        api.create_processing_job(**stage.processing("own-one"))
    job = ended(stage, "own-one")
    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")
    assert json.loads(stage.get("open/out/own-one/evaluation.json")) == {"metric": {"value": 3}}
    head = stage.account.client("s3").head_object(Bucket=stage.bucket, Key="open/out/own-one/evaluation.json")
    assert head["SSEKMSKeyId"] == stage.facts["Key"]
    assert "read one two three go" in stage.lines("/aws/sagemaker/ProcessingJobs", "own-one")
    assert api.list_tags(ResourceArn=job["ProcessingJobArn"])["Tags"] == [{"Key": "project", "Value": "own"}]
    names = [
        row["ProcessingJobName"] for row in api.list_processing_jobs(NameContains="own-one")["ProcessingJobSummaries"]
    ]
    assert names == ["own-one"]


def test_failed_stopped_and_forbidden_jobs_say_why(stage: Stage) -> None:
    api = stage.person.client("sagemaker")
    api.create_processing_job(**stage.processing("own-fails", "fail"))
    job = ended(stage, "own-fails")
    assert (job["ProcessingJobStatus"], "the words are wrong" in job["FailureReason"]) == ("Failed", True)
    api.create_processing_job(**stage.processing("own-closed", prefix="closed"))
    job = ended(stage, "own-closed")
    assert job["ProcessingJobStatus"] == "Failed"
    assert "s3://" in job["FailureReason"] and "closed/code" in job["FailureReason"]
    api.create_processing_job(**stage.processing("own-hangs", "hang"))
    api.stop_processing_job(ProcessingJobName="own-hangs")
    assert ended(stage, "own-hangs")["ProcessingJobStatus"] == "Stopped"
    api.create_processing_job(**stage.processing("own-late", "hang", StoppingCondition={"MaxRuntimeInSeconds": 1}))
    job = ended(stage, "own-late")
    assert job["ProcessingJobStatus"] in ("Failed", "Stopped") and job.get("FailureReason")
    untrusted = {**stage.processing("own-untrusted"), "RoleArn": stage.facts["OtherRole"]}
    with refused("AccessDeniedException", "iam:PassRole"):
        api.create_processing_job(**untrusted)
    with refused("ValidationException|ResourceNotFound", "own-none"):
        api.describe_processing_job(ProcessingJobName="own-none")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("ProcessingJobName",), "foreign-one"),
        (("NetworkConfig",), None),
        (("NetworkConfig", "VpcConfig", "SecurityGroupIds"), ["sg-0fedcba9876543210"]),
        (("ProcessingOutputConfig", "KmsKeyId"), None),
        (("ProcessingResources", "ClusterConfig", "VolumeKmsKeyId"), None),
        (("ProcessingResources", "ClusterConfig", "InstanceType"), "ml.p3.2xlarge"),
        (("StoppingCondition", "MaxRuntimeInSeconds"), 601),
        (("Tags",), [{"Key": "project", "Value": "other"}]),
    ],
)
def test_rails_hold_a_job(stage: Stage, path: tuple[str, ...], value: Any) -> None:
    request = json.loads(json.dumps(stage.processing("own-held")))  # a copy of all of it
    place: Any = request
    for name in path[:-1]:
        place = place[name]
    place.pop(path[-1], None)
    if value is not None:
        place[path[-1]] = value
    action = "AddTags" if path == ("Tags",) else "CreateProcessingJob"
    with refused("AccessDeniedException", f"sagemaker:{action}"):
        stage.person.client("sagemaker").create_processing_job(**request)


def test_local_storage_takes_no_volume_key(stage: Stage) -> None:
    request = stage.processing("own-disk")
    cluster = request["ProcessingResources"]["ClusterConfig"]
    cluster["InstanceType"] = "ml.r5d.large"
    with refused("ValidationException", "local storage"):
        stage.person.client("sagemaker").create_processing_job(**request)
    del cluster["VolumeKmsKeyId"]
    stage.person.client("sagemaker").create_processing_job(**request)
    assert ended(stage, "own-disk")["ProcessingJobStatus"] == "Completed"


def test_training_gives_artifact_and_metrics(stage: Stage) -> None:
    stage.person.client("sagemaker").create_training_job(**stage.training("own-train"))
    job = ended(stage, "own-train", "training")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert [(row["MetricName"], row["Value"]) for row in job["FinalMetricDataList"]] == [("loss", 0.25)]
    packed = stage.get(job["ModelArtifacts"]["S3ModelArtifacts"].partition(f"{stage.bucket}/")[2])
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert "weights.txt" in {name.lstrip("./") for name in archive.getnames()}


def test_versions_are_born_pending_and_approved_by_another(stage: Stage) -> None:
    api, admin = stage.person.client("sagemaker"), stage.account.client("sagemaker")
    stage.put("open/models/model.tar.gz", "no matter")
    where = f"s3://{stage.bucket}/open/models/model.tar.gz"
    asked: dict[str, Any] = {
        "ModelPackageGroupName": stage.facts["Group"],
        "InferenceSpecification": {"Containers": [{"Image": IMAGE, "ModelDataUrl": where}],
                                   "SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]},
    }  # fmt: skip
    for status in ({"ModelApprovalStatus": "Approved"}, {}):
        with refused("AccessDeniedException", "sagemaker:CreateModelPackage"):
            api.create_model_package(**asked, **status)
    with refused("ValidationException", "own-nothing does not exist"):
        api.create_model_package(
            **{**asked, "ModelPackageGroupName": "own-nothing"}, ModelApprovalStatus="PendingManualApproval"
        )
    arn = api.create_model_package(**asked, ModelApprovalStatus="PendingManualApproval")["ModelPackageArn"]
    with refused("AccessDeniedException", "sagemaker:UpdateModelPackage"):
        api.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    admin.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="good")
    shown = api.describe_model_package(ModelPackageName=arn)
    assert (shown["ModelApprovalStatus"], shown["ApprovalDescription"]) == ("Approved", "good")
    listed = api.list_model_packages(ModelPackageGroupName=stage.facts["Group"], ModelApprovalStatus="Approved")
    assert [row["ModelPackageArn"] for row in listed["ModelPackageSummaryList"]] == [arn]
    told: list[dict[str, Any]] = []
    until(lambda: told.extend(stage.told("SageMaker Model Package State Change")) or len(told) >= 2)
    fields = {tuple(event["detail"]["UpdatedModelPackageFields"]): event["detail"] for event in told}
    assert fields[()]["ModelApprovalStatus"] == "PendingManualApproval"
    approved = fields["ModelApprovalStatus", "ApprovalDescription"]
    assert approved["ModelPackageArn"] == arn and approved["LastModifiedTime"]


def definition(stage: Stage, word: str, threshold: int) -> str:
    """Give a definition: a step, a training, and a version when the step's number reaches the threshold."""
    step = stage.processing("own--step", word)
    step["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"] = {
        "Std:Join": {"On": "/", "Values": [f"s3://{stage.bucket}/open/runs", {"Get": "Execution.PipelineExecutionId"}]}
    }
    version = {
        "ModelPackageGroupName": stage.facts["Group"],
        "ModelApprovalStatus": "PendingManualApproval",
        "InferenceSpecification": {
            "Containers": [{"Image": IMAGE, "ModelDataUrl": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    }
    number = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Step.PropertyFiles.Report"}, "Path": "metric.value"}}
    condition = {"Type": "GreaterThanOrEqualTo", "LeftValue": number, "RightValue": {"Get": "Parameters.Threshold"}}
    report = {"PropertyFileName": "Report", "OutputName": "result", "FilePath": "evaluation.json"}
    return json.dumps(
        {
            "Version": "2020-12-01",
            "Parameters": [{"Name": "Threshold", "Type": "Integer", "DefaultValue": threshold}],
            "Steps": [
                {"Name": "Step", "Type": "Processing", "Arguments": step, "PropertyFiles": [report]},
                {"Name": "Train", "Type": "Training", "Arguments": stage.training("own--train"), "DependsOn": ["Step"]},
                {
                    "Name": "Gate",
                    "Type": "Condition",
                    "DependsOn": ["Train"],
                    "Arguments": {
                        "Conditions": [condition],
                        "IfSteps": [{"Name": "Register", "Type": "RegisterModel", "Arguments": version}],
                        "ElseSteps": [
                            {"Name": "NotMet", "Type": "Fail", "Arguments": {"ErrorMessage": "too few words"}}
                        ],
                    },
                },
            ],
        }
    )


def execution(stage: Stage, name: str, **more: Any) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Start a pipeline, wait for its end, and give the execution with its steps by name."""
    api = stage.starter.client("sagemaker")
    token = str(uuid.uuid4())
    arn = api.start_pipeline_execution(PipelineName=name, ClientRequestToken=token, **more)["PipelineExecutionArn"]
    again = api.start_pipeline_execution(PipelineName=name, ClientRequestToken=token, **more)["PipelineExecutionArn"]
    assert arn == again
    describe = lambda: api.describe_pipeline_execution(PipelineExecutionArn=arn)  # noqa: E731
    until(lambda: describe()["PipelineExecutionStatus"] not in ("Executing", "Stopping"))
    steps = api.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    return dict(describe()), {step["StepName"]: step for step in steps}


def pipeline(stage: Stage, name: str, body: str) -> None:
    role = stage.facts["PipelineRole"]
    stage.starter.client("sagemaker").create_pipeline(PipelineName=name, PipelineDefinition=body, RoleArn=role)


def test_pipeline_runs_its_definition_and_registers(stage: Stage) -> None:
    body = definition(stage, "go", 3)
    pipeline(stage, "own-good", body)
    done, steps = execution(stage, "own-good")
    assert done["PipelineExecutionStatus"] == "Succeeded", done.get("FailureReason")
    assert {name: step["StepStatus"] for name, step in steps.items()} == dict.fromkeys(
        ("Step", "Train", "Gate", "Register"), "Succeeded"
    )
    assert steps["Gate"]["Metadata"]["Condition"]["Outcome"] == "True"
    name = steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    number = done["PipelineExecutionArn"].rpartition("/")[2]
    assert name.startswith(f"own--train-{number}-")
    api = stage.person.client("sagemaker")
    job = api.describe_training_job(TrainingJobName=name)
    assert job["TrainingJobStatus"] == "Completed" and job["FinalMetricDataList"][0]["Value"] == 0.25
    assert "loss=0.25" in stage.lines("/aws/sagemaker/TrainingJobs", name)
    version = api.describe_model_package(ModelPackageName=steps["Register"]["Metadata"]["RegisterModel"]["Arn"])
    assert version["ModelApprovalStatus"] == "PendingManualApproval"
    assert version["MetadataProperties"]["GeneratedBy"] == done["PipelineExecutionArn"]
    data = version["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    assert data == job["ModelArtifacts"]["S3ModelArtifacts"]
    starter = stage.starter.client("sagemaker")
    arn = {"PipelineExecutionArn": done["PipelineExecutionArn"]}
    assert starter.describe_pipeline_definition_for_execution(**arn)["PipelineDefinition"] == body
    told: list[dict[str, Any]] = []
    until(
        lambda: told.extend(stage.told("SageMaker Model Building Pipeline Execution Status Change")) or len(told) >= 2
    )
    assert {event["detail"]["currentPipelineExecutionStatus"] for event in told} == {"Executing", "Succeeded"}


def test_pipeline_that_misses_its_gate_or_fails_says_where(stage: Stage) -> None:
    pipeline(stage, "own-gate", definition(stage, "go", 3))
    done, steps = execution(stage, "own-gate", PipelineParameters=[{"Name": "Threshold", "Value": "4"}])
    assert done["PipelineExecutionStatus"] == "Failed"
    assert "too few words" in done["FailureReason"] and "too few words" in steps["NotMet"]["FailureReason"]
    assert steps["Gate"]["Metadata"]["Condition"]["Outcome"] == "False" and "Register" not in steps
    role, api = stage.facts["PipelineRole"], stage.starter.client("sagemaker")
    api.update_pipeline(PipelineName="own-gate", PipelineDefinition=definition(stage, "fail", 3), RoleArn=role)
    done, steps = execution(stage, "own-gate")
    assert "the words are wrong" in done["FailureReason"] and set(steps) == {"Step"}
    name = steps["Step"]["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
    job = stage.person.client("sagemaker").describe_processing_job(ProcessingJobName=name)
    assert job["ProcessingJobStatus"] == "Failed" and "the words are wrong" in job["FailureReason"]


def test_pipeline_makes_nothing_that_its_role_may_not(stage: Stage) -> None:
    document = json.loads(definition(stage, "go", 3))
    del document["Steps"][0]["Arguments"]["NetworkConfig"]
    pipeline(stage, "own-open", json.dumps(document))
    done, steps = execution(stage, "own-open")
    assert done["PipelineExecutionStatus"] == "Failed" and "Metadata" not in steps["Step"]
    assert "sagemaker:CreateProcessingJob" in steps["Step"]["FailureReason"]
    document = json.loads(definition(stage, "go", 3))
    register = document["Steps"][2]["Arguments"]["IfSteps"][0]["Arguments"]
    register["ModelApprovalStatus"] = "Approved"
    pipeline(stage, "own-approves", json.dumps(document))
    done, steps = execution(stage, "own-approves")
    assert "sagemaker:CreateModelPackage" in steps["Register"]["FailureReason"]


def test_pipeline_is_stopped_and_bad_ones_are_refused(stage: Stage) -> None:
    pipeline(stage, "own-slow", definition(stage, "hang", 3))
    api, token = stage.starter.client("sagemaker"), str(uuid.uuid4())
    arn = api.start_pipeline_execution(PipelineName="own-slow", ClientRequestToken=token)["PipelineExecutionArn"]
    steps = lambda: api.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]  # noqa: E731
    until(lambda: steps() and "Metadata" in steps()[0])
    api.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=token)
    until(lambda: api.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"] == "Stopped")
    assert [step["StepStatus"] for step in steps()] == ["Stopped"]
    document = json.loads(definition(stage, "go", 3))
    document["Steps"][0]["Type"] = "Lambda"
    with refused("ValidationException", "Lambda"):
        pipeline(stage, "own-lambda", json.dumps(document))
    with refused("AccessDeniedException", "sagemaker:CreatePipeline"):
        pipeline(stage, "foreign-one", definition(stage, "go", 3))
    with refused("AccessDeniedException", "iam:PassRole"):
        api.create_pipeline(
            PipelineName="own-role", PipelineDefinition=definition(stage, "go", 3), RoleArn=stage.facts["JobRole"]
        )
    with refused("ValidationException", "Unknown"):
        api.start_pipeline_execution(
            PipelineName="own-slow",
            ClientRequestToken=str(uuid.uuid4()),
            PipelineParameters=[{"Name": "Unknown", "Value": "4"}],
        )
