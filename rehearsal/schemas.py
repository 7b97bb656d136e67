"""AWS's registry schemas, as the pinned cfn-lint ships them, and validation of resolved properties against them.

The files are read directly: importing cfn-lint takes two and a half seconds, reading a schema a millisecond."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import regex  # type: ignore[import-untyped]  # \p{L} in schemas is beyond `re`; comes with cfn-lint

from rehearsal.errors import MissingPackage

Schema = Mapping[str, Any]
Check = Callable[[Any, Any], Iterator[str]]

# What the `format` keyword means for an id (source: cfn-lint's rules E1150 to E1156); ARNs go by suffix.
_FORMATS = {
    "AWS::EC2::SecurityGroup.Id": r"^sg-([0-9a-f]{8}|[0-9a-f]{17})$",
    "AWS::EC2::Subnet.Id": r"^subnet-([0-9a-f]{8}|[0-9a-f]{17})$",
    "AWS::EC2::VPC.Id": r"^vpc-([0-9a-f]{8}|[0-9a-f]{17})$",
}


_SCALAR = (str, int, float)


class Registry:
    """Look up which types a region has and the schema of each."""

    def __init__(self) -> None:
        spec = find_spec("cfnlint")
        if spec is None or not spec.submodule_search_locations:
            raise MissingPackage(sys.executable, "cfn-lint")
        data = Path(next(iter(spec.submodule_search_locations))) / "data"
        self._schemas, self._specs = data / "schemas", data / "AdditionalSpecs"
        self._hashes: dict[str, Mapping[str, str]] = {}
        self._types: dict[str, ResourceSchema] = {}

    @cached_property
    def date(self) -> str:
        """Say of which day the schemas are."""
        return str(_read(self._schemas / "version.json")["schema_date"])

    @cached_property
    def arn_formats(self) -> Mapping[str, Any]:
        """Give the ARN formats per service, from the IAM reference that cfn-lint ships."""
        formats: Mapping[str, Any] = _read(self._specs / "Policies.json")
        return formats

    def types(self, region: str) -> Mapping[str, str]:
        """Give the region's types with the hash of their schema; a region without registry data has none."""
        if region not in self._hashes:
            file = self._schemas / "providers" / f"{region}.json"
            self._hashes[region] = _read(file) if file.is_file() else {}
        return self._hashes[region]

    def get(self, region: str, type_name: str) -> ResourceSchema | None:
        """Give a type's schema in a region, None when the region does not have the type."""
        name = "AWS::CloudFormation::CustomResource" if type_name.startswith("Custom::") else type_name
        digest = self.types(region).get(name)
        if digest is None:
            return None
        if digest not in self._types:
            self._types[digest] = ResourceSchema(_read(self._schemas / "resources" / f"{digest}.json"))
        return self._types[digest]


class ResourceSchema:
    """One type's schema: what it takes, what identifies it, what it returns."""

    def __init__(self, document: Schema) -> None:
        self.document = document
        self.properties: Schema = document["properties"]

    def paths(self, section: str) -> tuple[tuple[str, ...], ...]:
        """Give a section of property pointers ("/properties/A/B") as tuples ("A", "B")."""
        return tuple(tuple(pointer.split("/")[2:]) for pointer in self.document.get(section) or ())

    @cached_property
    def tags(self) -> tuple[str, str] | None:
        """Give the property that takes tags and whether it is a "list" or a "map", None when there is none."""
        tagging = self.document.get("tagging", {})
        name = str(tagging.get("tagProperty", "")).rpartition("/")[2]
        if not tagging.get("taggable") or name not in self.properties:
            return None
        return name, "map" if self.subschema((name,)).get("type") == "object" else "list"

    def problems(self, properties: Mapping[str, Any]) -> list[str]:
        """List everything the schema refuses in resolved properties, each with its property path."""
        # A few schemas leave the root open; CloudFormation refuses unknown properties all the same.
        root = {"additionalProperties": False, **self.document}
        found = list(self._problems(root, dict(properties), "#"))
        settable = set(self.paths("createOnlyProperties"))  # CodeArtifact's EncryptionKey is in both lists
        for path in self.paths("readOnlyProperties"):
            if path not in settable and read(properties, path) is not None:
                found.append(f"#/{'/'.join(path)}: is read-only")
        return found

    def subschema(self, path: Sequence[str]) -> Schema:
        """Give the schema of a property path, empty when it leads nowhere."""
        schema: Schema = self.document
        for part in path:
            schema = self._dereference(self._dereference(schema).get("properties", {}).get(part, {}))
        return schema

    def _dereference(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            target: Any = self.document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            schema = target
        return schema

    def _problems(self, schema: Schema | bool, value: Any, path: str) -> Iterator[str]:
        if isinstance(schema, bool):
            if not schema:
                yield f"{path}: is not allowed"
            return
        schema = self._dereference(schema)
        wrong = schema.get("type") and not any(_is(value, kind) for kind in _listed(schema["type"]))
        if wrong:
            yield f"{path}: {_shown(value)} is not of type {' or '.join(_listed(schema['type']))}"
            return  # what else the schema says about another type would only hide this
        for keyword, check in _CHECKS.items():
            if keyword in schema:
                yield from (f"{path}: {text}" for text in check(schema[keyword], value))
        if isinstance(value, dict):
            yield from self._members(schema, value, path)
        if isinstance(value, list):
            first = schema.get("prefixItems", ())
            for index, item in enumerate(value):
                sub = first[index] if index < len(first) else schema.get("items", True)
                yield from self._problems(sub, item, f"{path}/{index}")
        yield from self._combined(schema, value, path)

    def _members(self, schema: Schema, value: Mapping[str, Any], path: str) -> Iterator[str]:
        known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        rest = schema.get("additionalProperties", True)
        for name, member in value.items():
            fitting = [sub for pattern, sub in patterns.items() if compiled(pattern).search(name)]
            fitting += [known[name]] if name in known else []
            if not fitting and rest is False:
                yield f"{path}/{name}: extraneous key [{name}] is not permitted"
            for sub in fitting or ([rest] if rest is not False else []):
                yield from self._problems(sub, member, f"{path}/{name}")

    def _combined(self, schema: Schema, value: Any, path: str) -> Iterator[str]:
        for sub in schema.get("allOf", ()):
            yield from self._problems(sub, value, path)
        for keyword in ("anyOf", "oneOf"):
            if keyword not in schema:
                continue
            outcomes = [list(self._problems(sub, value, path)) for sub in schema[keyword]]
            fitting = sum(not outcome for outcome in outcomes)
            if not fitting:
                yield from min(outcomes, key=len)
            elif keyword == "oneOf" and fitting > 1:
                yield f"{path}: fits {fitting} of the alternatives, exactly one is allowed"
        if "not" in schema and not any(self._problems(schema["not"], value, path)):
            yield f"{path}: is a combination that is not allowed"
        if "if" in schema:
            branch = "else" if any(self._problems(schema["if"], value, path)) else "then"
            yield from self._problems(schema.get(branch, True), value, path)


def read(properties: Any, path: Sequence[str]) -> Any:
    """Give the value at a property path, None where there is none; lists ("*") are not entered."""
    for part in path:
        properties = properties.get(part) if isinstance(properties, dict) else None
    return properties


def text(value: Any) -> str:
    """Give a scalar as CloudFormation writes it into a string."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def fits(value: str, schema: Schema) -> bool:
    """Tell whether a schema takes a text, by pattern and length."""
    told = (_CHECKS[name](schema[name], value) for name in ("pattern", "minLength", "maxLength") if name in schema)
    return not any(list(problems) for problems in told)


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


@cache
def compiled(expression: str) -> Any:
    """Compile a pattern as AWS writes them."""
    # Some schemas write the astral planes as a surrogate pair range, as JavaScript does.
    return regex.compile(expression.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF"))


def _listed(kind: str | Sequence[str]) -> Sequence[str]:
    return [kind] if isinstance(kind, str) else kind


def _shown(value: Any) -> str:
    written = json.dumps(value, default=str)
    return written if len(written) <= 80 else f"{written[:77]}..."


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) or not isinstance(value, int | float | str) else float(value)
    except ValueError:
        return None


def _is(value: Any, kind: str) -> bool:
    """Tell whether a value is of a JSON type, with CloudFormation's conversions between scalars."""
    if kind in ("number", "integer"):
        number = _number(value)
        return number is not None and (kind == "number" or number.is_integer())
    if kind == "boolean":
        return text(value) in ("true", "false") if isinstance(value, bool | str) else False
    if kind == "string":
        return isinstance(value, str | int | float)
    return isinstance(value, {"object": dict, "array": list}.get(kind, type(None)))


def _when(fits: type | tuple[type, ...], fails: Callable[[Any, Any], bool], message: str) -> Check:
    def check(wanted: Any, value: Any) -> Iterator[str]:
        if isinstance(value, fits) and fails(wanted, value):
            yield message.format(wanted=wanted, value=_shown(value))

    return check


def _numeric(fails: Callable[[Any, float], bool], message: str) -> Check:
    # Some schemas put a minimum on names: it says nothing about text.
    return _when(_SCALAR, lambda w, v: (n := _number(v)) is not None and fails(w, n), message)


def _format(wanted: str, value: Any) -> Iterator[str]:
    pattern = _FORMATS.get(wanted) or (r"^arn:" if wanted.startswith("AWS::") and wanted.endswith(".Arn") else None)
    if pattern and isinstance(value, str) and not compiled(pattern).search(value):
        yield f"{_shown(value)} is no {wanted}"


def _dependent(wanted: Mapping[str, Sequence[str]], value: Any) -> Iterator[str]:
    for name, needed in wanted.items() if isinstance(value, dict) else ():
        for other in needed:
            if name in value and other not in value:
                yield f"[{name}] also needs [{other}]"


def _excluded(wanted: Mapping[str, Sequence[str]], value: Any) -> Iterator[str]:
    for name, others in wanted.items() if isinstance(value, dict) else ():
        for other in others:
            if name in value and other in value:
                yield f"[{name}] may not stand beside [{other}]"


def _required(wanted: Sequence[str], value: Any) -> Iterator[str]:
    for name in wanted if isinstance(value, dict) else ():
        if name not in value:
            yield f"required key [{name}] not found"


def _distinct(value: Sequence[Any], keys: Sequence[str] | None = None) -> int:
    items = [{key: item.get(key) for key in keys} if keys and isinstance(item, dict) else item for item in value]
    return len({json.dumps(item, sort_keys=True, default=str) for item in items})


_CHECKS: Mapping[str, Check] = {
    "required": _required,
    "requiredXor": _when(dict, lambda w, v: sum(n in v for n in w) != 1, "needs exactly one of {wanted}"),
    "requiredOr": _when(dict, lambda w, v: not any(n in v for n in w), "needs at least one of {wanted}"),
    "dependencies": _dependent,
    "dependentRequired": _dependent,
    "dependentExcluded": _excluded,
    "minProperties": _when(dict, lambda w, v: len(v) < w, "has fewer than {wanted} members"),
    "maxProperties": _when(dict, lambda w, v: len(v) > w, "has more than {wanted} members"),
    "enum": _when(_SCALAR, lambda w, v: text(v) not in map(text, w), "{value} is not one of {wanted}"),
    "enumCaseInsensitive": _when(
        _SCALAR, lambda w, v: text(v).lower() not in [text(x).lower() for x in w], "{value} is not one of {wanted}"
    ),
    "const": _when(_SCALAR, lambda w, v: text(v) != text(w), "{value} is not {wanted}"),
    "pattern": _when(str, lambda w, v: not compiled(w).search(v), "{value} does not match {wanted}"),
    "minLength": _when(str, lambda w, v: len(v) < w, "{value} is shorter than {wanted}"),
    "maxLength": _when(str, lambda w, v: len(v) > w, "{value} is longer than {wanted}"),
    "format": _format,
    "minimum": _numeric(lambda w, n: n < w, "{value} is less than {wanted}"),
    "maximum": _numeric(lambda w, n: n > w, "{value} is more than {wanted}"),
    "exclusiveMaximum": _numeric(lambda w, n: n >= w, "{value} is not less than {wanted}"),
    "multipleOf": _numeric(lambda w, n: n % w != 0, "{value} is no multiple of {wanted}"),
    "minItems": _when(list, lambda w, v: len(v) < w, "has fewer than {wanted} items"),
    "maxItems": _when(list, lambda w, v: len(v) > w, "has more than {wanted} items"),
    "uniqueItems": _when(list, lambda w, v: w and _distinct(v) < len(v), "has an item twice"),
    "maxUniqueItems": _when(list, lambda w, v: _distinct(v) > w, "has more than {wanted} different items"),
    "uniqueKeys": _when(list, lambda w, v: _distinct(v, w) < len(v), "has an item twice, going by {wanted}"),
}

# Every keyword that validation acts on: a test holds it against those that the schemas use.
KEYWORDS = frozenset(_CHECKS) | {
    "$ref",
    "type",
    "properties",
    "patternProperties",
    "additionalProperties",
    "items",
    "prefixItems",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
}
