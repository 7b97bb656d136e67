"""Make cfn-lint fit for large templates with many conditions and regions; the findings stay the same.

What took nine tenths of its time: solving the same conditions again for every value of every function, opening a `Fn::Sub`
for each region as often as it has references, listing the attributes of all resources for every `Fn::GetAtt`, and one core.
Touches what is private in cfn-lint, which is pinned; tests/lint/test_speed.py holds the findings together."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cache
from multiprocessing import get_context
from typing import Any, TypeVar

import cfnlint.conditions.conditions as template_conditions
import cfnlint.context.conditions._conditions as context_conditions
import cfnlint.context.context as context
import cfnlint.jsonschema._resolvers_cfn as resolvers
import cfnlint.jsonschema.validators as validators
from cfnlint.rules import Rules
from cfnlint.template import Template

Found = TypeVar("Found")
PROPERTIES = "E3002"
WORKERS = min(4, os.cpu_count() or 1)
_solve = template_conditions.satisfiable
_expand = resolvers._sub_parameter_expansion
_list_attributes = Template.get_valid_getatts
_answers: dict[frozenset[frozenset[int]], bool] = {}


def hurry() -> None:
    """Keep the solver's answers and each template's attributes, and open each value of a Fn::Sub once."""
    template_conditions.satisfiable = context_conditions.satisfiable = _remembered
    resolvers._sub_parameter_expansion = _expand_distinct
    Template.get_valid_getatts = _attributes
    context.fields = validators.fields = cache(fields)


def take_time() -> None:
    """Have cfn-lint work as it was released."""
    template_conditions.satisfiable = context_conditions.satisfiable = _solve
    resolvers._sub_parameter_expansion = _expand
    Template.get_valid_getatts = _list_attributes
    context.fields = validators.fields = fields


def _remembered(clauses: Any, **_: Any) -> bool:
    """Tell whether clauses can hold together. That depends on their literals alone, whatever template they come from."""
    key = frozenset(map(frozenset, clauses.data))
    if key not in _answers:
        _answers[key] = bool(_solve(clauses, all_models=False))
    return _answers[key]


def _attributes(template: Any) -> Any:
    """Give the attributes of all resources; they are the same for the life of a template."""
    if "_attributes" not in template.__dict__:
        template.__dict__["_attributes"] = _list_attributes(template)
    return template.__dict__["_attributes"]


def _expand_distinct(validator: Any, parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Give every combination of values; cfn-lint gives each again for every region, even where no region is named."""
    if not parameters:
        yield {}
        return
    (name, value), *others = parameters.items()
    seen: list[Any] = []
    for resolved, _, _ in validator.resolve_value(value):
        if resolved not in seen:
            seen.append(resolved)
            for rest in _expand_distinct(validator, dict(others)):
                yield {name: resolved, **rest}


def in_parallel(rules: Rules, bodies: Sequence[Mapping[str, Any]], work: Callable[[], list[Found]]) -> list[Found]:
    """Do the work once per core, each checking the properties of its share of the resources; give each finding once.

    Everything is loaded already, so a fork costs little. Where there is no fork, one process does it all."""
    # Nothing that lives now goes away before the end, so looking for garbage is a waste.
    gc.freeze()
    gc.disable()
    try:
        if WORKERS == 1 or not hasattr(os, "fork"):
            return work()
        shares = shares_of(bodies)
        others = [frozenset().union(*shares) - share for share in shares]
        with get_context("fork").Pool(WORKERS, initializer=_begin, initargs=(rules, work)) as pool:
            parts = pool.map(_work_without, others, chunksize=1)
    finally:
        gc.enable()
        gc.unfreeze()
    return list(dict.fromkeys(found for part in parts for found in part))


def shares_of(bodies: Sequence[Mapping[str, Any]], workers: int = WORKERS) -> list[frozenset[str]]:
    """Divide the logical ids among workers, so that each has about as much text to check."""
    sizes: Counter[str] = Counter()
    for body in bodies:
        for name, resource in body.get("Resources", {}).items():
            # cfn-lint reads names as a subclass of str that no process can send to another.
            sizes[str(name)] += len(str(resource))
    longest_first = sorted(sizes, key=lambda name: (-sizes[name], name))
    return [frozenset(longest_first[index::workers]) for index in range(workers)]


class _Worker:
    """What a forked process holds; the parent's memory, so nothing is sent to it but its share."""

    rules: Rules
    work: Callable[[], list[Any]]


def _begin(rules: Rules, work: Callable[[], list[Any]]) -> None:
    _Worker.rules, _Worker.work = rules, staticmethod(work)


def _work_without(others: frozenset[str]) -> list[Any]:
    rule = _Worker.rules[PROPERTIES]
    check = type(rule).validate

    def check_own(validator: Any, keywords: Any, instance: Any, schema: Any) -> Iterator[Any]:
        # The path is Resources, then the logical id.
        if list(validator.context.path.path)[1:2] and validator.context.path.path[1] in others:
            return
        yield from check(rule, validator, keywords, instance, schema)

    rule.validate = check_own
    try:
        return _Worker.work()
    finally:
        del rule.validate
