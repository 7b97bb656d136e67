"""Buckets: private, encrypted, versioned, TLS only, logged."""

from __future__ import annotations

from typing import Any

from troposphere import GetAtt, Ref, Sub
from troposphere.s3 import (
    AbortIncompleteMultipartUpload,
    Bucket,
    BucketEncryption,
    BucketPolicy,
    LifecycleConfiguration,
    LifecycleRule,
    LoggingConfiguration,
    NoncurrentVersionExpiration,
    OwnershipControls,
    OwnershipControlsRule,
    PublicAccessBlockConfiguration,
    ServerSideEncryptionByDefault,
    ServerSideEncryptionRule,
    VersioningConfiguration,
)

from generators.kit.iam import Statement, deny, document


def bucket(name: str, *, key: Any = None, logs: Any = None, log_prefix: Any = None, **more: Any) -> Bucket:
    """Make a bucket. `key` is a KMS key ARN, SSE-S3 without; `logs` the bucket that takes its access logs, below a prefix
    that is the bucket's own."""
    if key is None:
        encryption = ServerSideEncryptionRule(
            ServerSideEncryptionByDefault=ServerSideEncryptionByDefault(SSEAlgorithm="AES256")
        )
    else:
        encryption = ServerSideEncryptionRule(
            BucketKeyEnabled=True,
            ServerSideEncryptionByDefault=ServerSideEncryptionByDefault(SSEAlgorithm="aws:kms", KMSMasterKeyID=key),
        )
    if logs is not None:
        more["LoggingConfiguration"] = LoggingConfiguration(
            DestinationBucketName=logs, LogFilePrefix=log_prefix or f"{name}/"
        )
    more.setdefault("LifecycleConfiguration", LifecycleConfiguration(Rules=[tidy()]))
    return Bucket(
        name,
        BucketEncryption=BucketEncryption(ServerSideEncryptionConfiguration=[encryption]),
        OwnershipControls=OwnershipControls(Rules=[OwnershipControlsRule(ObjectOwnership="BucketOwnerEnforced")]),
        PublicAccessBlockConfiguration=PublicAccessBlockConfiguration(
            BlockPublicAcls=True, BlockPublicPolicy=True, IgnorePublicAcls=True, RestrictPublicBuckets=True
        ),
        VersioningConfiguration=VersioningConfiguration(Status="Enabled"),
        **more,
    )


def tidy(noncurrent_days: int = 90, name: str = "tidy", **more: Any) -> LifecycleRule:
    """Make the rule that ends old versions and broken uploads; days."""
    return LifecycleRule(
        Id=name,
        Status="Enabled",
        AbortIncompleteMultipartUpload=AbortIncompleteMultipartUpload(DaysAfterInitiation=7),
        NoncurrentVersionExpiration=NoncurrentVersionExpiration(NoncurrentDays=noncurrent_days),
        **more,
    )


def bucket_policy(of: Bucket, *statements: Statement) -> BucketPolicy:
    """Make the policy of a bucket: TLS only, and what else is given."""
    return BucketPolicy(f"{of.title}Policy", Bucket=Ref(of), PolicyDocument=document(tls_only(of), *statements))


def tls_only(of: Bucket) -> Statement:
    """Refuse requests without TLS."""
    return deny(
        "TlsOnly",
        "s3:*",
        [GetAtt(of, "Arn"), objects(of)],
        {"Bool": {"aws:SecureTransport": "false"}},
        Principal="*",
    )


def objects(of: Bucket, prefix: str = "") -> Sub:
    """Give the ARN of the objects of a bucket, below a prefix."""
    return Sub(f"${{{of.title}.Arn}}/{prefix}*")
