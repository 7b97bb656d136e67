"""Name a Studio user's profile, end their apps and spaces when the user goes, and keep a project that has users.

Called by: CloudFormation, as a custom resource with the property `Action`:
    `name` (`DomainId`, `UserEmail`, `ProjectName`, `UserAlias`, which may be empty): checks them and answers
        `UserProfileName`, `Owner` (the address as it was typed), `ProjectRoleArn` and `ProjectId`. An update to another
        person, project or alias is refused.
    `clean-up` (`DomainId`, `UserProfileName`): at Delete ends the apps of the profile and deletes the spaces it owns.
        What is not gone at once is waited for by the state machine of clean_up_loop.asl.json.
    `guard` (`DomainId`, `ProjectName`, `ProjectId`): refuses a project's name that is taken, and at Delete the end of a
        project that has users.
  And by that state machine: {`event`: the request, `attempt`: which turn, `started`: when it began} goes on with a
  clean-up, {`event`, `give_up`: what failed} answers FAILED. Gives {`answered`: whether CloudFormation has its answer}.
Environment: CLEAN_UP_LOOP (ARN of the state machine), AWS_REGION (set by Lambda).
IAM: ListUserProfiles, ListApps, ListSpaces -> the sagemaker actions of these names -> * (none takes a resource)
     DescribeDomain -> sagemaker:DescribeDomain -> domain/* of this account and region
     DescribeUserProfile, ListTags -> the sagemaker actions of these names -> user-profile/* of this account and region
     DeleteApp -> sagemaker:DeleteApp -> app/* of this account and region
     DeleteSpace -> sagemaker:DeleteSpace -> space/* of this account and region
     GetParameter -> ssm:GetParameter -> parameter/mlops/projects/*/settings
     GetResources -> tag:GetResources -> * (takes no resource)
     StartExecution -> states:StartExecution -> the state machine CLEAN_UP_LOOP
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import boto3
import guard
import users
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from clean_up import CleanUp, LoopFailed, StillStands, cause, start_loop, turn, whose
from custom_resource import LATER, Answer, Later, Request, answer
from names import BadProperty, Refused

LOGGER = Logger(service="studio-user")
RETRIES: Any = {"mode": "standard", "total_max_attempts": 4}
CONFIG = Config(connect_timeout=3, read_timeout=10, retries=RETRIES)
SAGEMAKER: Any = boto3.client("sagemaker", config=CONFIG)
SSM: Any = boto3.client("ssm", config=CONFIG)
STATES: Any = boto3.client("stepfunctions", config=CONFIG)
TAGGING: Any = boto3.client("resourcegroupstaggingapi", config=CONFIG)
KEPT_SECONDS = 60.0  # for the last call of a pass, with its repetitions, and the answer


class AwsRefused(Refused):
    """AWS refused a call that the function needs."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"{error} - allow this to the function's role, or repeat if AWS was busy.")


def handler(event: dict[str, Any], context: Any) -> dict[str, bool]:
    """Answer a request of CloudFormation, or go on with one that the loop hands in."""
    inner = event.get("event")
    request_event = inner if isinstance(inner, dict) else event
    return {"answered": answer(request_event, context, lambda request: _act(request, event, request_event, context))}


def _act(request: Request, event: dict[str, Any], request_event: dict[str, Any], context: Any) -> Answer | Later:
    """`request_event` holds the response URL, which is why nothing but the loop is given it."""
    action = request.properties.get("Action")
    try:
        if action == "name":
            return _name(request, str(request_event["StackId"]))
        if action == "clean-up":
            return _clean_up(request, event, request_event, context)
        if action == "check":
            return _check(request)
        if action == "guard":
            return _guard(request)
    except (BotoCoreError, ClientError) as error:
        raise AwsRefused(error) from error
    if request.type == "Delete":
        return Answer()
    raise BadProperty("Action", "name, clean-up, check or guard")


def _name(request: Request, stack_id: str) -> Answer:
    if request.type == "Delete":
        return Answer()  # CloudFormation made the profile and deletes it
    makes = request.type == "Create"
    found = users.create(SAGEMAKER, SSM, request, stack_id) if makes else users.update(SSM, request)
    LOGGER.info("studio user", extra={"decision": "named", "profile": found.data["UserProfileName"]})
    return found


def _clean_up(request: Request, event: dict[str, Any], request_event: dict[str, Any], context: Any) -> Answer | Later:
    if request.type != "Delete":
        of = whose(request.properties)
        # Another profile is another resource: then the former one is deleted with its own properties.
        return Answer(f"clean-up/{of.domain}/{of.profile}")
    if "give_up" in event:
        raise LoopFailed(cause(event["give_up"], str(request_event["ResponseURL"])))
    try:
        of = whose(request.properties)
    except Refused:
        return Answer()  # Create refused these properties, so there is no profile
    stands = CleanUp(SAGEMAKER, of, lambda: context.get_remaining_time_in_millis() > KEPT_SECONDS * 1000).go_on()
    goes_on = turn(event)
    in_loop = event is not request_event
    LOGGER.info("studio user", extra={"decision": "waits" if stands else "gone", "profile": of.profile,
                                      "attempt": goes_on.attempt, "stands": stands})  # fmt: skip
    if not stands:
        return Answer()
    if not in_loop:
        start_loop(STATES, os.environ.get("CLEAN_UP_LOOP", ""), request_event, of.profile)
    elif goes_on.is_last(datetime.now(UTC)):
        raise StillStands(of.profile, stands)
    return LATER


def _check(request: Request) -> Answer:
    # The name was this project's own at birth; what may change later is where it goes to.
    return Answer() if request.type == "Delete" else guard.check(SSM, request)


def _guard(request: Request) -> Answer:
    if request.type == "Create":
        return guard.create(request)
    if request.type == "Update":
        return guard.update(request)
    return guard.delete(SAGEMAKER, TAGGING, request)
