"""Conditions and Rules, evaluated for values and a region."""

from __future__ import annotations

from typing import Any

import pytest

from tools.conditions import Undecided, conditions, created, launched_in, nested, possible, refused

ASKED = {
    "Vpc": {"Type": "String", "Default": ""},
    "Count": {"Type": "Number", "Default": 2},
    "Zones": {"Type": "CommaDelimitedList", "Default": "a,b"},
    "Cost": {"Type": "String"},
    "Image": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/x"},
}
MAPS = {"Regions": {"us-east-1": {"App": "yes", "Zones": ["z1", "z2"]}, "eu-south-1": {"App": "no", "Zones": ["z3"]}}}


def holds(condition: Any, region: str = "us-east-1", **values: str) -> bool | None:
    body = {"Parameters": ASKED, "Mappings": MAPS, "Resources": {},
            "Conditions": {"New": {"Fn::Equals": [{"Ref": "Vpc"}, ""]}, "It": condition}}  # fmt: skip
    return conditions(body, values, region)["It"]


def equals(left: Any, right: Any) -> dict[str, Any]:
    return {"Fn::Equals": [left, right]}


YES, NO, OPEN = equals("a", "a"), equals("a", "b"), equals({"Ref": "Cost"}, "1")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (YES, True),
        (NO, False),
        (OPEN, None),
        ({"Fn::Not": [YES]}, False),
        ({"Fn::Not": [OPEN]}, None),
        ({"Fn::And": [YES, NO, OPEN]}, False),
        ({"Fn::And": [YES, OPEN]}, None),
        ({"Fn::Or": [NO, OPEN]}, None),
        ({"Fn::Or": [OPEN, YES]}, True),
        ({"Condition": "New"}, True),
        (equals({"Ref": "Count"}, "2"), True),
        (equals({"Ref": "AWS::Region"}, "us-east-1"), True),
        (equals({"Ref": "AWS::Partition"}, "aws"), True),
        (equals({"Ref": "AWS::AccountId"}, "1"), None),
        (equals({"Ref": "Image"}, "/x"), None),
        (equals({"Fn::FindInMap": ["Regions", {"Ref": "AWS::Region"}, "App"]}, "yes"), True),
        (equals({"Fn::FindInMap": ["Regions", "mars-1", "App", {"DefaultValue": "yes"}]}, "yes"), True),
        (equals({"Fn::FindInMap": ["Regions", "mars-1", "App"]}, "yes"), None),
        (equals({"Fn::Select": [1, {"Ref": "Zones"}]}, "b"), True),
        (equals({"Fn::Select": [0, {"Fn::FindInMap": ["Regions", {"Ref": "AWS::Region"}, "Zones"]}]}, "z1"), True),
        (equals({"Fn::Join": ["-", [{"Ref": "AWS::Region"}, "x"]]}, "us-east-1-x"), True),
        (equals({"Fn::Join": ["", {"Ref": "Zones"}]}, "ab"), True),
        (equals({"Fn::Select": ["1", {"Fn::Split": ["-", {"Ref": "AWS::Region"}]}]}, "east"), True),
        (equals({"Fn::Sub": "${AWS::Region}/${!Literal}"}, "us-east-1/${Literal}"), True),
        (equals({"Fn::Sub": ["${A}-${Count}", {"A": "x"}]}, "x-2"), True),
        (equals({"Fn::If": ["New", "n", "o"]}, "n"), True),
    ],
)
def test_functions(condition: Any, expected: bool | None) -> None:
    assert holds(condition) is expected


def test_given_values_and_regions_decide() -> None:
    assert holds(OPEN, Cost="1") is True
    assert holds({"Condition": "New"}, Vpc="vpc-1") is False
    assert holds(equals({"Fn::FindInMap": ["Regions", {"Ref": "AWS::Region"}, "App"]}, "yes"), "eu-south-1") is False
    assert holds(equals({"Ref": "AWS::Partition"}, "aws-cn"), "cn-north-1") is True


TEMPLATE: dict[str, Any] = {
    "Parameters": ASKED,
    "Conditions": {"HasCost": OPEN, "HasApp": {"Fn::Not": [equals({"Ref": "AWS::Region"}, "eu-south-1")]},
                   "HasVpc": {"Fn::Not": [equals({"Ref": "Vpc"}, "")]}},
    "Rules": {"Sized": {"RuleCondition": {"Fn::Not": [equals({"Ref": "Vpc"}, "")]}, "Assertions": [
        {"Assert": {"Fn::Contains": [["2", "3"], {"Ref": "Count"}]}, "AssertDescription": "Two or three."},
        {"Assert": {"Fn::EachMemberIn": [{"Ref": "Zones"}, ["a", "b"]]}, "AssertDescription": "Only a and b."},
        {"Assert": {"Fn::EachMemberIn": [{"Fn::ValueOfAll": ["x", "y"]}, ["a"]]}, "AssertDescription": "Unknown."}]}},
    "Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}, "Budget": {"Type": "AWS::Budgets::Budget", "Condition": "HasCost"},
                  "App": {"Type": "AWS::CloudFormation::Stack", "Condition": "HasApp", "Properties": {
                      "TemplateURL": {"Fn::Sub": "https://b/v1/templates/app.yaml"}}}},
}  # fmt: skip


def test_created_tells_what_these_values_make() -> None:
    assert created(TEMPLATE, {"Cost": "1"}, "eu-south-1") == {
        "Bucket": "AWS::S3::Bucket",
        "Budget": "AWS::Budgets::Budget",
    }
    assert set(created(TEMPLATE, {"Cost": "2"}, "us-east-1")) == {"Bucket", "App"}


def test_created_never_guesses() -> None:
    with pytest.raises(Undecided, match=r"HasCost.*Cost"):
        created(TEMPLATE, {}, "us-east-1")


def test_possible_takes_any_value_for_any_parameter() -> None:
    assert set(possible(TEMPLATE, "us-east-1")) == {"Bucket", "Budget", "App"}
    assert set(possible(TEMPLATE, "eu-south-1")) == {"Bucket", "Budget"}


def test_rules_refuse_only_what_they_can_decide() -> None:
    assert refused(TEMPLATE, {"Count": "7", "Zones": "a,c"}, "us-east-1") == []
    assert refused(TEMPLATE, {"Vpc": "v", "Count": "7"}, "us-east-1") == ["Two or three."]
    assert refused(TEMPLATE, {"Vpc": "v", "Zones": "a,c"}, "us-east-1") == ["Only a and b."]


def test_a_nested_template_goes_where_its_parent_can_make_it() -> None:
    templates: dict[str, dict[str, Any]] = {"base": TEMPLATE, "app": {"Resources": {}}}
    assert nested(TEMPLATE) == {"App": "app"}
    assert launched_in("app", templates, ["us-east-1", "eu-south-1"]) == ("us-east-1",)
    assert launched_in("base", templates, ["us-east-1", "eu-south-1"]) == ("us-east-1", "eu-south-1")
