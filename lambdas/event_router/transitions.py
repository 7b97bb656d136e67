"""Open the second stage of a pipeline for its first real execution. It is closed when the pipeline is made.

CodePipeline runs a pipeline by itself when it makes it (https://docs.aws.amazon.com/codepipeline/latest/userguide/
pipelines-about-starting.html), before anybody pushed or approved anything. That execution waits before the closed stage; it is
stopped before the stage opens, since it would enter first.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

# The reasons that the project's template gives. Whoever closes a stage later gives another one.
BORN_CLOSED = frozenset({"Opens with the first push to main.", "Opens with the first approved version."})
# It ended, or another invocation stops it: https://docs.aws.amazon.com/codepipeline/latest/APIReference/API_StopPipelineExecution.html
STOPPED_ALREADY = frozenset({"PipelineExecutionNotStoppableException", "DuplicatedStopRequestException"})
WHY = "It began when the pipeline was made; nothing had been pushed or approved."
QUOTED = 100  # characters of a reason that a log line quotes


def open_second_stage(client: Any, pipeline: str) -> str:
    """Open the stage when it is closed since the pipeline was made; give what there is to tell, else an empty text.

    Every part can be repeated, also by two invocations at once. Raises ClientError: PipelineNotFoundException, and whatever
    a repeated event may find mended.
    """
    stages = client.get_pipeline_state(name=pipeline).get("stageStates", [])
    transition = stages[1].get("inboundTransitionState", {}) if len(stages) > 1 else {}
    if transition.get("enabled", True):
        return ""
    stage, reason = stages[1]["stageName"], transition.get("disabledReason", "")
    if reason not in BORN_CLOSED:
        return (
            f"The stage {stage} was closed by a person ({reason[:QUOTED] or 'no reason given'}): the execution waits there "
            "until somebody enables the transition."
        )
    stopped = [execution for execution in _born_executions(client, pipeline) if _stop(client, pipeline, execution)]
    client.enable_stage_transition(pipelineName=pipeline, stageName=stage, transitionType="Inbound")
    return f"Opened the stage {stage}, stopped {len(stopped)} from the pipeline's creation."


def _born_executions(client: Any, pipeline: str) -> list[str]:
    pages = client.get_paginator("list_pipeline_executions").paginate(pipelineName=pipeline)
    return [
        execution["pipelineExecutionId"]
        for page in pages
        for execution in page["pipelineExecutionSummaries"]
        if execution.get("trigger", {}).get("triggerType") == "CreatePipeline" and execution["status"] == "InProgress"
    ]


def _stop(client: Any, pipeline: str, execution: str) -> bool:
    """Stop one execution; give False when it is no longer in progress."""
    try:
        client.stop_pipeline_execution(pipelineName=pipeline, pipelineExecutionId=execution, abandon=True, reason=WHY)
    except ClientError as error:
        if error.response["Error"]["Code"] in STOPPED_ALREADY:
            return False
        raise
    return True
