"""Values to try a template with: as few as bring every condition to true and to false, as far as its rules let them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from proofs import samples

Values = dict[str, str]
Body = Mapping[str, Any]
# What these values make of the conditions, and the sentences of rules that refuse them.
Tried = Callable[[Values], tuple[Mapping[str, bool], list[str]]]
_TOGETHER = 3  # parameters that are changed at once: a budget needs three


def covering(body: Body, base: Values, also: Iterable[Mapping[str, str]], tried: Tried) -> list[Values]:
    """Give values that together show every condition in every state that can be reached; `base` comes first, then `also`."""
    kept = [base]
    seen = set(tried(base)[0].items())
    for values in ({**base, **changes} for changes in also):
        found, refused = tried(values)
        if not refused:
            kept.append(values)
            seen |= found.items()
    choices = {name: _choices(name, asked, base, body) for name, asked in body.get("Parameters", {}).items()}
    for name in body.get("Conditions", {}):
        for state in (True, False):
            if (name, state) in seen:
                continue
            for values in _nearby(base, _asked_by(name, body), choices):
                found, refused = tried(values)
                if not refused and found[name] is state:
                    kept.append(values)
                    seen |= found.items()
                    break
    return kept


def unreached(body: Body, trials: Iterable[Mapping[str, bool]]) -> list[str]:
    """Give the conditions that no trial brings to both states."""
    seen = {item for found in trials for item in found.items()}
    return [name for name in body.get("Conditions", {}) if not {(name, True), (name, False)} <= seen]


def _nearby(base: Values, names: list[str], choices: Mapping[str, list[str]]) -> Iterator[Values]:
    """Give values that differ from the base in one of these parameters, then in two, then in three."""
    for number in range(1, min(_TOGETHER, len(names)) + 1):
        for chosen in itertools.combinations(names, number):
            for picked in itertools.product(*(choices[name] for name in chosen)):
                yield {**base, **dict(zip(chosen, picked, strict=True))}


def _choices(name: str, asked: Body, base: Values, body: Body) -> list[str]:
    """Give the values of a parameter that are worth a trial, other than the base's."""
    found = [*map(str, asked.get("AllowedValues", ())), *_compared(name, body)]
    if "Default" in asked:
        found.append(str(asked["Default"]))
    if not asked.get("AllowedValues") and not str(asked["Type"]).startswith("AWS::SSM"):
        found += samples.several(asked)
    here = base.get(name, str(asked.get("Default", "")))
    return [value for value in dict.fromkeys(found) if value != here and samples.fits(value, asked)]


def _compared(name: str, body: Body) -> Iterator[str]:
    """Give the texts that conditions and rules compare a parameter with."""
    for value in _walked([body.get("Conditions", {}), body.get("Rules", {})]):
        if isinstance(value, Mapping) and "Fn::Equals" in value:
            sides = value["Fn::Equals"]
            if {"Ref": name} in sides:
                yield from (side for side in sides if isinstance(side, str))


def _asked_by(condition: str, body: Body) -> list[str]:
    """Give the parameters that a condition hangs on, and those that rules tie to them."""
    names = _parameters(body["Conditions"][condition], body)
    for rule in body.get("Rules", {}).values():
        tied = _parameters(rule, body)
        if set(tied) & set(names):
            names += [name for name in tied if name not in names]
    return names


def _parameters(value: Any, body: Body) -> list[str]:
    found: list[str] = []
    for part in _walked(value):
        if not isinstance(part, Mapping):
            continue
        inner = part.get("Condition")
        if isinstance(inner, str) and inner in body.get("Conditions", {}):
            found += _parameters(body["Conditions"][inner], body)
        names = [part["Ref"]] if "Ref" in part else re.findall(r"\$\{(\w+)\}", str(part.get("Fn::Sub", "")))
        found += [name for name in names if name in body.get("Parameters", {})]
    return list(dict.fromkeys(found))


def _walked(value: Any) -> Iterator[Any]:
    yield value
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    for part in inner:
        yield from _walked(part)
