"""Objects behind `s3://` URIs: a folder on this machine, or S3 itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from .errors import StoreError


class Store(Protocol):
    """What jobs need of S3."""

    def list(self, uri: str) -> Sequence[str]:
        """List the URIs of all objects whose URI begins with `uri`, sorted; a raw prefix, as in S3."""
        ...

    def download(self, uri: str, folder: Path) -> Sequence[Path]:
        """Copy the object `uri`, or all objects below the prefix, into `folder`; StoreError when there is none."""
        ...

    def upload(self, path: Path, uri: str) -> Sequence[str]:
        """Copy one file to the object `uri`, or all files of a folder below the prefix `uri`; returns the URIs written."""
        ...


def split(uri: str) -> tuple[str, str]:
    """Split `s3://bucket/key` into bucket and key (which may be empty)."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise StoreError(f"{uri!r} is no S3 URI. Write s3://BUCKET/KEY.")
    if ".." in PurePosixPath(key).parts or "\x00" in key:
        raise StoreError(f"{uri} has `..` in its key. Write the key without it.")
    return bucket, key


def placed(uri: str, found: Iterable[str]) -> dict[str, PurePosixPath]:
    """Say for each object found under the raw prefix `uri` which path it gets below the job's folder.

    S3 prefixes know no folders: s3://b/train also matches s3://b/train-old/x. A job would get both, which nobody means: refused.
    """
    objects = [item for item in found if not item.endswith("/")]  # "folders" that the console makes are empty objects
    if not objects:
        raise StoreError(f"No object is under {uri}. Write the data there first, or mend the URI.")
    if uri in objects:
        objects = [item for item in objects if item == uri or not item.startswith(uri.rstrip("/") + "/")]
        strange = [item for item in objects if item != uri]
        result = {uri: PurePosixPath(PurePosixPath(split(uri)[1]).name)}
    else:
        below = uri if uri.endswith("/") else uri + "/"
        strange = [item for item in objects if not item.startswith(below)]
        result = {item: PurePosixPath(item.removeprefix(below)) for item in objects if item.startswith(below)}
    if strange:
        raise StoreError(
            f"{uri} is a prefix of {strange[0]} too, and SageMaker would copy that as well. "
            f"End the URI with a slash, or rename one of the two."
        )
    return result


def _files(path: Path, uri: str) -> dict[str, Path]:
    if path.is_file():
        return {uri: path}
    below = uri if uri.endswith("/") else uri + "/"
    return {below + item.relative_to(path).as_posix(): item for item in sorted(path.rglob("*")) if item.is_file()}


class FolderStore:
    """Objects as files: s3://bucket/key is `root`/bucket/key."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, uri: str) -> Path:
        """Say in which file an object lies."""
        bucket, key = split(uri)
        return self.root / bucket / key

    def list(self, uri: str) -> Sequence[str]:
        """List all objects whose URI begins with `uri`."""
        bucket, key = split(uri)
        top = self.root / bucket
        start = top / key.rpartition("/")[0]
        keys = (item.relative_to(top).as_posix() for item in start.rglob("*") if item.is_file())
        return sorted(f"s3://{bucket}/{item}" for item in keys if item.startswith(key))

    def download(self, uri: str, folder: Path) -> Sequence[Path]:
        """Copy the objects under `uri` into `folder`."""
        return [_copied(self.path(item), folder / name) for item, name in placed(uri, self.list(uri)).items()]

    def upload(self, path: Path, uri: str) -> Sequence[str]:
        """Copy a file or a folder to `uri`."""
        files = _files(path, uri)
        for item, source in files.items():
            _copied(source, self.path(item))
        return list(files)


def _copied(source: Path, target: Path) -> Path:
    """Copy by way of a second name, so that nobody reads half an object."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name[:200]}.{os.getpid()}.part")
        shutil.copyfile(source, part)
        part.replace(target)
    except OSError as error:
        raise StoreError(
            f"{source} cannot be copied to {target}: {error.strerror}. Free the place or mend the rights."
        ) from error
    return target


class S3Store:
    """Objects in S3, through a boto3 client; with `kms_key` each object written is encrypted with it."""

    def __init__(self, client: Any, kms_key: str | None = None) -> None:
        self.client = client
        self.extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else None

    def list(self, uri: str) -> Sequence[str]:
        """List all objects whose URI begins with `uri`."""
        bucket, key = split(uri)
        pages = self._try("list", uri, lambda: list(self._pages(bucket, key)))
        return sorted(f"s3://{bucket}/{item['Key']}" for page in pages for item in page.get("Contents", ()))

    def _pages(self, bucket: str, key: str) -> Iterable[Any]:
        return self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)  # type: ignore[no-any-return]

    def download(self, uri: str, folder: Path) -> Sequence[Path]:
        """Copy the objects under `uri` into `folder`."""
        done = []
        for item, name in placed(uri, self.list(uri)).items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            bucket, key = split(item)
            self._try("read", item, lambda b=bucket, k=key, t=target: self.client.download_file(b, k, str(t)))
            done.append(target)
        return done

    def upload(self, path: Path, uri: str) -> Sequence[str]:
        """Copy a file or a folder to `uri`."""
        files = _files(path, uri)
        for item, source in files.items():
            bucket, key = split(item)
            self._try(
                "write",
                item,
                lambda b=bucket, k=key, s=source: self.client.upload_file(str(s), b, k, ExtraArgs=self.extra),
            )
        return list(files)

    def _try(self, verb: str, uri: str, call: Any) -> Any:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return call()
        except (Boto3Error, BotoCoreError, ClientError) as error:
            raise StoreError(
                f"S3 does not let this role {verb} {uri}: {error}. Check bucket, prefix and the role's policy."
            ) from error
