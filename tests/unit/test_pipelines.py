"""Facts about the pipelines and identities of a project, held against the rendered dicts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from generators.kit.registry import rendered
from tests.unit.test_projects import PROJECT, actions, before, statements

PIPELINE = PROJECT["Resources"]["BuildPipeline"]["Properties"]
STAGES = {stage["Name"]: stage["Actions"] for stage in PIPELINE["Stages"]}
ACTIONS = [action for actions in STAGES.values() for action in actions]
IDENTITIES = ("BuildRole", "ImageRole", "PipelineRole")


def allowed(role: str) -> dict[str, list[str]]:
    """Give what a role may do by its own policy: resources, as text, by action."""
    found: dict[str, list[str]] = {}
    for statement in statements(PROJECT, role):
        assert statement["Effect"] == "Allow"
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        for action in actions(statement):
            found.setdefault(action, []).extend(json.dumps(resource) for resource in resources)
    return found


def variables(action: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["value"] for item in json.loads(action["Configuration"]["EnvironmentVariables"])}


def test_the_pipeline_waits_for_the_first_push() -> None:
    assert (PIPELINE["PipelineType"], PIPELINE["ExecutionMode"]) == ("V2", "QUEUED")
    (closed,) = PIPELINE["DisableInboundStageTransitions"]
    assert closed["StageName"] == PIPELINE["Stages"][1]["Name"], "the stage after the source"
    router = Path("lambdas/event_router")
    assert any(closed["Reason"] in path.read_text() for path in router.glob("*.py")), (
        "the router opens it by this reason"
    )
    assert not any(action["Configuration"].get("PollForSourceChanges") == "true" for action in ACTIONS)


def test_the_router_finds_its_source_action() -> None:
    (source,) = [action for action in STAGES["Source"] if action["Name"] == "Source"]
    assert source["Configuration"]["RepositoryName"] == {"Fn::GetAtt": ["ProjectRepository", "Name"]}
    assert PIPELINE["Name"]["Fn::Sub"] == "${SageMakerProjectName}-build"


def test_every_action_runs_a_job_that_there_is() -> None:
    jobs = {
        action["Name"]: variables(action)["JOB"]
        for action in ACTIONS
        if action["ActionTypeId"]["Provider"] == "CodeBuild"
    }
    assert jobs and all(Path("mlops-cicd/jobs", job, "job.py").is_file() for job in jobs.values())
    assert {Path(path).parent.name for path in Path("mlops-cicd/jobs").glob("*/job.py")} == set(jobs.values())


def test_images_are_made_one_after_another_and_by_their_own_identity() -> None:
    pushes = STAGES["PushImages"]
    assert {variables(action)["PURPOSE"] for action in pushes} == {"preprocessing", "training", "inference"}
    assert {json.dumps(action["Configuration"]["ProjectName"]) for action in pushes} == {'{"Ref": "ImageProject"}'}
    orders = [action["RunOrder"] for action in pushes]
    assert orders == sorted(set(orders)), "a new account may run one build at a time, and refuses the third at once"


def test_the_quotas_that_are_asked_for_are_those_of_the_machines_that_builds_take() -> None:
    quotas = {row["Name"] for row in json.loads(Path("generators/infra/quotas.json").read_text())["quotas"]}
    for name in ("BuildProject", "ImageProject"):
        kind = PROJECT["Resources"][name]["Properties"]["Environment"]["ComputeType"].rpartition("_")[2].capitalize()
        assert f"Concurrently running builds for Linux/{kind} environment" in quotas


def test_a_job_ends_by_its_own_limit_before_codebuild_ends_it() -> None:
    docker = Path("mlops-cicd/jobs/push_image/docker.py").read_text()
    (limits,) = re.findall(r"^BUILD_SECONDS, PUSH_SECONDS, LOGIN_SECONDS = (\d+), (\d+), (\d+)$", docker, re.MULTILINE)
    assert PROJECT["Resources"]["ImageProject"]["Properties"]["TimeoutInMinutes"] * 60 > sum(map(int, limits))


def test_a_launch_closes_and_opens_the_transition_whichever_of_aws_pages_is_right() -> None:
    body = next(item.body for item in rendered() if item.stack.name == "catalogue")
    (closing,) = [one for one in statements(body, "ProjectLaunchPolicy") if one["Sid"] == "ClosedTransitions"]
    assert {resource["Fn::Sub"].rpartition(":")[2] for resource in closing["Resource"]} == {
        "*-build",
        "*-build/Validate",
    }


def test_what_is_handed_over_has_names_that_policies_can_deny() -> None:
    names = {artifact["Name"] for action in ACTIONS for artifact in action.get("OutputArtifacts", ())}
    # CodePipeline cuts names in keys; what is left must still tell.
    assert names and all(name.startswith("Pipe") and len(name) <= 10 for name in names)
    assert "OutputArtifacts" not in "".join(json.dumps(action) for action in ACTIONS if "JOB" in json.dumps(action)), (
        "a job that runs a project's code hands nothing on"
    )


@pytest.mark.parametrize("role", IDENTITIES)
def test_no_identity_decides_or_widens(role: str) -> None:
    may = allowed(role)
    assert not {action for action in may if action.startswith("iam:")} - {"iam:PassRole"}
    assert not {action for action in may if "ModelPackage" in action or "Approval" in action or "AssumeRole" in action}
    assert "*" not in "".join(resource.replace("/*", "").replace("Pipe*", "") for resource in may["kms:Decrypt"])
    properties = PROJECT["Resources"][role]["Properties"]
    assert properties["PermissionsBoundary"] == "{{resolve:ssm:/mlops/infra/permissions-boundary-arn}}"
    assert properties["Path"] == {"Fn::Sub": "/mlops/${SageMakerProjectName}/"}


def test_only_the_pipeline_writes_what_stages_hand_over() -> None:
    for role in IDENTITIES:
        writes = allowed(role).get("s3:PutObject", [])
        over = [resource for resource in writes if "/Pipe*/" in resource]
        assert bool(over) == (role == "PipelineRole")
        assert all("/Pipe*/" in resource or "}/build/*" in resource for resource in writes), "and nothing elsewhere"


def test_what_is_privileged_may_push_and_no_more() -> None:
    projects = {
        name: made["Properties"]
        for name, made in PROJECT["Resources"].items()
        if made["Type"] == "AWS::CodeBuild::Project"
    }
    assert [name for name, made in projects.items() if made["Environment"]["PrivilegedMode"]] == ["ImageProject"]
    may = allowed("ImageRole")
    assert {action.partition(":")[0] for action in may} == {"ecr", "kms", "logs", "s3", "ssm"}
    assert not any("Pipeline" in action or action.startswith("sagemaker:") for action in may)
    assert "ecr:PutImage" in may and "ecr:PutImage" not in allowed("BuildRole")
    assert all('"Fn::GetAtt"' in resource and "Images" in resource for resource in may["ecr:PutImage"])
    for made in projects.values():
        assert made["VpcConfig"]["Subnets"] == {"Ref": "PlatformSubnets"}, "builds run in the VPC without internet"
        assert "EncryptionKey" in made and made["LogsConfig"]["CloudWatchLogs"]["GroupName"] == {"Ref": "BuildLogs"}


def test_a_role_has_its_policies_before_its_project_is_made() -> None:
    # CodeBuild asks about the network in the role's name as soon as the project is made.
    for name in ("Build", "Image"):
        assert f"{name}Role" in before(PROJECT, f"{name}Project")
        assert "ManagedPolicyArns" in PROJECT["Resources"][f"{name}Role"]["Properties"]


def test_a_thousand_projects_have_room() -> None:
    kinds = [made["Type"] for made in PROJECT["Resources"].values()]
    assert kinds.count("AWS::IAM::Role") <= 6
    assert kinds.count("AWS::CodePipeline::Pipeline") <= 2
    assert kinds.count("AWS::CodeBuild::Project") <= 3
    assert not {"AWS::Events::Rule", "AWS::ServiceCatalog::CloudFormationProduct"} & set(kinds)


def test_what_builds_take_is_for_codebuild_alone() -> None:
    body = next(item.body for item in rendered() if item.stack.name == "project-commons")
    taken = {statement["Sid"]: statement for statement in statements(body, "ProjectBuildsPolicy")}
    lent = taken["InterfacesForCodeBuild"]
    assert lent["Condition"]["StringEquals"]["ec2:AuthorizedService"] == "codebuild.amazonaws.com"
    assert not any(action.startswith("sagemaker:") for statement in taken.values() for action in actions(statement))
