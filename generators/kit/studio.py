"""Studio's execution roles: who may assume them, and what anybody inside Studio may do."""

from __future__ import annotations

from typing import Any

from generators.kit.iam import Statement, allow, arn, deny, trust, via

# Lists that IAM can't narrow to a resource.
SEE_STUDIO = ["sagemaker:ListApps", "sagemaker:ListDomains", "sagemaker:ListSpaces", "sagemaker:ListUserProfiles"]


def execution_trust() -> dict[str, Any]:
    """Let SageMaker assume an execution role. The source identity needs a permission of its own:
    https://docs.aws.amazon.com/sagemaker/latest/dg/monitor-user-access-how-to.html"""
    return trust("sagemaker.amazonaws.com", "sts:AssumeRole", "sts:SetSourceIdentity", source=arn("sagemaker", "*"))


def profile_arn(domain: str, name: str) -> Any:
    """Give the ARN of user profiles of a domain; `domain` is text for `Sub`, such as `${StudioDomain}`."""
    return arn("sagemaker", f"user-profile/{domain}/{name}")


def only_from(cidr: Any) -> Statement:
    """Deny opening Studio from outside a range. A request has one of the two addresses; a missing one counts as outside, so
    that the other decides."""
    return deny("StudioOnlyFromOurNetwork", "sagemaker:CreatePresignedDomainUrl", "*",
                {"NotIpAddress": dict.fromkeys(("aws:SourceIp", "aws:VpcSourceIp"), cidr)})  # fmt: skip


def only_through(vpcs: Any) -> Statement:
    """Deny opening Studio through other VPCs. Private ranges overlap: an address inside one says nothing without the VPC."""
    return deny("StudioOnlyThroughOurVpcs", "sagemaker:CreatePresignedDomainUrl", "*",
                {"StringNotEquals": {"aws:SourceVpc": vpcs}, "Null": {"aws:VpcSourceIp": "false"}})  # fmt: skip


def studio_statements(domain: str, key_arn: Any) -> list[Any]:
    """Give what anybody inside Studio may do: look around, and care for private spaces and apps of their own.

    Source: https://docs.aws.amazon.com/sagemaker/latest/dg/studio-updated-spaces-access.html"""
    me = profile_arn("${!sagemaker:DomainId}", "${!sagemaker:UserProfileName}")
    spaces = [arn("sagemaker", f"{kind}/{domain}/*") for kind in ("space", "app")]
    mine = {"ArnLike": {"sagemaker:OwnerUserProfileArn": me}, "StringEquals": {"sagemaker:SpaceSharingType": "Private"}}
    return [
        allow("SeeStudio", SEE_STUDIO, "*"),
        allow("ReadStudio", ["sagemaker:DescribeApp", "sagemaker:DescribeDomain", "sagemaker:DescribeSpace",
                             "sagemaker:DescribeUserProfile", "sagemaker:ListTags"],
              [arn("sagemaker", f"domain/{domain}"), profile_arn(domain, "*"), *spaces]),
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
