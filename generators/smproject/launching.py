"""What the launch role of the project's product may do: make, change and remove what this template holds, and nothing else."""

from __future__ import annotations

from typing import Any

from troposphere import Sub

from generators.kit import contracts
from generators.kit.iam import allow, arn, deny, iam_arn
from generators.kit.launching import Given

# Names that a project gives end in its id, which begins with p-.
OURS = "*-p-*"
ACCEPTED = {
    "MLOPS011": "NewKeys: kms:CreateKey has no resource before there is a key; a condition asks for the project's tag."
}


def statements(given: Given) -> list[Any]:
    """Give the statements of the launch role, one block a service of the template."""
    return [
        *_roles(given),
        *_keys(),
        *_storage(),
        *_facts(),
        *_messages(given),
        *_budget(given),
    ]


def more(given: Given) -> list[Any]:
    """Give the statements that stand in a managed policy: from the repository to the pipelines."""
    return [*_code(), *_registry(), *_pipelines()]


def _roles(given: Given) -> list[Any]:
    # The boundary of the platform denies the same for roles without a boundary, and for the platform's own.
    # Names that CloudFormation makes begin with the stack's, and Service Catalog calls its stacks SC-....
    roles = iam_arn("role/mlops/*/SC-*")
    return [
        allow("RolesUnderTheBoundary", ["iam:CreateRole", "iam:PutRolePermissionsBoundary"], roles,
              {"StringEquals": {"iam:PermissionsBoundary": given["PermissionsBoundaryArn"]}}),
        allow("PoliciesOfRoles", ["iam:CreatePolicy", "iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:DeletePolicyVersion",
                                  "iam:GetPolicy", "iam:GetPolicyVersion", "iam:ListEntitiesForPolicy", "iam:ListPolicyTags",
                                  "iam:ListPolicyVersions", "iam:TagPolicy", "iam:UntagPolicy"], iam_arn("policy/mlops/*/SC-*")),
        allow("Roles", ["iam:DeleteRole", "iam:DeleteRolePolicy", "iam:GetRole", "iam:GetRolePolicy",
                        "iam:ListAttachedRolePolicies", "iam:ListRolePolicies", "iam:ListRoleTags", "iam:PutRolePolicy",
                        "iam:TagRole", "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole",
                        "iam:UpdateRoleDescription"], roles),
        allow("SharedPolicies", ["iam:AttachRolePolicy", "iam:DetachRolePolicy"], roles,
              {"ArnLike": {"iam:PolicyARN": [iam_arn("policy/mlops/platform/*"), iam_arn("policy/mlops/*/SC-*")]}}),
    ]  # fmt: skip


def _keys() -> list[Any]:
    keys, ours = arn("kms", "key/*"), {"StringEquals": {"aws:ResourceTag/mlops:template": "2-smproject"}}
    # It may take minutes until KMS decides by a tag: https://docs.aws.amazon.com/kms/latest/developerguide/abac.html.
    # A key that is just being made must not wait for that; a key with another template's tag is refused all the same.
    new = {"StringEqualsIfExists": ours["StringEquals"]}
    return [
        allow("NewKeys", "kms:CreateKey", "*", {"StringEquals": {"aws:RequestTag/mlops:template": "2-smproject"}}),
        allow("TagNewKeys", "kms:TagResource", keys, {"StringEquals": {"aws:RequestTag/mlops:template": "2-smproject"}}),
        allow("TagKeysOfProjects", "kms:TagResource", keys, ours),
        # A key of somebody else's without that tag can't be told from a new one; its own policy has to keep it.
        deny("TagsOfOtherKeysStay", "kms:TagResource", keys,
             {"StringNotEquals": {"aws:ResourceTag/mlops:template": "2-smproject"},
              "Null": {"aws:ResourceTag/mlops:template": "false"}}),
        allow("KeysOfProjects",
              ["kms:CreateAlias", "kms:DeleteAlias", "kms:DescribeKey", "kms:EnableKey", "kms:EnableKeyRotation",
               "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListAliases", "kms:ListResourceTags",
               "kms:ScheduleKeyDeletion", "kms:UpdateAlias", "kms:UpdateKeyDescription"], keys, new),
        allow("ChangeKeysOfProjects", ["kms:DisableKey", "kms:PutKeyPolicy", "kms:UntagResource"], keys, ours),
        allow("Aliases", ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"], arn("kms", "alias/*")),
        allow("SeeKeys", ["kms:ListAliases", "kms:ListKeys"], "*"),
        # Repositories, bucket and topic take the key in the name of whoever makes them.
        allow("UseKeysOfProjects", ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext",
                                    "kms:ReEncryptFrom", "kms:ReEncryptTo"], keys, new),
        allow("GrantsOfRepositories", "kms:CreateGrant", keys,
              {**new, "Bool": {"kms:GrantIsForAWSResource": "true"}}),
        allow("GrantsAreRetired", "kms:RetireGrant", keys, new),
    ]  # fmt: skip


def _storage() -> list[Any]:
    bucket = Sub(f"arn:${{AWS::Partition}}:s3:::{OURS}")
    properties = ("Acl", "BucketLogging", "BucketOwnershipControls", "BucketPolicy", "BucketPublicAccessBlock",
                  "BucketTagging", "BucketVersioning", "EncryptionConfiguration", "LifecycleConfiguration")  # fmt: skip
    return [
        # CloudFormation reads all that a bucket can have, whatever the template gives it.
        allow("ReadBuckets", ["s3:GetAccelerateConfiguration", "s3:GetAnalyticsConfiguration", "s3:GetBucket*",
                              "s3:GetIntelligentTieringConfiguration", "s3:GetInventoryConfiguration",
                              "s3:GetMetricsConfiguration", "s3:GetReplicationConfiguration", "s3:ListTagsForResource"], bucket),
        allow("Buckets", ["s3:TagResource", "s3:UntagResource", "s3:CreateBucket", "s3:DeleteBucket", "s3:DeleteBucketPolicy", 
                          "s3:ListBucket", *(f"s3:{verb}{name}" for name in properties[1:] for verb in ("Get", "Put"))], bucket),
        allow("Images", ["ecr:CreateRepository", "ecr:DeleteLifecyclePolicy", "ecr:DeleteRepository", "ecr:DeleteRepositoryPolicy",
                         "ecr:DescribeRepositories", "ecr:GetLifecyclePolicy", "ecr:GetRepositoryPolicy",
                         "ecr:ListTagsForResource", "ecr:PutImageScanningConfiguration", "ecr:PutImageTagMutability",
                         "ecr:PutLifecyclePolicy", "ecr:SetRepositoryPolicy", "ecr:TagResource", "ecr:UntagResource"],
              arn("ecr", f"repository/{OURS}")),
    ]  # fmt: skip


def _code() -> list[Any]:
    return [
        allow("SeeRepositories", "codecommit:ListRepositories", "*"),
        allow("Repositories", ["codecommit:CreateCommit", "codecommit:CreateRepository", "codecommit:DeleteRepository",
                               "codecommit:GetRepository", "codecommit:GetRepositoryTriggers", "codecommit:ListTagsForResource",
                               "codecommit:PutRepositoryTriggers", "codecommit:TagResource", "codecommit:UntagResource",
                               "codecommit:UpdateRepositoryDescription", "codecommit:UpdateRepositoryEncryptionKey",
                               "codecommit:UpdateRepositoryName"], arn("codecommit", OURS)),
    ]  # fmt: skip


def _registry() -> list[Any]:
    return [
        allow("StudioShowsRepositories", [f"sagemaker:{verb}CodeRepository" for verb in ("Create", "Delete", "Describe", "Update")],
              arn("sagemaker", "code-repository/*")),
        allow("ModelGroups", [*(f"sagemaker:{verb}ModelPackageGroup" for verb in ("Create", "Delete", "Describe")),
                              *(f"sagemaker:{verb}ModelPackageGroupPolicy" for verb in ("Delete", "Get", "Put"))],
              arn("sagemaker", f"model-package-group/{OURS}")),
        allow("TagsOfBoth", ["sagemaker:AddTags", "sagemaker:DeleteTags", "sagemaker:ListTags"],
              [arn("sagemaker", "code-repository/*"), arn("sagemaker", f"model-package-group/{OURS}")]),
    ]  # fmt: skip


def _pipelines() -> list[Any]:
    builds = [arn("codebuild", f"project/*-{name}") for name in ("build", "image")]
    pipelines = [arn("codepipeline", "*-build")]
    return [
        allow("Builds", [f"codebuild:{verb}" for verb in ("BatchGetProjects", "CreateProject", "DeleteProject", "UpdateProject")],
              builds),
        allow("Pipelines", ["codepipeline:CreatePipeline", "codepipeline:DeletePipeline", "codepipeline:GetPipeline",
                            "codepipeline:GetPipelineState", "codepipeline:ListTagsForResource", "codepipeline:TagResource",
                            "codepipeline:UntagResource", "codepipeline:UpdatePipeline"], pipelines),
        # CodePipeline's own page asks for the pipeline, the list of actions for the stage:
        # https://docs.aws.amazon.com/codepipeline/latest/userguide/permissions-reference.html
        allow("ClosedTransitions", ["codepipeline:DisableStageTransition", "codepipeline:EnableStageTransition"],
              [*pipelines, arn("codepipeline", "*-build/Validate")]),
        # Only roles under the boundary have such names; what takes them is a build or a pipeline, and nothing else.
        allow("RolesOfBuildsAndPipelines", "iam:PassRole", iam_arn("role/mlops/*/SC-*"),
              {"StringEquals": {"iam:PassedToService": ["codebuild.amazonaws.com", "codepipeline.amazonaws.com"]}}),
        allow("SeeLogGroups", ["logs:DescribeIndexPolicies", "logs:DescribeLogGroups", "logs:DescribeResourcePolicies"], "*"),
        allow("LogGroups", ["logs:AssociateKmsKey", "logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:DeleteRetentionPolicy",
                            "logs:DisassociateKmsKey", "logs:GetDataProtectionPolicy", "logs:ListTagsForResource",
                            "logs:PutRetentionPolicy", "logs:TagResource", "logs:UntagResource"],
              arn("logs", "log-group:/mlops/projects/*")),
    ]  # fmt: skip


def _facts() -> list[Any]:
    return [
        allow("FactsOfProjects", ["ssm:AddTagsToResource", "ssm:DeleteParameter", "ssm:GetParameter", "ssm:GetParameters",
                                  "ssm:ListTagsForResource", "ssm:PutParameter", "ssm:RemoveTagsFromResource"],
              arn("ssm", f"parameter{contracts.PROJECTS}/*")),
    ]  # fmt: skip


def _messages(given: Given) -> list[Any]:
    return [
        allow("Topics", ["sns:CreateTopic", "sns:DeleteTopic", "sns:GetDataProtectionPolicy", "sns:GetSubscriptionAttributes",
                         "sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic", "sns:ListTagsForResource",
                         "sns:SetSubscriptionAttributes", "sns:SetTopicAttributes",
                         "sns:Subscribe", "sns:TagResource", "sns:UntagResource"], arn("sns", "SC-*")),
        allow("Subscriptions", "sns:Unsubscribe", arn("sns", "SC-*")),
        given.call("StudioUserFunctionArn", "ReleaseFilesFunctionArn", "ProjectReadyFunctionArn"),
    ]  # fmt: skip


def _budget(given: Given) -> list[Any]:
    return [
        *given.nested("budget"),
        allow("Budgets", ["budgets:ModifyBudget", "budgets:ViewBudget", "budgets:ListTagsForResource", "budgets:TagResource",
                          "budgets:UntagResource"], Sub("arn:${AWS::Partition}:budgets::${AWS::AccountId}:budget/*")),
    ]  # fmt: skip
