"""Studio: the domain in the VPC, its loader, and the admin's profile."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from troposphere import Base64, Equals, GetAtt, If, NoValue, Ref, Split, Sub
from troposphere.iam import Role
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
from generators.kit.catalogue import ACCEPTED, admin_statements
from generators.kit.iam import role
from generators.kit.naming import unique
from generators.kit.publishing import ROOT
from generators.kit.studio import execution_trust, only_from, only_through, profile_arn, studio_statements

LOADER = ROOT / "workspace" / "loader.sh"
APPS = {"JupyterLab": JupyterLabAppSettings, "CodeEditor": CodeEditorAppSettings}


@dataclass(frozen=True)
class Home:
    """The domain, and the ARNs that policies name."""

    domain: Domain
    domain_arn: Any
    admin: Role

    @property
    def name(self) -> str:
        """Give the domain's id as text for `Sub`."""
        return f"${{{self.domain.title}}}"

    def profile(self, name: str) -> Any:
        """Give the ARN of user profiles of the domain."""
        return profile_arn(self.name, name)


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
    home = Home(domain, GetAtt(domain, "DomainArn"), _admin(b, asked, domain, keys, boundary, iam, net))
    b.publish(contracts.DOMAIN_ID, Ref(domain))
    b.publish(contracts.MAX_SPACE_SIZE, Ref(questions.SPACE_SIZE.name))
    return home


def links(b: Builder, home: Home, tracked: Any) -> None:
    """Say where to go next."""
    b.output("StudioLink", "Studio in the console; open it with the role of the data science admin.",
             Sub("https://${AWS::Region}.console.aws.amazon.com/sagemaker/home?region=${AWS::Region}#/studio/${Domain}",
                 Domain=Ref(home.domain)))  # fmt: skip
    b.output("ExperimentTrackingState", "Experiment tracking of this platform; jobs are tagged in any case.", tracked)


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


def _admin(b: Builder, asked: Asked, domain: Domain, keys: Keys, boundary: Any, iam: str, net: Network) -> Role:
    inside = [
        *studio_statements(f"${{{domain.title}}}", keys.arn),
        If("HasStudioCidr", only_from(asked[questions.STUDIO_CIDRS]), NoValue),
        If("HasStudioCidr", only_through(Split(",", net.studio_vpcs)), NoValue),
    ]
    runs_as = b.add(
        role("StudioAdminExecutionRole", "What the profile ds-admin may do in Studio", execution_trust(),
             [*inside, *admin_statements()], boundary),
        accept=ACCEPTED,
    )  # fmt: skip
    b.add(
        UserProfile(
            "AdminProfile",
            DomainId=Ref(domain),
            UserProfileName="ds-admin",
            UserSettings=UserSettings(ExecutionRole=GetAtt(runs_as, "Arn")),
        ),
        when=iam,
        accept={"MLOPS015": "A profile asks for a name, and the admin looks for this one."},
    )
    return runs_as
