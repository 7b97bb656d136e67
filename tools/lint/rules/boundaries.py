"""MLOPS013: a permissions boundary may be broad, but it carries what keeps itself in place."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator

from tools.lint.model import Problem, Rule, Template, named
from tools.lint.policies import is_boundary, statements

# Whoever may do one of these without a denial can step out of the boundary.
DENIED = (
    "iam:CreatePolicyVersion", "iam:CreateRole", "iam:DeletePolicy", "iam:DeletePolicyVersion",
    "iam:DeleteRolePermissionsBoundary", "iam:PutRolePermissionsBoundary", "iam:SetDefaultPolicyVersion",
)  # fmt: skip


def check(template: Template) -> Iterator[Problem]:
    """Find boundaries that miss a denial."""
    for policy in filter(is_boundary, template.resources("AWS::IAM::ManagedPolicy")):
        own = [item for item in statements(template, "boundary") if item.resource is policy]
        denied = [action for item in own if item.effect == "Deny" for action in item.actions]
        missing = [wanted for wanted in DENIED if not any(_covers(action, wanted) for action in denied)]
        if missing:
            yield Problem(policy.name, f"The boundary does not deny {named(missing)}", "add a Deny, narrowed as needed")


def _covers(pattern: str, action: str) -> bool:
    return fnmatch.fnmatchcase(action.lower(), pattern.lower())


RULE = Rule(
    "MLOPS013",
    "A boundary carries its denials",
    "A boundary grants nothing, so it may be broad; one that can be taken off or rewritten is none.",
    check,
)
