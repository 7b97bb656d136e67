"""What S3 of the account that is asking holds."""

from __future__ import annotations

import re

from rehearsal.ministack_internals.common import module

TEMPLATE_URL = re.compile(
    r"https://(?P<bucket>.+?)\.s3(?:[.-](?:dualstack\.)?[a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?/(?P<key>.+)"
)


def object_exists(bucket: str, key: str) -> bool:
    """Tell whether the S3 of the account that is asking has an object."""
    held = module("services.s3")._buckets.get(bucket)
    return held is not None and key in held["objects"]


def object_bytes(bucket: str, key: str) -> bytes:
    """Read an object of the account that is asking; it must be there."""
    s3 = module("services.s3")
    return bytes(s3._read_body(bucket, key, s3._buckets.get(bucket)["objects"][key]))


def template_exists(url: str) -> bool:
    """Tell whether the S3 of the account that is asking has the template that a URL names."""
    parts = TEMPLATE_URL.fullmatch(url)
    return parts is not None and object_exists(parts["bucket"], parts["key"])


def is_empty(bucket: str) -> bool:
    """Tell whether a bucket holds nothing, no version either: CloudFormation deletes no other, ministack would."""
    s3 = module("services.s3")
    held = s3._buckets.get(bucket) or {"objects": {}}
    return not held["objects"] and not any(name == bucket and kept for (name, _), kept in s3._object_versions.items())
