"""The builder a generator talks to: ask, add, when, rule, publish, consume. It holds the house rules at construction."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from troposphere import AWSHelperFn, AWSObject, Export, Output, Parameter, Ref, Sub, Tags, Template
from troposphere.ssm import Parameter as SsmParameter

from generators.kit.contracts import Contract
from generators.kit.errors import BadName, DuplicateName, IncompleteQuestion, UnknownCondition, UnknownGroup
from generators.kit.parameters import Question
from generators.kit.publishing import version
from generators.kit.stack import Stack

PASCAL = re.compile(r"[A-Z][A-Za-z0-9]*")
Resource = TypeVar("Resource", bound=AWSObject)


class Resolved(AWSHelperFn):  # type: ignore[misc, unused-ignore]
    """A dynamic reference where troposphere holds a property against its own idea of a value."""

    def __init__(self, reference: str) -> None:
        self.data = reference


# Types whose tags are create-only, or were so on earlier schemas: a tag that may change would replace them.
STABLE_TAGS = ("AWS::SageMaker::StudioLifecycleConfig", "AWS::SageMaker::UserProfile")
# What CloudFormation asks a person to tick: names that IAM shows need the stronger word.
NAMED_IAM = ("RoleName", "ManagedPolicyName", "UserName", "GroupName", "InstanceProfileName")


class Builder:
    """Collects one template. `published` and `consumed` are the contracts, `source` the generator's path."""

    def __init__(self, stack: Stack, source: str) -> None:
        self.stack = stack
        self.source = source
        self.template = Template(Description=f"{stack.title}: {stack.summary} (version {version()})")
        self.questions: dict[str, Question] = {}
        self.published: dict[Contract, Any] = {}
        self.consumed: list[Contract] = []
        self.rules: dict[str, dict[str, Any]] = {}
        self.tags: dict[str, Any] = {}

    def ask(self, question: Question) -> Ref:
        """Add a parameter with its label in its group, and give the reference to it."""
        self._check_name("parameter", question.name, self.questions)
        for needed in ("label", "group", "description"):
            if not getattr(question, needed).strip():
                raise IncompleteQuestion(question.name, needed, self.source)
        if question.pattern and not question.constraint:
            raise IncompleteQuestion(question.name, "constraint", self.source)
        if question.group not in self.stack.groups:
            raise UnknownGroup(question.name, question.group, self.stack.groups, self.source)
        self.questions[question.name] = question
        optional = {
            "Default": question.default,
            "AllowedValues": list(question.allowed) or None,
            "AllowedPattern": question.pattern or None,
            "ConstraintDescription": question.constraint or None,
            "MinLength": question.min_length,
            "MaxLength": question.max_length,
            "MinValue": question.min_value,
            "MaxValue": question.max_value,
        }
        given = {key: value for key, value in optional.items() if value is not None}
        self.template.add_parameter(
            Parameter(question.name, Type=question.type, Description=question.description, **given)
        )
        return Ref(question.name)

    def when(self, name: str, condition: Any) -> str:
        """Add a condition and give its name, for `If` and for `add(..., when=)`."""
        if not name.startswith(("Has", "Is", "Creates")):
            raise BadName("condition", name, "a condition begins with Has, Is or Creates", self.source)
        self._check_name("condition", name, self.template.conditions)
        self.template.add_condition(name, condition)
        return name

    def rule(self, name: str, assertions: Sequence[tuple[Any, str]], when: Any | None = None) -> None:
        """Add a rule: what parameters cannot say alone, each assertion with a plain sentence for the person."""
        self._check_name("rule", name, self.rules)
        for _, sentence in assertions:
            if not sentence.endswith("."):
                raise BadName("rule", name, f"'{sentence}' is no sentence", self.source)
        body: dict[str, Any] = {} if when is None else {"RuleCondition": when}
        body["Assertions"] = [{"Assert": check, "AssertDescription": sentence} for check, sentence in assertions]
        self.rules[name] = body

    def mapping(self, name: str, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Add a mapping."""
        self._check_name("mapping", name, self.template.mappings)
        self.template.add_mapping(name, {key: dict(row) for key, row in rows.items()})

    def add(
        self,
        resource: Resource,
        *,
        when: str | None = None,
        after: Iterable[AWSObject | str] = (),
        holds_data: bool | None = None,
        accept: Mapping[str, str] | None = None,
    ) -> Resource:
        """Add a resource with the platform's tags.

        `holds_data` keeps it when the stack goes, unless its own creation failed; False says that losing it is right.
        `accept` names findings of linters that are right here, each with a reason a reviewer can argue with."""
        self._check_name("resource", resource.title, self.template.resources)
        if when is not None:
            resource.resource["Condition"] = when
        later = [item if isinstance(item, str) else item.title for item in after]
        if later:
            resource.resource["DependsOn"] = later if len(later) > 1 else later[0]
        if holds_data is not None:
            resource.resource["DeletionPolicy"] = "RetainExceptOnCreate" if holds_data else "Delete"
            resource.resource["UpdateReplacePolicy"] = "Retain" if holds_data else "Delete"
        if accept:
            resource.resource["Metadata"] = _accepted(accept)
        self._tag(resource)
        self.template.add_resource(resource)
        return resource

    def publish(self, contract: Contract, value: Any, when: str | None = None) -> SsmParameter:
        """Publish a value as output, export and SSM parameter, and give the parameter."""
        if contract in self.published:
            raise DuplicateName("contract", contract.name, self.source)
        self.published[contract] = value
        self.output(contract.name, contract.description, value, when=when, export=True)
        return self.add(
            SsmParameter(f"{contract.name}Parameter", Name=contract.ssm, Type="StringList" if contract.many else "String",
                         Value=value, Description=contract.description),
            when=when,
        )  # fmt: skip

    def tag_all(self, tags: Mapping[str, Any]) -> None:
        """Put these tags on every resource that is added from here on, beside the platform's own."""
        self.tags |= tags

    def consume(self, contract: Contract) -> str:
        """Give a value that another template publishes, as a reference CloudFormation resolves at launch."""
        self.consumed.append(contract)
        return f"{{{{resolve:ssm:{contract.ssm}}}}}"

    def output(self, name: str, description: str, value: Any, *, when: str | None = None, export: bool = False) -> None:
        """Add an output; `export` makes it `${AWS::StackName}-<name>` for other stacks."""
        self._check_name("output", name, self.template.outputs)
        extra: dict[str, Any] = {"Condition": when} if when else {}
        if export:
            extra["Export"] = Export(Sub(f"${{AWS::StackName}}-{name}"))
        self.template.add_output(Output(name, Description=description, Value=value, **extra))

    def finish(self) -> dict[str, Any]:
        """Give the whole template as a dict, with its Metadata and its first two outputs."""
        body: dict[str, Any] = self.template.to_dict()
        for name, resource in body.get("Resources", {}).items():
            # Checked at the end: a section may name a condition that a later one defines.
            if resource.get("Condition") not in (None, *self.template.conditions):
                raise UnknownCondition(name, resource["Condition"], self.source)
        body["AWSTemplateFormatVersion"] = "2010-09-09"
        body["Metadata"] = self._metadata(body)
        if self.rules:
            body["Rules"] = {name: _plain(rule) for name, rule in self.rules.items()}
        body["Outputs"] = {
            "TemplateName": {"Description": "Template this stack was launched from.", "Value": self.stack.name},
            "TemplateVersion": {"Description": "Version of the template.", "Value": version()},
        } | body.get("Outputs", {})
        return body

    def _metadata(self, body: Mapping[str, Any]) -> dict[str, Any]:
        by_group: dict[str, list[str]] = {group: [] for group in self.stack.groups}
        for question in self.questions.values():
            by_group[question.group].append(question.name)
        return {
            "AWS::CloudFormation::Interface": {
                "ParameterGroups": [
                    {"Label": {"default": group}, "Parameters": names} for group, names in by_group.items() if names
                ],
                "ParameterLabels": {name: {"default": item.label} for name, item in self.questions.items()},
            },
            "MlopsTemplate": {
                "Name": self.stack.name,
                "Version": version(),
                "Generator": self.source,
                "Needs": list(self.stack.needs),
                "Account": self.stack.account,
                "Capabilities": capabilities(body),
                "Licence": "MIT-0",
            },
        }

    def _tag(self, resource: AWSObject) -> None:
        kind = resource.props.get("Tags") or resource.props.get("ResourceTags")
        if kind is None or "CostCenter" not in self.questions:
            return
        name = "Tags" if "Tags" in resource.props else "ResourceTags"
        ours: dict[str, Any] = {"CostCenter": Ref("CostCenter"), "mlops:template": self.stack.name, **self.tags}
        if resource.resource_type in STABLE_TAGS:
            del ours["CostCenter"]
        given = resource.properties.get(name)
        if kind[0] is dict:
            setattr(resource, name, {**ours, **(given or {})})
        elif name == "Tags":
            setattr(resource, name, Tags(ours) + given if given else Tags(ours))

    def _check_name(self, kind: str, name: str, taken: Iterable[str]) -> None:
        if not PASCAL.fullmatch(name):
            raise BadName(kind, name, "names are PascalCase letters and digits", self.source)
        if name in taken:
            raise DuplicateName(kind, name, self.source)


def capabilities(body: Mapping[str, Any]) -> list[str]:
    """Tell what a person has to acknowledge at launch, from the resources."""
    iam = [item for item in body["Resources"].values() if item["Type"].startswith("AWS::IAM::")]
    if any(name in item.get("Properties", {}) for item in iam for name in NAMED_IAM):
        return ["CAPABILITY_NAMED_IAM"]
    return ["CAPABILITY_IAM"] if iam else []


def _accepted(accept: Mapping[str, str]) -> dict[str, Any]:
    lint = sorted(rule for rule in accept if re.fullmatch(r"[EWI]\d{4}", rule))
    body: dict[str, Any] = {"MlopsAccepted": dict(sorted(accept.items()))}
    if lint:
        body["cfn-lint"] = {"config": {"ignore_checks": lint}}
    return body


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return _plain(value.to_dict())
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value
