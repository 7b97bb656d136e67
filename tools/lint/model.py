"""What rules are written with: a template with its intrinsic functions opened, a rule, and what it finds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

NO_VALUE = {"Ref": "AWS::NoValue"}


@dataclass(frozen=True)
class Problem:
    """What a rule found. `where` is a logical id, or `Section/Name`; `about` is what a reason has to name to accept it."""

    where: str
    message: str
    mend: str
    severity: str = "error"
    about: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """A rule of our own: `why` is for the person who meets it the first time."""

    id: str
    title: str
    why: str
    check: Callable[[Template], Iterator[Problem]] = field(repr=False)


@dataclass(frozen=True, order=True)
class Finding:
    """A problem or a match of cfn-lint, as it is printed. `line` is 0 where there is none."""

    template: str
    where: str
    rule: str
    message: str
    mend: str
    severity: str = "error"
    line: int = 0

    def __str__(self) -> str:
        return f"{self.template}:{self.where or '-'}: {self.rule} {self.message}  -> {self.mend}"


@dataclass(frozen=True)
class Resource:
    """A resource of a template. `accepted` maps rules to the reason why their finding is right here."""

    name: str
    type: str
    properties: Mapping[str, Any]
    body: Mapping[str, Any]

    @property
    def accepted(self) -> Mapping[str, str]:
        """Give the accepted findings."""
        found: Mapping[str, str] = self.body.get("Metadata", {}).get("MlopsAccepted", {})
        return found


@dataclass(frozen=True)
class Template:
    """A template: its name as it is printed, its bytes as text, its body, and the regions where it can be launched."""

    name: str
    text: str
    body: Mapping[str, Any]
    regions: tuple[str, ...] = ()

    @cached_property
    def _resources(self) -> list[Resource]:
        return [
            Resource(name, str(body["Type"]), body.get("Properties", {}), body)
            for name, body in self.body.get("Resources", {}).items()
        ]

    def resources(self, *types: str) -> list[Resource]:
        """Give the resources of these types, or all."""
        return [resource for resource in self._resources if not types or resource.type in types]

    def branches(self, value: Any, under_if: bool = False) -> Iterator[Any]:
        """Give every value that Fn::If and defaults of parameters can make of this one; None stands for no value.

        Under an Fn::If an empty default does not count: that it is given is what the condition asks."""
        if isinstance(value, Mapping) and len(value) == 1:
            ((function, inner),) = value.items()
            if function == "Fn::If":
                yield from self.branches(inner[1], under_if=True)
                yield from self.branches(inner[2], under_if=True)
                return
            if value == NO_VALUE:
                yield None
                return
            if function == "Ref" and inner in self.body.get("Parameters", {}):
                asked = self.body["Parameters"][inner]
                known = [*asked.get("AllowedValues", []), *([asked["Default"]] if "Default" in asked else [])]
                yield from dict.fromkeys(str(item) for item in known if item != "" or not under_if)
                if not asked.get("AllowedValues"):
                    yield value
                return
        yield value

    def items(self, value: Any) -> Iterator[Any]:
        """Give the members of a list, through Fn::If around it and within it; a single value is a list of one."""
        for branch in self.branches(value):
            if isinstance(branch, (list, tuple)):
                for item in branch:
                    yield from self.items(item)
            elif branch is not None:
                yield branch

    def values(self, value: Any, path: str) -> Iterator[Any]:
        """Give what stands below `value` at a path such as `Rules/*/Id`, in every branch; None where nothing does."""
        step, _, rest = path.partition("/")
        for branch in self.branches(value):
            if step == "*":
                inner = list(self.items(branch)) if branch is not None else []
            else:
                inner = [branch.get(step)] if isinstance(branch, Mapping) else []
            for item in inner or [None]:
                yield from self.values(item, rest) if rest else self.branches(item)

    def texts(self, value: Any) -> list[str]:
        """Give the texts a value or list can be, with references as `${Name}`: a wildcard in a Fn::Sub is seen."""
        return list(dict.fromkeys(text for item in self.items(value) for text in self._text(item)))

    def _text(self, value: Any) -> list[str]:
        if not isinstance(value, Mapping):
            return [str(value)]
        ((function, inner), *_) = value.items()
        if function == "Ref":
            return [f"${{{inner}}}"]
        if function == "Fn::GetAtt":
            return [f"${{{inner if isinstance(inner, str) else '.'.join(map(str, inner))}}}"]
        if function == "Fn::Sub":
            return self._sub(inner)
        if function == "Fn::Join" and isinstance(inner[1], (list, tuple)):
            joined = [""]
            for index, part in enumerate(inner[1]):
                glue = inner[0] if index else ""
                joined = [f"{start}{glue}{text}" for start in joined for text in self.texts(part) or [""]]
            return joined
        if function == "Fn::Split":
            return [part for text in self.texts(inner[1]) for part in text.split(inner[0])]
        if function == "Fn::FindInMap":
            return [f"${{{'.'.join(self.texts(list(inner[:3])))}}}"]
        return [f"${{{function}}}"]

    def _sub(self, inner: Any) -> list[str]:
        pattern, own = (inner, {}) if isinstance(inner, str) else (inner[0], inner[1])
        found = [str(pattern)]
        for name in dict.fromkeys(re.findall(r"\$\{([^!}]+)\}", pattern)):
            asked = self.body.get("Parameters", {}).get(name, {})
            # Only a wildcard in a default matters to a reader of policies; else the name says more than the value.
            plain = [str(asked["Default"])] if "*" in str(asked.get("Default", "")) else [f"${{{name}}}"]
            texts = self.texts(own[name]) if name in own else plain
            found = [start.replace(f"${{{name}}}", text) for start in found for text in texts or [""]]
        return found


def strings(value: Any) -> Iterator[str]:
    """Give every text in a value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from strings(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from strings(inner)


def is_true(value: Any) -> bool:
    """Tell whether a property is on: templates write booleans as true and as 'true'."""
    return value is True or str(value).lower() == "true"


def named(names: Iterable[str], limit: int = 6) -> str:
    """Join names for a message, the first few of many."""
    found = list(names)
    return ", ".join(found[:limit]) + (f" and {len(found) - limit} more" if len(found) > limit else "")
