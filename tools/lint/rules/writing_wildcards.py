"""MLOPS011: what writes names what it writes, and where."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tools.lint.actions import is_service_wide, writes
from tools.lint.model import Problem, Rule, Template, named
from tools.lint.policies import Statement, statements

# For actions on identities a kind alone is no bound: role/* is every role of the account.
IDENTITIES = ("iam:", "sts:")


def check(template: Template) -> Iterator[Problem]:
    """Find wildcards that cover writes: in action names anywhere, in resources of identity policies."""
    for statement in statements(template, "identity", "resource", "key", "trust"):
        if not statement.allows:
            continue
        hidden = [
            action for action in writes(statement.actions) if re.search(r"[*?]", action) and not is_service_wide(action)
        ]
        if hidden:
            message = f"'{statement.label}' hides writing actions in {named(hidden)}"
            yield Problem(statement.resource.name, message, "name the actions", about=tuple(hidden))
        # A policy on a bucket, key or topic speaks of that thing alone, even where its Resource is *.
        if statement.kind == "identity":
            yield from _anywhere(statement)


def _anywhere(statement: Statement) -> Iterator[Problem]:
    wild = [resource for resource in statement.resources if _is_anything(resource)]
    kinds = [resource for resource in statement.resources if _is_any_of_a_kind(resource)]
    writing = [action for action in writes(statement.actions) if not is_service_wide(action)]
    found = (
        writing if wild or statement.not_resources else [action for action in writing if kinds and _is_identity(action)]
    )
    if found:
        where = (wild or kinds or ["all but a few"])[0]
        message = f"'{statement.label}' allows {named(found)} on {where}"
        mend = "name the resource; where IAM knows none for the action, accept it with a reason that names the action"
        yield Problem(statement.resource.name, message, mend, about=tuple(found))


def _is_anything(resource: str) -> bool:
    """Tell whether a resource is every resource of a service: the part of the ARN after the account is bare wildcards."""
    return not _last(resource).strip("*?/:")


def _is_any_of_a_kind(resource: str) -> bool:
    kind, _, rest = _last(resource).partition("/")
    return bool(kind) and bool(rest) and not rest.strip("*?/:")


def _last(resource: str) -> str:
    plain = re.sub(r"\$\{[^}]*\}", "x", resource)
    return plain.split(":", 5)[-1] if plain.startswith("arn:") else plain


def _is_identity(action: str) -> bool:
    return action.lower().startswith(IDENTITIES)


RULE = Rule(
    "MLOPS011",
    "No writing wildcard",
    "A role that may write anywhere is the whole account to whoever takes it over.",
    check,
)
