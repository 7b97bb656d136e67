"""The router: one execution for one change, however often it is told, and none for what is not a project's."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber

REGION, ACCOUNT = "eu-central-1", "111122223333"
PLACE = "churn-p-abc123"
COMMIT, BEFORE, LATER = "7f" * 20, "3e" * 20, "aa" * 20
VERSION = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/{PLACE}/2"
PARAMETER = "/mlops/projects/churn/settings"
SETTINGS = {
    "project_name": "churn",
    "project_id": "p-abc123",
    "repository_name": PLACE,
    "model_package_group": PLACE,
    "build_pipeline": "churn-build",
    "deploy_pipeline": "churn-deploy",
}
DAYS_30 = 30 * 24 * 3600


def pushed(**detail: Any) -> dict[str, Any]:
    """Build the event of AWS's page on CodeCommit events, as after a push to main."""
    facts = {
        "event": "referenceUpdated",
        "repositoryName": PLACE,
        "repositoryId": "12345678-1234-5678-abcd-12345678abcd",
        "referenceType": "branch",
        "referenceName": "main",
        "referenceFullName": "refs/heads/main",
        "commitId": COMMIT,
        "oldCommitId": BEFORE,
    }
    return _event("aws.codecommit", "CodeCommit Repository State Change", facts | detail)


def approved(**detail: Any) -> dict[str, Any]:
    """Build the event of AWS's page on SageMaker events, as after an approval."""
    facts = {
        "ModelPackageGroupName": PLACE,
        "ModelPackageVersion": 2,
        "ModelPackageArn": VERSION,
        "CreationTime": "2026-02-24T17:00:14Z",
        "ModelPackageStatus": "Completed",
        "ModelApprovalStatus": "Approved",
        "UpdatedModelPackageFields": ["ModelApprovalStatus"],
        "LastModifiedTime": "2026-02-24T18:00:14Z",
    }
    return _event("aws.sagemaker", "SageMaker Model Package State Change", facts | detail)


def _event(source: str, title: str, detail: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "844e2571-85d4-695f-b930-0153b71dcb42",
        "detail-type": title,
        "source": source,
        "account": ACCOUNT,
        "time": "2026-02-24T18:00:15Z",
        "region": REGION,
        "resources": [],
        "detail": {name: value for name, value in detail.items() if value is not ...},
    }


class Table:
    """The DynamoDB table, in memory, behind the real client: botocore checks and serializes every request."""

    def __init__(self, client: Any) -> None:
        self.items: dict[str, dict[str, dict[str, str]]] = {}
        self.calls: list[str] = []
        self.faults: dict[str, str] = {}  # what the next call of an operation answers
        client.meta.events.register("before-call.dynamodb", self._answer)

    def only(self) -> dict[str, dict[str, str]]:
        (item,) = self.items.values()
        return item

    def _answer(self, model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        asked = json.loads(params["body"])
        assert asked["TableName"] == "events"
        self.calls.append(model.name)
        if code := self.faults.pop(model.name, None):
            return SimpleNamespace(status_code=400, headers={}), {"Error": {"Code": code, "Message": "not now"}}
        item = getattr(self, f"_{model.name}")(asked)
        if item is not None:
            refused = {"Error": {"Code": "ConditionalCheckFailedException", "Message": "no"}, "Item": item}
            return SimpleNamespace(status_code=400, headers={}), refused
        return SimpleNamespace(status_code=200, headers={}), {}

    def _PutItem(self, asked: dict[str, Any]) -> Any:
        assert asked["ConditionExpression"] == (
            "attribute_not_exists(#id) OR #expiry < :now OR "
            "(#status = :inprogress AND attribute_exists(#in_progress_expiry) AND #in_progress_expiry < :now_in_millis)"
        )
        assert asked["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD"
        names = asked["ExpressionAttributeNames"]
        assert (names["#id"], names["#expiry"]) == ("id", "expiration")  # the table's key and time-to-live attribute
        values = {name: next(iter(value.values())) for name, value in asked["ExpressionAttributeValues"].items()}
        item = asked["Item"]
        old = self.items.get(item["id"]["S"])
        if old is not None:
            expired = int(old["expiration"]["N"]) < int(values[":now"])
            dead = int(old["in_progress_expiration"]["N"]) < int(values[":now_in_millis"])
            if not expired and not (old["status"]["S"] == values[":inprogress"] and dead):
                return old
        self.items[item["id"]["S"]] = item
        return None

    def _UpdateItem(self, asked: dict[str, Any]) -> None:
        values = asked["ExpressionAttributeValues"]
        change = {"status": values[":status"], "expiration": values[":expiry"], "data": values[":response_data"]}
        self.items[asked["Key"]["id"]["S"]] |= change

    def _DeleteItem(self, asked: dict[str, Any]) -> None:
        del self.items[asked["Key"]["id"]["S"]]


class Aws:
    """Stubs of SSM and CodePipeline, and the table; what a test does not announce must not be called."""

    def __init__(self, module: Any) -> None:
        self.ssm, self.codepipeline = Stubber(module.SSM), Stubber(module.CODEPIPELINE)
        self.table = Table(module.DYNAMODB)
        self.tokens: list[str] = []
        events = module.CODEPIPELINE.meta.events
        events.register("before-parameter-build.codepipeline", self._keep_token)
        self._started = 0

    def settings(self, project: str = "churn", text: str = "", **changes: Any) -> None:
        value = text or json.dumps(SETTINGS | changes)
        name = f"/mlops/projects/{project}/settings"
        found = {"Parameter": {"Name": name, "Type": "String", "Value": value}}
        self.ssm.add_response("get_parameter", found, {"Name": name})

    def state(self, pipeline: str) -> None:
        """Announce a look at a pipeline whose stages are all open."""
        stages = [{"stageName": name, "inboundTransitionState": {"enabled": True}} for name in ("Source", "Validate")]
        self.codepipeline.add_response("get_pipeline_state", {"stageStates": stages}, {"name": pipeline})

    def starts(self, event: dict[str, Any], pipeline: str = "") -> str:
        """Announce the settings and a start of exactly this; give the execution's id."""
        self.settings()
        self._started += 1
        execution = f"11111111-2222-3333-4444-{self._started:012d}"
        self.state(_asked(event, pipeline)["name"])
        self.codepipeline.add_response(
            "start_pipeline_execution", {"pipelineExecutionId": execution}, _asked(event, pipeline)
        )
        return execution

    def fails(self, code: str, pipeline: str = "churn-build") -> None:
        """Announce the settings and a start that CodePipeline refuses."""
        self.settings()
        self.state(pipeline)
        self.codepipeline.add_client_error("start_pipeline_execution", code, "not now", 400)

    def _keep_token(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if model.name == "StartPipelineExecution":
            self.tokens.append(params["clientRequestToken"])


class _Token:
    """Equal to every token that CodePipeline takes."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and 1 <= len(other) <= 128 and other.isalnum()

    __hash__ = None  # type: ignore[assignment]


def _asked(event: dict[str, Any], pipeline: str) -> dict[str, Any]:
    detail = event["detail"]
    if event["source"] == "aws.codecommit":
        source = {"actionName": "Source", "revisionType": "COMMIT_ID", "revisionValue": detail["commitId"]}
        return {"name": pipeline or "churn-build", "clientRequestToken": _Token(), "sourceRevisions": [source]}
    variables = [{"name": "ModelPackageArn", "value": detail["ModelPackageArn"]}]
    return {"name": pipeline or "churn-deploy", "clientRequestToken": _Token(), "variables": variables}


@pytest.fixture
def module(load: Callable[[str, str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("EVENTS_TABLE", "events")
    monkeypatch.delenv("POWERTOOLS_IDEMPOTENCY_DISABLED", raising=False)
    return load("event_router", "handler")


@pytest.fixture
def aws(module: Any) -> Iterator[Aws]:
    stubs = Aws(module)
    with stubs.ssm, stubs.codepipeline:
        yield stubs
        stubs.ssm.assert_no_pending_responses()
        stubs.codepipeline.assert_no_pending_responses()


class Running:
    """Handle events; every one must leave one line in the log, which says the same as the answer."""

    def __init__(self, module: Any, context: Any, log: Any) -> None:
        self._module, self._context, self._log = module, context, log

    def __call__(self, event: Any) -> dict[str, str]:
        before = len(self._log.lines)
        told: dict[str, str] = self._module.handler(event, self._context(seconds=60.0))
        (line,) = self._log.lines[before:]
        assert {name: line[name] for name in told} == told
        assert (line["event_id"], line["level"]) == (event["id"], "INFO")
        return told

    def raises(self, event: Any, kind: Any, decision: str = "failed") -> str:
        """Handle an event that must be raised; give the reason in the log."""
        before = len(self._log.lines)
        with pytest.raises(kind):
            self._module.handler(event, self._context(seconds=60.0))
        (line,) = self._log.lines[before:]
        assert (line["decision"], line["level"]) == (decision, "ERROR")
        reason: str = line["reason"]
        return reason


@pytest.fixture
def run(module: Any, context: Any, log: Any) -> Running:
    return Running(module, context, log)


@pytest.fixture
def idempotency(module: Any) -> Any:
    from aws_lambda_powertools.utilities.idempotency import exceptions

    return exceptions


EVENTS = pytest.mark.parametrize("event", [pushed(), approved()], ids=["push", "approval"])


class TestStart:
    def test_a_push_builds_that_very_commit(self, aws: Aws, run: Running) -> None:
        execution = aws.starts(pushed())
        assert run(pushed()) == {
            "decision": "started",
            "project": "churn",
            "pipeline": "churn-build",
            "revision": COMMIT,
            "execution": execution,
            "reason": "",
        }

    def test_an_approval_deploys_that_very_version(self, aws: Aws, run: Running) -> None:
        execution = aws.starts(approved())
        assert run(approved()) == {
            "decision": "started",
            "project": "churn",
            "pipeline": "churn-deploy",
            "revision": VERSION,
            "execution": execution,
            "reason": "",
        }

    def test_the_longest_names_and_hyphens_in_the_project(self, aws: Aws, run: Running) -> None:
        project, project_id = "a-p-1" + "-b" * 13 + "c", "p-" + "z9" * 9
        assert len(project) == 32
        place = f"{project}-{project_id}"
        own = {"project_name": project, "project_id": project_id, "repository_name": place}
        aws.settings(project, **own, build_pipeline=f"{project}-build")
        event = pushed(repositoryName=place)
        aws.state(f"{project}-build")
        aws.codepipeline.add_response(
            "start_pipeline_execution", {"pipelineExecutionId": "e-1"}, _asked(event, f"{project}-build")
        )
        assert run(event)["project"] == project

    @EVENTS
    def test_it_is_remembered_for_thirty_days(self, aws: Aws, run: Running, event: dict[str, Any]) -> None:
        aws.starts(event)
        run(event)
        item = aws.table.only()
        assert item["status"] == {"S": "COMPLETED"}
        assert abs(int(item["expiration"]["N"]) - time.time() - DAYS_30) < 5
        # Neither module nor function name: CloudFormation may replace the function within the thirty days.
        assert item["id"]["S"].startswith("event-router#")
        assert len(item["id"]["S"]) == len("event-router#") + 64

    @EVENTS
    def test_it_is_forgotten_afterwards(self, aws: Aws, run: Running, event: dict[str, Any]) -> None:
        aws.starts(event)
        run(event)
        aws.table.only()["expiration"] = {"N": str(int(time.time()) - 1)}
        aws.starts(event)
        assert run(event)["decision"] == "started"


class TestOnce:
    """What is told twice starts once; what happens twice starts twice."""

    @EVENTS
    def test_another_event_of_the_same_change(self, aws: Aws, run: Running, event: dict[str, Any]) -> None:
        execution = aws.starts(event)
        run(event)
        again = event | {"id": "another-id", "time": "2026-02-24T18:00:19Z"}
        aws.settings()
        assert run(again) | {"reason": ""} == {
            "decision": "already-started",
            "project": "churn",
            "pipeline": "churn-build" if event["source"] == "aws.codecommit" else "churn-deploy",
            "revision": COMMIT if event["source"] == "aws.codecommit" else VERSION,
            "execution": execution,
            "reason": "",
        }

    def test_a_version_that_is_approved_rejected_and_approved_again(self, aws: Aws, run: Running) -> None:
        rejected = approved(ModelApprovalStatus="Rejected", LastModifiedTime="2026-02-24T19:00:00Z")
        again = approved(LastModifiedTime="2026-02-24T20:00:00Z")
        first = aws.starts(approved())
        assert run(approved())["execution"] == first
        assert run(rejected)["decision"] == "ignored"
        second = aws.starts(again)
        assert run(again)["execution"] == second
        aws.settings()
        assert run(again | {"id": "late"})["execution"] == second
        assert len(set(aws.tokens)) == 2

    def test_the_time_of_the_approval_may_be_a_number(self, aws: Aws, run: Running) -> None:
        first, second = approved(LastModifiedTime=1771956014000), approved(LastModifiedTime=1771956015000.5)
        for event in (first, second):
            aws.starts(event)
            assert run(event)["decision"] == "started"
            aws.settings()
            assert run(event)["decision"] == "already-started"

    def test_two_versions_approved_at_one_moment(self, aws: Aws, run: Running) -> None:
        for event in (approved(), approved(ModelPackageArn=VERSION.replace("/2", "/3"))):
            aws.starts(event)
            assert run(event)["decision"] == "started"

    def test_a_branch_set_back_to_an_earlier_commit(self, aws: Aws, run: Running) -> None:
        forth, back = pushed(commitId=LATER, oldCommitId=COMMIT), pushed(commitId=COMMIT, oldCommitId=LATER)
        for event in (pushed(), forth, back):
            aws.starts(event)
            assert run(event)["decision"] == "started"

    def test_an_event_without_the_commit_before(self, aws: Aws, run: Running) -> None:
        event = pushed(oldCommitId=...)
        aws.starts(event)
        assert run(event)["decision"] == "started"

    def test_two_projects_with_the_same_commit(self, aws: Aws, run: Running) -> None:
        other = "fraud-p-xyz"
        aws.starts(pushed())
        run(pushed())
        own = {
            "project_name": "fraud",
            "project_id": "p-xyz",
            "repository_name": other,
            "build_pipeline": "fraud-build",
        }
        aws.settings("fraud", **own)
        event = pushed(repositoryName=other)
        aws.state("fraud-build")
        aws.codepipeline.add_response(
            "start_pipeline_execution", {"pipelineExecutionId": "e-2"}, _asked(event, "fraud-build")
        )
        assert run(event)["execution"] == "e-2"


class TestRepeat:
    """A start that failed can be repeated, and never starts two executions."""

    @EVENTS
    @pytest.mark.parametrize(
        "code",
        [
            "ConflictException",
            "ConcurrentPipelineExecutionsLimitExceededException",
            "ValidationException",
            "AccessDeniedException",
        ],
    )
    def test_after_a_refusal(self, aws: Aws, run: Running, event: dict[str, Any], code: str) -> None:
        aws.fails(code, _asked(event, "")["name"])
        assert code in run.raises(event, ClientError)
        assert aws.table.items == {}
        aws.starts(event)
        assert run(event)["decision"] == "started"
        # The same token: when the refusal came after the start, CodePipeline starts no second execution.
        assert len(aws.tokens) == 2
        assert len(set(aws.tokens)) == 1

    def test_while_another_invocation_starts_it(self, aws: Aws, run: Running, idempotency: Any) -> None:
        aws.starts(pushed())
        run(pushed())
        item = aws.table.only()
        item |= {"status": {"S": "INPROGRESS"}, "in_progress_expiration": {"N": str(int(time.time() * 1000) + 20000)}}
        aws.settings()
        run.raises(pushed(), idempotency.IdempotencyAlreadyInProgressError)

    def test_after_an_invocation_that_died(self, aws: Aws, run: Running) -> None:
        aws.starts(pushed())
        run(pushed())
        item = aws.table.only()
        # It says until when it could have run: this invocation's own sixty seconds.
        assert abs(int(item["in_progress_expiration"]["N"]) - time.time() * 1000 - 60000) < 5000
        item |= {"status": {"S": "INPROGRESS"}, "in_progress_expiration": {"N": str(int(time.time() * 1000) - 1)}}
        aws.starts(pushed())
        assert run(pushed())["decision"] == "started"
        assert len(set(aws.tokens)) == 1

    @pytest.mark.parametrize("operation", ["PutItem", "UpdateItem", "DeleteItem"])
    def test_when_the_table_fails(self, aws: Aws, run: Running, idempotency: Any, operation: str) -> None:
        aws.table.faults = {operation: "ResourceNotFoundException"}
        if operation == "PutItem":
            aws.settings()
        elif operation == "UpdateItem":
            aws.starts(pushed())
        else:
            aws.fails("ConflictException")
        run.raises(pushed(), idempotency.IdempotencyPersistenceLayerError)
        for item in aws.table.items.values():  # the time of the invocation that failed is over
            item["in_progress_expiration"] = {"N": "1"}
        aws.starts(pushed())
        assert run(pushed())["decision"] == "started"
        assert len(set(aws.tokens)) == 1

    def test_without_a_network(self, aws: Aws, run: Running, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(**_: Any) -> Any:
            raise EndpointConnectionError(endpoint_url="https://ssm")

        monkeypatch.setattr(module.SSM, "get_parameter", refuse)
        run.raises(pushed(), EndpointConnectionError)
        assert aws.table.calls == []

    @pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException", "InternalServerError"])
    def test_when_the_settings_cannot_be_read(self, aws: Aws, run: Running, code: str) -> None:
        aws.ssm.add_client_error("get_parameter", code, "not now", 400)
        assert code in run.raises(pushed(), ClientError)
        assert aws.table.calls == []


class TestNoPipeline:
    @EVENTS
    def test_it_is_no_error_and_not_remembered(self, aws: Aws, run: Running, event: dict[str, Any]) -> None:
        aws.fails("PipelineNotFoundException", _asked(event, "")["name"])
        found = run(event)
        assert found["decision"] == "no-pipeline"
        assert found["reason"].startswith(f"There is no pipeline {found['pipeline']}:")
        assert aws.table.items == {}
        aws.starts(event)
        assert run(event)["decision"] == "started"


class TestIgnored:
    """Nothing of this is an error, and nothing writes into the table."""

    @pytest.fixture(autouse=True)
    def nothing_is_written(self, aws: Aws) -> Iterator[None]:
        yield
        assert aws.table.calls == []

    @pytest.mark.parametrize(
        "detail",
        [
            {"referenceName": "feature"},
            {"referenceName": "main2"},
            {"referenceName": "Main"},
            {"referenceName": "refs/heads/main"},
            {"referenceName": "ma\nin"},
            {"referenceName": "x" * 10000},
            {"referenceType": "tag"},
            {"event": "referenceCreated"},
            {"event": "referenceDeleted", "commitId": ...},
            {"event": "unreferencedMergeCommitCreated", "referenceName": ..., "referenceType": ...},
        ],
    )
    def test_what_is_no_push_to_main(self, run: Running, detail: dict[str, Any]) -> None:
        found = run(pushed(**detail))
        assert found["decision"] == "ignored"
        assert 0 < len(found["reason"]) < 300

    @pytest.mark.parametrize(
        "name",
        [
            "mlops-cfn",
            "churn",
            "p-abc123",
            "-p-abc123",
            "churn-p-",
            "churn-p-ABC",
            "Churn-p-abc",
            "chürn-p-abc",
            "churn--x-p-abc",
            "1churn-p-abc",
            "churn-p-abc/../../infra-p-x",
            "../churn-p-abc",
            "churn/x-p-abc",
            "churn-p-abc\n",
            "churn-p-abc\x00",
            " churn-p-abc",
            "churn-p-abc*",
            f"churn-p-{'a' * 19}",
            f"{'a' * 101}-p-abc",
            "a-" * 100000 + "p-abc",
        ],
    )
    @pytest.mark.parametrize("kind", ["push", "approval"])
    def test_hostile_and_foreign_names_are_not_even_looked_up(self, run: Running, name: str, kind: str) -> None:
        event = pushed(repositoryName=name) if kind == "push" else approved(ModelPackageGroupName=name)
        found = run(event)
        assert (found["decision"], found["project"]) == ("ignored", "")
        assert len(found["reason"]) < 300

    @pytest.mark.parametrize(
        "detail",
        [
            {"ModelApprovalStatus": "Rejected"},
            {"ModelApprovalStatus": "PendingManualApproval"},
            {"ModelApprovalStatus": ...},
            {"UpdatedModelPackageFields": ["ModelLifeCycle"]},
            {"UpdatedModelPackageFields": ["CustomerMetadataProperties", "ApprovalDescription"]},
            {"UpdatedModelPackageFields": []},
            {"UpdatedModelPackageFields": ...},
            {"ModelPackageGroupName": ...},
            {"ModelPackageArn": VERSION.replace(ACCOUNT, "999999999999")},
            {"ModelPackageArn": VERSION.replace(REGION, "us-east-1")},
        ],
    )
    def test_what_is_no_approval(self, run: Running, detail: dict[str, Any]) -> None:
        found = run(approved(**detail))
        assert found["decision"] == "ignored"
        assert found["reason"]

    @EVENTS
    @pytest.mark.parametrize("change", [{"account": "999999999999"}, {"region": "us-east-1"}])
    def test_other_accounts_and_regions(self, run: Running, event: dict[str, Any], change: dict[str, str]) -> None:
        assert run(event | change)["decision"] == "ignored"

    @EVENTS
    def test_a_project_that_does_not_exist(self, aws: Aws, run: Running, event: dict[str, Any]) -> None:
        aws.ssm.add_client_error("get_parameter", "ParameterNotFound", "", 400, expected_params={"Name": PARAMETER})
        assert run(event)["reason"] == f"There is no {PARAMETER}."

    @pytest.mark.parametrize(
        ("event", "changes", "told"),
        [
            (pushed(), {"repository_name": "churn-p-other"}, "repository_name"),
            (approved(), {"model_package_group": "churn-p-other"}, "model_package_group"),
            (pushed(), {"project_id": "p-other"}, "project_id"),
            (pushed(), {"project_name": "other"}, "project_name"),
            (pushed(), {"repository_name": None}, "repository_name"),
        ],
    )
    def test_a_namesake_of_a_project_s_repository(
        self, aws: Aws, run: Running, event: dict[str, Any], changes: dict[str, Any], told: str
    ) -> None:
        aws.settings(**changes)
        assert run(event)["reason"] == f"{PARAMETER} has another {told} than {PLACE}."


class TestBroken:
    """What ought not to be is raised, so that the dead-letter queue keeps the event."""

    @pytest.mark.parametrize(
        "event",
        [
            None,
            [],
            "event",
            {},
            {"detail": None},
            {"detail": []},
            pushed() | {"source": "aws.s3"},
            pushed() | {"source": ["aws.codecommit"]},
            pushed() | {"source": "aws.sagemaker"},
            pushed() | {"detail-type": "SageMaker Model Package State Change"},
            pushed() | {"detail-type": None},
            pushed() | {"account": None},
            pushed() | {"region": 5},
            pushed(event=...),
            pushed(event=5),
            pushed(repositoryName=...),
            pushed(repositoryName=["churn-p-abc123"]),
            pushed(repositoryName=""),
            pushed(referenceName=...),
            pushed(referenceType=None),
            pushed(commitId=...),
            pushed(commitId="7f0103fMERGE"),
            pushed(commitId=f"{COMMIT}\n"),
            pushed(commitId=[COMMIT]),
            pushed(oldCommitId=5),
            approved(UpdatedModelPackageFields="ModelApprovalStatus"),
            approved(ModelPackageGroupName=5),
            approved(ModelPackageArn=...),
            approved(ModelPackageArn=VERSION.replace("churn", "fraud")),
            approved(ModelPackageArn=VERSION.removesuffix("/2")),
            approved(ModelPackageArn=f"{VERSION}\n"),
            approved(LastModifiedTime=...),
            approved(LastModifiedTime=""),
            approved(LastModifiedTime=True),
            approved(LastModifiedTime=["2026"]),
        ],
    )
    def test_malformed_events(self, aws: Aws, run: Running, module: Any, event: Any) -> None:
        reason = run.raises(event, module.MalformedEvent, "malformed")
        assert reason.startswith("MalformedEvent: Malformed event, it")
        assert reason.endswith("look at the pattern of the rule that sent it.")
        assert aws.table.calls == []

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("{", "is no JSON:"),
            ('["x"]', "is no JSON object:"),
            (json.dumps(SETTINGS | {"build_pipeline": ""}), "names no build_pipeline:"),
            (json.dumps(SETTINGS | {"build_pipeline": "a/b"}), "names no build_pipeline:"),
            (json.dumps(SETTINGS | {"build_pipeline": ["churn-build"]}), "names no build_pipeline:"),
        ],
    )
    def test_broken_settings(self, aws: Aws, run: Running, load: Any, text: str, told: str) -> None:
        aws.settings(text=text)
        reason = run.raises(pushed(), load("event_router", "projects").BrokenSettings)
        assert f"{PARAMETER} {told} update the project's product" in reason
        assert aws.table.calls == []

    def test_without_a_table_the_function_does_not_begin(self, load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("EVENTS_TABLE", raising=False)
        with pytest.raises(KeyError, match="EVENTS_TABLE"):
            load("event_router", "handler")


def test_the_token_is_made_of_what_happened_alone(aws: Aws, run: Running) -> None:
    aws.starts(approved())
    run(approved())
    key = f"approval|{VERSION}|Approved|2026-02-24T18:00:14Z"
    assert aws.tokens == [hashlib.sha256(key.encode()).hexdigest()]
