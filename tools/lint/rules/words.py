"""MLOPS008: whoever launches a template reads what is asked and what came out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tools.lint.model import Problem, Rule, Template


def check(template: Template) -> Iterator[Problem]:
    """Find parameters without label, group or sentence, and outputs without a sentence."""
    form = template.body.get("Metadata", {}).get("AWS::CloudFormation::Interface", {})
    grouped = Counter(name for group in form.get("ParameterGroups", []) for name in group["Parameters"])
    labels = form.get("ParameterLabels", {})
    parameters = template.body.get("Parameters", {})
    for name, body in parameters.items():
        where = f"Parameters/{name}"
        if not str(labels.get(name, {}).get("default", "")).strip():
            yield Problem(where, "The parameter has no label", "add label= to its Question")
        if grouped[name] != 1:
            yield Problem(where, f"The parameter stands in {grouped[name]} groups", "name one group in its Question")
        if not _is_sentence(body.get("Description")):
            yield Problem(
                where,
                "The description is no sentence",
                "write a sentence that begins with a capital and ends with a stop",
            )
        if "AllowedPattern" in body and not str(body.get("ConstraintDescription", "")).strip():
            yield Problem(where, "The pattern is not explained", "add constraint= to its Question")
    for name in sorted((set(grouped) | set(labels)) - set(parameters)):
        yield Problem(f"Metadata/{name}", "The form names a parameter that is not there", "remove it")
    for name, body in template.body.get("Outputs", {}).items():
        if not _is_sentence(body.get("Description")):
            yield Problem(f"Outputs/{name}", "The description is no sentence", "write one, ending with a stop")


def _is_sentence(text: Any) -> bool:
    words = str(text or "").strip()
    return words.endswith(".") and len(words.split()) > 1 and not words[0].islower()


RULE = Rule(
    "MLOPS008",
    "Parameters and outputs explain themselves",
    "The console's form is all the documentation that many people ever see.",
    check,
)
