"""MLOPS007: keys rotate."""

from __future__ import annotations

from collections.abc import Iterator

from tools.lint.model import Problem, Rule, Template, is_true

# Asymmetric and HMAC keys can't rotate by themselves: https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html
SYMMETRIC = (None, "SYMMETRIC_DEFAULT")


def check(template: Template) -> Iterator[Problem]:
    """Find symmetric keys without rotation."""
    for key in template.resources("AWS::KMS::Key"):
        symmetric = any(value in SYMMETRIC for value in template.values(key.properties, "KeySpec"))
        if symmetric and not all(map(is_true, template.values(key.properties, "EnableKeyRotation"))):
            yield Problem(key.name, "The key does not rotate", "set EnableKeyRotation to true")


RULE = Rule("MLOPS007", "Keys rotate", "A key that leaked once must not open what is written a year later.", check)
