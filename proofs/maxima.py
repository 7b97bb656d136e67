"""What AWS takes of texts, names and documents, where the registry schemas don't say it: reviewed by hand, each line with its
source. Numbers that lint has as well are lint's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tools.lint.rules import sizes

DOCS = "https://docs.aws.amazon.com"
CFN = f"{DOCS}/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"
IAM = f"{DOCS}/IAM/latest/UserGuide/reference_iam-quotas.html"
PLAIN = "characters without white space"


@dataclass(frozen=True)
class Limit:
    """The most that AWS takes of something: `most`, in `unit`."""

    what: str
    most: int
    source: str
    unit: str = "characters"


# Of a template (CFN): most entries of a section, longest stack name, logical id and value of a parameter, most attributes of a
# mapping and dynamic references.
STACK_NAME, LOGICAL_ID, PARAMETER_VALUE, ATTRIBUTES, REFERENCES = 128, 255, 4_096, 200, 60
SECTIONS = {"Mappings": 200, "Outputs": 200, "Parameters": 200, "Resources": 500}
INLINE = Limit("inline policies together", sizes.LIMITS["AWS::IAM::Role", "identity"][1], IAM, PLAIN)
# Documents and texts by type and path; the numbers that lint has as well are lint's.
TEXTS: Mapping[tuple[str, str], Limit] = {
    ("AWS::EC2::VPCEndpoint", "PolicyDocument"): Limit(
        "endpoint policy", sizes.LIMITS["AWS::EC2::VPCEndpoint", "endpoint"][1],
        f"{DOCS}/vpc/latest/privatelink/vpc-endpoints-access.html",
    ),
    ("AWS::ECR::Repository", "LifecyclePolicy/LifecyclePolicyText"): Limit(
        "lifecycle policy", 30_720, f"{DOCS}/AmazonECR/latest/APIReference/API_PutLifecyclePolicy.html"
    ),
    ("AWS::ECR::Repository", "RepositoryPolicyText"): Limit(
        "repository policy", 10_240, f"{DOCS}/AmazonECR/latest/APIReference/API_SetRepositoryPolicy.html"
    ),
    ("AWS::Events::Rule", "EventPattern"): Limit(
        "event pattern", 2_048, f"{DOCS}/eventbridge/latest/userguide/eb-quota.html"
    ),
    ("AWS::IAM::ManagedPolicy", "PolicyDocument"): Limit(
        "managed policy", sizes.LIMITS["AWS::IAM::ManagedPolicy", "identity"][1], IAM, PLAIN
    ),
    ("AWS::IAM::Role", "AssumeRolePolicyDocument"): Limit("trust policy", sizes.LIMITS["AWS::IAM::Role", "trust"][1], IAM, PLAIN),
    ("AWS::IAM::Role", "Path"): Limit("path", 512, IAM),
    ("AWS::KMS::Key", "KeyPolicy"): Limit(
        "key policy", sizes.LIMITS["AWS::KMS::Key", "key"][1], f"{DOCS}/kms/latest/APIReference/API_PutKeyPolicy.html"
    ),
    ("AWS::Lambda::Function", "Environment/Variables"): Limit(
        "environment", 4_096, f"{DOCS}/lambda/latest/dg/gettingstarted-limits.html", "bytes"
    ),
    ("AWS::S3::BucketPolicy", "PolicyDocument"): Limit(
        "bucket policy", sizes.LIMITS["AWS::S3::BucketPolicy", "resource"][1],
        f"{DOCS}/AmazonS3/latest/userguide/add-bucket-policy.html", "bytes",
    ),
    ("AWS::SNS::Topic", "DisplayName"): Limit("display name", 100, f"{DOCS}/sns/latest/api/API_SetTopicAttributes.html"),
    ("AWS::SNS::TopicPolicy", "PolicyDocument"): Limit(
        "topic policy", 30_720, f"{DOCS}/sns/latest/dg/sns-access-policy-language-api-permissions-reference.html", "bytes"
    ),
    ("AWS::SQS::QueuePolicy", "PolicyDocument"): Limit(
        "queue policy", 8_192, f"{DOCS}/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html", "bytes"
    ),
    ("AWS::SSM::Parameter", "Name"): Limit(
        "name, with its ARN", 1_011, f"{DOCS}/systems-manager/latest/userguide/sysman-paramstore-su-create.html"
    ),
    ("AWS::SSM::Parameter", "Value"): Limit(
        "value of a standard parameter", 4_096, f"{DOCS}/systems-manager/latest/userguide/parameter-store-advanced-parameters.html",
        "bytes",
    ),
    ("AWS::SageMaker::ModelPackageGroup", "ModelPackageGroupPolicy"): Limit(
        "resource policy", 20_480, f"{DOCS}/sagemaker/latest/APIReference/API_PutModelPackageGroupPolicy.html"
    ),
}  # fmt: skip
# Physical names, where the registry schema has no length.
NAMES: Mapping[str, Limit] = {
    "AWS::IAM::ManagedPolicy": Limit("name", 128, IAM),
    "AWS::SQS::Queue": Limit("name", 80, f"{DOCS}/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html"),
}
# Names that others give by what a project's settings say.
NAMED_LATER: Mapping[str, Limit] = {
    "build_pipeline": Limit("name of a pipeline", 100, f"{DOCS}/codepipeline/latest/userguide/limits.html"),
    "deploy_pipeline": Limit("name of a pipeline", 100, f"{DOCS}/codepipeline/latest/userguide/limits.html"),
}
POLICIES_OF_ROLE = Limit("managed policies", 20, IAM, "policies, by default")
TAG_KEY = Limit("key of a tag", 128, f"{DOCS}/tag-editor/latest/userguide/best-practices-and-strats.html")
TAG_VALUE = Limit("value of a tag", 256, TAG_KEY.source)
# CloudFormation and Service Catalog add eight tags of their own, which don't count.
TAGS = Limit("tags", 50, TAG_KEY.source, "tags")
SWITCHED = Limit("path and name together, as a link switches to them", 64, IAM)
# How an output says that people take a role by a link.
SWITCH = "signin.aws.amazon.com/switchrole"
