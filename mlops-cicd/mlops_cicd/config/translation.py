"""What pydantic found, in the words of this file: line, key, what is wrong, mend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mlops_cicd.config.model import GATES, ONE_GATE, OWN, TORCHRUN, ModelConfig
from mlops_cicd.config.problems import Lines, Place, Problem, line_of
from mlops_cicd.errors import nearest, shown

Said = tuple[str, str]
_ADDED = (ONE_GATE, GATES, TORCHRUN, OWN, "[key]", "bool", "int", "float", "str")
_SHAPES = {
    "an instance type": ("^ml", "Write it as ml.m5.large."),
    "a content type": ("^[a-z]+/", "Write it as text/csv."),
}


def translated(error: ValidationError, data: Mapping[str, Any], lines: Lines) -> list[Problem]:
    """Return one problem for each place at fault."""
    found: dict[Place, Problem] = {}
    for each in error.errors(include_url=False):
        place = _place(each["loc"], lines)
        if place in found:
            continue
        what, mend = _said(each, place)
        found[place] = Problem(line_of(place, lines), place, what, mend)
    return list(found.values())


def _place(loc: Place, lines: Lines) -> Place:
    """Return a place of the file: pydantic adds the branches of unions and the types of values to it."""
    place: Place = ()
    for part in loc:
        if (*place, part) in lines or not (part in _ADDED or str(part).startswith("constrained")):
            place = (*place, part)
    return place


def _said(each: ErrorDetails, place: Place) -> Said:
    kind, given, context = each["type"], each["input"], each.get("ctx", {})
    if kind == "config":
        return str(context["what"]), str(context["mend"])
    if kind == "extra_forbidden":
        return _unknown(place)
    if kind == "missing":
        return "the key is missing", f"Add {place[-1]} here."
    if given is None:
        return "there is no value", "Write one after the colon, or take the key out if it is optional."
    say = _SENTENCES.get(kind)
    return (
        say(given, context)
        if say
        else (f"{shown(given)} can't be taken ({each['msg']})", "See the page of model_config.yaml.")
    )


def _unknown(place: Place) -> Said:
    known = _keys(place[:-1])
    guess = nearest(str(place[-1]), known)
    return "there is no such key", f"Did you mean {guess}?" if guess else f"Known here: {', '.join(known)}."


def _keys(place: Place) -> list[str]:
    """Return the keys that a place may have."""
    models: list[Any] = [ModelConfig]
    for part in place:
        if isinstance(part, str):
            models = [
                inner
                for model in models
                if part in model.model_fields
                for inner in models_of(model.model_fields[part].annotation)
            ]
    return list(dict.fromkeys(key for model in models for key in model.model_fields))


def models_of(annotation: Any) -> list[type[BaseModel]]:
    """Return the sections that a key's annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in models_of(inner)]


def _kind(word: str, mend: str) -> Callable[[Any, Mapping[str, Any]], Said]:
    return lambda given, context: (f"{shown(given)} is no {word}", mend)


def _pattern(given: Any, context: Mapping[str, Any]) -> Said:
    for word, (start, mend) in _SHAPES.items():
        if str(context.get("pattern", "")).startswith(start):
            return f"{shown(given)} is not {word}", mend
    return f"{shown(given)} is not of the form {context.get('pattern')}", "Write it in that form."


def _choice(given: Any, context: Mapping[str, Any]) -> Said:
    expected = str(context.get("expected", ""))
    known = [word.strip("' ") for word in expected.replace(" or ", ", ").split(",")]
    guess = nearest(given, known) if isinstance(given, str) else None
    return f"{shown(given)} is not possible here", f"Did you mean {guess}?" if guess else f"Take {expected}."


def _too_long(given: Any, context: Mapping[str, Any]) -> Said:
    return f"the text has {len(given)} characters", f"Keep it to {context['max_length']}."


def _many(given: Any, context: Mapping[str, Any]) -> Said:
    return f"there are {context['actual_length']} of them", f"Keep them to {context['max_length']}."


_NUMBER = "Write a number without quotes."
_SENTENCES: Mapping[str, Callable[[Any, Mapping[str, Any]], Said]] = {
    "string_type": _kind("text", "Write a text; put it in quotes if it looks like a number."),
    "int_type": _kind("whole number", "Write a whole number without quotes, as 1."),
    "int_from_float": _kind("whole number", "Write a whole number without quotes, as 1."),
    "float_type": _kind("number", _NUMBER),
    "bool_type": _kind("number, text, true or false", "Write one of those."),
    "finite_number": _kind("number to compare with", "Write a finite number, as 0.9."),
    "tuple_type": _kind("list", "Write a list, as [a, b]."),
    "dict_type": _kind("map", "Write keys with values below it, each with two more spaces before it."),
    "mapping_type": _kind("map", "Write keys with values below it, each with two more spaces before it."),
    "model_type": _kind("section", "Write keys with values below it, each with two more spaces before it."),
    "model_attributes_type": _kind("section", "Write keys with values below it, each with two more spaces before it."),
    "literal_error": _choice,
    "string_pattern_mismatch": _pattern,
    "string_too_short": lambda given, context: (
        "the text is empty",
        "Write one, or take the key out if it is optional.",
    ),
    "string_too_long": _too_long,
    "too_short": lambda given, context: ("the list is empty", "Name at least one."),
    "too_long": _many,
    "greater_than": lambda given, context: (f"{shown(given)} is too small", f"Write more than {context['gt']}."),
    "greater_than_equal": lambda given, context: (f"{shown(given)} is too small", f"Write {context['ge']} or more."),
    "less_than_equal": lambda given, context: (f"{shown(given)} is too large", f"Write {context['le']} or less."),
}
