"""MLOPS002: a bucket blocks every public way in, and has no access control lists."""

from __future__ import annotations

from collections.abc import Iterator

from tools.lint.model import Problem, Rule, Template, is_true

BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


def check(template: Template) -> Iterator[Problem]:
    """Find buckets with an open block, a list, or objects that their writer owns."""
    for bucket in template.resources("AWS::S3::Bucket"):
        missing = [
            name
            for name in BLOCKS
            if not all(map(is_true, template.values(bucket.properties, f"PublicAccessBlockConfiguration/{name}")))
        ]
        if missing:
            mend = f"set {', '.join(missing)} to true in PublicAccessBlockConfiguration"
            yield Problem(bucket.name, "The bucket can be made public", mend)
        if any(value not in (None, "Private") for value in template.values(bucket.properties, "AccessControl")):
            yield Problem(
                bucket.name, "The bucket has an access control list", "remove AccessControl, use a bucket policy"
            )
        owners = template.values(bucket.properties, "OwnershipControls/Rules/*/ObjectOwnership")
        if any(owner != "BucketOwnerEnforced" for owner in owners):
            mend = "set OwnershipControls to BucketOwnerEnforced"
            yield Problem(bucket.name, "Whoever writes an object may own it and give it away", mend)


RULE = Rule(
    "MLOPS002",
    "Buckets are private",
    "One access control list or policy is enough to publish a bucket; the block holds against both, whoever writes them.",
    check,
)
