"""SageMaker pipelines: definitions are checked when they are made, and executions really run, as the pipeline's role."""

from __future__ import annotations

import json
import secrets
import string
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from rehearsal.acting import moment, now
from rehearsal.sagemaker import playing
from rehearsal.sagemaker.execution import Run
from rehearsal.sagemaker.jobs import Jobs
from rehearsal.sagemaker.registry import Models
from rehearsal.sagemaker.service import Part, SageMaker
from rehearsal.services import Call, Json, ServiceError, page, shaped, tags_of

EXECUTION_CHANGE = "SageMaker Model Building Pipeline Execution Status Change"
STEP_CHANGE = "SageMaker Model Building Pipeline Execution Step Status Change"
UNPLAYED = ("PipelineDefinitionS3Location", "SelectiveExecutionConfig", "PipelineVersionId", "MlflowExperimentName")


@dataclass
class Execution:
    """One run of a pipeline, with the definition that it had then."""

    arn: str
    pipeline: str  # name
    definition: str
    role: str
    parameters: dict[str, str]
    call: Call
    display_name: str = ""
    description: str = ""
    status: str = "Executing"
    failure: str = ""
    started: datetime = field(default_factory=now)
    changed: datetime = field(default_factory=now)
    steps: list[Json] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def id(self) -> str:
        return self.arn.rpartition("/")[2]


class ModelPipelines(Part):
    """Create, change, start, watch and stop pipelines."""

    def __init__(self, service: SageMaker, jobs: Jobs, models: Models) -> None:
        super().__init__(service)
        self.jobs, self.models = jobs, models
        self.folder = Path(tempfile.mkdtemp(prefix="executions-"))
        self._executions: dict[str, Execution] = {}
        self._tokens: dict[tuple[str, str], str] = {}

    # Pipelines

    def create_pipeline(self, call: Call) -> Json:
        arn, tags = self._arn(call), tags_of(call.request.get("Tags"))
        self.service.allow_new(call, arn, tags)
        call.allow("iam:PassRole", call.request["RoleArn"], **{"iam:PassedToService": "sagemaker.amazonaws.com"})
        token = ("create", f"{arn} {call.request['ClientRequestToken']}")
        if token in self._tokens:
            return {"PipelineArn": arn}
        if arn in self.service.made:
            name = call.request["PipelineName"]
            raise ServiceError(
                "ResourceInUse", f"Pipeline names must be unique within an account and region: {name} is."
            )
        self._check(call)
        self.service.make(call, arn, "PipelineArn", "", tags)
        self.service.made[arn]["PipelineStatus"] = "Active"
        self._tokens[token] = arn
        return {"PipelineArn": arn}

    def update_pipeline(self, call: Call) -> Json:
        arn = self._arn(call)
        self.service.allow(call, arn)
        pipeline = self._pipeline(arn)
        if role := call.request.get("RoleArn"):
            call.allow("iam:PassRole", role, **{"iam:PassedToService": "sagemaker.amazonaws.com"})
        self._check(call)
        pipeline |= {**call.request, "LastModifiedTime": now()}
        return {"PipelineArn": arn}

    def describe_pipeline(self, call: Call) -> Json:
        arn = self._arn(call)
        self.service.allow(call, arn)
        return self.service.fitting(call, self._pipeline(arn))

    def delete_pipeline(self, call: Call) -> Json:
        arn = self._arn(call)
        self.service.allow(call, arn)
        self._pipeline(arn)
        if running := [one.id for one in self._of(arn) if one.status in ("Executing", "Stopping")]:
            raise ServiceError("ConflictException", f"{', '.join(running)} still runs. Stop it first.")
        del self.service.made[arn]
        return {"PipelineArn": arn}

    def list_pipelines(self, call: Call) -> Json:
        call.allow("sagemaker:ListPipelines")
        wanted = call.request.get("PipelineNamePrefix", "")
        found = [one for one in self.service.mine(*call.place, "pipeline") if one["PipelineName"].startswith(wanted)]
        return self.service.page(call, "PipelineSummaries", found, "PipelineSummary")

    # Executions

    def start_pipeline_execution(self, call: Call) -> Json:
        arn, given = self._arn(call), call.request
        self.service.allow(call, arn)
        pipeline = self._pipeline(arn)
        self._refuse_unplayed(call)
        token = ("start", f"{arn} {given['ClientRequestToken']}")
        if token in self._tokens:
            return {"PipelineExecutionArn": self._tokens[token]}
        parameters = {row["Name"]: row["Value"] for row in given.get("PipelineParameters", [])}
        self._planned(pipeline["PipelineDefinition"], parameters)
        number = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(12))
        execution = Execution(
            f"{arn}/execution/{number}",
            pipeline["PipelineName"],
            pipeline["PipelineDefinition"],
            pipeline["RoleArn"],
            parameters,
            call,
            given.get("PipelineExecutionDisplayName", f"execution-{int(now().timestamp() * 1000)}"),
            given.get("PipelineExecutionDescription", ""),
        )
        self._tokens[token] = execution.arn
        self._executions[execution.arn] = execution
        pipeline["LastRunTime"] = execution.started
        self.tell(execution, "")
        self.jobs.place(call).apart(Run(execution, self).run, f"execution {execution.id}")
        return {"PipelineExecutionArn": execution.arn}

    def describe_pipeline_execution(self, call: Call) -> Json:
        execution = self._execution(call)
        answer = {
            "PipelineArn": execution.arn.rpartition("/execution/")[0],
            "PipelineExecutionArn": execution.arn,
            "PipelineExecutionDisplayName": execution.display_name,
            "PipelineExecutionDescription": execution.description or None,
            "PipelineExecutionStatus": execution.status,
            "FailureReason": execution.failure or None,
            "CreationTime": execution.started,
            "LastModifiedTime": execution.changed,
        }
        return {name: value for name, value in answer.items() if value is not None}

    def describe_pipeline_definition_for_execution(self, call: Call) -> Json:
        execution = self._execution(call)
        return {"PipelineDefinition": execution.definition, "CreationTime": execution.started}

    def list_pipeline_execution_steps(self, call: Call) -> Json:
        execution = self._execution(call)
        is_down = call.request.get("SortOrder", "Descending") == "Descending"
        found = list(reversed(execution.steps)) if is_down else list(execution.steps)
        rows, token = page(found, call.request.get("MaxResults", 10), call.request.get("NextToken"))
        shape = self.service.model.shape_for("PipelineExecutionStep")
        return {"PipelineExecutionSteps": [shaped(row, shape, strict=False) for row in rows], "NextToken": token}

    def list_pipeline_executions(self, call: Call) -> Json:
        arn = self._arn(call)
        self.service.allow(call, arn)
        self._pipeline(arn)
        is_down = call.request.get("SortOrder", "Descending") == "Descending"
        found = [
            {
                "PipelineExecutionArn": one.arn,
                "StartTime": one.started,
                "PipelineExecutionStatus": one.status,
                "PipelineExecutionDisplayName": one.display_name,
                "PipelineExecutionFailureReason": one.failure or None,
            }
            for one in sorted(self._of(arn), key=lambda one: one.started, reverse=is_down)
        ]
        return self.service.page(call, "PipelineExecutionSummaries", found, "PipelineExecutionSummary")

    def stop_pipeline_execution(self, call: Call) -> Json:
        execution = self._execution(call)
        if execution.status not in ("Executing", "Stopping"):
            raise ServiceError("ConflictException", f"The execution is {execution.status} already.")
        execution.status = "Stopping"
        self.tell(execution, "Executing")
        execution.stop.set()
        return {"PipelineExecutionArn": execution.arn}

    # Events: https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html

    def tell(self, execution: Execution, before: str) -> None:
        """Say that an execution's state changed."""
        arn = execution.arn.rpartition("/execution/")[0]
        ended = {"executionEndTime": moment(now())} if execution.status not in ("Executing", "Stopping") else {}
        detail = {
            "pipelineExecutionDisplayName": execution.display_name,
            "currentPipelineExecutionStatus": execution.status,
            "executionStartTime": moment(execution.started),
            "pipelineArn": arn,
            "pipelineExecutionArn": execution.arn,
            **ended,
        }
        detail |= {"previousPipelineExecutionStatus": before} if before else {}
        self.jobs.place(execution.call).tell("aws.sagemaker", EXECUTION_CHANGE, [arn, execution.arn], detail)

    def tell_step(self, execution: Execution, step: Mapping[str, Any], kind: str, before: str) -> None:
        """Say that a step's state changed."""
        arn = execution.arn.rpartition("/execution/")[0]
        detail = {
            "metadata": {
                name[:1].lower() + name[1:]: {key.lower(): value for key, value in facts.items()}
                for name, facts in step.get("Metadata", {}).items()
            },
            "stepStartTime": moment(step["StartTime"]),
            "stepName": step["StepName"],
            "stepType": kind,
            "previousStepStatus": before,
            "currentStepStatus": step["StepStatus"],
            "pipelineArn": arn,
            "pipelineExecutionArn": execution.arn,
        }
        detail |= {"failureReason": step["FailureReason"]} if "FailureReason" in step else {}
        self.jobs.place(execution.call).tell("aws.sagemaker", STEP_CHANGE, [arn, execution.arn], detail)

    # What there is

    def _arn(self, call: Call) -> str:
        return call.arn("sagemaker", f"pipeline/{call.request['PipelineName'].rpartition('/')[2]}")

    def _pipeline(self, arn: str) -> Json:
        if arn not in self.service.made:
            raise ServiceError("ResourceNotFound", f"Pipeline '{arn}' does not exist. Create it first.")
        return self.service.made[arn]

    def _of(self, arn: str) -> list[Execution]:
        return [one for one in self._executions.values() if one.arn.startswith(f"{arn}/execution/")]

    def _execution(self, call: Call) -> Execution:
        arn = call.request["PipelineExecutionArn"]
        call.allow(f"sagemaker:{call.operation}", arn)
        if arn not in self._executions:
            raise ServiceError("ResourceNotFound", f"Pipeline execution {arn} does not exist. List them.")
        return self._executions[arn]

    def _check(self, call: Call) -> None:
        self._refuse_unplayed(call)
        if definition := call.request.get("PipelineDefinition"):
            self._planned(definition, None)
        elif call.operation == "CreatePipeline":
            raise ServiceError("ValidationException", "Give a PipelineDefinition.")

    @staticmethod
    def _planned(text: str, parameters: Mapping[str, str] | None) -> None:
        """Refuse a definition that cannot be played, and at the start parameters that do not fit it."""
        definitions, errors = playing.module("local.definition"), playing.module("local.errors")
        try:
            document = json.loads(text)
            declared = document.get("Parameters") or []
            # A parameter without a default has its value at the start; until then any of its type will do.
            any_of = {"Integer": 0, "Float": 0.0, "Boolean": False}
            some = {
                row["Name"]: any_of.get(row.get("Type"), "-") for row in declared if row.get("DefaultValue") is None
            }
            definitions.plan(document, some if parameters is None else parameters, VARIABLES)
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            raise ServiceError(
                "ValidationException", f"The pipeline definition can't be read: {error}. Mend it."
            ) from None
        except errors.DefinitionError as error:
            raise ServiceError("ValidationException", "; ".join(error.problems)) from None

    @staticmethod
    def _refuse_unplayed(call: Call) -> None:
        if given := [name for name in UNPLAYED if name in call.request]:
            raise ServiceError("ValidationException", f"The rehearsal does not play {', '.join(given)}: leave it out.")


# What a definition may name of its execution, before there is one.
VARIABLES = {
    "StartDateTime": "2026-01-01T00:00:00Z",
    "PipelineName": "pipeline",
    "PipelineArn": "arn:aws:sagemaker:us-east-1:111111111111:pipeline/pipeline",
    "PipelineExecutionId": "0123456789ab",
    "PipelineExecutionArn": "arn:aws:sagemaker:us-east-1:111111111111:pipeline/pipeline/execution/0123456789ab",
}
