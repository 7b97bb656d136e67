"""Zips that are the same bit for bit on every machine, so that an unchanged one is never sent again."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

# The earliest time a zip can hold.
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Member:
    """One file of a zip."""

    data: bytes
    executable: bool = False


def archive(members: Mapping[str, Member]) -> bytes:
    """Zip the files by name: stored, because what deflate makes differs between versions of zlib; no folder entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
        for name in sorted(members):
            member = members[name]
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system = 3  # Unix, whatever runs this
            info.external_attr = (stat.S_IFREG | (0o755 if member.executable else 0o644)) << 16
            target.writestr(info, member.data, zipfile.ZIP_STORED)
    return buffer.getvalue()
