"""What the tests of pushes, builds and jobs share: a stack of `push.yaml`, a git client, and waiting."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rehearsal.client import ROOT, Emulator, Session, fetch

REGION = "us-east-1"
PUSH = Path(__file__).parent / "templates/push.yaml"
BUILDSPEC = """
version: 0.2
env:
  variables: {WORD: buildspec, OTHER: buildspec}
  exported-variables: [ANSWER]
phases:
  install:
    runtime-versions: {python: 3.12}
    commands: ["cd folder", "export ANSWER=42-$WORD"]
  build:
    commands:
      - echo "$PWD $OTHER $COMMIT $EXECUTION_ID"
      - echo "the setting is $SETTING"
      - mkdir -p ../out && echo "$ANSWER" > ../out/answer.txt
  post_build: {commands: ['echo "succeeding: $CODEBUILD_BUILD_SUCCEEDING"']}
artifacts: {files: ["**/*"], base-directory: out}
"""
SECOND = """
version: 0.2
phases:
  build:
    commands:
      - test "$(cat "$CODEBUILD_SRC_DIR_PipeOut/answer.txt")" = "$ANSWER"
      - test -z "$(env | grep -i ministack)"
      - aws s3 ls s3://not-mine || echo "refused as it should be"
"""
SEED = {"README.md": "seed\n", "buildspec.yml": BUILDSPEC, "second.yml": SECOND, "folder/file.txt": "text\n"}
# Opens the stage the first time, as a router does, and starts what was pushed.
ROUTER = {
    "router.py": """
import os
import boto3

def handle(event, context):
    api, name = boto3.client("codepipeline"), os.environ["PIPELINE"]
    stage = api.get_pipeline_state(name=name)["stageStates"][1]
    if not stage["inboundTransitionState"]["enabled"]:
        for waiting in stage["inboundExecutions"]:
            api.stop_pipeline_execution(pipelineName=name, abandon=True, pipelineExecutionId=waiting["pipelineExecutionId"],
                                        reason="A push starts another.")
        api.enable_stage_transition(pipelineName=name, stageName="Build", transitionType="Inbound")
    revision = {"actionName": "Source", "revisionType": "COMMIT_ID", "revisionValue": event["detail"]["commitId"]}
    return api.start_pipeline_execution(name=name, sourceRevisions=[revision], clientRequestToken=event["id"])
"""
}


@dataclass(frozen=True)
class Small:
    """A stack of `push.yaml`."""

    account: Emulator
    facts: Mapping[str, str]

    def role(self, name: str) -> Session:
        return self.account.as_role(self.facts[name], "ana@example.com")

    @property
    def pipeline(self) -> str:
        return self.facts["Pipeline"]

    def executions(self) -> list[dict[str, Any]]:
        api = self.account.client("codepipeline")
        return list(api.list_pipeline_executions(pipelineName=self.pipeline)["pipelineExecutionSummaries"])

    def ended(self, number: str) -> dict[str, Any]:
        """Wait for an execution's end."""
        api = self.account.client("codepipeline")
        get = lambda: api.get_pipeline_execution(pipelineName=self.pipeline, pipelineExecutionId=number)  # noqa: E731
        until(lambda: get()["pipelineExecution"]["status"] not in ("InProgress", "Stopping"))
        return dict(get()["pipelineExecution"])

    def actions(self, number: str) -> dict[str, dict[str, Any]]:
        """Give an execution's actions by name."""
        given = {"pipelineName": self.pipeline, "filter": {"pipelineExecutionId": number}}
        rows = self.account.client("codepipeline").list_action_executions(**given)["actionExecutionDetails"]
        return {row["actionName"]: row for row in rows}

    def told(self) -> list[dict[str, Any]]:
        """Take the events of CodeCommit and CodePipeline from the queue."""
        sqs = self.account.client("sqs")
        found = sqs.receive_message(QueueUrl=self.facts["Told"], MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"]) for message in found]

    def pushed(self, folder: Path, files: Mapping[str, str]) -> str:
        """Push files with the writer's clone, and give the number of the execution that the push starts."""
        known = {one["pipelineExecutionId"] for one in self.executions()}
        done = pushed(clone(folder, self, self.role("Writer")), self.role("Writer"), files)
        assert done.returncode == 0, done.stderr
        new = until(lambda: {one["pipelineExecutionId"] for one in self.executions()} - known)
        return str(*new)

    def build(self, number: str) -> dict[str, Any]:
        """Wait for a build's end; give it with its `lines`."""
        api = self.account.client("codebuild")
        until(lambda: api.batch_get_builds(ids=[number])["builds"][0]["buildComplete"])
        lines = next(row["_lines"] for row in fetch(self.account.endpoint, "builds") if row["id"] == number)
        return {**api.batch_get_builds(ids=[number])["builds"][0], "lines": lines}


def until(told: Callable[[], Any], seconds: float = 40) -> Any:
    """Wait for something to be true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := told():
            return found
        time.sleep(0.05)
    raise AssertionError("never came")


def deployed(account: Emulator, name: str, template: str, **parameters: str) -> dict[str, str]:
    """Make or change a stack, wait, and give its outputs, its status and the reasons of what failed."""
    api = account.client("cloudformation")
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    known = [row["StackName"] for row in api.describe_stacks()["Stacks"] if row["StackStatus"] != "DELETE_COMPLETE"]
    act = api.update_stack if name in known else api.create_stack
    act(StackName=name, TemplateBody=template, Parameters=given, Capabilities=["CAPABILITY_NAMED_IAM"])
    stack = until(
        lambda: (s := api.describe_stacks(StackName=name)["Stacks"][0]) and "PROGRESS" not in s["StackStatus"] and s
    )
    events = api.describe_stack_events(StackName=name)["StackEvents"]
    why = "\n".join(e.get("ResourceStatusReason", "") for e in events if e["ResourceStatus"].endswith("FAILED"))
    outputs = {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}
    return {"Status": stack["StackStatus"], "Why": why, **outputs}


def git(folder: Path, who: Session, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a real git client, signed in by the AWS CLI's credential helper."""
    environment = {
        "PATH": f"{ROOT / '.venvs/rehearsal/bin'}:{os.environ['PATH']}",
        "HOME": str(folder.parent),
        "AWS_ACCESS_KEY_ID": who.access_key,
        "AWS_SECRET_ACCESS_KEY": who.secret_key,
        "AWS_SESSION_TOKEN": who.token,
        "AWS_DEFAULT_REGION": REGION,
        "GIT_TERMINAL_PROMPT": "0",
        **{f"GIT_{role}_{what}": "ana@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    helper = '!f() { test "$1" != get || aws codecommit credential-helper get --ignore-host-check; }; f'
    own = ["-c", "credential.UseHttpPath=true", "-c", f"credential.helper={helper}"]
    return subprocess.run(
        ["git", *own, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def clone(folder: Path, small: Small, who: Session) -> Path:
    """Clone the stack's repository into a folder, unless it is there."""
    target = folder / "clone"
    if not target.exists():
        done = git(folder, who, "clone", f"{small.account.endpoint}/v1/repos/{small.facts['Code']}", "clone")
        assert done.returncode == 0, done.stderr
    return target


def pushed(
    folder: Path, who: Session, files: Mapping[str, str], branch: str = "main"
) -> subprocess.CompletedProcess[str]:
    """Write files into a clone, commit and push them."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    for command in (("add", "--all"), ("commit", "--quiet", "--message=change"), ("push", "origin", f"HEAD:{branch}")):
        done = git(folder, who, *command)
    return done


def refused(code: str, words: str = "") -> Any:
    """Expect AWS's error of a code, with words in its message."""
    return pytest.raises(ClientError, match=rf"(?s)\({code}\).*{words}")
