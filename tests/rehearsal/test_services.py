"""SageMaker, Service Catalog and CodePipeline as actors see them, each with its own role: real server, real policies."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rehearsal.client import ACCOUNT, Emulator, Session, fetch
from rehearsal.errors import Refused

PLATFORM = (Path(__file__).parent / "templates/platform.yaml").read_text(encoding="utf-8")
REGION = "us-east-1"
# What the product launches: a fact under the name it is given.
THING = {
    "Parameters": {"SageMakerProjectName": {"Type": "String", "AllowedPattern": "[a-z]+"},
                   "SageMakerProjectId": {"Type": "String"}, "Colour": {"Type": "String", "Default": "red"}},
    "Resources": {"Fact": {"Type": "AWS::SSM::Parameter", "Properties": {
        "Name": {"Fn::Sub": "/things/${SageMakerProjectName}"}, "Type": "String", "Value": {"Ref": "Colour"}}}},
    "Outputs": {"Fact": {"Value": {"Ref": "Fact"}}},
}  # fmt: skip


@dataclass(frozen=True)
class Platform:
    """A stack of `platform.yaml`, and people who may take its roles."""

    account: Emulator
    facts: dict[str, str]
    admin: Session
    ana: Session

    @property
    def domain(self) -> str:
        return self.facts["Domain"]


def until(told: Callable[[], Any]) -> Any:
    """Wait up to twenty seconds for something to be true."""
    for _ in range(400):
        if found := told():
            return found
        time.sleep(0.05)
    raise AssertionError("never came")


def deploy(account: Emulator, name: str, body: Any, **parameters: str) -> dict[str, str]:
    """Make or change a stack, wait, and give its outputs with its status."""
    api = account.client("cloudformation")
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    stack = {
        "StackName": name,
        "TemplateBody": body if isinstance(body, str) else json.dumps(body),
        "Parameters": given,
    }
    known = [row["StackName"] for row in api.describe_stacks()["Stacks"] if row["StackStatus"] != "DELETE_COMPLETE"]
    (api.update_stack if name in known else api.create_stack)(**stack, Capabilities=["CAPABILITY_NAMED_IAM"])
    return ended(account, name)


def ended(account: Emulator, name: str) -> dict[str, str]:
    api = account.client("cloudformation")
    stack = until(
        lambda: (s := api.describe_stacks(StackName=name)["Stacks"][0]) and "PROGRESS" not in s["StackStatus"] and s
    )
    return {"Status": stack["StackStatus"], **{o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}}


def reasons(account: Emulator, stack: str) -> str:
    events = account.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    return "\n".join(e.get("ResourceStatusReason", "") for e in events if e["ResourceStatus"].endswith("FAILED"))


@pytest.fixture(scope="module")
def platform(account: Emulator) -> Iterator[Platform]:
    bucket = f"assets-{REGION}"
    account.client("s3").put_object(Bucket=bucket, Key="v1/thing.json", Body=json.dumps(THING).encode())
    facts = deploy(account, "platform", PLATFORM, CodeBucket=bucket, ProductKey="v1/thing.json")
    assert facts["Status"] == "CREATE_COMPLETE", reasons(account, "platform")
    people = account.as_role(facts["AdminRole"], "ada"), account.as_role(facts["PersonRole"], "ana@example.com")
    yield Platform(account, facts, *people)
    api = account.client("cloudformation")
    number = api.describe_stacks(StackName="platform")["Stacks"][0]["StackId"]
    api.delete_stack(StackName="platform")
    assert ended(account, number)["Status"] == "DELETE_COMPLETE", reasons(account, number)


def refused(code: str, words: str = "") -> Any:
    """Expect AWS's error of a code, with words in its message."""
    return pytest.raises(ClientError, match=rf"\({code}\).*{words}")


def test_session_is_only_for_whom_the_trust_policy_names(platform: Platform) -> None:
    user = platform.account.user("eve")
    with refused("AccessDenied", "sts:AssumeRole"):
        user.as_role(platform.facts["AdminRole"], "ada")
    who = user.as_role(platform.facts["AdminRole"], "eve").client("sts").get_caller_identity()
    assert who["Arn"].endswith("/eve")


def test_studio_opens_for_the_owner_alone(platform: Platform) -> None:
    account, domain = platform.account, platform.domain
    own = account.studio(platform.ana, domain, "ana").client("sts").get_caller_identity()
    assert ":assumed-role/platform-WorkRole" in own["Arn"]
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:user-profile/{domain}/ben"
    with refused("AccessDeniedException", f"CreatePresignedDomainUrl on resource: {arn} with an explicit deny"):
        account.studio(platform.ana, domain, "ben")
    with refused("AccessDeniedException", "no identity-based policy allows"):
        account.studio(platform.admin, domain, "ana")
    link = platform.ana.client("sagemaker").create_presigned_domain_url(DomainId=domain, UserProfileName="ana")
    view = link["AuthorizedUrl"].partition("/_rehearsal/")[2]
    fetch(account.endpoint, view)
    with pytest.raises(Refused, match="used already"):
        fetch(account.endpoint, view)
    with refused("ResourceNotFound", "User profile eve"):
        account.client("sagemaker").create_presigned_domain_url(DomainId=domain, UserProfileName="eve")


def space(domain: str, name: str, owner: str, sharing: str = "Private") -> dict[str, Any]:
    return {
        "DomainId": domain,
        "SpaceName": name,
        "OwnershipSettings": {"OwnerUserProfileName": owner},
        "SpaceSharingSettings": {"SharingType": sharing},
        "SpaceSettings": {"AppType": "JupyterLab"},
    }


def test_spaces_are_held_by_their_owners_policy(platform: Platform) -> None:
    api = platform.account.studio(platform.ana, platform.domain, "ana").client("sagemaker")
    for name, owner, sharing in (("of-ben", "ben", "Private"), ("shared", "ana", "Shared")):
        with refused("AccessDeniedException", "sagemaker:CreateSpace"):
            api.create_space(**space(platform.domain, name, owner, sharing))
    tags = [{"Key": "team", "Value": "a"}]
    made = api.create_space(**space(platform.domain, "own", "ana"), Tags=tags)
    assert api.list_tags(ResourceArn=made["SpaceArn"])["Tags"] == tags
    with refused("AccessDeniedException", "sagemaker:AddTags on resource"):
        api.add_tags(ResourceArn=made["SpaceArn"], Tags=tags)
    with refused("ResourceInUse"):
        api.create_space(**space(platform.domain, "own", "ana"))
    app = {"DomainId": platform.domain, "SpaceName": "own", "AppType": "JupyterLab", "AppName": "default"}
    with refused("AccessDeniedException", "sagemaker:CreateApp"):  # an app of the profile itself has no owner key
        api.create_app(DomainId=platform.domain, UserProfileName="ana", AppType="JupyterLab", AppName="default")
    arn = api.create_app(**app)["AppArn"]
    until(lambda: api.describe_app(**app)["Status"] == "InService")
    with refused("ResourceInUse", "still has apps"):
        api.delete_space(DomainId=platform.domain, SpaceName="own")
    platform.account.hold(arn)
    api.delete_app(**app)
    time.sleep(0.4)
    assert api.describe_app(**app)["Status"] == "Deleting"
    platform.account.hold(arn, is_held=False)
    until(lambda: api.describe_app(**app)["Status"] == "Deleted")
    assert [a["Status"] for a in api.list_apps(DomainIdEquals=platform.domain, SpaceNameEquals="own")["Apps"]] == [
        "Deleted"
    ]
    api.delete_space(DomainId=platform.domain, SpaceName="own")
    until(lambda: not api.list_spaces(DomainIdEquals=platform.domain)["Spaces"])


def test_profile_in_use_and_domain_with_profiles_stay(platform: Platform) -> None:
    api = platform.account.client("sagemaker")
    api.create_space(**space(platform.domain, "bens", "ben"))
    changed = PLATFORM.replace("  Ben:\n", "  Ben2:\n").replace("UserProfileName: ben,", "UserProfileName: ben2,")
    given = {"CodeBucket": f"assets-{REGION}", "ProductKey": "v1/thing.json"}
    deploy(platform.account, "platform", changed, **given)
    assert "in use by space bens (ResourceInUse)" in reasons(platform.account, "platform")
    with refused("ResourceInUse", "still has space bens"):
        api.delete_user_profile(DomainId=platform.domain, UserProfileName="ben")
    platform.account.client("cloudformation").delete_stack(StackName="platform-none")
    api.delete_space(DomainId=platform.domain, SpaceName="bens")
    until(lambda: not api.list_spaces()["Spaces"])
    deploy(platform.account, "platform", PLATFORM, **given)


def test_profiles_are_listed_in_pages_with_those_made_by_hand(platform: Platform) -> None:
    api = platform.account.client("sagemaker")
    for number in range(11):
        tags = [{"Key": "mlops:project", "Value": "churn"}]
        api.create_user_profile(DomainId=platform.domain, UserProfileName=f"hand-{number}", Tags=tags)
    with refused("ResourceInUse", "already exists"):
        api.create_user_profile(DomainId=platform.domain, UserProfileName="ANA")
    first = api.list_user_profiles(DomainIdEquals=platform.domain, UserProfileNameContains="hand")
    assert len(first["UserProfiles"]) == 10
    pages = api.get_paginator("list_user_profiles").paginate(DomainIdEquals=platform.domain)
    names = {profile["UserProfileName"] for found in pages for profile in found["UserProfiles"]}
    assert names == {"ana", "ben", *(f"hand-{number}" for number in range(11))}
    filters = [{"Key": "mlops:project", "Values": ["churn"]}]
    found = platform.account.client("resourcegroupstaggingapi").get_resources(
        ResourceTypeFilters=["sagemaker:user-profile"], TagFilters=filters
    )
    assert len(found["ResourceTagMappingList"]) == 11
    for number in range(11):
        api.delete_user_profile(DomainId=platform.domain, UserProfileName=f"hand-{number}")
    assert api.describe_domain(DomainId=platform.domain)["AuthMode"] == "IAM"
    with refused("ResourceNotFound", "hand-1"):
        api.describe_user_profile(DomainId=platform.domain, UserProfileName="hand-1")


def test_what_the_model_refuses_and_what_is_not_played(platform: Platform) -> None:
    api = platform.account.client("sagemaker")
    with refused("ValidationException", "at 'spaceName' failed to satisfy constraint"):
        api.create_space(DomainId=platform.domain, SpaceName="-x")
    with refused("UnknownOperationException", "add it to the class that plays sagemaker"):
        api.list_models()


def launch(platform: Platform, who: Session, name: str, **more: Any) -> dict[str, Any]:
    values = {"SageMakerProjectName": name, "SageMakerProjectId": "p-1", **more.pop("Values", {})}
    return dict(
        who.client("servicecatalog").provision_product(
            ProductId=platform.facts["Product"],
            ProvisioningArtifactId=platform.facts["Artifact"],
            ProvisionedProductName=name,
            ProvisioningParameters=[{"Key": key, "Value": value} for key, value in values.items()],
            **more,
        )["RecordDetail"]
    )


def finished(who: Session, record: dict[str, Any]) -> dict[str, Any]:
    api = who.client("servicecatalog")
    describe = lambda: api.describe_record(Id=record["RecordId"])["RecordDetail"]  # noqa: E731
    until(lambda: describe()["Status"] in ("SUCCEEDED", "FAILED"))
    return dict(describe())


def test_product_is_launched_changed_and_ended_as_its_launch_role(platform: Platform) -> None:
    api = platform.admin.client("servicecatalog")
    product = {"ProductId": platform.facts["Product"]}
    assert [row["Name"] for row in api.search_products()["ProductViewSummaries"]] == ["Thing"]
    assert api.list_launch_paths(**product)["LaunchPathSummaries"][0]["ConstraintSummaries"][0]["Type"] == "LAUNCH"
    asked = api.describe_provisioning_parameters(**product, ProvisioningArtifactId=platform.facts["Artifact"])
    assert {row["ParameterKey"] for row in asked["ProvisioningArtifactParameters"]} == set(THING["Parameters"])
    assert asked["TagOptions"] == [{"Key": "platform", "Values": ["small"]}]
    record = launch(platform, platform.admin, "one", ProvisionToken="t1")
    assert launch(platform, platform.admin, "one", ProvisionToken="t1")["RecordId"] == record["RecordId"]
    with refused("DuplicateResourceException", "one already exists"):
        launch(platform, platform.admin, "one")
    assert finished(platform.admin, record)["Status"] == "SUCCEEDED"
    number = record["ProvisionedProductId"]
    stack = platform.account.client("cloudformation").describe_stacks(StackName=f"SC-{ACCOUNT}-{number}")["Stacks"][0]
    tags = {tag["Key"]: tag["Value"] for tag in stack["Tags"]}
    assert tags["platform"] == "small"
    assert tags["aws:servicecatalog:provisioningPrincipalArn"].endswith("/ada")
    outputs = {o["OutputKey"]: o["OutputValue"] for o in api.describe_record(Id=record["RecordId"])["RecordOutputs"]}
    assert outputs["CloudformationStackARN"] == stack["StackId"]
    ssm = platform.account.client("ssm")
    fact = lambda: ssm.get_parameter(Name="/things/one")["Parameter"]["Value"]  # noqa: E731
    assert fact() == "red"
    change = [{"Key": "Colour", "Value": "blue"}]
    changed = api.update_provisioned_product(ProvisionedProductId=number, ProvisioningParameters=change)["RecordDetail"]
    assert finished(platform.admin, changed)["Status"] == "SUCCEEDED"
    assert fact() == "blue"
    gone = api.terminate_provisioned_product(ProvisionedProductName="one", TerminateToken="t2")["RecordDetail"]
    assert finished(platform.admin, gone)["Status"] == "SUCCEEDED"
    assert (
        api.scan_provisioned_products(AccessLevelFilter={"Key": "Account", "Value": "self"})["ProvisionedProducts"]
        == []
    )


def test_failed_launch_says_why_and_can_be_ended(platform: Platform) -> None:
    record = finished(platform.admin, launch(platform, platform.admin, "Two"))
    assert "must match pattern" in record["RecordErrors"][0]["Description"]
    api = platform.admin.client("servicecatalog")
    shown = api.describe_provisioned_product(Name="Two")["ProvisionedProductDetail"]
    assert shown["Status"] == "ERROR"
    ended_ = api.terminate_provisioned_product(ProvisionedProductName="Two", TerminateToken="t3")["RecordDetail"]
    assert finished(platform.admin, ended_)["Status"] == "SUCCEEDED"


def test_launch_needs_the_portfolio_and_a_role_that_may(platform: Platform) -> None:
    with refused("ResourceNotFoundException", "No launch paths found"):
        launch(platform, platform.ana, "three")
    iam = platform.account.client("iam")
    role = next(role for role in iam.list_roles()["Roles"] if "-LaunchRole" in role["RoleName"])
    allowed = iam.get_role_policy(RoleName=role["RoleName"], PolicyName="launch")["PolicyDocument"]
    lacks = ((0, "cloudformation:CreateStack"), (1, "ExistingObjectTag"), (2, "ssm:PutParameter on resource"))
    for lacking, words in lacks:
        rest = {**allowed, "Statement": [row for place, row in enumerate(allowed["Statement"]) if place != lacking]}
        iam.put_role_policy(RoleName=role["RoleName"], PolicyName="launch", PolicyDocument=json.dumps(rest))
        record = finished(platform.admin, launch(platform, platform.admin, f"lacking{'abc'[lacking]}"))
        assert words in record["RecordErrors"][0]["Description"]
    iam.put_role_policy(RoleName=role["RoleName"], PolicyName="launch", PolicyDocument=json.dumps(allowed))
    trust = {"Version": "2012-10-17", "Statement": []}
    iam.update_assume_role_policy(RoleName=role["RoleName"], PolicyDocument=json.dumps(trust))
    record = finished(platform.admin, launch(platform, platform.admin, "untrusted"))
    assert "servicecatalog.amazonaws.com is not authorized" in record["RecordErrors"][0]["Description"]
    iam.update_assume_role_policy(
        RoleName=role["RoleName"], PolicyDocument=json.dumps(role["AssumeRolePolicyDocument"])
    )
    for name in ("lackinga", "lackingb", "lackingc", "untrusted"):
        platform.admin.client("servicecatalog").terminate_provisioned_product(ProvisionedProductName=name)


def test_project_is_a_product_with_name_and_id(platform: Platform) -> None:
    given = {
        "ProductId": platform.facts["Product"],
        "ProvisioningArtifactId": platform.facts["Artifact"],
        "ProvisioningParameters": [{"Key": "Colour", "Value": "green"}],
    }
    with refused(
        "AccessDeniedException", "sagemaker:CreateProject on resource: .*:project/churn with an explicit deny"
    ):
        platform.ana.client("sagemaker").create_project(ProjectName="churn", ServiceCatalogProvisioningDetails=given)
    api = platform.admin.client("sagemaker")
    tags = [{"Key": "team", "Value": "a"}]
    made = api.create_project(ProjectName="churn", ServiceCatalogProvisioningDetails=given, Tags=tags)
    status = lambda: api.describe_project(ProjectName="churn")["ProjectStatus"]  # noqa: E731
    until(lambda: status() == "CreateCompleted")
    with refused("ValidationException", "already exists"):
        api.create_project(ProjectName="churn", ServiceCatalogProvisioningDetails=given)
    stacks = platform.account.client("cloudformation").describe_stacks()["Stacks"]
    stack = next(s for s in stacks if {"Key": "sagemaker:project-id", "Value": made["ProjectId"]} in s["Tags"])
    parameters = {p["ParameterKey"]: p["ParameterValue"] for p in stack["Parameters"]}
    assert parameters == {"SageMakerProjectName": "churn", "SageMakerProjectId": made["ProjectId"], "Colour": "green"}
    assert [p["ProjectName"] for p in api.list_projects()["ProjectSummaryList"]] == ["churn"]
    api.delete_project(ProjectName="churn")
    until(lambda: status() == "DeleteCompleted")
    assert api.list_projects()["ProjectSummaryList"] == []


def test_pipeline_starts_only_where_a_stack_made_one(account: Emulator) -> None:
    api = account.client("codepipeline")
    with refused("PipelineNotFoundException", "churn-build"):
        api.start_pipeline_execution(name="churn-build")
