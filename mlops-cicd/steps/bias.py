"""Bias of data and model by group, under the names and in the form of SageMaker Clarify's analysis.json.

Form: the guide's page clarify-processing-job-analysis-results. As in Clarify's published code (aws/amazon-sagemaker-clarify),
the group that is named is facet d, and all others are facet a; its guide's page on the configuration has it the other way round.
A number alone is a lower bound where the column takes many values: the group lies above it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from csv_tables import Table
from failures import StepError, one_line
from model_archive import Card, label_text
from numpy.typing import NDArray
from predictions import Predictions

KEY = "bias_config.facets"
# With fewer rows than this on either side, a share says nothing.
FEWEST = 10
# A column of numbers with more different ones than this is continuous.
KINDS = 10
NAMES = {
    "CI": "Class Imbalance (CI)",
    "DPL": "Difference in Proportions of Labels (DPL)",
    "AD": "Accuracy Difference (AD)",
    "DI": "Disparate Impact (DI)",
    "DPPL": "Difference in Positive Proportions in Predicted Labels (DPPL)",
}


@dataclass(frozen=True)
class Facet:
    """A column, and the values or the lower bound of the group looked at; no values: each value is a group."""

    name: str
    values: tuple[object, ...]


@dataclass(frozen=True)
class Group:
    """The rows of a column that form facet d: those of a value, or those above a bound."""

    shown: str
    values: frozenset[str]
    above: float | None

    def members(self, column: Sequence[str]) -> NDArray[np.bool_]:
        """Tell for each field of a column whether its row belongs to the group."""
        if self.above is None:
            return np.array([label_text(field) in self.values for field in column], dtype=bool)
        return np.array([number is not None and number > self.above for number in map(_number, column)], dtype=bool)


@dataclass(frozen=True)
class Outcome:
    """What counts as a positive outcome: a label, or numbers above a bound."""

    shown: str
    label: str
    above: float | None

    def of_labels(self, labels: Iterable[object]) -> NDArray[np.bool_]:
        """Tell for each label whether it is positive."""
        if self.above is None:
            return np.array([label_text(label) == self.label for label in labels], dtype=bool)
        numbers = (_number(str(label)) for label in labels)
        return np.array([number is not None and number > self.above for number in numbers], dtype=bool)


def read_facets(text: str, features: Sequence[str]) -> list[Facet]:
    """Read the facets that the configuration names; raise StepError for a column that is no feature."""
    try:
        found = json.loads(text)
        facets = [Facet(str(one["name"]), tuple(one.get("values_or_threshold") or ())) for one in found]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StepError(
            f"{KEY} can't be read ({one_line(error)}): give a list of name and values_or_threshold, such as "
            '[{"name": "age", "values_or_threshold": [40]}]'
        ) from error
    for facet in facets:
        if facet.name not in features:
            raise StepError(
                f"{KEY} names the column {facet.name!r}, which is no feature of the training set "
                f"({', '.join(features[:8])}{', ...' if len(features) > 8 else ''}): mend the name, or keep the column"
            )
    return facets


def groups(facet: Facet, column: Sequence[str]) -> list[Group]:
    """Form the groups of a facet by its column in the training set."""
    kinds = {label_text(field) for field in column}
    numbers = [_number(kind) for kind in kinds]
    continuous = len(kinds) > KINDS and all(number is not None for number in numbers)
    if continuous and len(facet.values) == 1:
        bound = _number(str(facet.values[0]))
        if bound is None:
            raise StepError(
                f"{KEY} gives {facet.values[0]!r} for {facet.name!r}, a column of numbers: give a lower bound"
            )
        highest = max(number for number in numbers if number is not None)
        return [Group(f"({bound:g}, {highest:g}]", frozenset(), bound)]
    if not facet.values and len(kinds) > KINDS:
        raise StepError(
            f"{KEY} gives no values for {facet.name!r}, which takes {len(kinds)}: give the values of a group, or a lower bound"
        )
    if facet.values:
        named = [label_text(value) for value in facet.values]
        return [Group(",".join(named), frozenset(named), None)]
    return [Group(kind, frozenset([kind]), None) for kind in sorted(kinds)]


def outcomes(problem_type: str, card: Card, target: Sequence[str]) -> list[Outcome]:
    """Say what counts as positive: the second of two classes, each of many against the others, numbers above the median."""
    if problem_type == "binary_classification":
        return [Outcome(card.classes[1], card.classes[1], None)]
    if problem_type == "multiclass_classification":
        return [Outcome(name, name, None) for name in card.classes]
    numbers = [number for number in map(_number, target) if number is not None]
    if not numbers:
        raise StepError("the target of the training set holds no number: mend the preprocessing, or the problem type")
    median = float(np.median(numbers))
    return [Outcome(f"({median:g}, {max(numbers):g}]", "", median)]


def analysis(
    problem_type: str, card: Card, facets: Sequence[Facet], train: Table, test: Table, found: Predictions | None
) -> dict[str, Any]:
    """Compute analysis.json: the training set before training, the answers for the test set after it."""
    target = train.column(train.target)
    positive = outcomes(problem_type, card, target)
    truth = test.column(test.target) if facets else []
    answers: Sequence[object] = (found.labels or found.numbers.tolist()) if found else []
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for facet in facets:
        column, later = train.column(facet.name), test.column(facet.name)
        before[facet.name], after[facet.name] = [], []
        for group in groups(facet, column):
            for outcome in positive:
                head = {"value_or_threshold": group.shown}
                if len(positive) > 1:
                    head["label_value_or_threshold"] = outcome.shown
                data = pre_training(group.members(column), outcome.of_labels(target))
                model = post_training(group.members(later), outcome.of_labels(truth), outcome.of_labels(answers))
                before[facet.name].append({**head, "metrics": data})
                after[facet.name].append({**head, "metrics": model})
    shown = positive[0].shown if len(positive) == 1 else "each class against the others"
    section = {"label": train.target, "label_value_or_threshold": shown}
    return {
        "version": "1.0",
        "pre_training_bias_metrics": {**section, "facets": before},
        "post_training_bias_metrics": {**section, "facets": after},
        "method": {
            "facet_d": "rows with the value, or above the bound, that value_or_threshold gives; all others are facet a",
            "pre_training": f"on the {train.rows} rows of the training set",
            "post_training": f"on the {test.rows} rows of the test set, answered by the served model",
            "fewest_rows": FEWEST,
        },
    }


def pre_training(group: NDArray[np.bool_], positive: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Compute the metrics of the data."""
    few = _too_few(group)
    if few:
        return [_entry(name, None, few) for name in ("CI", "DPL")]
    others, members = int((~group).sum()), int(group.sum())
    return [
        _entry("CI", (others - members) / (others + members)),
        _entry("DPL", _share(positive, ~group) - _share(positive, group)),
    ]


def post_training(
    group: NDArray[np.bool_], truth: NDArray[np.bool_], answered: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Compute the metrics of the model."""
    few = _too_few(group)
    if few:
        return [_entry(name, None, few) for name in ("AD", "DI", "DPPL")]
    right = truth == answered
    others, members = _share(answered, ~group), _share(answered, group)
    ratio = members / others if others else math.inf
    none = "no row of either group was answered with a positive outcome" if not others and not members else ""
    return [
        _entry("AD", _share(right, ~group) - _share(right, group)),
        _entry("DI", None if none else ratio, none),
        _entry("DPPL", others - members),
    ]


def _too_few(group: NDArray[np.bool_]) -> str:
    """Say why a group, or what is left, is too small to be compared; nothing when it is not."""
    members, others = int(group.sum()), int((~group).sum())
    if min(members, others) >= FEWEST:
        return ""
    what = f"{members} rows are in the group" if members <= others else f"{others} rows are not in the group"
    return f"{what}, and at least {FEWEST} are needed"


def _entry(name: str, value: float | None, error: str = "") -> dict[str, Any]:
    """Give a metric as Clarify writes it; infinity is a word there."""
    shown: object = "\u221e" if value is not None and math.isinf(value) else value
    return {"name": name, "description": NAMES[name], "value": shown, **({"error": error} if error else {})}


def _share(what: NDArray[np.bool_], where: NDArray[np.bool_]) -> float:
    """Give the share of rows."""
    return float(what[where].mean())


def _number(field: str) -> float | None:
    """Read a number that is one."""
    try:
        value = float(field)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
