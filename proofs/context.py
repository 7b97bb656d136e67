"""What a request of CloudFormation carries for conditions, when it acts in the name of a launch role.

A key that is neither here nor among the reviewed ones is an error: whether it is sent is then not known. Keys by action:
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html,
global ones: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from proofs.handlers import TAGGING
from proofs.resolver import Place, Resource
from proofs.targets import PASSED_TO, Account

Context = Mapping[str, str | tuple[str, ...]]
# Keys of which is known when they are sent: their absence is real. Those ending in `/` stand for all that begin so.
REVIEWED = frozenset({
    "aws:calledvia", "aws:calledviafirst", "aws:calledvialast", "aws:principaltag/", "aws:requesttag/", "aws:resourcetag/",
    "aws:tagkeys", "cloudformation:rolearn", "ecr:resourcetag/", "iam:passedtoservice", "iam:permissionsboundary",
    "iam:policyarn", "iam:resourcetag/", "kms:calleraccount", "kms:grantisforawsresource", "kms:viaservice",
    "s3:existingobjecttag/", "sagemaker:resourcetag/", "sagemaker:taggingaction", "sns:endpoint", "sns:protocol",
    "ssm:overwrite",
})  # fmt: skip
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_iam.html
_BOUNDARY_OF_ROLE = frozenset(
    f"iam:{verb}"
    for verb in ("AttachRolePolicy", "CreateRole", "DeleteRole", "DeleteRolePermissionsBoundary", "DeleteRolePolicy",
                 "DetachRolePolicy", "GetRole", "PutRolePermissionsBoundary", "PutRolePolicy", "UpdateAssumeRolePolicy",
                 "UpdateRole", "UpdateRoleDescription")
)  # fmt: skip
# Actions that make something and take its tags with it.
_CREATING = frozenset({
    "codecommit:CreateRepository", "ecr:CreateRepository", "iam:CreateRole", "kms:CreateKey", "sagemaker:CreateCodeRepository",
    "sagemaker:CreateModelPackageGroup", "sagemaker:CreateUserProfile", "sns:CreateTopic", "ssm:PutParameter",
    "cloudformation:CreateStack",
})  # fmt: skip
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_sagemaker.html: what AddTags is part of.
_TAGGED_BY = {
    "AWS::SageMaker::CodeRepository": "CreateCodeRepository",
    "AWS::SageMaker::ModelPackageGroup": "CreateModelPackageGroup",
    "AWS::SageMaker::UserProfile": "CreateUserProfile",
}
_THROUGH = {"AWS::CodeCommit::Repository": "codecommit", "AWS::ECR::Repository": "ecr"}
# Every resource that Service Catalog launches gets these, and they never change:
# https://docs.aws.amazon.com/servicecatalog/latest/adminguide/autotags.html
_AUTO_TAGS = tuple(
    f"aws:servicecatalog:{name}"
    for name in ("portfolioArn", "productArn", "provisionedProductArn", "provisioningArtifactIdentifier",
                 "provisioningPrincipalArn")
)  # fmt: skip
# What an update changes among the tags of our own: the others stay what they were.
_MAY_CHANGE = "CostCenter"


def of_caller(role: Resource, place: Place) -> dict[str, str | tuple[str, ...]]:
    """Give what every request of a session of the role carries."""
    return {
        "aws:principalaccount": place.account,
        "aws:principalarn": str(role.arn),
        "aws:principaltype": "AssumedRole",
        "aws:requestedregion": place.region,
        "aws:securetransport": "true",
        **{f"aws:principaltag/{key.lower()}": value for key, value in tags_of(role).items()},
    }


def principals_of(role: Resource, place: Place) -> frozenset[str]:
    """Give the names by which a resource's policy may mean a session of the role: an account stands for all in it."""
    root = f"arn:{place.partition}:iam::{place.account}:root"
    return frozenset({"*", "AWS:*", f"AWS:{place.account}", f"AWS:{root}", f"AWS:{role.arn}"})


def of_request(resource: Resource, action: str, arn: str, phase: str, account: Account) -> Iterator[Context]:
    """Give the contexts that a handler's request may have: one, or several where it asks more than once."""
    place = resource.stack.world.place
    service = action.partition(":")[0]
    found: dict[str, str | tuple[str, ...]] = {
        "aws:calledvia": ("cloudformation.amazonaws.com",), "aws:calledviafirst": "cloudformation.amazonaws.com",
        "aws:calledvialast": "cloudformation.amazonaws.com", "aws:viaawsservice": "true",
    }  # fmt: skip
    if service != "s3":  # a bucket or object may be another account's
        found["aws:resourceaccount"] = place.account
    found |= _tags(resource, action, phase)
    found |= _resource_tags(resource, action, arn, phase, account)
    if service == "kms":
        found["kms:calleraccount"] = place.account
        if resource.type in _THROUGH:
            found["kms:viaservice"] = f"{_THROUGH[resource.type]}.{place.region}.{place.suffix}"
        if action == "kms:CreateGrant":
            found["kms:grantisforawsresource"] = "true"
    if action == "iam:PassRole" and resource.type in PASSED_TO:
        found["iam:passedtoservice"] = PASSED_TO[resource.type]
    if action in _BOUNDARY_OF_ROLE:
        role = account.find(arn)
        boundary = role.properties.get("PermissionsBoundary") if role else None
        if isinstance(boundary, str):
            found["iam:permissionsboundary"] = boundary
    if action == "sagemaker:AddTags" and phase == "create" and resource.type in _TAGGED_BY:
        found["sagemaker:taggingaction"] = _TAGGED_BY[resource.type]
    if action == "ssm:PutParameter":
        found["ssm:overwrite"] = "false" if phase == "create" else "true"
    if action == "sns:Subscribe":
        found["sns:protocol"] = str(resource.properties.get("Protocol", ""))
        found["sns:endpoint"] = str(resource.properties.get("Endpoint", ""))
    if action in ("iam:AttachRolePolicy", "iam:DetachRolePolicy"):
        own = resource.arn if resource.type == "AWS::IAM::ManagedPolicy" else None
        for policy in [own] if own else resource.properties.get("ManagedPolicyArns", ()):
            yield {**found, "iam:policyarn": policy}
    else:
        yield found


def tags_of(resource: Resource) -> dict[str, str]:
    """Give the tags of a resource as the template sets them."""
    found: Any = resource.properties.get("Tags", resource.properties.get("ResourceTags", ()))
    if isinstance(found, Mapping):
        return {str(key): str(value) for key, value in found.items()}
    return {str(tag["Key"]): str(tag["Value"]) for tag in found}


def _tags(resource: Resource, action: str, phase: str) -> dict[str, str | tuple[str, ...]]:
    """Give the tags that a request sets: all when it makes the resource, else only what changes."""
    own = tags_of(resource)
    creates = action in _CREATING and phase == "create"
    if not creates and action not in TAGGING:
        return {}
    # S3's older action sends its tags where conditions don't see them.
    if action == "s3:PutBucketTagging":
        return {}
    if phase == "create":
        keys = (*own, *_AUTO_TAGS)
        values = own
    else:
        values = {_MAY_CHANGE: own[_MAY_CHANGE]} if _MAY_CHANGE in own else {}
        keys = tuple(values)
        if not keys:
            return {}
    if "Untag" in action or action in ("sagemaker:DeleteTags", "ssm:RemoveTagsFromResource"):
        return {"aws:tagkeys": tuple(values)} if values else {}
    return {"aws:tagkeys": keys, **{f"aws:requesttag/{key.lower()}": value for key, value in values.items()}}


def _resource_tags(
    resource: Resource, action: str, arn: str, phase: str, account: Account
) -> dict[str, str | tuple[str, ...]]:
    """Give the tags that the resource has already when the request comes."""
    holder = resource if arn == resource.arn else account.find(arn)
    # Tags of buckets count only once attribute-based access is switched on for each:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/buckets-tagging-enable-abac.html
    if holder is None or holder.type == "AWS::S3::Bucket":
        return {}
    makes = phase == "create" and (action in _CREATING or action in TAGGING)
    if makes and holder is resource:
        return {}
    service = action.partition(":")[0]
    prefixes = ["aws:resourcetag"] + ([f"{service}:resourcetag"] if service in ("ecr", "iam", "sagemaker") else [])
    return {f"{prefix}/{key.lower()}": value for prefix in prefixes for key, value in tags_of(holder).items()}
