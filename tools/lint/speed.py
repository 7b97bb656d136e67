"""Make cfn-lint fit for templates with many conditions: it asks the same question of its solver ten thousand times.

Each `Fn::Sub` below a condition is resolved for every region and every value of every parameter in it, and each time the whole
set of conditions is solved again. The answer depends on the conditions that are pinned and on the parameters that conditions
compare, nothing else, so it is kept. Touches what is private in cfn-lint, which is pinned; a test holds the results together."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from cfnlint.conditions import Conditions, UnknownSatisfisfaction
from cfnlint.conditions._utils import get_hash

_plain = Conditions.satisfiable


def remember() -> None:
    """Keep the solver's answers, for the life of each template's Conditions."""
    Conditions.satisfiable = _remembering


def forget() -> None:
    """Ask the solver each time again, as cfn-lint does."""
    Conditions.satisfiable = _plain


def _remembering(self: Any, conditions: Mapping[str, bool], parameter_values: Mapping[str, Any]) -> bool:
    answers: dict[Any, bool | UnknownSatisfisfaction] = self.__dict__.setdefault("_answers", {})
    compared = self.__dict__.get("_compared")
    if compared is None:
        compared = self.__dict__["_compared"] = _compared(self)
    key = (
        frozenset(conditions.items()),
        frozenset((name, str(value)) for name, value in parameter_values.items() if _hash_of(name) in compared),
        # Without any value cfn-lint does not look for comparisons that it can't resolve.
        bool(parameter_values),
    )
    if key not in answers:
        try:
            answers[key] = _plain(self, conditions, parameter_values)
        except UnknownSatisfisfaction as error:
            answers[key] = error
    answer = answers[key]
    if isinstance(answer, UnknownSatisfisfaction):
        raise answer
    return answer


def _compared(conditions: Any) -> frozenset[str]:
    """Give the hashes of the references that any Fn::Equals compares."""
    equals = [equal for condition in conditions._conditions.values() for equal in condition.equals]
    return frozenset(parameter.hash for equal in equals for parameter in equal.parameters)


@cache
def _hash_of(parameter: str) -> str:
    return str(get_hash({"Ref": parameter}))
