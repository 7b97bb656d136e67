"""Code by its content: the digest of a folder, and its upload to a place in S3 that the digest names.

The same content always has the same place, so a push that changes nothing uploads nothing and changes no definition."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from mlops_cicd.errors import CicdError, shown

SHORT = 16
_IGNORED = ("__pycache__",)
_ENDINGS = (".pyc", ".pyo")

# Puts a file's bytes at s3://BUCKET/KEY unless an object is there already; says whether it did.
Put = Callable[[str, bytes], bool]


class ContentError(CicdError):
    """A folder of code can't be taken as it is."""


def files(folder: Path) -> list[tuple[str, Path]]:
    """Return the files of a folder by their path in it, in order; hidden ones and Python's own leftovers are no content.

    Raises ContentError for a folder without files and for links: what they lead to isn't in the repository's history.
    """
    if not folder.is_dir() or folder.is_symlink():
        raise ContentError(
            f"There is no folder {shown(folder.name)}. Commit it, with the files that model_config.yaml names."
        )
    found = sorted((path.relative_to(folder).as_posix(), path) for path in _walk(folder, folder))
    if not found:
        raise ContentError(f"The folder {shown(folder.name)} has no files. Commit those that model_config.yaml names.")
    return found


def digest(folder: Path) -> str:
    """Return the SHA-256 of a folder's paths and bytes, in hexadecimal: modes and times don't count."""
    total = hashlib.sha256()
    for name, path in files(folder):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        # The path's length keeps a path and what follows it apart.
        encoded = name.encode()
        total.update(f"{len(encoded)} {content} ".encode() + encoded)
    return total.hexdigest()


def upload(folder: Path, s3_prefix: str, put: Put) -> str:
    """Put a folder's files below s3_prefix/NAME/DIGEST/, those that aren't there, and return that place."""
    if not s3_prefix.startswith("s3://") or not s3_prefix.removeprefix("s3://").strip("/"):
        raise ContentError(f"{shown(s3_prefix)} is no place in S3. Give one as s3://bucket/build/code/.")
    place = f"{s3_prefix.rstrip('/')}/{folder.resolve().name}/{digest(folder)[:SHORT]}/"
    for name, path in files(folder):
        put(place + name, path.read_bytes())
    return place


def _walk(folder: Path, top: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _IGNORED or path.name.endswith(_ENDINGS):
            continue
        if path.is_symlink():
            name = (Path(top.name) / path.relative_to(top)).as_posix()
            raise ContentError(f"{shown(name)} is a link. Put the file itself there.")
        if path.is_dir():
            yield from _walk(path, top)
        elif path.is_file():
            yield path
