"""Which resource an action of a handler is asked for: the resource itself, or what its properties point at.

Source of what each action takes: https://docs.aws.amazon.com/service-authorization/latest/reference/
reference_policies_actions-resources-contextkeys.html, as cfn-lint ships it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from proofs.resolver import Resource

ANY = "*"


@dataclass(frozen=True)
class Account:
    """What stands in the account, by ARN: the base, the catalogue, and the stack that is launched."""

    by_arn: Mapping[str, Resource]

    def find(self, arn: str) -> Resource | None:
        """Give the resource with an ARN, None for one that no template makes."""
        return self.by_arn.get(arn)

    def role_named(self, name: str) -> Resource | None:
        """Give the role with a name."""
        found = (item for item in self.by_arn.values() if item.type == "AWS::IAM::Role" and item.name == name)
        return next(found, None)


def account_of(resources: Iterator[Resource]) -> Account:
    """Collect what stands in the account."""
    return Account({resource.arn: resource for resource in resources if resource.arn})


class NoTarget(Exception):
    """Nothing says which resource an action is asked for."""


Target = Callable[[Resource, Account], list[str]]


def arns(resource: Resource, action: str, account: Account, known: Mapping[str, Any]) -> list[str]:
    """Give the ARNs that an action is asked for, `*` for an action that takes no resource. Raises NoTarget."""
    service, _, verb = action.lower().partition(":")
    kinds = known[service]["Actions"][verb].get("Resources", ())
    if not kinds:
        return [ANY]
    for (type_, pattern), target in TARGETS.items():
        if resource.type == type_ and re.fullmatch(pattern, action):
            return target(resource, account)
    own = resource.arn
    if own and any(_fits(own, form) for kind in kinds for form in known[service]["Resources"][kind]["ARNFormats"]):
        return [own]
    raise NoTarget(f"nothing says which resource {action} of {resource.type} is asked for")


def role_arn(name: str, account: Account, resource: Resource) -> str:
    """Give the ARN of a role by name, with its path when a template makes it."""
    found = account.role_named(name)
    place = resource.stack.world.place
    return (found.arn if found else None) or f"arn:{place.partition}:iam::{place.account}:role/{name}"


def key_arn(key: str, resource: Resource) -> str:
    """Give the ARN of a key named by its ARN or id."""
    return key if key.startswith("arn:") else resource.stack.world.place.arn("kms", f"key/{key}")


def _fits(arn: str, form: str) -> bool:
    pattern = re.sub(r"\$\{\w+\}", "[^:]*", form.replace(".*", "\0"))
    return re.fullmatch(pattern.replace("\0", ".*"), arn) is not None


def _at(path: str) -> Callable[[Resource], Any]:
    def value(resource: Resource) -> Any:
        found: Any = resource.properties
        for step in path.split("/"):
            found = found.get(step) if isinstance(found, Mapping) else None
        return found

    return value


def _arn_at(path: str) -> Target:
    def target(resource: Resource, account: Account) -> list[str]:
        found = _at(path)(resource)
        return [found] if isinstance(found, str) else list(found or ())

    return target


def _key_at(path: str) -> Target:
    return lambda resource, account: [key_arn(_at(path)(resource), resource)]


def _code(resource: Resource, account: Account) -> list[str]:
    code = _at("Code/S3")(resource)
    return [f"arn:{resource.stack.world.place.partition}:s3:::{code['Bucket']}/{code['Key']}"]


def _bucket(resource: Resource, account: Account) -> list[str]:
    return [f"arn:{resource.stack.world.place.partition}:s3:::{resource.properties['Bucket']}"]


def _alias(resource: Resource, account: Account) -> list[str]:
    # The permission is asked for twice, for the alias and for its key:
    # https://docs.aws.amazon.com/kms/latest/developerguide/alias-access.html
    return [str(resource.arn), key_arn(resource.properties["TargetKeyId"], resource)]


def _named_role(resource: Resource, account: Account) -> list[str]:
    return [role_arn(resource.properties["RoleName"], account, resource)]


def _carriers(resource: Resource, account: Account) -> list[str]:
    return [role_arn(name, account, resource) for name in resource.properties.get("Roles", ())]


def _closed_stages(resource: Resource, account: Account) -> list[str]:
    # https://docs.aws.amazon.com/codepipeline/latest/userguide/permissions-reference.html: arn:...:PIPELINE/STAGE
    closed = resource.properties["DisableInboundStageTransitions"]
    return [f"{resource.arn}/{stage['StageName']}" for stage in closed]


# By type and pattern of actions, first match: what else than the resource itself.
TARGETS: Mapping[tuple[str, str], Target] = {
    ("AWS::CodeBuild::Project", r"iam:\w+"): _arn_at("ServiceRole"),
    ("AWS::CodeCommit::Repository", r"kms:\w+"): _key_at("KmsKeyId"),
    ("AWS::CodeCommit::Repository", r"s3:\w+"): _code,
    ("AWS::CodePipeline::Pipeline", r"codepipeline:(Dis|En)ableStageTransition"): _closed_stages,
    ("AWS::CodePipeline::Pipeline", r"iam:\w+"): _arn_at("RoleArn"),
    ("AWS::ECR::Repository", r"kms:\w+"): _key_at("EncryptionConfiguration/KmsKey"),
    ("AWS::IAM::ManagedPolicy", r"iam:(At|De)tachRolePolicy"): _carriers,
    ("AWS::IAM::RolePolicy", r"iam:\w+"): _named_role,
    ("AWS::KMS::Alias", r"kms:(Create|Update|Delete)Alias"): _alias,
    ("AWS::S3::BucketPolicy", r"s3:\w+"): _bucket,
    ("AWS::SNS::Subscription", r"sns:\w+"): _arn_at("TopicArn"),
    ("AWS::SNS::TopicPolicy", r"sns:\w+"): _arn_at("Topics"),
    ("AWS::SageMaker::UserProfile", r"iam:PassRole"): _arn_at("UserSettings/ExecutionRole"),
}
# Whom a role is passed to.
PASSED_TO = {
    "AWS::CodeBuild::Project": "codebuild.amazonaws.com",
    "AWS::CodePipeline::Pipeline": "codepipeline.amazonaws.com",
    "AWS::SageMaker::UserProfile": "sagemaker.amazonaws.com",
}
