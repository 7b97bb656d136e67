"""MLOPS003: a policy that lets everybody in says whom it means by a condition."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tools.lint.model import Problem, Rule, Template
from tools.lint.policies import Statement, statements

# Keys that name an account, organization or network. Others, such as kms:ViaService, hold for every account of the world.
NARROWING = {
    "aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths", "aws:sourceaccount",
    "aws:sourcearn", "aws:sourceorgid", "aws:sourceorgpaths", "aws:sourceowner", "aws:sourcevpc", "aws:sourcevpce",
    "aws:userid", "kms:calleraccount", "s3:dataaccesspointaccount",
}  # fmt: skip
OPERATORS = re.compile(r"(foranyvalue:)?(stringequals(ignorecase)?|stringlike|arnequals|arnlike)", re.IGNORECASE)
MEND = "name account roots as Principal, or add a condition on aws:PrincipalAccount or aws:PrincipalOrgID"


def check(template: Template) -> Iterator[Problem]:
    """Find statements that allow every principal, and function permissions that any account's service may use."""
    for statement in statements(template, "identity", "resource", "key", "trust"):
        if statement.allows and "*" in statement.principals and not _narrowed(template, statement):
            yield Problem(statement.resource.name, f"'{statement.label}' lets every account of the world in", MEND)
    for permission in template.resources("AWS::Lambda::Permission"):
        (principal, *_) = template.texts(permission.properties.get("Principal"))
        keys = ("PrincipalOrgID",) if principal == "*" else ("SourceArn", "SourceAccount")
        by_service = principal == "*" or principal.endswith(".amazonaws.com") or principal.endswith("${AWS::URLSuffix}")
        if by_service and not any(key in permission.properties for key in keys):
            yield Problem(
                permission.name, f"Any account can have {principal} call the function", f"set {' or '.join(keys)}"
            )


def _narrowed(template: Template, statement: Statement) -> bool:
    return any(
        OPERATORS.fullmatch(operator) and key.lower() in NARROWING and _names_somebody(template.texts(value))
        for operator, keys in statement.condition.items()
        if isinstance(keys, Mapping)
        for key, value in keys.items()
    )


def _names_somebody(values: list[Any]) -> bool:
    def named(value: str) -> bool:
        # In an ARN the account is the fifth part; arn:aws:iam::*:role/x is a role of any account.
        parts = value.split(":", 5)
        asked = parts[4] if value.startswith("arn:") and len(parts) == 6 else value
        return bool(asked.strip("*?")) or (value.startswith("arn:") and ":s3:::" in value)

    return bool(values) and all(named(re.sub(r"\$\{[^}]*\}", "x", value)) for value in values)


RULE = Rule(
    "MLOPS003",
    "No policy is open to everybody",
    "Principal * with a condition that does not name an account, an organization or a network is a public resource.",
    check,
)
