"""The manifest: the last object of a release, and the proof that all the others are there. The same in every region."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from generators.kit.publishing import is_stable, release_prefix, version
from tools.publish.assets import collect

MANIFEST = "manifest.json"
LATEST = "latest/"
CONTENT_TYPES = {
    "yaml": "application/yaml",
    "zip": "application/zip",
    "json": "application/json",
    "sh": "text/x-shellscript",
}


@dataclass(frozen=True)
class Asset:
    """One object, by its key below a prefix."""

    key: str
    body: bytes

    @cached_property
    def sha256(self) -> bytes:
        """Give the checksum that the manifest promises and that S3 checks on arrival."""
        return hashlib.sha256(self.body).digest()

    @cached_property
    def tag(self) -> tuple[str, int]:
        """Give ETag and size as S3 lists them: MD5 for what is sent in one piece and stored with SSE-S3.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html"""
        return hashlib.md5(self.body, usedforsecurity=False).hexdigest(), len(self.body)

    @property
    def content_type(self) -> str:
        """Give the content type, by the key's ending."""
        return CONTENT_TYPES[self.key.rsplit(".", 1)[-1]]


@dataclass(frozen=True)
class Release:
    """All that is published of one version. `prefix` and keys are the same in every region's bucket."""

    version: str
    prefix: str
    assets: tuple[Asset, ...]
    stable: bool

    @cached_property
    def manifest(self) -> Asset:
        """Give the manifest: no clock and no region in it, so that equal content means equal bytes."""
        objects = [
            {"key": asset.key, "sha256": asset.sha256.hex(), "size": len(asset.body)}
            for asset in sorted(self.assets, key=lambda asset: asset.key)
        ]
        document = {"version": self.version, "prefix": self.prefix, "objects": objects}
        return Asset(MANIFEST, (json.dumps(document, indent=1) + "\n").encode())

    @property
    def size(self) -> int:
        """Give the bytes of one region, without the manifest."""
        return sum(len(asset.body) for asset in self.assets)

    @property
    def latest(self) -> tuple[Asset, ...]:
        """Give what `latest/` holds besides the manifest: templates, which name the objects of their own version."""
        return tuple(asset for asset in self.assets if asset.key.startswith("templates/"))


def release(objects: Mapping[str, bytes] | None = None) -> Release:
    """Give this folder's release, or one of the objects given."""
    found = collect() if objects is None else objects
    assets = tuple(Asset(key, body) for key, body in sorted(found.items()))
    return Release(version(), release_prefix(), assets, is_stable())


def version_of(manifest: bytes | None) -> str | None:
    """Read the version out of a manifest; none when there is no manifest, or it is not one of ours."""
    try:
        document = json.loads(manifest or b"null")
        return str(document["version"])
    except (ValueError, TypeError, KeyError):
        return None


def differences(one: bytes, other: bytes) -> list[str]:
    """Name the objects in which two manifests differ."""
    try:
        first, second = ({(row["key"], row["sha256"]) for row in json.loads(text)["objects"]} for text in (one, other))
    except (ValueError, TypeError, KeyError):
        return [MANIFEST]
    return sorted({key for key, _ in first ^ second}) or [MANIFEST]
