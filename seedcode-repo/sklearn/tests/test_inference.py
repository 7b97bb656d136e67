"""Serving: what it answers, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import inference
import numpy as np
import pandas as pd
import pytest
import train

CSV, JSON = "text/csv", "application/json"
TARGETS = {
    "binary_classification": lambda first: np.where(first > 0, "yes, please", "no"),
    "multiclass_classification": lambda first: np.digitize(first, [-0.5, 0.5]),
    "regression": lambda first: first * 10,
}


@pytest.fixture(scope="module", params=TARGETS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Train a small model of each problem type; its target follows from the first of three features."""
    folder = tmp_path_factory.mktemp("model")
    numbers = np.random.default_rng(5).normal(size=(200, 3))
    table = pd.DataFrame(numbers, columns=["first", "second", "third"])
    table.insert(0, "target", TARGETS[request.param](numbers[:, 0]))
    for name, rows in (("train", table[:150]), ("validation", table[150:])):
        (folder / name).mkdir()
        rows.to_csv(folder / name / f"{name}.csv", index=False)
    places = [f"--{name}={folder / name}" for name in ("train", "validation")]
    options = vars(train.arguments([]))
    quick = [f"--{name}=30" for name in ("n_estimators", "num_round") if name in options]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        train.main([*quick, *places, f"--model-dir={folder / 'model'}", f"--problem-type={request.param}"])
    return str(request.param), folder / "model"


@pytest.fixture(scope="module")
def model(trained: tuple[str, Path]) -> inference.Model:
    return inference.model_fn(str(trained[1]))


def ask(model: inference.Model, body: Any, content_type: str = CSV, accept: str = CSV) -> str:
    """Ask as AWS's model server does."""
    answer, kind = inference.output_fn(inference.predict_fn(inference.input_fn(body, content_type), model), accept)
    assert kind == accept
    return answer


ROWS = "-2,0,1\n2,0,1\n0.1,5e-1,-3\n"


def test_a_line_for_each_row(model: inference.Model) -> None:
    lines = list(csv.reader(ask(model, ROWS).split("\n")))
    assert len(lines) == 3
    if model.classes is None:
        assert all(len(line) == 1 for line in lines)
        low, high = float(lines[0][0]), float(lines[1][0])
        assert low < -5 and high > 5
        return
    for line in lines:
        shares = list(map(float, line[1:]))
        assert len(shares) == len(model.classes) and sum(shares) == pytest.approx(1, abs=1e-6)
        assert line[0] == str(model.classes[int(np.argmax(shares))])
    # Far from where the classes meet, the label is the one that it was taught.
    assert (lines[0][0], lines[1][0]) == (str(model.classes[0]), str(model.classes[-1]))


def test_json_says_the_same_as_csv(model: inference.Model) -> None:
    instances = [[-2, 0, 1], [2, 0, 1], [0.1, 0.5, -3]]
    found = json.loads(ask(model, json.dumps({"instances": instances}), JSON, JSON))["predictions"]
    lines = list(csv.reader(ask(model, ROWS).split("\n")))
    if model.classes is None:
        assert found == [float(line[0]) for line in lines]
        return
    assert [str(one["label"]) for one in found] == [line[0] for line in lines]
    assert [list(one["probabilities"]) for one in found] == [[str(name) for name in model.classes]] * 3
    assert [list(one["probabilities"].values()) for one in found] == [list(map(float, line[1:])) for line in lines]


def test_a_row_is_answered_alike_alone_and_among_others(model: inference.Model) -> None:
    assert ask(model, ROWS).split("\n") == [ask(model, row) for row in ROWS.splitlines()]


@pytest.mark.parametrize(
    "body", [ROWS.encode(), "\ufeff" + ROWS, ROWS.replace("\n", "\r\n"), '"-2","0","1"\n2,0,1\n0.1,.5,-3\n']
)
def test_ways_to_write_the_same_rows(model: inference.Model, body: bytes | str) -> None:
    body = body.encode() if isinstance(body, str) else body
    assert ask(model, body) == ask(model, ROWS)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "holds no rows"),
        ("\n\n", "holds no rows"),
        ("first,second,third\n1,2,3\n", "begins like a header, with 'first'"),
        ("1,2,3\n1,two,3\n", "Row 2, column 2 is 'two', which is no number"),
        ("1,2,3\n1,,3\n", "Row 2, column 2 is empty"),
        ("1,nan,3\n", "Row 1, column 2 is missing or infinite"),
        ("1,2,3\n1,2,-inf\n", "Row 2, column 3 is missing or infinite"),
        ("1,2,1e999\n", "is missing or infinite"),
        ("1,2,3\n\n1,2,3\n", "Row 2 has 0 values and row 1 has 3"),
        ("1,2,3\n1,2\n", "Row 2 has 2 values and row 1 has 3"),
        ("1,2\n", "have 2 columns and the model knows 3 (first, second, third)"),
        ("0,1,2,3\n", "have 4 columns and the model knows 3"),
        ("1,2,1_0\n", "'1_0'"),
        ('1,2,"3\n', "can't be read as CSV"),
        (b"\xff\xfe1,2,3", "no text in UTF-8"),
    ],
)
def test_csv_that_can_not_be_answered_is_refused(model: inference.Model, body: bytes | str, said: str) -> None:
    with pytest.raises(inference.BadRequest) as caught:
        ask(model, body)
    assert said in str(caught.value) and ": " in str(caught.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{", "can't be read as JSON"),
        ("[[1, 2, 3]]", "has no list of rows"),
        ('{"instances": [1, 2, 3]}', "has no list of rows"),
        ('{"instances": []}', "holds no rows"),
        ('{"instances": [[1, null, 3]]}', "Row 1, column 2 is null"),
        ('{"instances": [[1, "2", 3]]}', 'column 2 is "2", which is no number'),
        ('{"instances": [[1, true, 3]]}', "column 2 is true, which is no number"),
        ('{"instances": [[1, NaN, 3]]}', "is missing or infinite"),
        ('{"instances": [[1, -Infinity, 3]]}', "is missing or infinite"),
        ('{"instances": [[1, 2, 3], [1, 2]]}', "Row 2 has 2 values and row 1 has 3"),
        ('{"instances": [[1, 2, 1' + "0" * 400 + "]]}", "too large for a float"),
        ("[" * 100_000, "can't be read as JSON"),
    ],
)
def test_json_that_can_not_be_answered_is_refused(model: inference.Model, body: str, said: str) -> None:
    with pytest.raises(inference.BadRequest) as caught:
        ask(model, body, JSON)
    assert said in str(caught.value)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-npy", "", "csv"])
def test_other_types_are_refused(model: inference.Model, kind: str) -> None:
    with pytest.raises(inference.UnknownType, match="send text/csv or application/json"):
        inference.input_fn(ROWS, kind)
    if kind:
        prediction = inference.predict_fn(inference.input_fn(ROWS, CSV), model)
        with pytest.raises(inference.UnknownType, match="accept text/csv or application/json"):
            inference.output_fn(prediction, kind)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/csv; charset=utf-8", CSV),
        ("Application/JSON", JSON),
        ("text/html, application/json;q=0.9", JSON),
        ("*/*", CSV),
        ("", CSV),
        (None, CSV),
    ],
)
def test_what_a_client_accepts(model: inference.Model, accept: Any, kind: str) -> None:
    prediction = inference.predict_fn(inference.input_fn(ROWS, "text/csv; header=absent"), model)
    assert inference.output_fn(prediction, accept)[1] == kind


def test_tables_may_be_asked_directly_and_are_held_to_the_same(model: inference.Model) -> None:
    table = pd.DataFrame([[-2, 0, 1]], columns=["first", "second", "third"])
    assert inference.output_fn(inference.predict_fn(table, model), CSV)[0] == ask(model, "-2,0,1")
    with pytest.raises(inference.BadRequest, match="missing or infinite"):
        inference.predict_fn(table.assign(second=np.nan), model)
    with pytest.raises(inference.BadRequest, match="no columns"):
        inference.predict_fn([1.0, 2.0, 3.0], model)


def test_a_folder_without_a_model_says_so(tmp_path: Path, trained: tuple[str, Path]) -> None:
    with pytest.raises(inference.BadModel, match="train it again"):
        inference.model_fn(str(tmp_path))
    shutil.copy(trained[1] / "model_card.json", tmp_path)
    with pytest.raises(inference.BadModel):
        inference.model_fn(str(tmp_path))


def test_as_a_command_it_answers_rows_or_says_why_not(
    trained: tuple[str, Path],
    model: inference.Model,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(ROWS))
    inference.main(str(trained[1]))
    assert capsys.readouterr().out == ask(model, ROWS) + "\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO("1,2\n"))
    with pytest.raises(SystemExit, match="inference: The rows have 2 columns"):
        inference.main(str(trained[1]))
