"""How a published bucket is set up: made if missing, private but for its readers, versioned, SSE-S3, TLS only."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from tools.publish.readers import Readers, bucket_policy, same_policy
from tools.publish.store import Store

ACLS = ("BlockPublicAcls", "IgnorePublicAcls")
POLICIES = ("BlockPublicPolicy", "RestrictPublicBuckets")
# Seconds between attempts while S3 takes in an earlier call, and what it answers until then.
PAUSES = (0.5, 1, 2, 4, 8)
NOT_YET = {"AccessDenied", "NoSuchBucket", "OperationAborted"}


@dataclass(frozen=True)
class Change:
    """One call that brings a setting to what it should be; `what` says it to a person."""

    what: str
    operation: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def apply(self, store: Store, *, patient: bool) -> None:
        """Make the call; a patient one is repeated while S3 does not yet know of the call before."""
        if self.operation == "create_bucket":
            # The only call without an owner to expect; it answers BucketAlreadyExists when somebody was faster.
            store.s3.create_bucket(Bucket=store.bucket, **self.arguments)
            return
        for pause in (*PAUSES, None) if patient else (None,):
            try:
                store.call(self.operation, **self.arguments)
                return
            except ClientError as error:
                if pause is None or error.response["Error"]["Code"] not in NOT_YET:
                    raise
                time.sleep(pause)


def changes(store: Store, exists: bool, readers: Readers) -> list[Change]:
    """List what must be changed, in order; nothing for a bucket that is as it should be. Reads only."""
    found = [] if exists else [_creation(store)]
    if not exists or _ownership(store) != "BucketOwnerEnforced":
        rules = {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}}
        found.append(Change("no ACLs (owner enforced)", "put_bucket_ownership_controls", rules))
    if not exists or _algorithm(store) != "AES256":
        default: Any = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        rules = {"ServerSideEncryptionConfiguration": {"Rules": [default]}}
        found.append(Change("encryption with SSE-S3", "put_bucket_encryption", rules))
    if not exists or store.call("get_bucket_versioning").get("Status") != "Enabled":
        found.append(Change("versioning", "put_bucket_versioning", {"VersioningConfiguration": {"Status": "Enabled"}}))
    # The block comes before the policy: a public policy is refused while the block stands.
    return found + _access(store, exists, readers)


def _creation(store: Store) -> Change:
    # us-east-1 is the one region that must not be named: API_CreateBucket.html
    where = {} if store.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": store.region}}
    return Change(f"bucket {store.bucket}", "create_bucket", {"ObjectOwnership": "BucketOwnerEnforced", **where})


def _access(store: Store, exists: bool, readers: Readers) -> list[Change]:
    found = []
    block = _block(store) if exists else {}
    wanted = dict.fromkeys((*ACLS, *POLICIES), True)
    if readers.given:
        wanted |= dict.fromkeys(POLICIES, not readers.public)
    elif exists:
        wanted |= {name: block.get(name, False) for name in POLICIES}
    if block != wanted:
        what = "public access blocked" + ("" if wanted["BlockPublicPolicy"] else ", but for its policy")
        found.append(Change(what, "put_public_access_block", {"PublicAccessBlockConfiguration": wanted}))
    current = _policy(store) if exists else None
    policy = bucket_policy(current, store.bucket, store.partition, readers)
    if not same_policy(current, policy):
        sids = [str(row.get("Sid", "a statement of others")) for row in policy["Statement"]]
        found.append(Change(f"policy {', '.join(sids)}", "put_bucket_policy", {"Policy": json.dumps(policy)}))
    return found


def _block(store: Store) -> dict[str, bool]:
    answer = store.ask("get_public_access_block", {"NoSuchPublicAccessBlockConfiguration"})
    return dict(answer["PublicAccessBlockConfiguration"]) if answer else {}


def _policy(store: Store) -> dict[str, Any] | None:
    answer = store.ask("get_bucket_policy", {"NoSuchBucketPolicy"})
    return dict(json.loads(answer["Policy"])) if answer else None


def _ownership(store: Store) -> str | None:
    answer = store.ask("get_bucket_ownership_controls", {"OwnershipControlsNotFoundError"})
    return str(answer["OwnershipControls"]["Rules"][0]["ObjectOwnership"]) if answer else None


def _algorithm(store: Store) -> str | None:
    answer = store.ask("get_bucket_encryption", {"ServerSideEncryptionConfigurationNotFoundError"})
    if answer is None:
        return None
    rule = answer["ServerSideEncryptionConfiguration"]["Rules"][0]
    return str(rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"])
