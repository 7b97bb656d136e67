"""Folders of code: a digest of what is in them, and an upload that sends only what isn't there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mlops_cicd.content import ContentError, digest, files, upload


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder of code."""
    top = tmp_path / "train"
    (top / "sub").mkdir(parents=True)
    (top / "train.py").write_text("print(1)\n")
    (top / "sub" / "model.py").write_text("x = 1\n")
    return top


class Bucket(dict[str, bytes]):
    """Objects, and what was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def put(self, uri: str, body: bytes) -> bool:
        """Put what isn't there."""
        if uri in self:
            return False
        self.sent.append(uri)
        self[uri] = body
        return True


def test_the_digest_is_of_paths_and_bytes_alone(folder: Path, tmp_path: Path) -> None:
    first = digest(folder)
    (folder / "train.py").chmod(0o755)
    os.utime(folder / "train.py", (1, 1))
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "train.pyc").write_bytes(b"x")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "a.py").write_text("x")
    (folder / ".hidden").write_text("x")
    (folder / "empty").mkdir()
    (folder / "old.pyc").write_bytes(b"x")
    assert digest(folder) == first
    folder.rename(tmp_path / "other")
    assert digest(tmp_path / "other") == first


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "train.py").write_text("print(2)\n"),
        lambda folder: (folder / "new.py").write_text(""),
        lambda folder: (folder / "train.py").rename(folder / "train2.py"),
        lambda folder: (folder / "sub" / "model.py").rename(folder / "model.py"),
        lambda folder: (folder / "train.py").unlink(),
    ],
)
def test_every_change_of_content_changes_the_digest(folder: Path, change: object) -> None:
    first = digest(folder)
    change(folder)  # type: ignore[operator]
    assert digest(folder) != first


def test_paths_and_contents_do_not_run_into_one_another(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    (one / "a").write_text("b")
    (one / "c").write_text("d")
    (other / "a").write_text("bcd")
    assert digest(one) != digest(other)


def test_files_come_in_the_order_of_their_paths(folder: Path) -> None:
    (folder / "a b.txt").write_text("x")
    assert [name for name, _ in files(folder)] == ["a b.txt", "sub/model.py", "train.py"]


def test_an_upload_is_named_after_its_content_and_sent_once(folder: Path) -> None:
    bucket = Bucket()
    place = upload(folder, "s3://b/build/code", bucket.put)
    assert place == f"s3://b/build/code/train/{digest(folder)[:16]}/"
    assert sorted(bucket) == [place + "sub/model.py", place + "train.py"]
    assert bucket[place + "train.py"] == b"print(1)\n"
    assert upload(folder, "s3://b/build/code/", bucket.put) == place
    assert len(bucket.sent) == 2
    (folder / "train.py").write_text("print(2)\n")
    other = upload(folder, "s3://b/build/code", bucket.put)
    assert other != place
    assert bucket[place + "train.py"] == b"print(1)\n"


def test_an_upload_that_broke_off_is_made_whole(folder: Path) -> None:
    bucket = Bucket()
    place = upload(folder, "s3://b/x", bucket.put)
    del bucket[place + "train.py"]
    bucket.sent.clear()
    upload(folder, "s3://b/x", bucket.put)
    assert bucket.sent == [place + "train.py"]


@pytest.mark.parametrize("target", ["train.py", "../../etc/passwd", "nothing", "sub"])
def test_links_are_refused_by_name(folder: Path, target: str) -> None:
    (folder / "sub" / "link").symlink_to(target)
    with pytest.raises(ContentError, match=r"'train/sub/link' is a link\. Put the file itself there\."):
        digest(folder)


def test_a_folder_that_is_a_link_missing_or_empty_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "empty" / "__pycache__").mkdir(parents=True)
    for name in ("link", "nothing", "empty"):
        with pytest.raises(ContentError, match=name):
            digest(tmp_path / name)


@pytest.mark.parametrize("prefix", ["", "b/x", "s3://", "s3:///", "https://b/x"])
def test_a_place_that_is_not_in_s3_is_refused_before_anything_is_sent(folder: Path, prefix: str) -> None:
    bucket = Bucket()
    with pytest.raises(ContentError, match="no place in S3"):
        upload(folder, prefix, bucket.put)
    assert not bucket
