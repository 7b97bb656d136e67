"""Archives are unpacked inside their folder, with Python's own filter and, where Python lacks it, without."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from mlops_cicd.local.archives import unpack
from mlops_cicd.local.errors import JobFailed


def archive(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            member.size = 1 if member.isfile() else 0
            tar.addfile(member, io.BytesIO(b"x") if member.isfile() else None)
    return path


def link(name: str, target: str) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = tarfile.SYMTYPE, target
    return made


@pytest.fixture(params=["with the filter", "without the filter"], autouse=True)
def python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without the filter":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)


def test_plain_files_are_unpacked(tmp_path: Path) -> None:
    unpack(archive(tmp_path / "a.tar.gz", tarfile.TarInfo("code/one.py")), tmp_path / "out", "s3://b/a.tar.gz")
    assert (tmp_path / "out/code/one.py").read_text() == "x"


@pytest.mark.parametrize(
    "member", [tarfile.TarInfo("../outside"), link("inside", "/etc/passwd"), link("up", "../../x")]
)
def test_what_leads_out_is_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    with pytest.raises(JobFailed, match=r"s3://b/a.tar.gz cannot be unpacked"):
        unpack(archive(tmp_path / "a.tar.gz", member), tmp_path / "out", "s3://b/a.tar.gz")
    assert not (tmp_path / "outside").exists()
