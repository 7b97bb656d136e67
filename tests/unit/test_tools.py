"""Facts about the starter, the stale check and README's tables."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from generators.kit.publishing import ROOT
from generators.kit.registry import rendered
from tools import build, documents, environments
from tools.errors import Problems

README = (ROOT / "README.md").read_text(encoding="utf-8")


def inv(*words: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.cli", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, **environment})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("buidl",), "Did you mean 'build'?"),
        (("build", "--nope"), "--nope"),
        (("serve", "--port", "abc"), "does not fit"),
        (("serve", "--port", "70000"), "70000"),
        (("links",), "--bucket-prefix PREFIX"),
        (("links", "--bucket-prefix", "Not A Bucket"), "Not A Bucket"),
        (("publish", "--regions", "mars-1"), "mars-1"),
        (("engine", "--regions", "mars-1"), "mars-1"),
    ],
)
def test_a_wrong_word_is_answered_with_a_sentence(words: tuple[str, ...], said: str) -> None:
    done = inv(*words)
    assert done.returncode not in (0, None)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Give a copy of what the starter needs."""
    shutil.copy(ROOT / "inv", tmp_path)
    for folder in ("tools", "generators"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("tasks.py", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path)
    return tmp_path


@pytest.mark.parametrize("broken", ['[project]\nversion = "v1"\n', "[project\n"])
def test_a_broken_version_is_said(copy: Path, broken: str) -> None:
    (copy / "pyproject.toml").write_text(broken)
    done = inv("--list", cwd=copy)
    assert done.returncode != 0
    assert "pyproject.toml" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_starter_refuses_an_old_python(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    shutil.copy(ROOT / "inv", tmp_path)
    done = subprocess.run(
        [str(tmp_path / "inv")], capture_output=True, text=True, env={**os.environ, "INV_PYTHON": str(old)}
    )
    assert done.returncode == 1
    assert f"no Python 3.11 or newer found at {old}" in done.stderr


def test_the_starter_makes_its_environment_anew_when_the_interpreter_is_gone(tmp_path: Path) -> None:
    """The lock is there and unchanged, the interpreter is not: it must be made again, here by a stand-in that says so."""
    shutil.copy(ROOT / "inv", tmp_path)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "main.txt").write_text("x\n")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / ".lock").write_text("x\n")
    (tmp_path / ".venv" / "bin" / "python").symlink_to("/nonexistent")
    maker = tmp_path / "maker"
    maker.write_text('#!/bin/sh\ncase "$1" in -c) exit 0 ;; *) echo "making $*" >&2; exit 3 ;; esac\n')
    maker.chmod(0o755)
    environment = {**os.environ, "INV_PYTHON": str(maker)}
    done = subprocess.run([str(tmp_path / "inv")], capture_output=True, text=True, env=environment)
    assert "making -m tools.environments main" in done.stderr
    assert done.returncode == 3


def test_what_somebody_wrote_by_hand_is_never_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "ROOT", tmp_path)
    (tmp_path / "templates").mkdir()
    (tmp_path / "docs" / "reference" / "sub").mkdir(parents=True)
    (tmp_path / "templates" / "old.yaml").write_text("# Rendered from generators/old.py by `inv build`.\n")
    assert [path.name for path in build._orphans({})] == ["old.yaml"]
    (tmp_path / "docs" / "reference" / "sub" / "notes.md").write_text("mine\n")
    with pytest.raises(Problems, match=r"notes\.md was written by hand"):
        build._orphans({})
    assert (tmp_path / "docs" / "reference" / "sub" / "notes.md").is_file()


@pytest.mark.parametrize(
    "text",
    [
        README.replace("<!-- /rendered -->", "", 1),
        README.replace("<!-- rendered: launch -->", ""),
        README.replace("rendered: launch", "rendered: lunch"),
    ],
)
def test_broken_markers_swallow_nothing(text: str) -> None:
    with pytest.raises(documents.BrokenMarkers, match="launch, templates, quantities"):
        documents.readme(text, rendered())


def test_an_environment_says_what_is_missing() -> None:
    assert "python3-venv" in str(environments.EnvironmentFailed("main", "ensurepip is not available"))
    assert "writable" in str(environments.EnvironmentFailed("main", "[Errno 13] Permission denied: '.venv'"))
    assert "package index" in str(environments.EnvironmentFailed("main", "no matching distribution"))
