"""What every launch role of the catalogue needs, whatever its product makes, and how a product names what it was given."""

from __future__ import annotations

from typing import Any

from troposphere import AccountId, Ref, Sub

from generators.kit import contracts
from generators.kit.iam import Statement, allow, arn

CHANGE_STACKS = [f"cloudformation:{action}" for action in (
    "CancelUpdateStack", "ContinueUpdateRollback", "CreateChangeSet", "CreateStack", "DeleteChangeSet", "DeleteStack",
    "DescribeChangeSet", "DescribeEvents", "DescribeStackEvents", "DescribeStackResources", "DescribeStacks",
    "ExecuteChangeSet", "GetTemplate", "ListChangeSets", "ListStackResources", "SetStackPolicy", "TagResource", "UntagResource",
    "UpdateStack")]  # fmt: skip


class Given:
    """The catalogue's parameters, as a product's launch role names them."""

    def __init__(self, answers: dict[str, Ref]) -> None:
        self._answers = answers

    def __getitem__(self, name: str) -> Ref:
        return self._answers[name]

    def call(self, *functions: str) -> Statement:
        """Let custom resources call these functions: CloudFormation does it in the name of whoever launches."""
        return allow("CallFunctions", "lambda:InvokeFunction", [self[name] for name in functions])

    def nested(self, *templates: str) -> list[Statement]:
        """Let the product nest templates of the release."""
        keys = [Sub(f"arn:${{AWS::Partition}}:s3:::${{AssetsBucketPrefix}}-${{AWS::Region}}/v*/templates/{name}.yaml")
                for name in templates]  # fmt: skip
        return [allow("NestedTemplates", "s3:GetObject", keys)]


def common() -> list[Any]:
    """Give what Service Catalog asks of every launch role.

    Source: https://docs.aws.amazon.com/servicecatalog/latest/adminguide/constraints-launch.html"""
    return [
        allow("Stacks", CHANGE_STACKS, arn("cloudformation", "stack/SC-*")),
        allow("Templates", ["cloudformation:GetTemplateSummary", "cloudformation:ValidateTemplate"], "*"),
        # The page asks for this very string: Service Catalog keeps templates in a bucket of its own.
        allow("TemplateOfTheProduct", "s3:GetObject", "*",
              {"StringEquals": {"s3:ExistingObjectTag/servicecatalog:provisioning": "true"}}),
        allow("Release", ["s3:GetObject", "s3:GetObjectVersion"],
              Sub("arn:${AWS::Partition}:s3:::${AssetsBucketPrefix}-${AWS::Region}/v*")),
        allow("FactsOfThePlatform", ["ssm:GetParameter", "ssm:GetParameters"], arn("ssm", f"parameter{contracts.INFRA}/*")),
    ]  # fmt: skip


def trusted() -> dict[str, Any]:
    """Let Service Catalog take the role, for this account: it knows no ARN narrower than that."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "servicecatalog.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": AccountId},
                    "ArnLike": {"aws:SourceArn": arn("servicecatalog", "*")},
                },
            }
        ],
    }
