"""Each way in which a launch role may lack something is found, told with resource, action and mend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from generators.kit.publishing import ROOT
from proofs import handlers, launch_permissions
from proofs.errors import NothingToProve
from proofs.report import DISPROVED, PROVED, Finding, Outcome
from proofs.scene import Library
from rehearsal.schemas import Registry
from tests.proofs.conftest import CATALOGUE, statements

Make = Callable[..., Library]


def run(library: Library) -> Outcome:
    return launch_permissions.run(library)


def found(outcome: Outcome) -> str:
    return "\n".join(map(str, outcome.findings))


def test_the_small_platform_is_proved_and_counts_what_was_asked(platform: Make) -> None:
    outcome = run(platform())
    assert outcome.findings == ()
    assert outcome.status == PROVED
    assert outcome.count > 100  # in every launch region
    assert 0 < outcome.not_from_aws < outcome.count
    assert "LaunchRole" in outcome.note


def named(catalogue: dict[str, Any], sid: str) -> dict[str, Any]:
    """Give a statement of the launch role."""
    return next(item for item in statements(catalogue) if item["Sid"] == sid)


def each_action() -> list[tuple[str, str]]:
    listed = statements(CATALOGUE)
    found = [(item["Sid"], item["Action"]) for item in listed]
    return [(sid, action) for sid, actions in found for action in ([actions] if isinstance(actions, str) else actions)]


@pytest.mark.parametrize(("sid", "action"), each_action())
def test_every_action_that_is_taken_away_is_missed(platform: Make, sid: str, action: str) -> None:
    def take(catalogue: dict[str, Any]) -> None:
        statement = named(catalogue, sid)
        kept = [item for item in [statement["Action"]] if isinstance(item, str)] or statement["Action"]
        statement["Action"] = [item for item in kept if item != action] or ["s3:GetBucketWebsite"]

    outcome = run(platform(catalogue=take))
    assert outcome.status == DISPROVED
    assert any(f"{action} on " in finding.what and "LaunchRole" in finding.what for finding in outcome.findings)


def test_a_finding_names_resource_action_role_and_where_to_mend(platform: Make) -> None:
    def take(catalogue: dict[str, Any]) -> None:
        named(catalogue, "Parameters")["Action"].remove("ssm:PutParameter")

    (first, *_) = run(platform(catalogue=take)).findings
    assert isinstance(first, Finding)
    assert first.where == "product:Note (AWS::SSM::Parameter)"
    assert "ssm:PutParameter on arn:aws:ssm:us-east-1:123456789012:parameter/mlops/projects/churn/note" in first.what
    assert "LaunchRole" in first.what
    assert first.mend == "allow it in tests/proofs/conftest.py, `may_launch`"


def test_what_only_an_option_makes_is_seen_without_the_option_in_the_trial(platform: Make) -> None:
    def narrow(catalogue: dict[str, Any]) -> None:
        named(catalogue, "Parameters")["Resource"]["Fn::Sub"] += "/settings"

    assert "product:Note" in found(run(platform(catalogue=narrow)))
    assert "product:Settings" not in found(run(platform(catalogue=narrow)))


def test_a_condition_that_no_values_bring_to_both_states_is_told(platform: Make) -> None:
    def fix(product: dict[str, Any]) -> None:
        product["Conditions"]["IsNever"] = {"Fn::Equals": [{"Ref": "AWS::Region"}, "mars-1"]}

    assert run(platform(product=fix)).note.endswith("only one state reached: product:IsNever")
    assert "only one state" not in run(platform()).note


def test_a_deny_of_the_boundary_is_seen(platform: Make) -> None:
    def forbid(base: dict[str, Any]) -> None:
        document = base["Resources"]["PermissionsBoundary"]["Properties"]["PolicyDocument"]
        document["Statement"].append({"Sid": "NoRoles", "Effect": "Deny", "Action": "iam:TagRole", "Resource": "*"})

    outcome = run(platform(base=forbid))
    assert "denied by PermissionsBoundary/NoRoles" in found(outcome)
    assert "generators/base.py" in found(outcome)
    assert all("iam:TagRole" in finding.what for finding in outcome.findings)


def test_what_the_boundary_does_not_allow_is_not_held(platform: Make) -> None:
    def narrow(base: dict[str, Any]) -> None:
        document = base["Resources"]["PermissionsBoundary"]["Properties"]["PolicyDocument"]
        document["Statement"][0]["Action"].remove("lambda:*")

    assert "lambda:InvokeFunction" in found(run(platform(base=narrow)))
    assert "the boundary of LaunchRole" in found(run(platform(base=narrow)))


def test_a_role_without_the_boundary_is_denied_by_the_boundary(platform: Make) -> None:
    def strip(product: dict[str, Any]) -> None:
        del product["Resources"]["ProjectRole"]["Properties"]["PermissionsBoundary"]

    def any_boundary(catalogue: dict[str, Any]) -> None:
        del named(catalogue, "NewRoles")["Condition"]

    assert "denied by PermissionsBoundary/RolesCarryABoundary" in found(
        run(platform(product=strip, catalogue=any_boundary))
    )


@pytest.mark.parametrize(
    ("sid", "resource"),
    [
        ("Stacks", "arn:aws:cloudformation:us-east-1:123456789012:stack/other-*"),
        ("Facts", "arn:aws:ssm:us-east-1:123456789012:parameter/other/*"),
        ("Roles", "arn:aws:iam::123456789012:role/churn/*"),
        ("Function", "arn:aws:lambda:us-east-1:123456789012:function:other"),
        ("Template", "arn:aws:s3:::known-bucket/*"),  # nobody knows the bucket of Service Catalog
    ],
)
def test_a_wrong_resource_is_seen(platform: Make, sid: str, resource: str) -> None:
    def point(catalogue: dict[str, Any]) -> None:
        named(catalogue, sid)["Resource"] = resource

    assert run(platform(catalogue=point)).status == DISPROVED


def test_a_region_in_an_arn_is_seen_in_another_region(platform: Make) -> None:
    def fix(catalogue: dict[str, Any]) -> None:
        named(catalogue, "Parameters")["Resource"]["Fn::Sub"] = (
            "arn:aws:ssm:us-east-1:${AWS::AccountId}:parameter/mlops/projects/*"
        )

    assert "parameter/mlops/projects/churn/settings" in found(run(platform(catalogue=fix)))


def test_a_condition_that_no_request_meets_is_seen(platform: Make) -> None:
    def demand(catalogue: dict[str, Any]) -> None:
        named(catalogue, "Roles")["Condition"] = {"Bool": {"kms:GrantIsForAWSResource": "true"}}

    assert "iam:DeleteRole" in found(run(platform(catalogue=demand)))


@pytest.mark.parametrize(
    ("condition", "word"),
    [
        ({"DateLessThan": {"aws:CurrentTime": "2030-01-01"}}, "DateLessThan"),
        ({"StringEquals": {"aws:SourceVpc": "vpc-1"}}, "aws:SourceVpc"),
        ({"StringEquals": {"aws:TagKeys": "CostCenter"}}, "ForAnyValue"),
    ],
)
def test_what_the_evaluator_does_not_know_is_a_finding_never_a_pass(platform: Make, condition: Any, word: str) -> None:
    def demand(catalogue: dict[str, Any]) -> None:
        named(catalogue, "Parameters")["Condition"] = condition

    outcome = run(platform(catalogue=demand))
    assert outcome.status == DISPROVED
    assert word in found(outcome)


def test_a_handler_name_that_is_no_action_and_is_not_reviewed_is_a_finding(
    platform: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = handlers.wanted

    def with_another(type_: str, *rest: Any) -> Any:
        yield from real(type_, *rest)
        if type_ == "AWS::SSM::Parameter":
            yield handlers.Unmapped("ssm:NoSuchThing", "create")

    monkeypatch.setattr(handlers, "wanted", with_another)
    outcome = run(platform())
    assert "ssm:NoSuchThing" in found(outcome)
    assert "NO_ACTIONS of proofs/handlers.py" in found(outcome)


def test_a_type_without_handlers_is_a_finding(platform: Make) -> None:
    def build(product: dict[str, Any]) -> None:
        product["Resources"]["Key"] = {"Type": "AWS::IAM::AccessKey", "Properties": {"UserName": "ada"}}

    assert "AWS::IAM::AccessKey" in found(run(platform(product=build)))


def test_a_build_project_needs_what_its_own_operations_need(platform: Make) -> None:
    role = "arn:aws:iam::123456789012:role/mlops/churn/build"

    def build(product: dict[str, Any]) -> None:
        made = {"Name": "churn-build", "ServiceRole": role}
        product["Resources"]["Build"] = {"Type": "AWS::CodeBuild::Project", "Properties": made}

    missing = found(run(platform(product=build)))
    for action in ("codebuild:CreateProject", "codebuild:DeleteProject", "codebuild:UpdateProject", "iam:PassRole"):
        assert action in missing


def test_a_launch_role_that_no_template_makes_is_a_finding(platform: Make) -> None:
    def lose(catalogue: dict[str, Any]) -> None:
        catalogue["Resources"]["Launch"]["Properties"]["RoleArn"] = "arn:aws:iam::123456789012:role/other"

    assert "role/other" in found(run(platform(catalogue=lose)))


def test_without_a_launch_role_there_is_nothing_to_prove(platform: Make) -> None:
    with pytest.raises(NothingToProve):
        run(platform(catalogue=lambda catalogue: catalogue["Resources"].pop("Launch")))


def test_a_nested_stack_counts_with_its_parent(platform: Make) -> None:
    def nest(product: dict[str, Any]) -> None:
        product["Resources"]["More"] = {"Type": "AWS::CloudFormation::Stack", "Properties": {
            "TemplateURL": "https://b.s3.us-east-1.amazonaws.com/v1/templates/catalogue.yaml",
            "Parameters": {"BoundaryArn": "arn:aws:iam::123456789012:policy/mlops/b", "FunctionArn": "f"}}}  # fmt: skip

    outcome = run(platform(product=nest))
    assert "s3:GetObject on arn:aws:s3:::b/v1/templates/catalogue.yaml" in found(outcome)
    assert "catalogue:Product (AWS::ServiceCatalog::CloudFormationProduct)" in found(outcome)


@pytest.mark.parametrize(
    ("type_", "properties", "action", "needed"),
    [
        ("AWS::S3::Bucket", {}, "s3:PutReplicationConfiguration", False),
        ("AWS::S3::Bucket", {"ReplicationConfiguration": {}}, "s3:PutReplicationConfiguration", True),
        ("AWS::S3::Bucket", {"ReplicationConfiguration": {}}, "iam:PassRole", True),
        ("AWS::S3::Bucket", {"CorsConfiguration": {}}, "s3:PutBucketCORS", True),
        ("AWS::S3::Bucket", {}, "s3:DeleteObject", False),
        ("AWS::S3::Bucket", {}, "s3:GetBucketCORS", True),
        ("AWS::S3::Bucket", {}, "s3:CreateBucket", True),
        ("AWS::KMS::Key", {"EnableKeyRotation": True}, "kms:DisableKeyRotation", False),
        ("AWS::KMS::Key", {"EnableKeyRotation": False}, "kms:DisableKeyRotation", True),
        ("AWS::IAM::Role", {"PermissionsBoundary": "b"}, "iam:DeleteRolePermissionsBoundary", False),
        ("AWS::CodeCommit::Repository", {"Code": {"S3": {}}}, "s3:GetObject", True),
        ("AWS::CodeCommit::Repository", {"Code": {}}, "s3:GetObject", False),
    ],
)
def test_only_what_the_properties_call_for_is_needed(
    registry: Registry, type_: str, properties: dict[str, Any], action: str, needed: bool
) -> None:
    schema = registry.get("us-east-1", type_)
    assert schema is not None
    found = handlers.wanted(type_, schema.document, properties, registry.arn_formats)
    assert (action in {item.action for item in found if isinstance(item, handlers.Wanted)}) is needed


def test_the_reviewed_tables_name_actions_that_iam_knows(registry: Registry) -> None:
    known = registry.arn_formats
    rows = {action for row in handlers.CALLED_FOR.values() for action in row}
    targets = {action for action in handlers.NO_ACTIONS.values() if action}
    assert [action for action in rows | targets | handlers.TAGGING if not handlers.is_action(action, known)] == []
    assert [name for name in handlers.NO_ACTIONS if handlers.is_action(name, known)] == []


def test_the_reviewed_tables_say_nothing_that_the_schemas_no_longer_ask(registry: Registry) -> None:
    for type_, rows in handlers.CALLED_FOR.items():
        schema = registry.get("us-east-1", type_)
        assert schema is not None, type_
        listed = {
            handlers.spelled(name, registry.arn_formats)
            for handler in schema.document["handlers"].values()
            for name in handler["permissions"]
        }
        assert set(rows) <= listed, (type_, set(rows) - listed)


def with_key(statement: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    def add(product: dict[str, Any]) -> None:
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        product["Resources"]["Key"] = {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": policy}}

    return add


def with_kms(body: dict[str, Any]) -> None:
    if "LaunchRole" in body["Resources"]:
        statements(body).append({"Sid": "Keys", "Effect": "Allow", "Action": "kms:*", "Resource": "*"})
    else:
        document = body["Resources"]["PermissionsBoundary"]["Properties"]["PolicyDocument"]
        document["Statement"][0]["Action"].append("kms:*")


def test_a_key_has_to_hand_on_to_the_account_what_iam_allows(platform: Make) -> None:
    root = {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}
    whole = {"Sid": "Account", "Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"}
    part = {**whole, "Action": ["kms:DescribeKey", "kms:PutKeyPolicy"]}
    assert run(platform(base=with_kms, catalogue=with_kms, product=with_key(whole))).findings == ()
    outcome = run(platform(base=with_kms, catalogue=with_kms, product=with_key(part)))
    assert "kms:ScheduleKeyDeletion" in found(outcome)
    assert "kms:PutKeyPolicy" not in found(outcome)
    assert "LaunchRole by the policy of Key" in found(outcome)
    assert "let the key's policy allow it in generators/product.py" in found(outcome)


# The project's own templates.


def test_an_action_taken_from_a_launch_role_of_ours_is_missed(ours: Make) -> None:
    def take(catalogue: dict[str, Any]) -> None:
        for resource in catalogue["Resources"].values():
            for policy in resource.get("Properties", {}).get("Policies", ()):
                for statement in policy["PolicyDocument"]["Statement"]:
                    if isinstance(statement["Action"], list) and "kms:PutKeyPolicy" in statement["Action"]:
                        statement["Action"].remove("kms:PutKeyPolicy")

    before, after = run(ours()), run(ours(catalogue=take))
    new = set(after.findings) - set(before.findings)
    assert new
    assert all("kms:PutKeyPolicy" in finding.what for finding in new)
    assert {finding.where.split(" ")[0] for finding in new} == {"2-smproject:ProjectKey"}
    for finding in new:
        path = finding.mend.removeprefix("allow it in ").split(",")[0]
        assert (ROOT / Path(path)).is_file()


def test_a_deny_in_the_boundary_of_ours_is_seen(ours: Make) -> None:
    def forbid(infra: dict[str, Any]) -> None:
        document = infra["Resources"]["PermissionsBoundary"]["Properties"]["PolicyDocument"]
        document["Statement"].append(
            {"Sid": "NoProfiles", "Effect": "Deny", "Action": "sagemaker:CreateUserProfile", "Resource": "*"}
        )

    assert "denied by PermissionsBoundary/NoProfiles" in found(run(ours(infra=forbid)))
