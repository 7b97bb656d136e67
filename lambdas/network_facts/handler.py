"""Tell 1-infra what only the account knows of its region: zones that serve every endpoint, and the S3 prefix list.

Called by: CloudFormation, as a custom resource. Properties: `Region`; `ZonesWanted` (2 or 3, 0 in an existing VPC); `ZonesGiven`,
`ZonesPreferred` (zone ids separated by commas, or empty); `Services` (interface endpoint services). Attributes:
`ZoneA`, `ZoneB`, `ZoneC` (empty beyond those wanted), `ZoneIds`, `S3PrefixListId`, `MissingServices` (those the region
does not offer, or `none`). No network stands without them, so every error is FAILED.
Environment: AWS_REGION (set by Lambda).
IAM: DescribeAvailabilityZones, DescribeVpcEndpointServices, DescribeManagedPrefixLists -> the ec2 actions of these
     names -> * (read only; none of them takes a resource)
"""

from __future__ import annotations

import re
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from custom_resource import Answer, Request, answer
from zones import NoFacts, check_given, choose, comma, look_up, read, s3_prefix_list

# A subnet cannot move, so what was chosen at Create is kept, in the physical id. It carries the automatic choice even
# while a person's own is used, since a rollback is one more Update and has to find what was there before.
REMEMBERED = re.compile(r"network-facts/([a-z0-9-]+(?:,[a-z0-9-]+){1,2})")
LOGGER = Logger(service="network-facts")
RETRIES: Any = {"mode": "standard", "total_max_attempts": 5}
EC2: Any = boto3.client("ec2", config=Config(connect_timeout=3, read_timeout=10, retries=RETRIES))


def handler(event: dict[str, Any], context: Any) -> None:
    """Answer a custom resource request."""
    answer(event, context, _act)


def _act(request: Request) -> Answer:
    if request.type == "Delete":
        return Answer()
    asked = read(request.properties)
    found = REMEMBERED.fullmatch(request.physical_id)
    kept = comma(found[1]) if found else ()
    try:
        prefix_list, (lacks, missing) = s3_prefix_list(EC2, asked.region), look_up(EC2, asked.services)
    except (BotoCoreError, ClientError) as error:
        raise NoFacts(f"{error} - allow this to the function's role, or repeat if EC2 was busy.") from error
    if asked.given:
        # A choice that stands is not held against the services of today: the subnets are there already.
        check_given(lacks, asked, stands=bool(kept) and asked.given == comma(request.old_properties.get("ZonesGiven")))
        remembered = kept or asked.given[:3]
    else:
        remembered = kept if len(kept) >= asked.wanted else choose(lacks, asked, kept)
    zones = (asked.given or remembered)[: asked.wanted]
    LOGGER.info("zones", extra={"zones": zones, "given": asked.given, "kept": kept, "missing_services": missing})
    data = dict(zip(("ZoneA", "ZoneB", "ZoneC"), (*zones, "", "", ""), strict=False))
    data |= {"ZoneIds": ",".join(zones), "S3PrefixListId": prefix_list, "MissingServices": ",".join(missing) or "none"}
    return Answer("network-facts/" + ",".join(remembered), data)
