"""MLOPS014: every role and user carries a permissions boundary."""

from __future__ import annotations

from collections.abc import Iterator

from tools.lint.model import Problem, Rule, Template


def check(template: Template) -> Iterator[Problem]:
    """Find roles and users that have no boundary, on every branch."""
    for resource in template.resources("AWS::IAM::Role", "AWS::IAM::User"):
        if any(value in (None, "") for value in template.values(resource.properties, "PermissionsBoundary")):
            yield Problem(resource.name, "The role carries no permissions boundary", "set PermissionsBoundary")


RULE = Rule(
    "MLOPS014",
    "Every role carries the boundary",
    "What a role grants can be changed later; the boundary is the most it can ever become.",
    check,
)
