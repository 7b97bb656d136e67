"""Find references in a template that lead nowhere: AWS refuses them, the emulator would hand the bare name on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_PSEUDO = re.compile(r"AWS::(AccountId|NoValue|NotificationARNs|Partition|Region|StackId|StackName|URLSuffix)")


def unresolved(template: Mapping[str, Any], conditions: Mapping[str, bool]) -> list[str]:
    """List the names that nothing answers, per section: unknown ones, and resources whose condition is false."""
    resources: Mapping[str, Any] = template.get("Resources") or {}
    present = {name for name, made in resources.items() if conditions.get(made.get("Condition"), True)}
    outputs = template.get("Outputs") or {}
    wanted = {
        "Resources": [(resources[name].get("Properties"), resources[name].get("DependsOn") or []) for name in present],
        "Outputs": [(out, []) for out in outputs.values() if conditions.get(out.get("Condition"), True)],
    }
    known = present | set(template.get("Parameters") or {})
    found = []
    for section, places in wanted.items():
        missing = {name for value, _ in places for name in _names(value, conditions)} - known
        needed = {name for _, names in places for name in ([names] if isinstance(names, str) else names)}
        missing |= needed - set(resources)  # DependsOn may name a resource whose condition is false
        if left := sorted(name for name in missing if not _PSEUDO.fullmatch(name)):
            found.append(f"[{', '.join(left)}] in the {section} block of the template")
    return found


def _names(value: Any, conditions: Mapping[str, bool]) -> Iterator[str]:
    """Walk what will be evaluated: of Fn::If only the branch that its condition takes."""
    if isinstance(value, list):
        for item in value:
            yield from _names(item, conditions)
    if not isinstance(value, dict):
        return
    for key, argument in value.items():
        if key == "Ref" and isinstance(argument, str):
            yield argument
        elif key == "Fn::GetAtt":
            yield argument.partition(".")[0] if isinstance(argument, str) else str(argument[0])
        elif key == "Fn::Sub":
            body, own = (argument, {}) if isinstance(argument, str) else (argument[0], argument[1])
            names = (name.partition(".")[0].strip() for name in re.findall(r"\$\{([^!}][^}]*)\}", body))
            yield from (name for name in names if name not in own)
            yield from _names(own, conditions)
        elif key == "Fn::If":
            condition, then, otherwise = argument
            if condition not in conditions:
                yield str(condition)
            yield from _names(then if conditions.get(condition) else otherwise, conditions)
        else:
            yield from _names(argument, conditions)
