"""The README of a seed: each of its commands is run, in order, in a clone of a repository that begins with it.

What stands in a block marked "run elsewhere" needs the library, and is run in its own tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

SEEDS = Path(__file__).resolve().parents[2] / "seedcode-repo"
FRAMEWORKS = sorted(path.parent.name for path in SEEDS.glob("*/model_config.yaml"))
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".pytest_cache", ".ipynb_checkpoints", "build", "data")
BLOCK = re.compile(
    r"^(?P<indent> *)(?:<!-- run elsewhere: (?P<elsewhere>[^>]*?) -->\n *)?```[^\n]*\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
PROJECT = "churn"


@dataclass(frozen=True)
class Block:
    """Commands of a README, and who runs them: this test when it says nothing."""

    commands: list[str]
    elsewhere: str


def blocks(framework: str) -> list[Block]:
    """Read the blocks of commands in their order."""
    text = (SEEDS / framework / "README.md").read_text()
    found = [
        Block([line.strip() for line in one["text"].splitlines() if line.strip()], one["elsewhere"] or "")
        for one in BLOCK.finditer(text)
    ]
    assert text.count("```") == 2 * len(found), "a fence that is not closed, or not at the beginning of a line"
    return found


def git(folder: Path, *words: str) -> str:
    """Run git, and give what it says."""
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def home(framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a home with a clone of a project's repository, as a space of Studio has it."""
    for name in [name for name in os.environ if name.startswith(("PYTHON", "PYTEST", "GIT_", "SM_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "bytecode"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for name, value in {"user.name": "Ada", "user.email": "ada@studio.invalid", "init.defaultBranch": "main"}.items():
        git(tmp_path, "config", "--global", name, value)
    first, there = tmp_path / "first", tmp_path / "there.git"
    shutil.copytree(SEEDS / framework, first, ignore=LEFT_OUT)
    git(first, "init")
    git(first, "add", "--all")
    git(first, "commit", "--message", "seed")
    git(tmp_path, "clone", "--bare", str(first), str(there))
    git(tmp_path, "clone", str(there), PROJECT)
    return tmp_path


def test_every_command_runs_in_its_order(framework: str, home: Path) -> None:
    commands = [
        line.replace("PROJECT", PROJECT)
        for block in blocks(framework)
        if not block.elsewhere
        for line in block.commands
    ]
    # One shell for all, as one terminal: it stops at the first that fails.
    script = "\n".join(["set -euo pipefail", *(f'echo "$ "{shown(line)}\n{line}' for line in commands)])
    done = subprocess.run(["bash", "-c", script], cwd=home, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    said = dict(zip(commands, re.split(r"^\$ .*\n", done.stdout, flags=re.MULTILINE)[1:], strict=True))
    assert " passed" in said["python -m pytest"]
    answers = next(part for line, part in said.items() if "inference.py" in line).splitlines()
    assert len(answers) == 3 and all(re.fullmatch(r"[01],[\d.e-]+,[\d.e-]+", line) for line in answers)
    assert sum("the model is in build/model" in part for part in said.values()) == 2
    # The push arrived, with nothing of what was made along the way.
    there = home / "there.git"
    assert git(there, "log", "-1", "--format=%s", "main") == "Our first model"
    assert git(there, "ls-tree", "-r", "--name-only", "main") == git(there, "ls-tree", "-r", "--name-only", "main~1")


def shown(line: str) -> str:
    """Quote a line for a shell."""
    return "'" + line.replace("'", "'\\''") + "'"


def test_the_first_day_is_whole(framework: str) -> None:
    """From tests to a push, with the whole pipeline on this machine before it."""
    order = [line for block in blocks(framework) for line in block.commands]
    steps = ["cd ~/PROJECT", "python -m pytest", "preprocess.py", "train.py", "inference.py", "./inv local", "git push"]
    places = [next(place for place, line in enumerate(order) if step in line) for step in steps]
    assert places == sorted(places)
    assert [block.elsewhere for block in blocks(framework) if "./inv" in block.commands[0]] == ["inv local"]


def test_every_file_that_it_names_is_there(framework: str) -> None:
    text = (SEEDS / framework / "README.md").read_text()
    named = set(re.findall(r"`((?:preprocess|train|inference|notebooks|tests)/[\w./-]*)`", text)) | {
        "model_config.yaml"
    }
    # What preprocessing writes is named like a set's folder.
    written = {f"{name}/{name}.csv" for name in ("train", "validation", "test")}
    assert {name for name in named - written if not (SEEDS / framework / name).exists()} == set()
