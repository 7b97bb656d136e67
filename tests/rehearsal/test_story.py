"""The platform as its people meet it: one account from the first stack to the last deletion, each actor with the own role.

The chapters stand in the order in which they happen, and each builds on those before it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rehearsal.client import ROOT, Emulator, Session, emulator, fetch
from tests.rehearsal.small import git, pushed

REGION, BUCKET = "us-east-1", "mlops-local-us-east-1"
# Publishes the working tree into a folder of the test's own, in the environment that can render it.
PUBLISH = """
import sys
from pathlib import Path
from tools.publish import command, embedded
embedded.FOLDER = Path(sys.argv[1])
embedded.STATE = embedded.FOLDER / "state"
command.publish("", "us-east-1", "", "", False, False, "")
"""
# What a project that stands has of everything that its names lead to.
KINDS = {"bucket", "code", "images", "alias", "facts", "roles"}
CAPABILITIES = ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


@dataclass
class Story:
    """The account with its people, and what they made."""

    account: Emulator
    outputs: Mapping[str, str]
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    people: dict[tuple[str, str], Session] = field(default_factory=dict)

    def person(self, name: str, role: str) -> Session:
        """Sign a person in with the role of a persona."""
        if (name, role) not in self.people:
            self.people[name, role] = self.account.as_role(self.outputs[f"{role}RoleArn"], name)
        return self.people[name, role]

    @property
    def admin(self) -> Session:
        return self.person("ada@example.com", "DataScienceAdmin")

    @property
    def domain(self) -> str:
        return self.outputs["DomainId"]

    def product(self, who: Session, name: str) -> dict[str, str]:
        """Find a product as an end user does, with its newest version."""
        api = who.client("servicecatalog")
        number = next(p["ProductId"] for p in api.search_products()["ProductViewSummaries"] if p["Name"] == name)
        versions = api.describe_product(Id=number)["ProvisioningArtifacts"]
        return {"ProductId": number, "ProvisioningArtifactId": versions[-1]["Id"]}

    def project(self, who: Session, name: str, **values: str) -> dict[str, Any]:
        """Make a project from a form of Studio, and wait for it."""
        given = [{"Key": key, "Value": value} for key, value in ({"CostCenter": "4711"} | values).items()]
        details = {**self.product(who, "MLOps project"), "ProvisioningParameters": given}
        who.client("sagemaker").create_project(ProjectName=name, ServiceCatalogProvisioningDetails=details)
        return self.settled(who, name)

    def settled(self, who: Session, project: str) -> dict[str, Any]:
        api = who.client("sagemaker")
        told = lambda: api.describe_project(ProjectName=project)  # noqa: E731
        until(lambda: not told()["ProjectStatus"].endswith("InProgress"))
        return dict(told())

    def user(self, email: str, project: str, alias: str = "") -> dict[str, Any]:
        """Launch the product for a user, and wait for its record."""
        name = f"{email}-{project}".replace("@", "-at-")
        self.users[name] = self.launch("Studio user", name, UserEmail=email, ProjectName=project, UserAlias=alias)
        return self.users[name]

    def launch(self, product: str, name: str, **values: str) -> dict[str, Any]:
        """Launch a product from Service Catalog's own console, and wait for its record."""
        given = [{"Key": key, "Value": value} for key, value in values.items()]
        launch = {**self.product(self.admin, product), "ProvisionedProductName": name}
        record = self.admin.client("servicecatalog").provision_product(**launch, ProvisioningParameters=given)
        return ended(self.admin, record["RecordDetail"]["RecordId"])

    def update(self, name: str, **values: str) -> dict[str, Any]:
        """Change what was launched; what isn't given stays."""
        kept = ("UserEmail", "ProjectName", "UserAlias", "SpaceSizeInGb")
        given = [
            {"Key": key, "Value": values[key]} if key in values else {"Key": key, "UsePreviousValue": True}
            for key in kept
        ]
        api = self.admin.client("servicecatalog")
        change = {**self.product(self.admin, "Studio user"), "ProvisionedProductName": name}
        record = api.update_provisioned_product(**change, ProvisioningParameters=given)["RecordDetail"]
        return ended(self.admin, record["RecordId"])

    def terminate(self, name: str) -> dict[str, Any]:
        api = self.admin.client("servicecatalog")
        record = api.terminate_provisioned_product(ProvisionedProductName=name)["RecordDetail"]
        return ended(self.admin, record["RecordId"])

    def provisioned(self, project: str) -> dict[str, Any]:
        """Give the provisioned product behind a project, with its stack's name."""
        number = self.settled(self.admin, project)["ServiceCatalogProvisionedProductDetails"]["ProvisionedProductId"]
        told = self.admin.client("servicecatalog").describe_provisioned_product(Id=number)["ProvisionedProductDetail"]
        return {**told, "StackName": f"SC-{self.outputs['PlatformKeyArn'].split(':')[4]}-{number}"}

    def settings(self, project: str) -> dict[str, str]:
        """Read what a project publishes of itself."""
        found = self.account.client("ssm").get_parameter(Name=f"/mlops/projects/{project}/settings")
        return dict(json.loads(found["Parameter"]["Value"]))

    def of_project(self, project: str) -> set[str]:
        """Name what the project's stack has."""
        api = self.account.client("cloudformation")
        pages = api.get_paginator("list_stack_resources").paginate(StackName=self.provisioned(project)["StackName"])
        rows = [row for page in pages for row in page["StackResourceSummaries"]]
        return {row["LogicalResourceId"] for row in rows if row["ResourceStatus"] != "DELETE_COMPLETE"}

    def begun(self, number: str) -> set[str]:
        """Name what the launch of a provisioned product began to make."""
        stack = f"SC-{self.outputs['PlatformKeyArn'].split(':')[4]}-{number}"
        pages = self.account.client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=stack)
        rows = [e for page in pages for e in page["StackEvents"] if e["ResourceType"] != "AWS::CloudFormation::Stack"]
        return {e["LogicalResourceId"] for e in rows if e["ResourceStatus"] == "CREATE_IN_PROGRESS"}

    def held_by(self, project: str, number: str) -> dict[str, list[str]]:
        """Find what the account has of a project by its names: what a stack says of itself does not count."""
        unique, client = f"{project}-{number}", self.account.client
        repositories = [row for row in self.account.resources() if row["type"] == "AWS::CodeCommit::Repository"]
        pages = client("ssm").get_paginator("get_parameters_by_path")
        facts = pages.paginate(Path=f"/mlops/projects/{project}", Recursive=True)
        stands = {
            "bucket": [b["Name"] for b in client("s3").list_buckets()["Buckets"] if b["Name"] == unique],
            "code": [r["properties"]["RepositoryName"] for r in repositories
                     if r["properties"]["RepositoryName"].startswith(unique)],
            "images": [r["repositoryName"] for r in client("ecr").describe_repositories()["repositories"]
                       if r["repositoryName"].startswith(unique)],
            "alias": [a["AliasName"] for a in client("kms").list_aliases()["Aliases"]
                      if a["AliasName"] == f"alias/{project}"],
            "facts": [p["Name"] for page in facts for p in page["Parameters"]],
            "roles": [r["RoleName"] for r in client("iam").list_roles(PathPrefix=f"/mlops/{project}/")["Roles"]],
        }  # fmt: skip
        return {kind: names for kind, names in stands.items() if names}


def until(told: Callable[[], Any], seconds: float = 120) -> Any:
    """Wait for something to be true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := told():
            return found
        time.sleep(0.05)
    raise AssertionError("never came")


def ended(who: Session, record: str) -> dict[str, Any]:
    """Wait for a record of Service Catalog, and give it with its outputs and its error."""
    api = who.client("servicecatalog")
    until(lambda: api.describe_record(Id=record)["RecordDetail"]["Status"] in ("SUCCEEDED", "FAILED"))
    told = api.describe_record(Id=record)
    outputs = {row["OutputKey"]: row.get("OutputValue", "") for row in told.get("RecordOutputs", [])}
    error = "; ".join(row["Description"] for row in told["RecordDetail"]["RecordErrors"])
    facts = {key: told["RecordDetail"][key] for key in ("ProvisionedProductId", "Status")}
    return {**outputs, **facts, "Error": error}


def stack_ended(account: Emulator, name: str) -> dict[str, Any]:
    api = account.client("cloudformation")
    found = lambda: api.describe_stacks(StackName=name)["Stacks"][0]  # noqa: E731
    until(lambda: not found()["StackStatus"].endswith("_IN_PROGRESS"))
    return dict(found())


def reasons(account: Emulator) -> str:
    """Say what failed in any stack."""
    api = account.client("cloudformation")
    events = [
        e
        for stack in api.describe_stacks()["Stacks"]
        for e in api.describe_stack_events(StackName=stack["StackId"])["StackEvents"]
    ]
    rows = [
        (e["LogicalResourceId"], e.get("ResourceStatusReason", "")) for e in events if "FAILED" in e["ResourceStatus"]
    ]
    return "\n".join(f"{name}: {reason}" for name, reason in rows)


def refused(action: str) -> Any:
    """Expect IAM's refusal of an action."""
    return pytest.raises(ClientError, match=rf"\(AccessDenied(Exception)?\).*{action}")


@pytest.fixture(scope="module")
def story(tmp_path_factory: Any) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("release")
    command = [str(ROOT / ".venv/bin/python"), "-c", PUBLISH, str(folder)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr[-2000:]
    with emulator(folder / "state") as account:
        manifest = account.client("s3").get_object(Bucket=BUCKET, Key="latest/manifest.json")["Body"].read()
        version = json.loads(manifest)["version"]
        url = f"https://{BUCKET}.s3.{REGION}.amazonaws.com/v{version}/templates/1-infra.yaml"
        values = {"CostCenter": "12345", "AssetsBucketPrefix": "mlops-local"}
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]
        stack = {"StackName": "mlops-infra", "TemplateURL": url, "Parameters": given, "Capabilities": CAPABILITIES}
        account.client("cloudformation").create_stack(**stack)
        made = stack_ended(account, "mlops-infra")
        assert made["StackStatus"] == "CREATE_COMPLETE", reasons(account)
        yield Story(account, {row["OutputKey"]: row["OutputValue"] for row in made["Outputs"]})


def test_admin_makes_projects_from_the_console_and_from_studio(story: Story) -> None:
    told = story.project(story.admin, "churn")
    assert told["ProjectStatus"] == "CreateCompleted", told["ServiceCatalogProvisionedProductDetails"]
    studio = story.account.studio(story.admin, story.domain, "ds-admin")
    told = story.project(studio, "fraud")
    assert told["ProjectStatus"] == "CreateCompleted", told["ServiceCatalogProvisionedProductDetails"]
    told = story.project(story.admin, "platform")
    assert told["ProjectStatus"] == "CreateFailed"
    assert "choose another name" in told["ServiceCatalogProvisionedProductDetails"]["ProvisionedProductStatusMessage"]


def test_name_that_lives_and_accounts_nobody_trusts_are_refused_before_anything_is_made(story: Story) -> None:
    lives = story.settled(story.admin, "churn")["ProjectId"]
    before = story.held_by("churn", lives)
    assert set(before) == KINDS
    given = {"SageMakerProjectName": "churn", "SageMakerProjectId": "p-another", "CostCenter": "4711"}
    told = story.launch("MLOps project", "churn-again", **given)  # Studio itself would refuse the name
    assert told["Status"] == "FAILED"
    assert f"There is a project churn already ({lives}): choose another name" in told["Error"]
    assert story.held_by("churn", lives) == before
    assert set(story.held_by("churn", "p-another")) == {"alias", "facts", "roles"}  # those of the first
    assert story.begun(told["ProvisionedProductId"]) == {"ProjectCheck"}
    assert story.terminate("churn-again")["Status"] == "SUCCEEDED"
    assert story.held_by("churn", lives) == before
    told = story.project(story.admin, "loans", StagingAccountIds="999999999999")
    assert told["ProjectStatus"] == "CreateFailed"
    message = told["ServiceCatalogProvisionedProductDetails"]["ProvisionedProductStatusMessage"]
    assert "StagingAccountIds names 999999999999, which 1-infra does not trust" in message
    assert "have TrustedAccountIds of 1-infra name them first" in message
    assert story.begun(story.provisioned("loans")["Id"]) == {"ProjectCheck"}
    assert story.of_project("loans") == set()
    assert story.held_by("loans", told["ProjectId"]) == {}


def test_launch_that_fails_late_leaves_nothing_and_its_name_works_again(story: Story) -> None:
    api = story.account.client("ssm")
    ready = api.get_parameter(Name="/mlops/infra/project-ready-function-arn")["Parameter"]["Value"]
    role = story.provisioned("churn")["LaunchRoleArn"].rpartition("/")[2]
    deny = {"Effect": "Deny", "Action": "lambda:InvokeFunction", "Resource": ready}
    policy = {"RoleName": role, "PolicyName": "no-message"}
    iam = story.account.client("iam")
    iam.put_role_policy(**policy, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": deny}))
    told = story.project(story.admin, "scoring")
    iam.delete_role_policy(**policy)
    assert told["ProjectStatus"] == "CreateFailed"
    made = story.provisioned("scoring")
    record = ended(story.admin, made["LastRecordId"])
    assert record["Status"] == "FAILED"
    assert "lambda:InvokeFunction" in record["Error"]
    stack = story.account.client("cloudformation")
    assert stack_ended(story.account, made["StackName"])["StackStatus"] == "ROLLBACK_COMPLETE", reasons(story.account)
    events = stack.describe_stack_events(StackName=made["StackName"])["StackEvents"]
    rows = {(e["LogicalResourceId"], e["ResourceStatus"]) for e in events}
    # The bucket went although it had the file of another resource, with its versions.
    assert {("WorkspaceFiles", "CREATE_COMPLETE"), ("ProjectBucket", "DELETE_COMPLETE")} <= rows
    assert story.of_project("scoring") == set()
    assert story.held_by("scoring", told["ProjectId"]) == {}
    story.admin.client("sagemaker").delete_project(ProjectName="scoring")
    assert story.settled(story.admin, "scoring")["ProjectStatus"] == "DeleteCompleted"
    told = story.project(story.admin, "scoring")
    assert told["ProjectStatus"] == "CreateCompleted", told["ServiceCatalogProvisionedProductDetails"]
    assert set(story.held_by("scoring", told["ProjectId"])) == KINDS


def test_users_get_names_of_their_own(story: Story) -> None:
    anna, ben = story.user("anna@example.com", "churn"), story.user("ben@example.com", "churn")
    assert (anna["Status"], anna["UserProfileName"]) == ("SUCCEEDED", "anna-churn"), anna
    assert (ben["Status"], ben["UserProfileName"]) == ("SUCCEEDED", "ben-churn"), ben
    assert story.user("anna@example.com", "fraud")["UserProfileName"] == "anna-fraud"
    namesake = story.user("anna@other.example", "churn")
    assert namesake["Status"] == "FAILED"
    assert "anna@example.com" in namesake["Error"]
    assert "UserAlias" in namesake["Error"]
    assert story.terminate("anna-at-other.example-churn")["Status"] == "SUCCEEDED"
    other = story.user("anna@other.example", "churn", alias="anna2")
    assert other["UserProfileName"] == "anna2-churn"
    api = story.account.client("sagemaker")
    api.create_user_profile(DomainId=story.domain, UserProfileName="Carl-churn")
    assert "made by hand" in story.user("carl@example.com", "churn")["Error"]
    api.delete_user_profile(DomainId=story.domain, UserProfileName="Carl-churn")
    assert "no project" in story.user("dora@example.com", "nowhere")["Error"]
    api.describe_user_profile(DomainId=story.domain, UserProfileName="anna-churn")


def test_user_can_get_larger_spaces_and_never_another_person(story: Story) -> None:
    name, api = "anna-at-example.com-churn", story.account.client("sagemaker")
    assert story.update(name, SpaceSizeInGb="20")["Status"] == "SUCCEEDED"
    too_large = story.update(name, SpaceSizeInGb="600")
    assert "1-infra allows 50" in too_large["Error"]
    other = story.update(name, UserEmail="eve@example.com")
    assert "delete this user and launch a new one" in other["Error"]
    profile = api.describe_user_profile(DomainId=story.domain, UserProfileName="anna-churn")
    sizes = profile["UserSettings"]["SpaceStorageSettings"]["DefaultEbsStorageSettings"]
    assert sizes["DefaultEbsVolumeSizeInGb"] == 20
    tags = {tag["Key"]: tag["Value"] for tag in api.list_tags(ResourceArn=profile["UserProfileArn"])["Tags"]}
    assert tags["mlops:owner"] == "anna@example.com"
    assert "eve-churn" not in {p["UserProfileName"] for p in api.list_user_profiles()["UserProfiles"]}


def space(domain: str, name: str, owner: str) -> dict[str, Any]:
    private = {"OwnershipSettings": {"OwnerUserProfileName": owner}, "SpaceSharingSettings": {"SharingType": "Private"}}
    return {"DomainId": domain, "SpaceName": name, **private, "SpaceSettings": {"AppType": "JupyterLab"}}


def test_scientist_works_in_the_own_profile_and_project_alone(story: Story) -> None:
    anna = story.person("anna@example.com", "DataScientist")
    for profile in ("ben-churn", "anna2-churn", "ds-admin"):
        with refused("sagemaker:CreatePresignedDomainUrl"):
            story.account.studio(anna, story.domain, profile)
    studio = story.account.studio(anna, story.domain, "anna-churn")
    api = studio.client("sagemaker")
    with refused("sagemaker:CreateSpace"):
        api.create_space(**space(story.domain, "of-ben", "ben-churn"))
    with refused("sagemaker:CreatePresignedDomainUrl"):
        story.account.studio(studio, story.domain, "ben-churn")
    with refused("sagemaker:CreateProject"):
        api.create_project(ProjectName="own", ServiceCatalogProvisioningDetails={"ProductId": "prod-x"})
    arn = api.describe_user_profile(DomainId=story.domain, UserProfileName="ben-churn")["UserProfileArn"]
    with refused("sagemaker:AddTags"):
        api.add_tags(ResourceArn=arn, Tags=[{"Key": "mlops:owner", "Value": "anna@example.com"}])
    large = {
        "AppType": "JupyterLab",
        "JupyterLabAppSettings": {"DefaultResourceSpec": {"InstanceType": "ml.p4d.24xlarge"}},
    }
    with refused("sagemaker:CreateSpace"):
        api.create_space(**{**space(story.domain, "anna-lab", "anna-churn"), "SpaceSettings": large})
    api.create_space(**space(story.domain, "anna-lab", "anna-churn"))
    app = {"DomainId": story.domain, "SpaceName": "anna-lab", "AppType": "JupyterLab", "AppName": "default"}
    with refused("sagemaker:CreateApp"):
        api.create_app(**app, ResourceSpec={"InstanceType": "ml.p4d.24xlarge"})
    api.create_app(**app, ResourceSpec={"InstanceType": "ml.t3.medium"})
    settings = {
        project: json.loads(
            story.account.client("ssm").get_parameter(Name=f"/mlops/projects/{project}/settings")["Parameter"]["Value"]
        )
        for project in ("churn", "fraud")
    }
    s3 = studio.client("s3")
    s3.put_object(Bucket=settings["churn"]["project_bucket"], Key="experiments/a.csv", Body=b"a")
    script = s3.get_object(Bucket=settings["churn"]["project_bucket"], Key="workspace/start.sh")["Body"].read()
    assert script == (ROOT / "workspace/start.sh").read_bytes()
    with refused("s3:PutObject"):
        s3.put_object(Bucket=settings["churn"]["project_bucket"], Key="workspace/start.sh", Body=b"mine")
    for call in (s3.get_object, s3.put_object):
        with refused("s3:"):
            call(Bucket=settings["fraud"]["project_bucket"], Key="data/a.csv")
    for role in ("Approver", "Engineer"):
        with refused("sagemaker:CreatePresignedDomainUrl"):
            name = {"Approver": "ModelApprover", "Engineer": "MlEngineer"}[role]
            story.account.studio(story.person("anna@example.com", name), story.domain, "anna-churn")


def executions(story: Story, pipeline: str) -> dict[str, dict[str, Any]]:
    """Give the executions of a pipeline by their number, oldest first."""
    api = story.account.client("codepipeline")
    found = api.list_pipeline_executions(pipelineName=pipeline)["pipelineExecutionSummaries"]
    return {row["pipelineExecutionId"]: row for row in reversed(found)}


def actions(story: Story, pipeline: str, number: str) -> dict[str, str]:
    """Give the actions that an execution came to, with what became of each."""
    given = {"pipelineName": pipeline, "filter": {"pipelineExecutionId": number}}
    rows = story.account.client("codepipeline").list_action_executions(**given)["actionExecutionDetails"]
    return {row["actionName"]: row["status"] for row in reversed(rows)}


def built(story: Story, pipeline: str, known: Iterable[str]) -> tuple[str, str]:
    """Wait for the next execution and its end; give its number and what became of it."""
    (number,) = until(lambda: set(executions(story, pipeline)) - set(known))
    until(lambda: executions(story, pipeline)[number]["status"] not in ("InProgress", "Stopping"), 300)
    return number, executions(story, pipeline)[number]["status"]


def test_first_push_becomes_a_registered_model(story: Story, tmp_path: Path) -> None:
    settings = story.settings("churn")
    ben = story.account.studio(story.person("ben@example.com", "DataScientist"), story.domain, "ben-churn")
    waiting = executions(story, "churn-build")
    assert [row["trigger"]["triggerType"] for row in waiting.values()] == ["CreatePipeline"]
    assert set(actions(story, "churn-build", *waiting)) == {"Source", "Cicd"}, "nothing is built before the first push"
    url = f"{story.account.endpoint}/v1/repos/{settings['repository_name']}"
    assert git(tmp_path, ben, "clone", url, "churn").returncode == 0
    other = f"{story.account.endpoint}/v1/repos/{story.settings('fraud')['repository_name']}"
    assert git(tmp_path, ben, "clone", other, "fraud").returncode != 0, "another project's code"
    done = pushed(tmp_path / "churn", ben, {"NOTES.md": "The first push.\n"})
    assert done.returncode == 0, done.stderr
    number, status = built(story, "churn-build", waiting)
    told = "\n".join(line for row in fetch(story.account.endpoint, "builds") for line in row["_lines"])
    assert status == "Succeeded", told[-3000:]
    assert [row["status"] for row in executions(story, "churn-build").values()] == ["Stopped", "Succeeded"]
    assert actions(story, "churn-build", number) == dict.fromkeys(
        ("Source", "Cicd", "Validate", "PushPreprocessing", "PushTraining", "PushInference", "SMPipeline"), "Succeeded"
    )
    api = ben.client("sagemaker")
    (version,) = api.list_model_packages(ModelPackageGroupName=settings["model_package_group"])[
        "ModelPackageSummaryList"
    ]
    described = api.describe_model_package(ModelPackageName=version["ModelPackageArn"])
    assert described["ModelApprovalStatus"] == "PendingManualApproval"
    commit = git(tmp_path / "churn", ben, "rev-parse", "HEAD").stdout.strip()
    assert described["CustomerMetadataProperties"]["commit"] == commit
    (run,) = api.list_pipeline_executions(PipelineName=settings["model_package_group"])["PipelineExecutionSummaries"]
    assert run["PipelineExecutionStatus"] == "Succeeded"
    steps = api.list_pipeline_execution_steps(PipelineExecutionArn=run["PipelineExecutionArn"])[
        "PipelineExecutionSteps"
    ]
    assert {step["StepName"]: step["StepStatus"] for step in steps} == dict.fromkeys(
        ("Preprocess", "Train", "Evaluate", "Baseline", "QualityGate", "Register"), "Succeeded"
    )
    model = described["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    bucket, _, key = model.removeprefix("s3://").partition("/")
    assert ben.client("s3").head_object(Bucket=bucket, Key=key)["ContentLength"] > 0
    # What a data scientist reads, and what stays closed to one.
    logs = ben.client("logs")
    group = f"/mlops/projects/{settings['model_package_group']}/builds"
    lines = [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]
    assert any(version["ModelPackageArn"] in line for line in lines)
    with refused("sagemaker:UpdateModelPackage"):
        api.update_model_package(ModelPackageArn=version["ModelPackageArn"], ModelApprovalStatus="Approved")
    with refused("codepipeline:StartPipelineExecution"):
        ben.client("codepipeline").start_pipeline_execution(name="churn-build")
    source = next(
        row["Key"]
        for row in story.account.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
        if "/PipeSource/" in row["Key"]
    )
    with refused("s3:PutObject"):
        ben.client("s3").put_object(Bucket=bucket, Key=source, Body=b"mine")


# Runs a notebook as Jupyter does, in a kernel of its own.
NOTEBOOK = """
import sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
texts = [one.get("text") or one.get("data", {}).get("text/plain", "") for c in notebook.cells for one in c.get("outputs", [])]
print(chr(10).join(texts))
"""


def test_notebooks_of_the_seed_run_in_studio(story: Story, tmp_path: Path) -> None:
    settings = story.settings("churn")
    ben = story.account.studio(story.person("ben@example.com", "DataScientist"), story.domain, "ben-churn")
    assert (
        git(
            tmp_path, ben, "clone", f"{story.account.endpoint}/v1/repos/{settings['repository_name']}", "churn"
        ).returncode
        == 0
    )
    # What the start script writes into a space.
    params = {"private_subnets": settings["private_subnets"].split(",")}
    params |= {key: settings[key] for key in ("project_bucket", "project_kms", "project_role_arn", "sg_compute", "vpc")}
    (tmp_path / ".project_params.yaml").write_text(json.dumps(params))
    environment = {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode"),
        "PYTHONWARNINGS": "ignore",
        "AWS_ENDPOINT_URL": story.account.endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ben.access_key,
        "AWS_SECRET_ACCESS_KEY": ben.secret_key,
        "AWS_SESSION_TOKEN": ben.token,
        "NOTEBOOK_POLL_SECONDS": "0.2",
    }
    folder = tmp_path / "churn" / "notebooks"
    told = {}
    for notebook in sorted(folder.glob("*.ipynb")):
        command = [str(ROOT / ".venvs/seeds/bin/python"), "-c", NOTEBOOK, str(notebook)]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{notebook.name}: {done.stderr[-3000:]}"
        told[notebook.stem] = done.stdout
    assert list(told) == ["0_upload_data", "1_preprocess", "2_train", "3_monitor"]
    jobs = ben.client("sagemaker")
    for kind, purpose in (("Processing", "prep"), ("Training", "train")):
        listed = getattr(jobs, f"list_{kind.lower()}_jobs")()[f"{kind}JobSummaries"]
        ours = [row for row in listed if row[f"{kind}JobName"].startswith(f"churn--{purpose}-2")]
        assert [row[f"{kind}JobStatus"] for row in ours] == ["Completed"]


def test_push_that_is_wrong_says_so_and_the_next_one_waits_its_turn(story: Story, tmp_path: Path) -> None:
    settings = story.settings("churn")
    ben = story.account.studio(story.person("ben@example.com", "DataScientist"), story.domain, "ben-churn")
    known = executions(story, "churn-build")
    assert (
        git(
            tmp_path, ben, "clone", f"{story.account.endpoint}/v1/repos/{settings['repository_name']}", "churn"
        ).returncode
        == 0
    )
    config = (tmp_path / "churn/model_config.yaml").read_text()
    assert (
        pushed(
            tmp_path / "churn", ben, {"model_config.yaml": config.replace("train_config:", "train_confg:")}
        ).returncode
        == 0
    )
    (wrong,) = until(lambda: set(executions(story, "churn-build")) - set(known))
    gate = config.replace("threshold: 0.", "threshold: 0.99999")
    assert gate != config
    assert pushed(tmp_path / "churn", ben, {"model_config.yaml": gate}).returncode == 0, "a push while a build runs"
    number, status = built(story, "churn-build", {*known, wrong})
    assert (executions(story, "churn-build")[wrong]["status"], status) == ("Failed", "Failed")
    assert actions(story, "churn-build", wrong)["Validate"] == "Failed"
    assert actions(story, "churn-build", number)["SMPipeline"] == "Failed"
    group = f"/mlops/projects/{settings['model_package_group']}/builds"
    lines = [event["message"] for event in ben.client("logs").filter_log_events(logGroupName=group)["events"]]
    assert any("model_config.yaml:" in line and "train_config" in line for line in lines), (
        "the line, and what was meant"
    )
    assert any("0.99999" in line and "auc" in line for line in lines), "the gate, and what it asks for"
    found = ben.client("sagemaker").list_model_packages(ModelPackageGroupName=settings["model_package_group"])
    assert len(found["ModelPackageSummaryList"]) == 1, "nothing that failed is registered"


def test_approval_reaches_the_router_which_finds_no_deployment_yet(story: Story) -> None:
    group = story.settings("churn")["model_package_group"]
    approver = story.person("olga@example.com", "ModelApprover").client("sagemaker")
    (version,) = approver.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    approver.update_model_package(ModelPackageArn=version["ModelPackageArn"], ModelApprovalStatus="Approved")
    logs, groups = story.account.client("logs"), story.account.client("logs").describe_log_groups()["logGroups"]
    router = next(g["logGroupName"] for g in groups if "EventRouter" in g["logGroupName"])
    lines = lambda: [e["message"] for e in logs.filter_log_events(logGroupName=router)["events"]]  # noqa: E731
    until(lambda: any("no-pipeline" in line and "churn-deploy" in line for line in lines()), 20)


def test_app_that_will_not_end_is_named_and_deleting_again_goes_on(story: Story) -> None:
    api = story.account.client("sagemaker")
    app = api.describe_app(DomainId=story.domain, SpaceName="anna-lab", AppType="JupyterLab", AppName="default")
    story.account.hold(app["AppArn"])
    name = "anna-at-example.com-churn"
    told = story.terminate(name)
    assert told["Status"] == "FAILED"
    assert "default" in told["Error"]
    assert "anna-lab" in told["Error"]
    api.describe_user_profile(DomainId=story.domain, UserProfileName="anna-churn")
    story.account.hold(app["AppArn"], is_held=False)
    assert story.terminate(name)["Status"] == "SUCCEEDED"
    assert api.list_spaces(DomainIdEquals=story.domain)["Spaces"] == []
    with pytest.raises(ClientError, match="ResourceNotFound"):
        api.describe_user_profile(DomainId=story.domain, UserProfileName="anna-churn")


def test_project_with_users_stays_whole(story: Story) -> None:
    before = story.of_project("churn")
    story.admin.client("sagemaker").delete_project(ProjectName="churn")
    told = story.settled(story.admin, "churn")
    assert told["ProjectStatus"] == "DeleteFailed"
    message = told["ServiceCatalogProvisionedProductDetails"]["ProvisionedProductStatusMessage"]
    assert "ben-churn" in message
    assert "Studio user" in message
    assert story.of_project("churn") == before


def test_everything_goes_in_the_right_order(story: Story) -> None:
    living = story.admin.client("servicecatalog").scan_provisioned_products(
        AccessLevelFilter={"Key": "Account", "Value": "self"}
    )["ProvisionedProducts"]
    for user in [row["Name"] for row in living if row["Name"] in story.users]:
        assert story.terminate(user)["Status"] == "SUCCEEDED", user
    with refused("servicecatalog:TerminateProvisionedProduct"):  # what another role launched
        story.admin.client("sagemaker").delete_project(ProjectName="fraud")
    studio = story.account.studio(story.admin, story.domain, "ds-admin")
    by_admin = ("churn", "platform", "loans", "scoring")
    for project, who in (("fraud", studio), *((name, story.admin) for name in by_admin)):
        who.client("sagemaker").delete_project(ProjectName=project)
        told = story.settled(who, project)
        assert told["ProjectStatus"] == "DeleteCompleted", told["ServiceCatalogProvisionedProductDetails"]
    api = story.account.client("cloudformation")
    number = api.describe_stacks(StackName="mlops-infra")["Stacks"][0]["StackId"]
    api.delete_stack(StackName=number)
    assert stack_ended(story.account, number)["StackStatus"] == "DELETE_COMPLETE", reasons(story.account)
    assert [s["StackName"] for s in api.describe_stacks()["Stacks"] if s["StackStatus"] != "DELETE_COMPLETE"] == []
    assert story.account.ledger()["ignored"] == []
