"""What the registry's handlers need, less what they don't call for what our templates set. Reviewed by hand: every line that
changes what AWS's data says has its reason here, and is counted as not from AWS's data.

The lists of the registry schemas are neither exact nor complete: they name actions that IAM does not know, name everything
that any property may need, and omit some of what is needed (proofs/supplement.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Not `list`: it answers Cloud Control's question for all resources of a type, which no stack asks.
PHASES = ("create", "read", "update", "delete")

# Names in the handlers' lists that are no IAM action, and the action that IAM asks for instead; None: nothing is asked for.
# Found by holding the lists against cfn-lint's list of IAM actions; the actions by
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html.
NO_ACTIONS: Mapping[str, str | None] = {
    "s3:DeleteBucketAnalyticsConfiguration": "s3:PutAnalyticsConfiguration",
    "s3:DeleteBucketCors": "s3:PutBucketCORS",
    "s3:DeleteBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3:DeleteBucketMetricsConfiguration": "s3:PutMetricsConfiguration",
    "s3:DeleteBucketReplication": "s3:PutReplicationConfiguration",
    "s3:DeleteBucketTagging": "s3:PutBucketTagging",
    "s3:PutBucketReplication": "s3:PutReplicationConfiguration",
    "s3:PutObjectLockConfiguration": "s3:PutBucketObjectLockConfiguration",
    "s3:REST.PUT.OBJECT": None,  # an operation of S3's access logs
}
# Prefixes of the handlers' lists that IAM spells otherwise.
PREFIXES = {"efs": "elasticfilesystem"}


@dataclass(frozen=True)
class When:
    """An action is called only for these properties (`A/B`, or `A=value`); `source` says why where the names don't."""

    properties: tuple[str, ...]
    source: str = ""

    def called(self, properties: Mapping[str, Any]) -> bool:
        """Tell whether one of the properties is set."""
        return any(_is_set(properties, path) for path in self.properties)


def _when(*properties: str, source: str = "") -> When:
    return When(properties, source)


_METADATA = _when("MetadataConfiguration", "MetadataTableConfiguration")
_DELIVERY = _when("DataProtectionPolicy", "LogGroupClass=DELIVERY")
_SSO = _when("SingleSignOnUserIdentifier", "SingleSignOnUserValue")
_IMAGES = _when(
    "UserSettings/JupyterServerAppSettings", "UserSettings/JupyterLabAppSettings/CustomImages",
    "UserSettings/KernelGatewayAppSettings", "UserSettings/CodeEditorAppSettings/CustomImages",
)  # fmt: skip

# By type: which property calls for an action. What isn't here is needed always.
CALLED_FOR: Mapping[str, Mapping[str, When]] = {
    "AWS::Budgets::Budget": {"billing:GetBillingViewData": _when("Budget/BillingViewArn")},
    "AWS::CloudFormation::Stack": {
        "cloudformation:GetStackPolicy": _when("StackPolicyBody", "StackPolicyURL"),
        "cloudformation:SetStackPolicy": _when("StackPolicyBody", "StackPolicyURL"),
        "cloudformation:UpdateTerminationProtection": _when("EnableTerminationProtection"),
        "iam:PassRole": _when("RoleARN"),
    },
    "AWS::CodeCommit::Repository": {
        "codecommit:CreateCommit": _when("Code"),
        "codecommit:PutRepositoryTriggers": _when("Triggers"),
        "codecommit:UpdateRepositoryDescription": _when("RepositoryDescription"),
        "codecommit:UpdateRepositoryEncryptionKey": _when("KmsKeyId"),
        "s3:GetObject": _when("Code/S3"),
        "s3:GetObjectVersion": _when("Code/S3"),
    },
    "AWS::CodePipeline::Pipeline": {
        "codepipeline:DisableStageTransition": _when("DisableInboundStageTransitions"),
        # Taken out of the template, a closed transition is opened again.
        "codepipeline:EnableStageTransition": _when("DisableInboundStageTransitions"),
        "codepipeline:StartPipelineExecution": _when("RestartExecutionOnUpdate"),
        "codestar-connections:PassConnection": _when("Triggers"),
    },
    "AWS::ECR::Repository": {
        "ecr:DeleteLifecyclePolicy": _when("LifecyclePolicy"),
        "ecr:DeleteRepositoryPolicy": _when("RepositoryPolicyText"),
        "ecr:PutImageScanningConfiguration": _when("ImageScanningConfiguration"),
        "ecr:PutImageTagMutability": _when("ImageTagMutability"),
        "ecr:PutLifecyclePolicy": _when("LifecyclePolicy"),
        "ecr:SetRepositoryPolicy": _when("RepositoryPolicyText"),
        "kms:CreateGrant": _when("EncryptionConfiguration/KmsKey"),
        "kms:DescribeKey": _when("EncryptionConfiguration/KmsKey"),
        "kms:RetireGrant": _when("EncryptionConfiguration/KmsKey"),
    },
    "AWS::IAM::ManagedPolicy": {
        f"iam:{verb}{kind}Policy": _when(f"{kind}s") for verb in ("Attach", "Detach") for kind in ("Group", "Role", "User")
    },
    "AWS::IAM::Role": {
        "iam:AttachRolePolicy": _when("ManagedPolicyArns"),
        "iam:DeleteRolePermissionsBoundary": _when(
            source="Only to take the boundary away, which the platform's boundary denies on purpose."
        ),
        "iam:DeleteRolePolicy": _when("Policies"),
        "iam:DetachRolePolicy": _when("ManagedPolicyArns"),
        "iam:GetRolePolicy": _when("Policies"),
        "iam:PutRolePermissionsBoundary": _when("PermissionsBoundary"),
        "iam:PutRolePolicy": _when("Policies"),
        "iam:UpdateRole": _when("Description", "MaxSessionDuration"),
        "iam:UpdateRoleDescription": _when("Description"),
    },
    "AWS::KMS::Key": {
        "kms:DisableKey": _when("Enabled=false"),
        "kms:DisableKeyRotation": _when("EnableKeyRotation=false"),
        "kms:EnableKey": _when("Enabled"),
        "kms:EnableKeyRotation": _when("EnableKeyRotation"),
        "kms:UpdateKeyDescription": _when("Description"),
    },
    "AWS::Logs::LogGroup": {
        "firehose:TagDeliveryStream": _DELIVERY,
        "logs:AssociateKmsKey": _when("KmsKeyId"),
        "logs:CreateLogDelivery": _DELIVERY,
        "logs:DeleteDataProtectionPolicy": _when("DataProtectionPolicy"),
        "logs:DeleteIndexPolicy": _when("FieldIndexPolicies"),
        "logs:DeleteResourcePolicy": _when("ResourcePolicyDocument"),
        "logs:DeleteRetentionPolicy": _when("RetentionInDays"),
        "logs:DisassociateKmsKey": _when("KmsKeyId"),
        "logs:PutBearerTokenAuthentication": _when("BearerTokenAuthenticationEnabled"),
        "logs:PutDataProtectionPolicy": _when("DataProtectionPolicy"),
        "logs:PutIndexPolicy": _when("FieldIndexPolicies"),
        "logs:PutLogGroupDeletionProtection": _when("DeletionProtectionEnabled"),
        "logs:PutResourcePolicy": _when("ResourcePolicyDocument"),
        "logs:PutRetentionPolicy": _when("RetentionInDays"),
    },
    "AWS::S3::Bucket": {
        "iam:PassRole": _when("ReplicationConfiguration"),
        "s3:CreateBucketMetadataTableConfiguration": _METADATA,
        "s3:DeleteBucketMetadataTableConfiguration": _METADATA,
        "s3:DeleteBucketWebsite": _when("WebsiteConfiguration"),
        "s3:DeleteObject": _when(
            source="A bucket that holds objects is not deleted, and not emptied: "
            "https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html."
        ),
        "s3:PutAccelerateConfiguration": _when("AccelerateConfiguration"),
        "s3:PutAnalyticsConfiguration": _when("AnalyticsConfigurations"),
        "s3:PutBucketAbac": _when("AbacStatus"),
        "s3:PutBucketAcl": _when("AccessControl"),
        "s3:PutBucketCORS": _when("CorsConfiguration"),
        "s3:PutBucketLogging": _when("LoggingConfiguration"),
        "s3:PutBucketNotification": _when("NotificationConfiguration"),
        "s3:PutBucketObjectLockConfiguration": _when("ObjectLockConfiguration", "ObjectLockEnabled"),
        "s3:PutBucketOwnershipControls": _when("OwnershipControls"),
        "s3:PutBucketPublicAccessBlock": _when("PublicAccessBlockConfiguration"),
        "s3:PutBucketVersioning": _when("VersioningConfiguration"),
        "s3:PutBucketWebsite": _when("WebsiteConfiguration"),
        "s3:PutEncryptionConfiguration": _when("BucketEncryption"),
        "s3:PutIntelligentTieringConfiguration": _when("IntelligentTieringConfigurations"),
        "s3:PutInventoryConfiguration": _when("InventoryConfigurations"),
        "s3:PutLifecycleConfiguration": _when("LifecycleConfiguration"),
        "s3:PutMetricsConfiguration": _when("MetricsConfigurations"),
        "s3:PutObjectAcl": _when("AccessControl"),
        "s3:PutReplicationConfiguration": _when("ReplicationConfiguration"),
        "s3:UpdateBucketMetadataAnnotationTableConfiguration": _METADATA,
        "s3:UpdateBucketMetadataInventoryTableConfiguration": _METADATA,
        "s3:UpdateBucketMetadataJournalTableConfiguration": _METADATA,
        **{
            f"s3tables:{name}": _METADATA
            for name in ("CreateNamespace", "CreateTable", "CreateTableBucket", "GetTable", "GetTableMetadataLocation",
                         "PutTableBucketPolicy", "PutTableEncryption", "PutTablePolicy", "UpdateTableMetadataLocation")
        },
    },
    "AWS::SNS::Subscription": {
        "iam:GetRole": _when("SubscriptionRoleArn"),
        "iam:PassRole": _when("SubscriptionRoleArn"),
    },
    "AWS::SNS::Topic": {
        "iam:GetRole": _when("DeliveryStatusLogging"),
        "iam:PassRole": _when("DeliveryStatusLogging"),
        "sns:PutDataProtectionPolicy": _when("DataProtectionPolicy"),
        "sns:Subscribe": _when("Subscription"),
        "sns:Unsubscribe": _when("Subscription"),
    },
    "AWS::SageMaker::ModelPackageGroup": {
        "sagemaker:DeleteModelPackageGroupPolicy": _when("ModelPackageGroupPolicy"),
        "sagemaker:PutModelPackageGroupPolicy": _when("ModelPackageGroupPolicy"),
    },
    "AWS::SageMaker::UserProfile": {
        "identitystore:DescribeUser": _SSO,
        "identitystore:ListUsers": _SSO,
        "sagemaker:DescribeImage": _IMAGES,
        "sagemaker:DescribeImageVersion": _IMAGES,
        "sso:DescribeInstance": _SSO,
        "sso:ListInstances": _SSO,
        "iam:PassRole": _when("UserSettings/ExecutionRole"),
    },
}  # fmt: skip
# What sets tags. Service Catalog's own tags come to every resource that takes tags, whatever the template says:
# https://docs.aws.amazon.com/servicecatalog/latest/adminguide/autotags.html
TAGGING = frozenset({
    "budgets:TagResource", "budgets:UntagResource", "cloudformation:TagResource", "cloudformation:UntagResource",
    "codecommit:TagResource", "codecommit:UntagResource", "codepipeline:TagResource", "codepipeline:UntagResource",
    "ecr:TagResource", "ecr:UntagResource", "iam:TagRole",
    "iam:UntagRole", "kms:TagResource", "kms:UntagResource", "logs:TagResource", "logs:UntagResource",
    "s3:PutBucketTagging", "s3:TagResource", "s3:UntagResource",
    "sagemaker:AddTags", "sagemaker:DeleteTags", "sns:TagResource", "sns:UntagResource", "ssm:AddTagsToResource",
    "ssm:RemoveTagsFromResource",
})  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """An action that a handler needs in a phase; `renamed` says that its name is not the schema's."""

    action: str
    phase: str
    renamed: bool = False


@dataclass(frozen=True)
class Unmapped:
    """A name in a handler's list that is no IAM action, and that nobody has reviewed."""

    name: str
    phase: str


def wanted(
    type_: str, document: Mapping[str, Any], properties: Mapping[str, Any], known: Mapping[str, Any]
) -> Iterator[Wanted | Unmapped]:
    """Give the actions of a type's handlers that these properties call for. `known` are IAM's actions by service."""
    rows = CALLED_FOR.get(type_, {})
    for phase in PHASES:
        for name in _listed(document, phase):
            action = spelled(name, known)
            if action is None:
                continue
            if not is_action(action, known):
                yield Unmapped(name, phase)
            elif action not in rows or rows[action].called(properties):
                yield Wanted(action, phase, action != name)


def spelled(name: str, known: Mapping[str, Any]) -> str | None:
    """Give the IAM action that a name of a handler's list stands for, None for none."""
    if is_action(name, known):
        return name
    if name in NO_ACTIONS:
        return NO_ACTIONS[name]
    service, _, verb = name.partition(":")
    return f"{PREFIXES.get(service, service)}:{verb}"


def is_action(name: str, known: Mapping[str, Any]) -> bool:
    """Tell whether IAM knows an action."""
    service, _, verb = name.lower().partition(":")
    return verb in known.get(service, {}).get("Actions", {})


def _listed(document: Mapping[str, Any], phase: str) -> list[str]:
    listed = list(document.get("handlers", {}).get(phase, {}).get("permissions", ()))
    if phase == "update":
        # The schema names what tagging needs beside the handlers.
        listed += [name for name in document.get("tagging", {}).get("permissions", ()) if name not in listed]
    return listed


def _is_set(properties: Mapping[str, Any], path: str) -> bool:
    path, _, wanted_value = path.partition("=")
    value: Any = properties
    for step in path.split("/"):
        value = value.get(step) if isinstance(value, Mapping) else None
    if wanted_value:
        return str(value).lower() == wanted_value
    return value is not None
