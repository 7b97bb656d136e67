"""Read files of a published release, check each against its hash, and put them into a bucket of this account."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from botocore.exceptions import BotoCoreError, ClientError

LARGEST = 5 * 1024 * 1024  # bytes of one file
MOST = 20  # files, which are all in memory at once
# Where this function writes at all. Its permission says the same with wildcards, which also match slashes.
PROJECT_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{0,40}-p-[a-z0-9]{1,18}", re.ASCII)
PLACE = "workspace/"
# Of a pipeline's artifacts: what their names begin with, and how much of the pipeline's name their keys have
# (https://github.com/awsdocs/aws-cloudformation-user-guide/issues/733).
ARTIFACT, LONGEST_PREFIX = "Pipe", 20
PIPELINE = re.compile(r"[A-Za-z0-9.@_-]{1,100}", re.ASCII)
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
# No blanks: the address of a file stands between blanks elsewhere (the workspace loader's parameter).
KEY = re.compile(r"[A-Za-z0-9!_.*'()-][A-Za-z0-9!_.*'()/-]{0,511}", re.ASCII)
HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
KMS_KEY = re.compile(r"arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]{1,64}", re.ASCII)
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
MOST_TAGS, LONGEST_TAG_KEY, LONGEST_TAG_VALUE = 10, 128, 256


class ReleaseFilesError(Exception):
    """Base of what this function raises on its own."""


class BadProperties(ReleaseFilesError):
    """The properties cannot be used; the text names all faults."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(f"{'; '.join(faults)}: mend these properties in the template.")


class Unreadable(ReleaseFilesError):
    """A file of the release cannot be read."""

    def __init__(self, source: str, fault: str) -> None:
        super().__init__(
            f"{source} can't be read ({fault}): check that this version was published there completely, and that the "
            "function's role and the bucket's policy allow s3:GetObject."
        )


class TooLarge(ReleaseFilesError):
    """A file is larger than this function carries."""

    def __init__(self, source: str) -> None:
        super().__init__(f"{source} is larger than {LARGEST} bytes: make it smaller and publish a new version.")


class WrongHash(ReleaseFilesError):
    """A file is not the one that the template was rendered for."""

    def __init__(self, source: str, found: str, wanted: str) -> None:
        super().__init__(
            f"{source} has the SHA-256 {found} instead of {wanted}, and nothing was copied: take template and files from "
            "the same published version."
        )


class NotWritten(ReleaseFilesError):
    """The bucket refused a change."""

    def __init__(self, target: str, fault: str) -> None:
        super().__init__(f"{target} can't be changed ({fault}): allow it to the function's role, then repeat.")


@dataclass(frozen=True)
class File:
    """One file to copy. `sha256` is hexadecimal."""

    source_key: str
    sha256: str
    target_key: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What the properties ask for. An empty `kms_key` leaves encryption to the bucket's default."""

    source_bucket: str
    target_bucket: str
    kms_key: str
    files: tuple[File, ...]
    pipelines: tuple[str, ...] = ()

    @property
    def target_keys(self) -> tuple[str, ...]:
        return tuple(file.target_key for file in self.files)


def read(properties: Mapping[str, Any]) -> Plan:
    """Read the properties. Raises BadProperties, which collects all faults."""
    faults: list[str] = []
    source = _match(properties, "SourceBucket", BUCKET, faults)
    target = _match(properties, "TargetBucket", PROJECT_BUCKET, faults)
    kms_key = "" if properties.get("KmsKeyArn", "") == "" else _match(properties, "KmsKeyArn", KMS_KEY, faults)
    entries = properties.get("Files")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MOST:
        raise BadProperties([*faults, f"Files is no list of 1 to {MOST} files"])
    files = tuple(_file(entry, f"Files[{number}].", faults) for number, entry in enumerate(entries))
    keys = [file.target_key for file in files if file.target_key]
    faults += [f"TargetKey {key} is not below {PLACE}" for key in keys if key and not key.startswith(PLACE)]
    faults += [f"TargetKey {key} is given twice" for key in dict.fromkeys(keys) if keys.count(key) > 1]
    pipelines = properties.get("Pipelines", [])
    if not isinstance(pipelines, list) or not all(
        isinstance(name, str) and PIPELINE.fullmatch(name) for name in pipelines
    ):
        faults.append("Pipelines is no list of names of pipelines")
    if faults:
        raise BadProperties(faults)
    return Plan(source, target, kms_key, files, tuple(pipelines))


def fetch(client: Any, plan: Plan) -> list[bytes]:
    """Give the contents of all files, checked. Raises Unreadable, TooLarge and WrongHash."""
    return [_fetch(client, plan.source_bucket, file) for file in plan.files]


def put(client: Any, plan: Plan, contents: Sequence[bytes], account: str) -> None:
    """Write all files into the bucket, which must belong to `account`. Raises NotWritten."""
    encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": plan.kms_key} if plan.kms_key else {}
    for file, content in zip(plan.files, contents, strict=True):
        given: dict[str, Any] = {"Tagging": urlencode(file.tags)} if file.tags else {}
        # S3 compares the hash as well, so that what is stored is what was checked.
        given["ChecksumSHA256"] = base64.b64encode(bytes.fromhex(file.sha256)).decode()
        try:
            client.put_object(
                Bucket=plan.target_bucket,
                Key=file.target_key,
                Body=content,
                ExpectedBucketOwner=account,
                **encrypted,
                **given,
            )
        except (ClientError, BotoCoreError) as error:
            raise NotWritten(f"s3://{plan.target_bucket}/{file.target_key}", _why(error)) from error


def remove(client: Any, bucket: str, keys: Sequence[str], account: str) -> int:
    """Delete objects, which a versioned bucket keeps as older versions; give how many. Raises NotWritten.

    What is gone already counts as deleted; without the bucket there is nothing to delete.
    """
    for number, key in enumerate(keys):
        try:
            client.delete_object(Bucket=bucket, Key=key, ExpectedBucketOwner=account)
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and error.response["Error"]["Code"] == "NoSuchBucket":
                return number
            raise NotWritten(f"s3://{bucket}/{key}", _why(error)) from error
    return len(keys)


def erase(client: Any, plan: Plan, account: str) -> int:
    """Delete every version of a plan's objects and of its pipelines' artifacts, and the markers of deletions; give how many.
    Raises NotWritten.

    A launch that fails takes its bucket away again, and S3 deletes none in which a version or a marker stands:
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html. A pipeline runs as soon as it is made, so its sources are
    there by then, below the pipeline's name, cut to twenty characters, and the artifact's: PIPELINE/Pipe.../....
    """
    places: list[tuple[str, Callable[[str], bool]]] = [(key, key.__eq__) for key in plan.target_keys]
    places += [(name, _is_artifact) for name in dict.fromkeys(name[:LONGEST_PREFIX] for name in plan.pipelines)]
    bucket, erased = plan.target_bucket, 0
    for prefix, wanted in places:
        try:
            pages = client.get_paginator("list_object_versions").paginate(
                Bucket=bucket, Prefix=prefix, ExpectedBucketOwner=account
            )
            for page in pages:
                found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
                erased += _erase(client, bucket, [one for one in found if wanted(one["Key"])], account)
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and error.response["Error"]["Code"] == "NoSuchBucket":
                return erased
            raise NotWritten(f"s3://{bucket}/{prefix}", _why(error)) from error
    return erased


def _erase(client: Any, bucket: str, found: Sequence[Mapping[str, Any]], account: str) -> int:
    """Erase what one page names, in one call: a project of years has thousands of artifacts. Give how many."""
    if not found:
        return 0
    objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
    told = client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True}, ExpectedBucketOwner=account)
    if refused := told.get("Errors"):
        first = refused[0]
        raise NotWritten(f"s3://{bucket}/{first.get('Key', '')}", f"{first.get('Code')}: {first.get('Message', '')}")
    return len(objects)


def _is_artifact(key: str) -> bool:
    return key.partition("/")[2].startswith(ARTIFACT)


def _fetch(client: Any, bucket: str, file: File) -> bytes:
    source = f"s3://{bucket}/{file.source_key}"
    try:
        with closing(client.get_object(Bucket=bucket, Key=file.source_key)["Body"]) as body:
            content: bytes = body.read(LARGEST + 1)  # one byte more than allowed tells a larger file
    except (ClientError, BotoCoreError) as error:
        raise Unreadable(source, _why(error)) from error
    if len(content) > LARGEST:
        raise TooLarge(source)
    actual = hashlib.sha256(content).hexdigest()
    if actual != file.sha256:
        raise WrongHash(source, actual, file.sha256)
    return content


def _why(error: Exception) -> str:
    if isinstance(error, ClientError):
        return f"{error.response['Error']['Code']}: {error.response['Error'].get('Message', '')}"
    return f"{type(error).__name__}: {error}"


def _file(entry: Any, where: str, faults: list[str]) -> File:
    if not isinstance(entry, Mapping):
        faults.append(f"{where.rstrip('.')} has no properties")
        return File("", "", "")
    tags = entry.get("Tags", {})
    if not _are_tags(tags):
        faults.append(f"{where}Tags is no map of at most {MOST_TAGS} tags")
    return File(
        _match(entry, "SourceKey", KEY, faults, where),
        _match(entry, "Sha256", HASH, faults, where),
        _match(entry, "TargetKey", KEY, faults, where),
        tags,
    )


def _are_tags(tags: Any) -> bool:
    return (
        isinstance(tags, Mapping)
        and len(tags) <= MOST_TAGS
        and all(isinstance(text, str) for pair in tags.items() for text in pair)
        and all(1 <= len(key) <= LONGEST_TAG_KEY and len(value) <= LONGEST_TAG_VALUE for key, value in tags.items())
    )


def _match(facts: Mapping[str, Any], name: str, pattern: re.Pattern[str], faults: list[str], where: str = "") -> str:
    value = facts.get(name)
    # A key may hold dots, but no path that other tools would walk up.
    if isinstance(value, str) and pattern.fullmatch(value) and ".." not in value.split("/"):
        return value
    faults.append(f"{where}{name} is missing or no such thing")
    return ""
