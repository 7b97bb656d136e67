"""Names for recorded resources: what `Ref` and `Fn::GetAtt` answer, read off the registry schema.

Everything is a pure function of request and seed, so two runs of one template give the same names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rehearsal.ledger import Request
from rehearsal.schemas import ResourceSchema, fits, read, text

# What schemas do not say: prefixes of ids, ARNs made of more than the resource's own id, odd forms
# (source: the types' pages in the CloudFormation template reference, "Return values").
_PREFIXES = {
    "AWS::EC2::FlowLog": "fl",
    "AWS::EC2::SecurityGroupEgress": "sgr",
    "AWS::EC2::SecurityGroupIngress": "sgr",
    "AWS::EC2::VPCEndpoint": "vpce",
    "AWS::EC2::SecurityGroup.Id": "sg",
    "AWS::ServiceCatalog::CloudFormationProduct": "prod",
    "AWS::ServiceCatalog::LaunchRoleConstraint": "cons",
    "AWS::ServiceCatalog::Portfolio": "port",
    "AWS::ServiceCatalog::TagOption": "tag",
}
_ARN_TAILS = {
    "AWS::CodeArtifact::PackageGroup": ("DomainName", "Pattern"),
    "AWS::CodeArtifact::Repository": ("DomainName", "RepositoryName"),
    "AWS::CodeBuild::Project": ("Name",),
    "AWS::CodeCommit::Repository": ("RepositoryName",),
    "AWS::SageMaker::UserProfile": ("DomainId", "UserProfileName"),
}
_FORMS = {
    "CloneUrlHttp": "https://git-codecommit.{region}.amazonaws.com/v1/repos/{name}",
    "CloneUrlSsh": "ssh://git-codecommit.{region}.amazonaws.com/v1/repos/{name}",
    "PortfolioName": "{name}",
    "ProductName": "{name}",
    "SingleSignOnApplicationArn": "arn:aws:sso::{account}:application/sagemaker/apl-{digits}",
}
_SETTLED = re.compile(r"(create_?)?(d|completed?)|active|available|inservice|ready", re.IGNORECASE)


@dataclass(frozen=True)
class Identity:
    """One resource to name."""

    request: Request
    schema: ResourceSchema
    arn_formats: Mapping[str, Any]
    seed: str = ""

    @property
    def physical_id(self) -> str:
        """Give what `Ref` answers: the primary identifier, its parts joined by "|"."""
        return "|".join(self._given(path) or text(self._made(path)) for path in self._identifier)

    @property
    def attributes(self) -> dict[str, Any]:
        """Give what `Fn::GetAtt` answers: every read-only property."""
        paths = self.schema.paths("readOnlyProperties")
        return {".".join(path): self._given(path) or self._made(path) for path in paths if "*" not in path}

    @property
    def _identifier(self) -> tuple[tuple[str, ...], ...]:
        return self.schema.paths("primaryIdentifier")

    @property
    def _kind(self) -> str:
        return self.request.type.rpartition("::")[2]

    @property
    def _name(self) -> str:
        """Give the resource's name: the template's, or one made as CloudFormation makes them."""
        for path in ((f"{self._kind}Name",), *self._identifier, ("Name",), ("DisplayName",)):
            if given := self._given(path):
                return given
        return f"{self.request.stack[:24]}-{self.request.logical_id[:24]}-{self._hex('')[:12]}"

    def _given(self, path: tuple[str, ...]) -> str:
        value = read(self.request.properties, path)
        return text(value) if isinstance(value, str | int) else ""

    def _hex(self, name: str) -> str:
        r = self.request
        parts = (r.account, r.region, r.type, r.stack, r.logical_id, self.seed, name)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def _made(self, path: tuple[str, ...]) -> Any:
        """Make a value for a property that AWS would set, in the shape its schema asks for."""
        schema, name = self.schema.subschema(path), path[-1]
        kind = schema.get("type", "string")
        if "string" not in kind:
            return {"array": [], "object": {}, "boolean": False}.get(str(kind), 0)
        if "enum" in schema:
            return next((value for value in schema["enum"] if _SETTLED.fullmatch(value)), schema["enum"][0])
        if schema.get("format") == "date-time" or re.search("Time(stamp)?$|Date$", name):
            return "2026-01-01T00:00:00Z"
        if (self.request.type, name) == ("AWS::CodeBuild::Project", "Id"):
            return self._name  # Ref gives the name
        if name in _FORMS:
            place = {"region": self.request.region, "account": self.request.account}
            return _FORMS[name].format(name=self._name, digits=self._hex(name)[:16], **place)
        if name in ("ProvisioningArtifactIds", "ProvisioningArtifactNames"):
            made = artifacts(self.physical_id, self.request.properties)
            names = (str(artifact.get("Name", "")) for artifact in made.values())
            return ",".join(made if name.endswith("Ids") else names)
        if re.search("Ur[il]$|Endpoint$", name):
            return f"https://{self._hex(name)[:12]}.{self.request.region}.amazonaws.com"
        if name.endswith("Owner") or name == "AccountId":
            return self.request.account
        if name.endswith("Arn"):
            kinds = dict.fromkeys((_kebab(name.removesuffix("Arn")), _kebab(self._kind)))
            arns = [self._arn(kind) for kind in kinds if kind]
            return next((arn for arn in arns if fits(arn, schema)), arns[0])
        if name == "Name" or (name.endswith("Name") and path in self._identifier):
            limit = schema.get("maxLength", 255)
            cut = self._name if len(self._name) <= limit else f"{self._name[: limit - 13]}{self._name[-13:]}"
            return cut if fits(cut, schema) else cut.lower()
        return self._id(name, schema)

    def _id(self, name: str, schema: Mapping[str, Any]) -> str:
        digits = self._hex(name)
        prefix = _PREFIXES.get(schema.get("format", ""), _PREFIXES.get(self.request.type))
        if prefix:
            return f"{prefix}-{digits[:17]}"
        plain = f"{_kebab(self._kind).rpartition('-')[2]}-{digits[:12]}"
        own = re.match(r"\^?([a-z]+-)[(\[]", schema.get("pattern", ""))  # AWS's own prefix, as in "^d-(..."
        options = (plain, f"{own[1] if own else ''}{digits[:12]}", str(int(digits, 16))[:12])
        return next((value for value in options if fits(value, schema)), plain)

    def _arn(self, kind: str) -> str:
        service = self.request.type.split("::")[1].lower()
        described = self.arn_formats.get(service, {}).get("Resources", {}).get(kind, {})
        default = f"arn:${{Partition}}:{service}:${{Region}}:${{Account}}:{kind}/.*"
        form = next(iter(described.get("ARNFormats", ())), default)
        for hole, value in (("Partition", "aws"), ("Region", self.request.region), ("Account", self.request.account)):
            form = form.replace(f"${{{hole}}}", value)
        return form.removesuffix(".*") + self._arn_tail()

    def _arn_tail(self) -> str:
        if self.request.type in _ARN_TAILS:
            return "/".join(self._given((part,)).strip("/") for part in _ARN_TAILS[self.request.type])
        for name, *deeper in self.schema.paths("readOnlyProperties"):
            if not deeper and name.endswith("Id") and name != "Id" and self._kind.endswith(name.removesuffix("Id")):
                return str(self._made((name,)))
        return self._name


def artifacts(product_id: str, properties: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Give a product's versions by id; one keeps its id as long as its name and its template's URL stay."""
    found = {}
    for given in properties.get("ProvisioningArtifactParameters") or ():
        facts = (product_id, str(given.get("Name")), str(given["Info"].get("LoadTemplateFromURL")))
        found[f"pa-{hashlib.sha256('|'.join(facts).encode()).hexdigest()[:13]}"] = given
    return found


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()
