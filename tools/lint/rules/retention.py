"""MLOPS006: what holds data outlives its stack."""

from __future__ import annotations

from collections.abc import Iterator

from tools.lint.holding import DECIDED, HOLDS_DATA
from tools.lint.model import Problem, Rule, Template

KEEPS = {
    "DeletionPolicy": ("RetainExceptOnCreate", "Retain", "Snapshot"),
    "UpdateReplacePolicy": ("Retain", "Snapshot"),
}


def check(template: Template) -> Iterator[Problem]:
    """Find data that goes with its stack, and logs and queues about which nobody decided."""
    for resource in template.resources():
        for policy, keeping in KEEPS.items():
            value = resource.body.get(policy)
            if resource.type in HOLDS_DATA and value not in keeping:
                mend = f"add it with holds_data=True, or set {policy} to {keeping[0]}"
                yield Problem(resource.name, f"{resource.type} holds data, {policy} is {value or 'not set'}", mend)
            elif resource.type in DECIDED and value is None:
                mend = f"set {policy} to Retain or Delete"
                yield Problem(resource.name, f"{resource.type} has no {policy}", mend)


RULE = Rule(
    "MLOPS006",
    "Data survives its stack",
    "A deleted or replaced stack must never take data along. A failed first creation leaves nothing: RetainExceptOnCreate.",
    check,
)
