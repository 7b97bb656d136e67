"""Plays a pipeline definition step by step, and writes down while it runs what has happened."""

from __future__ import annotations

import json
import re
import secrets
import string
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from . import steps
from .definition import Plan, Step, plan
from .errors import DefinitionError, JobFailed
from .jobs import now
from .packages import tell, tools
from .place import Authorize, OnStep, Place, ProjectFacts, Say, no_authorize, no_step, say_line
from .sandbox import LOST, isolation

Status = Literal["Executing", "Succeeded", "Failed", "Stopped"]
StepStatus = Literal["Starting", "Executing", "Succeeded", "Failed", "Stopped", "NotRun"]
_ID = re.compile(r"[a-z0-9]{12}")


@dataclass(frozen=True)
class StepRecord:
    """What became of one step; `output` is what references read (the job's description), times are ISO 8601 UTC."""

    name: str
    type: str
    status: StepStatus = "Starting"
    started: str | None = None
    ended: str | None = None
    seconds: float = 0.0
    failure: str | None = None
    detail: str = ""
    log: Path | None = None
    output: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Execution:
    """What became of one run of a definition."""

    id: str
    arn: str
    pipeline_name: str
    status: Status
    failure: str | None
    folder: Path
    steps: tuple[StepRecord, ...]
    parameters: Mapping[str, Any]

    def step(self, name: str) -> StepRecord:
        """Give one step's record; KeyError when there is no such step."""
        return {item.name: item for item in self.steps}[name]


def run(
    definition: Mapping[str, Any],
    where: Place,
    project: ProjectFacts,
    *,
    parameters: Mapping[str, Any] | None = None,
    execution_id: str | None = None,
    on_step: OnStep = no_step,
    say: Say = say_line,
    authorize: Authorize = no_authorize,
    stop: threading.Event | None = None,
) -> Execution:
    """Play a definition and give what became of it.

    Raises DefinitionError with all problems, or PlaceError, before anything ran. A step that fails ends the run (as in the service,
    no further step is started): see `status` and `failure`. Ctrl-C, or `stop` set from another thread, ends the job under way; the
    status is then Stopped. `authorize` is asked before each job, model or package is made and refuses by JobFailed.
    """
    execution_id = execution_id or "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(12))
    if not _ID.fullmatch(execution_id):
        raise DefinitionError([f"The execution id {execution_id!r} is none. Use 12 lower case letters and digits."])
    kept = isolation(where.mode)
    pipeline_arn = (
        f"arn:{project.partition}:sagemaker:{project.region}:{project.account_id}:pipeline/{project.pipeline_name}"
    )
    started = now()
    variables = {
        "StartDateTime": started,
        "PipelineName": project.pipeline_name,
        "PipelineArn": pipeline_arn,
        "PipelineExecutionId": execution_id,
        "PipelineExecutionArn": f"{pipeline_arn}/execution/{execution_id}",
    }
    found = plan(definition, parameters, variables, hosts_possible=not kept.mapped)
    for line in found.told:
        say(line)
    if kept.mapped:
        say(LOST.format(why=kept.why))
    cache = where.cache or where.folder / "cache"
    tell(found.images, where.image_of, where.python, say)
    for uri in found.images:
        tools(uri, where.image_of(uri), where.python, cache, say)
    folder = where.folder / execution_id
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise DefinitionError([f"The execution {execution_id} has run already in {folder}. Use another id."]) from None
    (folder / "definition.json").write_text(json.dumps(definition, indent=1), encoding="utf-8")
    records = {step.name: StepRecord(step.name, step.type) for step in found.steps}
    arn = variables["PipelineExecutionArn"]
    first = Execution(
        execution_id, arn, project.pipeline_name, "Executing", None, folder, tuple(records.values()), found.parameters
    )
    playing = steps.Playing(
        where, project, folder, cache, variables, found.parameters, say, authorize, stop or threading.Event()
    )
    return _Run(found, first, playing, on_step, started).play()


class _Run:
    """One run under way: the records, and the file that shows them."""

    def __init__(
        self, found: Plan, execution: Execution, playing: steps.Playing, on_step: OnStep, started: str
    ) -> None:
        self.plan, self.execution, self.playing, self.on_step, self.started = (
            found,
            execution,
            playing,
            on_step,
            started,
        )
        self.records = {item.name: item for item in execution.steps}
        self.outcomes: dict[str, bool] = {}
        self._write()

    def play(self) -> Execution:
        for step in self.plan.steps:
            if not self._wanted(step):
                self._set(step, status="NotRun", detail="another branch was taken")
                self.on_step(step.name, step.type, "NotRun", 0.0, self.records[step.name].detail)
            elif not self._play(step):
                break
        else:
            self.execution = replace(self.execution, status="Succeeded")
        if self.execution.status != "Succeeded":
            for name, record in self.records.items():
                if record.status == "Starting":
                    self.records[name] = replace(record, status="NotRun", detail="the run ended before")
        self._write(ended=now())
        return self.execution

    def _wanted(self, step: Step) -> bool:
        taken = step.branch is None or self.outcomes.get(step.branch[0]) is step.branch[1]
        return taken and all(self.records[name].status == "Succeeded" for name in step.needs)

    def _play(self, step: Step) -> bool:
        """Play one step; says whether the run goes on."""
        clock = time.monotonic()
        self._set(step, status="Executing", started=now())
        self.on_step(step.name, step.type, "Executing", 0.0, "")
        outputs = {name: record.output for name, record in self.records.items() if record.status == "Succeeded"}
        done: dict[str, Any]
        reason = None
        try:
            if self.playing.stop.is_set():
                raise JobFailed("The run was stopped.", status="Stopped")
            result = steps.play(step, outputs, self.playing)
        except KeyboardInterrupt:
            self.playing.stop.set()
            done = {"status": "Stopped", "failure": "The run was stopped by the keyboard."}
        except JobFailed as error:
            done, reason = {"status": error.status, "failure": str(error)}, error.reason
        except Exception as error:  # a fault of the executor itself: the state must not say that the run goes on
            self._set(step, status="Failed", failure=f"InternalError: {error!r}", ended=now())
            self.execution = replace(
                self.execution, status="Failed", failure=f"Step {step.name}: InternalError: {error!r}"
            )
            self._write(ended=now())
            raise
        else:
            if result.outcome is not None:
                self.outcomes[step.name] = result.outcome
            done = {"status": "Succeeded", "output": result.output, "detail": result.detail}
        log = self.playing.job_folder(step) / "job.log"
        seconds = round(time.monotonic() - clock, 3)
        self._set(step, **done, ended=now(), seconds=seconds, log=log if log.is_file() else None)
        record = self.records[step.name]
        if record.status != "Succeeded":
            status: Status = "Stopped" if record.status == "Stopped" else "Failed"
            self.execution = replace(self.execution, status=status, failure=f"Step {step.name}: {record.failure}")
        self.on_step(step.name, step.type, record.status, seconds, reason or record.failure or record.detail)
        return record.status == "Succeeded"

    def _set(self, step: Step, **changes: Any) -> None:
        self.records[step.name] = replace(self.records[step.name], **changes)
        self._write()

    def _write(self, ended: str | None = None) -> None:
        """Write execution.json, whole at every moment."""
        self.execution = replace(self.execution, steps=tuple(self.records.values()))
        document = {
            "PipelineExecutionArn": self.execution.arn,
            "PipelineName": self.execution.pipeline_name,
            "PipelineExecutionStatus": self.execution.status,
            "FailureReason": self.execution.failure,
            "StartTime": self.started,
            "EndTime": ended,
            "PipelineParameters": self.execution.parameters,
            "Steps": [_shown(record) for record in self.records.values()],
        }
        part = self.execution.folder / "execution.json.part"
        part.write_text(json.dumps(document, indent=1, default=str), encoding="utf-8")
        part.replace(self.execution.folder / "execution.json")


def _shown(record: StepRecord) -> dict[str, Any]:
    return {
        "StepName": record.name,
        "StepType": record.type,
        "StepStatus": record.status,
        "StartTime": record.started,
        "EndTime": record.ended,
        "Seconds": record.seconds,
        "FailureReason": record.failure,
        "Detail": record.detail,
        "Log": str(record.log) if record.log else None,
        "Output": record.output,
    }
