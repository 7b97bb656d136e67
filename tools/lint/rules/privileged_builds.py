"""MLOPS021: a build that is privileged says why."""

from __future__ import annotations

from collections.abc import Iterator

from tools.lint.model import Problem, Rule, Template, is_true


def check(template: Template) -> Iterator[Problem]:
    """Find CodeBuild projects with privileged mode."""
    for project in template.resources("AWS::CodeBuild::Project"):
        if any(map(is_true, template.values(project.properties, "Environment/PrivilegedMode"))):
            yield Problem(
                project.name, "The build is root on its machine", "set PrivilegedMode to false, or say why it needs it"
            )


RULE = Rule(
    "MLOPS021",
    "Builds are not privileged",
    "A build that is root on its machine can take whatever its identity holds: only one that may do next to nothing is worth it.",
    check,
)
