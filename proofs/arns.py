"""ARNs and references in the forms AWS documents, for the types of our templates whose form no registry schema tells.

Source: the column "ARN" of "Resource types" on each service's page of
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html,
and "Return values" of each type's page in the CloudFormation template reference."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

# Placeholders: the place, `name`, `uuid`, `hex` (17 digits), and properties by their own names.
ARNS = {
    "AWS::Budgets::Budget": "arn:{partition}:budgets::{account}:budget/{name}",
    "AWS::CloudFormation::Stack": "arn:{partition}:cloudformation:{region}:{account}:stack/{name}/{uuid}",
    "AWS::CodeBuild::Project": "arn:{partition}:codebuild:{region}:{account}:project/{name}",
    "AWS::CodeCommit::Repository": "arn:{partition}:codecommit:{region}:{account}:{name}",
    "AWS::CodePipeline::Pipeline": "arn:{partition}:codepipeline:{region}:{account}:{name}",
    "AWS::ECR::Repository": "arn:{partition}:ecr:{region}:{account}:repository/{name}",
    "AWS::IAM::ManagedPolicy": "arn:{partition}:iam::{account}:policy{Path}{name}",
    "AWS::IAM::Role": "arn:{partition}:iam::{account}:role{Path}{name}",
    "AWS::KMS::Alias": "arn:{partition}:kms:{region}:{account}:{AliasName}",
    "AWS::KMS::Key": "arn:{partition}:kms:{region}:{account}:key/{uuid}",
    "AWS::Logs::LogGroup": "arn:{partition}:logs:{region}:{account}:log-group:{name}:*",
    "AWS::S3::Bucket": "arn:{partition}:s3:::{name}",
    "AWS::SNS::Topic": "arn:{partition}:sns:{region}:{account}:{name}",
    "AWS::SQS::Queue": "arn:{partition}:sqs:{region}:{account}:{name}",
    "AWS::SSM::Parameter": "arn:{partition}:ssm:{region}:{account}:parameter{Name}",
    "AWS::SageMaker::UserProfile": "arn:{partition}:sagemaker:{region}:{account}:user-profile/{DomainId}/{UserProfileName}",
    "AWS::StepFunctions::StateMachine": "arn:{partition}:states:{region}:{account}:stateMachine:{name}",
}
# Ids in the form that AWS gives them today: policies that name them are as long as in an account.
IDS = {
    "AWS::EC2::SecurityGroup": ("sg-{hex}", ("GroupId", "Id")),
    "AWS::EC2::Subnet": ("subnet-{hex}", ("SubnetId",)),
    "AWS::EC2::VPC": ("vpc-{hex}", ("VpcId",)),
    "AWS::KMS::Key": ("{uuid}", ("KeyId",)),
}
# What Ref answers, where it is neither the name nor the schema's identifier.
REFS = {
    "AWS::CloudFormation::Stack": ARNS["AWS::CloudFormation::Stack"],
    "AWS::IAM::ManagedPolicy": ARNS["AWS::IAM::ManagedPolicy"],
    "AWS::IAM::RolePolicy": "{PolicyName}",
    **{type_: form for type_, (form, _) in IDS.items()},
    "AWS::SNS::Topic": ARNS["AWS::SNS::Topic"],
    "AWS::SQS::Queue": "https://sqs.{region}.{suffix}/{account}/{name}",
    "AWS::SageMaker::UserProfile": "{UserProfileName}",
    "AWS::StepFunctions::StateMachine": ARNS["AWS::StepFunctions::StateMachine"],
}
# Types whose own property holds the name; others are named as CloudFormation names them.
NAMES = {
    "AWS::Budgets::Budget": ("Budget", "BudgetName"),
    "AWS::CodeBuild::Project": ("Name",),
    "AWS::CodeCommit::Repository": ("RepositoryName",),
    "AWS::CodePipeline::Pipeline": ("Name",),
    "AWS::ECR::Repository": ("RepositoryName",),
    "AWS::IAM::ManagedPolicy": ("ManagedPolicyName",),
    "AWS::IAM::Role": ("RoleName",),
    "AWS::Logs::LogGroup": ("LogGroupName",),
    "AWS::S3::Bucket": ("BucketName",),
    "AWS::SNS::Topic": ("TopicName",),
    "AWS::SQS::Queue": ("QueueName",),
    "AWS::StepFunctions::StateMachine": ("StateMachineName",),
}
# Attributes that name the ARN, and those that are the name.
OF_ARN = ("Arn", "PolicyArn", "TopicArn", "UserProfileArn")
OF_NAME = ("Name", "QueueName", "TopicName")
_LOWER = ("AWS::ECR::Repository", "AWS::S3::Bucket")
# Longest names that CloudFormation makes; beyond it shortens stack name and logical id.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-name.html
_LONGEST = {"AWS::IAM::Role": 64, "AWS::S3::Bucket": 63, "AWS::SQS::Queue": 80, "AWS::StepFunctions::StateMachine": 80}


def mark(*parts: str) -> str:
    """Give 32 hexadecimal digits that are always the same for the same parts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def uuid(*parts: str) -> str:
    """Give a UUID that is always the same for the same parts."""
    digits = mark(*parts)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def generated(type_: str, stack: str, logical_id: str) -> str:
    """Name a resource as CloudFormation does: stack, logical id, twelve letters and digits."""
    tail = mark(type_, stack, logical_id)[:12].upper()
    longest = _LONGEST.get(type_, 255)
    if len(stack) + len(logical_id) + 14 > longest:
        room = longest - 14
        logical_id = logical_id[: max(24, room - len(stack))]
        stack = stack[: room - len(logical_id)]
    name = f"{stack}-{logical_id}-{tail}"
    return name.lower() if type_ in _LOWER else name


def name_of(type_: str, properties: Mapping[str, Any], stack: str, logical_id: str) -> str:
    """Give a resource's name: the template's own, or one that CloudFormation makes."""
    value: Any = properties
    for step in NAMES.get(type_, ()):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else generated(type_, stack, logical_id)
