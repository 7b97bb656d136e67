"""A push, its event, the pipeline it starts and the builds of that: all really run, and each refusal says why."""

from __future__ import annotations

import json
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rehearsal.builds.buildspec import BadBuildspec, read
from rehearsal.builds.machine import Machine
from rehearsal.builds.shell import Shell, TimedOut
from rehearsal.client import ROOT, Emulator, fetch
from tests.rehearsal.small import BUILDSPEC, PUSH, REGION, Small, deployed, refused, until

TEMPLATE = PUSH.read_text(encoding="utf-8")
WAY = {"stageName": "Build", "transitionType": "Inbound"}


def spec(*commands: str, **phases: list[str]) -> dict[str, str]:
    """Give a first buildspec with these commands, and a second one that does nothing."""
    env = {"variables": {"ANSWER": "42"}, "exported-variables": ["ANSWER"]}
    steps = {name: {"commands": rows} for name, rows in phases.items()} | {"build": {"commands": commands}}
    made = {"version": 0.2, "env": env, "phases": steps, "artifacts": {"files": ["*.md"]}}
    nothing = {"version": 0.2, "phases": {"build": {"commands": ["true"]}}}
    return {"buildspec.yml": json.dumps(made), "second.yml": json.dumps(nothing)}


@pytest.fixture(scope="module")
def small(account: Emulator) -> Iterator[Small]:
    facts = deployed(account, "one", TEMPLATE, CodeBucket=f"assets-{REGION}")
    assert facts["Status"] == "CREATE_COMPLETE", facts["Why"]
    yield Small(account, facts)


def test_first_push_opens_the_stage_and_really_builds(small: Small, tmp_path: Path) -> None:
    api = small.account.client("codepipeline")
    (born,) = small.executions()
    assert born["trigger"]["triggerType"] == "CreatePipeline"
    until(lambda: api.get_pipeline_state(name=small.pipeline)["stageStates"][1]["inboundExecutions"])
    state = api.get_pipeline_state(name=small.pipeline)["stageStates"]
    assert state[0]["latestExecution"]["status"] == "Succeeded" and "inboundTransitionState" not in state[0]
    way = state[1]["inboundTransitionState"]
    assert (way["enabled"], way["disabledReason"]) == (False, "Opens with the first push to main.")
    number = small.pushed(tmp_path, {"README.md": "first\n"})
    done = small.ended(number)
    actions = small.actions(number)
    assert done["status"] == "Succeeded", {name: row["output"] for name, row in actions.items()}
    assert small.ended(born["pipelineExecutionId"])["status"] == "Stopped"
    commit = actions["Source"]["output"]["outputVariables"]["CommitId"]
    assert done["artifactRevisions"] == [{"name": "PipeSource", "revisionId": commit, "revisionSummary": "change"}]
    location = actions["Source"]["output"]["outputArtifacts"][0]["s3location"]
    assert location["key"].startswith("one-build/PipeSource/")
    assert "ServerSideEncryption" in small.account.client("s3").head_object(
        Bucket=location["bucket"], Key=location["key"]
    )
    build = small.build(actions["First"]["output"]["executionResult"]["externalExecutionId"])
    told = "\n".join(build["lines"])
    assert f"/folder buildspec {commit} {number}" in told
    assert (
        "the setting is ***" in told
        and "hidden-value" not in told
        and "runtime-versions python: 3.12 is not played" in told
    )
    assert build["initiator"] == f"codepipeline/{small.pipeline}"
    assert {"name": "ANSWER", "value": "42-hello"} in build["exportedEnvironmentVariables"]
    phases = {row["phaseType"]: row.get("phaseStatus") for row in build["phases"]}
    assert list(phases) == ["SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD",
                            "UPLOAD_ARTIFACTS", "FINALIZING", "COMPLETED"]  # fmt: skip
    assert {status for name, status in phases.items() if name != "COMPLETED"} == {"SUCCEEDED"}
    logs = {"logGroupName": build["logs"]["groupName"], "logStreamName": build["logs"]["streamName"]}
    kept = [row["message"] for row in small.account.client("logs").get_log_events(**logs)["events"]]
    assert [line for line in build["lines"] if line] == [line for line in kept if line != " "]
    assert (
        api.get_pipeline_state(name=small.pipeline)["stageStates"][1]["actionStates"][0]["latestExecution"]["status"]
        == "Succeeded"
    )


def test_failed_build_ends_the_execution_and_says_why(small: Small, tmp_path: Path) -> None:
    files = spec("echo before; false", "echo never", post_build=['echo "succeeding: $CODEBUILD_BUILD_SUCCEEDING"'])
    number = small.pushed(tmp_path, files)
    assert small.ended(number)["status"] == "Failed"
    actions = small.actions(number)
    assert set(actions) == {"Source", "First"}
    error = actions["First"]["output"]["executionResult"]["errorDetails"]
    assert error["code"] == "JobFailed" and "COMMAND_EXECUTION_ERROR" in error["message"]
    build = small.build(actions["First"]["output"]["executionResult"]["externalExecutionId"])
    told = "\n".join(build["lines"])
    assert "succeeding: 0" in told and "\nnever" not in told
    assert {row["phaseType"]: row.get("phaseStatus") for row in build["phases"]}["POST_BUILD"] == "SUCCEEDED"
    assert build["buildStatus"] == "FAILED"
    stage = small.account.client("codepipeline").get_pipeline_state(name=small.pipeline)["stageStates"][1]
    assert stage["latestExecution"] == {"pipelineExecutionId": number, "status": "Failed"}
    number = small.pushed(tmp_path, spec("echo never", pre_build=["exit 3"]))
    small.ended(number)
    build = small.build(small.actions(number)["First"]["output"]["executionResult"]["externalExecutionId"])
    assert [row["phaseType"] for row in build["phases"]][-4:] == [
        "PRE_BUILD",
        "UPLOAD_ARTIFACTS",
        "FINALIZING",
        "COMPLETED",
    ]


def test_build_finds_packages_and_an_index_but_no_docker(small: Small, tmp_path: Path) -> None:
    lock = (ROOT / "requirements/cicd.txt").read_text(encoding="utf-8")
    first = [
        'aws codeartifact login --tool pip --domain "$DOMAIN" --repository pip',
        "pip config get global.index-url | grep -q codeartifact",
        "python3 -m venv .venv",
        ".venv/bin/pip install --quiet --require-hashes -r requirements.txt",
        ".venv/bin/python -c 'import pydantic, sys; print(sys.prefix)'",
        "aws sts get-caller-identity --query Arn --output text",
        "! pip install --quiet left-pad-of-nobody",
        "docker build . || echo docker gave $?",
        "env | cut -d= -f1 | sort | tr '\\n' ' '",
    ]
    number = small.pushed(tmp_path, {**spec(*first), "requirements.txt": lock})
    done, actions = small.ended(number), small.actions(number)
    build = small.build(actions["First"]["output"]["executionResult"]["externalExecutionId"])
    told = "\n".join(build["lines"])
    assert done["status"] == "Succeeded", told
    assert "src/primary/.venv" in told and "packages are seen in it" in told
    assert ":assumed-role/one-BuildRole" in told and "docker gave 127" in told
    assert not [name for name in ("MINISTACK", "PYTHONPATH", "GATEWAY_PORT", "STATE_DIR") if f" {name}" in told]


def test_executions_queue_one_after_another_with_their_own_commits(small: Small, tmp_path: Path) -> None:
    api = small.account.client("codepipeline")
    api.disable_stage_transition(pipelineName=small.pipeline, reason="a pause", **WAY)
    api.start_pipeline_execution(name=small.pipeline)  # the router opens the stage only for what it stopped
    held = small.executions()[0]["pipelineExecutionId"]
    until(lambda: api.get_pipeline_state(name=small.pipeline)["stageStates"][1]["inboundExecutions"])
    state = api.get_pipeline_state(name=small.pipeline)["stageStates"][1]
    assert (state["inboundTransitionState"]["disabledReason"], state["inboundTransitionState"]["enabled"]) == (
        "a pause",
        False,
    )
    first, second = (api.start_pipeline_execution(name=small.pipeline)["pipelineExecutionId"] for _ in range(2))
    api.stop_pipeline_execution(pipelineName=small.pipeline, pipelineExecutionId=held, abandon=True, reason="enough")
    stopped = small.ended(held)
    assert (stopped["status"], stopped["statusSummary"]) == ("Stopped", "enough")
    with refused("PipelineExecutionNotStoppableException"):
        api.stop_pipeline_execution(pipelineName=small.pipeline, pipelineExecutionId=held)
    until(lambda: len(api.get_pipeline_state(name=small.pipeline)["stageStates"][1]["inboundExecutions"]) == 2)
    api.enable_stage_transition(pipelineName=small.pipeline, **WAY)
    assert [small.ended(number)["status"] for number in (first, second)] == ["Succeeded", "Succeeded"]
    one, two = small.actions(first), small.actions(second)
    assert two["First"]["startTime"] >= one["Second"]["lastUpdateTime"]


def test_running_build_is_abandoned_and_stopped(small: Small, tmp_path: Path) -> None:
    number = small.pushed(tmp_path, spec("sleep 60"))
    first = until(
        lambda: (
            small.actions(number)
            .get("First", {})
            .get("output", {})
            .get("executionResult", {})
            .get("externalExecutionId")
        )
    )
    codebuild, api = small.account.client("codebuild"), small.account.client("codepipeline")
    until(lambda: codebuild.batch_get_builds(ids=[first])["builds"][0]["currentPhase"] == "BUILD")
    api.stop_pipeline_execution(pipelineName=small.pipeline, pipelineExecutionId=number, abandon=True)
    assert small.ended(number)["status"] == "Stopped"
    assert small.actions(number)["First"]["status"] == "Abandoned"
    codebuild.stop_build(id=first)
    build = small.build(first)
    assert build["buildStatus"] == "STOPPED" and build["phases"][-2]["phaseStatus"] == "STOPPED"
    ids = codebuild.list_builds_for_project(projectName=small.facts["Build"])["ids"]
    assert ids[0] == first and len(ids) == build["buildNumber"]


def test_start_is_held_by_token_variables_and_revisions(small: Small) -> None:
    api = small.account.client("codepipeline")
    for given, words in (
        ({"variables": [{"name": "Other", "value": "x"}]}, "no variable Other"),
        (
            {"sourceRevisions": [{"actionName": "No", "revisionType": "COMMIT_ID", "revisionValue": "x"}]},
            "no source action",
        ),
    ):
        with refused("ValidationException", words):
            api.start_pipeline_execution(name=small.pipeline, **given)
    revision = [{"actionName": "Source", "revisionType": "COMMIT_ID", "revisionValue": "0" * 40}]
    asked: dict[str, Any] = {"name": small.pipeline, "sourceRevisions": revision, "clientRequestToken": "again"}
    number = api.start_pipeline_execution(**asked)["pipelineExecutionId"]
    assert api.start_pipeline_execution(**asked)["pipelineExecutionId"] == number
    assert small.ended(number)["status"] == "Failed"
    error = small.actions(number)["Source"]["output"]["executionResult"]["errorDetails"]
    assert "does not exist" in error["message"]
    assert number in [row["pipelineExecutionId"] for row in fetch(small.account.endpoint, "executions")]
    with refused("StageNotFoundException"):
        api.enable_stage_transition(pipelineName=small.pipeline, stageName="No", transitionType="Inbound")
    with refused("AccessDeniedException", "codepipeline:StartPipelineExecution"):
        small.role("Writer").client("codepipeline").start_pipeline_execution(name=small.pipeline)
    declared = api.get_pipeline(name=small.pipeline)["pipeline"]
    assert declared["executionMode"] == "QUEUED" and declared["stages"][1]["actions"][0]["inputArtifacts"] == [
        {"name": "PipeSource"}
    ]


def test_projects_are_described_and_not_started_by_hand(small: Small) -> None:
    api = small.account.client("codebuild")
    found = api.batch_get_projects(names=[small.facts["Build"], "none"])
    assert found["projectsNotFound"] == ["none"] and found["projects"][0]["source"]["type"] == "CODEPIPELINE"
    with refused("InvalidInputException", "let its pipeline start it"):
        api.start_build(projectName=small.facts["Build"])
    with refused("ResourceNotFoundException"):
        api.start_build(projectName="none")
    with refused("AccessDeniedException", "codebuild:StartBuild"):
        small.role("Writer").client("codebuild").start_build(projectName=small.facts["Build"])
    inline = "version: 0.2\nphases: {build: {commands: ['echo \"$WORD by hand\"']}}\n"
    word = [{"name": "WORD", "value": "started"}]
    asked: dict[str, Any] = {
        "sourceTypeOverride": "NO_SOURCE",
        "buildspecOverride": inline,
        "environmentVariablesOverride": word,
    }
    made = api.start_build(projectName=small.facts["Build"], idempotencyToken="t", **asked)["build"]
    assert api.start_build(projectName=small.facts["Build"], idempotencyToken="t", **asked)["build"]["id"] == made["id"]
    build = small.build(made["id"])
    assert build["buildStatus"] == "SUCCEEDED" and "started by hand" in build["lines"]


@pytest.mark.parametrize(
    ("role", "policy", "action", "where"),
    [
        ("PipelineRole", "run", "codecommit:UploadArchive", "Source"),
        ("PipelineRole", "run", "kms:GenerateDataKey", "Source"),
        ("PipelineRole", "run", "s3:PutObject", "Source"),
        ("PipelineRole", "run", "codebuild:StartBuild", "First"),
        ("BuildRole", "build", "logs:CreateLogStream", "First"),
        ("BuildRole", "build", "ssm:GetParameters", "First"),
        ("BuildRole", "build", "s3:GetObject", "First"),
        ("BuildRole", "build", "kms:Decrypt", "First"),
    ],
)
def test_what_a_role_may_not_fails_where_it_is_needed(
    small: Small, role: str, policy: str, action: str, where: str
) -> None:
    iam, name = small.account.client("iam"), small.facts[role]
    held = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    denied = {"Effect": "Deny", "Action": action, "Resource": "*"}
    less = json.dumps({**held, "Statement": [*held["Statement"], denied]})
    iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=less)
    try:
        number = small.account.client("codepipeline").start_pipeline_execution(name=small.pipeline)[
            "pipelineExecutionId"
        ]
        assert small.ended(number)["status"] == "Failed"
    finally:
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(held))
    run = small.actions(number)[where]
    assert run["status"] == "Failed" and action in run["output"]["executionResult"]["errorDetails"]["message"]


def test_what_is_not_played_and_what_does_not_resolve_fails_clearly(account: Emulator) -> None:
    body = TEMPLATE.replace(
        "DisableInboundStageTransitions: [{StageName: Build, Reason: Opens with the first push to main.}]", ""
    )
    approval = """
        - Name: Approve
          Actions:
            - {Name: Approve, ActionTypeId: {Category: Approval, Owner: AWS, Provider: Manual, Version: "1"}}
        - Name: Build
"""
    for name, template, words in (
        (
            "manual",
            body.replace("\n        - Name: Build\n", approval),
            "does not play actions of the kind Approval by Manual",
        ),
        (
            "unknown",
            body.replace("#{variables.Greeting}", "#{variables.Nothing}"),
            "could not be resolved: #{variables.Nothing}",
        ),
    ):
        facts = deployed(account, name, template, CodeBucket=f"assets-{REGION}")
        assert facts["Status"] == "CREATE_COMPLETE", facts["Why"]
        small = Small(account, facts)
        number = small.executions()[0]["pipelineExecutionId"]
        assert small.ended(number)["status"] == "Failed"
        errors = [row["output"]["executionResult"].get("errorDetails", {}) for row in small.actions(number).values()]
        assert any(words in error.get("message", "") for error in errors)


def test_newer_execution_supersedes_what_waits(account: Emulator) -> None:
    facts = deployed(account, "newest", TEMPLATE, CodeBucket=f"assets-{REGION}", Mode="SUPERSEDED")
    small, api = Small(account, facts), account.client("codepipeline")
    born = small.executions()[0]["pipelineExecutionId"]
    until(lambda: api.get_pipeline_state(name=small.pipeline)["stageStates"][1]["inboundExecutions"])
    newer = api.start_pipeline_execution(name=small.pipeline)["pipelineExecutionId"]
    assert small.ended(born)["status"] == "Superseded"
    until(
        lambda: (
            [
                one["pipelineExecutionId"]
                for one in api.get_pipeline_state(name=small.pipeline)["stageStates"][1]["inboundExecutions"]
            ]
            == [newer]
        )
    )
    api.enable_stage_transition(pipelineName=small.pipeline, **WAY)
    assert small.ended(newer)["status"] == "Succeeded"


def test_resources_that_a_service_plays_are_told_as_live(small: Small) -> None:
    kinds = {row["type"]: (row["kind"], row["handler"]) for row in small.account.resources() if row["stack"] == "one"}
    assert kinds["AWS::CodeCommit::Repository"] == ("live", "Repositories")
    assert kinds["AWS::CodePipeline::Pipeline"] == ("live", "Pipelines")
    assert kinds["AWS::CodeBuild::Project"] == ("live", "Builds")
    assert kinds["AWS::CodeArtifact::Domain"] == ("recorded", "registry")


def test_shell_keeps_its_state_and_ends_in_time(tmp_path: Path) -> None:
    said: list[str] = []
    shell = Shell(tmp_path, tmp_path / "kept", Machine(tmp_path).environment({"WORD": "a b"}), said.append)
    later, never = time.monotonic() + 20, threading.Event()
    run = lambda command: shell.run(command, later, never)  # noqa: E731
    assert run("mkdir in && cd in && export OTHER='x y'") == 0
    assert run('pwd; echo "$WORD/$OTHER"; printf unended') == 0
    assert [run("exit 7"), run("(exit 5)"), run("exit 0"), run("cat"), run("set -e; false; true")] == [7, 5, 0, 0, 1]
    assert run('echo "$PWD $OTHER"') == 0
    assert said == [str(tmp_path / "in"), "a b/x y", "unended", f"{tmp_path / 'in'} x y"]
    assert shell.variables()["OTHER"] == "x y"
    with pytest.raises(TimedOut):
        shell.run("sleep 30 & sleep 30", time.monotonic() + 0.3, never)
    begun = time.monotonic()
    shell.close()
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version: 0.1\nphases: {}", "version 0.2"),
        ("version: 0.2\nphases: {biuld: {commands: []}}", "biuld is not played"),
        ("version: 0.2\nphases: {build: {commands: [], run-as: me}}", "run-as is not played"),
        ("version: 0.2\nbatch: {}\nphases: {build: {}}", "batch is not played"),
        ("version: 0.2\nenv: {variables: {CODEBUILD_X: 1}}\nphases: {build: {}}", "CodeBuild's own"),
        ("version: 0.2\nenv: {secrets-manager: {A: b}}", "secrets-manager is not played.*no phases"),
        ("version: [", "YAML_FILE_ERROR"),
    ],
)
def test_bad_buildspec_is_refused_whole(text: str, words: str) -> None:
    with pytest.raises(BadBuildspec, match=words):
        read(text)


def test_buildspec_is_read() -> None:
    found = read(textwrap.dedent(BUILDSPEC))
    assert found.phases["install"].runtimes == {"python": "3.12"} and found.exported == ("ANSWER",)
    assert found.artifacts is not None and found.artifacts.base == "out"
    last = read("version: 0.2\nphases: {build: {commands: [a], finally: [b], on-failure: CONTINUE}}").phases["build"]
    assert (last.commands, last.finally_, last.on_failure) == (("a",), ("b",), "CONTINUE")
