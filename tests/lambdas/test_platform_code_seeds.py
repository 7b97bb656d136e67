"""A seed is a zip from outside: plain files of bounded size come out of it, or one clear error."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.response import StreamingBody
from botocore.stub import Stubber
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.lambdas.fake_codecommit import MB, git_blob, zipped

GOOD = zipped({"a.py": b"print(1)\n", "b/c.sh": b"#!/bin/sh\n"}, ("b/c.sh",))


@pytest.fixture
def seeds(load: Callable[[str, str], ModuleType]) -> Any:
    return load("platform_code", "seeds")


def made(members: Iterable[tuple[str, bytes, int]], method: int = zipfile.ZIP_STORED) -> bytes:
    """Zip members of a name, a content and a Unix mode."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, content, mode in members:
            info = zipfile.ZipInfo("x" * len(name.encode()))
            info.external_attr, info.compress_type, info.create_system = mode << 16, method, 3
            info.filename = name
            target.writestr(info, content)
    return buffer.getvalue()


class TestGood:
    def test_files_with_git_s_ids_and_modes(self, seeds: Any) -> None:
        seed = seeds.check(GOOD, "seed")
        assert seed.files == {
            "a.py": seeds.File(git_blob(b"print(1)\n"), "NORMAL", 9),
            "b/c.sh": seeds.File(git_blob(b"#!/bin/sh\n"), "EXECUTABLE", 10),
        }
        assert seed.content("b/c.sh") == b"#!/bin/sh\n"

    def test_the_id_of_git_s_own_page(self, seeds: Any) -> None:
        # https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
        assert seeds.blob_id(b"what is up, doc?") == "bd9dbf5aae1a3862dd1526723246b20206e5fc37"

    def test_deflated_and_with_folders(self, seeds: Any) -> None:
        data = made([("b/", b"", stat.S_IFDIR | 0o755), ("b/c", b"x" * 999, 0o644)], zipfile.ZIP_DEFLATED)
        assert list(seeds.check(data, "seed").files) == ["b/c"]

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.dictionaries(st.sampled_from(["a", "b/c", "b/d", "ä/ß.py", "e f"]), st.binary(min_size=1), min_size=1))
    def test_any_contents(self, seeds: Any, files: dict[str, bytes]) -> None:
        seed = seeds.check(zipped(files), "seed")
        assert {path: seed.content(path) for path in seed.files} == files
        assert {path: file.blob for path, file in seed.files.items()} == {p: git_blob(c) for p, c in files.items()}


class TestHostile:
    def _refused(self, seeds: Any, data: bytes) -> str:
        with pytest.raises(seeds.BadSeed) as caught:
            seeds.check(data, "s3://bucket/seed.zip")
        text = str(caught.value)
        assert text.startswith("s3://bucket/seed.zip ")
        assert text.endswith(": publish a new version whose seed holds plain files only.")
        assert len(text) < 400
        return text

    @pytest.mark.parametrize(
        "path",
        [
            "../main",
            "a/../../b",
            "a/..",
            "./a",
            "a/./b",
            "/etc/passwd",
            "//a",
            "a//b",
            "C:/windows",
            "C:\\windows",
            "a\\..\\b",
            ".git/hooks/post-checkout",
            "a/.GIT/config",
            "a\nb",
            "a\x1b[31m",
            "a\x00b",
            "a" * 4097,
            "/".join("abcdefghijklmnopqrstu"),
        ],
    )
    def test_paths(self, seeds: Any, path: str) -> None:
        assert "leads elsewhere or which CodeCommit refuses" in self._refused(seeds, made([(path, b"x", 0o644)]))

    @pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK, stat.S_IFDIR])
    def test_what_is_no_plain_file(self, seeds: Any, kind: int) -> None:
        assert "holds a, which is a link or no plain file" in self._refused(seeds, made([("a", b"/etc", kind | 0o777)]))

    @pytest.mark.parametrize(("size", "told"), [(6 * MB + 1, "too large"), (0, "empty")])
    def test_sizes(self, seeds: Any, size: int, told: str) -> None:
        assert told in self._refused(seeds, made([("a", b"0" * size, 0o644)], zipfile.ZIP_DEFLATED))

    def test_the_largest_file(self, seeds: Any) -> None:
        data = made([("a", b"0" * 6 * MB, 0o644)], zipfile.ZIP_DEFLATED)
        assert seeds.check(data, "seed").files["a"].size == 6 * MB

    def test_many_large_files(self, seeds: Any) -> None:
        data = made([(f"f{number}", b"0" * 5 * MB, 0o644) for number in range(9)], zipfile.ZIP_DEFLATED)
        assert len(data) < MB
        assert "holds f8, which is too large, or all files together are" in self._refused(seeds, data)

    def test_a_size_that_is_a_lie(self, seeds: Any) -> None:
        data = bytearray(made([("a", b"0" * 20 * MB, 0o644)], zipfile.ZIP_DEFLATED))
        at = data.index(b"PK\x01\x02") + 24  # the size in the directory of the zip
        data[at : at + 4] = struct.pack("<I", 10)
        self._refused(seeds, bytes(data))

    def test_too_many_files(self, seeds: Any) -> None:
        data = made((f"f{number}", b"x", 0o644) for number in range(2001))
        assert "holds 2001 files, not 1 to 2000" in self._refused(seeds, data)

    def test_no_file(self, seeds: Any) -> None:
        assert "holds 0 files" in self._refused(seeds, made([("a/", b"", 0o755)]))

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_a_file_twice(self, seeds: Any) -> None:
        assert "holds a twice" in self._refused(seeds, made([("a", b"1", 0o644), ("a", b"2", 0o644)]))

    def test_a_file_that_is_a_folder_too(self, seeds: Any) -> None:
        data = made([("a", b"1", 0o644), ("a/b/c", b"2", 0o644)])
        assert "holds a as a file and as a folder" in self._refused(seeds, data)

    @pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_other_compressions(self, seeds: Any, method: int) -> None:
        assert "in a way that is not supported" in self._refused(seeds, made([("a", b"x", 0o644)], method))

    def test_an_encrypted_file(self, seeds: Any) -> None:
        data = bytearray(made([("a", b"x", 0o644)]))
        data[data.index(b"PK\x01\x02") + 8] |= 1
        assert "encrypted" in self._refused(seeds, bytes(data))

    def test_a_changed_byte(self, seeds: Any) -> None:
        data = made([("a", b"content", 0o644)]).replace(b"content", b"c0ntent")
        assert "holds a, which is broken" in self._refused(seeds, data)

    @pytest.mark.parametrize("data", [b"", b"PK", b"<html>", GOOD[:-30], GOOD[: len(GOOD) // 2]])
    def test_what_is_no_zip(self, seeds: Any, data: bytes) -> None:
        assert "is no zip" in self._refused(seeds, data)

    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=4))
    def test_any_damage_is_one_error_or_none(self, seeds: Any, damage: list[tuple[int, int]]) -> None:
        data = bytearray(GOOD)
        for place, byte in damage:
            data[place] = byte
        try:
            seed = seeds.check(bytes(data), "seed")
        except seeds.BadSeed:
            return
        assert all(git_blob(seed.content(path)) == file.blob for path, file in seed.files.items())


class TestFetch:
    @pytest.fixture
    def client(self, load: Callable[[str, str], ModuleType]) -> Any:
        return load("platform_code", "handler").S3

    def test_a_zip_that_is_too_large_is_not_read_to_its_end(self, seeds: Any, client: Any) -> None:
        body = io.BytesIO(b"0" * 11 * MB)
        with Stubber(client) as stub:
            stub.add_response(
                "get_object", {"Body": StreamingBody(body, 11 * MB)}, {"Bucket": "assets", "Key": "s.zip"}
            )
            body_end = 10 * MB + 1
            with pytest.raises(seeds.BadSeed, match=r"^s3://assets/s.zip is larger than 10485760 bytes: publish"):
                body.close = lambda: None  # type: ignore[method-assign]
                seeds.fetch(client, "assets", "s.zip")
            assert body.tell() == body_end

    def test_reading_that_breaks_off(self, seeds: Any, client: Any) -> None:
        class Broken(io.BytesIO):
            def read(self, *_: Any) -> bytes:
                raise ReadTimeoutError(endpoint_url="https://s3")

        with Stubber(client) as stub:
            stub.add_response("get_object", {"Body": StreamingBody(Broken(), 5)}, {"Bucket": "assets", "Key": "s.zip"})
            with pytest.raises(seeds.Unreadable, match=r"can't be read \(ReadTimeoutError: .*allow s3:GetObject\.$"):
                seeds.fetch(client, "assets", "s.zip")

    @pytest.mark.parametrize("code", ["AccessDenied", "NoSuchBucket", "SlowDown"])
    def test_what_s3_refuses(self, seeds: Any, client: Any, code: str) -> None:
        with Stubber(client) as stub:
            stub.add_client_error("get_object", code, "no", 403)
            with pytest.raises(seeds.Unreadable, match=rf"^s3://assets/s.zip can't be read \({code}: no\): check that"):
                seeds.fetch(client, "assets", "s.zip")
