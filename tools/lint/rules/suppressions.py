"""MLOPS001: what is accepted is accepted on one resource, by name of the rule, with a reason."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tools.lint.model import Problem, Rule, Template

CFN_LINT = re.compile(r"[EWI]\d{4}")
# Rules of other scanners, so that one place answers them all.
OTHERS = re.compile(r"CKV2?_AWS_\d+|AwsSolutions-[A-Z]+\d+|SageMaker\.\d+")
WORDS = 4


def check(template: Template) -> Iterator[Problem]:
    """Find suppressions for a whole template, without a reason, or of rules that nobody has."""
    from tools.lint.rules import rules

    own = {rule.id for rule in rules()}
    for name in {"cfn-lint", "cfn_nag", "checkov"} & set(template.body.get("Metadata", {})):
        yield Problem(f"Metadata/{name}", "The template suppresses findings as a whole", "accept each on its resource")
    for resource in template.resources():
        metadata = resource.body.get("Metadata", {})
        for rule, reason in resource.accepted.items():
            if rule not in own and not CFN_LINT.fullmatch(rule) and not OTHERS.fullmatch(rule):
                yield Problem(
                    resource.name, f"There is no rule {rule}", f"name one of cfn-lint's or {min(own)} to {max(own)}"
                )
            if len(str(reason).split()) < WORDS:
                yield Problem(
                    resource.name, f"{rule} is accepted without a reason", "write one that a reviewer can argue with"
                )
        ignored = metadata.get("cfn-lint", {}).get("config", {}).get("ignore_checks", [])
        for rule in sorted(set(ignored) - set(resource.accepted)):
            yield Problem(resource.name, f"{rule} is ignored without a reason", "name it in accept= with the reason")


RULE = Rule(
    "MLOPS001",
    "Suppressions have a reason",
    "A finding that is right today hides the wrong one of tomorrow, unless it is accepted where it is, and why.",
    check,
)
