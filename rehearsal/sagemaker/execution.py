"""Run one execution: the executor of `mlops-cicd` plays the definition, and every job, model and version that it makes is made
in the emulated account, in the name of the pipeline's role."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rehearsal.acting import Acting, now
from rehearsal.errors import RehearsalError
from rehearsal.sagemaker import playing
from rehearsal.sagemaker.jobs import KINDS, dig
from rehearsal.services import Call, Json, ServiceError

if TYPE_CHECKING:
    from rehearsal.sagemaker.pipelines import Execution, ModelPipelines

JOBS = {f"Create{word}Job": kind for word, kind in KINDS.items()}
STATUSES = {"Succeeded": "Completed", "Failed": "Failed", "Stopped": "Stopped"}


class Run:
    """One execution on the run; also the registry that its steps write to."""

    def __init__(self, execution: Execution, pipelines: ModelPipelines) -> None:
        self._execution, self._pipelines = execution, pipelines
        self._call = execution.call
        self._records: dict[str, Json] = {}  # jobs, by step
        self._step: Json = {}
        self._objects: playing.Objects | None = None

    def run(self) -> None:
        """Run the execution to its end; whatever happens, it has one."""
        execution, status, failure = self._execution, "Failed", ""
        try:
            self._acting = self._taking()
            self._call = replace(self._call, access_key=self._acting.session.access_key)
            done = self._play()
            status, failure = done.status, done.failure or ""
            for step in done.steps:
                if step.name in self._records:
                    shown = {key: value for key, value in step.output.items() if key not in ("Tags", "PropertyFiles")}
                    self._records[step.name] |= self._fitting(self._records[step.name], shown)
        except Exception as error:  # the rehearsal's own fault must end the execution too
            failure = (
                f"ClientError: {error}" if isinstance(error, RehearsalError) else f"{type(error).__name__}: {error}"
            )
        before = execution.status
        execution.status, execution.failure, execution.changed = status, failure[:3000], now()
        self._pipelines.tell(execution, before)

    def _taking(self) -> Acting:
        place = self._pipelines.jobs.place(self._call)
        return place.taking(self._execution.role, self._execution.arn, f"SageMaker-{self._execution.id}")

    def _play(self) -> Any:
        execution, local = self._execution, playing.module("local")
        self._objects = playing.Objects(self._acting)
        where = local.Place(self._pipelines.folder, self._objects, self, playing.PYTHON)
        facts = playing.Facts(execution.pipeline, self._call.region, self._call.account)
        return local.run(
            json.loads(execution.definition),
            where,
            facts,
            parameters=execution.parameters,
            execution_id=execution.id,
            on_step=self._on_step,
            say=execution.lines.append,
            authorize=self._authorize,
            stop=execution.stop,
        )

    # What the executor asks

    def _authorize(self, operation: str, request: Mapping[str, Any]) -> None:
        """Make a job's record in the name of the pipeline's role, and go on with S3 in the job's own."""
        kind = JOBS.get(operation)
        if kind is None:
            return  # a model or a version: made by the registry's methods below
        jobs = self._pipelines.jobs
        try:
            with jobs.service.lock:
                record = jobs.admit(replace(self._call, operation=operation, request=request), kind)
            self._records[self._step["StepName"]] = record
            assert self._objects is not None
            self._objects.now(jobs.taking(record, jobs.place(self._call)), dig(request, kind.output_key) or "")
        except RehearsalError as error:
            raise playing.module("local").JobFailed(f"ClientError: {error}") from None
        self._step["Metadata"] = {f"{kind.word}Job": {"Arn": record[f"{kind.word}JobArn"]}}

    def create_model(self, name: str, request: Mapping[str, Any]) -> str:
        """Make a model."""
        arn = self._made("create_model", "CreateModel", {**request, "ModelName": name})["ModelArn"]
        self._step["Metadata"] = {"Model": {"Arn": arn}}
        return str(arn)

    def create_model_package(self, request: Mapping[str, Any]) -> str:
        """Register a version, with the execution that made it."""
        made_by = {"MetadataProperties": {"GeneratedBy": self._execution.arn, **request.get("MetadataProperties", {})}}
        arn = self._made("create_model_package", "CreateModelPackage", {**request, **made_by})["ModelPackageArn"]
        self._step["Metadata"] = {"RegisterModel": {"Arn": arn}}
        return str(arn)

    def describe_model(self, name: str) -> Mapping[str, Any]:
        """Give what made a model."""
        arn = self._call.arn("sagemaker", f"model/{name}")
        return self._pipelines.jobs.service.made[arn]

    def _made(self, method: str, operation: str, request: Json) -> Json:
        call = Call(operation, request, self._call.account, self._call.region, self._call.access_key)
        try:
            with self._pipelines.jobs.service.lock:
                made: Json = getattr(self._pipelines.models, method)(call)
                return made
        except ServiceError as error:
            raise playing.module("local.errors").RegistryError(str(error)) from None

    def _on_step(self, name: str, kind: str, status: str, seconds: float, detail: str) -> None:
        """Follow a step from its start to its end."""
        execution = self._execution
        if status == "NotRun":
            return
        if status == "Executing":
            self._step = {"StepName": name, "StepStatus": status, "StartTime": now(), "AttemptCount": 1}
            execution.steps.append(self._step)
            self._pipelines.tell_step(execution, self._step, kind, "Starting")
            return
        step = self._step
        step |= {"StepStatus": status, "EndTime": now()}
        if status != "Succeeded":
            step["FailureReason"] = detail[:1000]
        elif kind == "Condition":
            step["Metadata"] = {"Condition": {"Outcome": "False" if detail.endswith("not met") else "True"}}
        if kind == "Fail":
            step["Metadata"] = {"Fail": {"ErrorMessage": detail[:1000]}}
        execution.changed = now()
        if name in self._records:
            log = self._pipelines.folder / execution.id / "steps" / name / "job.log"
            reason = "" if status == "Succeeded" else detail[:1024]
            self._pipelines.jobs.finish(self._records[name], STATUSES[status], reason, {}, self._call, log)
        self._pipelines.tell_step(execution, step, kind, "Executing")

    def _fitting(self, record: Json, shown: Mapping[str, Any]) -> Json:
        """Give what of a step's output describes its job: artifacts, metrics, messages and times."""
        known = self._pipelines.jobs.service.model.operation_model(f"Describe{record['_kind']}Job").output_shape.members
        return playing.described({key: value for key, value in shown.items() if key in known})
