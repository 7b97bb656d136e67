"""Rules of our own. Adding a file with a `RULE` adds a rule; nothing lists them."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from tools.lint.model import Rule


@cache
def rules() -> tuple[Rule, ...]:
    """Give every rule, by id. Two rules with one id are a mistake of ours, so that raises."""
    found: dict[str, Rule] = {}
    for module in pkgutil.iter_modules(__path__):
        rule: Rule | None = getattr(importlib.import_module(f"{__name__}.{module.name}"), "RULE", None)
        if rule is None:
            raise ValueError(f"tools/lint/rules/{module.name}.py has no RULE. Add it, or move the module.")
        if rule.id in found:
            raise ValueError(
                f"tools/lint/rules/{module.name}.py: the id {rule.id} is taken. Give it the next free one."
            )
        found[rule.id] = rule
    return tuple(found[name] for name in sorted(found))
