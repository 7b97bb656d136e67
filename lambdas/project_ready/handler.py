"""Tell people by e-mail that a project is ready, has a new version, or is being removed. Never fails a stack.

Called by: CloudFormation, as a custom resource. Properties: `ProjectName`, `ProjectId`, `Framework`, `RepositoryUrl`,
`StudioLink`, `Version` (of the template; a message at Update only when it changed), `TopicArn` (the project's own topic, may
be empty). Attribute: `Notified` (`yes`, or `no: ` and the reason).
Environment: AWS_REGION (set by Lambda); TOPIC_ARN, the platform's operations topic.
IAM: Publish -> sns:Publish -> both topics
     (by SNS, in this function's name) -> kms:GenerateDataKey, kms:Decrypt -> the keys of both topics
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import partial
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from custom_resource import Answer, Request, answer
from messages import Message, ready, removed, updated

LONGEST = 600  # characters of `Notified`, so that it fits beside any identifiers
MOST = 1000
LOGGER = Logger(service="project-ready")
RETRIES: Any = {"mode": "standard", "total_max_attempts": 3}
# Two topics have to fit into the function's time limit.
SNS: Any = boto3.client("sns", config=Config(connect_timeout=2, read_timeout=5, retries=RETRIES))
# What this container sent, by the event's id and topic: Lambda may repeat an event whose answer got lost.
SENT: set[tuple[str, str]] = set()


def handler(event: dict[str, Any], context: Any) -> None:
    """Answer a custom resource request; whatever goes wrong becomes a text in the answer."""
    asked = "|".join(str(event.get(key)) for key in ("StackId", "LogicalResourceId", "RequestId"))
    event_id = hashlib.sha256(asked.encode("utf-8", "replace")).hexdigest()[:32]
    region, account = context.invoked_function_arn.split(":")[3:5]
    place = f"account {account}, region {region}"
    answer(event, context, partial(_act, place=place, event_id=event_id), instead=_say_why)


def _act(request: Request, place: str, event_id: str) -> Answer:
    message = _message(request, place)
    if message is None:
        return _told("no: nothing changed that people have to know")
    topics = _topics(request.properties)
    if not topics:
        return _told("no: there is no topic, set TopicArn or the function's TOPIC_ARN")
    faults = [fault for topic in topics if (fault := _send(topic, message, event_id))]
    return _told(f"no: {' '.join(faults)}" if faults else "yes")


def _message(request: Request, place: str) -> Message | None:
    if request.type == "Create":
        return ready(request.properties, place)
    if request.type == "Update":
        return updated(request.properties, request.old_properties, place)
    return removed(request.properties, place)


def _topics(properties: Mapping[str, Any]) -> list[str]:
    given = (os.environ.get("TOPIC_ARN"), properties.get("TopicArn"))
    return list(dict.fromkeys(str(topic) for topic in given if topic))


def _send(topic: str, message: Message, event_id: str) -> str:
    """Publish once; give the fault, or an empty text."""
    if (event_id, topic) in SENT:
        return ""
    # Standard topics let repeated messages through; by this attribute a subscriber can tell them.
    attributes = {"mlops-event": {"DataType": "String", "StringValue": event_id}}
    try:
        SNS.publish(TopicArn=topic, Subject=message.subject, Message=message.text, MessageAttributes=attributes)
    except (ClientError, BotoCoreError) as error:
        return (
            f"{topic} was not reached ({error}): allow the function's role to publish there and to use the topic's key."
        )
    if len(SENT) >= MOST:
        SENT.clear()
    SENT.add((event_id, topic))
    return ""


def _say_why(_request: Request, reason: str) -> Answer:
    return _told(f"no: {reason}")


def _told(notified: str) -> Answer:
    LOGGER.info("notified", extra={"decision": notified})
    # ASCII, since everything else takes up to twelve bytes in the answer.
    text = notified.encode("ascii", "replace").decode()
    return Answer(data={"Notified": text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."})
