"""What the tests of the steps share: a job's folder, programs as a project writes them, and real models."""

from __future__ import annotations

import csv
import importlib
import io
import json
import pickle
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

STEPS = Path(__file__).resolve().parents[2] / "mlops-cicd" / "steps"

# As a project's own: scikit-learn, the four functions, text/csv both ways.
SKLEARN_PROGRAM = """
import io, pickle
from pathlib import Path
import numpy as np

def model_fn(model_dir):
    print("a program may print")
    return pickle.loads((Path(model_dir) / "model.pkl").read_bytes())

def input_fn(body, content_type):
    assert content_type == "text/csv" and isinstance(body, str)
    return np.loadtxt(io.StringIO(body), delimiter=",", ndmin=2)

def predict_fn(data, model):
    labels = model.predict(data)
    if not hasattr(model, "predict_proba"):
        return [[label] for label in labels]
    return [[label, *row] for label, row in zip(labels, model.predict_proba(data))]

def output_fn(prediction, accept):
    return "\\n".join(",".join(map(str, row)) for row in prediction), accept
"""

# Answers by rule, with no package: y = 2 * first feature; of two classes, "1" when the first feature is above 0.
RULE = """
import os, sys, time, csv, io
def model_fn(model_dir):
    return "{kind}"
def input_fn(body, content_type):
    return [[float(x) if x else float("nan") for x in row] for row in csv.reader(io.StringIO(body))]
def predict_fn(data, model):
    if model == "regression":
        return [f"{{2 * row[0]}}" for row in data]
    return [f"{{int(row[0] > 0)}},{{0.2 if row[0] > 0 else 0.9}},{{0.8 if row[0] > 0 else 0.1}}" for row in data]
def output_fn(prediction, accept):
    return "\\n".join(prediction)
"""


def rule(kind: str) -> str:
    """Give the program of the rule."""
    return RULE.format(kind=kind)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the steps' modules importable, and forget them afterwards: their names are everybody's."""
    monkeypatch.syspath_prepend(str(STEPS))
    own = {path.stem for path in STEPS.glob("*.py")}
    before = {name: sys.modules.pop(name) for name in own & sys.modules.keys()}
    yield
    for name in own & sys.modules.keys():
        del sys.modules[name]
    sys.modules.update(before)


def table(rows: Sequence[Sequence[Any]], header: Sequence[str] | None = None) -> str:
    """Write a table as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows] if header else rows)
    return text.getvalue()


@dataclass(frozen=True)
class Ended:
    """How a step ended."""

    returncode: int
    stdout: str
    stderr: str


@dataclass
class Job:
    """A processing job's folder, and how to run a step in it."""

    root: Path
    captured: pytest.CaptureFixture[str]
    problem_type: str = "regression"

    def put(self, path: str, text: str) -> None:
        """Write an input file."""
        where = self.root / "processing" / "input" / path
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(text)

    def model(
        self,
        features: Sequence[str],
        classes: Sequence[Any] | None,
        program: str,
        estimator: Any = None,
        more: Mapping[str, str] | None = None,
        card: Mapping[str, Any] | None = None,
    ) -> None:
        """Write model.tar.gz as the training driver leaves it."""
        said = {"problem_type": self.problem_type, "target": "y", "features": list(features), "classes": classes}
        files = {
            "model_card.json": json.dumps({**said, **(card or {})}).encode(),
            "code/inference.py": program.encode(),
        }
        files.update({name: text.encode() for name, text in (more or {}).items()})
        if estimator is not None:
            files["model.pkl"] = pickle.dumps(estimator)
        self.archive(lambda tar: [add(tar, name, content) for name, content in files.items()])

    def archive(self, write: Callable[[tarfile.TarFile], Any]) -> None:
        """Write model.tar.gz by hand."""
        path = self.root / "processing" / "input" / "model" / "model.tar.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w:gz") as tar:
            write(tar)

    def words(self, *more: str) -> list[str]:
        """Give the words that the pipeline gives a step."""
        return ["--problem-type", self.problem_type, "--target", "y", "--program", "inference.py", *more]

    def run(self, step: str, *more: str) -> Ended:
        """Run a step in this process, where scikit-learn is loaded already; a program runs in its own all the same."""
        self.captured.readouterr()
        code = importlib.import_module(step).main(self.words(*more))
        out, err = self.captured.readouterr()
        return Ended(code, out, err)

    def start(self, step: str, *more: str) -> Ended:
        """Run a step as SageMaker does."""
        command = [sys.executable, "-W", "error", str(STEPS / f"{step}.py"), *self.words(*more)]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=120)
        return Ended(done.returncode, done.stdout, done.stderr)

    def output(self, path: str) -> Any:
        """Read a JSON output."""
        return json.loads((self.root / "processing" / "output" / path).read_text(), parse_constant=pytest.fail)

    def written(self) -> list[str]:
        """Name all that the step wrote to its outputs, hidden files as well."""
        folder = self.root / "processing" / "output"
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

    def refused(self, step: str, *words: str) -> str:
        """Run a step that must refuse; give its message, which is the same on stderr and where SageMaker shows it."""
        done = self.run(step, *words)
        assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
        message = (self.root / "output" / "message").read_text()
        assert done.stderr.splitlines()[-1] == message
        assert message.startswith(f"{step}: ") and len(message.encode()) <= 1024
        assert self.written() == []
        return message


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
    """Add a member to an archive."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content)
    tar.addfile(info, io.BytesIO(content))


@pytest.fixture
def empty(tmp_path: Path, steps: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Job:
    """Give a job without inputs."""
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    return Job(tmp_path, capfd)


@pytest.fixture
def job(empty: Job) -> Job:
    """Give a job with a test set of a rule: y = 2 a, and the same features for batch."""
    made = empty
    made.put("test/test.csv", table([(2 * a, a, a * a) for a in range(-5, 5)], ("y", "a", "b")))
    made.model(("a", "b"), None, rule("regression"))
    return made


@pytest.fixture
def binary(empty: Job) -> Job:
    """Give a job of two classes whose rule is right for 8 of 10 rows."""
    made = empty
    made.problem_type = "binary_classification"
    rows = [(int(a > 0), a, 1) for a in (-4, -3, -2, -1, 1, 2, 3, 4)]
    made.put("test/test.csv", table([*rows, (1, -5, 1), (0, 5, 1)], ("y", "a", "b")))
    made.model(("a", "b"), [0, 1], rule("binary"))
    return made
