"""Follow an execution of a SageMaker pipeline, and say at its end what a data scientist needs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from mlops_cicd.builds import DONE, PROJECT_IS_WRONG, say
from mlops_cicd.clients import explain, is_denied
from mlops_cicd.config import ModelConfig
from mlops_cicd.definition.processing import REPORT_FILE
from mlops_cicd.project import Project

POLL_SECONDS = 15.0
# Faults in a row that a long watch bears, on top of what botocore retries by itself: five minutes.
MOST_FAULTS = 20
ENDED = ("Succeeded", "Failed", "Stopped")
GATE = "GateNotMet"
# A step's metadata name the job; its log lies in a group of its kind, in streams that begin with its name.
_LOGS = {
    "ProcessingJob": "/aws/sagemaker/ProcessingJobs",
    "TrainingJob": "/aws/sagemaker/TrainingJobs",
    "TransformJob": "/aws/sagemaker/TransformJobs",
}
# What a failure's reason says, and what to do; the first that fits counts.
_MENDS = (
    (r"ResourceLimitExceeded|service limit|account-level",
     "A quota of the account is used up: wait for other jobs, take another instance type in model_config.yaml, or have the full"
     " stack developer raise the quota."),
    (r"CapacityError|InsufficientInstanceCapacity|insufficient capacity",
     "AWS has no such machine free at the moment: retry the stage later, or take another instance type in model_config.yaml."),
    (r"AccessDenied|not authorized|explicit deny",
     "The project's role lacks a right, or a guard rail refused the job: check instance types and addresses in model_config.yaml"
     " against the project's, then ask the data science admin."),
    (r"MaxRuntimeExceeded|max(imum)? ?run ?time|StoppingCondition",
     "The job took longer than the project allows: take a larger machine or less data, or ask the data science admin for"
     " more time."),
    (r"No S3 objects found|S3 ?(key|prefix).*(not|does not) (found|exist|match)|NoSuchKey",
     "Files that the job reads are not there: check data_config.inputs.data, and that the script writes all of its outputs."),
    (r"OutOfMemory|out of memory|exit code:? 137|signal 9",
     "The machine's memory ran out: take a larger instance type in model_config.yaml, or less data at a time."),
    (r"InternalServerError|Internal(Server)? ?(Error|Failure)|ServiceFault|Throttl",
     "AWS had a fault of its own: retry the stage."),
    (r"image|manifest|repository",
     "The image can't be used: look at the stage PushImages, and try the image's packages by the unit tests."),
)  # fmt: skip
_SCRIPT_FAILED = (
    "The script ended with an error: its log says where. Run it on your machine with ./inv local, mend it, and push."
)


@dataclass(frozen=True)
class Ended:
    """An execution that is over: its description and its steps, oldest first."""

    arn: str
    status: str
    reason: str
    steps: tuple[Mapping[str, Any], ...]

    @property
    def execution_id(self) -> str:
        """The last part of the ARN, which the outputs' prefixes carry."""
        return self.arn.rsplit("/", 1)[-1]


def follow(
    sagemaker: Any, arn: str, until: float, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Ended | None:
    """Print each step's state once per change until the execution ends; None when `until` came first."""
    shown: dict[str, str] = {}
    faults = 0
    while True:
        try:
            now = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
            steps = _steps(sagemaker, arn)
            faults = 0
        except (ClientError, BotoCoreError) as error:
            faults += 1
            if faults > MOST_FAULTS or (isinstance(error, ClientError) and is_denied(error)):
                raise
            say(f"Could not look ({type(error).__name__}); looking again. {explain(error)}")
        else:
            _tell(steps, shown)
            if now["PipelineExecutionStatus"] in ENDED:
                return Ended(arn, now["PipelineExecutionStatus"], str(now.get("FailureReason", "")), tuple(steps))
        if clock() + POLL_SECONDS >= until:
            return None
        sleep(POLL_SECONDS)


def report(sagemaker: Any, s3: Any, project: Project, config: ModelConfig, ended: Ended) -> int:
    """Print how an execution ended and what to do now; return the job's exit code."""
    if ended.status == "Succeeded":
        return _registered(project, ended)
    if ended.status == "Stopped":
        say(f"The execution was stopped by a person or a program: {ended.arn}. Retry the stage to start another one.")
        return PROJECT_IS_WRONG
    failed = [step for step in ended.steps if step.get("StepStatus") == "Failed"]
    # The gate's word comes last: it is the one to act on.
    for step in sorted(failed, key=lambda each: each["StepName"] == GATE):
        if step["StepName"] == GATE:
            _tell_gate(s3, project, config, ended, step)
        else:
            _tell_failure(step)
    if not failed:
        say(
            f"The execution failed: {ended.reason or 'SageMaker gives no reason'}. Look in Studio under Pipelines: {ended.arn}"
        )
    return PROJECT_IS_WRONG


def _steps(sagemaker: Any, arn: str) -> list[Mapping[str, Any]]:
    pages = sagemaker.get_paginator("list_pipeline_execution_steps").paginate(
        PipelineExecutionArn=arn, SortOrder="Ascending"
    )
    return [step for page in pages for step in page["PipelineExecutionSteps"]]


def _tell(steps: list[Mapping[str, Any]], shown: dict[str, str]) -> None:
    for step in steps:
        name, status = step["StepName"], step.get("StepStatus", "")
        if shown.get(name) == status:
            continue
        shown[name] = status
        outcome = step.get("Metadata", {}).get("Condition", {}).get("Outcome")
        say(f"{name}: {status}{_seconds(step)}{f', the condition is {outcome}' if outcome else ''}")


def _seconds(step: Mapping[str, Any]) -> str:
    start, end = step.get("StartTime"), step.get("EndTime")
    if start is None:
        return ""
    return (
        f" after {(end - start).total_seconds():.0f} s"
        if end
        else f" ({(datetime.now(UTC) - start).total_seconds():.0f} s)"
    )


def _registered(project: Project, ended: Ended) -> int:
    arns = [
        step["Metadata"]["RegisterModel"]["Arn"]
        for step in ended.steps
        if step.get("Metadata", {}).get("RegisterModel")
    ]
    for arn in arns:
        version = arn.rsplit("/", 1)[-1]
        say(f"Registered, waiting for approval: {arn}")
        say(
            f"An approver finds it in Studio under Models, group {project.model_package_group}, version {version}, with its metrics"
            " and reports; approving it starts the deployment."
        )
    if not arns:
        say(f"The execution succeeded and registered nothing. Show this line to the ML engineer: {ended.arn}")
        return PROJECT_IS_WRONG
    return DONE


def _tell_failure(step: Mapping[str, Any]) -> None:
    reason = str(step.get("FailureReason") or "SageMaker gives no reason")
    say(f"{step['StepName']} failed: {reason}")
    for kind, group in _LOGS.items():
        arn = step.get("Metadata", {}).get(kind, {}).get("Arn")
        if arn:
            say(f"  Its log: CloudWatch, log group {group}, streams that begin with {arn.rsplit('/', 1)[-1]}/")
    say(f"  {_mend(reason)}")


def _mend(reason: str) -> str:
    return next((mend for pattern, mend in _MENDS if re.search(pattern, reason, re.IGNORECASE)), _SCRIPT_FAILED)


def _tell_gate(s3: Any, project: Project, config: ModelConfig, ended: Ended, step: Mapping[str, Any]) -> None:
    gate = config.gate_for(project.problem_type)
    value = _measured(s3, project, ended.execution_id, gate.metric)
    if value is not None:
        say(f"Quality gate: {gate.metric} is {value:.6g}, and must be {gate.comparison} {gate.threshold:g}.")
    message = step.get("Metadata", {}).get("Fail", {}).get("ErrorMessage") or step.get("FailureReason") or ended.reason
    say(f"{GATE}: {message}")


def _measured(s3: Any, project: Project, execution_id: str, metric: str) -> float | None:
    """Return the metric's value; None where it can't be read, since the gate's message says where it is."""
    key = f"pipelines/{execution_id}/evaluate/evaluation/{REPORT_FILE}"
    try:
        found = json.loads(s3.get_object(Bucket=project.bucket, Key=key)["Body"].read())
        return float(found[f"{project.problem_type}_metrics"][metric]["value"])
    except (ClientError, BotoCoreError, ValueError, KeyError, TypeError):
        return None
