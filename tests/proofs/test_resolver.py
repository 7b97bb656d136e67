"""Templates become the values that AWS would get; what is not known is an error."""

from __future__ import annotations

from typing import Any

import pytest

from proofs.answers import FUNCTIONS, answers
from proofs.errors import Unresolved
from proofs.resolver import Place, Stack, World, function_of
from rehearsal.schemas import Registry


def stack(registry: Registry, body: dict[str, Any], region: str = "us-east-1", **values: str) -> Stack:
    inner = {
        "Resources": {},
        "Outputs": {"Out": {"Value": {"Ref": "AWS::StackName"}}},
        "Parameters": {"In": {"Type": "String"}},
    }
    place = Place(region)
    facts = {"/mlops/infra/list": "a,b", "/mlops/infra/one": "1"}
    world = World(registry, {"t": {"Resources": {}, **body}, "inner": inner}, place, facts, {"exported": "x"}, answers)
    return Stack(world, "t", values, "stack")


def value(registry: Registry, expression: Any, region: str = "us-east-1", **more: Any) -> Any:
    body = {
        "Parameters": {"Text": {"Type": "String", "Default": "t"}, "Count": {"Type": "Number", "Default": 2},
                       "Items": {"Type": "CommaDelimitedList", "Default": "x,y"},
                       "Typed": {"Type": "AWS::SSM::Parameter::Value<List<String>>", "Default": "/mlops/infra/list"}},
        "Mappings": {"M": {"us-east-1": {"K": ["v", "w"]}}},
        "Conditions": {"Yes": {"Fn::Equals": [{"Ref": "Text"}, "t"]}, "No": {"Fn::Not": [{"Condition": "Yes"}]}},
        **more,
    }  # fmt: skip
    return stack(registry, body, region).resolve(expression)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"Ref": "Text"}, "t"),
        ({"Ref": "Items"}, ["x", "y"]),
        ({"Ref": "Typed"}, ["a", "b"]),
        ({"Ref": "AWS::Region"}, "us-east-1"),
        ({"Ref": "AWS::AccountId"}, "123456789012"),
        ({"Ref": "AWS::URLSuffix"}, "amazonaws.com"),
        ({"Fn::Sub": "${Text}-${Count}-${AWS::Partition}-${!Kept}"}, "t-2-aws-${Kept}"),
        ({"Fn::Sub": ["${A}", {"A": {"Ref": "Items"}}]}, "x,y"),
        ({"Fn::Join": ["-", {"Ref": "Items"}]}, "x-y"),
        ({"Fn::Join": ["", ["a", {"Fn::If": ["No", "b", {"Ref": "AWS::NoValue"}]}]]}, "a"),
        ({"Fn::Split": [",", "a,b"]}, ["a", "b"]),
        ({"Fn::Select": ["1", {"Ref": "Items"}]}, "y"),
        ({"Fn::FindInMap": ["M", {"Ref": "AWS::Region"}, "K"]}, ["v", "w"]),
        ({"Fn::FindInMap": ["M", "mars", "K", {"DefaultValue": "d"}]}, "d"),
        ({"Fn::If": ["Yes", "a", "b"]}, "a"),
        ({"Fn::Base64": "a"}, "YQ=="),
        ({"Fn::Cidr": ["10.0.0.0/16", 2, 12]}, ["10.0.0.0/20", "10.0.16.0/20"]),
        ({"Fn::GetAZs": ""}, ["us-east-1a", "us-east-1b", "us-east-1c"]),
        ({"Fn::ImportValue": "exported"}, "x"),
        ("{{resolve:ssm:/mlops/infra/one}}{{resolve:ssm:/mlops/infra/one:3}}", "11"),
        ({"Fn::Split": [",", "{{resolve:ssm:/mlops/infra/list}}"]}, ["a", "b"]),
        ({"A": {"Ref": "AWS::NoValue"}, "B": [{"Ref": "AWS::NoValue"}, 1]}, {"B": [1]}),
        ({"Ref": "AWS::NoValue"}, None),
    ],
)
def test_functions(registry: Registry, expression: Any, expected: Any) -> None:
    assert value(registry, expression) == expected


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ({"Ref": "Nobody"}, "Nobody"),
        ({"Fn::Transform": {}}, "Fn::Transform"),
        ({"Fn::FindInMap": ["M", "mars", "K"]}, "M.mars.K"),
        ({"Fn::Select": [5, {"Ref": "Items"}]}, "item 5 of 2"),
        ({"Fn::If": ["Never", 1, 2]}, "Never"),
        ({"Fn::ImportValue": "nothing"}, "nothing"),
        ("{{resolve:ssm:/nobody/publishes}}", "/nobody/publishes"),
        ("{{resolve:secretsmanager:x}}", "secretsmanager"),
        ({"Fn::Cidr": ["10.0.0.1/8", 1, 1]}, "10.0.0.1/8"),
    ],
)
def test_what_is_not_known_is_an_error_with_its_mend(registry: Registry, expression: Any, word: str) -> None:
    with pytest.raises(Unresolved, match=word.replace("/", "/")) as caught:
        value(registry, expression)
    assert str(caught.value).endswith(".")


def test_a_place_has_its_partition(registry: Registry) -> None:
    there = {"Fn::Sub": "arn:${AWS::Partition}:s3:::b.${AWS::URLSuffix}"}
    assert value(registry, there, "cn-north-1") == "arn:aws-cn:s3:::b.amazonaws.com.cn"
    made = stack(registry, {"Resources": {"Key": {"Type": "AWS::KMS::Key", "Properties": {}}}}, "us-gov-west-1")
    assert str(made.resource("Key").arn).startswith("arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/")


ROLE = {"Type": "AWS::IAM::Role", "Properties": {"Path": "/mlops/x/", "RoleName": "r"}}
RESOURCES: dict[str, Any] = {
    "Role": ROLE,
    "Policy": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"Path": "/p/"}},
    "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {}},
    "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q"}},
    "Topic": {"Type": "AWS::SNS::Topic", "Properties": {}},
    "Repo": {"Type": "AWS::CodeCommit::Repository", "Properties": {"RepositoryName": "code"}},
    "Param": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/a/b", "Value": {"Ref": "Role"}}},
    "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/x"}},
    "Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": {"StateMachineName": "m"}},
    "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {}},
    "Profile": {"Type": "AWS::SageMaker::UserProfile", "Properties": {"DomainId": "d-1", "UserProfileName": "ana"}},
}  # fmt: skip
HERE = "us-east-1:123456789012"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"Ref": "Role"}, "r"),
        ({"Fn::GetAtt": ["Role", "Arn"]}, "arn:aws:iam::123456789012:role/mlops/x/r"),
        ({"Fn::Sub": "${Role.Arn}"}, "arn:aws:iam::123456789012:role/mlops/x/r"),
        ({"Ref": "Policy"}, r"arn:aws:iam::123456789012:policy/p/stack-Policy-[0-9A-F]{12}"),
        ({"Ref": "Bucket"}, r"stack-bucket-[0-9a-f]{12}"),
        ({"Fn::GetAtt": "Bucket.Arn"}, r"arn:aws:s3:::stack-bucket-[0-9a-f]{12}"),
        ({"Ref": "Queue"}, "https://sqs.us-east-1.amazonaws.com/123456789012/q"),
        ({"Fn::GetAtt": ["Queue", "QueueName"]}, "q"),
        ({"Ref": "Topic"}, rf"arn:aws:sns:{HERE}:stack-Topic-[0-9A-F]{{12}}"),
        ({"Fn::GetAtt": ["Repo", "Arn"]}, f"arn:aws:codecommit:{HERE}:code"),
        ({"Fn::GetAtt": ["Logs", "Arn"]}, rf"arn:aws:logs:{HERE}:log-group:/x:\*"),
        ({"Ref": "Machine"}, f"arn:aws:states:{HERE}:stateMachine:m"),
        ({"Ref": "Subnet"}, r"subnet-[0-9a-f]{17}"),
        ({"Fn::GetAtt": ["Subnet", "SubnetId"]}, r"subnet-[0-9a-f]{17}"),
        ({"Fn::GetAtt": ["Profile", "UserProfileArn"]}, f"arn:aws:sagemaker:{HERE}:user-profile/d-1/ana"),
        ({"Fn::GetAtt": ["Param", "Value"]}, "r"),
    ],
)
def test_references_have_the_form_that_aws_documents(registry: Registry, expression: Any, expected: str) -> None:
    import re

    assert re.fullmatch(expected, value(registry, expression, Resources=RESOURCES))


def test_names_are_shortened_as_cloudformation_does(registry: Registry) -> None:
    made = stack(registry, {"Resources": {"A" * 60: {"Type": "AWS::IAM::Role", "Properties": {}}}})
    made.stack_name = "s" * 128
    assert len(made.resource("A" * 60).name) == 64


def test_only_what_the_values_make_is_there(registry: Registry) -> None:
    body = {
        "Parameters": {"On": {"Type": "String"}},
        "Conditions": {"IsOn": {"Fn::Equals": [{"Ref": "On"}, "yes"]}},
        "Resources": {"A": {"Type": "AWS::SNS::Topic", "Condition": "IsOn", "Properties": {}},
                      "B": {"Type": "AWS::SSM::Parameter", "Properties": {
                          "Name": "/n", "Value": {"Fn::If": ["IsOn", {"Ref": "A"}, "none"]}}}},
    }  # fmt: skip
    assert set(stack(registry, body, On="no").resources) == {"B"}
    assert stack(registry, body, On="no").published == {"/n": "none"}
    assert stack(registry, body, On="yes").published["/n"].startswith("arn:aws:sns:")
    body["Resources"]["B"]["Properties"]["Value"] = {"Ref": "A"}
    with pytest.raises(Unresolved, match="not made"):
        _ = stack(registry, body, On="no").resources


def test_conditions_decide_on_what_stands_in_ssm(registry: Registry) -> None:
    body = {
        "Parameters": {"One": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/mlops/infra/one"}},
        "Conditions": {"IsOne": {"Fn::Equals": [{"Ref": "One"}, "1"]},
                       "IsHere": {"Fn::Equals": [{"Ref": "AWS::AccountId"}, "123456789012"]}},
    }  # fmt: skip
    assert stack(registry, body).conditions == {"IsOne": True, "IsHere": True}


def test_a_condition_that_stays_open_is_an_error(registry: Registry) -> None:
    with pytest.raises(Unresolved, match="IsOpen"):
        _ = stack(registry, {"Conditions": {"IsOpen": {"Fn::Equals": [{"Fn::GetAZs": ""}, "a"]}}}).conditions


def test_nested_stacks_answer_their_outputs(registry: Registry) -> None:
    nested = {"Type": "AWS::CloudFormation::Stack", "Properties": {
        "TemplateURL": "https://b.s3.amazonaws.com/v1/templates/inner.yaml", "Parameters": {"In": ["a", "b"]}}}  # fmt: skip
    made = stack(
        registry, {"Resources": {"Child": nested}, "Outputs": {"O": {"Value": {"Fn::GetAtt": "Child.Outputs.Out"}}}}
    )
    assert made.outputs["O"].startswith("stack-Child-")
    assert made.nested["Child"].parameters == {"In": "a,b"}
    assert [part.template for part in made.stacks()] == ["t", "inner"]
    with pytest.raises(Unresolved, match="Missing"):
        made.resolve({"Fn::GetAtt": ["Child", "Outputs.Missing"]})
    other = {**nested, "Properties": {"TemplateURL": "https://b.s3.amazonaws.com/theirs.yaml"}}
    with pytest.raises(Unresolved, match="TemplateURL"):
        _ = stack(registry, {"Resources": {"Child": other}}).nested


def test_circles_are_told(registry: Registry) -> None:
    topics = {
        name: {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": other}}} for name, other in ("AB", "BA")
    }
    with pytest.raises(Unresolved, match="A -> B -> A"):
        _ = stack(registry, {"Resources": topics}).resources


def test_parameters_have_to_be_known_and_given(registry: Registry) -> None:
    body = {"Parameters": {"Needed": {"Type": "String"}}}
    with pytest.raises(Unresolved, match="Needed"):
        _ = stack(registry, body).parameters
    with pytest.raises(Unresolved, match="Other"):
        _ = stack(registry, body, Needed="1", Other="2").parameters
    with pytest.raises(Unresolved, match="no generator makes"):
        Stack(stack(registry, body).world, "gone", {}, "s")


def test_functions_of_ours_answer_and_others_are_an_error(registry: Registry) -> None:
    assert function_of("arn:aws:lambda:us-east-1:1:function:mlops-infra-StudioUserFunction-ABC") == "StudioUser"
    token = "arn:aws:lambda:us-east-1:1:function:s-{}Function-ABC"
    resources = {
        name: {"Type": "AWS::CloudFormation::CustomResource", "Properties": {"ServiceToken": token.format(name), "Files": [1, 2]}}
        for name in ("ReleaseFiles", "Unheard")
    }  # fmt: skip
    made = stack(registry, {"Resources": resources})
    assert made.resolve({"Fn::GetAtt": ["ReleaseFiles", "Count"]}) == "2"
    with pytest.raises(Unresolved, match=r"Unheard.*proofs/answers\.py"):
        made.resolve({"Fn::GetAtt": ["Unheard", "Count"]})


def test_every_function_that_answers_has_its_folder() -> None:
    from generators.kit.functions import logical_name
    from generators.kit.publishing import ROOT

    folders = {logical_name(path.parent.name) for path in (ROOT / "lambdas").glob("*/handler.py")}
    assert set(FUNCTIONS) <= folders


def test_what_is_read_is_known(registry: Registry) -> None:
    body = {
        "Resources": {
            "T": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": "{{resolve:ssm:/mlops/infra/one}}"}}
        }
    }
    assert stack(registry, body).references == frozenset({"/mlops/infra/one"})


def test_the_whole_platform_resolves_twice_the_same() -> None:
    from proofs.scene import HOME, library

    held = library()
    values = held.cards[held.base_name].stack.trial.parameters
    first, second = held.base(HOME, values), held.base(HOME, values)
    assert len(list(first.everything())) > 150
    assert first.published == second.published
    assert [(r.logical_id, r.ref, r.arn) for r in first.everything()] == [
        (r.logical_id, r.ref, r.arn) for r in second.everything()
    ]
    published = held.cards[held.base_name].builder.published
    assert {contract.ssm for contract in published} <= set(first.published)
