"""MLOPS005: everything that keeps data does so under a customer managed key."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tools.lint.model import Problem, Rule, Template, is_true
from tools.lint.schemas import properties_of

# Type -> properties that must be set to something, or to true where the name says so.
KEYS: dict[str, tuple[str, ...]] = {
    "AWS::ApiGateway::Stage": (),
    "AWS::Backup::BackupVault": ("EncryptionKeyArn",),
    "AWS::CloudTrail::Trail": ("KMSKeyId",),
    "AWS::CodeArtifact::Domain": ("EncryptionKey",),
    "AWS::CodeBuild::Project": ("EncryptionKey",),
    "AWS::CodeCommit::Repository": ("KmsKeyId",),
    "AWS::CodePipeline::Pipeline": ("ArtifactStore/EncryptionKey/Id",),
    "AWS::DynamoDB::Table": ("SSESpecification/KMSMasterKeyId",),
    "AWS::EC2::Volume": ("Encrypted", "KmsKeyId"),
    "AWS::ECR::Repository": ("EncryptionConfiguration/KmsKey",),
    "AWS::EFS::FileSystem": ("Encrypted", "KmsKeyId"),
    "AWS::Kinesis::Stream": ("StreamEncryption/KeyId",),
    "AWS::Logs::LogGroup": ("KmsKeyId",),
    "AWS::RDS::DBInstance": ("StorageEncrypted", "KmsKeyId"),
    "AWS::S3::Bucket": (
        "BucketEncryption/ServerSideEncryptionConfiguration/*/ServerSideEncryptionByDefault/KMSMasterKeyID",
    ),
    "AWS::SNS::Topic": ("KmsMasterKeyId",),
    "AWS::SQS::Queue": ("KmsMasterKeyId",),
    "AWS::SageMaker::Domain": ("KmsKeyId",),
    "AWS::SageMaker::EndpointConfig": ("KmsKeyId",),
    "AWS::SageMaker::FeatureGroup": ("OnlineStoreConfig/SecurityConfig/KmsKeyId",),
    "AWS::SageMaker::NotebookInstance": ("KmsKeyId",),
    "AWS::SecretsManager::Secret": ("KmsKeyId",),
    "AWS::StepFunctions::StateMachine": ("EncryptionConfiguration/KmsKeyId",),
}
# Types whose schema offers a key that we leave to AWS's own, with the reason.
WITHOUT = {
    "AWS::Lambda::Function": "the key is for environment variables; ours hold names, never secrets",
    "AWS::Lambda::EventSourceMapping": "the key is for filter criteria",
    "AWS::SSM::Parameter": "CloudFormation makes no SecureString",
    "AWS::Events::Rule": "a rule keeps a pattern, no event",
    "AWS::CodePipeline::CustomActionType": "a definition",
}
OFFERS_KEY = re.compile(
    r"(kms|encryption)\w*key|kmskey|kmsmaster|^encryptionconfiguration$|^ssespecification$", re.IGNORECASE
)
FLAGS = ("Encrypted", "StorageEncrypted")


def check(template: Template) -> Iterator[Problem]:
    """Find resources without a key, and types that offer a key but are in neither table."""
    for resource in template.resources():
        for path in KEYS.get(resource.type, ()):
            found = list(template.values(resource.properties, path))
            flag = path in FLAGS
            if not all(is_true(value) if flag else value not in (None, "") for value in found):
                mend = f"set {path.replace('/*', '')}{' to true' if flag else ' to a key of the stack'}"
                yield Problem(resource.name, f"{resource.type} is not encrypted with a customer managed key", mend)
        if resource.type not in KEYS and resource.type not in WITHOUT:
            offered = [name for name in properties_of(resource.type) if OFFERS_KEY.search(name)]
            if offered:
                mend = "add the type to KEYS or WITHOUT in tools/lint/rules/encryption.py"
                yield Problem(resource.name, f"Nobody decided on {offered[0]} of {resource.type}", mend)


RULE = Rule(
    "MLOPS005",
    "Nothing is unencrypted",
    "With a key of the customer, access can be cut off and every use shows in CloudTrail; a key of AWS gives neither.",
    check,
)
