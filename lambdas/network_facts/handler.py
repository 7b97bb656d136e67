"""Tell 1-infra what only the account knows of its region: zones that serve every endpoint, and the S3 prefix list.

Called by: CloudFormation, as a custom resource. Properties: `Region`; `ZonesWanted` (2 or 3, 0 in an existing VPC); `ZonesGiven`,
`ZonesPreferred` (zone ids separated by commas, or empty); `Services` (interface endpoint services that the stack makes);
optional: `ExistingVpcId` (empty for a new VPC), `NeededServices` (what the default features call) and `MakesS3Gateway` (`true`
when the stack adds the S3 gateway to an existing VPC). Attributes: `ZoneA`, `ZoneB`, `ZoneC` (empty beyond those wanted),
`ZoneIds`, `S3PrefixListId`, `MissingServices` (those the region does not offer, or `none`), `VpcCheck` (what an existing VPC
lacks, or `ok`). No network stands without zones and prefix list, so their errors are FAILED; the check fails nothing.
Environment: AWS_REGION (set by Lambda).
IAM: DescribeAvailabilityZones, DescribeVpcEndpointServices, DescribeManagedPrefixLists, DescribeVpcAttribute,
     DescribeVpcEndpoints -> the ec2 actions of these names -> * (read only)
"""

from __future__ import annotations

import re
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from custom_resource import Answer, Request, answer, json_size
from existing_vpc import check
from zones import NoFacts, check_given, check_unmoved, comma, look_up, read, remember, s3_prefix_list

# A subnet cannot move, so what was used at Create is kept, in the physical id, to which zones are only appended. A rollback
# is one more Update, with old and new properties swapped: it compares with this id and with no old properties.
REMEMBERED = re.compile(r"network-facts/([a-z0-9-]+(?:,[a-z0-9-]+){1,2})")
LOGGER = Logger(service="network-facts")
RETRIES: Any = {"mode": "standard", "total_max_attempts": 5}
EC2: Any = boto3.client("ec2", config=Config(connect_timeout=3, read_timeout=10, retries=RETRIES))
# Less patient: the check may not take the time in which the facts have to be answered.
FEW: Any = {"mode": "standard", "total_max_attempts": 3}
CHECK: Any = boto3.client("ec2", config=Config(connect_timeout=2, read_timeout=5, retries=FEW))


def handler(event: dict[str, Any], context: Any) -> None:
    """Answer a custom resource request."""
    answer(event, context, _act)


def _act(request: Request) -> Answer:
    if request.type == "Delete":
        return Answer()
    asked = read(request.properties)
    found = REMEMBERED.fullmatch(request.physical_id)
    kept = comma(found[1]) if found else ()
    check_unmoved(asked, kept)
    try:
        prefix_list, (lacks, missing) = s3_prefix_list(EC2, asked.region), look_up(EC2, asked.services)
    except (BotoCoreError, ClientError) as error:
        raise NoFacts(f"{error} - allow this to the function's role, or repeat if EC2 was busy.") from error
    if asked.given:
        check_given(lacks, asked, kept)
    remembered = remember(lacks, asked, kept)
    zones = (asked.given or remembered)[: asked.wanted]
    own_id = "network-facts/" + ",".join(remembered)
    data = dict(zip(("ZoneA", "ZoneB", "ZoneC"), (*zones, "", "", ""), strict=False))
    data |= {"ZoneIds": ",".join(zones), "S3PrefixListId": prefix_list, "MissingServices": ",".join(missing) or "none"}
    # The room was measured with the id until now; the text's quotes are counted twice.
    longer = max(0, json_size(own_id) - json_size(request.physical_id))
    room = request.room - longer - json_size(data | {"VpcCheck": ""}) + json_size("")
    data["VpcCheck"] = check(CHECK, request.properties, asked, room)
    LOGGER.info("zones", extra={"zones": zones, "given": asked.given, "kept": kept, "missing_services": missing,
                                "vpc_check": data["VpcCheck"]})  # fmt: skip
    return Answer(own_id, data)
