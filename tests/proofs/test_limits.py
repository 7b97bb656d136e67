"""Each limit is shown to bind: what is lengthened or grown is found, with its size, its limit and the mend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from proofs import limits, maxima
from proofs.report import DISPROVED, PROVED, Outcome
from proofs.resolver import Place
from proofs.scene import Library
from tests.proofs.conftest import allow, document

Make = Callable[..., Library]


def run(library: Library) -> Outcome:
    return limits.run(library)


def found(outcome: Outcome) -> str:
    return "\n".join(map(str, outcome.findings))


def test_the_small_platform_is_proved(platform: Make) -> None:
    outcome = run(platform())
    assert outcome.findings == ()
    assert outcome.status == PROVED
    assert 0 < outcome.not_from_aws < outcome.count
    assert "nearest" in outcome.note


def add(resource: dict[str, Any], name: str = "More") -> Callable[[dict[str, Any]], None]:
    def change(body: dict[str, Any]) -> None:
        body["Resources"][name] = resource

    return change


def big(number: int) -> dict[str, Any]:
    return document(
        *(allow(f"S{index}", "s3:GetObject", f"arn:aws:s3:::bucket-{index:05}/*") for index in range(number))
    )


def role(**more: Any) -> dict[str, Any]:
    return {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": document(), **more}}


def fact(name: str, value: Any) -> dict[str, Any]:
    return {"Type": "AWS::SSM::Parameter", "Properties": {"Name": name, "Type": "String", "Value": value}}


TOPICS = ["arn:aws:sns:us-east-1:123456789012:t"]


@pytest.mark.parametrize(
    ("resource", "what"),
    [
        (role(Policies=[{"PolicyName": "A", "PolicyDocument": big(60)}, {"PolicyName": "B", "PolicyDocument": big(60)}]),
         "inline policies together"),
        (role(AssumeRolePolicyDocument=big(30)), "trust policy"),
        (role(Path="/" + "p" * 512 + "/"), "path"),
        (role(ManagedPolicyArns=[f"arn:aws:iam::123456789012:policy/p{index}" for index in range(21)]), "managed policies"),
        (role(Description="d" * 1001), "registry schema of AWS::IAM::Role"),
        (role(RoleName="r" * 65), "registry schema of AWS::IAM::Role"),
        (role(Tags=[{"Key": "k" * 129, "Value": "v"}]), "key of a tag"),
        (role(Tags=[{"Key": "k", "Value": "v" * 257}]), "value of a tag"),
        (role(Tags=[{"Key": f"k{index}", "Value": "v"} for index in range(51)]), "tags: 51"),
        ({"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": big(70)}}, "managed policy"),
        ({"Type": "AWS::IAM::ManagedPolicy", "Properties": {"ManagedPolicyName": "n" * 129, "PolicyDocument": big(1)}}, "name"),
        ({"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "b" * 64}}, "registry schema of AWS::S3::Bucket"),
        ({"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "Upper"}}, "registry schema of AWS::S3::Bucket"),
        ({"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": "b", "PolicyDocument": big(300)}}, "bucket policy"),
        ({"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": big(500)}}, "key policy"),
        ({"Type": "AWS::KMS::Alias", "Properties": {"AliasName": "alias/" + "a" * 251, "TargetKeyId": "k"}},
         "registry schema of AWS::KMS::Alias"),
        ({"Type": "AWS::SNS::TopicPolicy", "Properties": {"Topics": TOPICS, "PolicyDocument": big(500)}}, "topic policy"),
        ({"Type": "AWS::SQS::QueuePolicy", "Properties": {"Queues": ["q"], "PolicyDocument": big(120)}}, "queue policy"),
        ({"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q" * 81}}, "name: 81"),
        ({"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": "r", "RepositoryPolicyText": big(150)}},
         "repository policy"),
        ({"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": "r" * 257}}, "registry schema of AWS::ECR::Repository"),
        ({"Type": "AWS::CodeCommit::Repository", "Properties": {"RepositoryName": "r" * 101}},
         "registry schema of AWS::CodeCommit::Repository"),
        (fact("/n", "v" * 4097), "standard parameter"),
        ({"Type": "AWS::Events::Rule", "Properties": {"EventPattern": {"source": ["s" * 2048]}}}, "event pattern"),
        (fact("/" + "n" * 1011, "v"), "name, with its ARN"),
        (fact("/p/settings", '{"build_pipeline": "' + "b" * 101 + '"}'), "name of a pipeline"),
        ({"Type": "AWS::SageMaker::ModelPackageGroup", "Properties": {"ModelPackageGroupName": "g" * 64}},
         "registry schema of AWS::SageMaker::ModelPackageGroup"),
        ({"Type": "AWS::Lambda::Function", "Properties": {"Role": "arn:aws:iam::123456789012:role/x", "Code": {"ZipFile": "x"},
                                                          "Environment": {"Variables": {"A": "a" * 4100}}}}, "environment"),
        ({"Type": "AWS::EC2::VPCEndpoint", "Properties": {"VpcId": f"vpc-{'0' * 17}", "PolicyDocument": big(300)}},
         "endpoint policy"),
    ],
)  # fmt: skip
def test_what_outgrows_its_limit_is_found(platform: Make, resource: dict[str, Any], what: str) -> None:
    outcome = run(platform(base=add(resource)))
    assert outcome.status == DISPROVED
    # Some limits stand in a table and in the schema.
    assert {finding.where.split(" ")[0] for finding in outcome.findings} == {"base:More"}
    assert any(what in finding.what for finding in outcome.findings)
    assert all("generators/base.py" in finding.mend for finding in outcome.findings)


def grown(section: str, number: int) -> Callable[[dict[str, Any]], None]:
    rows: dict[str, Any] = {"Outputs": {"Value": "v"}, "Mappings": {"a": {"K": "v"}},
                            "Parameters": {"Type": "String", "Default": "d", "AllowedValues": ["d"]}}  # fmt: skip

    def change(body: dict[str, Any]) -> None:
        body.setdefault(section, {}).update({f"N{index}": rows[section] for index in range(number)})

    return change


@pytest.mark.parametrize(("section", "number"), [("Outputs", 201), ("Mappings", 201), ("Parameters", 200)])
def test_too_many_entries_of_a_section_are_found(platform: Make, section: str, number: int) -> None:
    assert f"{section.lower()}: 201 entries" in found(run(platform(base=grown(section, number))))


def test_sizes_of_a_template_are_found(platform: Make) -> None:
    library = platform(base=lambda body: body.update({"Description": "d" * 1025}))
    items = [replace(item, text="x" * 1_000_001) if item.stack.name == "base" else item for item in library.rendered]
    outcome = found(run(Library(tuple(items), library.registry)))
    assert "template: 1,000,001 bytes" in outcome
    assert "own target" in outcome
    assert "description: 1,025 bytes" in outcome


def test_too_many_dynamic_references_are_found(platform: Make) -> None:
    value = "{{resolve:ssm:/mlops/infra/boundary}}" * 61
    parameter = {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/n", "Type": "String", "Value": value}}
    outcome = found(run(platform(product=add(parameter))))
    assert "dynamic references: 63 references, at most 60" in outcome


def test_a_name_is_measured_at_its_longest_inputs_and_not_at_the_trial(platform: Make) -> None:
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": {"Fn::Sub": "${ProjectName}-" + "b" * 42}}}
    assert run(platform(product=add(bucket))).status == PROVED  # 20 characters of the project, a hyphen, 42 more: 63
    bucket["Properties"]["BucketName"]["Fn::Sub"] += "b"  # type: ignore[index]
    assert "product:More" in found(run(platform(product=add(bucket))))


def test_an_option_that_the_trial_leaves_out_is_measured(platform: Make) -> None:
    def lengthen(product: dict[str, Any]) -> None:
        product["Resources"]["Note"]["Properties"]["Value"] = {"Fn::Sub": "${Note}" * 82}

    outcome = run(platform(product=lengthen))
    assert "product:Note: value of a standard parameter: 4,100 bytes" in found(outcome)


def test_a_parameter_that_ends_nowhere_is_named(platform: Make) -> None:
    def loosen(base: dict[str, Any]) -> None:
        base["Parameters"]["Endless"] = {"Type": "String", "Default": "x"}
        value = {"Fn::Sub": "${Endless}-"}
        base["Resources"]["More"] = fact("/n", value)

    (finding,) = run(platform(base=loosen)).findings
    assert "4,097 bytes" in finding.what
    assert finding.mend.endswith("long here: Endless")


def test_the_longest_launch_region_is_measured_in(platform: Make) -> None:
    region = limits._region()
    assert len(region) == 14
    assert Place(region).partition == "aws"
    exact = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::Sub": "${AWS::Region}" + "q" * 66}}}
    assert run(platform(base=add(exact))).status == PROVED
    exact["Properties"]["QueueName"]["Fn::Sub"] += "q"  # type: ignore[index]
    assert "name: 81" in found(run(platform(base=add(exact))))


def test_a_link_that_the_console_cant_take_is_found(platform: Make) -> None:
    def link(base: dict[str, Any]) -> None:
        base["Resources"]["Person"] = role(Path="/mlops/platform/")
        base["Outputs"] = {
            "Link": {"Value": {"Fn::Sub": "https://signin.aws.amazon.com/switchrole?roleName=${Person}&x"}}
        }

    (finding,) = run(platform(base=link)).findings
    assert "path and name together" in finding.what


def test_a_nested_template_that_nothing_launches_is_found(platform: Make) -> None:
    def drop(base: dict[str, Any]) -> None:
        del base["Resources"]["Catalogue"]

    assert "catalogue: no values launch it" in found(run(platform(base=drop)))


def test_a_value_that_cant_be_resolved_is_found(platform: Make) -> None:
    def break_(product: dict[str, Any]) -> None:
        product["Resources"]["Told"]["Properties"]["ServiceToken"] = "{{resolve:ssm:/nobody/knows}}"

    assert "/nobody/knows" in found(run(platform(product=break_)))


def test_every_line_of_the_tables_has_its_source() -> None:
    single = [maxima.INLINE, maxima.POLICIES_OF_ROLE, maxima.TAGS, maxima.TAG_KEY, maxima.TAG_VALUE, maxima.SWITCHED]
    lines = [*maxima.TEXTS.values(), *maxima.NAMES.values(), *maxima.NAMED_LATER.values(), *single]
    assert all(line.source.startswith("https://docs.aws.amazon.com/") for line in lines)


# The project's own templates.


def test_a_lengthened_name_of_ours_is_found(ours: Make) -> None:
    def lengthen(product: dict[str, Any]) -> None:
        name = product["Resources"]["ProjectBucket"]["Properties"]["BucketName"]
        name["Fn::Sub"] += "-with-a-longer-end"

    before, after = run(ours()), run(ours(smproject=lengthen))
    new = [finding for finding in after.findings if finding not in before.findings]
    assert any(finding.where == "2-smproject:ProjectBucket" for finding in new)


def test_a_grown_policy_of_ours_is_found(ours: Make) -> None:
    def grow(infra: dict[str, Any]) -> None:
        policy = infra["Resources"]["PermissionsBoundary"]["Properties"]["PolicyDocument"]
        policy["Statement"] += big(60)["Statement"]

    after = run(ours(infra=grow))
    assert any(f.where == "1-infra:PermissionsBoundary" and "managed policy" in f.what for f in after.findings)
