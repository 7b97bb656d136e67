"""MLOPS010: no policy grants all that a service can do."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tools.lint.actions import is_service_wide
from tools.lint.model import Problem, Rule, Template, named
from tools.lint.policies import Statement, statements

ROOT = re.compile(r"AWS:(arn:.*:iam::\$?[{}\w:.]+:root|\$\{AWS::AccountId\}|\d{12})")
# AWS's own policies that grant a whole service or account.
MANAGED = re.compile(r":policy/(.*/)?(AdministratorAccess|PowerUserAccess|IAMFullAccess|\w*FullAccess\w*)")


def check(template: Template) -> Iterator[Problem]:
    """Find service-wide actions, NotAction, and AWS's policies that stand for them."""
    for statement in statements(template, "identity", "resource", "key", "trust"):
        if not statement.allows:
            continue
        wide = [action for action in statement.actions if is_service_wide(action) and not _owns_key(statement, action)]
        if wide:
            yield Problem(
                statement.resource.name,
                f"'{statement.label}' allows {named(wide)}",
                "name the actions",
                about=tuple(wide),
            )
        if statement.not_actions:
            message = f"'{statement.label}' allows everything but {named(statement.not_actions)}"
            yield Problem(statement.resource.name, message, "use Action and name what is needed")
    for resource in template.resources("AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group"):
        attached = template.texts(resource.properties.get("ManagedPolicyArns"))
        for arn in filter(MANAGED.search, attached):
            yield Problem(
                resource.name, f"{arn.rpartition('/')[2]} grants a whole service", "write a policy of your own"
            )


def _owns_key(statement: Statement, action: str) -> bool:
    """Tell whether this is the account keeping its key: without it nobody, not even root, could ever change the policy."""
    return statement.kind == "key" and action == "kms:*" and all(map(ROOT.fullmatch, statement.principals))


RULE = Rule(
    "MLOPS010",
    "No service-wide action",
    "An action named by * grants what AWS will invent next year.",
    check,
)
