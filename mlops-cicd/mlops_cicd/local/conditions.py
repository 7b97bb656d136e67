"""The conditions of a Condition step.

The SDK writes In as QueryValue and Values, and Not with Condition; the published JSON schema has Value and In, NotIn and
NotEquals. Both are played.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .errors import JobFailed
from .expressions import Values, problems

_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}
_EQUAL = {"Equals": True, "NotEquals": False}
_MEMBER = {"In": True, "NotIn": False}
TYPES = (*_EQUAL, *_ORDER, *_MEMBER, "Not", "Or")


def condition_problems(condition: Any, where: str) -> Iterator[str]:
    """Name what is wrong with a condition."""
    kind = condition.get("Type") if isinstance(condition, Mapping) else None
    if kind not in TYPES:
        yield f"{where}: condition type {kind!r} is not played here. Use one of {', '.join(TYPES)}."
        return
    keys = set(condition) - {"Type"}
    if kind == "Not":
        if len(keys) != 1 or not keys <= {"Condition", "Expression"}:
            yield f'{where}: Not takes one "Condition". Write it so.'
            return
        yield from condition_problems(condition[keys.pop()], f"{where}.Condition")
    elif kind == "Or":
        if keys != {"Conditions"} or not isinstance(condition["Conditions"], list) or not condition["Conditions"]:
            yield f'{where}: Or takes a list "Conditions". Write it so.'
            return
        for index, item in enumerate(condition["Conditions"]):
            yield from condition_problems(item, f"{where}.Conditions[{index}]")
    else:
        forms = [{"QueryValue", "Values"}, {"Value", "In"}] if kind in _MEMBER else [{"LeftValue", "RightValue"}]
        if keys not in forms:
            yield f"{where}: {kind} takes {' and '.join(sorted(forms[0]))}. Write it so."
            return
        if kind in _MEMBER and not isinstance(condition.get("Values", condition.get("In")), list):
            yield f"{where}: the values of {kind} are a list. Write it so."
        yield from problems({key: condition[key] for key in keys}, where)


def holds(condition: Mapping[str, Any], values: Values) -> bool:
    """Say whether a condition is met; JobFailed when its two sides cannot be compared."""
    kind = condition["Type"]
    if kind == "Not":
        return not holds(condition.get("Condition") or condition["Expression"], values)
    if kind == "Or":
        met = [holds(item, values) for item in condition["Conditions"]]  # all of them, so that a broken one shows
        return any(met)
    if kind in _MEMBER:
        value = values.resolve(condition["QueryValue"] if "QueryValue" in condition else condition["Value"])
        among = values.resolve(condition["Values"] if "Values" in condition else condition["In"])
        return any(_kind(item) == _kind(value) and item == value for item in among) is _MEMBER[kind]
    left, right = values.resolve(condition["LeftValue"]), values.resolve(condition["RightValue"])
    if _kind(left) != _kind(right):
        raise JobFailed(
            f"{kind} compares {left!r} with {right!r}: {_kind(left)} with {_kind(right)}. Give both the same type."
        )
    if kind in _EQUAL:
        return bool(left == right) is _EQUAL[kind]
    if _kind(left) != "number" and _kind(left) != "text":
        raise JobFailed(f"{kind} cannot order {left!r} and {right!r}. Compare numbers.")
    if left != left or right != right:
        raise JobFailed(f"{kind} compares {left!r} with {right!r}: NaN has no order. Mend what writes the value.")
    return _ORDER[kind](left, right)


def told(condition: Mapping[str, Any], values: Values) -> str:
    """Write a condition with its values, for a person."""
    kind = condition["Type"]
    if kind == "Not":
        return f"not ({told(condition.get('Condition') or condition['Expression'], values)})"
    if kind == "Or":
        return " or ".join(told(item, values) for item in condition["Conditions"])
    if kind in _MEMBER:
        value = condition["QueryValue"] if "QueryValue" in condition else condition["Value"]
        among = condition["Values"] if "Values" in condition else condition["In"]
        return f"{values.resolve(value)} {kind} {values.resolve(among)}"
    return f"{values.resolve(condition['LeftValue'])} {kind} {values.resolve(condition['RightValue'])}"


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "nothing" if value is None else type(value).__name__
