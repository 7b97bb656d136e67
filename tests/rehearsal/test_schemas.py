"""Validation against the registry schemas, and the names that are read off them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rehearsal.identity import Identity
from rehearsal.ledger import Answer, Ledger, Request
from rehearsal.schemas import KEYWORDS, Registry, compiled, fits

REGISTRY = Registry()
ARN = "arn:aws:{}:eu-west-1:123456789012"
# Say something about documentation, naming or order, nothing about which values are right.
SILENT = {
    "description",
    "title",
    "examples",
    "default",
    "$comment",
    "$schema",
    "insertionOrder",
    "arrayType",
    "relationshipRef",
    "definitions",
    "resourceLink",
    "replacementStrategy",
    "documentationUrl",
}


def subschemas(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, list):
        for item in schema:
            yield from subschemas(item)
    if isinstance(schema, dict):
        yield schema
        for keyword, value in schema.items():
            if keyword in ("properties", "patternProperties", "definitions"):
                yield from subschemas(list(value.values()))
            elif keyword in ("items", "prefixItems", "allOf", "anyOf", "oneOf", "not", "if", "then", "else"):
                yield from subschemas(value)


@pytest.mark.parametrize("service", ["EC2", "S3", "IAM", "KMS", "SageMaker", "CodeArtifact", "Lambda", "Events"])
def test_no_keyword_of_the_schemas_is_passed_over(service: str) -> None:
    for name in REGISTRY.types("us-east-1"):
        schema = REGISTRY.get("us-east-1", name)
        if schema and name.startswith(f"AWS::{service}::"):
            parts = [*schema.properties.values(), *schema.document.get("definitions", {}).values()]
            for sub in subschemas(parts):
                assert set(sub) <= KEYWORDS | SILENT, name
                if isinstance(sub.get("pattern"), str):
                    compiled(sub["pattern"])


@pytest.mark.parametrize(
    ("type_name", "properties", "problem"),
    [
        ("AWS::EC2::SecurityGroupIngress", {"IpProtocol": "tcp", "GroupId": "sg-1"}, '#/GroupId: "sg-1" is no'),
        ("AWS::EC2::SecurityGroupIngress", {"CidrIp": "::", "SourcePrefixListId": "pl-1"}, "#: needs exactly one of"),
        ("AWS::SQS::Queue", {"DelaySeconds": "many"}, '#/DelaySeconds: "many" is not of type integer'),
        ("AWS::KMS::Alias", {"AliasName": "project"}, '#/AliasName: "project" does not match'),
        ("AWS::KMS::Key", {"Arn": "arn:aws:kms:us-east-1:123456789012:key/x"}, "#/Arn: is read-only"),
        ("AWS::Lambda::Function", {"Role": "arn:aws:iam::1:role/x"}, '#/Role: "arn:aws:iam::1:role/x" does not match'),
        ("AWS::Lambda::Function", {"Code": {"ZipFile": "x"}}, "#: required key [Role] not found"),
        ("AWS::SSM::Parameter", {"Type": "String", "Value": {"a": 1}}, '#/Value: {"a": 1} is not of type string'),
    ],
)
def test_problem_is_found_and_placed(type_name: str, properties: dict[str, Any], problem: str) -> None:
    schema = REGISTRY.get("us-east-1", type_name)
    assert schema is not None
    assert any(found.startswith(problem) for found in schema.problems(properties)), schema.problems(properties)


def test_scalars_are_converted_as_cloudformation_does() -> None:
    schema = REGISTRY.get("us-east-1", "AWS::SQS::Queue")
    assert schema is not None
    assert schema.problems({"DelaySeconds": "5", "FifoQueue": "true", "QueueName": 7}) == []


@pytest.mark.parametrize(
    ("type_name", "properties", "ref", "attributes"),
    [
        ("AWS::SageMaker::Domain", {"DomainName": "x"}, "d-", {"DomainArn": f"{ARN.format('sagemaker')}:domain/d-"}),
        (
            "AWS::SageMaker::UserProfile",
            {"DomainId": "d-1", "UserProfileName": "ana"},
            "ana|d-1",
            {"UserProfileArn": f"{ARN.format('sagemaker')}:user-profile/d-1/ana"},
        ),
        (
            "AWS::CodeArtifact::Domain",
            {"DomainName": "mlops"},
            f"{ARN.format('codeartifact')}:domain/mlops",
            {"Name": "mlops", "Owner": "123456789012"},
        ),
        (
            "AWS::CodeCommit::Repository",
            {"RepositoryName": "r"},
            "repository-",
            {"Name": "r", "Arn": f"{ARN.format('codecommit')}:r"},
        ),
        (
            "AWS::SageMaker::MlflowTrackingServer",
            {"TrackingServerName": "t"},
            "t",
            {"TrackingServerArn": f"{ARN.format('sagemaker')}:mlflow-tracking-server/t"},
        ),
        ("AWS::EC2::VPCEndpoint", {"ServiceName": "x"}, "vpce-", {"DnsEntries": []}),
    ],
)
def test_names_follow_schema_and_properties(type_name: str, properties: Any, ref: str, attributes: Any) -> None:
    schema = REGISTRY.get("eu-west-1", type_name)
    assert schema is not None
    place = {"account": "123456789012", "region": "eu-west-1", "stack": "stack", "stack_id": "", "operation": ""}
    request = Request("create", type_name, "Logical", phase="", properties=properties, **place)
    one, same, other = (Identity(request, schema, REGISTRY.arn_formats, seed) for seed in ("", "", "replaced"))
    assert one.physical_id.startswith(ref)
    assert (one.physical_id, one.attributes) == (same.physical_id, same.attributes)
    assert (one.physical_id == other.physical_id) == (one.physical_id == ref)
    for name, value in attributes.items():
        assert one.attributes[name] == value or str(one.attributes[name]).startswith(value)
    for path in schema.paths("readOnlyProperties"):
        assert "*" in path or fits(str(one.attributes[".".join(path)]), schema.subschema(path)), path


def test_ledger_names_what_nothing_made() -> None:
    ledger = Ledger()
    place = {"account": "1", "region": "eu-west-1", "stack": "stack", "stack_id": "id", "operation": "1"}
    made = Request("create", "AWS::SQS::Queue", "Queue", phase="CREATE_IN_PROGRESS", properties={}, **place)
    ledger.done(made, Answer("url"), {"kind": "live", "handler": "sqs"})
    report = ledger.report([("id", "Queue"), ("id", "Ghost")])
    assert report["ignored"] == ["id/Ghost"]
    assert report["operations"][0]["live"] == {"AWS::SQS::Queue": 1}
