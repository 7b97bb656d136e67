"""What CloudFormation does in the name of whoever asked for a stack: the action that makes or deletes each resource, the
tagging that goes with it, and the roles that are passed on. Not every call of a handler: updates and reads are left out.

Source of the actions: https://docs.aws.amazon.com/service-authorization/latest/reference/ as cfn-lint ships it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rehearsal.ledger import Answer, Request

# Where the action is not Create or Delete and the type's own word.
_ACTIONS = {
    "AWS::IAM::RolePolicy": ("iam:PutRolePolicy", "iam:DeleteRolePolicy"),
    "AWS::KMS::Key": ("kms:CreateKey", "kms:ScheduleKeyDeletion"),
    "AWS::S3::BucketPolicy": ("s3:PutBucketPolicy", "s3:DeleteBucketPolicy"),
    "AWS::SNS::Subscription": ("sns:Subscribe", ""),
    "AWS::SNS::TopicPolicy": ("sns:SetTopicAttributes", ""),
    "AWS::SSM::Parameter": ("ssm:PutParameter", "ssm:DeleteParameter"),
}
_TAGGING = {
    "AWS::IAM::Role": "iam:TagRole",
    "AWS::S3::Bucket": "s3:PutBucketTagging",
    "AWS::SSM::Parameter": "ssm:AddTagsToResource",
}
_PREFIXES = {"StepFunctions": "states"}


@dataclass(frozen=True)
class Need:
    """An action on a resource, with the condition keys of the call."""

    action: str
    arn: str = "*"
    keys: Mapping[str, Any] = field(default_factory=dict)


def needed(request: Request, made: Answer, known: Mapping[str, Any], role_arn: Callable[[str], str]) -> Iterator[Need]:
    """List what a create or delete needs; `known` are the services' IAM actions, `role_arn` finds a role by its name."""
    given, kind = request.properties, request.type.rpartition("::")[2]
    if "ServiceToken" in given:
        yield Need("lambda:InvokeFunction", given["ServiceToken"])
        return
    service = request.type.split("::")[1]
    prefix = _PREFIXES.get(service, service.lower())
    creates = request.action == "create"
    action = _ACTIONS.get(request.type, (f"{prefix}:Create{kind}", f"{prefix}:Delete{kind}"))[0 if creates else 1]
    row = known.get(prefix, {}).get("Actions", {}).get(action.partition(":")[2].lower())
    if row is None:
        return
    arn = _arn(request, made, role_arn)
    tags = _tags(given.get("Tags"))
    asked: dict[str, Any] = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    asked |= {"aws:TagKeys": list(tags)} if tags else {}
    held = {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
    boundary = {"iam:PermissionsBoundary": given["PermissionsBoundary"]} if "PermissionsBoundary" in given else {}
    yield Need(action, arn if row.get("Resources") else "*", {**(asked if creates else held), **boundary})
    if request.type == "AWS::IAM::Role":
        verb = "Put" if creates else "Delete"
        yield from (Need(f"iam:{verb}RolePolicy", arn, boundary) for _ in given.get("Policies", []))
        verb = "Attach" if creates else "Detach"
        yield from (
            Need(f"iam:{verb}RolePolicy", arn, {**boundary, "iam:PolicyARN": policy})
            for policy in given.get("ManagedPolicyArns", [])
        )
    if not creates:
        return
    if tags and prefix == "sagemaker":
        yield Need("sagemaker:AddTags", arn, {**asked, "sagemaker:TaggingAction": action.partition(":")[2]})
    elif tags:
        tagging = _TAGGING.get(request.type, f"{prefix}:TagResource")
        if tagging.partition(":")[2].lower() in known.get(prefix, {}).get("Actions", {}):
            yield Need(tagging, arn, {**asked, **held})
    for role in set(_roles(given)):
        yield Need("iam:PassRole", role, {"iam:PassedToService": f"{prefix}.amazonaws.com"})


def _arn(request: Request, made: Answer, role_arn: Callable[[str], str]) -> str:
    given, kind, name = request.properties, request.type.rpartition("::")[2], made.physical_id
    place = f"{request.region}:{request.account}"
    by_name = {
        "AWS::IAM::RolePolicy": lambda: role_arn(given["RoleName"]),
        "AWS::KMS::Alias": lambda: f"arn:aws:kms:{place}:{given['AliasName']}",
        "AWS::KMS::Key": lambda: f"arn:aws:kms:{place}:key/{name}",
        "AWS::S3::Bucket": lambda: f"arn:aws:s3:::{name}",
        "AWS::S3::BucketPolicy": lambda: f"arn:aws:s3:::{given['Bucket']}",
        "AWS::SNS::Subscription": lambda: str(given["TopicArn"]),
        "AWS::SNS::TopicPolicy": lambda: str(given["Topics"][0]),
        "AWS::SSM::Parameter": lambda: f"arn:aws:ssm:{place}:parameter{name}",
        "AWS::IAM::Role": lambda: role_arn(name),
    }
    if request.type in by_name:
        return by_name[request.type]()
    return str(made.attributes.get("Arn") or made.attributes.get(f"{kind}Arn") or name)


def _tags(given: Any) -> dict[str, str]:
    """Give a template's tags as a mapping, without CloudFormation's own."""
    pairs = given.items() if isinstance(given, dict) else ((tag["Key"], tag["Value"]) for tag in given or ())
    return {str(key): str(value) for key, value in pairs if not str(key).startswith("aws:")}


def _roles(value: Any, name: str = "") -> Iterator[str]:
    """Find the roles that properties hand on to a service."""
    if isinstance(value, str) and name in ("ExecutionRole", "Role", "RoleArn", "ServiceRole") and ":role/" in value:
        yield value
    for key, member in value.items() if isinstance(value, dict) else ():
        yield from _roles(member, key)
    for item in value if isinstance(value, list) else ():
        yield from _roles(item)
