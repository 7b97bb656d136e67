"""Encryption and storage: the platform key, the access log bucket and the artifacts bucket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from troposphere import AccountId, GetAtt, Ref, Sub
from troposphere.kms import Alias, Key
from troposphere.s3 import Bucket, LifecycleConfiguration

from generators.infra.questions import Asked
from generators.kit import contracts
from generators.kit.builder import Builder
from generators.kit.iam import KEY_ADMINISTER, KEY_USE, LOG_KEY_USE, account_root, allow, arn, document, iam_arn, via
from generators.kit.messages import PUBLISHERS
from generators.kit.storage import bucket, bucket_policy, objects, tidy

# Services that use the key for a caller of this account, who needs the permission as well.
THROUGH = (
    "s3",
    "sagemaker",
    "codeartifact",
    "codecommit",
    "ec2",
    "sqs",
    "sns",
    "lambda",
    "ssm",
    "logs",
    "dynamodb",
    "states",
)


@dataclass(frozen=True)
class Keys:
    """The platform key."""

    platform: Key

    @property
    def arn(self) -> GetAtt:
        """Give the key's ARN."""
        return GetAtt(self.platform, "Arn")


@dataclass(frozen=True)
class Store:
    """The buckets of the platform."""

    artifacts: Bucket
    access_logs: Bucket


def key(b: Builder, asked: Asked) -> Keys:
    """Add the key: no role is named in its policy, so that neither must exist first."""
    own = {"kms:CallerAccount": AccountId}
    services = [Sub(f"{service}.${{AWS::Region}}.${{AWS::URLSuffix}}") for service in THROUGH]
    platform = b.add(
        Key(
            "PlatformKey",
            Description=Sub("Platform key of ${AWS::StackName}"),
            EnableKeyRotation=True,
            PendingWindowInDays=30,
            KeyPolicy=document(
                allow("AccountAdministers", KEY_ADMINISTER, "*", Principal=account_root()),
                allow("PlatformRolesUse", KEY_USE, "*", {"ArnLike": {"aws:PrincipalArn": iam_arn("role/mlops/platform/*")}},
                      Principal=account_root()),
                allow("AccountUsesThroughServices", KEY_USE, "*", {"StringEquals": {**own, "kms:ViaService": services}},
                      Principal=account_root()),
                allow("ServicesMakeGrants", "kms:CreateGrant", "*",
                      {"StringEquals": {**own, **via("sagemaker", "ec2")["StringEquals"]},
                       "Bool": {"kms:GrantIsForAWSResource": "true"}},
                      Principal=account_root()),
                # As AWS writes it for a domain's key: https://docs.aws.amazon.com/codeartifact/latest/ug/domain-create.html
                allow("PackageIndexMakesGrants", "kms:CreateGrant", "*",
                      {"StringEquals": {**own, **via("codeartifact")["StringEquals"]}}, Principal=account_root()),
                # As AWS writes it for a table's key:
                # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
                allow("TablesMakeGrants", "kms:CreateGrant", "*",
                      {"StringEquals": {**own, **via("dynamodb")["StringEquals"]}}, Principal=account_root()),
                allow("LogGroups", LOG_KEY_USE, "*",
                      {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": arn("logs", "*")}},
                      Principal={"Service": Sub("logs.${AWS::Region}.${AWS::URLSuffix}")}),
                allow("Publishers", ["kms:Decrypt", "kms:GenerateDataKey"], "*",
                      {"StringEquals": {"aws:SourceAccount": AccountId}},
                      Principal={"Service": list(PUBLISHERS)}),
                allow("FailedEvents", ["kms:Decrypt", "kms:GenerateDataKey"], "*",
                      {"ArnLike": {"aws:SourceArn": arn("events", "rule/*")}},
                      Principal={"Service": "events.amazonaws.com"}),
            ),
        ),
        holds_data=True,
    )  # fmt: skip
    b.add(
        Alias("PlatformKeyAlias", AliasName=Sub("alias/${AWS::StackName}"), TargetKeyId=Ref(platform)),
        accept={"MLOPS015": "An alias is a name; it carries the stack's own and goes with the stack."},
    )
    keys = Keys(platform)
    b.publish(contracts.PLATFORM_KEY_ARN, keys.arn)
    b.publish(contracts.ASSETS_BUCKET_PREFIX, asked.answers["AssetsBucketPrefix"])
    return keys


def buckets(b: Builder, keys: Keys) -> Store:
    """Add the access log bucket and the artifacts bucket."""
    logs = b.add(
        bucket("AccessLogBucket", LifecycleConfiguration=LifecycleConfiguration(Rules=[tidy(ExpirationInDays=400)])),
        holds_data=True,
        accept={
            "MLOPS005": "S3 delivers access logs only to a bucket that S3's own key encrypts "
            "(https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html).",
        },
    )
    artifacts = b.add(bucket("ArtifactsBucket", key=keys.arn, logs=Ref(logs)), holds_data=True)
    b.add(
        bucket_policy(
            logs,
            allow("AccessLogs", "s3:PutObject", objects(logs),
                  {"StringEquals": {"aws:SourceAccount": AccountId}, "ArnLike": {"aws:SourceArn": _any_bucket()}},
                  Principal={"Service": "logging.s3.amazonaws.com"}),
        ),
        holds_data=True,  # what is kept keeps its guards
    )  # fmt: skip
    b.add(bucket_policy(artifacts), holds_data=True)
    b.publish(contracts.ARTIFACTS_BUCKET_NAME, Ref(artifacts))
    b.publish(contracts.ACCESS_LOG_BUCKET_NAME, Ref(logs))
    return Store(artifacts, logs)


def _any_bucket() -> Any:
    # Bucket ARNs name no account; aws:SourceAccount beside it does.
    return Sub("arn:${AWS::Partition}:s3:::*")
