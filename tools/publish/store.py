"""One region's bucket. Every call names the owner that it expects: nothing reaches a bucket of somebody else."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from tools.publish.errors import Finding, Overtaken, PublishError
from tools.publish.manifest import Asset

Tags = dict[str, tuple[str, int]]


class RegionProblem(PublishError):
    """What keeps one region from being published to."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(f"{finding.reason}\n{finding.mend}")


@dataclass(frozen=True)
class Store:
    """The bucket `{prefix}-{region}` and the account that must own it."""

    region: str
    bucket: str
    account: str
    partition: str
    s3: Any

    def call(self, operation: str, **arguments: Any) -> Any:
        """Call an S3 operation on this bucket as its expected owner."""
        return getattr(self.s3, operation)(Bucket=self.bucket, ExpectedBucketOwner=self.account, **arguments)

    def exists(self) -> bool:
        """Tell whether the bucket exists; raises when it is somebody else's or lies in another region."""
        try:
            answer = self.call("head_bucket")
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == 404:
                return False
            # HEAD has no body that could tell more than the status.
            raise RegionProblem(_refused(self, status)) from error
        found = answer.get("BucketRegion", self.region)
        if found != self.region:
            reason = f"the bucket {self.bucket} exists in {found}"
            raise RegionProblem(Finding(reason, "Remove that bucket, or choose another --bucket-prefix."))
        return True

    def ask(self, operation: str, absent: set[str], **arguments: Any) -> dict[str, Any] | None:
        """Call a reading operation; none when the answer is one of the error codes that mean "there is none"."""
        try:
            return dict(self.call(operation, **arguments))
        except ClientError as error:
            if error.response["Error"]["Code"] in absent:
                return None
            raise

    def get(self, key: str) -> bytes | None:
        """Read an object; none when there is no such object."""
        answer = self.ask("get_object", {"NoSuchKey", "404"}, Key=key)
        return None if answer is None else bytes(answer["Body"].read())

    def tags(self, prefix: str) -> Tags:
        """List ETag and size of every object under a prefix, by key below it."""
        found: Tags = {}
        arguments: dict[str, Any] = {"Prefix": prefix}
        while True:
            answer = self.call("list_objects_v2", **arguments)
            for row in answer.get("Contents", []):
                found[row["Key"].removeprefix(prefix)] = (row["ETag"].strip('"'), row["Size"])
            if not answer.get("IsTruncated"):
                return found
            arguments["ContinuationToken"] = answer["NextContinuationToken"]

    def put(self, prefix: str, asset: Asset, *, only_new: bool = False) -> None:
        """Send an object; S3 refuses it when it arrives damaged, and with `only_new` when there is one already."""
        condition = {"IfNoneMatch": "*"} if only_new else {}
        self.call(
            "put_object",
            Key=prefix + asset.key,
            Body=asset.body,
            ContentType=asset.content_type,
            ChecksumSHA256=base64.b64encode(asset.sha256).decode(),
            **condition,
        )

    def put_first(self, prefix: str, asset: Asset) -> None:
        """Send an object that nobody sent before; equal bytes of somebody faster are as good."""
        try:
            self.put(prefix, asset, only_new=True)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 412:
                raise
            if self.get(prefix + asset.key) != asset.body:
                raise Overtaken(f"{self.bucket}/{prefix}{asset.key} was written with other content") from error

    def delete(self, key: str) -> None:
        """Remove an object."""
        self.call("delete_object", Key=key)


def _refused(store: Store, status: int) -> Finding:
    if status == 403:
        return Finding(
            f"a bucket named {store.bucket.removesuffix(store.region)}REGION exists there and is not open to account "
            f"{store.account}: it belongs to somebody else, or these credentials may not s3:ListBucket",
            "Choose another --bucket-prefix, or sign in with credentials that may list and write the buckets.",
        )
    return Finding(
        f"asking for the bucket was answered with HTTP {status}",
        "Check that the account may use the region and that the credentials are still valid.",
    )
