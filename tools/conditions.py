"""Evaluate a template's Conditions and Rules for given parameter values in a region. Pure: no files, no AWS calls.

What hangs on something only AWS knows (a parameter without value, an attribute of a resource) is undecided, not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from generators.kit.publishing import PARTITIONS, partition
from tools.errors import MlopsError

Body = Mapping[str, Any]


class Undecided(MlopsError):
    """Conditions hang on values that were not given."""

    def __init__(self, names: Sequence[str], missing: Sequence[str]) -> None:
        self.names, self.missing = tuple(names), tuple(missing)
        super().__init__(
            f"The conditions {', '.join(names)} can't be decided. "
            f"Give the parameters {', '.join(missing) or 'they use'} a value or a default."
        )


class _Unknown:
    def __repr__(self) -> str:
        return "<unknown>"


UNKNOWN = _Unknown()


def created(template: Body, parameters: Mapping[str, str], region: str) -> dict[str, str]:
    """Give logical id and type of what these values create there. Raises Undecided when a condition stays open."""
    asked = _Evaluation(template, parameters, region)
    open_names = [name for name in template.get("Conditions", {}) if asked.holds(name) is None]
    used = {body.get("Condition") for body in template["Resources"].values()}
    if blocking := sorted(set(open_names) & used):
        raise Undecided(blocking, asked.missing())
    return {name: body["Type"] for name, body in template["Resources"].items() if asked.makes(body)}


def possible(template: Body, region: str) -> dict[str, str]:
    """Give logical id and type of what any values could create there."""
    asked = _Evaluation(template, {}, region, defaults=False)
    return {name: body["Type"] for name, body in template["Resources"].items() if asked.makes(body) is not False}


def conditions(template: Body, parameters: Mapping[str, str], region: str) -> dict[str, bool | None]:
    """Give the value of every condition, None where it can't be decided."""
    asked = _Evaluation(template, parameters, region)
    return {name: asked.holds(name) for name in template.get("Conditions", {})}


def refused(template: Body, parameters: Mapping[str, str], region: str) -> list[str]:
    """Give the sentences of the Rules that refuse these values there; an undecided assertion refuses nothing."""
    asked = _Evaluation(template, parameters, region)
    sentences = []
    for rule in template.get("Rules", {}).values():
        if asked.truth(rule.get("RuleCondition", True)) is False:
            continue
        for check in rule["Assertions"]:
            if asked.truth(check["Assert"]) is False:
                sentences.append(str(check.get("AssertDescription", "")))
    return sentences


def nested(template: Body) -> dict[str, str]:
    """Give the templates of ours that this one nests: logical id to template name."""
    urls = {
        name: str(body["Properties"].get("TemplateURL"))
        for name, body in template["Resources"].items()
        if body["Type"] == "AWS::CloudFormation::Stack"
    }
    found = {name: re.search(r"/templates/([\w-]+)\.yaml", url) for name, url in urls.items()}
    return {name: match[1] for name, match in found.items() if match}


def nested_values(template: Body, parameters: Mapping[str, str], region: str) -> dict[str, dict[str, str]]:
    """Give the templates of ours that these values nest there, each with its parameters as far as they are decided."""
    asked = _Evaluation(template, parameters, region)
    made = created(template, parameters, region)
    values = {}
    for logical, name in nested(template).items():
        if logical in made:
            given = template["Resources"][logical]["Properties"].get("Parameters", {})
            resolved = {key: asked.resolve(value) for key, value in given.items()}
            values[name] = {key: value for key, value in resolved.items() if isinstance(value, str)}
    return values


def launched_in(name: str, templates: Mapping[str, Body], regions: Sequence[str]) -> tuple[str, ...]:
    """Give the regions where a template can be launched: all, or where one that nests it can make it.

    CloudFormation refuses a template that names a type the region lacks, whatever its conditions say; so such types stand in
    nested templates, which are only read where their own condition holds."""
    parents = {other: body for other, body in templates.items() if other != name and name in nested(body).values()}
    if not parents:
        return tuple(regions)

    def reaches(other: str, body: Body, region: str) -> bool:
        made = possible(body, region)
        ids = [logical for logical, child in nested(body).items() if child == name]
        return any(logical in made for logical in ids) and region in launched_in(other, templates, regions)

    return tuple(region for region in regions if any(reaches(other, body, region) for other, body in parents.items()))


class _Evaluation:
    """One evaluation: a template, values and a region; conditions are worked out once each."""

    def __init__(self, template: Body, parameters: Mapping[str, str], region: str, *, defaults: bool = True) -> None:
        self.template = template
        self.region = region
        self.given = parameters
        self.values = {
            name: _parameter(name, body, parameters, defaults) for name, body in template.get("Parameters", {}).items()
        }
        self.done: dict[str, bool | None] = {}

    def missing(self) -> list[str]:
        return sorted(name for name, value in self.values.items() if value is UNKNOWN)

    def makes(self, resource: Body) -> bool | None:
        return self.holds(resource["Condition"]) if "Condition" in resource else True

    def holds(self, name: str) -> bool | None:
        if name not in self.done:
            self.done[name] = self.truth(self.template["Conditions"][name])
        return self.done[name]

    def truth(self, value: Any) -> bool | None:
        """Evaluate a condition function; None is undecided."""
        if isinstance(value, bool) or value is None:
            return value
        if not isinstance(value, Mapping) or len(value) != 1:
            return None
        ((name, inner),) = value.items()
        match name:
            case "Condition":
                return self.holds(inner)
            case "Fn::Not":
                found = self.truth(inner[0])
                return None if found is None else not found
            case "Fn::And":
                return _all([self.truth(item) for item in inner])
            case "Fn::Or":
                found = _all([_not(self.truth(item)) for item in inner])
                return _not(found)
            case "Fn::Equals":
                left, right = self.resolve(inner[0]), self.resolve(inner[1])
                return None if UNKNOWN in (left, right) else left == right
            case "Fn::Contains":
                return self._each(any, [inner[1]], inner[0])
            case "Fn::EachMemberIn":
                return self._each(all, inner[0], inner[1])
            case "Fn::EachMemberEquals":
                return self._each(all, inner[0], [inner[1]])
            case _:
                return None

    def _each(self, quantifier: Any, members: Any, allowed: Any) -> bool | None:
        ours, theirs = self._list(members), self._list(allowed)
        if ours is None or theirs is None:
            return None
        return bool(quantifier(member in theirs for member in ours))

    def _list(self, value: Any) -> list[Any] | None:
        found = self.resolve(value)
        if isinstance(found, str):
            found = found.split(",")
        return None if found is UNKNOWN or UNKNOWN in found else list(found)

    def resolve(self, value: Any) -> Any:
        """Give the value of an expression: text, a list of texts, or UNKNOWN."""
        if isinstance(value, (list, tuple)):
            return [self.resolve(item) for item in value]
        if not isinstance(value, Mapping):
            return _text(value)
        if len(value) != 1:
            return UNKNOWN
        ((name, inner),) = value.items()
        match name:
            case "Ref":
                return self.values.get(inner, self._pseudo(inner))
            case "Fn::If":
                found = self.holds(inner[0])
                return UNKNOWN if found is None else self.resolve(inner[1] if found else inner[2])
            case "Fn::FindInMap":
                return self._mapped(inner)
            case "Fn::Sub":
                return self._sub(inner)
            case "Fn::Join":
                parts = self._list(inner[1])
                return UNKNOWN if parts is None else inner[0].join(parts)
            case "Fn::Split":
                whole = self.resolve(inner[1])
                return UNKNOWN if whole is UNKNOWN else whole.split(inner[0])
            case "Fn::Select":
                index, parts = self.resolve(inner[0]), self._list(inner[1])
                return UNKNOWN if index is UNKNOWN or parts is None or int(index) >= len(parts) else parts[int(index)]
            case _:
                return UNKNOWN

    def _pseudo(self, name: str) -> Any:
        known = {
            "AWS::Region": self.region,
            "AWS::Partition": partition(self.region),
            "AWS::URLSuffix": PARTITIONS[partition(self.region)][0],
        }
        return known.get(name, UNKNOWN)

    def _mapped(self, inner: Sequence[Any]) -> Any:
        keys = [self.resolve(key) for key in inner[:3]]
        if UNKNOWN in keys:
            return UNKNOWN
        row = self.template.get("Mappings", {}).get(keys[0], {}).get(keys[1], {})
        if keys[2] in row:
            return self.resolve(row[keys[2]])
        if len(inner) == 4 and "DefaultValue" in inner[3]:
            return self.resolve(inner[3]["DefaultValue"])
        return UNKNOWN

    def _sub(self, inner: Any) -> Any:
        template, own = (inner, {}) if isinstance(inner, str) else (inner[0], inner[1])
        parts = re.split(r"\$\{(!?[^}]+)\}", template)
        for index in range(1, len(parts), 2):
            name = parts[index].strip()
            if name.startswith("!"):
                parts[index] = f"${{{name[1:]}}}"
            else:
                parts[index] = self.resolve(own.get(name, {"Ref": name}))
        return UNKNOWN if UNKNOWN in parts else "".join(parts)


def _parameter(name: str, body: Body, given: Mapping[str, str], defaults: bool) -> Any:
    kind = str(body["Type"])
    if kind.startswith("AWS::SSM::Parameter::Value"):
        return UNKNOWN
    if name in given:
        value: Any = given[name]
    elif defaults and "Default" in body:
        value = body["Default"]
    else:
        return UNKNOWN
    return _text(value).split(",") if kind.startswith("List<") or kind == "CommaDelimitedList" else _text(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _all(values: Iterable[bool | None]) -> bool | None:
    found = list(values)
    if False in found:
        return False
    return None if None in found else True
