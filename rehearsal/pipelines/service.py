"""CodePipeline's API over the pipelines that stacks made."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from rehearsal.acting import Place
from rehearsal.builds.service import Builds
from rehearsal.code.repositories import Repositories
from rehearsal.ledger import Answer, Ledger, Request
from rehearsal.pipelines.actions import Actions
from rehearsal.pipelines.running import Journey
from rehearsal.pipelines.state import ActionRun, Execution, Line, Transition, parameters
from rehearsal.services import Call, Json, Service, ServiceError, as_answered, page

PIPELINE = "AWS::CodePipeline::Pipeline"


class Pipelines(Service):
    """Start, watch, hold and stop executions."""

    name = "codepipeline"

    def __init__(self, ledger: Ledger, endpoint: str, repositories: Repositories, builds: Builds) -> None:
        super().__init__()
        self._ledger, self._endpoint = ledger, endpoint
        self._actions = Actions(repositories, builds)
        self._tokens: dict[tuple[str, str, str, str], str] = {}
        self._lines: dict[tuple[str, str, str], Line] = {}
        self._executions: dict[str, Execution] = {}
        self._runs: list[ActionRun] = []
        self._versions: dict[tuple[str, str, str], int] = {}
        self.executions: list[dict[str, Any]] = []

    def after(self) -> dict[tuple[str, str], Callable[[Request, Answer], None]]:
        """Give what happens when stacks make, change and delete pipelines."""
        return {(PIPELINE, "create"): self._born, (PIPELINE, "update"): self._changed, (PIPELINE, "delete"): self._gone}

    # Executions

    def start_pipeline_execution(self, call: Call) -> Json:
        name = call.request["name"]
        pipeline = self._allowed(call, name)
        token = (*call.place, name, call.request.get("clientRequestToken") or str(uuid.uuid4()))
        if token not in self._tokens:
            declared = {row["name"]: row.get("defaultValue") for row in pipeline.get("variables", [])}
            asked = {row["name"]: row["value"] for row in call.request.get("variables", [])}
            if unknown := sorted(set(asked) - set(declared)):
                raise ServiceError("ValidationException", f"{name} has no variable {', '.join(unknown)}. Declare it.")
            if open_ := sorted(key for key, value in declared.items() if value is None and key not in asked):
                raise ServiceError("ValidationException", f"{name} needs a value for {', '.join(open_)}. Give it.")
            sources = {action["name"] for action in pipeline["stages"][0]["actions"]}
            revisions = {row["actionName"]: row["revisionValue"] for row in call.request.get("sourceRevisions", [])}
            if unknown := sorted(set(revisions) - sources):
                raise ServiceError(
                    "ValidationException", f"{name} has no source action {', '.join(unknown)}. Name one."
                )
            trigger = {"triggerType": "StartPipelineExecution", "triggerDetail": call.caller.arn}
            given = {key: str(value) for key, value in declared.items() if value is not None} | asked
            execution = self._begin(Place(self._endpoint, *call.place), pipeline, trigger, given, revisions)
            self._tokens[token] = execution.id
            facts = {"account": call.account, "region": call.region, "caller": call.caller.arn}
            self.executions.append({**facts, "pipelineExecutionId": execution.id, **call.request})
        return {"pipelineExecutionId": self._tokens[token]}

    def stop_pipeline_execution(self, call: Call) -> Json:
        self._allowed(call, call.request["pipelineName"])
        execution = self._execution(call)
        is_abandoned = call.request.get("abandon", False)
        if execution.has_ended:
            raise ServiceError(
                "PipelineExecutionNotStoppableException", f"{execution.id} is {execution.status} already."
            )
        if execution.status == "Stopping" and not is_abandoned:
            raise ServiceError("DuplicatedStopRequestException", f"{execution.id} is Stopping. Wait, or abandon it.")
        execution.stopped_for = call.request.get("reason", "")
        execution.status = "Stopping"
        if is_abandoned:
            execution.abandon.set()
        execution.stop.set()
        self._line(execution.place, execution.pipeline["name"]).wake()
        return {"pipelineExecutionId": execution.id}

    def get_pipeline_execution(self, call: Call) -> Json:
        self._allowed(call, call.request["pipelineName"])
        execution = self._execution(call)
        revisions = [
            {"name": a["name"], "revisionId": run.revision["revisionId"], "revisionSummary": run.summary}
            for run in self._runs
            if run.execution is execution and run.revision
            for a in run.outputs
        ]
        values = [{"name": key, "resolvedValue": value} for key, value in execution.variables.items()]
        return {
            "pipelineExecution": {
                "pipelineName": execution.pipeline["name"],
                "pipelineVersion": execution.pipeline["version"],
                "pipelineExecutionId": execution.id,
                "status": execution.status,
                "statusSummary": execution.summary or None,
                "artifactRevisions": revisions,
                "variables": values,
                "trigger": execution.trigger,
                "executionMode": execution.pipeline.get("executionMode", "SUPERSEDED"),
                "executionType": "STANDARD",
            }
        }

    def list_pipeline_executions(self, call: Call) -> Json:
        self._allowed(call, call.request["pipelineName"])
        rows = [
            {
                "pipelineExecutionId": one.id,
                "status": one.status,
                "statusSummary": one.summary or None,
                "startTime": one.started,
                "lastUpdateTime": one.changed,
                "sourceRevisions": one.sources,
                "trigger": one.trigger,
                "stopTrigger": {"reason": one.stopped_for} if one.stopped_for else None,
                "executionMode": one.pipeline.get("executionMode", "SUPERSEDED"),
                "executionType": "STANDARD",
            }
            for one in reversed(self._of(call.place, call.request["pipelineName"]))
        ]
        rows, token = page(rows, call.request.get("maxResults", 100), call.request.get("nextToken"))
        return {"pipelineExecutionSummaries": rows, "nextToken": token}

    def list_action_executions(self, call: Call) -> Json:
        name = call.request["pipelineName"]
        self._allowed(call, name)
        wanted = call.request.get("filter", {}).get("pipelineExecutionId")
        known = [one for one in self._of(call.place, name) if wanted in (None, one.id)]
        rows = [_detail(run) for run in reversed(self._runs) if run.execution in known]
        rows, token = page(rows, call.request.get("maxResults", 100), call.request.get("nextToken"))
        return {"actionExecutionDetails": rows, "nextToken": token}

    # Pipelines and their transitions

    def get_pipeline(self, call: Call) -> Json:
        pipeline = self._allowed(call, call.request["name"])
        arn = call.arn("codepipeline", call.request["name"])
        return {"pipeline": pipeline, "metadata": {"pipelineArn": arn}}

    def get_pipeline_state(self, call: Call) -> Json:
        name = call.request["name"]
        pipeline, line = self._allowed(call, name), self._line(Place(self._endpoint, *call.place), name)
        stages = []
        for number, stage in enumerate(pipeline["stages"]):
            title = stage["name"]
            waiting = [{"pipelineExecutionId": one.id, "status": "InProgress"} for one in line.waiting.get(title, [])]
            runs = [run for run in self._runs if (run.stage, run.execution.place, run.execution.pipeline["name"])
                    == (title, Place(self._endpoint, *call.place), name)]  # fmt: skip
            latest = next((one for one in reversed(self._of(call.place, name)) if title in one.stages), None)
            state = {
                "stageName": title,
                "inboundExecution": waiting[-1] if waiting else None,
                "inboundExecutions": waiting,
                "actionStates": [_state(action["name"], runs) for action in stage["actions"]],
            }
            if latest:
                state["latestExecution"] = {"pipelineExecutionId": latest.id, "status": latest.stages[title]}
            if number:
                way = line.transitions.get(title, Transition())
                told: Json = {"enabled": way.enabled}
                if way.by:
                    told |= {"lastChangedBy": way.by, "lastChangedAt": way.at}
                state["inboundTransitionState"] = told | ({} if way.enabled else {"disabledReason": way.reason})
            stages.append({key: value for key, value in state.items() if value is not None})
        return {"pipelineName": name, "pipelineVersion": pipeline["version"], "stageStates": stages}

    def enable_stage_transition(self, call: Call) -> None:
        self._transition(call, True)

    def disable_stage_transition(self, call: Call) -> None:
        self._transition(call, False)

    def _transition(self, call: Call, is_enabled: bool) -> None:
        name, stage = call.request["pipelineName"], call.request["stageName"]
        pipeline = self._allowed(call, name, f"/{stage}")
        if call.request["transitionType"] != "Inbound":
            raise ServiceError("ValidationException", "The rehearsal plays Inbound transitions alone.")
        if stage not in [one["name"] for one in pipeline["stages"]]:
            raise ServiceError("StageNotFoundException", f"{name} has no stage {stage}. Look at GetPipeline.")
        line = self._line(Place(self._endpoint, *call.place), name)
        line.transition(stage, is_enabled, call.caller.arn, call.request.get("reason", ""))

    # What there is

    def _allowed(self, call: Call, name: str, below: str = "") -> Json:
        """Find the pipeline that a request names; its ARN, or that of what is `below` it, carries the permission."""
        call.allow(f"codepipeline:{call.operation}", call.arn("codepipeline", f"{name}{below}"))
        for request, made in self._ledger.of(PIPELINE, *call.place):
            if made.physical_id == name:
                return self._declared(request.account, request.region, name, request.properties)
        raise ServiceError(
            "PipelineNotFoundException", f"Account '{call.account}' does not have a pipeline with name '{name}'"
        )

    def _declared(self, account: str, region: str, name: str, properties: Mapping[str, Any]) -> Json:
        made: Json = as_answered({**properties, "Name": name}, self.model.shape_for("PipelineDeclaration"))
        return {**made, "version": self._versions.get((account, region, name), 1)}

    def _execution(self, call: Call) -> Execution:
        number, name = call.request["pipelineExecutionId"], call.request["pipelineName"]
        found = self._executions.get(number)
        if found is None or found not in self._of(call.place, name):
            raise ServiceError("PipelineExecutionNotFoundException", f"{name} has no execution {number}. List them.")
        return found

    def _of(self, place: tuple[str, str], name: str) -> list[Execution]:
        known = list(self._executions.values())
        return [one for one in known if (one.place.account, one.place.region, one.pipeline["name"]) == (*place, name)]

    def _line(self, place: Place, name: str) -> Line:
        return self._lines.setdefault((place.account, place.region, name), Line({}))

    def _begin(
        self, place: Place, pipeline: Json, trigger: Json, variables: dict[str, str], revisions: dict[str, str]
    ) -> Execution:
        execution = Execution(str(uuid.uuid4()), place, pipeline, trigger, variables, revisions)
        execution.namespaces = {
            "variables": execution.variables,
            "codepipeline": {"PipelineExecutionId": execution.id},
        }
        self._executions[execution.id] = execution
        journey = Journey(execution, self._line(place, pipeline["name"]), self._actions, self._runs.append)
        place.apart(journey.go, f"pipeline {execution.id}")
        return execution

    # https://docs.aws.amazon.com/codepipeline/latest/userguide/pipelines-about-starting.html: one starts with its creation
    def _born(self, request: Request, made: Answer) -> None:
        closed = request.properties.get("DisableInboundStageTransitions") or ()
        by = request.stack_id
        ways = {row["StageName"]: Transition(False, str(row["Reason"]), by) for row in closed}
        name = made.physical_id
        self._lines[request.account, request.region, name] = Line(ways)
        pipeline = self._declared(request.account, request.region, name, request.properties)
        trigger = {"triggerType": "CreatePipeline", "triggerDetail": by}
        defaults = {
            row["name"]: str(row["defaultValue"]) for row in pipeline.get("variables", []) if "defaultValue" in row
        }
        self._begin(Place(self._endpoint, request.account, request.region), pipeline, trigger, defaults, {})

    def _changed(self, request: Request, made: Answer) -> None:
        """Let the new declaration count for what starts from now on; transitions follow the template where it changed them."""
        place, name = (request.account, request.region), made.physical_id
        if request.properties == request.previous:
            return
        self._versions[*place, name] = self._versions.get((*place, name), 1) + 1
        line = self._line(Place(self._endpoint, *place), name)
        old, new = (
            {row["StageName"]: row["Reason"] for row in given.get("DisableInboundStageTransitions") or ()}
            for given in (request.previous, request.properties)
        )
        for stage in old.keys() | new.keys():
            if old.get(stage) != new.get(stage):
                line.transition(stage, stage not in new, request.stack_id, str(new.get(stage, "")))
        if str(request.properties.get("RestartExecutionOnUpdate", "false")).lower() == "true":
            pipeline = self._declared(*place, name, request.properties)
            self._begin(Place(self._endpoint, *place), pipeline, {"triggerType": "StartPipelineExecution"}, {}, {})

    def _gone(self, request: Request, made: Answer) -> None:
        """Stop what runs: a deleted pipeline runs nothing."""
        for execution in self._of((request.account, request.region), made.physical_id):
            execution.abandon.set()
            execution.stop.set()
        line = self._lines.pop((request.account, request.region, made.physical_id), None)
        if line:
            line.wake()


def _state(name: str, runs: list[ActionRun]) -> Json:
    """Give an action's state: its latest run."""
    run = next((one for one in reversed(runs) if one.action["name"] == name), None)
    if run is None:
        return {"actionName": name}
    latest = {
        "actionExecutionId": run.id,
        "status": run.status,
        "summary": run.summary or None,
        "lastStatusChange": run.changed,
        "externalExecutionId": run.external_id or None,
        "externalExecutionUrl": run.external_url or None,
        "logStreamARN": run.log_stream or None,
        "errorDetails": _error(run),
    }
    state: Json = {"actionName": name, "latestExecution": {key: value for key, value in latest.items() if value}}
    return state | ({"currentRevision": run.revision} if run.revision else {})


def _detail(run: ActionRun) -> Json:
    """Give one run of an action, with what went in and came out."""
    result = {
        "externalExecutionId": run.external_id or None,
        "externalExecutionSummary": run.summary or None,
        "externalExecutionUrl": run.external_url or None,
        "errorDetails": _error(run),
        "logStreamARN": run.log_stream or None,
    }
    return {
        "pipelineExecutionId": run.execution.id,
        "actionExecutionId": run.id,
        "pipelineVersion": run.execution.pipeline["version"],
        "stageName": run.stage,
        "actionName": run.action["name"],
        "startTime": run.started,
        "lastUpdateTime": run.changed,
        "status": run.status,
        "input": {
            "actionTypeId": run.action["actionTypeId"],
            "configuration": parameters(run.action),
            "resolvedConfiguration": run.configuration,
            "roleArn": run.action.get("roleArn"),
            "inputArtifacts": run.inputs,
            "namespace": run.action.get("namespace"),
        },
        "output": {
            "outputArtifacts": run.outputs,
            "executionResult": {key: value for key, value in result.items() if value},
            "outputVariables": run.variables,
        },
    }


def _error(run: ActionRun) -> Json | None:
    return {"code": run.code, "message": run.message} if run.code else None
