"""Studio: the domain in the VPC, its loader, and the admin's profile."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from troposphere import Base64, Equals, GetAtt, Ref, Sub
from troposphere.sagemaker import (
    AppLifecycleManagement,
    CodeEditorAppSettings,
    DefaultEbsStorageSettings,
    DefaultSpaceSettings,
    DefaultSpaceStorageSettings,
    DockerSettings,
    Domain,
    DomainSettings,
    IdleSettings,
    JupyterLabAppSettings,
    StudioLifecycleConfig,
    StudioWebPortalSettings,
    UserProfile,
    UserSettings,
)

from generators.infra import questions
from generators.infra.encryption import Keys
from generators.infra.network import Network
from generators.infra.questions import Asked
from generators.kit import contracts
from generators.kit.builder import Builder
from generators.kit.iam import allow, arn, deny, role, trust, via
from generators.kit.naming import unique
from generators.kit.publishing import ROOT

LOADER = ROOT / "workspace" / "loader.sh"
# Lists that IAM can't narrow to a resource.
SEE_STUDIO = ["sagemaker:ListApps", "sagemaker:ListDomains", "sagemaker:ListSpaces", "sagemaker:ListUserProfiles"]
APPS = {"JupyterLab": JupyterLabAppSettings, "CodeEditor": CodeEditorAppSettings}


@dataclass(frozen=True)
class Home:
    """The domain, and the ARNs that policies name."""

    domain: Domain
    domain_arn: Any

    def profile(self, name: str) -> Any:
        """Give the ARN of user profiles of the domain."""
        return arn("sagemaker", f"user-profile/${{{self.domain.title}}}/{name}")


def build(b: Builder, asked: Asked, keys: Keys, boundary: Any, net: Network) -> Home:
    """Add the domain and the admin's profile."""
    loaders = {app: _loader(b, app) for app in APPS}
    nobody = b.add(
        role(
            "StudioDefaultRole",
            "What a profile without a role of its own may do: nothing",
            execution_trust(),
            [],
            boundary,
        )
    )
    iam = b.when("IsIamAuth", Equals(asked[questions.AUTH_MODE], "IAM"))
    b.when("IsOwnerTag", Equals(asked[questions.OWNER_FROM], "session-tag"))
    domain = b.add(
        Domain(
            "StudioDomain",
            DomainName=unique("mlops"),
            AuthMode=asked[questions.AUTH_MODE],
            AppNetworkAccessType="VpcOnly",
            VpcId=net.vpc_id,
            SubnetIds=net.subnet_ids,
            KmsKeyId=keys.arn,
            # Spaces live on EBS; a file system would stay behind when the domain goes and hold the subnets.
            HomeEfsFileSystemCreation="Disabled",
            TagPropagation="ENABLED",
            DefaultUserSettings=UserSettings(
                ExecutionRole=GetAtt(nobody, "Arn"),
                SecurityGroups=[Ref(net.groups.studio)],
                StudioWebPortal="ENABLED",
                DefaultLandingUri="studio::",
                AutoMountHomeEFS="Disabled",
                SpaceStorageSettings=_storage(),
                StudioWebPortalSettings=StudioWebPortalSettings(HiddenAppTypes=["Canvas", "RStudioServerPro"]),
                **{f"{app}AppSettings": kind(**_app(asked, loaders[app])) for app, kind in APPS.items()},
            ),
            DefaultSpaceSettings=DefaultSpaceSettings(
                ExecutionRole=GetAtt(nobody, "Arn"),
                SecurityGroups=[Ref(net.groups.studio)],
                SpaceStorageSettings=_storage(),
            ),
            DomainSettings=DomainSettings(
                SecurityGroupIds=[Ref(net.groups.studio)],
                DockerSettings=DockerSettings(EnableDockerAccess="DISABLED"),
                # CloudTrail then names the person behind the role.
                ExecutionRoleIdentityConfig="USER_PROFILE_NAME",
            ),
        ),
        after=["StudioToVpce", "StudioToS3", "VpceFromStudio"],
        accept={"MLOPS015": "SageMaker asks for a name; it ends in the stack's own id."},
    )
    home = Home(domain, GetAtt(domain, "DomainArn"))
    _admin(b, home, keys, boundary, iam)
    b.publish(contracts.DOMAIN_ID, Ref(domain))
    return home


def links(b: Builder, home: Home, tracked: Any) -> None:
    """Say where to go next."""
    b.output("StudioLink", "Studio in the console; open it with the role of the data science admin.",
             Sub("https://${AWS::Region}.console.aws.amazon.com/sagemaker/home?region=${AWS::Region}#/studio/${Domain}",
                 Domain=Ref(home.domain)))  # fmt: skip
    b.output("ExperimentTrackingState", "Experiment tracking of this platform; jobs are tagged in any case.", tracked)


def execution_trust() -> dict[str, Any]:
    """Let SageMaker assume an execution role. The source identity needs a permission of its own:
    https://docs.aws.amazon.com/sagemaker/latest/dg/monitor-user-access-how-to.html"""
    return trust("sagemaker.amazonaws.com", "sts:AssumeRole", "sts:SetSourceIdentity", source=arn("sagemaker", "*"))


def studio_statements(home: Home, key_arn: Any) -> list[Any]:
    """Give what anybody inside Studio may do: look around, and care for private spaces and apps of their own.

    Source: https://docs.aws.amazon.com/sagemaker/latest/dg/studio-updated-spaces-access.html"""
    me = arn("sagemaker", "user-profile/${!sagemaker:DomainId}/${!sagemaker:UserProfileName}")
    spaces = [arn("sagemaker", f"{kind}/${{{home.domain.title}}}/*") for kind in ("space", "app")]
    mine = {"ArnLike": {"sagemaker:OwnerUserProfileArn": me}, "StringEquals": {"sagemaker:SpaceSharingType": "Private"}}
    return [
        allow("SeeStudio", SEE_STUDIO, "*"),
        allow("ReadStudio", ["sagemaker:DescribeApp", "sagemaker:DescribeDomain", "sagemaker:DescribeSpace",
                             "sagemaker:DescribeUserProfile", "sagemaker:ListTags"],
              [home.domain_arn, home.profile("*"), *spaces]),
        allow("OwnSpaces", ["sagemaker:CreateApp", "sagemaker:CreateSpace", "sagemaker:DeleteApp", "sagemaker:DeleteSpace",
                            "sagemaker:UpdateSpace"], spaces, mine),
        allow("OpenOwnProfile", "sagemaker:CreatePresignedDomainUrl", me),
        # The volumes of spaces are encrypted in the name of whoever starts them.
        allow("KeyOfSpaces", ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext"], key_arn,
              via("sagemaker", "ec2")),
        allow("GrantOnSpaces", "kms:CreateGrant", key_arn,
              {**via("sagemaker", "ec2"), "Bool": {"kms:GrantIsForAWSResource": "true"}}),
        allow("TagAtCreation", "sagemaker:AddTags", spaces,
              {"StringEquals": {"sagemaker:TaggingAction": ["CreateApp", "CreateSpace"]}}),
        deny("OwnerStays", "sagemaker:AddTags", "*", {"ForAnyValue:StringEquals": {"aws:TagKeys": ["mlops:owner", "mlops:project"]},
                                                      "Null": {"sagemaker:TaggingAction": "true"}}),
    ]  # fmt: skip


def _loader(b: Builder, app: str) -> StudioLifecycleConfig:
    text = LOADER.read_text(encoding="utf-8")
    # All its properties are create-only: the hash in the name lets a new loader stand beside the old one until Studio let it go.
    mark = hashlib.sha256(text.encode()).hexdigest()[:8]
    return b.add(
        StudioLifecycleConfig(
            f"{app}Loader",
            StudioLifecycleConfigAppType=app,
            StudioLifecycleConfigName=unique(f"mlops-loader-{app.lower()}-{mark}"),
            StudioLifecycleConfigContent=Base64(text),
        ),
        accept={"MLOPS015": "SageMaker asks for a name; it ends in the stack's own id and changes with the content."},
    )


def _app(asked: Asked, loader: StudioLifecycleConfig) -> dict[str, Any]:
    minutes = asked[questions.IDLE_MINUTES]
    return {
        "BuiltInLifecycleConfigArn": GetAtt(loader, "StudioLifecycleConfigArn"),
        "AppLifecycleManagement": AppLifecycleManagement(
            IdleSettings=IdleSettings(
                LifecycleManagement="ENABLED",
                IdleTimeoutInMinutes=minutes,
                MinIdleTimeoutInMinutes=60,
                MaxIdleTimeoutInMinutes=minutes,
            )
        ),
    }


def _storage() -> DefaultSpaceStorageSettings:
    return DefaultSpaceStorageSettings(
        DefaultEbsStorageSettings=DefaultEbsStorageSettings(
            DefaultEbsVolumeSizeInGb=5, MaximumEbsVolumeSizeInGb=Ref(questions.SPACE_SIZE.name)
        )
    )


def _admin(b: Builder, home: Home, keys: Keys, boundary: Any, iam: str) -> None:
    runs_as = b.add(
        role("StudioAdminExecutionRole", "What the profile ds-admin may do in Studio", execution_trust(),
             studio_statements(home, keys.arn), boundary),
    )  # fmt: skip
    b.add(
        UserProfile(
            "AdminProfile",
            DomainId=Ref(home.domain),
            UserProfileName="ds-admin",
            UserSettings=UserSettings(ExecutionRole=GetAtt(runs_as, "Arn")),
        ),
        when=iam,
        accept={"MLOPS015": "A profile asks for a name, and the admin looks for this one."},
    )
