"""Names for recorded resources: what `Ref` and `Fn::GetAtt` answer, read off the registry schema.

Everything is a pure function of the request, so two runs of one template give the same names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import regex

from rehearsal.schemas import Registry, ResourceSchema, read, text

# What the schemas do not say: id prefixes, and ARNs made of more than the resource's own id (source: each type's page in the
# CloudFormation template reference, "Return values").
_ID_PREFIXES = {
    "AWS::EC2::FlowLog": "fl",
    "AWS::EC2::SecurityGroupEgress": "sgr",
    "AWS::EC2::SecurityGroupIngress": "sgr",
    "AWS::EC2::VPCEndpoint": "vpce",
    "AWS::EC2::SecurityGroup.Id": "sg",
}
_ARN_TAILS = {
    "AWS::CodeArtifact::PackageGroup": ("DomainName", "Pattern"),
    "AWS::CodeArtifact::Repository": ("DomainName", "RepositoryName"),
    "AWS::CodeCommit::Repository": ("RepositoryName",),
    "AWS::SageMaker::UserProfile": ("DomainId", "UserProfileName"),
}
_URLS = {
    ("AWS::CodeCommit::Repository", "CloneUrlHttp"): "https://git-codecommit.{region}.amazonaws.com/v1/repos/{name}",
    ("AWS::CodeCommit::Repository", "CloneUrlSsh"): "ssh://git-codecommit.{region}.amazonaws.com/v1/repos/{name}",
}
_SETTLED = re.compile(r"^(create_?)?(d|completed?)$|^(active|available|inservice|ready)$", re.IGNORECASE)


@dataclass(frozen=True)
class Identity:
    """One resource to name; `seed` differs between a resource and its replacement."""

    type: str
    schema: ResourceSchema
    registry: Registry
    account: str
    region: str
    stack: str
    logical_id: str
    properties: Mapping[str, Any]
    seed: str = ""

    @property
    def physical_id(self) -> str:
        """Give what `Ref` answers: the primary identifier, its parts joined by "|"."""
        return "|".join(self._given(path) or text(self._value(path)) for path in self.schema.paths("primaryIdentifier"))

    @property
    def attributes(self) -> dict[str, Any]:
        """Give what `Fn::GetAtt` answers: every read-only property."""
        paths = self.schema.paths("readOnlyProperties")
        return {".".join(path): self._given(path) or self._value(path) for path in paths if "*" not in path}

    @cached_property
    def _digest(self) -> str:
        parts = (self.account, self.region, self.type, self.stack, self.logical_id, self.seed)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    @cached_property
    def _name(self) -> str:
        """Give the resource's name: the template's, or one made as CloudFormation makes them."""
        kind = self.type.rpartition("::")[2]
        own = [path[0] for path in self.schema.paths("primaryIdentifier") if len(path) == 1]
        for name in (f"{kind}Name", *own, "Name"):
            if isinstance(self.properties.get(name), str):
                return str(self.properties[name])
        return f"{self.stack[:24]}-{self.logical_id[:24]}-{self._digest[:12]}"

    def _given(self, path: tuple[str, ...]) -> str:
        value = read(self.properties, path)
        return text(value) if isinstance(value, str | int) else ""

    def _value(self, path: tuple[str, ...]) -> Any:
        """Make a value for a property that AWS would set, in the shape its schema asks for."""
        schema, name = self.schema.subschema(path), path[-1]
        kind = schema.get("type", "string")
        if kind != "string" and "string" not in kind:
            return {"array": [], "object": {}, "boolean": False}.get(kind, 0)
        if "enum" in schema:
            return next((value for value in schema["enum"] if _SETTLED.match(value)), schema["enum"][0])
        if schema.get("format") == "date-time" or re.search("Time(stamp)?$|Date$", name):
            return "2026-01-01T00:00:00Z"
        if (self.type, name) in _URLS:
            return _URLS[self.type, name].format(region=self.region, name=self._name)
        if re.search("Ur[il]$|Endpoint$", name):
            return f"https://{self._digest[:12]}.{self._service}.{self.region}.amazonaws.com"
        if name == "Name" or (name.endswith("Name") and path in self.schema.paths("primaryIdentifier")):
            return _fitted(self._name, schema)
        if name.endswith("Owner") or name == "AccountId":
            return self.account
        if name.endswith("Arn"):
            return self._arn(name)
        return self._id(name, schema)

    @property
    def _service(self) -> str:
        return self.type.split("::")[1].lower()

    def _id(self, name: str, schema: Mapping[str, Any]) -> str:
        prefix = _ID_PREFIXES.get(schema.get("format", ""), _ID_PREFIXES.get(self.type))
        if prefix:
            return f"{prefix}-{self._digest[:17]}"
        digest = hashlib.sha256(f"{self._digest}{name}".encode()).hexdigest()
        plain = f"{_kebab(self.type).rpartition('-')[2]}-{digest[:12]}"
        letters = re.match(r"\^?([a-z]+-)[(\[]", schema.get("pattern", ""))  # "^d-(...", "^p-[...": AWS's own prefix
        options = (plain, f"{letters[1]}{digest[:12]}" if letters else plain, digest[:10], str(int(digest[:15], 16))[:12])
        return next((value for value in options if _fits(value, schema)), plain)

    def _arn(self, name: str) -> str:
        kind = _kebab(name.removesuffix("Arn")) or _kebab(self.type)
        described = self.registry.arn_formats.get(self._service, {}).get("Resources", {}).get(kind, {})
        default = f"arn:${{Partition}}:{self._service}:${{Region}}:${{Account}}:{kind}/.*"
        form = next(iter(described.get("ARNFormats", ())), default)
        for hole, value in (("Partition", "aws"), ("Region", self.region), ("Account", self.account)):
            form = form.replace(f"${{{hole}}}", value)
        return form.removesuffix(".*") + self._arn_tail(name)

    def _arn_tail(self, arn: str) -> str:
        if self.type in _ARN_TAILS:
            return "/".join(text(self.properties.get(part, "")).strip("/") for part in _ARN_TAILS[self.type])
        ids = [p for p in self.schema.paths("readOnlyProperties") if len(p) == 1 and p[0].endswith("Id") and p[0] != arn]
        own = [p for p in ids if p[0].removesuffix("Id") and self.type.endswith(p[0].removesuffix("Id"))]
        return str(self._value(own[0])) if own else self._name


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name.rpartition("::")[2]).lower()


def _fits(value: str, schema: Mapping[str, Any]) -> bool:
    pattern = schema.get("pattern")
    length_fits = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
    return length_fits and (not pattern or bool(regex.search(pattern, value)))


def _fitted(name: str, schema: Mapping[str, Any]) -> str:
    """Cut and lower a generated name until its schema takes it."""
    limit = schema.get("maxLength", 255)
    cut = name if len(name) <= limit else f"{name[: limit - 13]}{name[-13:]}"
    return next((value for value in (name, cut, cut.lower()) if _fits(value, schema)), cut)
