"""A small platform to prove things of: a base, its catalogue with one launch role, and one product. It is proved as it stands."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import pytest

from generators.kit.builder import Builder
from generators.kit.registry import Generator, Rendered
from generators.kit.stack import Launch, Product, Trial
from generators.kit.stack import Stack as Card
from proofs.scene import Library
from rehearsal.schemas import Registry

PARTITION = "arn:${AWS::Partition}"
HERE = "${AWS::Region}:${AWS::AccountId}"
STACKS = [f"cloudformation:{verb}" for verb in (
    "CreateStack", "DeleteStack", "DescribeStackEvents", "DescribeStacks", "SetStackPolicy", "TagResource", "UntagResource",
    "UpdateStack")]  # fmt: skip
PARAMETERS = [
    f"ssm:{verb}"
    for verb in (
        "AddTagsToResource",
        "DeleteParameter",
        "GetParameters",
        "ListTagsForResource",
        "PutParameter",
        "RemoveTagsFromResource",
    )
]
ROLES = [f"iam:{verb}" for verb in (
    "DeleteRole", "GetRole", "ListAttachedRolePolicies", "ListRolePolicies", "ListRoleTags", "PutRolePermissionsBoundary",
    "TagRole", "UntagRole", "UpdateAssumeRolePolicy")]  # fmt: skip


def sub(text: str) -> dict[str, str]:
    """Make a Fn::Sub."""
    return {"Fn::Sub": text}


def allow(sid: str, actions: Any, resource: Any, condition: Any = None) -> dict[str, Any]:
    """Make a statement."""
    found = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}
    return found | ({"Condition": condition} if condition else {})


def document(*statements: Any) -> dict[str, Any]:
    """Make a policy document."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


BOUNDARY = {
    "Type": "AWS::IAM::ManagedPolicy",
    "Properties": {"Path": "/mlops/boundary/", "PolicyDocument": document(
        allow("Most", ["cloudformation:*", "iam:*", "lambda:*", "s3:*", "ssm:*"], "*"),
        {"Sid": "RolesCarryABoundary", "Effect": "Deny", "Action": "iam:CreateRole", "Resource": "*",
         "Condition": {"ArnNotLike": {"iam:PermissionsBoundary": sub(f"{PARTITION}:iam::${{AWS::AccountId}}:policy/mlops/*")}}},
    )},
}  # fmt: skip
BASE: dict[str, Any] = {
    "Parameters": {"Prefix": {"Type": "String", "Default": "acme", "AllowedPattern": "[a-z]{1,20}"}},
    "Resources": {
        "PermissionsBoundary": BOUNDARY,
        "BoundaryFact": {"Type": "AWS::SSM::Parameter", "Properties": {
            "Name": "/mlops/infra/boundary", "Type": "String", "Value": {"Ref": "PermissionsBoundary"}}},
        "HelperFunction": {"Type": "AWS::Lambda::Function", "Properties": {
            "Role": "arn:aws:iam::123456789012:role/x", "Code": {"ZipFile": "x"}}},
        "FunctionFact": {"Type": "AWS::SSM::Parameter", "Properties": {
            "Name": "/mlops/infra/function", "Type": "String", "Value": {"Fn::GetAtt": ["HelperFunction", "Arn"]}}},
        "Catalogue": {"Type": "AWS::CloudFormation::Stack", "Properties": {
            "TemplateURL": sub("https://${Prefix}-x.s3.${AWS::Region}.${AWS::URLSuffix}/v1/templates/catalogue.yaml"),
            "Parameters": {"BoundaryArn": {"Ref": "PermissionsBoundary"},
                           "FunctionArn": {"Fn::GetAtt": "HelperFunction.Arn"}}}},
    },
}  # fmt: skip
CATALOGUE: dict[str, Any] = {
    "Parameters": {"BoundaryArn": {"Type": "String"}, "FunctionArn": {"Type": "String"}},
    "Resources": {
        "Product": {"Type": "AWS::ServiceCatalog::CloudFormationProduct", "Properties": {
            "Name": "product", "Owner": "us", "ProvisioningArtifactParameters": [{"Info": {
                "LoadTemplateFromURL": sub("https://b.s3.${AWS::Region}.${AWS::URLSuffix}/v1/templates/product.yaml")}}]}},
        "LaunchRole": {"Type": "AWS::IAM::Role", "Properties": {
            "Path": "/mlops/platform/", "PermissionsBoundary": {"Ref": "BoundaryArn"},
            "AssumeRolePolicyDocument": document(),
            "Policies": [{"PolicyName": "Launch", "PolicyDocument": document(
                allow("Stacks", STACKS, sub(f"{PARTITION}:cloudformation:{HERE}:stack/SC-*")),
                allow("Templates", ["cloudformation:GetTemplateSummary", "cloudformation:ValidateTemplate"], "*"),
                allow("Template", "s3:GetObject", "*",
                      {"StringEquals": {"s3:ExistingObjectTag/servicecatalog:provisioning": "true"}}),
                allow("Facts", ["ssm:GetParameter", "ssm:GetParameters"], sub(f"{PARTITION}:ssm:{HERE}:parameter/mlops/infra/*")),
                allow("Parameters", PARAMETERS, sub(f"{PARTITION}:ssm:{HERE}:parameter/mlops/projects/*")),
                allow("NewRoles", "iam:CreateRole", sub(f"{PARTITION}:iam::${{AWS::AccountId}}:role/mlops/*"),
                      {"StringEquals": {"iam:PermissionsBoundary": {"Ref": "BoundaryArn"}}}),
                allow("Roles", ROLES, sub(f"{PARTITION}:iam::${{AWS::AccountId}}:role/mlops/*")),
                allow("Function", "lambda:InvokeFunction", {"Ref": "FunctionArn"}),
            )}]}},
        "Launch": {"Type": "AWS::ServiceCatalog::LaunchRoleConstraint", "Properties": {
            "PortfolioId": "port-1", "ProductId": {"Ref": "Product"}, "RoleArn": {"Fn::GetAtt": ["LaunchRole", "Arn"]}}},
    },
}  # fmt: skip
PRODUCT: dict[str, Any] = {
    "Parameters": {
        "ProjectName": {"Type": "String", "AllowedPattern": "[a-z]+", "MaxLength": 20},
        "Note": {"Type": "String", "Default": "", "MaxLength": 50},
    },
    "Conditions": {"HasNote": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Note"}, ""]}]}},
    "Resources": {
        "Settings": {"Type": "AWS::SSM::Parameter", "Properties": {
            "Name": sub("/mlops/projects/${ProjectName}/settings"), "Type": "String", "Value": "{}",
            "Tags": {"CostCenter": "1"}}},
        "Note": {"Type": "AWS::SSM::Parameter", "Condition": "HasNote", "Properties": {
            "Name": sub("/mlops/projects/${ProjectName}/note"), "Type": "String", "Value": {"Ref": "Note"}}},
        "ProjectRole": {"Type": "AWS::IAM::Role", "Properties": {
            "Path": sub("/mlops/${ProjectName}/"), "AssumeRolePolicyDocument": document(),
            "PermissionsBoundary": "{{resolve:ssm:/mlops/infra/boundary}}"}},
        "Told": {"Type": "AWS::CloudFormation::CustomResource", "Properties": {
            "ServiceToken": "{{resolve:ssm:/mlops/infra/function}}"}},
    },
}  # fmt: skip


def may_launch(given: Any) -> list[Any]:
    """Stand for what a card says of its launch role."""
    return []


CARDS = {
    "base": Card("base", "Base", "s", "a", (), Trial({}), launch=Launch("mlops")),
    "catalogue": Card("catalogue", "Catalogue", "s", "a", (), Trial({"BoundaryArn": "b", "FunctionArn": "f"}), nested_in="base"),
    "product": Card("product", "Product", "s", "a", (), Trial({"ProjectName": "churn"}), needs=("base",),
                    product=Product("P", "d", "LaunchRole", may_launch)),
}  # fmt: skip
Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="session")
def registry() -> Registry:
    """Give AWS's data."""
    return Registry()


@pytest.fixture
def platform(registry: Registry) -> Callable[..., Library]:
    """Give a function that makes the small platform, after changes to its templates by name."""

    def made(**changes: Change) -> Library:
        bodies = copy.deepcopy({"base": BASE, "catalogue": CATALOGUE, "product": PRODUCT})
        for name, change in changes.items():
            change(bodies[name])
        return Library(
            tuple(
                Rendered(
                    Generator(card, lambda b: None, f"generators/{name}.py"), cast(Builder, None), bodies[name], "text"
                )
                for name, card in CARDS.items()
            ),
            registry,
        )

    return made


@pytest.fixture(scope="session")
def ours(registry: Registry) -> Callable[..., Library]:
    """Give a function that makes the library of this project, after changes to its templates by name."""
    from generators.kit.registry import rendered

    def made(**changes: Change) -> Library:
        items = []
        for item in rendered():
            change = changes.get(item.stack.name.replace("-", "_").lstrip("0123456789_"))
            body = item.body
            if change:
                body = copy.deepcopy(item.body)
                change(body)
            items.append(Rendered(item.generator, item.builder, body, item.text))
        return Library(tuple(items), registry)

    return made


def statements(catalogue: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the statements of the small platform's launch role."""
    policy = catalogue["Resources"]["LaunchRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    return cast(list[dict[str, Any]], policy["Statement"])
