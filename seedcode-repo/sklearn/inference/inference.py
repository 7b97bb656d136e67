"""Answer requests with the model that train.py wrote, in an endpoint, a batch transform, or on a laptop:

    head -3 build/batch/batch.csv | python inference/inference.py build/model

SageMaker calls the four functions model_fn, input_fn, predict_fn and output_fn, in this order.

In: text/csv, one row of features a line, in the order of training, without a header; or application/json,
{"instances": [[...], ...]}. Out: text/csv, of a classification `label,probability of each class`, of a regression the number;
or application/json, {"predictions": [{"label": ..., "probabilities": {class: ...}}]} or {"predictions": [number, ...]}.

What a model can't answer is refused: a guess for a header, a missing value or a row that lacks a column would look like any
other answer. It needs what AWS's image of the framework holds, and nothing else."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np

CSV, JSON = "text/csv", "application/json"
TYPES = (CSV, JSON)


class BadRequest(ValueError):
    """A request that can't be answered; the message says why, and ends with what to send instead."""


class UnknownType(BadRequest):
    """A content type that is not read, or not written."""


class BadModel(ValueError):
    """The model's folder can't be used; the message ends with what to do."""


@dataclass(frozen=True)
class Model:
    """A model, and what its card says: the columns it was trained with, and the classes in their order (none: a regression)."""

    estimator: Any
    features: tuple[str, ...]
    classes: tuple[Any, ...] | None


@dataclass(frozen=True)
class Prediction:
    """Answers: `values` of shape (rows, classes) with probabilities, or of shape (rows,) with numbers."""

    values: np.ndarray
    classes: tuple[Any, ...] | None


def model_fn(model_dir: str) -> Model:
    """Load the model from its folder."""
    folder = Path(model_dir)
    try:
        card = json.loads((folder / "model_card.json").read_text(encoding="utf-8"))
        classes = card["classes"]
        return Model(load(folder, card), tuple(card["features"]), None if classes is None else tuple(classes))
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise BadModel(f"{folder} holds no model of train.py ({error!r}): train it again") from error


def load(folder: Path, card: dict[str, Any]) -> Any:
    """Load what was trained. A forest of another version of scikit-learn may not load, or answer otherwise."""
    import sklearn

    made = card.get("trained_with", {}).get("scikit-learn", sklearn.__version__)
    if made.split(".")[:2] != sklearn.__version__.split(".")[:2]:
        raise BadModel(
            f"The model was trained with scikit-learn {made}, and this is {sklearn.__version__}: "
            "train and serve with the same framework_version, or install that version here"
        )
    return joblib.load(folder / "model.joblib")


def input_fn(body: bytes | str, content_type: str) -> np.ndarray:
    """Read a request as float64 of shape (rows, columns)."""
    kind = content_type.split(";")[0].strip().lower()
    if kind not in TYPES:
        raise UnknownType(f"Content type {content_type!r} is not read: send {' or '.join(TYPES)}")
    try:
        text = body.decode("utf-8-sig") if isinstance(body, (bytes, bytearray)) else body
    except UnicodeDecodeError as error:
        raise BadRequest(f"The request is no text in UTF-8 ({error}): encode it so") from error
    rows = from_csv(text) if kind == CSV else from_json(text)
    if not rows:
        raise BadRequest("The request holds no rows: send at least one row of features")
    for place, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise BadRequest(f"Row {place} has {len(row)} values and row 1 has {len(rows[0])}: send rows of one width")
    return finite(np.array(rows, dtype="float64"))


def from_csv(text: str) -> list[list[float]]:
    """Read lines of numbers; the first may not be a header."""
    try:
        lines = list(csv.reader(io.StringIO(text.rstrip("\r\n")), strict=True))
    except csv.Error as error:
        raise BadRequest(
            f"The request can't be read as CSV ({error}): send numbers with commas between them"
        ) from error
    return [[number(cell, row, column) for column, cell in enumerate(line, 1)] for row, line in enumerate(lines, 1)]


def number(cell: str, row: int, column: int) -> float:
    """Read one value of a line. Python's own underscores in numbers are none here."""
    try:
        if "_" not in cell:
            return float(cell)
    except ValueError:
        pass
    if not cell.strip():
        raise BadRequest(f"Row {row}, column {column} is empty: fill the value, as preprocessing does for training")
    if row == 1:
        raise BadRequest(
            f"The first line begins like a header, with {cell[:40]!r}: send rows of numbers, without a header"
        )
    raise BadRequest(f"Row {row}, column {column} is {cell[:40]!r}, which is no number: encode it as for training")


def from_json(text: str) -> list[list[float]]:
    """Read {"instances": [[...], ...]}."""
    form = 'send {"instances": [[number, ...], ...]}'
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The request can't be read as JSON ({error}): {form}") from error
    rows = found.get("instances") if isinstance(found, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise BadRequest(f"The request has no list of rows: {form}")
    for place, row in enumerate(rows, start=1):
        for column, value in enumerate(row, start=1):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                shown = json.dumps(value)[:40]
                raise BadRequest(f"Row {place}, column {column} is {shown}, which is no number: {form}")
    try:
        return [[float(value) for value in row] for row in rows]
    except OverflowError as error:
        raise BadRequest(f"A number is too large for a float ({error}): bound it, as for training") from error


def finite(rows: np.ndarray) -> np.ndarray:
    """Refuse rows with values that are missing or infinite."""
    wrong = np.argwhere(~np.isfinite(rows))
    if len(wrong):
        row, column = wrong[0]
        raise BadRequest(
            f"Row {row + 1}, column {column + 1} is missing or infinite ({rows[row, column]}), {len(wrong)} value(s) in all: "
            "fill or bound them, as preprocessing does for training"
        )
    return rows


def predict_fn(data: Any, model: Model) -> Prediction:
    """Ask the model. `data` is what input_fn gave, or any table of numbers of the same width."""
    rows = np.asarray(data, dtype="float64")
    width = len(model.features)
    if rows.ndim != 2 or rows.shape[1] != width:
        shown = ", ".join(model.features[:3]) + (", ..." if width > 3 else "")
        raise BadRequest(
            f"The rows have {rows.shape[1] if rows.ndim == 2 else 'no'} columns and the model knows {width} ({shown}): "
            "send the features of training in their order, without the target"
        )
    return Prediction(answers(model, finite(rows)), model.classes)


def answers(model: Model, rows: np.ndarray) -> np.ndarray:
    """Give probabilities of shape (rows, classes), or numbers of shape (rows,)."""
    found = model.estimator.predict(rows) if model.classes is None else model.estimator.predict_proba(rows)
    return np.asarray(found, dtype="float64")


def output_fn(prediction: Prediction, accept: str) -> tuple[str, str]:
    """Write the answers, and say as what: AWS's model server sends the second as Content-Type."""
    kind = accepted(accept)
    classes = prediction.classes
    if classes is None:
        numbers = prediction.values.tolist()
        return (json.dumps({"predictions": numbers}) if kind == JSON else "\n".join(map(repr, numbers))), kind
    labels = [classes[place] for place in prediction.values.argmax(axis=1)]
    shares = prediction.values.tolist()
    if kind == JSON:
        names = [str(one) for one in classes]
        found = [
            {"label": label, "probabilities": dict(zip(names, row, strict=True))}
            for label, row in zip(labels, shares, strict=True)
        ]
        return json.dumps({"predictions": found}), kind
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([label, *row] for label, row in zip(labels, shares, strict=True))
    # A batch transform that assembles by line puts the last line's end itself.
    return text.getvalue()[:-1], kind


def accepted(accept: str | None) -> str:
    """Choose the first type that a client accepts and that is written here; text/csv when it takes any."""
    kinds = [one.split(";")[0].strip().lower() for one in (accept or "*/*").split(",")]
    for kind in kinds:
        if kind in TYPES:
            return kind
        if kind in ("*/*", "", "text/*"):
            return CSV
        if kind == "application/*":
            return JSON
    raise UnknownType(f"Answers are not written as {accept!r}: accept {' or '.join(TYPES)}")


def main(folder: str) -> None:
    """Answer rows in CSV from standard input."""
    try:
        print(output_fn(predict_fn(input_fn(sys.stdin.read(), CSV), model_fn(folder)), CSV)[0])
    except (BadRequest, BadModel) as error:
        sys.exit(f"inference: {error}")


if __name__ == "__main__":
    main(*(sys.argv[1:2] or ["/opt/ml/model"]))
