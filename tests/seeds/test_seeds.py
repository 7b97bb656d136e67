"""What a project begins with, by framework: its tests pass in a copy of it, it does what its configuration says, and it needs no
more than AWS's images hold.

Run in an environment with what the frameworks need. The folder is the list: a new framework is tested by no new file here."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from sklearn import metrics

SEEDS = Path(__file__).resolve().parents[2] / "seedcode-repo"
FRAMEWORKS = sorted(path.parent.name for path in SEEDS.glob("*/model_config.yaml"))
PROBLEMS = ("binary_classification", "multiclass_classification", "regression")
# Where a section names a file of the repository.
FILES = ("entrypoint", "dependencies", "test_script")
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".pytest_cache", ".ipynb_checkpoints", "build", "data")
# What a data scientist's code may import, by framework: of the requirements of the images, what the seeds use.
# https://github.com/aws/sagemaker-scikit-learn-container, branch release-1.4-2-py312: Python 3.12, numpy 2.1.0, pandas 2.3.2,
# scikit-learn 1.4.2; https://github.com/aws/sagemaker-xgboost-container, tag v3.0-5: Python 3.10, numpy 2.1.0, pandas 2.2.3,
# scikit-learn 1.5.2, xgboost 3.0.5; https://github.com/aws/sagemaker-spark-container: pyspark with its own py4j.
HELD = {
    "sklearn": {"joblib", "numpy", "pandas", "scipy", "sklearn"},
    "xgboost": {"joblib", "numpy", "pandas", "scipy", "sklearn", "xgboost"},
    "pyspark": {"py4j", "pyspark"},
}
# The oldest Python of these images reads the code.
OLDEST = (3, 10)
# Of each framework the same file: what is mended in one is mended in all.
SHARED = (
    ".gitignore",
    "pytest.ini",
    "preprocess/preprocess.py",
    "train/sets.py",
    "train/report.py",
    "notebooks/*",
    "tests/test_preprocess.py",
    "tests/test_train.py",
    "tests/test_inference.py",
    "tests/test_drift.py",
)


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give the environment of a first day: nothing of this project on the path. Bytecode is kept beside, once for all."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "SM_", "MLFLOW_"))
    }
    return kept | {"PYTHONPYCACHEPREFIX": str(tmp_path_factory.mktemp("bytecode"))}


@pytest.fixture(params=FRAMEWORKS)
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Give a copy of a framework's folder, as a project's repository would hold it."""
    copy = tmp_path / str(request.param)
    shutil.copytree(SEEDS / str(request.param), copy, ignore=LEFT_OUT)
    return copy


@pytest.fixture
def configuration(repository: Path) -> dict[str, Any]:
    """Read the configuration file."""
    return dict(yaml.safe_load((repository / "model_config.yaml").read_text()))


class Run:
    """The steps of a pipeline, run by their scripts one after the other as the configuration says."""

    def __init__(
        self, repository: Path, configuration: dict[str, Any], environment: dict[str, str], problem_type: str
    ) -> None:
        self.repository, self.config, self.environment = repository, configuration, environment
        self.build = repository / "build"
        self.what = ["--problem-type", problem_type, "--target", configuration["data_config"]["target"]]

    def script(self, section: str, *words: str, given: str = "") -> str:
        """Run the entry point of a section; what it prints counts, a warning does not pass."""
        command = [sys.executable, "-W", "error", self.config[section]["entrypoint"], *words]
        done = subprocess.run(
            command, cwd=self.repository, env=self.environment, input=given, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def preprocess(self, *words: str) -> None:
        place = ["--input", str(self.repository / "data"), "--output", str(self.build)]
        self.script("preprocess_config", *place, *self.what, *words)

    def train(self, **changes: object) -> str:
        options = self.config["train_config"]["hyperparameters"] | changes
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        places = [f"--{name}={self.build / name}" for name in ("train", "validation")] + [
            f"--model-dir={self.build / 'model'}"
        ]
        return self.script("train_config", *places, *self.what, *words)

    def answers(self) -> pd.DataFrame:
        """Ask for the batch, and put the answers beside what is true."""
        given = (self.build / "batch" / "batch.csv").read_text()
        lines = self.script("inference_config", str(self.build / "model"), given=given).splitlines()
        test = pd.read_csv(self.build / "test" / "test.csv")
        assert len(lines) == len(test)
        found = pd.DataFrame([line.split(",") for line in lines]).astype("float64")
        return found.assign(true=test[self.config["data_config"]["target"]])


def measured(found: pd.DataFrame, metric: str) -> float:
    """Measure answers by the metric of a gate, without the seed's own code."""
    if metric == "auc":
        return float(metrics.roc_auc_score(found["true"], found[2]))
    if metric == "weighted_f1":
        return float(metrics.f1_score(found["true"], found[0].astype(int), average="weighted"))
    assert metric == "rmse"
    return float(metrics.mean_squared_error(found["true"], found[0]) ** 0.5)


def passes(gate: dict[str, Any], value: float) -> bool:
    """Tell whether a model passes a gate."""
    threshold = float(gate["threshold"])
    return {"GreaterThanOrEqualTo": value >= threshold, "LessThanOrEqualTo": value <= threshold}[gate["comparison"]]


def test_the_frameworks_are_there() -> None:
    assert {"sklearn", "xgboost"} <= set(FRAMEWORKS)


def test_its_own_tests_pass(repository: Path, environment: dict[str, str]) -> None:
    # A warning is no noise to get used to.
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout and "skipped" not in done.stdout


def test_the_configuration_names_files_that_exist(repository: Path, configuration: dict[str, Any]) -> None:
    # Its form is the business of mlops_cicd.config, whose tests load the seeds'.
    assert configuration["version"] == 1 and configuration["data_config"]["inputs"] == {"data": "sample"}
    named = {
        f"{section}.{name}": value[name]
        for section, value in configuration.items()
        for name in FILES
        if isinstance(value, dict) and name in value
    }
    assert {"preprocess_config.entrypoint", "train_config.entrypoint", "inference_config.entrypoint"} <= named.keys()
    assert {name: path for name, path in named.items() if not (repository / path).is_file()} == {}


def test_every_value_of_the_configuration_is_explained(repository: Path) -> None:
    lines = (repository / "model_config.yaml").read_text().splitlines()
    plain = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if re.match(r"\s*(- )?\w+: +[^ #]", line) and "#" not in line and "#" not in before
    ]
    assert plain == []


@pytest.mark.parametrize("problem_type", PROBLEMS)
def test_a_model_passes_its_gate_whatever_the_seed(
    repository: Path, configuration: dict[str, Any], environment: dict[str, str], problem_type: str
) -> None:
    run = Run(repository, configuration, environment, problem_type)
    gate = configuration["quality_gate"][problem_type]
    took, values = [], []
    for seed in (42, 3):
        run.preprocess("--seed", str(seed))
        began = time.monotonic()
        printed = run.train(seed=seed)
        took.append(time.monotonic() - began)
        values.append(measured(run.answers(), gate["metric"]))
    assert [value for value in values if not passes(gate, value)] == []
    assert min(took) < 20, "training of the sample takes too long for a first impression"
    # SageMaker finds the gate's own metric in the log, as measured on the validation set.
    regex = next(
        one["Regex"]
        for one in configuration["train_config"]["metric_definitions"]
        if one["Name"].endswith(gate["metric"])
    )
    assert len(re.findall(regex, printed)) == 1


@pytest.mark.parametrize("problem_type", PROBLEMS)
def test_a_model_that_learned_nothing_does_not_pass(
    repository: Path, configuration: dict[str, Any], environment: dict[str, str], problem_type: str
) -> None:
    run = Run(repository, configuration, environment, problem_type)
    run.preprocess()
    for name in ("train", "validation"):
        path = run.build / name / f"{name}.csv"
        rows = pd.read_csv(path)
        rows["target"] = rows["target"].sample(frac=1, random_state=5, ignore_index=True)
        rows.to_csv(path, index=False)
    run.train()
    gate = configuration["quality_gate"][problem_type]
    assert not passes(gate, measured(run.answers(), gate["metric"]))


def test_the_model_card_is_what_the_platform_reads(
    repository: Path, configuration: dict[str, Any], environment: dict[str, str]
) -> None:
    run = Run(repository, configuration, environment, "multiclass_classification")
    run.preprocess()
    run.train()
    card = json.loads((run.build / "model" / "model_card.json").read_text())
    header = (run.build / "test" / "test.csv").read_text().splitlines()[0].split(",")
    assert (card["problem_type"], card["target"], card["classes"]) == ("multiclass_classification", "target", [0, 1, 2])
    assert card["features"] == header[1:]


def test_its_code_imports_what_the_images_hold(repository: Path, configuration: dict[str, Any]) -> None:
    for section in ("preprocess", "train", "inference"):
        framework = configuration["preprocess_config" if section == "preprocess" else "train_config"]["framework"]
        own = {path.stem for path in (repository / section).glob("*.py")}
        for path in (repository / section).glob("*.py"):
            held = HELD["pyspark" if path.stem.endswith("_spark") else framework]
            # Imported where it is used, and missed with a word: see report.py.
            optional = {"mlflow"} if path.stem == "report" else set()
            tree = ast.parse(path.read_text(), feature_version=OLDEST)
            assert imported(tree) <= held | own | optional | set(sys.stdlib_module_names), path.name


def imported(tree: ast.Module) -> set[str]:
    """Name the packages that code imports."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {one.name.split(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("pattern", SHARED)
def test_what_the_frameworks_share_is_the_same_file(pattern: str) -> None:
    found = {
        framework: {
            path.name: path.read_text()
            for path in sorted((SEEDS / framework).glob(pattern))
            if path.is_file() and not path.name.startswith(".ipynb")
        }
        for framework in FRAMEWORKS
    }
    assert all(files and files == found[FRAMEWORKS[0]] for files in found.values())


def test_serving_differs_in_how_a_model_is_loaded_and_asked_alone() -> None:
    def parts(framework: str) -> dict[str, str]:
        tree = ast.parse((SEEDS / framework / "inference" / "inference.py").read_text())
        named = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
        return {node.name: ast.dump(node) for node in named if node.name not in ("load", "answers")}

    assert all(parts(framework) == parts(FRAMEWORKS[0]) for framework in FRAMEWORKS)


def test_it_is_explained_and_fits_a_first_commit(repository: Path) -> None:
    assert (repository / "README.md").is_file() and (repository / "tests").is_dir()
    files = [path for path in repository.rglob("*") if path.is_file()]
    # https://docs.aws.amazon.com/codecommit/latest/userguide/limits.html: 100 files in a commit.
    assert len(files) < 99
    for path in files:
        assert path.read_text(encoding="utf-8").strip(), f"{path.name} is empty, which CodeCommit refuses"
