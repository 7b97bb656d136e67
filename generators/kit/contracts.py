"""Values that one template publishes and others consume. One `Contract`, one `publish`, one `consume`."""

from __future__ import annotations

from dataclasses import dataclass

INFRA = "/mlops/infra"
PROJECTS = "/mlops/projects"


@dataclass(frozen=True)
class Contract:
    """A promise: output and export `name`, SSM parameter `ssm`. `many` says that the value is a comma-separated list."""

    name: str
    ssm: str
    description: str
    many: bool = False


def infra(name: str, description: str, many: bool = False) -> Contract:
    """Make a contract of the base stack; the SSM path is the name in kebab case."""
    kebab = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")
    return Contract(name, f"{INFRA}/{kebab}", description, many)


VPC_ID = infra("VpcId", "VPC that Studio, jobs and builds run in.")
SUBNET_IDS = infra("SubnetIds", "Private subnets of the platform, one a zone.", many=True)
COMPUTE_SECURITY_GROUP_ID = infra("ComputeSecurityGroupId", "Security group of jobs and builds.")
STUDIO_SECURITY_GROUP_ID = infra("StudioSecurityGroupId", "Security group of Studio apps; lets nothing in.")
VPCE_SECURITY_GROUP_ID = infra("VpceSecurityGroupId", "Security group of the VPC endpoints.")
PLATFORM_KEY_ARN = infra("PlatformKeyArn", "Key that encrypts what belongs to the platform as a whole.")
ARTIFACTS_BUCKET_NAME = infra("ArtifactsBucketName", "Bucket of the platform's own artifacts.")
ACCESS_LOG_BUCKET_NAME = infra("AccessLogBucketName", "Bucket that receives the access logs of the platform's buckets.")
ASSETS_BUCKET_PREFIX = infra("AssetsBucketPrefix", "Prefix of the buckets with the published release.")
TRUSTED_ACCOUNT_IDS = infra("TrustedAccountIds", "This account and the staging and production accounts.", many=True)
ORGANIZATION_ID = infra("OrganizationId", "Organization whose accounts are trusted; none without one.")
DOMAIN_ID = infra("DomainId", "SageMaker Studio domain.")
MAX_SPACE_SIZE = infra("MaxSpaceSizeInGb", "Largest volume that a space may have, in GB.")
PERMISSIONS_BOUNDARY_ARN = infra("PermissionsBoundaryArn", "Boundary that every role made later must carry.")
PYPI_DOMAIN_NAME = infra("PypiDomainName", "CodeArtifact domain of the private package index; none without one.")
PYPI_REPOSITORY_NAME = infra("PypiRepositoryName", "CodeArtifact repository that pip installs from; none without one.")
TRACKING_ARN = infra("TrackingArn", "MLflow App or tracking server of the platform; none without one.")
MLOPS_CFN_REPOSITORY = infra(
    "MlopsCfnRepositoryName", "Repository with the platform's templates; owner: full stack developer."
)
MLOPS_CICD_REPOSITORY = infra("MlopsCicdRepositoryName", "Repository with the CI/CD jobs; owner: ML engineer.")
SEEDCODE_REPOSITORY = infra("SeedcodeRepositoryName", "Repository with the seed code; owner: data scientists.")
PROJECT_STUDIO_POLICY_ARN = infra("ProjectStudioPolicyArn", "Policy with what every project's people may do in Studio.")
PROJECT_JOBS_POLICY_ARN = infra("ProjectJobsPolicyArn", "Policy with what every project's jobs take from the account.")
PROJECT_RAILS_POLICY_ARN = infra("ProjectRailsPolicyArn", "Policy with what no role of a project may do.")
PROJECT_REACH_POLICY_ARN = infra(
    "ProjectReachPolicyArn", "Policy with the buckets and keys that a project may not go beyond."
)
PROJECT_TRACKING_POLICY_ARN = infra(
    "ProjectTrackingPolicyArn", "Policy for the use of the platform's experiment tracking."
)
PROJECT_BUILDS_POLICY_ARN = infra(
    "ProjectBuildsPolicyArn", "Policy with what every project's builds take from the account."
)
STUDIO_USER_FUNCTION_ARN = infra(
    "StudioUserFunctionArn", "Function that names Studio users and ends what they left running."
)
RELEASE_FILES_FUNCTION_ARN = infra("ReleaseFilesFunctionArn", "Function that copies files of the release.")
PROJECT_READY_FUNCTION_ARN = infra("ProjectReadyFunctionArn", "Function that tells people that a project is ready.")
OPERATIONS_TOPIC_ARN = infra("OperationsTopicArn", "Topic of the platform's operations.")
DATA_SCIENTIST_ROLE_ARN = infra("DataScientistRoleArn", "Role a data scientist signs in with.")
DATA_SCIENCE_ADMIN_ROLE_ARN = infra("DataScienceAdminRoleArn", "Role a data science admin signs in with.")
MODEL_APPROVER_ROLE_ARN = infra("ModelApproverRoleArn", "Role a model approver signs in with.")
ML_ENGINEER_ROLE_ARN = infra("MlEngineerRoleArn", "Role an ML engineer signs in with.")
FULL_STACK_DEVELOPER_ROLE_ARN = infra("FullStackDeveloperRoleArn", "Role a full stack developer signs in with.")
