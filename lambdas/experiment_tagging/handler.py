"""Complete the tags of SageMaker jobs with project, cost center and user.

Called by: EventBridge, asynchronously; source `aws.sagemaker`, detail types as in JOBS below. Events:
https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
One change may send several events; repeating is harmless. What cannot be done now (throttling, a malformed event, a
missing permission) is raised: Lambda repeats the event and then hands it to the function's dead-letter queue.
Environment: AWS_REGION (set by Lambda).
IAM: ListTags, AddTags -> sagemaker:ListTags, sagemaker:AddTags -> training-job/*, processing-job/*, transform-job/*,
         hyper-parameter-tuning-job/* of this account and region
     ListTags -> sagemaker:ListTags -> user-profile/* of this account and region
     DescribeModel -> sagemaker:DescribeModel -> model/*
     DescribeTrainingJob, DescribeProcessingJob, DescribeTransformJob, DescribeHyperParameterTuningJob -> the action of
         that name -> the job's resource type, only when an event lacks the role
     ListRoleTags -> iam:ListRoleTags -> role/mlops/*
"""

from __future__ import annotations

import re
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from job_tags import Decision, Job, Tagger, UnknownJob, roles_in

JOBS = {
    "SageMaker Training Job State Change": "TrainingJob",
    "SageMaker Processing Job State Change": "ProcessingJob",
    "SageMaker Transform Job State Change": "TransformJob",
    "SageMaker HyperParameter Tuning Job State Change": "HyperParameterTuningJob",
}
ARN = re.compile(r"arn:[a-z-]+:sagemaker:[a-z0-9-]+:\d{12}:[A-Za-z-]+/[!-~]+")

LOGGER = Logger(service="experiment-tagging")
RETRIES: Any = {"mode": "standard", "total_max_attempts": 4}
CONFIG = Config(connect_timeout=3, read_timeout=10, retries=RETRIES)
SAGEMAKER: Any = boto3.client("sagemaker", config=CONFIG)
IAM: Any = boto3.client("iam", config=CONFIG)
TAGGER = Tagger(SAGEMAKER, IAM)


class MalformedEvent(Exception):
    """Not one of the events this function is for. Raised, so that the event is kept in the dead-letter queue."""

    def __init__(self, lack: str) -> None:
        super().__init__(f"Malformed event, {lack}: look at the pattern of the rule that sent it.")


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Tag the job of one event and give the decision; log it in one line."""
    arn = ""
    try:
        job = unpack(event)
        arn = job.arn
        region, account = context.invoked_function_arn.split(":")[3:5]
        decision = TAGGER.complete(job, region, account)
    except MalformedEvent as error:
        _log(event, arn, Decision("malformed", reason=str(error)))
        raise
    except (ClientError, BotoCoreError, UnknownJob) as error:
        _log(event, arn, Decision("failed", reason=str(error)))
        raise
    _log(event, arn, decision)
    return {"job": arn, "decision": decision.name, "added": dict(decision.added), "reason": decision.reason}


def unpack(event: Any) -> Job:
    """Read the job out of an event. Raises MalformedEvent."""
    detail = event.get("detail") if isinstance(event, dict) else None
    if not isinstance(detail, dict):
        raise MalformedEvent("it has no detail")
    if event.get("source") != "aws.sagemaker" or event.get("detail-type") not in JOBS:
        raise MalformedEvent(f"it is '{event.get('detail-type')}' from '{event.get('source')}'")
    kind = JOBS[event["detail-type"]]
    arn, name = detail.get(f"{kind}Arn"), detail.get(f"{kind}Name")
    if not isinstance(arn, str) or not ARN.fullmatch(arn) or not isinstance(name, str) or not name:
        raise MalformedEvent(f"it has no {kind}Arn and {kind}Name")
    model = detail.get("ModelName")
    return Job(kind, arn, name, roles_in(detail), model if isinstance(model, str) else "")


def _log(event: Any, arn: str, decision: Decision) -> None:
    log = LOGGER.error if decision.name in ("malformed", "failed") else LOGGER.info
    told = {"job": arn, "decision": decision.name, "tags_added": dict(decision.added), "reason": decision.reason}
    log("job tags", extra=told | {"event_id": event.get("id") if isinstance(event, dict) else None})
