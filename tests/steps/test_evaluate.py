"""evaluate.py: right metrics of real models, and a clear end for all that can't be measured."""

from __future__ import annotations

import math
import tarfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier

from .conftest import SKLEARN_PROGRAM, Job, add, rule, table

REPORT = "evaluation/evaluation.json"


def real(job: Job, problem_type: str) -> tuple[np.ndarray, np.ndarray, Any]:
    """Train a real model, and lay out the job that measures it; give features and truth of the test set, and the model."""
    load, estimator = {
        "binary_classification": (load_breast_cancer, LogisticRegression(max_iter=20, C=1e-6)),
        "multiclass_classification": (load_wine, KNeighborsClassifier()),
        "regression": (load_diabetes, Ridge()),
    }[problem_type]
    x, y = load(return_X_y=True)
    order = np.random.default_rng(7).permutation(len(y))
    x, y = x[order], y[order]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = estimator.fit(x[:120], y[:120])
    job.problem_type = problem_type
    names = [f"f{at}" for at in range(x.shape[1])]
    job.put("test/test.csv", table([(label, *row) for label, row in zip(y[120:], x[120:], strict=True)], ("y", *names)))
    classes = None if problem_type == "regression" else [int(one) for one in model.classes_]
    job.model(names, classes, SKLEARN_PROGRAM, model)
    return x[120:], y[120:], model


def test_binary_metrics_are_those_counted_by_hand(empty: Job) -> None:
    job = empty
    x, y, model = real(job, "binary_classification")
    done = job.start("evaluate", "--batch-rows", "100")
    assert done.returncode == 0, done.stderr
    report = job.output(REPORT)
    found = report["binary_classification_metrics"]
    predicted, scores = model.predict(x), model.predict_proba(x)[:, 1]
    pairs = Counter(zip(y.tolist(), predicted.tolist(), strict=True))
    tp, fp, fn, tn = pairs[1, 1], pairs[0, 1], pairs[1, 0], pairs[0, 0]
    assert min(tp, fp, fn, tn) > 0
    # The area is the share of pairs of a positive and a negative row that are in the right order.
    differences = scores[y == 1][:, None] - scores[y == 0][None, :]
    area = ((differences > 0) + 0.5 * (differences == 0)).mean()
    expected = {"auc": area, "accuracy": (tp + tn) / len(y), "precision": tp / (tp + fp), "recall": tp / (tp + fn)}
    expected["f1"] = 2 * tp / (2 * tp + fp + fn)
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value, abs=1e-12), name
    assert found["confusion_matrix"] == {"0": {"0": tn, "1": fp}, "1": {"0": fn, "1": tp}}
    assert report["rows"] == len(y) and report["positive_class"] == "1"
    assert f"{len(y)} rows" in done.stdout and f"{expected['accuracy']:.4f}" in done.stdout


def test_multiclass_metrics_are_those_counted_by_hand(empty: Job) -> None:
    job = empty
    x, y, model = real(job, "multiclass_classification")
    assert job.run("evaluate").returncode == 0
    found = job.output(REPORT)["multiclass_classification_metrics"]
    predicted = model.predict(x)
    weighted = dict.fromkeys(("precision", "recall", "f1"), 0.0)
    for kind in (0, 1, 2):
        hit = int(((y == kind) & (predicted == kind)).sum())
        share = (y == kind).mean()
        weighted["precision"] += share * hit / (predicted == kind).sum()
        weighted["recall"] += share * hit / (y == kind).sum()
        weighted["f1"] += share * 2 * hit / ((y == kind).sum() + (predicted == kind).sum())
    assert (predicted != y).any()
    for name, value in weighted.items():
        assert found[f"weighted_{name}"]["value"] == pytest.approx(value), name
    assert found["accuracy"]["value"] == pytest.approx((y == predicted).mean())
    assert sum(sum(row.values()) for row in found["confusion_matrix"].values()) == len(y)


def test_regression_metrics_are_those_counted_by_hand(empty: Job) -> None:
    job = empty
    x, y, model = real(job, "regression")
    assert job.run("evaluate", "--batch-rows", "7").returncode == 0
    found = job.output(REPORT)["regression_metrics"]
    errors = y - model.predict(x)
    mse = float((errors**2).mean())
    expected = {"mae": np.abs(errors).mean(), "mse": mse, "rmse": math.sqrt(mse), "r2": 1 - mse / y.var()}
    assert {name: entry["value"] for name, entry in found.items()} == pytest.approx(expected)


@pytest.mark.parametrize("problem_type", ["binary_classification", "multiclass_classification", "regression"])
def test_a_transform_gives_the_same_report_as_the_program(empty: Job, problem_type: str) -> None:
    job = empty
    x, _, model = real(job, problem_type)
    assert job.run("evaluate").returncode == 0
    first = job.output(REPORT)
    labels = model.predict(x)
    extra = model.predict_proba(x).tolist() if problem_type != "regression" else [[] for _ in labels]
    lines = [",".join(map(str, (label, *row))) for label, row in zip(labels, extra, strict=True)]
    # Eleven files: the tenth comes after the second. An empty line ends each, as Line assembly leaves it.
    for at in range(11):
        job.put(
            f"predictions/part-{at}.csv.out",
            "\n".join(lines[at * 30 : (at + 1) * 30] if at < 10 else lines[300:]) + "\n\n",
        )
    job.model(
        [f"f{at}" for at in range(x.shape[1])], first.get("classes"), "raise SystemExit('not imported for batch')"
    )
    assert job.run("evaluate").returncode == 0
    second = job.output(REPORT)
    metrics = f"{problem_type}_metrics"
    assert second["rows"] == first["rows"]
    assert {name: entry["value"] for name, entry in second[metrics].items() if "value" in entry} == pytest.approx(
        {name: entry["value"] for name, entry in first[metrics].items() if "value" in entry}
    )


def test_a_second_run_gives_the_same_bytes_and_a_failed_one_leaves_none(job: Job) -> None:
    assert job.run("evaluate").returncode == 0
    first = (job.root / "processing/output" / REPORT).read_bytes()
    assert job.run("evaluate").returncode == 0
    assert (job.root / "processing/output" / REPORT).read_bytes() == first
    job.put("test/test.csv", "y,a\n")
    job.refused("evaluate")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("y,a,b\n", "no rows"),
        ("x,a,b\n1,2,3\n", "no column 'y'"),
        ("y\n1\n", "no column but 'y'"),
        ("y,a,a\n1,2,3\n", "more than once"),
        ("y,a,b\n1,2,3\n4,5\n", "line 3 has 2 fields"),
        ("y,b,a\n1,2,3\n2,3,4\n", "another order"),
        ("y,a,c\n1,2,3\n2,3,4\n", "takes 'b', which the table does not have"),
        ("y,a,b,c\n1,2,3,4\n", "the table has 'c'"),
        ("y,a,b\n1,2,3\n1,3,4\n", "one value only"),
        ("y,a,b\nlow,2,3\nhigh,3,4\n", "not always a number"),
        ("y,a,b\nnan,2,3\n1,3,4\n", "missing or infinite"),
        ("y,a,b\n1,,3\n2,3,4\n", "prediction 1 is nan"),
        ("y,a,b\n1,1e308,3\n2,3,4\n", "prediction 1 is inf"),
        ("y,a,b\n1,1e200,3\n2,3,4\n", "is inf"),
        ("y,a,b\n1,word,3\n2,3,4\n", "failed in input_fn: ValueError"),
    ],
)
def test_a_table_that_can_not_be_measured_is_refused(job: Job, text: str, says: str) -> None:
    job.put("test/test.csv", text)
    assert says in job.refused("evaluate")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([(1, 2, 3), (1, 3, 4)], "class '1' alone"),
        ([(1, 2, 3), (0, 3, 4), (7, 1, 1)], "'7', which the model does not know"),
        ([("", 2, 3), (0, 3, 4)], "which the model does not know"),
    ],
)
def test_labels_that_can_not_be_measured_are_refused(binary: Job, rows: list[Any], says: str) -> None:
    binary.put("test/test.csv", table(rows, ("y", "a", "b")))
    assert says in binary.refused("evaluate")


def test_a_whole_number_is_one_label_with_and_without_a_point(binary: Job) -> None:
    binary.put("test/test.csv", table([("1.0", 2, 3), ("0.0", -3, 4)], ("y", "a", "b")))
    binary.model(("a", "b"), [0.0, 1.0], rule("binary"))
    assert binary.run("evaluate").returncode == 0
    assert binary.output(REPORT)["binary_classification_metrics"]["accuracy"]["value"] == 1


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("1,0.1,0.9", "gave 1 predictions for 10 rows"),
        ("label,p0,p1\\n" + "1,0.1,0.9\\n" * 10, "gave 11 predictions for 10 rows"),
        ("1,0.1,0.9\\n" * 9 + "x,0.1,0.9", "prediction 10 is the unknown label 'x'"),
        ("1,0.1,0.9\\n" * 9 + "1,nan,0.9", "prediction 10 is nan"),
        ("1,0.1,0.9\\n" * 9 + "1,a,0.9", "holds 'a' and not a number"),
        ("1\\n" * 10, "prediction 1 has 1 fields"),
        ("1,0.1,0.2,0.7\\n" * 10, "prediction 1 has 4 fields"),
        ("1,-2,3\\n" * 10, "not between 0 and 1"),
        ("1,0.1,0.1\\n" * 10, "add up to 0.2"),
    ],
)
def test_answers_that_can_not_be_meant_are_refused(binary: Job, answer: str, says: str) -> None:
    changed = rule("binary").split("def output_fn")[0] + f"def output_fn(prediction, accept):\n    return '{answer}'\n"
    binary.model(("a", "b"), [0, 1], changed)
    assert says in binary.refused("evaluate")


def test_a_header_that_was_scored_as_data_is_refused(binary: Job) -> None:
    binary.put("predictions/batch.csv.out", "1,0.1,0.9\n" * 11)
    message = binary.refused("evaluate")
    assert "11 predictions and the test set has 10 rows. A header row" in message


def test_a_transform_without_answers_is_refused(binary: Job) -> None:
    (binary.root / "processing/input/predictions").mkdir()
    assert "no .out file" in binary.refused("evaluate")


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("import a_package_nobody_has", "inference_config.dependencies"),
        ("def model_fn(d): pass", "has no function input_fn, predict_fn, output_fn"),
        ("1 / 0", "can't be imported: ZeroDivisionError"),
        ("import sys; sys.exit(3)", "can't be imported: SystemExit: 3"),
        ("import os; os._exit(5)", "ended with exit code 5"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended by signal 11"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "larger instance type"),
        (
            rule("regression") + "\ndef model_fn(d): raise OSError('line 1\\nline 2')",
            "failed in model_fn: OSError: line 1 line 2",
        ),
        (rule("regression") + "\ndef output_fn(p, a): return 5", "gave int, not text"),
        (
            rule("regression") + "\ndef predict_fn(d, m): raise ValueError('NaN in row 3')",
            "predict_fn: ValueError: NaN in row 3",
        ),
        (rule("regression") + "\ndef predict_fn(d, m): raise ValueError('\u00e9' * 5000)", "predict_fn: ValueError"),
    ],
)
def test_a_program_that_fails_is_told_by_its_function(job: Job, program: str, says: str) -> None:
    job.model(("a", "b"), None, program)
    assert says in job.refused("evaluate")


@pytest.mark.parametrize(
    "where", ["import time; time.sleep(60)", rule("regression") + "\ndef predict_fn(d, m): time.sleep(60)"]
)
def test_a_program_that_hangs_is_ended_at_the_limit(job: Job, where: str) -> None:
    job.model(("a", "b"), None, where)
    assert "gave no answer in 1 seconds" in job.refused("evaluate", "--timeout", "1")


def test_what_a_program_starts_ends_with_it(job: Job) -> None:
    starts = "\nimport subprocess\nsubprocess.Popen(['sleep', '61.25'])\n"
    job.model(("a", "b"), None, rule("regression") + starts)
    assert job.run("evaluate").returncode == 0
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert b"sleep\x0061.25\x00" not in running


def test_a_program_has_its_own_modules_and_prints_what_it_likes(job: Job) -> None:
    program = rule("regression") + (
        "\nimport os, quality\nprint('hello' * 1000, flush=True)\nos.write(1, b'raw')\nassert quality.MINE\n"
        "assert os.environ['SAGEMAKER_PROGRAM'] == 'inference.py'\nassert sys.stdin.read() == ''\n"
    )
    job.model(("a", "b"), None, program, more={"code/quality.py": "MINE = True"})
    done = job.run("evaluate")
    assert done.returncode == 0, done.stderr
    assert "hello" in done.stderr and "hello" not in done.stdout


def test_the_program_that_is_named_must_be_there(job: Job) -> None:
    for name in ("serve.py", "../model_card.json"):
        job.problem_type = "regression"
        message = job.refused("evaluate", "--program", name)
        assert "inference.py" in message and "inference_config.entrypoint" in message


@pytest.mark.parametrize(
    ("card", "says"),
    [
        ({"problem_type": "binary_classification"}, "says problem_type"),
        ({"target": "z"}, "says target 'z'"),
        ({"features": None}, "no list of features"),
    ],
)
def test_a_card_of_another_model_is_refused(job: Job, card: dict[str, Any], says: str) -> None:
    job.model(("a", "b"), None, rule("regression"), card=card)
    assert says in job.refused("evaluate")


@pytest.mark.parametrize("classes", [None, [0], [0, 0], [0, 1, 2], "01"])
def test_a_card_without_two_classes_is_refused(binary: Job, classes: Any) -> None:
    binary.model(("a", "b"), classes, rule("binary"))
    assert "classes" in binary.refused("evaluate")


def test_words_that_are_wrong_are_told_as_well(job: Job) -> None:
    assert "--batch-rows" in job.refused("evaluate", "--batch-rows", "0")
    assert "--colour" in job.refused("evaluate", "--colour", "red")


HOSTILE = {
    "up": lambda tar: add(tar, "../outside", b"x"),
    "absolute": lambda tar: add(tar, "/tmp/outside", b"x"),
    "deep": lambda tar: add(tar, "a/../../outside", b"x"),
    "link out": lambda tar: add(tar, "passwd", kind=tarfile.SYMTYPE, link="/etc/passwd"),
    "hard link out": lambda tar: add(tar, "passwd", kind=tarfile.LNKTYPE, link="/etc/passwd"),
    "loop": lambda tar: add(tar, "loop", kind=tarfile.SYMTYPE, link="loop"),
    "device": lambda tar: add(tar, "zero", kind=tarfile.CHRTYPE),
    "pipe": lambda tar: add(tar, "pipe", kind=tarfile.FIFOTYPE),
    "folder link": lambda tar: [add(tar, "d", kind=tarfile.SYMTYPE, link=".."), add(tar, "d/outside", b"x")],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_archive_that_reaches_out_is_refused(job: Job, kind: str) -> None:
    job.archive(HOSTILE[kind])
    assert "model archive" in job.refused("evaluate")


def test_a_link_inside_of_an_archive_is_a_file_with_the_same_content(tmp_path: Path, steps: None) -> None:
    import model_archive

    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        add(tar, "x/one", b"content")
        add(tar, "two", kind=tarfile.SYMTYPE, link="x/one")
        add(tar, "three", kind=tarfile.LNKTYPE, link="x/one")
    out = tmp_path / "out"
    out.mkdir()
    model_archive.unpack(path, out)
    for name in ("x/one", "two", "three"):
        assert (out / name).read_bytes() == b"content" and not (out / name).is_symlink()


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_broken_archive_is_refused(job: Job, content: bytes | None) -> None:
    path = job.root / "processing/input/model/model.tar.gz"
    path.write_bytes(path.read_bytes()[:-40] if content is None else content)
    assert "can't be unpacked" in job.refused("evaluate")


def test_no_archive_is_refused(job: Job) -> None:
    (job.root / "processing/input/model/model.tar.gz").unlink()
    assert "there is no model.tar.gz" in job.refused("evaluate")


def test_an_archive_larger_than_the_volume_is_refused(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import failures
    import model_archive

    class Full(NamedTuple):
        free: int

    monkeypatch.setattr(model_archive.shutil, "disk_usage", lambda _: Full(10))
    with pytest.raises(failures.StepError, match="enlarge the job's volume"):
        model_archive.unpack(tmp_path / "processing/input/model/model.tar.gz", tmp_path)


def test_a_step_that_is_started_tells_its_failure_the_same_way(job: Job) -> None:
    job.put("test/test.csv", "y,a\n")
    done = job.start("evaluate")
    assert done.returncode == 1 and done.stderr == (job.root / "output/message").read_text() + "\n"


def test_a_failure_that_nobody_thought_of_is_shown_too(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    import evaluate

    monkeypatch.setattr(evaluate, "serving", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evaluate.main(job.words())
    assert "stopped by ZeroDivisionError: division by zero" in (job.root / "output/message").read_text()
    assert job.written() == []
