"""The second stage of a pipeline: closed at birth, opened once for the first real execution, and never a person's door."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from tests.lambdas.fake_service import Fake, Refused
from tests.lambdas.test_event_router import COMMIT, LATER, PARAMETER, SETTINGS, Running, Table, approved, pushed

FIRST_PUSH, FIRST_VERSION = "Opens with the first push to main.", "Opens with the first approved version."


class Pipelines(Fake):
    """CodePipeline with the two pipelines of a project, QUEUED, as the template makes them."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.closed = {"churn-build": FIRST_PUSH, "churn-deploy": FIRST_VERSION}
        self.stages = {"churn-build": ["Source", "Validate", "Images"], "churn-deploy": ["Source", "BuildConfig"]}
        self.executions: dict[str, list[dict[str, Any]]] = {name: [] for name in self.closed}
        self.entered: list[str] = []  # executions that went through the gate, in order
        self.opened: list[str] = []
        self.page = 2
        for name in self.closed:
            self.begin(name, "CreatePipeline")

    def begin(self, pipeline: str, trigger: str, status: str = "InProgress") -> str:
        """Add an execution, the newest first, as CodePipeline lists them."""
        number = sum(len(found) for found in self.executions.values())
        execution = f"00000000-1111-2222-3333-{number:012d}"
        known = {"pipelineExecutionId": execution, "status": status, "trigger": {"triggerType": trigger}}
        self.executions[pipeline].insert(0, known)
        self._move(pipeline)
        return execution

    def status(self, execution: str) -> str:
        found = [one for held in self.executions.values() for one in held if one["pipelineExecutionId"] == execution]
        return str(found[0]["status"])

    def born(self, pipeline: str = "churn-build") -> str:
        return str(self.executions[pipeline][-1]["pipelineExecutionId"])

    def _move(self, pipeline: str) -> None:
        if pipeline in self.closed:
            return
        for one in reversed(self.executions[pipeline]):
            if one["status"] == "InProgress" and one["pipelineExecutionId"] not in self.entered:
                self.entered.append(one["pipelineExecutionId"])

    def _known(self, pipeline: str) -> None:
        if pipeline not in self.stages:
            raise Refused("PipelineNotFoundException")

    def _GetPipelineState(self, name: str) -> dict[str, Any]:
        self._known(name)
        states = [{"stageName": stage, "inboundTransitionState": {"enabled": True}} for stage in self.stages[name]]
        if name in self.closed:
            why = {"disabledReason": self.closed[name]} if self.closed[name] else {}
            states[1]["inboundTransitionState"] = {"enabled": False, **why}
        return {"pipelineName": name, "stageStates": states}

    def _ListPipelineExecutions(self, pipelineName: str, nextToken: str = "0", **_: Any) -> dict[str, Any]:
        self._known(pipelineName)
        start, found = int(nextToken), self.executions[pipelineName]
        more = {"nextToken": str(start + self.page)} if start + self.page < len(found) else {}
        return {"pipelineExecutionSummaries": found[start : start + self.page], **more}

    def _StopPipelineExecution(self, pipelineName: str, pipelineExecutionId: str, abandon: bool, reason: str) -> Any:
        assert abandon, "an execution that waits for its actions keeps the stage locked"
        assert reason
        for one in self.executions[pipelineName]:
            if one["pipelineExecutionId"] == pipelineExecutionId:
                if one["status"] == "Stopping":
                    raise Refused("DuplicatedStopRequestException")
                if one["status"] != "InProgress":
                    raise Refused("PipelineExecutionNotStoppableException")
                one["status"] = "Stopping"
        return {"pipelineExecutionId": pipelineExecutionId}

    def _EnableStageTransition(self, pipelineName: str, stageName: str, transitionType: str) -> None:
        assert transitionType == "Inbound"
        assert stageName == self.stages[pipelineName][1]
        self.opened.append(pipelineName)
        self.closed.pop(pipelineName, None)
        self._move(pipelineName)

    def _StartPipelineExecution(self, name: str, **_: Any) -> dict[str, Any]:
        self._known(name)
        return {"pipelineExecutionId": self.begin(name, "StartPipelineExecution")}


@pytest.fixture
def module(load: Callable[[str, str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("EVENTS_TABLE", "events")
    return load("event_router", "handler")


@pytest.fixture
def pipelines(module: Any) -> Pipelines:
    return Pipelines(module.CODEPIPELINE)


@pytest.fixture
def run(module: Any, pipelines: Pipelines, context: Any, log: Any) -> Any:
    """Handle events of the project churn, whose settings can be read as often as needed."""
    Table(module.DYNAMODB)
    ssm = Stubber(module.SSM)
    found = {"Parameter": {"Name": PARAMETER, "Type": "String", "Value": json.dumps(SETTINGS)}}
    for _ in range(9):
        ssm.add_response("get_parameter", found, {"Name": PARAMETER})
    with ssm:
        yield Running(module, context, log)


EVENTS = pytest.mark.parametrize(
    ("event", "pipeline", "stage"),
    [(pushed(), "churn-build", "Validate"), (approved(), "churn-deploy", "BuildConfig")],
    ids=["push", "approval"],
)


class TestFirst:
    @EVENTS
    def test_only_what_was_asked_for_enters(
        self, run: Running, pipelines: Pipelines, event: dict[str, Any], pipeline: str, stage: str
    ) -> None:
        told = run(event)
        assert told["decision"] == "started"
        assert told["reason"] == f"Opened the stage {stage}, stopped 1 from the pipeline's creation."
        assert pipelines.entered == [told["execution"]]
        assert pipelines.status(pipelines.born(pipeline)) == "Stopping"
        assert pipelines.opened == [pipeline]  # and not the project's other pipeline
        # Stopped before it is opened, or what waits would enter; opened before anything is started.
        assert pipelines.calls == [
            "GetPipelineState",
            "ListPipelineExecutions",
            "StopPipelineExecution",
            "EnableStageTransition",
            "StartPipelineExecution",
        ]

    def test_the_second_push_finds_it_open(self, run: Running, pipelines: Pipelines) -> None:
        run(pushed())
        pipelines.calls.clear()
        assert run(pushed(commitId=LATER, oldCommitId=COMMIT))["reason"] == ""
        assert pipelines.calls == ["GetPipelineState", "StartPipelineExecution"]
        assert len(pipelines.entered) == 2

    def test_a_told_change_that_is_told_again_touches_no_pipeline(self, run: Running, pipelines: Pipelines) -> None:
        run(pushed())
        pipelines.calls.clear()
        assert run(pushed())["decision"] == "already-started"
        assert pipelines.calls == []

    @pytest.mark.parametrize("status", ["Failed", "Stopped", "Stopping", "Succeeded", "Cancelled", "Superseded"])
    def test_what_ended_by_itself_is_left(self, run: Running, pipelines: Pipelines, status: str) -> None:
        pipelines.executions["churn-build"][0]["status"] = status
        assert run(pushed())["reason"] == "Opened the stage Validate, stopped 0 from the pipeline's creation."
        assert "StopPipelineExecution" not in pipelines.calls

    def test_what_a_person_started_meanwhile_goes_on(self, run: Running, pipelines: Pipelines) -> None:
        people = [pipelines.begin("churn-build", "StartPipelineExecution") for _ in range(4)]  # creation's is on page 3
        told = run(pushed())
        assert pipelines.entered == [*people, told["execution"]]
        assert pipelines.calls.count("ListPipelineExecutions") == 3
        assert pipelines.status(pipelines.born()) == "Stopping"

    def test_a_pipeline_of_one_stage_has_no_gate(self, run: Running, pipelines: Pipelines) -> None:
        pipelines.stages["churn-build"], pipelines.closed = ["Source"], {}
        assert run(pushed())["decision"] == "started"
        assert pipelines.opened == []

    def test_a_pipeline_without_stages_in_its_state(self, run: Running, pipelines: Pipelines) -> None:
        pipelines._GetPipelineState = lambda name: {"pipelineName": name}  # type: ignore[method-assign]
        assert run(pushed())["decision"] == "started"


class TestClosedByAPerson:
    @pytest.mark.parametrize(
        "reason",
        [
            "Frozen until Monday",
            "opens with the first push to main.",
            "Opens with the first push to main",
            "Opens with the first push to main. ",
            "Opens with the first push to main. Not before the audit.",
            "x" * 300,
        ],
    )
    def test_it_stays_closed_and_the_execution_waits(self, run: Running, pipelines: Pipelines, reason: str) -> None:
        pipelines.closed["churn-build"] = reason
        told = run(pushed())
        assert told["decision"] == "started"
        assert told["reason"].startswith(f"The stage Validate was closed by a person ({reason[:100]}): the execution ")
        assert len(told["reason"]) < 300
        assert pipelines.opened == pipelines.entered == []
        assert pipelines.status(told["execution"]) == "InProgress"
        assert pipelines.status(pipelines.born()) == "InProgress"

    def test_the_line_says_so_without_a_reason(self, run: Running, pipelines: Pipelines) -> None:
        pipelines.closed["churn-build"] = ""
        assert "closed by a person (no reason given): " in run(pushed())["reason"]

    def test_a_later_stage_is_nobody_s_business(self, run: Running, pipelines: Pipelines) -> None:
        run(pushed())
        known = pipelines._GetPipelineState("churn-build")
        known["stageStates"][2]["inboundTransitionState"] = {"enabled": False, "disabledReason": FIRST_PUSH}
        pipelines._GetPipelineState = lambda name: known  # type: ignore[method-assign]
        run(pushed(commitId=LATER, oldCommitId=COMMIT))
        assert pipelines.opened == ["churn-build"]


class TestRepeat:
    """Whatever fails is raised; the repeated event ends where an undisturbed one would have ended."""

    @pytest.mark.parametrize(
        "operation",
        [
            "GetPipelineState",
            "ListPipelineExecutions",
            "StopPipelineExecution",
            "EnableStageTransition",
            "StartPipelineExecution",
        ],
    )
    @pytest.mark.parametrize("code", ["ThrottlingException", "ConflictException", "AccessDeniedException"])
    def test_after_a_fault_half_way(self, run: Running, pipelines: Pipelines, operation: str, code: str) -> None:
        pipelines.fails[operation] = [Refused(code)]
        assert code in run.raises(pushed(), ClientError)
        assert pipelines.entered == []
        told = run(pushed())
        assert told["decision"] == "started"
        assert pipelines.entered == [told["execution"]]
        assert pipelines.status(pipelines.born()) == "Stopping"

    def test_after_a_stop_whose_answer_was_lost(self, run: Running, pipelines: Pipelines) -> None:
        def lose(operation: str) -> None:
            if operation == "StopPipelineExecution":
                raise Refused("InternalFailure")

        pipelines.after = lose
        run.raises(pushed(), ClientError)
        pipelines.after = lambda _operation: None
        told = run(pushed())
        assert pipelines.entered == [told["execution"]]

    @pytest.mark.parametrize(
        "operation", ["GetPipelineState", "ListPipelineExecutions", "StopPipelineExecution", "StartPipelineExecution"]
    )
    def test_a_pipeline_that_is_gone(self, run: Running, pipelines: Pipelines, operation: str) -> None:
        pipelines.fails[operation] = [Refused("PipelineNotFoundException")]
        assert run(pushed())["decision"] == "no-pipeline"
        assert run(pushed())["decision"] == "started"


class TestTwoAtOnce:
    @pytest.mark.parametrize(
        "moment", ["ListPipelineExecutions", "StopPipelineExecution", "EnableStageTransition", "StartPipelineExecution"]
    )
    def test_another_push_at_any_moment(self, run: Running, pipelines: Pipelines, module: Any, moment: str) -> None:
        second: list[dict[str, str]] = []

        def interrupt(operation: str) -> None:
            if operation == moment and not second:
                second.append({})
                # The other invocation runs in a container of its own; its own log line comes first.
                second[0] = module.EXECUTIONS._start(
                    key="another", change=change(pushed(commitId=LATER, oldCommitId=COMMIT)), pipeline="churn-build"
                )

        def change(event: dict[str, Any]) -> Any:
            return module.read(event, event["region"], event["account"])

        pipelines.before = interrupt
        told = run(pushed())
        assert told["decision"] == "started"
        assert sorted(pipelines.entered) == sorted([second[0]["execution"], told["execution"]])
        assert pipelines.status(pipelines.born()) == "Stopping"
        assert "churn-build" not in pipelines.closed
