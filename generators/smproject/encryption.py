"""The project's own key: whoever may not use it reads nothing of the project."""

from __future__ import annotations

from troposphere import AccountId, Ref, Sub
from troposphere.cloudformation import CustomResource
from troposphere.kms import Alias, Key

from generators.kit.builder import Builder
from generators.kit.iam import KEY_ADMINISTER, KEY_USE, LOG_KEY_USE, account_root, allow, arn, document, iam_arn, via
from generators.kit.messages import PUBLISHERS
from generators.smproject.access import Partners
from generators.smproject.questions import UNIQUE


def key(b: Builder, partners: Partners, after: CustomResource) -> Key:
    """Add the key. Its policy names no role, so that neither has to exist first: the path says whose roles they are."""
    own = {
        "ArnLike": {
            "aws:PrincipalArn": [iam_arn("role/mlops/${SageMakerProjectName}/*"), iam_arn("role/mlops/platform/*")]
        }
    }
    made = b.add(
        Key(
            "ProjectKey",
            Description=Sub("Key of the project ${SageMakerProjectName}"),
            EnableKeyRotation=True,
            PendingWindowInDays=30,
            KeyPolicy=document(
                allow("AccountAdministers", KEY_ADMINISTER, "*", Principal=account_root()),
                allow("ProjectUses", KEY_USE, "*", own, Principal=account_root()),
                allow("ServicesMakeGrants", "kms:CreateGrant", "*",
                      {**own, "Bool": {"kms:GrantIsForAWSResource": "true"}}, Principal=account_root()),
                allow("GrantsAreRetired", "kms:RetireGrant", "*", own, Principal=account_root()),
                allow("Publishers", ["kms:Decrypt", "kms:GenerateDataKey"], "*",
                      {"StringEquals": {"aws:SourceAccount": AccountId}},
                      Principal={"Service": list(PUBLISHERS)}),
                allow("LogGroups", LOG_KEY_USE, "*",
                      {"ArnLike": {"kms:EncryptionContext:aws:logs:arn":
                                   arn("logs", f"log-group:/mlops/projects/{UNIQUE}/*")}},
                      Principal={"Service": Sub("logs.${AWS::Region}.${AWS::URLSuffix}")}),
                *partners.statements("TargetsRead", ["kms:Decrypt", "kms:DescribeKey"], "*", via("s3", "ecr", "sagemaker")),
            ),
        ),
        holds_data=True,
        after=[after],
    )  # fmt: skip
    b.add(
        Alias("ProjectKeyAlias", AliasName=Sub("alias/${SageMakerProjectName}"), TargetKeyId=Ref(made)),
        accept={"MLOPS015": "People find the key by the project's name; the alias goes with the stack."},
    )
    return made
