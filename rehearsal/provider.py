"""Let the registry schema be the provider: validate every resource, hand it to the emulator's code or record it.

Create-only properties replace, a name that is taken is refused, a zip that was not published is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rehearsal.errors import InvalidProperties, Refused
from rehearsal.identity import Identity
from rehearsal.ledger import Ledger, Request
from rehearsal.schemas import Registry, ResourceSchema, read

Answer = tuple[str, dict[str, Any]]
Live = Callable[[], Answer]

# Types the emulator implements but gets wrong where we need them: recorded, so that nobody takes them for more.
# (An endpoint loses its policy, groups and private DNS; a build "succeeds" without running.)
RECORDED_ANYWAY = frozenset({"AWS::EC2::VPCEndpoint", "AWS::CodeBuild::Project"})
# Types whose Fn::GetAtt also answers what the template gave (source: cfn-lint's schema/_getatts.py), of those we use.
_ANSWERS_GIVEN = frozenset(
    {"AWS::CodeArtifact::Domain", "AWS::CodeArtifact::Repository", "AWS::EC2::SecurityGroup", "AWS::EC2::Subnet",
     "AWS::EC2::VPC", "AWS::SNS::Topic", "AWS::SQS::Queue", "AWS::SSM::Parameter"}
)  # fmt: skip


class Provider:
    """Answer the stack engine's create, update and delete calls."""

    def __init__(self, registry: Registry, ledger: Ledger, object_exists: Callable[[str, str], bool]) -> None:
        self.registry = registry
        self.ledger = ledger
        self._object_exists = object_exists

    def schema(self, region: str, type_name: str) -> ResourceSchema:
        """Give a type's schema; refuse a type that the region does not have."""
        schema = self.registry.get(region, type_name)
        if schema is None:
            raise Refused(f"Unrecognized resource types: [{type_name}] in {region} (registry schemas of {self.registry.date})")
        return schema

    def answer(self, request: Request, live: Live, handler: str | None) -> Answer:
        """Do what a request asks; `live` runs the emulator's code, `handler` names it (None: it has none)."""
        kind = "live" if handler and request.type not in RECORDED_ANYWAY else "recorded"
        shown = handler if kind == "live" and handler else "registry schema"
        act = {"create": self._create, "update": self._update, "delete": self._delete}[request.action]
        try:
            physical_id, attributes, seed = act(request, live if kind == "live" else None)
        except Exception as error:
            self.ledger.note(request, kind, shown, f"failed: {error}")
            raise
        if request.type in _ANSWERS_GIVEN:
            attributes = {**request.properties, **attributes}
        if request.action == "delete":
            self.ledger.remove(request)
        else:
            self.ledger.put(request, physical_id, attributes, kind, shown, seed)
        is_same = request.action == "update" and request.properties == request.previous
        self.ledger.note(request, kind, shown, "unchanged" if is_same else "done")
        return physical_id, attributes

    def _create(self, request: Request, live: Live | None) -> tuple[str, dict[str, Any], str]:
        schema = self._validated(request)
        return (*live(), "") if live else self._record(request, schema, seed="")

    def _update(self, request: Request, live: Live | None) -> tuple[str, dict[str, Any], str]:
        known = self.ledger.get(request)
        if request.properties == request.previous and known:
            return request.physical_id, dict(known.attributes), known.seed
        schema = self._validated(request)
        if live:
            return (*live(), "")
        fixed = schema.paths("createOnlyProperties")
        if any(read(request.properties, path) != read(request.previous, path) for path in fixed):
            return self._record(request, schema, seed=request.physical_id)
        seed = known.seed if known else ""
        return request.physical_id, self._identity(request, schema, seed).attributes, seed

    def _delete(self, request: Request, live: Live | None) -> tuple[str, dict[str, Any], str]:
        if live:
            live()
        return request.physical_id, {}, ""

    def _record(self, request: Request, schema: ResourceSchema, seed: str) -> tuple[str, dict[str, Any], str]:
        identity = self._identity(request, schema, seed)
        physical_id = identity.physical_id
        if physical_id == request.physical_id:
            raise Refused(
                "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
                f"Rename {physical_id} and update the stack again."
            )
        if self.ledger.holds(request, physical_id):
            raise Refused(f"Resource of type '{request.type}' with identifier '{physical_id}' already exists.")
        return physical_id, identity.attributes, seed

    def _identity(self, request: Request, schema: ResourceSchema, seed: str) -> Identity:
        return Identity(
            request.type, schema, self.registry, request.account, request.region,
            request.stack, request.logical_id, request.properties, seed,
        )  # fmt: skip

    def _validated(self, request: Request) -> ResourceSchema:
        schema = self.schema(request.region, request.type)
        problems = schema.problems(_own(request.properties, schema))
        if not request.type.startswith(("Custom::", "AWS::CloudFormation::")):
            problems += [
                f"{path}: s3://{bucket}/{key} does not exist; publish it first"
                for path, bucket, key in _objects(request.properties, "#")
                if not self._object_exists(bucket, key)
            ]
        if problems:
            raise InvalidProperties(request.logical_id, problems)
        return schema


def _own(properties: Mapping[str, Any], schema: ResourceSchema) -> dict[str, Any]:
    """Leave out the `aws:` tags that CloudFormation itself adds: schemas refuse them from a template."""
    tags = str(schema.document.get("tagging", {}).get("tagProperty", "/properties/Tags")).rpartition("/")[2]
    own = properties.get(tags)
    if isinstance(own, list):
        own = [tag for tag in own if not (isinstance(tag, dict) and str(tag.get("Key", "")).startswith("aws:"))]
    elif isinstance(own, dict):
        own = {key: value for key, value in own.items() if not key.startswith("aws:")}
    return {**{k: v for k, v in properties.items() if k != tags}, **({tags: own} if own else {})}


def _objects(value: Any, path: str) -> Iterator[tuple[str, str, str]]:
    """Find the S3 objects that properties point at: Lambda code, repository seeds."""
    if isinstance(value, dict):
        for bucket, key in (("S3Bucket", "S3Key"), ("Bucket", "Key")):
            if isinstance(value.get(bucket), str) and isinstance(value.get(key), str):
                yield path, value[bucket], value[key]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in items:
        yield from _objects(member, f"{path}/{name}")
