"""Studio user: a profile of one person in one project, under a name made from the e-mail address.

Launched once for each user by the data science admin, from Service Catalog. Needs 1-infra, and a project in the same account
and region."""

from __future__ import annotations

from typing import Any

from troposphere import GetAtt, Ref, Sub, Tags
from troposphere.cloudformation import CustomResource
from troposphere.sagemaker import DefaultEbsStorageSettings, DefaultSpaceStorageSettings, UserProfile, UserSettings

from generators.kit import contracts
from generators.kit.builder import Builder, Resolved
from generators.kit.iam import allow, deny, iam_arn
from generators.kit.launching import Given
from generators.kit.parameters import Question
from generators.kit.stack import Product, Stack, Trial
from generators.kit.studio import profile_arn


def _may_launch(given: Given) -> list[Any]:
    profiles = profile_arn("${DomainId}", "*")
    return [
        allow("Profiles", [f"sagemaker:{verb}UserProfile" for verb in ("Create", "Delete", "Describe", "Update")], profiles),
        deny("TheAdminStays", ["sagemaker:DeleteUserProfile", "sagemaker:UpdateUserProfile"],
             profile_arn("${DomainId}", "ds-admin")),
        allow("ReadTags", "sagemaker:ListTags", profiles),
        # An owner is named when the profile is made, and never afterwards.
        allow("TagsAtCreation", "sagemaker:AddTags", profiles, {"StringEquals": {"sagemaker:TaggingAction": "CreateUserProfile"}}),
        # Of a project's roles SageMaker can take only those that trust it; the platform's own are out of reach by the boundary.
        allow("RolesOfProjects", "iam:PassRole", iam_arn("role/mlops/*/SC-*-ProjectRole-*"),
              {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}),
        given.call("StudioUserFunctionArn"),
    ]  # fmt: skip


STACK = Stack(
    name="3-smuser",
    title="MLOps Studio user",
    summary="a Studio profile of one person in one project",
    account="data-science",
    groups=("User", "Space"),
    needs=("1-infra",),
    product=Product(
        title="Studio user",
        description="A Studio profile of one person in one project; terminating it ends the person's apps and spaces first",
        role="UserLaunchRole",
        may=_may_launch,
    ),
    trial=Trial({"UserEmail": "ada@example.com", "ProjectName": "churn"}, changes={"SpaceSizeInGb": "20"}),
)
EMAIL = Question(
    "UserEmail", "E-mail address", "User",
    "Address of the person, as it is known where people sign in: only who signs in with it opens the profile.",
    pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=128,
    constraint="An e-mail address such as ada@example.com, up to 128 characters.",
)  # fmt: skip
PROJECT = Question(
    "ProjectName", "Project", "User", "Name of the project that the person works in.",
    pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=32, constraint="The name of a project, in lower case.",
)  # fmt: skip
ALIAS = Question(
    "UserAlias", "Alias", "User",
    "First part of the profile's name; left empty, it is made from the address. Give one when that name is taken.",
    default="", pattern=r"^([a-z0-9]+(-[a-z0-9]+)*)?$", max_length=30,
    constraint="Up to 30 lower case letters, digits and single hyphens, or empty.",
)  # fmt: skip
SIZE = Question(
    "SpaceSizeInGb", "Size of a new space in GB", "Space",
    "Size of the volume that a new space gets unless the person says otherwise, in GB; at most what 1-infra allows.",
    type="Number", default=5, min_value=5, max_value=16384,
)  # fmt: skip


def build(b: Builder) -> None:
    """Build the template."""
    email, project, alias, size = b.ask(EMAIL), b.ask(PROJECT), b.ask(ALIAS), b.ask(SIZE)
    function, domain = b.consume(contracts.STUDIO_USER_FUNCTION_ARN), b.consume(contracts.DOMAIN_ID)
    name = b.add(
        CustomResource(
            "UserName",
            ServiceToken=function,
            ServiceTimeout=180,
            Action="name",
            DomainId=domain,
            UserEmail=email,
            ProjectName=project,
            UserAlias=alias,
            SpaceSizeInGb=size,
            MaxSpaceSizeInGb=b.consume(contracts.MAX_SPACE_SIZE),
        )
    )
    profile = b.add(
        UserProfile(
            "UserProfile",
            DomainId=domain,
            UserProfileName=GetAtt(name, "UserProfileName"),
            UserSettings=UserSettings(
                ExecutionRole=GetAtt(name, "ProjectRoleArn"),
                SpaceStorageSettings=_storage(b, size),
            ),
            # No tag that may change: on earlier schemas the profile, and the spaces with it, would be replaced.
            Tags=Tags({
                "mlops:owner": GetAtt(name, "Owner"),
                "mlops:project": project,
                "sagemaker:project-name": project,
                "sagemaker:project-id": GetAtt(name, "ProjectId"),
            }),
        ),
        holds_data=False,  # the person's spaces are ended first, on purpose
        accept={"MLOPS015": "A profile asks for a name; a function makes it, and refuses one that is taken."},
    )  # fmt: skip
    # Deleted before the profile that it names: SageMaker keeps a profile that has spaces.
    b.add(
        CustomResource(
            "UserCleanUp",
            ServiceToken=function,
            ServiceTimeout=3600,
            Action="clean-up",
            DomainId=domain,
            UserProfileName=GetAtt(name, "UserProfileName"),
        ),
        after=[profile],
    )
    b.output("UserProfileName", "Name of the profile in Studio.", GetAtt(name, "UserProfileName"))
    console = "https://${AWS::Region}.console.aws.amazon.com/sagemaker/home?region=${AWS::Region}#/studio-landing"
    b.output(
        "StudioLink", "Studio in the console; the person opens it with the role of the data scientist.", Sub(console)
    )


def _storage(b: Builder, size: Ref) -> DefaultSpaceStorageSettings:
    return DefaultSpaceStorageSettings(
        DefaultEbsStorageSettings=DefaultEbsStorageSettings(
            DefaultEbsVolumeSizeInGb=size, MaximumEbsVolumeSizeInGb=Resolved(b.consume(contracts.MAX_SPACE_SIZE))
        )
    )
