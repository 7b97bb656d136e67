"""MLOPS016: an event that a function could not handle is kept."""

from __future__ import annotations

from collections.abc import Iterator

from tools.lint.model import Problem, Rule, Template


def check(template: Template) -> Iterator[Problem]:
    """Find functions with neither a dead-letter queue nor a destination for failures."""
    kept = set()
    for config in template.resources("AWS::Lambda::EventInvokeConfig"):
        if all(template.values(config.properties, "DestinationConfig/OnFailure/Destination")):
            kept.update(template.texts(config.properties.get("FunctionName")))
    for function in template.resources("AWS::Lambda::Function"):
        own = all(template.values(function.properties, "DeadLetterConfig/TargetArn"))
        if not own and not kept & {f"${{{function.name}}}", f"${{{function.name}.Arn}}"}:
            mend = (
                "give it a queue for failures, or accept it with the reason why nothing is lost (who sees the failure)"
            )
            yield Problem(function.name, "Events that the function fails on are gone", mend)


RULE = Rule(
    "MLOPS016",
    "Failed events are kept",
    "Lambda tries an event three times and drops it; without a queue nobody ever learns of it.",
    check,
)
