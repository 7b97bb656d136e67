"""Zips: the same bits on every machine, and functions that find all they import inside."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from generators.kit.publishing import ROOT
from generators.kit.registry import rendered
from tools.publish.functions import LIBRARY, LOCK, function_zips, library_files, pinned
from tools.publish.zips import Member, archive

FUNCTIONS = sorted(path.name for path in (ROOT / "lambdas").iterdir() if path.is_dir() and path.name[0] not in "_.")


def test_an_archive_has_known_bits() -> None:
    members = {"b/run.sh": Member(b"#!/bin/sh\n", executable=True), "a.txt": Member(b"line\nline\n")}
    data = archive(members)
    # Written down once: any machine, time, time zone, Python or zlib must arrive at the same.
    assert hashlib.sha256(data).hexdigest() == "2bc6090c5bf0b455a6889891760865e2a92114e8cf2eea4f0c4fe05ee16cc166"
    assert archive(dict(reversed(members.items()))) == data
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert found.namelist() == ["a.txt", "b/run.sh"]
        assert [info.external_attr >> 16 & 0o777 for info in found.infolist()] == [0o644, 0o755]
        assert {info.compress_type for info in found.infolist()} == {zipfile.ZIP_STORED}
        assert found.read("a.txt") == b"line\nline\n"


def test_function_zips_do_not_depend_on_times(tmp_path: Path) -> None:
    folder = tmp_path / "lambdas" / "one"
    folder.mkdir(parents=True)
    (folder / "handler.py").write_text('"""Answer."""\n')
    first = function_zips([], tmp_path)
    os.utime(folder / "handler.py", (1_000_000_000, 1_000_000_000))
    assert function_zips([], tmp_path) == first


@pytest.fixture(scope="module")
def zips() -> dict[str, bytes]:
    """Give the project's own function zips."""
    problems: list[str] = []
    found = function_zips(problems)
    assert problems == []
    return found


def test_every_folder_is_a_function(zips: dict[str, bytes]) -> None:
    assert sorted(zips) == FUNCTIONS


def variables_of(name: str) -> list[str]:
    """Give the environment variables that the templates set for a function."""
    made = [resource["Properties"] for item in rendered() for resource in item.body["Resources"].values()
            if resource["Type"] == "AWS::Lambda::Function"]  # fmt: skip
    (function,) = [properties for properties in made if properties["Code"]["S3Key"].endswith(f"/{name}.zip")]
    return [name for name in function["Environment"]["Variables"] if not name.startswith("POWERTOOLS")]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_finds_its_imports_in_its_zip(name: str, zips: dict[str, bytes], tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(zips[name])) as found:
        found.extractall(tmp_path)
    # Lambda's runtime brings boto3 alone; the zip stands before all else on the path, as it does there.
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import handler, jmespath, typing_extensions, aws_lambda_powertools\n"
        "assert callable(handler.handler)\n"
        "for module in list(sys.modules.values()):\n"
        "    file = getattr(module, '__file__', None) or ''\n"
        "    if 'site-packages' in file: print(module.__name__.split('.')[0])\n"
    )
    environment = {"PATH": os.environ["PATH"], "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"}
    environment |= dict.fromkeys(variables_of(name), "x")
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    runtime = {"boto3", "botocore", "s3transfer", "dateutil", "six", "urllib3", "jmespath"}
    assert set(done.stdout.split()) <= runtime | {"_distutils_hack", "certifi", "distutils"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_zip_holds_nothing_of_this_machine(name: str, zips: dict[str, bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(zips[name])) as found:
        names = found.namelist()
    assert "handler.py" in names and any(name.endswith("licenses/LICENSE") for name in names)
    left_out = {"INSTALLER", "REQUESTED", "RECORD", "direct_url.json", "WHEEL"}
    assert not [name for name in names if name.rsplit("/", 1)[-1] in left_out]
    assert not [
        name for name in names if name.endswith((".pyc", "/")) or name.startswith((".", "/")) or "swagger_ui" in name
    ]


def test_the_lock_pins_the_library() -> None:
    assert pinned(LOCK)[LIBRARY].count(".") == 2


def test_a_version_that_the_lock_does_not_pin_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "main.txt"
    lock.write_text(LOCK.read_text().replace(f"{LIBRARY}=={pinned(LOCK)[LIBRARY]}", f"{LIBRARY}==0.0.1"))
    problems: list[str] = []
    library_files(problems, lock=lock)
    assert len(problems) == 1 and "main.txt pins 0.0.1" in problems[0] and "remove the folder .venv" in problems[0]


def test_a_library_that_is_not_installed_is_named() -> None:
    problems: list[str] = []
    assert library_files(problems, name="no-such-library") == {}
    assert problems == ["no-such-library is not installed in .venv: remove the folder .venv, ./inv makes it again"]


@pytest.fixture
def fake_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a distribution by hand, with all that installers leave beside what the wheel held."""
    info = tmp_path / "site" / "fake_library-1.0.dist-info"
    (info / "licenses").mkdir(parents=True)
    files = {
        "fake_library.py": "WORD = 1\n",
        "__pycache__/fake_library.pyc": "compiled",
        "../bin/fake": "#!/this/machine/python\n",
        f"{info.name}/METADATA": "Metadata-Version: 2.1\nName: fake-library\nVersion: 1.0\n",
        f"{info.name}/licenses/LICENSE": "free",
        f"{info.name}/INSTALLER": "someone",
        f"{info.name}/direct_url.json": "{}",
    }
    rows = []
    for name, text in files.items():
        path = info.parent / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(text)}")
    (info / "RECORD").write_text("\n".join([*rows, f"{info.name}/RECORD,,"]) + "\n")
    (tmp_path / "main.txt").write_text("fake-library==1.0\n")
    monkeypatch.syspath_prepend(info.parent)
    return tmp_path


def test_only_what_the_wheel_brought_is_taken(fake_library: Path) -> None:
    problems: list[str] = []
    found = library_files(problems, "fake-library", fake_library / "main.txt")
    assert problems == []
    info = "fake_library-1.0.dist-info"
    assert sorted(found) == [f"{info}/METADATA", f"{info}/licenses/LICENSE", "fake_library.py"]


def test_an_edited_library_is_refused(fake_library: Path) -> None:
    (fake_library / "site" / "fake_library.py").write_text("WORD = 2\n")
    problems: list[str] = []
    library_files(problems, "fake-library", fake_library / "main.txt")
    assert len(problems) == 1 and "fake_library.py is not as its wheel brought it" in problems[0]


def test_a_function_without_handler_or_with_a_hiding_module_is_refused(tmp_path: Path) -> None:
    for name in ("_shared/common.py", "one/common.py", "one/jmespath.py"):
        path = tmp_path / "lambdas" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('"""Something."""\n')
    problems: list[str] = []
    function_zips(problems, tmp_path)
    assert problems == [
        "lambdas/one has no handler.py: write it, or remove the folder",
        "lambdas/one/common.py hides a module of the same name in its zip: rename it",
        "lambdas/one/jmespath.py hides a module of the same name in its zip: rename it",
    ]
