"""Nothing outgrows what AWS takes: templates, names, policies and values, at the longest inputs, in the region with the longest
name.

What the registry schemas say of lengths and patterns is checked as they say it; what they don't, by proofs/maxima.py."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from generators.kit import regions
from generators.kit.publishing import partition
from generators.kit.registry import Rendered
from proofs import arns, maxima
from proofs.context import tags_of
from proofs.errors import NothingToProve, Unresolved
from proofs.inputs import LONG, longest_values
from proofs.maxima import CFN, PLAIN, Limit
from proofs.report import Finding, Outcome
from proofs.resolver import DYNAMIC, Resource, Stack, World
from proofs.scene import Library, launched, library
from tools.lint.rules import sizes

NAME = "limits"


@dataclass(frozen=True)
class Check:
    """Something measured against a limit of the tables."""

    where: str
    limit: Limit
    size: int
    mend: str

    @property
    def finding(self) -> Finding | None:
        """Give what does not hold, None when it holds."""
        limit = self.limit
        if self.size <= limit.most:
            return None
        what = f"{limit.what}: {self.size:,} {limit.unit}, at most {limit.most:,} ({limit.source})"
        return Finding(self.where, what, self.mend)


@dataclass
class Measured:
    """What was measured so far: the largest at each place, and which resources were held against their schema."""

    checks: dict[tuple[str, str], Check] = field(default_factory=dict)
    by_schema: set[str] = field(default_factory=set)
    findings: dict[Finding, None] = field(default_factory=dict)
    templates: set[str] = field(default_factory=set)

    def keep(self, found: Check | Finding) -> None:
        """Keep a finding; a check only when nothing larger was measured there."""
        if isinstance(found, Finding):
            self.findings[found] = None
            return
        key = (found.where, found.limit.what)
        if key not in self.checks or self.checks[key].size < found.size:
            self.checks[key] = found

    def outcome(self, note: str) -> Outcome:
        """Give the outcome."""
        findings = [*self.findings, *(found for found in (check.finding for check in self.checks.values()) if found)]
        nearest = max(self.checks.values(), key=lambda check: check.size / check.limit.most)
        return Outcome(
            len(self.checks) + len(self.by_schema),
            len(self.checks),
            tuple(sorted(findings)),
            f"{note}; nearest: {nearest.limit.what} of {nearest.where}, {nearest.size:,} of {nearest.limit.most:,}",
        )


def run(given: Library | None = None) -> Outcome:
    """Prove it for every template. Raises MissingData, NothingToProve."""
    held = given or library()
    if not held.rendered:
        raise NothingToProve("There is no template. Add a generator, then run it again.")
    region, measured = _region(), Measured()
    for item in held.rendered:
        for check in _of_template(item):
            measured.keep(check)
    world = held.world(region)
    # The products after the base: they read what it publishes at its longest.
    for item in sorted(held.rendered, key=lambda item: (bool(item.stack.product), item.stack.name)):
        if item.stack.nested_in:
            continue
        try:
            world = _measure(held, item, world, measured)
        except Unresolved as error:
            sentence, _, mend = str(error).rpartition(". ")
            measured.keep(Finding(item.stack.name, sentence, mend))
    for name in sorted(set(held.bodies) - measured.templates):
        measured.keep(
            Finding(name, "no values launch it, so nothing is known of its sizes", "give a trial that nests it")
        )
    return measured.outcome(f"at the longest inputs, in {region}; registry schemas of {held.registry.date[:10]}")


def _region() -> str:
    """Give the launch region with the longest name, of those that lack least."""
    offered = [region for region in regions.launch_regions() if partition(region.name) == "aws"]
    return max(offered, key=lambda region: (len(region.name), -len(region.lacks), region.name)).name


def _measure(held: Library, item: Rendered, world: World, measured: Measured) -> World:
    """Measure a template and those within it, and give the world in which it stands at its longest."""
    name = launched(world.place.account, len(measured.templates)) if item.stack.product else "n" * maxima.STACK_NAME
    stacks = [Stack(world, item.stack.name, values, name) for values in longest_values(held, item, world, name)]
    for stack in stacks:
        measured.templates.update(part.template for part in stack.stacks())
        for found in _Launched(held, stack).checks():
            measured.keep(found)
        measured.by_schema.update(_where(r) for r in stack.everything() if _schema_of(held, r))
    return world.after(stacks[0])


def _of_template(item: Rendered) -> Iterator[Check]:
    """Measure what does not hang on values."""
    name, source, body = item.stack.name, item.generator.source, item.body
    split, bytes_ = f"split {source}", len(item.text.encode())
    yield Check(name, Limit("template", sizes.TEMPLATE, CFN, "bytes"), bytes_, split)
    target = Limit("template, by the house's own target", sizes.TEMPLATE_TARGET, "docs/house-rules.md", "bytes")
    yield Check(name, target, bytes_, split)
    described = len(str(body.get("Description", "")).encode())
    yield Check(name, Limit("description", 1_024, CFN, "bytes"), described, f"shorten the summary in {source}")
    for section, most in maxima.SECTIONS.items():
        yield Check(name, Limit(section.lower(), most, CFN, "entries"), len(body.get(section, {})), split)
        for entry in body.get(section, {}):
            limit = Limit("name in the template", maxima.LOGICAL_ID, CFN)
            yield Check(f"{name}:{entry}", limit, len(entry), f"rename it in {source}")
    for mapping, rows in body.get("Mappings", {}).items():
        limit = Limit(f"attributes of the mapping {mapping}", maxima.ATTRIBUTES, CFN, "entries")
        yield Check(name, limit, len(rows), f"split it in {source}")
    references = len(DYNAMIC.findall(json.dumps(body)))
    mend = f"take values by parameters of type AWS::SSM::Parameter::Value<String> in {source}"
    yield Check(name, Limit("dynamic references", maxima.REFERENCES, CFN, "references"), references, mend)


class _Launched:
    """One template launched at its longest."""

    def __init__(self, held: Library, stack: Stack) -> None:
        self.held, self.stack = held, stack
        self.standing = list(stack.everything())

    def checks(self) -> Iterator[Check | Finding]:
        """Measure everything that stands."""
        for resource in self.standing:
            schema = _schema_of(self.held, resource)
            for problem in schema.problems(resource.properties) if schema else ():
                what = f"{problem[:300]} (registry schema of {resource.type})"
                yield Finding(_where(resource), what, self._shorten(resource, problem))
            yield from self._by_tables(resource)
            if resource.type == "AWS::IAM::Role":
                yield from self._role(resource)
        for part in self.stack.stacks():
            source = self.held.cards[part.template].generator.source
            for name, value in part.parameters.items():
                text = ",".join(value) if isinstance(value, list) else str(value)
                limit = Limit("value of a parameter", maxima.PARAMETER_VALUE, CFN, "bytes")
                yield Check(
                    f"{part.template}:{name}",
                    limit,
                    len(text.encode()),
                    f"shorten it for {source}{self._made_of(text)}",
                )

    def _by_tables(self, resource: Resource) -> Iterator[Check]:
        where = _where(resource)
        for (type_, path), limit in maxima.TEXTS.items():
            if resource.type == type_ and (value := _at(resource.properties, path)) is not None:
                yield Check(where, limit, _MEASURES[limit.unit](value), self._shorten(resource, value))
        if resource.type in maxima.NAMES and _at(resource.properties, "/".join(arns.NAMES[resource.type])) is not None:
            yield Check(where, maxima.NAMES[resource.type], len(resource.name), self._shorten(resource, resource.name))
        if resource.type == "AWS::SSM::Parameter" and resource.properties["Name"].endswith("/settings"):
            settings = json.loads(resource.properties["Value"])
            for name, limit in maxima.NAMED_LATER.items():
                if name in settings:
                    yield Check(
                        f"{where} ({name})", limit, len(settings[name]), self._shorten(resource, settings[name])
                    )
        if tags := tags_of(resource):
            yield Check(where, maxima.TAGS, len(tags), self._shorten(resource, ""))
            yield Check(where, maxima.TAG_KEY, max(map(len, tags)), self._shorten(resource, ""))
            longest = max(tags.values(), key=len)
            yield Check(where, maxima.TAG_VALUE, len(longest), self._shorten(resource, longest))

    def _role(self, role: Resource) -> Iterator[Check]:
        inline = [item["PolicyDocument"] for item in role.properties.get("Policies", ())]
        managed = list(role.properties.get("ManagedPolicyArns", ()))
        for item in self.standing:
            if item.type == "AWS::IAM::RolePolicy" and item.properties["RoleName"] == role.name:
                inline.append(item.properties["PolicyDocument"])
            if item.type == "AWS::IAM::ManagedPolicy" and role.name in item.properties.get("Roles", ()):
                managed.append(str(item.arn))
        where = _where(role)
        yield Check(where, maxima.INLINE, sum(map(_without_space, inline)), self._shorten(role, inline))
        yield Check(where, maxima.POLICIES_OF_ROLE, len(managed), self._shorten(role, ""))
        if f"{role.name}&" in self._links:
            size = len(role.properties.get("Path", "/")) + len(role.name)
            yield Check(where, maxima.SWITCHED, size, f"give it a short RoleName or path in {self._source(role)}")

    @cached_property
    def _links(self) -> str:
        """Give the outputs that are links by which a person takes a role."""
        outputs = [str(value) for part in self.stack.stacks() for value in part.outputs.values()]
        return "\n".join(value for value in outputs if maxima.SWITCH in value)

    def _shorten(self, resource: Resource, value: Any) -> str:
        return f"shorten it in {self._source(resource)}{self._made_of(value)}"

    def _source(self, resource: Resource) -> str:
        return self.held.cards[resource.stack.template].generator.source

    def _made_of(self, value: Any) -> str:
        """Say which long inputs a value is made of, for whoever looks for what to bound."""
        text = _written(value).replace('","', ",")
        long = [
            name
            for name in self.stack.body.get("Parameters", {})
            if len(given := self.stack.given(name)) > LONG and given in text
        ]
        if len(self.stack.stack_name) == maxima.STACK_NAME and self.stack.stack_name in text:
            long.append("the stack's name")
        return f"; long here: {', '.join(long)}" if long else ""


def _where(resource: Resource) -> str:
    return f"{resource.stack.template}:{resource.logical_id}"


def _schema_of(held: Library, resource: Resource) -> Any:
    return None if resource.is_custom else held.registry.get(resource.stack.world.place.region, resource.type)


def _without_space(value: Any) -> int:
    return len(re.sub(r"\s", "", _written(value)))


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


_MEASURES: Mapping[str, Callable[[Any], int]] = {
    "bytes": lambda value: len(_written(value).encode()),
    "characters": lambda value: len(_written(value)),
    PLAIN: _without_space,
}


def _at(properties: Any, path: str) -> Any:
    for step in path.split("/"):
        properties = properties.get(step) if isinstance(properties, Mapping) else None
    return properties
