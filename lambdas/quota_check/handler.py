"""Warn, at install and update, about service quotas that are too low for the platform. Never fails a stack.

Called by: CloudFormation, as a custom resource. Properties: `Quotas`, a list of {Service, Code, Name, Needed, Why}
(Needed: a number as text). CloudFormation calls again only when a property changes: give it the platform's version.
Attributes: `Result` (ok | raise these quotas | not checked), `Summary`, `RequestLinks` (one a line, or `none`),
`Checked` (how many); none is ever empty.
Environment: AWS_REGION (set by Lambda).
IAM: GetServiceQuota -> servicequotas:GetServiceQuota -> *
     GetAWSDefaultServiceQuota -> servicequotas:GetAWSDefaultServiceQuota -> *
     (both read only; neither action takes a resource)
"""

from __future__ import annotations

from typing import Any

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config
from custom_resource import Answer, Request, answer
from quotas import NOT_CHECKED, check, console, report

LOGGER = Logger(service="quota-check")
RETRIES: Any = {"mode": "standard", "total_max_attempts": 4}
QUOTAS: Any = boto3.client("service-quotas", config=Config(connect_timeout=2, read_timeout=5, retries=RETRIES))


def handler(event: dict[str, Any], context: Any) -> None:
    """Answer a custom resource request; whatever goes wrong becomes a text in the answer."""
    answer(event, context, _act, instead=_say_why)


def _act(request: Request) -> Answer:
    if request.type == "Delete":
        return Answer()
    meta = QUOTAS.meta
    findings = check(QUOTAS, request.properties.get("Quotas"), console(meta.region_name, meta.partition))
    for finding in findings:
        LOGGER.info("quota", extra={"decision": finding.kind, "reason": finding.sentence})
    return Answer(data=report(findings, request.room))


def _say_why(request: Request, reason: str) -> Answer:
    # Bounded so that it fits whatever the identifiers in the response take.
    data = {"Result": NOT_CHECKED, "Summary": f"Quotas were not checked: {reason[:100]}", "RequestLinks": "none"}
    return Answer(data=data | {"Checked": "0"} if request.type != "Delete" else {})
