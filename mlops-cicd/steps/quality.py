"""The metrics of a model on a test set, under the names that SageMaker's model quality report gives them.

Names and form: the guide's page model-monitor-model-quality-metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from failures import StepError
from model_archive import Card, label_text
from numpy.typing import NDArray
from predictions import Predictions
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    mean_absolute_error,
    mean_squared_error,
    precision_recall_fscore_support,
    r2_score,
    roc_auc_score,
)


def metrics(problem_type: str, card: Card, truth: Sequence[str], found: Predictions) -> dict[str, Any]:
    """Compute all metrics of a problem type: `{metric: {"value": number}}`, and for classes the confusion matrix."""
    if problem_type == "regression":
        return _regression(_numbers(truth), found.numbers)
    labels = known_labels(card, truth)
    counts = confusion_matrix(labels, list(found.labels), labels=list(card.classes))
    matrix = {
        actual: {predicted: int(counts[row][column]) for column, predicted in enumerate(card.classes)}
        for row, actual in enumerate(card.classes)
    }
    values = {"accuracy": float(accuracy_score(labels, list(found.labels)))}
    if problem_type == "binary_classification":
        values.update(_binary(card, labels, found))
    else:
        precision, recall, f1, _ = precision_recall_fscore_support(
            labels, list(found.labels), labels=list(card.classes), average="weighted", zero_division=0
        )
        values.update(weighted_precision=float(precision), weighted_recall=float(recall), weighted_f1=float(f1))
    return {**_valued(values), "confusion_matrix": matrix}


def known_labels(card: Card, truth: Sequence[str]) -> list[str]:
    """Give the true labels; raise StepError when the model knows one of them not, or there is one alone."""
    labels = [label_text(label) for label in truth]
    unknown = sorted(set(labels) - set(card.classes))
    if unknown:
        raise StepError(
            f"the test set holds the label {unknown[0]!r}, which the model does not know "
            f"(it knows {', '.join(card.classes[:8])}): train on rows of every class"
        )
    if len(set(labels)) < 2:
        raise StepError(
            f"the test set holds the class {labels[0]!r} alone, and nothing can be measured on one: split the data by class"
        )
    return labels


def positive(card: Card) -> str:
    """Give the class that counts as positive: the second one, as scikit-learn sorts them."""
    return card.classes[1]


def _binary(card: Card, labels: Sequence[str], found: Predictions) -> Mapping[str, float]:
    """Compute the metrics of two classes; precision without a positive prediction is 0."""
    truth = np.array([label == positive(card) for label in labels])
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, list(found.labels), average="binary", pos_label=positive(card), zero_division=0
    )
    auc = roc_auc_score(truth, found.probabilities[:, 1])
    return {"auc": float(auc), "precision": float(precision), "recall": float(recall), "f1": float(f1)}


def _regression(truth: NDArray[np.float64], found: NDArray[np.float64]) -> dict[str, Any]:
    """Compute the metrics of numbers."""
    if len(set(truth.tolist())) < 2:
        raise StepError(
            "the target of the test set has one value only, and nothing can be measured on one: mend the split"
        )
    # Numbers too large to square are refused below, with words.
    with np.errstate(over="ignore", invalid="ignore"):
        mse = float(mean_squared_error(truth, found))
        values = {"mae": float(mean_absolute_error(truth, found)), "mse": mse, "rmse": math.sqrt(mse)}
        values["r2"] = float(r2_score(truth, found))
    return _valued(values)


def _numbers(truth: Sequence[str]) -> NDArray[np.float64]:
    """Read the true values of a regression."""
    try:
        values = np.array([float(value) for value in truth], dtype=float)
    except ValueError as error:
        raise StepError(
            f"the target of the test set is not always a number ({error}): mend the preprocessing"
        ) from error
    if not np.isfinite(values).all():
        raise StepError(
            "the target of the test set has missing or infinite values: drop these rows in the preprocessing"
        )
    return values


def _valued(values: Mapping[str, float]) -> dict[str, Any]:
    """Put values into the form of the report."""
    for name, value in values.items():
        if not math.isfinite(value):
            raise StepError(
                f"the metric {name} is {value}: the predictions are too large; scale the target, or mend the model"
            )
    return {name: {"value": value} for name, value in values.items()}
