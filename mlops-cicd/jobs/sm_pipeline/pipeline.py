"""Bring the pipeline to what the definition says, and start it once for a run of CodePipeline and a commit."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from mlops_cicd.builds import say
from mlops_cicd.clients import PlatformError, code_of
from mlops_cicd.definition import render
from mlops_cicd.definition.frame import tags
from mlops_cicd.project import Project

ENDED_BADLY = ("Failed", "Stopped")
# An execution that ended badly and is older than this was not started by this job.
OWN_AGE = timedelta(minutes=2)
MOST_ATTEMPTS = 20


def bring(sagemaker: Any, project: Project, definition: dict[str, Any]) -> None:
    """Create the pipeline, or update it when it differs."""
    name = project.pipeline_name
    try:
        there = sagemaker.describe_pipeline(PipelineName=name)
    except ClientError as error:
        if code_of(error) not in ("ResourceNotFound", "ResourceNotFoundException"):
            raise
        made = sagemaker.create_pipeline(
            PipelineName=name,
            PipelineDefinition=render(definition),
            PipelineDescription=f"Preprocesses, trains, evaluates and registers the models of {project.name}.",
            RoleArn=project.role_arn,
            Tags=tags(project),
        )
        say(f"Pipeline: made {made['PipelineArn']}")
        return
    if there.get("RoleArn") == project.role_arn and _same(there.get("PipelineDefinition"), definition):
        say(f"Pipeline: {name} is as it should be.")
        return
    sagemaker.update_pipeline(PipelineName=name, PipelineDefinition=render(definition), RoleArn=project.role_arn)
    say(f"Pipeline: {name} updated.")


def start(sagemaker: Any, project: Project, execution_id: str, commit: str) -> str:
    """Start the pipeline and return the execution's ARN: a running or finished one of the same run and commit goes on.

    A stage of CodePipeline that is retried keeps its execution id, and the same token would answer with the execution that failed
    before: such a one gets a successor."""
    for attempt in range(MOST_ATTEMPTS):
        arn = str(
            sagemaker.start_pipeline_execution(
                PipelineName=project.pipeline_name,
                PipelineExecutionDisplayName=_display_name(commit, attempt),
                PipelineExecutionDescription=f"Run {execution_id} of the build pipeline, commit {commit}",
                PipelineParameters=[{"Name": "Commit", "Value": commit}],
                ClientRequestToken=token(execution_id, commit, attempt),
            )["PipelineExecutionArn"]
        )
        now = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        if now["PipelineExecutionStatus"] not in ENDED_BADLY or datetime.now(UTC) - now["CreationTime"] < OWN_AGE:
            say(f"Execution: {arn} ({now['PipelineExecutionStatus']})")
            return arn
        say(f"Execution: {arn} of an earlier try is {now['PipelineExecutionStatus']}; starting another one.")
    raise PlatformError(
        f"{MOST_ATTEMPTS} executions of this run and commit failed. Push a new commit, or release a change in CodePipeline."
    )


def token(execution_id: str, commit: str, attempt: int) -> str:
    """Return what makes a start happen once: 64 characters, of the 32 to 128 that the API takes."""
    return hashlib.sha256(json.dumps([execution_id, commit, attempt]).encode()).hexdigest()


def _same(text: str | None, definition: dict[str, Any]) -> bool:
    try:
        return bool(json.loads(text or "") == definition)
    except ValueError:
        return False


def _display_name(commit: str, attempt: int) -> str:
    name = re.sub(r"[^A-Za-z0-9]+", "-", f"commit-{commit[:12]}").strip("-")
    return name if attempt == 0 else f"{name}-try-{attempt + 1}"
