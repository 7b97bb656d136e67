"""Roles and policies: every role stands on a path of ours, carries the boundary and says what it may do, no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from troposphere import AccountId, Sub
from troposphere.iam import Policy, Role

PLATFORM_PATH = "/mlops/platform/"
BOUNDARY_PATH = "/mlops/boundary/"
Statement = dict[str, Any]
KEY_USE = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey",
           "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey"]  # fmt: skip
KEY_ADMINISTER = ["kms:CreateAlias", "kms:CancelKeyDeletion", "kms:DeleteAlias", "kms:DescribeKey", "kms:DisableKey",
                  "kms:DisableKeyRotation", "kms:EnableKey", "kms:EnableKeyRotation", "kms:GetKeyPolicy",
                  "kms:GetKeyRotationStatus", "kms:ListAliases", "kms:ListGrants", "kms:ListKeyPolicies",
                  "kms:ListResourceTags", "kms:ListRetirableGrants", "kms:ListKeyRotations", "kms:PutKeyPolicy",
                  "kms:RevokeGrant", "kms:RotateKeyOnDemand", "kms:ScheduleKeyDeletion", "kms:TagResource",
                  "kms:UntagResource", "kms:UpdateAlias", "kms:UpdateKeyDescription"]  # fmt: skip
LOG_KEY_USE = [
    "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom", "kms:ReEncryptTo",
]  # fmt: skip


def allow(sid: str, actions: str | Sequence[str], resources: Any, condition: Any = None, **principal: Any) -> Statement:
    """Make an Allow statement; `Principal=` for resource policies."""
    return _statement("Allow", sid, actions, resources, condition, principal)


def deny(sid: str, actions: str | Sequence[str], resources: Any, condition: Any = None, **principal: Any) -> Statement:
    """Make a Deny statement; `Principal=` for resource policies."""
    return _statement("Deny", sid, actions, resources, condition, principal)


def document(*statements: Any) -> dict[str, Any]:
    """Make a policy document."""
    return {"Version": "2012-10-17", "Statement": [item for item in statements if item is not None]}


def arn(service: str, resource: str, *, region: bool = True, account: bool = True) -> Sub:
    """Make an ARN in the stack's own partition, region and account; `resource` may name parameters as `${Name}`."""
    place = "${AWS::Region}" if region else ""
    owner = "${AWS::AccountId}" if account else ""
    return Sub(f"arn:${{AWS::Partition}}:{service}:{place}:{owner}:{resource}")


def iam_arn(resource: str) -> Sub:
    """Make the ARN of a role or policy of the own account; IAM has no region."""
    return arn("iam", resource, region=False)


def account_root(account: Any = AccountId) -> dict[str, Any]:
    """Name an account as principal: a policy that names a role is refused while the role does not exist."""
    if account is AccountId:
        return {"AWS": iam_arn("root")}
    return {"AWS": Sub("arn:${AWS::Partition}:iam::${Account}:root", Account=account)}


def trust(service: str, *actions: str, source: Sub | None = None) -> dict[str, Any]:
    """Let a service of AWS assume a role, on behalf of this account only (confused deputy).

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html"""
    condition: dict[str, Any] = {"StringEquals": {"aws:SourceAccount": AccountId}}
    if source is not None:
        condition["ArnLike"] = {"aws:SourceArn": source}
    return document(
        {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": list(actions) or ["sts:AssumeRole"],
            "Condition": condition,
        }
    )


def role(
    name: str,
    description: str,
    trusted: dict[str, Any],
    statements: Sequence[Any],
    boundary: Any,
    *,
    path: Any = PLATFORM_PATH,
    **more: Any,
) -> Role:
    """Make a role with one inline policy, on our path and under the boundary."""
    if statements:
        more["Policies"] = [Policy(PolicyName=name, PolicyDocument=document(*statements))]
    return Role(
        name, Path=path, Description=description, AssumeRolePolicyDocument=trusted, PermissionsBoundary=boundary, **more
    )


def encrypt_logs(key_arn: Any) -> Statement:
    """Let a writer of an encrypted log group use its key, as CloudWatch Logs asks of writers.

    Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html"""
    return allow("EncryptLogs", LOG_KEY_USE, key_arn, via("logs"))


def via(*services: str) -> dict[str, Any]:
    """Make the condition that a key is used through these services of the region."""
    hosts: list[Any] = [Sub(f"{service}.${{AWS::Region}}.${{AWS::URLSuffix}}") for service in services]
    return {"StringEquals": {"kms:ViaService": hosts if len(hosts) > 1 else hosts[0]}}


def _statement(
    effect: str, sid: str, actions: Any, resources: Any, condition: Any, principal: Mapping[str, Any]
) -> Statement:
    body: Statement = {"Sid": sid, "Effect": effect, **principal, "Action": actions}
    if resources is not None:
        body["Resource"] = resources
    if condition:
        body["Condition"] = condition
    return body
