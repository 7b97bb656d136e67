"""MLOPS017: functions run on a runtime that AWS still supports for a good while."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from tools.lint.model import Problem, Rule, Template
from tools.lint.schemas import runtimes, schema_date

LEFT = timedelta(days=365)


def check(template: Template) -> Iterator[Problem]:
    """Find runtimes that end within a year of the pinned data (not of today: a result never depends on the clock)."""
    today = date.fromisoformat(schema_date())
    for function in template.resources("AWS::Lambda::Function"):
        for runtime in filter(None, template.values(function.properties, "Runtime")):
            facts = runtimes().get(str(runtime))
            ends = facts and facts["deprecated"]
            if facts is None:
                yield Problem(function.name, f"Nobody knows the runtime {runtime}", "name one of AWS's")
            elif ends and date.fromisoformat(ends) < today + LEFT:
                yield Problem(function.name, f"{runtime} ends on {ends}", f"use {facts['successor'] or 'a newer one'}")


RULE = Rule(
    "MLOPS017",
    "Runtimes have a year to go",
    "A release is used for years; a function whose runtime has ended can't be updated any more.",
    check,
)
