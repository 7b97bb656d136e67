"""Copy files of a published release into a bucket of this account: all of them, as they were published, or none.

Called by: CloudFormation, as a custom resource. Properties: `SourceBucket`, `TargetBucket`, `KmsKeyArn` (empty: the bucket's
default encryption), `Files`: a list of {SourceKey, Sha256 (hexadecimal), TargetKey, Tags (optional map)}, each of at most
5 MB; `Pipelines` (optional): names of pipelines whose artifacts, called Pipe..., are in TargetBucket. Attribute: `Count`.
An Update removes what is no longer listed, after the new files are there; Delete erases the files and the pipelines' artifacts
with all their versions, so that a bucket whose launch failed can go. The resource owns its target keys: no other one may list
them.
Environment: AWS_REGION (set by Lambda).
IAM: GetObject -> s3:GetObject -> the release's objects in SourceBucket
     PutObject -> s3:PutObject, s3:PutObjectTagging (with Tags) -> the target keys; kms:GenerateDataKey -> KmsKeyArn
     DeleteObject, DeleteObjects -> s3:DeleteObject, s3:DeleteObjectVersion -> the target keys, and */Pipe*/* in TargetBucket
     ListObjectVersions -> s3:ListBucketVersions -> TargetBucket
"""

from __future__ import annotations

from functools import partial
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config
from custom_resource import Answer, Request, answer
from files import BadProperties, Plan, erase, fetch, put, read, remove

LOGGER = Logger(service="release-files")
RETRIES: Any = {"mode": "standard", "total_max_attempts": 4}
S3: Any = boto3.client("s3", config=Config(connect_timeout=3, read_timeout=15, retries=RETRIES))


def handler(event: dict[str, Any], context: Any) -> None:
    """Answer a custom resource request."""
    account = context.invoked_function_arn.split(":")[4]
    answer(event, context, partial(_act, account=account))


def _act(request: Request, account: str) -> Answer:
    if request.type == "Delete":
        old = _before(request.properties)
        gone = erase(S3, old, account) if old else 0
        LOGGER.info("files", extra={"decision": "removed", "removed": gone})
        return Answer()
    plan = read(request.properties)
    put(S3, plan, fetch(S3, plan), account)
    left = _no_longer_listed(request, plan)
    remove(S3, plan.target_bucket, left, account)
    told = {"bucket": plan.target_bucket, "copied": plan.target_keys, "removed": left}
    LOGGER.info("files", extra={"decision": "copied", **told})
    return Answer(f"{plan.target_bucket}/{request.logical_id}", {"Count": str(len(plan.files))})


def _no_longer_listed(request: Request, plan: Plan) -> tuple[str, ...]:
    old = _before(request.old_properties)  # none at Create
    # With another bucket the physical id is another one, and CloudFormation sends a Delete for the files of the old bucket.
    if old is None or old.target_bucket != plan.target_bucket:
        return ()
    return tuple(key for key in old.target_keys if key not in plan.target_keys)


def _before(properties: Any) -> Plan | None:
    """Read properties of before. Those that are refused now were refused then, and nothing was put."""
    try:
        return read(properties)
    except BadProperties:
        return None
