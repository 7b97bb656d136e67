"""Where the bytes come from: version, object keys, and the one function for each URL. Makes no AWS call."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import quote, urlencode

from troposphere import Sub

from generators.kit.stack import Stack
from generators.kit.version import ROOT, configured_prefix, is_stable, version

__all__ = ["ROOT", "configured_prefix", "is_stable", "version"]  # one door for what is published

# Stands on a launch card for the prefix that the link is made for.
PREFIX = "{prefix}"
ASSETS_BUCKET = "${AssetsBucketPrefix}-${AWS::Region}"
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html (partitions); console hosts differ by partition.
PARTITIONS = {
    "aws": ("amazonaws.com", "console.aws.amazon.com"),
    "aws-cn": ("amazonaws.com.cn", "console.amazonaws.cn"),
    "aws-us-gov": ("amazonaws.com", "console.amazonaws-us-gov.com"),
}


def release_prefix() -> str:
    """Give the immutable folder of this version in every published bucket."""
    return f"v{version()}/"


def template_key(name: str) -> str:
    """Give the key of a template, below the release prefix."""
    return f"templates/{name}.yaml"


def function_key(name: str) -> str:
    """Give the key of a function's zip, below the release prefix."""
    return f"functions/{name}.zip"


def seed_key(name: str) -> str:
    """Give the key of a repository's seed, below the release prefix."""
    return f"seeds/{name}.zip"


def project_seed_key(framework: str) -> str:
    """Give the key of what a project's repository of a framework begins with, below the release prefix."""
    return seed_key(f"project-{framework}")


def schema_key(name: str) -> str:
    """Give the key of a JSON Schema, below the release prefix."""
    return f"schemas/{name}"


def workspace_key(name: str) -> str:
    """Give the key of a file of workspace/, below the release prefix."""
    return f"workspace/{name}"


def workspace_sha256(name: str) -> str:
    """Give the SHA-256 of a file of workspace/, as it is published."""
    return hashlib.sha256((ROOT / "workspace" / name).read_bytes()).hexdigest()


def frameworks(root: Path = ROOT) -> tuple[str, ...]:
    """Give the frameworks that a project can begin with: the folders of seedcode-repo/ with a model_config.yaml."""
    return tuple(sorted(path.parent.name for path in (root / "seedcode-repo").glob("*/model_config.yaml")))


def assets_bucket(prefix: str = "${AssetsBucketPrefix}") -> Sub:
    """Give the published bucket of the stack's own region; `prefix` is text for `Sub`."""
    return Sub(f"{prefix}-${{AWS::Region}}")


def partition(region: str) -> str:
    """Give the partition of a region."""
    return {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get("us-gov" if region.startswith("us-gov") else region[:2], "aws")


def bucket_name(prefix: str, region: str) -> str:
    """Give the name of the published bucket of a region."""
    return f"{prefix}-{region}"


def template_url(stack: Stack, prefix: str, region: str) -> str:
    """Give the HTTPS URL of a published template, as CloudFormation takes it."""
    suffix = PARTITIONS[partition(region)][0]
    key = quote(release_prefix() + template_key(stack.name))
    return f"https://{bucket_name(prefix, region)}.s3.{region}.{suffix}/{key}"


def nested_url(name: str, prefix: str = "${AssetsBucketPrefix}") -> Sub:
    """Give the URL of a published template as another template's stack resource takes it, in the stack's own region."""
    key = release_prefix() + template_key(name)
    return Sub(f"https://{prefix}-${{AWS::Region}}.s3.${{AWS::Region}}.${{AWS::URLSuffix}}/{key}")


def any_release_url(name: str) -> Sub:
    """Give the pattern of a template's URLs in every release, for conditions."""
    return Sub(f"https://{ASSETS_BUCKET}.s3.${{AWS::Region}}.${{AWS::URLSuffix}}/v*/{template_key(name)}")


def launch_url(stack: Stack, prefix: str, region: str) -> str:
    """Give the quick-create link of a template.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-console-create-stacks-quick-create-links.html"""
    assert stack.launch is not None
    filled = {name: prefix if value == PREFIX else value for name, value in stack.launch.prefill.items()}
    query = {
        "templateURL": template_url(stack, prefix, region),
        "stackName": f"{stack.launch.stack_name}-{version().replace('.', '-')}",
        **{f"param_{name}": value for name, value in filled.items()},
    }
    console = PARTITIONS[partition(region)][1]
    return f"https://{region}.{console}/cloudformation/home?region={region}#/stacks/create/review?{urlencode(query)}"
