"""Projects and users: the nested stacks that make them possible, and what the admin may do with the catalogue."""

from __future__ import annotations

from typing import Any

from troposphere import GetAtt, Ref
from troposphere.cloudformation import Stack as NestedStack
from troposphere.sns import Topic

from generators.infra import questions
from generators.infra.encryption import Store
from generators.infra.network import Network
from generators.infra.questions import Asked
from generators.infra.studio import Home
from generators.kit import contracts, publishing
from generators.kit.builder import Builder
from generators.kit.contracts import Contract
from generators.kit.functions import Surroundings
from generators.kit.naming import stack_suffix

FUNCTIONS = (
    contracts.STUDIO_USER_FUNCTION_ARN,
    contracts.RELEASE_FILES_FUNCTION_ARN,
    contracts.PROJECT_READY_FUNCTION_ARN,
)

SERVICES = {
    "PypiDomainName": contracts.PYPI_DOMAIN_NAME,
    "PypiRepositoryName": contracts.PYPI_REPOSITORY_NAME,
    "TrackingArn": contracts.TRACKING_ARN,
}


def commons(
    b: Builder, asked: Asked, around: Surroundings, store: Store, net: Network, home: Home, topic: Topic
) -> NestedStack:
    """Nest what every project shares."""
    return b.add(
        NestedStack(
            "ProjectCommons",
            TemplateURL=publishing.nested_url("project-commons"),
            Parameters={
                "CostCenter": Ref("CostCenter"),
                "AssetsBucketPrefix": asked.answers["AssetsBucketPrefix"],
                "LogRetentionInDays": around.retention,
                "PlatformId": stack_suffix(),
                "PlatformKeyArn": around.key_arn,
                "PermissionsBoundaryArn": around.boundary,
                "ArtifactsBucketName": Ref(store.artifacts),
                "DataSourceBucketArns": asked[questions.DATA_BUCKETS],
                "StudioAccessCidr": asked[questions.STUDIO_CIDRS],
                "StudioAccessVpcIds": net.studio_vpcs,
                "TopicArn": Ref(topic),
                "DomainId": Ref(home.domain),
                "VpcId": net.vpc_id,
                "SubnetIds": net.subnets,
                "ComputeSecurityGroupId": Ref(net.groups.compute),
                **{name: _published(contract) for name, contract in SERVICES.items()},
            },
        ),
        holds_data=False,
    )


def catalogue(b: Builder, asked: Asked, boundary: Any, admin: Any, home: Home, made: NestedStack) -> None:
    """Nest the catalogue."""
    nested = b.add(
        NestedStack(
            "Catalogue",
            TemplateURL=publishing.nested_url("catalogue"),
            Parameters={
                "CostCenter": Ref("CostCenter"),
                "AssetsBucketPrefix": asked.answers["AssetsBucketPrefix"],
                "CatalogueId": stack_suffix(),
                "AdminRoleArn": admin,
                "StudioAdminRoleArn": GetAtt(home.admin, "Arn"),
                "PermissionsBoundaryArn": boundary,
                "DomainId": Ref(home.domain),
                **{contract.name: GetAtt(made, f"Outputs.{contract.name}") for contract in FUNCTIONS},
            },
        ),
        holds_data=False,
    )
    b.output("PortfolioId", "Service Catalog portfolio with the products.", GetAtt(nested, "Outputs.PortfolioId"))


def _published(contract: Contract) -> GetAtt:
    return GetAtt(f"{contract.name}Parameter", "Value")
