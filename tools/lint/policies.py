"""Every policy statement of a template, wherever it stands, in one shape."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tools.lint.model import Resource, Template

# Where policies stand: type, kind, path of the document. Kinds: identity, trust, resource, key, endpoint.
PLACES = (
    ("AWS::IAM::Role", "trust", "AssumeRolePolicyDocument"),
    ("AWS::IAM::Role", "identity", "Policies/*/PolicyDocument"),
    ("AWS::IAM::User", "identity", "Policies/*/PolicyDocument"),
    ("AWS::IAM::Group", "identity", "Policies/*/PolicyDocument"),
    ("AWS::IAM::Policy", "identity", "PolicyDocument"),
    ("AWS::IAM::RolePolicy", "identity", "PolicyDocument"),
    ("AWS::IAM::UserPolicy", "identity", "PolicyDocument"),
    ("AWS::IAM::GroupPolicy", "identity", "PolicyDocument"),
    ("AWS::IAM::ManagedPolicy", "identity", "PolicyDocument"),
    ("AWS::SSO::PermissionSet", "identity", "InlinePolicy"),
    ("AWS::S3::BucketPolicy", "resource", "PolicyDocument"),
    ("AWS::S3::AccessPoint", "resource", "Policy"),
    ("AWS::KMS::Key", "key", "KeyPolicy"),
    ("AWS::KMS::ReplicaKey", "key", "KeyPolicy"),
    ("AWS::SNS::TopicPolicy", "resource", "PolicyDocument"),
    ("AWS::SNS::TopicInlinePolicy", "resource", "PolicyDocument"),
    ("AWS::SQS::QueuePolicy", "resource", "PolicyDocument"),
    ("AWS::SQS::QueueInlinePolicy", "resource", "PolicyDocument"),
    ("AWS::ECR::Repository", "resource", "RepositoryPolicyText"),
    ("AWS::ECR::RegistryPolicy", "resource", "PolicyText"),
    ("AWS::CodeArtifact::Domain", "resource", "PermissionsPolicyDocument"),
    ("AWS::CodeArtifact::Repository", "resource", "PermissionsPolicyDocument"),
    ("AWS::SageMaker::ModelPackageGroup", "resource", "ModelPackageGroupPolicy"),
    ("AWS::SecretsManager::ResourcePolicy", "resource", "ResourcePolicy"),
    ("AWS::DynamoDB::Table", "resource", "ResourcePolicy/PolicyDocument"),
    ("AWS::EFS::FileSystem", "resource", "FileSystemPolicy"),
    ("AWS::Logs::ResourcePolicy", "resource", "PolicyDocument"),
    ("AWS::Logs::LogGroup", "resource", "ResourcePolicyDocument"),
    ("AWS::Events::EventBusPolicy", "resource", "Statement"),
    ("AWS::EC2::VPCEndpoint", "endpoint", "PolicyDocument"),
)


@dataclass(frozen=True)
class Statement:
    """A statement. Texts carry references as `${Name}`; `principals` are `*` or `Kind:value`."""

    resource: Resource
    kind: str
    label: str
    effect: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...]
    resources: tuple[str, ...]
    not_resources: tuple[str, ...]
    principals: tuple[str, ...]
    condition: Mapping[str, Any]

    @property
    def allows(self) -> bool:
        """Tell whether it grants something."""
        return self.effect == "Allow"


def is_boundary(resource: Resource) -> bool:
    """Tell whether a managed policy is a permissions boundary: its logical id ends so, as the house rules say."""
    return resource.type == "AWS::IAM::ManagedPolicy" and resource.name.endswith("Boundary")


def documents(template: Template, *kinds: str) -> Iterator[tuple[Resource, str, Mapping[str, Any]]]:
    """Give every policy document of these kinds: its resource, kind and body. Kind `boundary` is told from `identity`."""
    for type_, kind, path in PLACES:
        for resource in template.resources(type_):
            found = "boundary" if is_boundary(resource) else kind
            if found not in kinds:
                continue
            for document in template.values(resource.properties, path):
                body = _opened(template, document)
                if body is not None:
                    yield resource, found, body


def statements(template: Template, *kinds: str) -> Iterator[Statement]:
    """Give every statement of these kinds of policies."""
    for resource, kind, body in documents(template, *kinds):
        for index, item in enumerate(template.items(body.get("Statement", []))):
            if isinstance(item, Mapping):
                yield _statement(template, resource, kind, item, index)


def _opened(template: Template, document: Any) -> Mapping[str, Any] | None:
    """Give a document as a mapping; some types take it as text, some one statement without the document."""
    if isinstance(document, str) or (isinstance(document, Mapping) and "Fn::Sub" in document):
        (text, *_) = template.texts(document) or [""]
        try:
            document = json.loads(text)
        except ValueError:
            return None
    if not isinstance(document, Mapping):
        return None
    return {"Statement": [document]} if "Effect" in document else document


def _statement(template: Template, resource: Resource, kind: str, item: Mapping[str, Any], index: int) -> Statement:
    def texts(name: str) -> tuple[str, ...]:
        return tuple(text for text in template.texts(item.get(name)) if text)

    return Statement(
        resource,
        kind,
        str(item.get("Sid", f"statement {index + 1}")),
        str(item.get("Effect")),
        texts("Action"),
        texts("NotAction"),
        texts("Resource"),
        texts("NotResource"),
        tuple(_principals(template, item.get("Principal"))),
        item.get("Condition") or {},
    )


def _principals(template: Template, value: Any) -> Iterator[str]:
    for branch in template.branches(value):
        if branch == "*":
            yield "*"
        elif isinstance(branch, Mapping):
            for kind, names in branch.items():
                for name in template.texts(names):
                    yield "*" if name == "*" and kind == "AWS" else f"{kind}:{name}"
