"""Start a project's pipelines: build for a new commit on main, deploy for an approved model version.

Called by: EventBridge, asynchronously; source `aws.codecommit`, detail type `CodeCommit Repository State Change`, and
source `aws.sagemaker`, detail type `SageMaker Model Package State Change`. One change may send several events: it starts
one execution. A pipeline is made with its second stage closed, for a reason that this function knows: before the first
execution it stops what began with the pipeline's creation and opens the stage; what a person closed stays closed. What concerns
no project is ignored; what cannot be done now (throttling, a busy pipeline, a malformed event, a missing permission) is
raised: Lambda repeats the event and then hands it to the function's dead-letter queue.
Environment: AWS_REGION (set by Lambda); EVENTS_TABLE, a DynamoDB table with the partition key `id` (text) and
the time-to-live attribute `expiration`.
IAM: GetParameter -> ssm:GetParameter -> parameter/mlops/projects/*
     GetPipelineState, ListPipelineExecutions, StartPipelineExecution, StopPipelineExecution -> the codepipeline actions of
         these names -> the pipelines *-build and *-deploy of this account and region
     EnableStageTransition -> codepipeline:EnableStageTransition -> these pipelines and their stages, *-build/* and *-deploy/*
     PutItem, UpdateItem, DeleteItem, GetItem (by Powertools) -> the dynamodb actions of these names -> the table
"""

from __future__ import annotations

import os
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer
from botocore.config import Config
from events import MalformedEvent, NotOurs, read
from executions import Executions, NoPipeline
from projects import pipeline_of

LOGGER = Logger(service="event-router")
RETRIES: Any = {"mode": "standard", "total_max_attempts": 3}
CONFIG = Config(connect_timeout=2, read_timeout=5, retries=RETRIES)
SSM: Any = boto3.client("ssm", config=CONFIG)
CODEPIPELINE: Any = boto3.client("codepipeline", config=CONFIG)
DYNAMODB: Any = boto3.client("dynamodb", config=CONFIG)
EXECUTIONS = Executions(
    CODEPIPELINE, DynamoDBPersistenceLayer(table_name=os.environ["EVENTS_TABLE"], boto3_client=DYNAMODB)
)


def handler(event: Any, context: Any) -> dict[str, str]:
    """Start what one event asks for and give the decision; log it in one line."""
    told = {"decision": "failed", "project": "", "pipeline": "", "revision": "", "execution": "", "reason": ""}
    try:
        region, account = context.invoked_function_arn.split(":")[3:5]
        change = read(event, region, account)
        told |= {"project": change.project, "revision": change.revision}
        told["pipeline"] = pipeline_of(SSM, change)
        told |= EXECUTIONS.start(change, told["pipeline"], context)
    except NotOurs as error:
        told |= {"decision": "ignored", "reason": str(error)}
    except NoPipeline as error:
        told |= {"decision": "no-pipeline", "reason": str(error)}
    except Exception as error:
        told["decision"] = "malformed" if isinstance(error, MalformedEvent) else "failed"
        told["reason"] = f"{type(error).__name__}: {error}"
        _log(LOGGER.error, event, told)
        raise
    _log(LOGGER.info, event, told)
    return told


def _log(log: Any, event: Any, told: dict[str, str]) -> None:
    log("route", extra={**told, "event_id": event.get("id") if isinstance(event, dict) else None})
