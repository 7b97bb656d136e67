"""Facts about projects, users and their catalogue that a reader of the architecture expects, held against the rendered dicts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from generators.kit import publishing, rails
from generators.kit.registry import rendered
from generators.smproject.questions import RESERVED
from tools.conditions import created, refused

BODIES = {item.stack.name: item.body for item in rendered()}
PROJECT, USER = BODIES["2-smproject"], BODIES["3-smuser"]
GIVEN = {"SageMakerProjectName": "churn", "SageMakerProjectId": "p-abcdefghijkl", "CostCenter": "1"}
UNIQUE = "${SageMakerProjectName}-${SageMakerProjectId}"


def statements(body: Any, name: str) -> list[dict[str, Any]]:
    """Give the statements of a policy or role, whatever condition they hang on."""
    properties = body["Resources"][name]["Properties"]
    documents = [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
    documents += [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    found = [item for document in documents for item in document["Statement"]]
    return [item["Fn::If"][1] if "Fn::If" in item else item for item in found]


def actions(statement: dict[str, Any]) -> list[str]:
    given = statement["Action"]
    return [given] if isinstance(given, str) else given


def before(body: Any, name: str) -> set[str]:
    """Give what is made before a resource, by reference or by DependsOn, however far away."""
    seen: set[str] = set()
    ahead = [name]
    while ahead:
        found = set(_needed(body["Resources"][ahead.pop()])) & set(body["Resources"]) - seen
        seen |= found
        ahead += found
    return seen


def _needed(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref" or (key == "DependsOn" and isinstance(inner, str)):
                yield inner
            elif key == "DependsOn":
                yield from inner
            elif key == "Fn::GetAtt":
                yield inner[0]
            elif key == "Fn::Sub":
                text = inner if isinstance(inner, str) else inner[0]
                yield from (match.partition(".")[0] for match in re.findall(r"\$\{([^!}]+)\}", text))
                yield from _needed(inner)
            else:
                yield from _needed(inner)
    elif isinstance(value, list):
        for item in value:
            yield from _needed(item)


def test_what_is_kept_after_a_project_ends_in_its_id() -> None:
    kept = {
        name: made
        for name, made in PROJECT["Resources"].items()
        if made.get("DeletionPolicy") == "RetainExceptOnCreate"
    }
    names = {
        "AWS::S3::Bucket": "BucketName",
        "AWS::ECR::Repository": "RepositoryName",
        "AWS::CodeCommit::Repository": "RepositoryName",
        "AWS::SageMaker::ModelPackageGroup": "ModelPackageGroupName",
        "AWS::Logs::LogGroup": "LogGroupName",
    }
    assert {made["Type"] for made in kept.values()} == {*names, "AWS::KMS::Key", "AWS::S3::BucketPolicy"}
    for made in kept.values():
        if made["Type"] in names:
            assert (
                made["Properties"][names[made["Type"]]]["Fn::Sub"].removeprefix("/mlops/projects/").startswith(UNIQUE)
            )


def test_the_guard_goes_first() -> None:
    others = {name for name in PROJECT["Resources"] if "ProjectGuard" in before(PROJECT, name)}
    assert not others, "something would be deleted before the guard was asked"
    needed = before(PROJECT, "ProjectGuard")
    assert needed == set(PROJECT["Resources"]) - {"ProjectGuard"}, "this would be deleted while the guard still asks"


def test_a_project_is_checked_before_anything_is_made() -> None:
    made = set(PROJECT["Resources"]) - {"ProjectCheck"}
    assert [name for name in sorted(made) if "ProjectCheck" not in before(PROJECT, name)] == []


def test_a_users_apps_end_before_the_profile_goes() -> None:
    assert "UserProfile" in before(USER, "UserCleanUp")
    assert "UserName" in before(USER, "UserProfile")
    assert USER["Resources"]["UserCleanUp"]["Properties"]["ServiceTimeout"] == 3600


def test_a_profile_carries_who_and_where_and_no_tag_that_may_change() -> None:
    tags = {tag["Key"]: tag["Value"] for tag in USER["Resources"]["UserProfile"]["Properties"]["Tags"]}
    assert set(tags) == {"mlops:owner", "mlops:project", "sagemaker:project-name", "sagemaker:project-id"}
    assert tags["mlops:owner"] == {"Fn::GetAtt": ["UserName", "Owner"]}


@pytest.mark.parametrize("name", ["churn", "a", "a1", "credit-risk", "p-1", "x" * 32, "a-b-c-d", "awkward", "sthree"])
def test_names_of_projects(name: str) -> None:
    asked = PROJECT["Parameters"]["SageMakerProjectName"]
    assert re.search(asked["AllowedPattern"], name) and len(name) <= asked["MaxLength"]
    assert not refused(PROJECT, GIVEN | {"SageMakerProjectName": name}, "us-east-1")


@pytest.mark.parametrize("name", ["", "Churn", "1churn", "-churn", "churn-", "a--b", "aws-churn", "aws", "sthree-x", "a_b", "a.b",
                                  "a/../platform", "ä", "churn\n", "a b"])  # fmt: skip
def test_names_that_no_project_has(name: str) -> None:
    # CloudFormation matches the whole value.
    assert not re.fullmatch(PROJECT["Parameters"]["SageMakerProjectName"]["AllowedPattern"].rstrip("$"), name)


def test_the_function_knows_the_same_names() -> None:
    text = (publishing.ROOT / "lambdas" / "studio_user" / "guard.py").read_text()
    said = text.partition("RESERVED = (")[2].partition(")")[0]
    assert set(re.findall(r'"(\w+)"', said)) == set(RESERVED)


@pytest.mark.parametrize("name", RESERVED)
def test_a_project_never_takes_the_place_of_the_platform(name: str) -> None:
    assert any(
        "choose another name" in sentence
        for sentence in refused(PROJECT, GIVEN | {"SageMakerProjectName": name}, "us-east-1")
    )


@pytest.mark.parametrize(("answers", "said"), [
    ({"StagingOrganizationalUnitIds": "ou-ab12-cdefghij", "StagingAccountIds": "111111111111"},
     "not both"),
    ({"MonthlyBudgetInUsd": "10"}, "CostAllocationTagsActive"),
])  # fmt: skip
def test_answers_that_do_not_go_together_are_refused(answers: dict[str, str], said: str) -> None:
    assert any(said in sentence for sentence in refused(PROJECT, GIVEN | answers, "us-east-1"))


def test_a_budget_is_made_where_budgets_are() -> None:
    answers = {"MonthlyBudgetInUsd": "10", "CostAllocationTagsActive": "yes"}
    assert "Budget" in created(PROJECT, GIVEN | answers, "us-east-1")
    assert "Budget" not in created(PROJECT, GIVEN | answers, "eu-south-1")
    assert "Budget" not in created(PROJECT, GIVEN, "us-east-1")


def test_a_project_takes_no_more_than_it_may() -> None:
    # A thousand projects in one account and region is the design figure.
    made = list(created(PROJECT, GIVEN, "us-east-1").values())
    assert made.count("AWS::IAM::Role") <= 6
    assert made.count("AWS::SSM::Parameter") <= 9
    assert made.count("AWS::IAM::ManagedPolicy") <= 2
    for kind in (
        "AWS::Events::Rule",
        "AWS::ServiceCatalog::CloudFormationProduct",
        "AWS::Lambda::Function",
    ):
        assert kind not in made


def test_the_settings_are_one_json_document() -> None:
    text, own = PROJECT["Resources"]["ProjectSettings"]["Properties"]["Value"]["Fn::Sub"]
    assert set(own) == {"Tracking"}
    facts = json.loads(text)
    wanted = {"project_role_arn", "project_kms", "project_bucket", "artifact_bucket", "vpc", "private_subnets", "sg_compute",
              "sg_vpce", "repository_url", "model_package_group", "build_pipeline", "deploy_pipeline", "topic_arn",
              "preprocessing_image", "training_image", "inference_image"}  # fmt: skip
    assert wanted <= set(facts)


def test_the_start_script_is_the_one_that_is_published() -> None:
    said = PROJECT["Resources"]["StartScript"]["Properties"]["Value"]["Fn::Sub"]
    (copied,) = PROJECT["Resources"]["WorkspaceFiles"]["Properties"]["Files"]
    digest = publishing.workspace_sha256("start.sh")
    assert said == f"{digest} s3://${{ProjectBucket}}/{copied['TargetKey']}"
    assert (copied["Sha256"], copied["SourceKey"]) == (digest, "v0.1.0/workspace/start.sh")


def test_frameworks_offered_are_those_with_a_seed() -> None:
    assert PROJECT["Parameters"]["Framework"]["AllowedValues"] == list(publishing.frameworks())
    assert "sklearn" in publishing.frameworks()


def test_every_rail_holds_an_action_by_a_key_that_it_sends() -> None:
    held = [statement for name in ("ProjectRailsPolicy",) for statement in statements(BODIES["project-commons"], name)]
    held += statements(PROJECT, "ProjectRails")
    checked = 0
    for statement in held:
        assert statement["Effect"] == "Deny"
        named = {
            key for keys in statement.get("Condition", {}).values() for key in keys if key.startswith("sagemaker:")
        }
        # A key of KMS has an older name and a newer one, which say the same.
        keys = {key.partition(":")[2].replace("KmsKeyArn", "KmsKey") for key in named}
        for action in set(actions(statement)) & set(rails.JOBS):
            assert keys <= {*rails.JOBS[action], "EnableRemoteDebug"}, statement["Sid"]
            checked += 1
    assert checked >= 20


def test_nobody_of_a_project_decides_on_a_model() -> None:
    ours = (
        statements(PROJECT, "ProjectWork")
        + statements(PROJECT, "ProjectJobs")
        + [
            statement
            for name in ("ProjectStudioPolicy", "ProjectJobsPolicy", "ProjectTrackingPolicy")
            for statement in statements(BODIES["project-commons"], name)
        ]
    )
    allowed = {action for statement in ours if statement["Effect"] == "Allow" for action in actions(statement)}
    assert not {action for action in allowed if action.startswith("sagemaker:") and "ModelPackage" in action} & {
        "sagemaker:UpdateModelPackage", "sagemaker:DeleteModelPackage", "sagemaker:PutModelPackageGroupPolicy",
    }  # fmt: skip
    assert "sagemaker:Search" not in allowed, "a search shows the jobs of every project"
    assert {action for action in allowed if action.startswith(("iam:", "servicecatalog:"))} == {"iam:PassRole"}
    pipelines = {action.partition(":")[2] for action in allowed if action.startswith("codepipeline:")}
    assert pipelines and all(verb.startswith(("Get", "List")) for verb in pipelines), "who asks does not release"


def test_a_project_writes_nothing_that_others_run() -> None:
    (closed,) = [statement for statement in statements(PROJECT, "ProjectWork") if statement["Sid"] == "ClosedPlaces"]
    assert {resource["Fn::Sub"].rpartition("}/")[2] for resource in closed["Resource"]} == {
        "workspace/*",
        "build/*",
        "deploy/*",
        "capture/*",
        "*/Pipe*/*",
    }


def test_the_roles_that_launch_never_launch_from_the_catalogue() -> None:
    # https://docs.aws.amazon.com/servicecatalog/latest/adminguide/constraints-launch.html
    catalogue = BODIES["catalogue"]
    launch = [name for name in catalogue["Resources"] if name.endswith("LaunchRole")]
    assert launch == ["ProjectLaunchRole", "UserLaunchRole"]
    for name in launch:
        held = {action for statement in statements(catalogue, name) for action in actions(statement)}
        assert not {action for action in held if action.startswith("servicecatalog:")}
        (template,) = [item for item in statements(catalogue, name) if item["Sid"] == "TemplateOfTheProduct"]
        assert template["Condition"] == {"StringEquals": {"s3:ExistingObjectTag/servicecatalog:provisioning": "true"}}


def test_a_launch_makes_roles_only_under_the_boundary() -> None:
    found = [item for item in statements(BODIES["catalogue"], "ProjectLaunchRole") if "iam:CreateRole" in actions(item)]
    assert [item["Condition"] for item in found] == [
        {"StringEquals": {"iam:PermissionsBoundary": {"Ref": "PermissionsBoundaryArn"}}}
    ]


def test_both_roles_of_the_admin_see_the_catalogue() -> None:
    seen = [made["Properties"]["PrincipalARN"]["Ref"] for made in BODIES["catalogue"]["Resources"].values()
            if made["Type"] == "AWS::ServiceCatalog::PortfolioPrincipalAssociation"]  # fmt: skip
    assert sorted(seen) == ["AdminRoleArn", "StudioAdminRoleArn"]


def test_tag_options_have_one_value_and_never_a_key_of_ours() -> None:
    options = [made["Properties"]["Key"] for made in BODIES["catalogue"]["Resources"].values()
               if made["Type"] == "AWS::ServiceCatalog::TagOption"]  # fmt: skip
    assert len(set(options)) == len(options)
    assert not {"CostCenter", "mlops:project", "mlops:template"} & set(options)
