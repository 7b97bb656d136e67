"""`inv local`: each seed, problem and inference type from preprocessing to the registered model, and what goes wrong on the way."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from generators.kit.publishing import ROOT, frameworks
from tools import local
from tools.environments import ensure
from tools.errors import MlopsError
from tools.local import NOT_CODE
from tools.model_config import package

PROBLEMS = ("binary_classification", "multiclass_classification", "regression")
LAPTOP = package("laptop")
PYTHON = ensure("seeds")


@pytest.fixture
def checkout(tmp_path: Path) -> Callable[[str], Path]:
    """Copy the seed code of a framework, as a project that began with it."""

    def copy(framework: str) -> Path:
        return Path(shutil.copytree(ROOT / "seedcode-repo" / framework, tmp_path / "churn", ignore=NOT_CODE))

    return copy


class Runs:
    """What the runs of these tests share."""

    cache = Path()


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what packages compile to for all runs, as `./inv local` does."""
    Runs.cache = tmp_path_factory.mktemp("cache")


def run(folder: Path, *words: str) -> int:
    return int(LAPTOP.main([f"--project={folder}", f"--python={PYTHON}", f"--cache={Runs.cache}", *words]))


def registered(folder: Path) -> list[dict[str, Any]]:
    """Read what the registry has, newest last."""
    found = [json.loads(path.read_text()) for path in (folder / "build/local/registry").rglob("*.json")]
    packages = [item for item in found if "InferenceSpecification" in item]
    return sorted(packages, key=lambda item: int(item["ModelPackageVersion"]))


def edit(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("inference", ["realtime", "batch"])
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("framework", frameworks())
def test_a_seed_becomes_a_registered_model(
    checkout: Callable[[str], Path], capsys: pytest.CaptureFixture[str], framework: str, problem: str, inference: str
) -> None:
    folder = checkout(framework)
    assert run(folder, f"--problem={problem}", f"--inference={inference}") == 0, capsys.readouterr()
    (version,) = registered(folder)
    assert version["ModelApprovalStatus"] == "PendingManualApproval"
    told = capsys.readouterr().out
    steps = [
        "Preprocess",
        "Train",
        *(["Model", "Transform"] if inference == "batch" else []),
        "Evaluate",
        "Baseline",
        "Register",
    ]
    lines = [line.split()[:2] for line in told.splitlines()]
    assert [line[0] for line in lines if line[1:] == ["Succeeded"] and line[0] in steps] == steps
    store = folder / "build/local/s3"
    for place in (
        version["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"],
        version["ModelMetrics"]["ModelDataQuality"]["Statistics"]["S3Uri"],
        version["ModelMetrics"]["ModelDataQuality"]["Constraints"]["S3Uri"],
        version["ModelMetrics"]["Bias"]["Report"]["S3Uri"],
        version["ModelMetrics"]["Explainability"]["Report"]["S3Uri"],
        version["InferenceSpecification"]["Containers"][0]["ModelDataUrl"],
    ):
        assert (store / place.removeprefix("s3://")).stat().st_size > 0, place


def test_what_runs_twice_is_registered_twice_and_apart(checkout: Callable[[str], Path]) -> None:
    folder = checkout("sklearn")
    assert [run(folder), run(folder)] == [0, 0]
    first, second = registered(folder)
    places = [version["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] for version in (first, second)]
    assert places[0] != places[1], "a run never reads what another one wrote"


def test_own_data_are_read(checkout: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = checkout("sklearn")
    edit(folder, "model_config.yaml", "data: sample", "data: data/")
    rows = ["size,weight,target"] + [f"{number / 7:.3f},{number % 13},{int(number > 200)}" for number in range(400)]
    (folder / "data").mkdir()
    (folder / "data" / "rows.csv").write_text("\n".join(rows) + "\n")
    assert run(folder) == 0, capsys.readouterr()
    (metadata,) = (folder / "build/local/s3").rglob("metadata.json")
    assert json.loads(metadata.read_text())["sources"] == ["data/rows.csv"]


BAD = {
    "a metric under the gate": (
        lambda folder: edit(folder, "model_config.yaml", "threshold: 0.9", "threshold: 0.999999 #"), "QualityGate|gate",
    ),
    "a target that is not there": (
        lambda folder: edit(folder, "model_config.yaml", "target: target", "target: churned"), "churned",
    ),
    "a training script that fails": (
        lambda folder: edit(folder, "train/train.py", "def main(", "raise SystemExit('no luck')\n\n\ndef main("), "no luck",
    ),
    "a training script that writes nothing": (
        lambda folder: (folder / "train" / "train.py").write_text("print('done')\n"), "model",
    ),
    "an import that no image holds": (
        lambda folder: edit(folder, "train/train.py", "import argparse", "import argparse\nimport pytest"), "pytest",
    ),
    "a serving program that answers nonsense": (
        lambda folder: (folder / "inference" / "inference.py").write_text(NONSENSE), "Evaluate",
    ),
}  # fmt: skip
NONSENSE = '''"""Nothing that a model says."""


def model_fn(model_dir):
    return None


def input_fn(body, content_type):
    return body


def predict_fn(data, model):
    return "perhaps"


def output_fn(prediction, accept):
    return prediction
'''


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_ends_the_run_and_says_what_to_do(
    checkout: Callable[[str], Path], capsys: pytest.CaptureFixture[str], case: str
) -> None:
    folder = checkout("sklearn")
    spoil, word = BAD[case]
    spoil(folder)
    assert run(folder) == 1
    told = capsys.readouterr()
    assert any(part in told.err + told.out for part in word.split("|")), told
    assert "Traceback" not in told.err.split("Failed:")[0]
    assert registered(folder) == [], "nothing that failed is registered"


def test_a_wrong_configuration_is_told_before_anything_runs(
    checkout: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkout("sklearn")
    edit(folder, "model_config.yaml", "train_config:", "train_confg:")
    assert run(folder) == 1
    assert "train_config" in capsys.readouterr().err
    assert not (folder / "build" / "local" / "runs").exists()


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path) == 1
    assert "--project" in capsys.readouterr().err


def test_a_definition_written_by_hand_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    definition = ROOT / "tests" / "local" / "by_hand.json"
    bucket = tmp_path / "build/local/s3/my-bucket"
    (bucket / "code").mkdir(parents=True)
    for name in ("split.py", "fit.py", "score.py"):
        shutil.copyfile(ROOT / "tests" / "local" / "by_hand" / name, bucket / "code" / name)
    (bucket / "data").mkdir()
    (bucket / "data" / "rows.csv").write_text("x,y\n" + "".join(f"{n},{2 * n + 1}\n" for n in range(100)))
    assert run(tmp_path, f"--definition={definition}", "--parameter=MaxError=0.5") == 0, capsys.readouterr()
    assert len(registered(tmp_path)) == 1
    assert run(tmp_path, f"--definition={definition}", "--parameter=MaxError=-1") == 1
    assert "too large" in capsys.readouterr().err
    assert len(registered(tmp_path)) == 1, "the branch that fails registers nothing"


@pytest.mark.parametrize("framework", frameworks())
def test_the_commands_of_a_seeds_readme_that_need_the_library(checkout: Callable[[str], Path], framework: str) -> None:
    folder = checkout(framework)
    text = (folder / "README.md").read_text()
    blocks = re.findall(r"<!-- run elsewhere: inv local -->\n\s*```\n(.*?)```", text, re.DOTALL)
    commands = [line.strip() for block in blocks for line in block.splitlines() if line.strip().startswith("./inv")]
    assert commands
    for command in commands:
        words = command.replace("~/PROJECT", str(folder)).split()
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert len(registered(folder)) == len(commands)


HANGS = "import time\nprint('begun', flush=True)\ntime.sleep(600)\n"


def test_what_failed_is_told_once_with_its_log(
    checkout: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkout("sklearn")
    edit(folder, "model_config.yaml", "target: target", "target: churned")
    assert run(folder) == 1
    told = capsys.readouterr()
    assert (told.out + told.err).count("there is no column 'churned'") == 1
    (log,) = re.findall(r"^Its log: (.+)$", told.err, re.MULTILINE)
    assert "there is no column 'churned'" in Path(log).read_text()


def test_a_model_below_the_gate_points_to_its_report_on_this_machine(
    checkout: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkout("sklearn")
    edit(folder, "model_config.yaml", "threshold: 0.95", "threshold: 0.999999 #")
    assert run(folder) == 1
    told = capsys.readouterr()
    assert "; positive class: 1" in told.out
    (report,) = re.findall(r"(/\S+/evaluation\.json)", told.err)
    assert "auc" in json.loads(Path(report).read_text())["binary_classification_metrics"]
    (reports,) = re.findall(r"^Reports: (.+)$", told.out, re.MULTILINE)
    assert Path(reports) in Path(report).parents


def test_a_job_that_hangs_ends_at_its_time_limit(
    checkout: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkout("sklearn")
    (folder / "preprocess" / "preprocess.py").write_text(HANGS)
    assert run(folder, "--max-runtime=3") == 1
    told = capsys.readouterr().err
    assert "longer than 3 seconds" in told and "begun" in told
    with pytest.raises(SystemExit) as ended:
        run(folder, "--max-runtime=0")
    assert ended.value.code == 2 and "from 1 to" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_stops_a_run_leaves_nothing_running(checkout: Callable[[str], Path], number: signal.Signals) -> None:
    """Ctrl-C, a kill and a closed terminal end the job as well; impatience does not get in its way."""
    folder = checkout("sklearn")
    stubborn = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    (folder / "preprocess" / "preprocess.py").write_text(stubborn + HANGS)
    command = [sys.executable, "-m", "tools.cli", "local", f"--project={folder}"]
    runs = folder / "build" / "local" / "runs"
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        wait_for(lambda: any("begun" in log.read_text() for log in runs.rglob("job.log")))
        process.send_signal(number)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=30)[0]
    assert process.returncode == 130, told
    (execution,) = runs.glob("*/execution.json")
    assert json.loads(execution.read_text())["PipelineExecutionStatus"] == "Stopped"
    wait_for(lambda: not running(str(folder)))


def wait_for(happened: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def running(word: str) -> list[str]:
    """List the processes of this machine that have a word in their command."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().decode("utf-8", "replace")
        except OSError:  # it ended meanwhile
            continue
        if word in command:
            found.append(command)
    return found


@pytest.mark.parametrize("text", ["[1]", "null", "[" * 100_000, "{", ""], ids=["list", "null", "deep", "open", "empty"])
def test_a_file_that_is_no_definition_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (tmp_path / "pipeline.json").write_text(text)
    assert run(tmp_path, f"--definition={tmp_path / 'pipeline.json'}") == 1
    assert "Give a pipeline definition" in capsys.readouterr().err
    assert not (tmp_path / "build").exists()


def test_a_place_that_cannot_be_written_is_named(
    checkout: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkout("sklearn")
    (folder / "build").write_text("a file where the runs go")
    assert run(folder) == 1
    assert re.search(r"churn/build/.+: Not a directory\. Mend or free", capsys.readouterr().err)


def test_code_that_was_half_written_is_not_taken_for_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LAPTOP.FolderStore(tmp_path)
    whole = Path.write_bytes

    def half(path: Path, data: bytes) -> int:
        whole(path, data[:2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "write_bytes", half)
        LAPTOP._put(store, "s3://b/code/train.py", b"print()")
    assert LAPTOP._put(store, "s3://b/code/train.py", b"print()")
    assert store.path("s3://b/code/train.py").read_bytes() == b"print()"
    assert not LAPTOP._put(store, "s3://b/code/train.py", b"print()"), "what is there is not written again"


def test_the_data_of_this_run_are_taken_and_no_others(checkout: Callable[[str], Path]) -> None:
    folder = checkout("sklearn")
    asked = LAPTOP._asked([f"--project={folder}"], "inv local")
    project = LAPTOP.local_project(folder, "regression", "batch")
    store = LAPTOP.FolderStore(tmp := asked.output / "s3")
    (folder / "data").mkdir()
    (folder / "data" / "old.csv").write_text("a,target\n1,2\n")
    LAPTOP._data("data/", asked, project, store)
    (there,) = tmp.rglob("old.csv")
    first = there.stat().st_mtime_ns
    LAPTOP._data("data/", asked, project, store)
    assert there.stat().st_mtime_ns == first, "another run may be reading them"
    (folder / "data" / "old.csv").rename(folder / "data" / "new.csv")
    LAPTOP._data("data/", asked, project, store)
    assert [path.name for path in tmp.rglob("*.csv")] == ["new.csv"]
    (folder / "data" / "new.csv").write_text("a,target\n1,3\n")
    LAPTOP._data("data/", asked, project, store)
    assert next(tmp.rglob("*.csv")).read_text() == "a,target\n1,3\n"


NO_OPTIONS = dict.fromkeys(("problem", "inference", "data", "definition", "parameter", "mode"), "")


class Called:
    """Stands for the module laptop: notes what it is called with, and gives an exit code."""

    def __init__(self, code: int) -> None:
        self.code, self.words = code, [""]

    def main(self, words: list[str], called: str) -> int:
        self.words = words
        return self.code


def test_the_command_ends_with_the_pipelines_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    called = Called(130)
    monkeypatch.setattr(local, "package", lambda name: called)
    with pytest.raises(SystemExit) as ended:
        local.run("", "", **NO_OPTIONS | {"parameter": "A=s3://b/x,y,Max-Error=1"})
    assert ended.value.code == 130
    assert called.words[-2:] == ["--parameter=A=s3://b/x,y", "--parameter=Max-Error=1"]


def test_seed_code_is_copied_whole_and_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(local, "package", lambda name: Called(0))
    monkeypatch.setattr(local, "TRIALS", tmp_path)
    copy = tmp_path / "sklearn" / "sklearn"
    for _ in range(2):
        local.run("sklearn", "", **NO_OPTIONS)
        assert (copy / "model_config.yaml").is_file() and not (copy / "mine.py").exists()
        (copy / "mine.py").write_text("")
        assert sorted(path.name for path in copy.parent.iterdir()) == ["sklearn"], "nothing else is left"
    shutil.rmtree(tmp_path / "sklearn")
    (tmp_path / "sklearn").write_text("a file where the copy goes")
    with pytest.raises(MlopsError, match="Mend or free"):
        local.run("sklearn", "", **NO_OPTIONS)


@pytest.mark.parametrize("option", ["project", "data"])
def test_seed_code_has_its_own_sample(option: str) -> None:
    with pytest.raises(MlopsError, match=f"--{option}"):
        local.run("sklearn", **{"project": ""} | NO_OPTIONS | {option: "somewhere"})


def test_an_older_configuration_is_migrated_once(
    checkout: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkout("sklearn")
    path = folder / "model_config.yaml"
    new = path.read_text()
    path.write_text(new.replace("version: 1", "# version: 1", 1))
    assert run(folder, "--migrate") == 0
    assert "version" in capsys.readouterr().out
    changed = path.read_text()
    assert "version: 1" in changed and changed.count("#") >= new.count("#"), "comments stay"
    assert run(folder, "--migrate") == 0
    assert "nothing is changed" in capsys.readouterr().out
    assert path.read_text() == changed
    assert not (folder / "build").exists()
