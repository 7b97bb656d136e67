"""The notebooks of a seed: clean as committed, and each runs from top to bottom in a kernel of its own.

boto3 is stood in for by fake_boto3.py, whose jobs run the seed's own scripts."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SEEDS = ROOT / "seedcode-repo"
FRAMEWORKS = sorted(path.parent.name for path in SEEDS.glob("*/model_config.yaml"))
NAMES = ("0_upload_data", "1_preprocess", "2_train", "3_monitor")
NOTEBOOKS = [SEEDS / framework / "notebooks" / f"{name}.ipynb" for framework in FRAMEWORKS for name in NAMES]
# What is made up in a cell is short enough to be read at a glance.
MOST_LINES = 40
SETTINGS = {
    "project_name": "churn",
    "project_id": "p-0123456789ab",
    "cost_center": "4711",
    "problem_type": "binary_classification",
    "project_bucket": "churn-p-0123456789ab",
    "project_kms": "arn:aws:kms:eu-south-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "project_role_arn": "arn:aws:iam::111122223333:role/mlops/churn/churn-project",
    "private_subnets": "subnet-0a1b2c3d,subnet-4e5f6a7b",
    "sg_compute": "sg-0123abcd",
    "max_runtime_seconds": "1800",
}


def named(path: Path) -> str:
    return f"{path.parts[-3]}-{path.stem}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_it_is_valid_clean_and_explained(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith("# ")
    for cell in notebook.cells:
        assert len(cell.source.splitlines()) <= MOST_LINES, cell.source
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None, "clear the outputs, then commit"
            ast.parse(cell.source)
    # Told before it is done: no three cells of code in a row.
    kinds = "".join(cell.cell_type[0] for cell in notebook.cells)
    assert "ccc" not in kinds


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_it_needs_no_more_than_every_image_of_studio_holds(path: Path) -> None:
    own = {
        one.stem
        for folder in ("notebooks", "preprocess", "inference")
        for one in (path.parents[1] / folder).glob("*.py")
    }
    held = {"boto3", "yaml", "pandas", "numpy"} | set(sys.stdlib_module_names) | own
    sources = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    sources += [one.read_text() for one in path.parent.glob("*.py")]
    assert {name for source in sources for name in imported(source)} <= held


def imported(source: str) -> set[str]:
    """Name the packages that code imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {one.name.split(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_facts_about_images_are_those_that_the_platform_goes_by(framework: str) -> None:
    facts = json.loads((SEEDS / framework / "notebooks" / "aws_images.json").read_text())
    config = yaml.safe_load((SEEDS / framework / "model_config.yaml").read_text())
    for section in ("preprocess_config", "train_config"):
        assert config[section]["framework_version"] in facts["frameworks"][config[section]["framework"]]["tags"]
    # In each region that the platform is offered in, its endpoints let the registry through.
    regions = json.loads((ROOT / "generators" / "kit" / "regions.json").read_text())["regions"]
    assert {name: facts["registries"][name] in one["registries"] for name, one in regions.items()} == dict.fromkeys(
        regions, True
    )
    assert facts["local_storage"] == [kind.split(".")[1] for kind in local_storage()]


def local_storage() -> tuple[str, ...]:
    """Read the instance types with local storage from the generators' own source, which needs more packages to import."""
    tree = ast.parse((ROOT / "generators" / "kit" / "rails.py").read_text())
    value = next(
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LOCAL_STORAGE"
    )
    return tuple(eval(compile(ast.Expression(value), "rails.py", "eval")))


class Space:
    """A space of Studio on this machine: a home, a clone of the seed, and an AWS that is a folder."""

    def __init__(self, framework: str, folder: Path, problem_type: str, patch: pytest.MonkeyPatch, cache: Path) -> None:
        self.repository, self.aws = folder / "home" / "churn", folder / "aws"
        left_out = shutil.ignore_patterns("__pycache__", ".pytest_cache", "build")
        shutil.copytree(SEEDS / framework, self.repository, ignore=left_out)
        settings = SETTINGS | {"problem_type": problem_type}
        # As the start script writes it: without the project's name, which is in the role's path.
        known: dict[str, object] = {
            name: settings[name] for name in ("project_bucket", "project_kms", "project_role_arn", "sg_compute")
        }
        known |= {"private_subnets": settings["private_subnets"].split(",")}
        (folder / "home" / ".project_params.yaml").write_text(yaml.safe_dump(known))
        (self.aws / "s3").mkdir(parents=True)
        (self.aws / "settings.json").write_text(json.dumps(settings))
        (folder / "instead").mkdir()
        shutil.copy(HERE / "fake_boto3.py", folder / "instead" / "boto3.py")
        values = {
            "HOME": folder / "home",
            "FAKE_AWS": self.aws,
            "PYTHONPATH": folder / "instead",
            "NOTEBOOK_POLL_SECONDS": "0.05",
            "IPYTHONDIR": folder / "ipython",
            "PYTHONPYCACHEPREFIX": cache,
        }
        for name, value in values.items():
            patch.setenv(name, str(value))
        for name in ("PYTHONDONTWRITEBYTECODE", "MLFLOW_TRACKING_URI", "SM_HOSTS"):
            patch.delenv(name, raising=False)

    def run(self, name: str) -> str:
        """Run a notebook from top to bottom, and give what it printed."""
        path = self.repository / "notebooks" / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(
            notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
        ).execute()
        return "".join(printed(cell) for cell in notebook.cells if cell.cell_type == "code")

    def objects(self) -> list[str]:
        root = self.aws / "s3" / SETTINGS["project_bucket"]
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def printed(cell: Any) -> str:
    """Give the text of a cell's outputs."""
    texts = [one.get("text") or one.get("data", {}).get("text/plain", "") for one in cell.outputs]
    return "\n".join(texts) + "\n"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep bytecode for all kernels and jobs of these tests, wherever the environment may not hold any."""
    return tmp_path_factory.mktemp("bytecode")


@pytest.mark.parametrize(
    ("framework", "problem_type"),
    [
        *((framework, "binary_classification") for framework in FRAMEWORKS),
        (FRAMEWORKS[0], "multiclass_classification"),
        (FRAMEWORKS[-1], "regression"),
    ],
)
def test_they_run_from_top_to_bottom(
    framework: str, problem_type: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    space = Space(framework, tmp_path, problem_type, monkeypatch, cache)
    assert "data/data.csv" in space.run("0_upload_data")
    assert space.objects() == ["data/data.csv"]

    assert ": Completed" in space.run("1_preprocess")
    job = json.loads((space.repository / "build" / "notebooks.json").read_text())["preprocess"]
    assert re.fullmatch(r"churn--prep-\d{8}-\d{6}", job)
    assert f"experiments/{job}/batch/batch.csv" in space.objects()

    said = space.run("2_train")
    metric = {"binary_classification": "auc", "multiclass_classification": "weighted_f1", "regression": "rmse"}[
        problem_type
    ]
    assert f"validation:{metric}" in said
    assert "begins like a header" in said
    assert any(key.endswith("/output/model.tar.gz") for key in space.objects())
    # The five answers that it shows are the model's own, to the rows that it names.
    rows = "\n".join((space.repository / "build" / "batch" / "batch.csv").read_text().splitlines()[:5])
    command = [
        sys.executable,
        str(space.repository / "inference" / "inference.py"),
        str(space.repository / "build" / "model"),
    ]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, input=rows, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 5 and done.stdout in said

    said = space.run("3_monitor")
    moved = re.findall(r"^(\d+) of (\d+) columns above 0.2: (.*)$", said, re.MULTILINE)
    assert len(moved) == 1 and int(moved[0][0]) == 3
    # Before that, the usual traffic: nothing of it is above the threshold.
    assert said.count("above 0.2") == 4


def test_out_of_order_they_say_which_to_run_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    space = Space("sklearn", tmp_path, "regression", monkeypatch, cache)
    for name, first in (("1_preprocess", "0_upload_data"), ("2_train", "1_preprocess"), ("3_monitor", "1_preprocess")):
        with pytest.raises(CellExecutionError, match=f"run {first} first"):
            space.run(name)


def test_a_job_that_fails_is_told_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    space = Space("sklearn", tmp_path, "binary_classification", monkeypatch, cache)
    space.run("0_upload_data")
    uploaded = space.aws / "s3" / SETTINGS["project_bucket"] / "data" / "data.csv"
    uploaded.write_text("other,columns\n1,2\n")
    with pytest.raises(CellExecutionError) as caught:
        space.run("1_preprocess")
    # Without the colours of a terminal.
    said = re.sub(r"\x1b\[[0-9;]*m", "", str(caught.value))
    assert re.search(r"JobFailed: churn--prep-\d+-\d+ failed: The data can't be used", said)
    assert "there is no column 'target'" in said and "/aws/sagemaker/ProcessingJobs" in said
