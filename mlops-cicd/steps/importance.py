"""Which features a model's answers rest on: permutation importance through the served model.

For each feature, its values are shuffled between some rows of the test set, and the model is asked again: the importance is
by how much its loss grows. That asks nothing of the model but answers, so it fits every framework. The form follows SageMaker
Clarify's analysis.json (the guide's page clarify-processing-job-analysis-results) under a name of its own, for these are no SHAP
values."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from csv_tables import Table
from failures import StepError
from model_archive import Card, label_text
from numpy.typing import NDArray
from predictions import Predictions, predict
from serving_code import Served

SEED = 42
REPEATS = 3
MOST_ROWS = 300
FEWEST_ROWS = 20
# Rows that are asked for in all, unless there are very many features: about ten seconds of a small machine.
BUDGET = 60_000


def analysis(served: Served, card: Card, test: Table, size: int) -> dict[str, Any]:
    """Compute analysis.json, the most important feature first; the same model and data give the same file."""
    most = max(FEWEST_ROWS, min(MOST_ROWS, BUDGET // (REPEATS * len(card.features))))
    batch = test.sample(most, SEED)
    loss, what = (_log_loss, "log loss") if card.classes else (_rmse, "root of the mean squared error")

    def asked(rows: Sequence[Sequence[str]]) -> float:
        batches = (rows[start : start + size] for start in range(0, len(rows), size))
        return loss(card, batch.labels, predict(served, card, batches))

    base = asked(batch.features)
    shuffle = random.Random(SEED)  # noqa: S311 - no secret
    means, deviations = {}, {}
    for at, name in enumerate(card.features):
        grown = [asked(_shuffled(batch.features, at, shuffle)) - base for _ in range(REPEATS)]
        means[name], deviations[name] = float(np.mean(grown)), float(np.std(grown))
    ranking = sorted(means, key=lambda name: -means[name])
    return {
        "version": "1.0",
        "explanations": {
            "permutation_importance": {
                test.target: {
                    "global_importance_values": {name: means[name] for name in ranking},
                    "standard_deviation": {name: deviations[name] for name in ranking},
                    "base_loss": base,
                }
            }
        },
        "ranking": ranking,
        "method": {
            "name": "permutation importance",
            "value": f"growth of the {what} when the feature's values are shuffled between rows",
            "rows": len(batch.labels),
            "repeats": REPEATS,
            "seed": SEED,
        },
    }


def _shuffled(rows: Sequence[Sequence[str]], at: int, shuffle: random.Random) -> list[list[str]]:
    """Give the rows with one column shuffled."""
    column = [row[at] for row in rows]
    shuffle.shuffle(column)
    return [[*row[:at], value, *row[at + 1 :]] for row, value in zip(rows, column)]  # noqa: B905 - not in Python 3.9


def _log_loss(card: Card, labels: Sequence[str], found: Predictions) -> float:
    """Give the mean of -log(probability of the true class)."""
    try:
        places = [card.classes.index(label_text(label)) for label in labels]
    except ValueError:
        raise StepError(
            "the test set holds a label that the model does not know: train on rows of every class"
        ) from None
    true: NDArray[np.float64] = found.probabilities[np.arange(len(places)), places]
    return float(-np.log(np.clip(true, 1e-15, 1.0)).mean())


def _rmse(_: Card, labels: Sequence[str], found: Predictions) -> float:
    """Give the root of the mean squared error."""
    try:
        truth = np.array([float(label) for label in labels])
    except ValueError as error:
        raise StepError(
            f"the target of the test set is not always a number ({error}): mend the preprocessing"
        ) from error
    return float(np.sqrt(((found.numbers - truth) ** 2).mean()))
