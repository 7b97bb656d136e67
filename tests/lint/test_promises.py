"""The promise file of this version is what the tree promises, create-only properties and all."""

from __future__ import annotations

from generators.kit.publishing import version
from generators.kit.registry import rendered
from tools import releases


def test_the_promise_file_is_current_and_keeps_the_one_before() -> None:
    assert releases.check() == releases.file_of(version())


def test_rendering_is_deterministic() -> None:
    first, second = (releases.render(releases.document(rendered())) for _ in range(2))
    assert first == second and first.endswith("}\n")


def test_create_only_values_are_kept_as_they_are_written() -> None:
    resources = {
        "Log": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": {"Ref": "Name"}, "RetentionInDays": 1}},
        "Bucket": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "RetainExceptOnCreate", "Condition": "HasBucket"},
        "Call": {"Type": "Custom::Thing", "Properties": {"ServiceToken": "x"}},
    }
    parameters = {"Name": {"Type": "String", "Default": "n", "Description": "A name."}}
    found = releases.promise({"Parameters": parameters, "Resources": resources})
    assert found["resources"] == {
        "Log": {"type": "AWS::Logs::LogGroup", "create_only": {"LogGroupName": '{"Ref":"Name"}'}},
        "Bucket": {"type": "AWS::S3::Bucket", "holds_data": True, "conditional": True},
        "Call": {"type": "Custom::Thing"},
    }
    assert found["parameters"] == {"Name": {"type": "String", "default": "n"}}


def test_nested_create_only_values_are_found_or_their_function_is() -> None:
    server = {"VpcConfig": {"SubnetIds": ["a"], "SecurityGroupIds": {"Fn::If": ["X", ["s"], ["t"]]}}}
    body = {"Resources": {"P": {"Type": "AWS::SageMaker::Space", "Properties": {"DomainId": "d", "SpaceName": "s"}}}}
    assert set(releases.promise(body)["resources"]["P"]["create_only"]) == {"DomainId", "SpaceName"}
    pointers = ("/properties/VpcConfig/SubnetIds", "/properties/VpcConfig/SecurityGroupIds/*/Id", "/properties/None")
    assert dict(releases._values(server, pointers)) == {
        "VpcConfig/SubnetIds": '["a"]',
        "VpcConfig/SecurityGroupIds/*/Id": '{"Fn::If":["X",["s"],["t"]]}',
    }
