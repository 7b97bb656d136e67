"""Facts about the base stack that a reader of the architecture expects, held against the rendered dict."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from typing import Any

import pytest

from generators.kit import regions
from generators.kit.registry import rendered
from generators.kit.services import ENDPOINTS
from tools.conditions import created, nested_values, refused

ITEM = next(item for item in rendered() if item.stack.name == "1-infra")
BODY, RESOURCES = ITEM.body, ITEM.body["Resources"]
REQUIRED = {"CostCenter": "12345", "AssetsBucketPrefix": "acme"}


def made(region: str = "us-east-1", **answers: str) -> dict[str, str]:
    return created(BODY, REQUIRED | answers, region)


BODIES = {item.stack.name: item.body for item in rendered()}


def endpoints(region: str = "us-east-1", **answers: str) -> set[str]:
    """Give the endpoints that these answers make, in the template and in the nested one."""
    values = nested_values(BODY, REQUIRED | answers, region)["endpoints"]
    both = {**created(BODY, REQUIRED | answers, region), **created(BODIES["endpoints"], values, region)}
    return {name for name, kind in both.items() if kind == "AWS::EC2::VPCEndpoint"}


def properties(name: str) -> dict[str, Any]:
    return RESOURCES[name]["Properties"]  # type: ignore[no-any-return]


def test_a_default_launch_makes_the_endpoints_that_default_features_call_and_no_other() -> None:
    core = {f"{endpoint.name}Endpoint" for endpoint in ENDPOINTS if endpoint.core}
    assert endpoints() == core | {"S3GatewayEndpoint"}


def test_an_existing_vpc_brings_no_network_and_no_endpoint() -> None:
    there = made(ExistingVpcId="vpc-1", ExistingSubnetIds="subnet-1,subnet-2")
    assert not {"AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::FlowLog"} & set(there.values())
    assert not endpoints(ExistingVpcId="vpc-1", ExistingSubnetIds="subnet-1,subnet-2")
    assert "StudioDomain" in there and "ComputeSecurityGroup" in there


def test_an_endpoint_can_be_made_in_an_existing_vpc_and_left_out_of_a_new_one() -> None:
    there = {"ExistingVpcId": "vpc-1", "ExistingSubnetIds": "subnet-1,subnet-2"}
    assert endpoints(**there, StsEndpointMode="create") == {"StsEndpoint"}
    assert endpoints() - endpoints(StsEndpointMode="existing") == {"StsEndpoint"}


@pytest.mark.parametrize(("choice", "resource", "endpoint"), [
    ("MlflowApp", "TrackingApp", "MlflowEndpoint"), ("TrackingServer", "TrackingServer", "ExperimentsEndpoint"),
])  # fmt: skip
def test_tracking_brings_its_own_endpoint(choice: str, resource: str, endpoint: str) -> None:
    assert {resource, "TrackingRole"} <= set(made(ExperimentTracking=choice))
    assert endpoints(ExperimentTracking=choice) - endpoints() == {endpoint}
    assert not {resource, "TrackingRole"} & set(made())


def test_what_a_region_lacks_is_switched_off_by_the_template() -> None:
    assert "TrackingApp" not in made("eu-south-1", ExperimentTracking="MlflowApp")
    for region in regions.launch_regions():
        kinds = set(made(region.name, ExperimentTracking="MlflowApp", MonthlyBudgetInUsd="5", CostAllocationTagsActive="yes",
                         NotificationEmail="a@b.c").values())  # fmt: skip
        assert not kinds & set(region.lacks), region.name


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ({"ExistingVpcId": "vpc-1"}, "An existing VPC needs ExistingSubnetIds"),
        ({"ExistingSubnetIds": "subnet-1,subnet-2"}, "ExistingSubnetIds needs ExistingVpcId"),
        ({"ExistingVpcId": "vpc-1", "AvailabilityZoneIds": "use1-az1,use1-az2"}, "with an existing one leave it empty"),
        ({"ExistingEndpointsCidr": "10.0.0.0/16"}, "ExistingEndpointsCidr needs ExistingVpcId"),
        ({"SignInThrough": "saml"}, "needs SamlProviderArn"),
        ({"ProfileOwnerFrom": "session-tag"}, "choose session-name"),
        ({"MonthlyBudgetInUsd": "100"}, "A budget shows zero"),
        ({"MonthlyBudgetInUsd": "100", "CostAllocationTagsActive": "yes"}, "A budget needs NotificationEmail"),
    ],
)  # fmt: skip
def test_answers_that_do_not_go_together_are_refused(answers: dict[str, str], sentence: str) -> None:
    assert any(sentence in said for said in refused(BODY, REQUIRED | answers, "us-east-1"))


def test_the_defaults_are_refused_nowhere() -> None:
    for region in regions.names():
        assert refused(BODY, REQUIRED, region) == []


def test_rules_use_only_what_rules_may_use() -> None:
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html
    allowed = {
        "And",
        "Contains",
        "EachMemberEquals",
        "EachMemberIn",
        "Equals",
        "Not",
        "Or",
        "RefAll",
        "ValueOf",
        "ValueOfAll",
    }

    def functions(value: Any) -> set[str]:
        if isinstance(value, dict):
            return {key for key in value if key.startswith("Fn::")}.union(
                *(functions(inner) for inner in value.values())
            )
        return set().union(*(functions(inner) for inner in value)) if isinstance(value, list) else set()

    assert functions(BODY["Rules"]) <= {f"Fn::{name}" for name in allowed}


def test_every_role_stands_on_our_path_under_the_boundary() -> None:
    roles = {name: properties(name) for name, body in RESOURCES.items() if body["Type"] == "AWS::IAM::Role"}
    assert len(roles) > 8
    for name, role in roles.items():
        assert role["Path"] == "/mlops/platform/", name
        assert role["PermissionsBoundary"] == {
            "Fn::If": ["HasOwnBoundary", {"Ref": "ExistingPermissionsBoundaryArn"}, {"Ref": "PermissionsBoundary"}]
        }, name


def test_resource_policies_name_no_role() -> None:
    # A policy that names a role is refused while the role does not exist.
    for name, body in RESOURCES.items():
        for key in ("KeyPolicy", "PolicyDocument", "AssumeRolePolicyDocument"):
            document = body.get("Properties", {}).get(key, {})
            for principal in _principals(document):
                assert ":role/" not in json.dumps(principal) and "GetAtt" not in json.dumps(principal), name


def _principals(value: Any) -> list[Any]:
    if isinstance(value, dict):
        found = [value["Principal"]] if "Principal" in value else []
        return found + [item for inner in value.values() for item in _principals(inner)]
    return [item for inner in value for item in _principals(inner)] if isinstance(value, list) else []


def test_the_boundary_protects_itself_and_what_carries_it() -> None:
    document = properties("PermissionsBoundary")["PolicyDocument"]
    denied = {s["Sid"]: s for s in document["Statement"] if s["Effect"] == "Deny"}
    assert denied["BoundariesStay"]["Action"] == "iam:DeleteRolePermissionsBoundary"
    assert {"iam:CreateRole", "iam:PutRolePermissionsBoundary"} == set(denied["RolesCarryABoundary"]["Action"])
    for sid in ("BoundariesAreNotRewritten", "OnlyOurRolesAndPolicies", "PlatformRolesStay"):
        changes = denied[sid]["Action"]
        for action in (
            "CreatePolicyVersion",
            "SetDefaultPolicyVersion",
            "PassRole",
            "PutRolePolicy",
            "UpdateAssumeRolePolicy",
        ):
            assert any(fnmatch(f"iam:{action}", pattern) for pattern in changes), (sid, action)
        assert not any(fnmatch("iam:GetRole", pattern) for pattern in changes)
    for sid in (
        "OnlyApproversDecide",
        "OnlyApproversDecideOnModels",
        "NothingIsBornApproved",
        "OwnersStay",
        "PlatformStackStays",
    ):
        assert sid in denied


def test_studio_is_private_and_names_the_person() -> None:
    domain = properties("StudioDomain")
    assert domain["AppNetworkAccessType"] == "VpcOnly"
    assert domain["HomeEfsFileSystemCreation"] == "Disabled"
    assert domain["DomainSettings"]["ExecutionRoleIdentityConfig"] == "USER_PROFILE_NAME"
    assert domain["KmsKeyId"] == {"Fn::GetAtt": ["PlatformKey", "Arn"]}
    settings = domain["DefaultUserSettings"]
    assert (settings["StudioWebPortal"], settings["DefaultLandingUri"]) == ("ENABLED", "studio::")
    for app in ("JupyterLab", "CodeEditor"):
        assert settings[f"{app}AppSettings"]["BuiltInLifecycleConfigArn"] == {
            "Fn::GetAtt": [f"{app}Loader", "StudioLifecycleConfigArn"]
        }


def test_only_the_model_approver_decides_on_models_and_production() -> None:
    deciding = {"sagemaker:UpdateModelPackage", "sagemaker:CreateModelPackage", "codepipeline:PutApprovalResult"}
    for name, body in RESOURCES.items():
        if body["Type"] == "AWS::IAM::Role" and name != "ModelApproverRole":
            assert not [action for action in deciding if action in json.dumps(body)], name


def test_a_session_can_only_be_taken_under_ones_own_name() -> None:
    for persona in ("FullStackDeveloper", "DataScienceAdmin", "DataScientist", "ModelApprover", "MlEngineer"):
        text = json.dumps(properties(f"{persona}Role")["AssumeRolePolicyDocument"])
        assert '"sts:RoleSessionName": "${aws:username}"' in text
        assert '"aws:userid": "*:${sts:RoleSessionName}"' in text


def test_pip_takes_our_own_names_only_from_us() -> None:
    own = properties("InternalPackages")["OriginConfiguration"]["Restrictions"]
    public = properties("PublicPackages")["OriginConfiguration"]["Restrictions"]
    assert own["ExternalUpstream"]["RestrictionMode"] == "BLOCK"
    assert public["Publish"]["RestrictionMode"] == "BLOCK"
