"""MLOPS020: a template names only types that every region has where it can be launched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tools.lint.model import Problem, Rule, Template, named
from tools.lint.schemas import types_in


def check(template: Template) -> Iterator[Problem]:
    """Find types that a region lacks, whatever the condition of the resource says."""
    lacking: dict[str, list[str]] = defaultdict(list)
    for region in template.regions:
        for resource in template.resources():
            if resource.type.startswith("AWS::") and resource.type not in types_in(region):
                lacking[resource.name].append(region)
    for name, regions in lacking.items():
        mend = "nest it in a template of its own, under a condition of the region (see tools/region_sources.json)"
        yield Problem(name, f"The type is not there in {named(regions)}", mend)


RULE = Rule(
    "MLOPS020",
    "Every launch region knows every type",
    "CloudFormation refuses a template that names an unknown type, even under a condition that is false there.",
    check,
)
