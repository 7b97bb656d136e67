"""Read the seed of a repository: a published zip, of which nothing is trusted. Nothing is unpacked to a disk."""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from versions import PlatformCodeError

LARGEST_ZIP = 10 * 1024 * 1024  # bytes; a published seed has at most half of it
# https://docs.aws.amazon.com/codecommit/latest/userguide/limits.html (file size, file paths)
LARGEST_FILE = 6 * 1024 * 1024
LONGEST_PATH, DEEPEST = 4096, 20
LARGEST_ALL = 40 * 1024 * 1024  # bytes of all files; each is in memory only for as long as it takes to read it
MOST_FILES = 2000
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1
NORMAL, EXECUTABLE = "NORMAL", "EXECUTABLE"  # file modes of CodeCommit


class Unreadable(PlatformCodeError):
    """A seed is not there, or may not be read."""

    def __init__(self, source: str, fault: str) -> None:
        super().__init__(
            f"{source} can't be read ({fault}): check that this version was published there completely, and that the "
            "function's role and the bucket's policy allow s3:GetObject."
        )


class BadSeed(PlatformCodeError):
    """A seed holds what no repository can take."""

    def __init__(self, source: str, fault: str) -> None:
        super().__init__(f"{source} {fault}: publish a new version whose seed holds plain files only.")


@dataclass(frozen=True)
class File:
    """A file of a seed. `blob` is git's name of its content, which CodeCommit shows as well."""

    blob: str
    mode: str
    size: int

    def same(self, other: File | None) -> bool:
        """Tell whether the other has the same content and mode."""
        return other is not None and (self.blob, self.mode) == (other.blob, other.mode)


class Seed:
    """A checked seed: its files by path, and their contents as long as it is kept."""

    def __init__(
        self, archive: zipfile.ZipFile, files: Mapping[str, File], names: Mapping[str, zipfile.ZipInfo]
    ) -> None:
        self.files = files
        self._archive, self._names = archive, names

    def content(self, path: str) -> bytes:
        """Give the content of a file."""
        return self._archive.read(self._names[path])


def fetch(client: Any, bucket: str, key: str) -> Seed:
    """Get a seed and check all of it. Raises Unreadable and BadSeed."""
    source = f"s3://{bucket}/{key}"
    try:
        with closing(client.get_object(Bucket=bucket, Key=key)["Body"]) as body:
            data: bytes = body.read(LARGEST_ZIP + 1)  # one byte more than allowed tells a larger one
    except ClientError as error:
        told = error.response["Error"]
        raise Unreadable(source, f"{told['Code']}: {told.get('Message', '')}") from error
    except BotoCoreError as error:
        raise Unreadable(source, f"{type(error).__name__}: {error}") from error
    if len(data) > LARGEST_ZIP:
        raise BadSeed(source, f"is larger than {LARGEST_ZIP} bytes")
    return check(data, source)


def check(data: bytes, source: str) -> Seed:
    """Read a zip; `source` names it in errors. Raises BadSeed."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = [member for member in archive.infolist() if not member.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeDecodeError) as error:
        raise BadSeed(source, f"is no zip ({error})") from error
    if not 1 <= len(members) <= MOST_FILES:
        raise BadSeed(source, f"holds {len(members)} files, not 1 to {MOST_FILES}")
    files: dict[str, File] = {}
    total = 0
    for member in members:
        path = _path(member, source)
        if path in files:
            raise BadSeed(source, f"holds {path} twice")
        files[path] = _file(archive, member, source, LARGEST_ALL - total)
        total += files[path].size
    folders = {path[:place] for path in files for place, letter in enumerate(path) if letter == "/"}
    if both := sorted(folders & files.keys()):
        raise BadSeed(source, f"holds {both[0]} as a file and as a folder")
    return Seed(archive, files, {member.filename: member for member in members})


def _path(member: zipfile.ZipInfo, source: str) -> str:
    """Give the path of a member, which must be one that CodeCommit takes and that git writes into a work tree."""
    path = member.orig_filename  # `filename` ends at a NUL, and has other separators replaced on some systems
    parts = path.split("/")
    odd = any(part in ("", ".", "..") or part.lower() == ".git" for part in parts) or ":" in parts[0]
    if odd or "\\" in path or not path.isprintable() or len(path) > LONGEST_PATH or len(parts) > DEEPEST:
        raise BadSeed(source, f"holds the path {path[:100]!r}, which leads elsewhere or which CodeCommit refuses")
    return path


def _file(archive: zipfile.ZipFile, member: zipfile.ZipInfo, source: str, room: int) -> File:
    path, mode = member.filename, member.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise BadSeed(source, f"holds {path}, which is a link or no plain file")
    if member.flag_bits & ENCRYPTED or member.compress_type not in METHODS:
        raise BadSeed(source, f"holds {path}, which is encrypted or compressed in a way that is not supported")
    most = min(LARGEST_FILE, room)
    try:
        # Counted while reading: the size that a zip states is only a claim.
        with archive.open(member) as stream:
            content = stream.read(most + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise BadSeed(source, f"holds {path}, which is broken ({error})") from error
    if len(content) > most:
        raise BadSeed(source, f"holds {path}, which is too large, or all files together are")
    if not content:
        raise BadSeed(source, f"holds {path}, which is empty: CodeCommit takes no empty file")
    return File(blob_id(content), EXECUTABLE if mode & 0o111 else NORMAL, len(content))


def blob_id(content: bytes) -> str:
    """Give the id that git gives a content: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
