"""Resolve a rendered template to concrete values: parameters, place and what the account holds in; properties, names and
outputs out. Pure: no file, no call to AWS. Whatever is not known is an error, never a guess."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from generators.kit.publishing import PARTITIONS, partition
from proofs import arns
from proofs.errors import Unresolved
from rehearsal.identity import Identity
from rehearsal.ledger import Request
from rehearsal.schemas import Registry
from tools import conditions

Body = Mapping[str, Any]
ACCOUNT = "123456789012"
STACK = "AWS::CloudFormation::Stack"
DYNAMIC = re.compile(r"\{\{resolve:ssm:([a-zA-Z0-9_.\-/]+)(?::\d+)?\}\}")
TEMPLATE = re.compile(r"/templates/([\w-]+)\.yaml")
_SSM_VALUE = "AWS::SSM::Parameter::Value<"
_NO_VALUE = object()


@dataclass(frozen=True)
class Place:
    """Where a stack is launched."""

    region: str
    account: str = ACCOUNT

    @property
    def partition(self) -> str:
        """Give the partition of the region."""
        return partition(self.region)

    @property
    def suffix(self) -> str:
        """Give the domain of the partition."""
        return PARTITIONS[self.partition][0]

    def arn(self, service: str, resource: str) -> str:
        """Make an ARN of this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"


@dataclass(frozen=True)
class Call:
    """What a custom resource asks for: the function's logical name as its ARN carries it, and the properties."""

    function: str
    properties: Mapping[str, Any]


Answers = Callable[["World", Call], Mapping[str, Any]]


def no_answers(world: World, call: Call) -> Mapping[str, Any]:
    """Know no function's answers."""
    return {}


@dataclass(frozen=True)
class World:
    """What a stack finds: the templates it may nest, SSM parameters (`facts`, by path), exports, and functions that answer."""

    registry: Registry
    templates: Mapping[str, Body]
    place: Place
    facts: Mapping[str, str] = field(default_factory=dict)
    exports: Mapping[str, Any] = field(default_factory=dict)
    answers: Answers = no_answers

    def after(self, *stacks: Stack) -> World:
        """Give the world in which these stacks stand: what they publish can be read."""
        facts, exports = dict(self.facts), dict(self.exports)
        for stack in stacks:
            facts |= stack.published
            exports |= stack.exports
        return replace(self, facts=facts, exports=exports)


@dataclass(frozen=True)
class Resource:
    """A resource that is made: its properties as AWS gets them, and `ref`, what Ref answers."""

    stack: Stack = field(repr=False, compare=False)
    logical_id: str
    type: str
    properties: Mapping[str, Any]
    body: Body = field(repr=False, compare=False)

    @cached_property
    def name(self) -> str:
        """Give the physical name."""
        if self.type == STACK:
            return self.stack.nested_name(self.logical_id)
        return arns.name_of(self.type, self.properties, self.stack.stack_name, self.logical_id)

    @cached_property
    def ref(self) -> str:
        """Give what Ref answers."""
        if self.type in arns.REFS:
            return self._form(arns.REFS[self.type])
        if self.type in arns.NAMES:
            return self.name
        return str(self.identity.physical_id) if self.identity else arns.generated("", *self._place)

    @cached_property
    def arn(self) -> str | None:
        """Give the ARN, None where the type has none."""
        if self.type in arns.ARNS:
            return self._form(arns.ARNS[self.type])
        kind = self.type.rpartition("::")[2]
        found = next((str(self._made[name]) for name in ("Arn", f"{kind}Arn") if name in self._made), None)
        return found and found.replace("arn:aws:", f"arn:{self.stack.world.place.partition}:", 1)

    @property
    def is_custom(self) -> bool:
        """Tell whether a function of ours stands behind it."""
        return self.type.startswith("Custom::") or self.type == "AWS::CloudFormation::CustomResource"

    def attribute(self, name: str) -> Any:
        """Give what Fn::GetAtt answers. Raises Unresolved."""
        if self.type in arns.ARNS and name in arns.OF_ARN:
            return self.arn
        if self.type in arns.NAMES and name in arns.OF_NAME:
            return self.name
        if name in arns.IDS.get(self.type, ("", ()))[1]:
            return self.ref
        if self.is_custom:
            return self._answered(name)
        if self.type == STACK and name.startswith("Outputs."):
            return self.stack.child(self.logical_id).output(name.removeprefix("Outputs."))
        if name in self._made:
            found = self._made[name]
            at = self.stack.world.place.partition
            return found.replace("arn:aws:", f"arn:{at}:") if isinstance(found, str) else found
        if name in self.properties:  # some types answer what they were given
            return self.properties[name]
        raise Unresolved(
            f"{self.stack.template}:{self.logical_id}",
            f"{self.type} answers no attribute {name}",
            "Mend the Fn::GetAtt.",
        )

    @cached_property
    def identity(self) -> Identity | None:
        """Give the names that the registry schema tells, None for a type without one."""
        world = self.stack.world
        schema = world.registry.get(world.place.region, self.type)
        if schema is None:
            return None
        stack, place = self.stack, world.place
        asked = Request("create", self.type, self.logical_id, stack.stack_name, stack.stack_id, "", "", place.account,
                        place.region, self.properties)  # fmt: skip
        return Identity(asked, schema, world.registry.arn_formats)

    @cached_property
    def _made(self) -> Mapping[str, Any]:
        return self.identity.attributes if self.identity else {}

    @property
    def _place(self) -> tuple[str, str]:
        return self.stack.stack_name, self.logical_id

    def _form(self, form: str) -> str:
        place = self.stack.world.place
        known = {
            "partition": place.partition, "region": place.region, "account": place.account, "suffix": place.suffix,
            "name": self.name, "uuid": arns.uuid(place.account, place.region, *self._place), "Path": "/",
            "hex": arns.mark(place.account, place.region, *self._place)[:17],
        }  # fmt: skip
        values = known | {key: value for key, value in self.properties.items() if isinstance(value, str)}
        # A parameter without a slash stands behind one in its ARN.
        values["Name"] = f"/{str(values.get('Name', '')).lstrip('/')}"
        return form.format_map(values)

    def _answered(self, name: str) -> Any:
        call = Call(function_of(str(self.properties.get("ServiceToken"))), self.properties)
        given = self.stack.world.answers(self.stack.world, call)
        if name not in given:
            raise Unresolved(
                f"{self.stack.template}:{self.logical_id}",
                f"what the function {call.function} answers as {name} is not known",
                "Say it in proofs/answers.py.",
            )
        return given[name]


def function_of(arn: str) -> str:
    """Give the logical name of a function of ours out of its ARN: `StudioUser` of ...:stack-StudioUserFunction-ABC."""
    name = arn.rpartition(":")[2]
    return next((part.removesuffix("Function") for part in name.split("-") if part.endswith("Function")), name)


class Stack:
    """A template launched with values in a world. Everything is worked out when it is asked for, once."""

    def __init__(self, world: World, template: str, parameters: Mapping[str, str], stack_name: str) -> None:
        if template not in world.templates:
            raise Unresolved(template, "no generator makes this template", "Name one of templates/.")
        self.world, self.template, self.stack_name = world, template, stack_name
        self.body = world.templates[template]
        self._given = parameters
        self._resources: dict[str, Resource] = {}
        self._children: dict[str, Stack] = {}
        self._under_way: list[str] = []
        self._read: set[str] = set()

    @cached_property
    def stack_id(self) -> str:
        """Give the ARN of the stack."""
        place = self.world.place
        end = arns.uuid(place.account, place.region, self.stack_name)
        return place.arn("cloudformation", f"stack/{self.stack_name}/{end}")

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Give the value of every parameter; lists where the type is one. Raises Unresolved."""
        unknown = sorted(set(self._given) - set(self.body.get("Parameters", {})))
        if unknown:
            raise Unresolved(self.template, f"it has no parameter {', '.join(unknown)}", "Mend the values.")
        return {name: self._parameter(name, body) for name, body in self.body.get("Parameters", {}).items()}

    @cached_property
    def conditions(self) -> dict[str, bool]:
        """Give the value of every condition. Raises Unresolved when one stays open."""
        values = {**self.parameters, **self._pseudo()}
        # Resolved values in the place of the parameters: those that stand in SSM are known here.
        asked = {
            name: {"Type": "CommaDelimitedList" if isinstance(value, list) else "String"}
            for name, value in values.items()
        }
        flat = {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in values.items()}
        found = conditions.conditions({**self.body, "Parameters": asked}, flat, self.world.place.region)
        if undecided := [name for name, value in found.items() if value is None]:
            raise Unresolved(
                self.template,
                f"the conditions {', '.join(undecided)} can't be decided",
                "Give the parameters they use a value, or resolve their functions in tools/conditions.py.",
            )
        return {name: bool(value) for name, value in found.items()}

    @cached_property
    def refused(self) -> list[str]:
        """Give the sentences of the Rules that refuse these values."""
        values = {
            name: ",".join(value) if isinstance(value, list) else str(value) for name, value in self.parameters.items()
        }
        return conditions.refused(self.body, values, self.world.place.region)

    @property
    def resources(self) -> dict[str, Resource]:
        """Give every resource that is made, by logical id."""
        return {name: self.resource(name) for name in self.made}

    @cached_property
    def made(self) -> tuple[str, ...]:
        """Give the logical ids of what these values make."""
        return tuple(
            name
            for name, body in self.body["Resources"].items()
            if "Condition" not in body or self.conditions[body["Condition"]]
        )

    def resource(self, logical_id: str) -> Resource:
        """Give one resource. Raises Unresolved."""
        if logical_id in self._resources:
            return self._resources[logical_id]
        if logical_id not in self.made:
            raise Unresolved(
                f"{self.template}:{logical_id}", "it is not made under these values", "Mend the reference."
            )
        if logical_id in self._under_way:
            circle = " -> ".join([*self._under_way, logical_id])
            raise Unresolved(self.template, f"its references go in a circle: {circle}", "Break it.")
        body = self.body["Resources"][logical_id]
        self._under_way.append(logical_id)
        try:
            properties = self.resolve(body.get("Properties", {}))
        finally:
            self._under_way.pop()
        self._resources[logical_id] = Resource(self, logical_id, body["Type"], properties, body)
        return self._resources[logical_id]

    @property
    def nested(self) -> dict[str, Stack]:
        """Give the stacks that these values nest, by logical id."""
        return {name: self.child(name) for name in self.made if self.body["Resources"][name]["Type"] == STACK}

    def child(self, logical_id: str) -> Stack:
        """Give one nested stack. Raises Unresolved."""
        if logical_id not in self._children:
            properties = self.resource(logical_id).properties
            match = TEMPLATE.search(str(properties.get("TemplateURL")))
            if match is None:
                raise Unresolved(
                    f"{self.template}:{logical_id}", "TemplateURL names no template of ours", "Use nested_url()."
                )
            values = {name: _text(value) for name, value in properties.get("Parameters", {}).items()}
            self._children[logical_id] = Stack(self.world, match[1], values, self.nested_name(logical_id))
        return self._children[logical_id]

    def nested_name(self, logical_id: str) -> str:
        """Name a nested stack as CloudFormation does."""
        return arns.generated(STACK, self.stack_name, logical_id)

    def everything(self) -> Iterator[Resource]:
        """Give every resource of the stack and of the stacks within it."""
        yield from self.resources.values()
        for stack in self.nested.values():
            yield from stack.everything()

    def stacks(self) -> Iterator[Stack]:
        """Give the stack and the stacks within it."""
        yield self
        for stack in self.nested.values():
            yield from stack.stacks()

    def output(self, name: str) -> Any:
        """Give an output. Raises Unresolved."""
        body = self.body.get("Outputs", {}).get(name)
        if body is None or not self.conditions.get(body.get("Condition"), True):
            raise Unresolved(f"{self.template}:{name}", "these values make no such output", "Mend the reference.")
        return self.resolve(body["Value"])

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """Give every output that these values make."""
        bodies = self.body.get("Outputs", {})
        return {name: self.output(name) for name in bodies if self.conditions.get(bodies[name].get("Condition"), True)}

    @property
    def exports(self) -> dict[str, Any]:
        """Give what the stack exports, by name."""
        bodies = self.body.get("Outputs", {})
        return {
            str(self.resolve(bodies[name]["Export"]["Name"])): value
            for name, value in self.outputs.items()
            if "Export" in bodies[name]
        }

    @cached_property
    def published(self) -> dict[str, str]:
        """Give the SSM parameters that the stack and those within it make, by path."""
        made = (resource for resource in self.everything() if resource.type == "AWS::SSM::Parameter")
        return {str(r.properties["Name"]): _text(r.properties["Value"]) for r in made}

    @property
    def references(self) -> frozenset[str]:
        """Give the paths of the SSM parameters that dynamic references of what is made here read."""
        _ = self.resources, self.outputs  # worked out when asked for: the references are seen on the way
        return frozenset(self._read)

    def given(self, name: str) -> str:
        """Give the value of a parameter as it is typed: for one that stands in SSM, its path."""
        return _text(self._given.get(name, self.body["Parameters"][name].get("Default", "")))

    def resolve(self, value: Any) -> Any:
        """Give the value of an expression as CloudFormation would. Raises Unresolved."""
        found = self._resolve(value)
        return None if found is _NO_VALUE else found

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._dynamic(value) if "{{resolve:" in value else value
        if isinstance(value, (list, tuple)):
            return [item for item in (self._resolve(item) for item in value) if item is not _NO_VALUE]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            ((name, inner),) = value.items()
            if name in _FUNCTIONS:
                return _FUNCTIONS[name](self, inner)
            if name == "Ref" or name.startswith("Fn::"):
                raise Unresolved(self.template, f"{name} is not known", "Teach it to proofs/resolver.py.")
        resolved = {key: self._resolve(inner) for key, inner in value.items()}
        return {key: inner for key, inner in resolved.items() if inner is not _NO_VALUE}

    def _dynamic(self, text: str) -> str:
        found = DYNAMIC.sub(lambda match: self._fact(match[1]), text)
        self._read.update(match[1] for match in DYNAMIC.finditer(text))
        if "{{resolve:" in found:
            raise Unresolved(self.template, f"{found} is no reference that is known", "Teach it to proofs/resolver.py.")
        return found

    def _fact(self, path: str) -> str:
        if path not in self.world.facts:
            raise Unresolved(
                self.template,
                f"nothing publishes the SSM parameter {path}",
                "Publish it with `b.publish`, or mend the path.",
            )
        return self.world.facts[path]

    def _parameter(self, name: str, body: Body) -> Any:
        value = self._given.get(name, body.get("Default"))
        if value is None:
            raise Unresolved(self.template, f"the parameter {name} has neither value nor default", "Give it one.")
        value, kind = _text(value), str(body["Type"])
        if kind.startswith(_SSM_VALUE):
            value, kind = self._fact(value), kind.removeprefix(_SSM_VALUE).removesuffix(">")
        return value.split(",") if kind.startswith("List<") or kind == "CommaDelimitedList" else value

    def _pseudo(self) -> dict[str, Any]:
        place = self.world.place
        return {
            "AWS::AccountId": place.account,
            "AWS::Partition": place.partition,
            "AWS::Region": place.region,
            "AWS::StackId": self.stack_id,
            "AWS::StackName": self.stack_name,
            "AWS::URLSuffix": place.suffix,
        }

    def _ref(self, name: Any) -> Any:
        if name == "AWS::NoValue":
            return _NO_VALUE
        if name in self.parameters:
            return self.parameters[name]
        if name in self._pseudo():
            return self._pseudo()[name]
        if name not in self.body["Resources"]:
            raise Unresolved(self.template, f"nothing is called {name}", "Mend the reference.")
        return self.resource(name).ref

    def _get_att(self, inner: Any) -> Any:
        logical_id, _, attribute = (inner if isinstance(inner, str) else ".".join(map(str, inner))).partition(".")
        return self.resource(logical_id).attribute(attribute)

    def _if(self, inner: Sequence[Any]) -> Any:
        if inner[0] not in self.conditions:
            raise Unresolved(self.template, f"there is no condition {inner[0]}", "Define it with `b.when`.")
        return self._resolve(inner[1] if self.conditions[inner[0]] else inner[2])

    def _sub(self, inner: Any) -> str:
        text, own = (inner, {}) if isinstance(inner, str) else (inner[0], inner[1])

        def fill(match: re.Match[str]) -> str:
            name = match[1].strip()
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in own:
                return _text(self._resolve(own[name]))
            return _text(self._get_att(name) if "." in name and not name.startswith("AWS::") else self._ref(name))

        filled = re.sub(r"\$\{([^}]+)\}", fill, text)
        return self._dynamic(filled) if "{{resolve:" in filled else filled

    def _join(self, inner: Sequence[Any]) -> str:
        return str(inner[0]).join(map(_text, self._listed(inner[1])))

    def _split(self, inner: Sequence[Any]) -> list[str]:
        return _text(self._resolve(inner[1])).split(inner[0])

    def _select(self, inner: Sequence[Any]) -> Any:
        index, items = int(self._resolve(inner[0])), self._listed(inner[1])
        if index >= len(items):
            raise Unresolved(
                self.template, f"Fn::Select takes item {index} of {len(items)}", "Mend the index or the list."
            )
        return items[index]

    def _find(self, inner: Sequence[Any]) -> Any:
        keys = [_text(self._resolve(key)) for key in inner[:3]]
        row = self.body.get("Mappings", {}).get(keys[0], {}).get(keys[1], {})
        if keys[2] in row:
            return row[keys[2]]
        if len(inner) == 4 and "DefaultValue" in inner[3]:
            return self._resolve(inner[3]["DefaultValue"])
        raise Unresolved(self.template, f"no mapping has {'.'.join(keys)}", "Add the row.")

    def _cidr(self, inner: Sequence[Any]) -> list[str]:
        block, count, bits = (self._resolve(part) for part in inner)
        try:
            blocks = list(ipaddress.ip_network(block).subnets(new_prefix=32 - int(bits)))[: int(count)]
        except ValueError as error:
            raise Unresolved(self.template, f"Fn::Cidr takes no {block}: {error}", "Mend the range.") from error
        return [str(part) for part in blocks]

    def _zones(self, inner: Any) -> list[str]:
        region = self._resolve(inner) or self.world.place.region
        return [f"{region}{letter}" for letter in "abc"]

    def _import(self, inner: Any) -> Any:
        name = str(self._resolve(inner))
        if name not in self.world.exports:
            raise Unresolved(self.template, f"nothing exports {name}", "Publish it, or mend the name.")
        return self.world.exports[name]

    def _listed(self, value: Any) -> list[Any]:
        found = self._resolve(value)
        return found.split(",") if isinstance(found, str) else list(found)


_FUNCTIONS: Mapping[str, Callable[[Stack, Any], Any]] = {
    "Ref": Stack._ref,
    "Fn::Base64": lambda stack, inner: base64.b64encode(_text(stack._resolve(inner)).encode()).decode(),
    "Fn::Cidr": Stack._cidr,
    "Fn::FindInMap": Stack._find,
    "Fn::GetAZs": Stack._zones,
    "Fn::GetAtt": Stack._get_att,
    "Fn::If": Stack._if,
    "Fn::ImportValue": Stack._import,
    "Fn::Join": Stack._join,
    "Fn::Select": Stack._select,
    "Fn::Split": Stack._split,
    "Fn::Sub": Stack._sub,
}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
