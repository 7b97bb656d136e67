"""MLOPS019: templates and policies stay below what AWS takes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from tools.lint.model import Problem, Rule, Template
from tools.lint.policies import documents

# Bytes of a template by URL: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
TEMPLATE, TEMPLATE_TARGET = 1_000_000, 200_000
# Characters without white space: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html, and of endpoints:
# https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html
LIMITS = {
    ("AWS::IAM::Role", "trust"): ("trust policy", 2_048),
    ("AWS::IAM::Role", "identity"): ("inline policies together", 10_240),
    ("AWS::IAM::User", "identity"): ("inline policies together", 2_048),
    ("AWS::IAM::Group", "identity"): ("inline policies together", 5_120),
    ("AWS::IAM::ManagedPolicy", "identity"): ("managed policy", 6_144),
    ("AWS::IAM::ManagedPolicy", "boundary"): ("managed policy", 6_144),
    ("AWS::EC2::VPCEndpoint", "endpoint"): ("endpoint policy", 20_480),
    ("AWS::S3::BucketPolicy", "resource"): ("bucket policy", 20_480),
    ("AWS::KMS::Key", "key"): ("key policy", 32_768),
}
# What a reference becomes, at most: a region's and an account's own length, else that of an ARN or of a list of a few ids.
LENGTHS = {"AWS::Partition": 10, "AWS::Region": 14, "AWS::AccountId": 12, "AWS::URLSuffix": 16, "AWS::StackName": 64}
REFERENCE = 80


def check(template: Template) -> Iterator[Problem]:
    """Find templates and policies that are too long; the length of what a reference becomes is estimated upwards."""
    size = len(template.text.encode())
    if size >= TEMPLATE:
        yield Problem("Template", f"{size:,} bytes; CloudFormation takes {TEMPLATE:,}", "split the template")
    elif size > TEMPLATE_TARGET:
        yield Problem(
            "Template", f"{size:,} bytes; ours stay below {TEMPLATE_TARGET:,}", "split the template", "warning"
        )
    found: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for resource, kind, body in documents(template, "trust", "identity", "boundary", "endpoint", "resource", "key"):
        found[resource.name, resource.type, kind].append(_length(template, body))
    for (name, type_, kind), lengths in found.items():
        what, limit = LIMITS.get((type_, kind), ("", 0))
        if limit and sum(lengths) > limit:
            mend = "join statements, or move some to a managed policy"
            yield Problem(name, f"The {what}: about {sum(lengths):,} characters; AWS takes {limit:,}", mend)


def _length(template: Template, value: Any) -> int:
    """Estimate the characters of a value as JSON without white space."""
    if isinstance(value, Mapping):
        if len(value) == 1:
            ((name, inner),) = value.items()
            if name == "Fn::If":
                return max(_length(template, inner[1]), _length(template, inner[2]))
            if name == "Ref" and inner == "AWS::NoValue":
                return 0
            if name == "Fn::FindInMap":
                return _mapped(template, inner)
            if name == "Ref" or name.startswith("Fn::"):
                return max((_text(text) for text in template.texts(value)), default=REFERENCE) + 2
        return 2 + sum(len(str(key)) + 4 + _length(template, inner) for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return 2 + sum(_length(template, item) + 1 for item in value)
    return len(str(value)) + 2


def _mapped(template: Template, inner: list[Any]) -> int:
    rows = template.body.get("Mappings", {}).get(inner[0], {}).values() if isinstance(inner[0], str) else ()
    return max((_length(template, row[inner[2]]) for row in rows if str(inner[2]) in row), default=REFERENCE)


def _text(text: str) -> int:
    references = re.findall(r"\$\{([^}]*)\}", text)
    plain = len(re.sub(r"\$\{[^}]*\}", "", text))
    # ${!name} is an IAM variable: it stays as it is.
    return plain + sum(len(name) + 2 if name.startswith("!") else LENGTHS.get(name, REFERENCE) for name in references)


RULE = Rule(
    "MLOPS019",
    "Sizes stay below the limits",
    "A policy that is too long fails in the middle of a launch, for the customer with the longest names.",
    check,
)
