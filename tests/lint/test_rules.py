"""Every rule of our own finds the bad template and leaves the good one alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tools.lint.model import Template
from tools.lint.rules import rules

Case = tuple[str, Mapping[str, Any], Mapping[str, Any]]
ROOT = {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}
IF_OWN = ["HasKey", {"Ref": "KeyArn"}, {"Ref": "AWS::NoValue"}]


def one(kind: str, name: str = "Thing", **properties: Any) -> dict[str, Any]:
    """Make a template with one resource."""
    return {"Resources": {name: {"Type": f"AWS::{kind}", "Properties": properties}}}


def says(kind: str, place: str, *statements: Any, name: str = "Thing", **more: Any) -> dict[str, Any]:
    """Make a template with one policy document."""
    return one(kind, name, **{place: {"Version": "2012-10-17", "Statement": list(statements)}}, **more)


def may(actions: Any, resources: Any = None, effect: str = "Allow", **more: Any) -> dict[str, Any]:
    """Make a statement."""
    return {"Effect": effect, "Action": actions} | ({} if resources is None else {"Resource": resources}) | more


def policy(*statements: Any, name: str = "Thing") -> dict[str, Any]:
    """Make a template with a managed policy."""
    return says("IAM::ManagedPolicy", "PolicyDocument", *statements, name=name)


def bucket(**changes: Any) -> dict[str, Any]:
    """Make a template with a private bucket, changed."""
    blocks = dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True)
    private = {
        "PublicAccessBlockConfiguration": blocks | changes.pop("blocks", {}),
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
    }
    return one("S3::Bucket", **private | changes)


def asks(groups: Any = None, **parameter: Any) -> dict[str, Any]:
    """Make a template with one parameter in a form."""
    form = {"ParameterGroups": groups or [{"Label": {"default": "General"}, "Parameters": ["Size"]}],
            "ParameterLabels": {"Size": {"default": "Size"}}}  # fmt: skip
    body = {"Type": "String", "Description": "How large it is."} | parameter
    return {"Metadata": {"AWS::CloudFormation::Interface": form}, "Parameters": {"Size": body}, "Resources": {}}


def boundary(*denied: str) -> dict[str, Any]:
    """Make a template with a permissions boundary."""
    return policy(may("*", "*"), may(list(denied), "*", "Deny"), name="ProjectBoundary")


def key(*statements: Any, **more: Any) -> dict[str, Any]:
    """Make a template with a key."""
    return says("KMS::Key", "KeyPolicy", *statements, **more)


def queue_policy(**statement: Any) -> dict[str, Any]:
    """Make a template with a queue policy that allows sending."""
    return says("SQS::QueuePolicy", "PolicyDocument", may("sqs:SendMessage", "*", **statement))


def domain(**settings: Any) -> dict[str, Any]:
    """Make a template with a private Studio domain, changed."""
    private = {"AppNetworkAccessType": "VpcOnly", "DefaultUserSettings": {"DefaultLandingUri": "studio::"}}
    return one("SageMaker::Domain", **private | settings)


def accepted(**reasons: str) -> dict[str, Any]:
    """Make a template with accepted findings."""
    return {"Resources": {"Thing": {"Type": "AWS::S3::Bucket", "Metadata": {"MlopsAccepted": reasons}}}}


REASON = "The access logs of the platform are written by S3 itself."
KEPT = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}
ESCAPES = (
    "iam:CreatePolicyVersion",
    "iam:DeletePolicy*",
    "iam:*RolePermissionsBoundary",
    "iam:SetDefaultPolicyVersion",
)
FAILS_TO = {"OnFailure": {"Destination": {"Fn::GetAtt": ["Queue", "Arn"]}}}

# Rule, bad, good.
CASES: list[Case] = [
    ("MLOPS001", accepted(MLOPS005="because"), accepted(MLOPS005=REASON)),
    ("MLOPS001", accepted(MLOPS_SSE=REASON), accepted(E3012=REASON, CKV_AWS_145=REASON)),
    ("MLOPS001", {"Metadata": {"cfn-lint": {"config": {"ignore_checks": ["W3"]}}}, "Resources": {}}, bucket()),
    ("MLOPS001",
     {"Resources": {"Thing": {"Type": "AWS::S3::Bucket", "Metadata": {"cfn-lint": {"config": {"ignore_checks": ["W3045"]}}}}}},
     accepted(W3045=REASON)),
    ("MLOPS002", bucket(blocks={"BlockPublicPolicy": False}), bucket()),
    ("MLOPS002", bucket(blocks={"IgnorePublicAcls": {"Fn::If": ["IsOpen", False, True]}}),
     bucket(blocks={"IgnorePublicAcls": "true"})),
    ("MLOPS002", bucket(AccessControl="PublicRead"), bucket(AccessControl="Private")),
    ("MLOPS002", one("S3::Bucket"), bucket()),
    ("MLOPS003", queue_policy(Principal="*"), queue_policy(Principal=ROOT)),
    ("MLOPS003", queue_policy(Principal={"AWS": ["*"]}),
     queue_policy(Principal="*", Condition={"StringEquals": {"aws:PrincipalOrgID": {"Ref": "Org"}}})),
    ("MLOPS003", queue_policy(Principal="*", Condition={"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}}),
     queue_policy(Principal="*", Condition={"ArnLike": {"aws:SourceArn": {"Fn::Sub": "arn:aws:sns:*:${AWS::AccountId}:*"}}})),
    ("MLOPS003", queue_policy(Principal="*", Condition={"StringNotEquals": {"aws:PrincipalAccount": "1"}}),
     queue_policy(Principal="*", effect="Deny")),
    ("MLOPS003", queue_policy(Principal="*", Condition={"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/mlops/*"}}),
     queue_policy(Principal="*", Condition={"ArnLike": {"aws:PrincipalArn": {"Fn::Sub": "arn:x:iam::${AWS::AccountId}:role/*"}}})),
    ("MLOPS003", one("Lambda::Permission", Principal="events.amazonaws.com", FunctionName="f"),
     one("Lambda::Permission", Principal="events.amazonaws.com", FunctionName="f", SourceAccount={"Ref": "AWS::AccountId"})),
    ("MLOPS004", one("EC2::NatGateway"), one("EC2::VPC")),
    ("MLOPS004", one("EC2::Subnet", MapPublicIpOnLaunch=True), one("EC2::Subnet", MapPublicIpOnLaunch=False)),
    ("MLOPS004", one("EC2::SecurityGroupIngress", CidrIp="0.0.0.0/0"),
     one("EC2::SecurityGroupIngress", SourceSecurityGroupId="sg")),
    ("MLOPS004", {"Parameters": {"From": {"Type": "String", "Default": "0.0.0.0/0"}}}
     | one("EC2::SecurityGroup", SecurityGroupEgress=[], SecurityGroupIngress=[{"CidrIp": {"Ref": "From"}}]),
     one("EC2::SecurityGroup", SecurityGroupEgress=[], SecurityGroupIngress=[{"CidrIp": "10.0.0.0/8"}])),
    ("MLOPS004", one("EC2::SecurityGroup"), one("EC2::SecurityGroup", SecurityGroupEgress=[{"CidrIp": "255.255.255.255/32"}])),
    ("MLOPS004", one("EC2::Route", DestinationCidrBlock="0.0.0.0/0"), one("EC2::Route", DestinationCidrBlock="10.1.0.0/16")),
    ("MLOPS005", one("SNS::Topic"), one("SNS::Topic", KmsMasterKeyId={"Ref": "Key"})),
    ("MLOPS005", one("Logs::LogGroup", KmsKeyId={"Fn::If": IF_OWN}),
     {"Parameters": {"KeyArn": {"Type": "String", "Default": ""}}}
     | one("Logs::LogGroup", KmsKeyId={"Fn::If": [*IF_OWN[:2], {"Ref": "Key"}]})),
    ("MLOPS005", bucket(BucketEncryption={"ServerSideEncryptionConfiguration": [
        {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}),
     bucket(BucketEncryption={"ServerSideEncryptionConfiguration": [
         {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Ref": "Key"}}}]})),
    ("MLOPS005", one("EC2::Volume", Encrypted=False, KmsKeyId="k"), one("EC2::Volume", Encrypted=True, KmsKeyId="k")),
    ("MLOPS005", one("Timestream::Database"), one("Events::Rule")),  # a type that offers a key, and nobody decided
    ("MLOPS006", bucket(), {"Resources": {"Thing": {"Type": "AWS::S3::Bucket"} | KEPT}}),
    ("MLOPS006", {"Resources": {"Thing": {"Type": "AWS::KMS::Key", "DeletionPolicy": "Delete", "UpdateReplacePolicy": "Retain"}}},
     {"Resources": {"Thing": {"Type": "AWS::KMS::Key"} | KEPT}}),
    ("MLOPS006", one("Logs::LogGroup"), {"Resources": {"Thing": {"Type": "AWS::Logs::LogGroup", "DeletionPolicy": "Delete",
                                                                "UpdateReplacePolicy": "Delete"}}}),
    ("MLOPS007", one("KMS::Key"), one("KMS::Key", EnableKeyRotation=True)),
    ("MLOPS007", one("KMS::Key", EnableKeyRotation=False), one("KMS::Key", KeySpec="RSA_2048")),
    ("MLOPS008", asks(Description="how large"), asks()),
    ("MLOPS008", asks(groups=[{"Label": {}, "Parameters": ["Size"]}, {"Label": {}, "Parameters": ["Size"]}]), asks()),
    ("MLOPS008", asks(groups=[{"Label": {}, "Parameters": ["Size", "Gone"]}]), asks()),
    ("MLOPS008", asks(AllowedPattern="^x$"), asks(AllowedPattern="^x$", ConstraintDescription="An x.")),
    ("MLOPS008", {"Resources": {}, "Outputs": {"Id": {"Value": "x"}}},
     {"Resources": {}, "Outputs": {"Id": {"Value": "x", "Description": "Id of the thing."}}}),
    ("MLOPS009", domain(AppNetworkAccessType="PublicInternetOnly"), domain()),
    ("MLOPS009", domain(AppNetworkAccessType=None), domain()),
    ("MLOPS009", domain(DefaultUserSettings={"DefaultLandingUri": "app:JupyterServer:"}), domain()),
    ("MLOPS009", domain(DefaultUserSettings={"DefaultLandingUri": "studio::", "KernelGatewayAppSettings": {}}),
     domain(DefaultUserSettings={"DefaultLandingUri": "studio::", "JupyterLabAppSettings": {}})),
    ("MLOPS009", one("SageMaker::StudioLifecycleConfig", StudioLifecycleConfigAppType="JupyterServer"),
     one("SageMaker::StudioLifecycleConfig", StudioLifecycleConfigAppType="JupyterLab")),
    ("MLOPS009", one("SageMaker::NotebookInstance"), one("SageMaker::NotebookInstance", DirectInternetAccess="Disabled")),
    ("MLOPS010", policy(may("s3:*", "arn:x")), policy(may("s3:GetObject", "arn:x"), may("s3:*", "*", "Deny"))),
    ("MLOPS010", policy(may("*", "*")), policy(may("s3:Get*", "*"))),
    ("MLOPS010", policy({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}),
     policy({"Effect": "Deny", "NotAction": "iam:*", "Resource": "*"})),
    ("MLOPS010", key(may("kms:*", "*", Principal={"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:role/x"}})),
     key(may("kms:*", "*", Principal=ROOT))),
    ("MLOPS010", says("ECR::Repository", "RepositoryPolicyText", may("ecr:*", Principal=ROOT)),
     says("ECR::Repository", "RepositoryPolicyText", may("ecr:BatchGetImage", Principal=ROOT))),
    ("MLOPS010",
     one("IAM::Role", ManagedPolicyArns=[{"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/AmazonSageMakerFullAccess"}]),
     one("IAM::Role", ManagedPolicyArns=[{"Ref": "Own"}])),
    ("MLOPS011", policy(may("s3:PutObject", "*")), policy(may("s3:PutObject", {"Fn::GetAtt": ["Bucket", "Arn"]}))),
    ("MLOPS011", policy(may("s3:PutObject", {"Fn::Sub": "arn:${AWS::Partition}:s3:::*"})),
     policy(may("s3:PutObject", {"Fn::Sub": "arn:${AWS::Partition}:s3:::${Name}/*"}))),
    ("MLOPS011", policy(may("s3:Put*", "arn:aws:s3:::b/*")), policy(may("s3:List*", "*"))),
    ("MLOPS011", policy(may("iam:PassRole", {"Fn::Join": [":", ["arn:aws:iam:", {"Ref": "AWS::AccountId"}, "role/*"]]})),
     policy(may("iam:PassRole", {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:role/mlops/*"}))),
    ("MLOPS011", policy({"Fn::If": ["IsOpen", may("sqs:SendMessage", "*"), {"Ref": "AWS::NoValue"}]}),
     policy({"Fn::If": ["IsOpen", may("sqs:ListQueues", "*"), {"Ref": "AWS::NoValue"}]})),
    ("MLOPS011", {"Parameters": {"Where": {"Type": "String", "Default": "*"}}} | policy(may("sqs:SendMessage", {"Ref": "Where"})),
     {"Parameters": {"Where": {"Type": "String", "Default": "arn:x"}}} | policy(may("sqs:SendMessage", {"Ref": "Where"}))),
    ("MLOPS011", policy({"Effect": "Allow", "Action": "s3:DeleteObject", "NotResource": "arn:aws:s3:::b/*"}),
     policy(may("athena:GetWorkGroup", "*"))),
    ("MLOPS011", key(may("kms:GenerateDataKey*", "*", Principal=ROOT)), key(may("kms:GenerateDataKey", "*", Principal=ROOT))),
    ("MLOPS012", one("EC2::VPCEndpoint"), says("EC2::VPCEndpoint", "PolicyDocument")),
    ("MLOPS012", says("EC2::VPCEndpoint", "PolicyDocument", may("s3:*", "*", Principal="*")),
     says("EC2::VPCEndpoint", "PolicyDocument",
          may("s3:*", "*", Principal="*", Condition={"StringEquals": {"aws:ResourceAccount": {"Ref": "AWS::AccountId"}}}))),
    ("MLOPS012", says("EC2::VPCEndpoint", "PolicyDocument", may("s3:GetObject", "arn:aws:s3:::my-bucket/*", Principal="*")),
     says("EC2::VPCEndpoint", "PolicyDocument", may("s3:GetObject", {"Fn::Sub": "arn:${AWS::Partition}:s3:::"
          "prod-${AWS::Region}-starport-layer-bucket/*"}, Principal="*"))),
    ("MLOPS013", boundary("iam:CreateRole"), boundary("iam:CreateRole", *ESCAPES)),
    ("MLOPS014", one("IAM::Role"), one("IAM::Role", PermissionsBoundary={"Ref": "Boundary"})),
    ("MLOPS014", {"Parameters": {"Own": {"Type": "String", "Default": ""}}} | one("IAM::Role", PermissionsBoundary={"Ref": "Own"}),
     {"Parameters": {"Own": {"Type": "String", "Default": ""}}}
     | one("IAM::Role", PermissionsBoundary={"Fn::If": ["HasOwn", {"Ref": "Own"}, {"Ref": "Boundary"}]})),
    ("MLOPS015", one("IAM::Role", RoleName="mlops"), one("IAM::Role")),
    ("MLOPS015", one("EC2::SecurityGroup", GroupName="mlops"), one("EC2::SecurityGroup", GroupDescription="mlops")),
    ("MLOPS015", one("SSM::Parameter", Name="/other/x"), one("SSM::Parameter", Name="/mlops/infra/x")),
    ("MLOPS015", one("CodeCommit::Repository", RepositoryName="x"), one("EC2::VPCEndpoint", ServiceName="x")),
    ("MLOPS016", one("Lambda::Function"), one("Lambda::Function", DeadLetterConfig={"TargetArn": {"Ref": "Queue"}})),
    ("MLOPS016", one("Lambda::Function") | {"Parameters": {}},
     {"Resources": one("Lambda::Function")["Resources"]
      | one("Lambda::EventInvokeConfig", "Retries", FunctionName={"Ref": "Thing"}, DestinationConfig=FAILS_TO)["Resources"]}),
    ("MLOPS017", one("Lambda::Function", Runtime="python3.10"), one("Lambda::Function", Runtime="python3.13")),
    ("MLOPS017", one("Lambda::Function", Runtime="cobol85"), one("Lambda::Function", PackageType="Image")),
    ("MLOPS018", policy(may("s3:GetObject", "arn:aws:s3:::b/*")),
     policy(may("s3:GetObject", {"Fn::Sub": "arn:${AWS::Partition}:s3:::b"}))),
    ("MLOPS018", {"Resources": {}, "Outputs": {"X": {"Value": {"Fn::Sub": "arn:aws-cn:s3:::b"}}}}, bucket()),
    ("MLOPS019", policy(*(may("s3:GetObject", f"arn:x:{'y' * 60}:{n}") for n in range(60))), policy(may("s3:GetObject", "arn:x"))),
    ("MLOPS019", says("IAM::Role", "AssumeRolePolicyDocument", *(may("sts:AssumeRole", Principal=ROOT) for _ in range(20))),
     says("IAM::Role", "AssumeRolePolicyDocument", may("sts:AssumeRole", Principal=ROOT))),
    ("MLOPS021", one("CodeBuild::Project", Environment={"PrivilegedMode": True}),
     one("CodeBuild::Project", Environment={"PrivilegedMode": False})),
    ("MLOPS021", one("CodeBuild::Project", Environment={"PrivilegedMode": "true"}), one("CodeBuild::Project")),
    ("MLOPS020", one("SageMaker::MlflowApp") | {"Conditions": {}}, one("S3::Bucket")),
]  # fmt: skip


def found_by(rule: str, body: Mapping[str, Any], text: str = "") -> list[str]:
    (check,) = [known.check for known in rules() if known.id == rule]
    return [problem.message for problem in check(Template("t.yaml", text, body, ("us-east-1", "eu-south-1")))]


@pytest.mark.parametrize(("rule", "bad", "good"), CASES, ids=[f"{case[0]}-{n}" for n, case in enumerate(CASES)])
def test_a_rule_tells_bad_from_good(rule: str, bad: Mapping[str, Any], good: Mapping[str, Any]) -> None:
    assert found_by(rule, bad)
    assert found_by(rule, good) == []


def test_every_rule_has_a_case_and_its_words() -> None:
    assert {rule.id for rule in rules()} == {case[0] for case in CASES}
    for number, rule in enumerate(rules(), start=1):
        assert rule.id == f"MLOPS{number:03}"
        assert rule.title and rule.why.endswith(".")


@pytest.mark.parametrize(("size", "severities"), [(150_000, []), (250_000, ["warning"]), (1_000_000, ["error"])])
def test_large_templates_are_told(size: int, severities: list[str]) -> None:
    (check,) = [known.check for known in rules() if known.id == "MLOPS019"]
    assert [problem.severity for problem in check(Template("t.yaml", "x" * size, {}))] == severities
