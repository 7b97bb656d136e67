"""MLOPS018: ARNs name the partition of the stack."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tools.lint.model import Problem, Rule, Template, strings

LITERAL = re.compile(r"\barn:aws(-[a-z]+)*:")


def check(template: Template) -> Iterator[Problem]:
    """Find ARNs that hold in one partition only, anywhere in the template."""
    for section in ("Parameters", "Rules", "Mappings", "Conditions", "Resources", "Outputs"):
        for name, body in template.body.get(section, {}).items():
            found = next((text for text in strings(body) if LITERAL.search(text)), None)
            if found is not None:
                where = name if section == "Resources" else f"{section}/{name}"
                yield Problem(where, f"'{found[:60]}' names a partition", "write arn:${AWS::Partition}:... in a Sub")


RULE = Rule(
    "MLOPS018",
    "ARNs use the partition",
    "The same template has to work in the commercial regions, in China and in GovCloud.",
    check,
)
