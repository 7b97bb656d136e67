"""Launch links: for every template with a launch card and every region, the console's quick-create page, filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from generators.kit import publishing, regions
from generators.kit.registry import discover
from tools.errors import MlopsError


class LinksError(MlopsError):
    """Base of what `./inv links` refuses."""


class BadPrefix(LinksError):
    """The prefix cannot begin the names of buckets."""

    def __init__(self, prefix: str, rule: str) -> None:
        super().__init__(f"The bucket prefix '{prefix}' is not allowed: {rule}.\nGive another: --bucket-prefix PREFIX")


class NoPrefix(LinksError):
    """Links were asked for, and nobody said which buckets hold the release."""

    def __init__(self) -> None:
        super().__init__(
            "Launch links need the prefix of the buckets that hold the release, and none is given or configured.\n"
            "Publish first: ./inv publish --bucket-prefix PREFIX\n"
            "Then: ./inv links --bucket-prefix PREFIX (or set [tool.mlops] assets-bucket-prefix in pyproject.toml)"
        )


def show(bucket_prefix: str, as_json: bool) -> None:
    """Print the links of the release in the buckets given, or in the configured ones."""
    prefix = bucket_prefix or publishing.configured_prefix()
    if not prefix:
        raise NoPrefix
    found = rows(prefix)
    print(as_document(found) if as_json else as_table(found))


def rows(prefix: str, names: Sequence[str] | None = None) -> list[dict[str, str]]:
    """Give region, template and url of every link, by template and region; all launch regions unless some are named."""
    checked_prefix(prefix)
    wanted = sorted(regions.names() if names is None else names)
    return [
        {"region": region, "template": stack.name, "url": publishing.launch_url(stack, prefix, region)}
        for stack in (generator.stack for generator in discover())
        if stack.launch is not None
        for region in wanted
    ]


def as_document(found: list[dict[str, str]]) -> str:
    """Give the links as JSON: a list of objects with region, template and url."""
    return json.dumps(found, indent=2)


def as_table(found: list[dict[str, str]]) -> str:
    """Give the links as lines of text, under the name of their template."""
    width = max((len(row["region"]) for row in found), default=0)
    lines: list[str] = []
    template = ""
    for row in found:
        if row["template"] != template:
            template = row["template"]
            lines += ["", template] if lines else [template]
        lines.append(f"  {row['region']:<{width}}  {row['url']}")
    return "\n".join(lines)


def checked_prefix(prefix: str) -> str:
    """Give the prefix back; raises unless it makes a bucket name in every launch region.

    Rules: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html (a dot is legal
    there, and breaks the certificate of the bucket's own host name)."""
    longest = 63 - 1 - max(len(name) for name in regions.names())
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", prefix):
        raise BadPrefix(prefix, "lower-case letters, digits and hyphens, with a letter or digit at both ends")
    if not 3 <= len(prefix) <= longest:
        raise BadPrefix(prefix, f"3 to {longest} characters, the name of the region is added")
    if prefix.startswith(("xn--", "sthree-", "amzn-s3-demo-")):
        raise BadPrefix(prefix, "AWS reserves how it begins")
    return prefix
