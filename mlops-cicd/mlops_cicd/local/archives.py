"""Tar archives as SageMaker makes and reads them: model.tar.gz, output.tar.gz, sourcedir.tar.gz."""

from __future__ import annotations

import filecmp
import gzip
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from .errors import JobFailed


def pack(folders: Sequence[Path], archive: Path) -> int:
    """Pack what the hosts left in their folders: the same bytes for the same files. Gives the number of files."""
    members: dict[str, Path] = {}
    for folder in folders:
        for item in sorted(folder.rglob("*")):
            name = item.relative_to(folder).as_posix()
            other = members.setdefault(name, item)
            if other is not item and item.is_file() and not filecmp.cmp(other, item, shallow=False):
                raise JobFailed(
                    f"ClientError: two hosts wrote different files {name}. Let only one host write it, or name it by host."
                )
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0, compresslevel=6) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for name in sorted(members):
            tar.add(members[name], name, recursive=False, filter=_plain)
    return sum(item.is_file() for item in members.values())


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.mtime = info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
    return info


def unpack(archive: Path, folder: Path, uri: str) -> None:
    """Unpack an archive; JobFailed when it is none or would write outside of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, mode="r:*") as tar:
            if hasattr(tarfile, "data_filter"):
                tar.extractall(folder, filter="data")
            else:  # Python before 3.11.4, as in Debian 12: what that filter refuses, and links of any kind
                _plain_files_only(tar, uri)
                tar.extractall(folder)  # noqa: S202 (each member was looked at)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise JobFailed(
            f"ClientError: {uri} cannot be unpacked: {error}. Write a tar.gz archive of plain files there."
        ) from error


def _plain_files_only(tar: tarfile.TarFile, uri: str) -> None:
    for one in tar.getmembers():
        path = PurePosixPath(one.name)
        if not (one.isfile() or one.isdir()) or path.is_absolute() or ".." in path.parts:
            raise JobFailed(
                f"ClientError: {uri} cannot be unpacked: {one.name!r} is no plain file inside of it. Write a tar.gz archive of "
                "plain files there."
            )
