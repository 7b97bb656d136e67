"""Let the registry schema be the provider: validate every resource, then run the emulator's code for it or record it.

Create-only properties replace; a name that is taken and an object that was not published are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rehearsal.errors import InvalidProperties, Refused
from rehearsal.identity import Identity
from rehearsal.ledger import Answer, Ledger, Request
from rehearsal.schemas import Registry, ResourceSchema, read

Live = Callable[[], Answer]

# Types the emulator implements, but not what matters about them: an endpoint's policy, groups and private DNS are gone
# when it is described. Recorded, so that nobody takes them for more.
RECORDED_ANYWAY = frozenset({"AWS::EC2::VPCEndpoint"})

# Types whose Fn::GetAtt also answers what the template gave (source: cfn-lint's schema/_getatts.py), of those we use.
_ANSWERS_GIVEN = frozenset(
    {
        "AWS::CodeArtifact::Domain",
        "AWS::CodeArtifact::Repository",
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::Subnet",
        "AWS::EC2::VPC",
        "AWS::SNS::Topic",
        "AWS::SQS::Queue",
        "AWS::SSM::Parameter",
    }
)


class Provider:
    """Answer the stack engine's create, update and delete calls."""

    def __init__(self, registry: Registry, ledger: Ledger, object_exists: Callable[[str, str], bool]) -> None:
        self.registry = registry
        self._ledger = ledger
        self._object_exists = object_exists
        # What a service that plays a type has against it: called before anything is done, raises Refused.
        self.checks: dict[tuple[str, str], Callable[[Request], None]] = {}
        # Types that a service of the rehearsal plays: its name, and what it does once the resource is named and entered.
        self.players: dict[str, str] = {}
        self.after: dict[tuple[str, str], Callable[[Request, Answer], None]] = {}

    def known(self, request: Request) -> Answer | None:
        """Give what an earlier call made of a resource."""
        return self._ledger.known(request)

    def answer(self, request: Request, live: Live, handler: str | None) -> Answer:
        """Do what a request asks; `live` runs the emulator's code, `handler` names it (None: it has none)."""
        is_live = handler is not None and request.type not in RECORDED_ANYWAY
        player = self.players.get(request.type)
        if player:
            is_live, handler = False, player
        is_played = is_live or player is not None
        behind = {"kind": "live", "handler": str(handler)} if is_played else {"kind": "recorded", "handler": "registry"}
        act = {"create": self._create, "update": self._update, "delete": self._delete}[request.action]
        try:
            if check := self.checks.get((request.type, request.action)):
                check(request)
            answer = act(request, live if is_live else None)
            if then := self.after.get((request.type, request.action)):
                then(request, answer)
        except Exception as error:
            self._ledger.failed(request, behind, error)
            raise
        if request.type in _ANSWERS_GIVEN:
            answer = Answer(answer.physical_id, {**request.properties, **answer.attributes}, answer.seed)
        self._ledger.done(request, answer, behind)
        return answer

    def _create(self, request: Request, live: Live | None) -> Answer:
        schema = self._validated(request)
        return live() if live else self._record(request, schema, seed="")

    def _update(self, request: Request, live: Live | None) -> Answer:
        known = self._ledger.known(request) or Answer(request.physical_id)
        if request.properties == request.previous:
            return known
        schema = self._validated(request)
        if live:
            return live()
        fixed = schema.paths("createOnlyProperties")
        if any(read(request.properties, path) != read(request.previous, path) for path in fixed):
            return self._record(request, schema, seed=request.physical_id)
        return Answer(request.physical_id, self._identity(request, schema, known.seed).attributes, known.seed)

    def _delete(self, request: Request, live: Live | None) -> Answer:
        return live() if live else Answer(request.physical_id)

    def _record(self, request: Request, schema: ResourceSchema, seed: str) -> Answer:
        identity = self._identity(request, schema, seed)
        if identity.physical_id == request.physical_id:
            raise Refused(
                "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
                f"Rename {identity.physical_id} and update the stack again."
            )
        if self._ledger.holds(request, identity.physical_id):
            raise Refused(f"Resource of type '{request.type}' with identifier '{identity.physical_id}' already exists.")
        return Answer(identity.physical_id, identity.attributes, seed)

    def _identity(self, request: Request, schema: ResourceSchema, seed: str) -> Identity:
        return Identity(request, schema, self.registry.arn_formats, seed)

    def _validated(self, request: Request) -> ResourceSchema:
        schema = self.registry.get(request.region, request.type)
        if schema is None:
            raise Refused(f"Unrecognized resource types: [{request.type}] in {request.region}")
        problems = schema.problems(_own(request.properties, schema))
        if not request.type.startswith(("Custom::", "AWS::CloudFormation::")):
            for path, bucket, key in _objects(request.properties, "#"):
                if not self._object_exists(bucket, key):
                    problems.append(f"{path}: s3://{bucket}/{key} does not exist; publish it first")
        if problems:
            raise InvalidProperties(request.logical_id, problems)
        return schema


def _own(properties: Mapping[str, Any], schema: ResourceSchema) -> dict[str, Any]:
    """Leave out the `aws:` tags that CloudFormation itself adds: schemas refuse them from a template."""
    name, _ = schema.tags or ("Tags", "")
    tags = properties.get(name)
    if isinstance(tags, list):
        tags = [tag for tag in tags if not (isinstance(tag, dict) and str(tag.get("Key", "")).startswith("aws:"))]
    elif isinstance(tags, dict):
        tags = {key: value for key, value in tags.items() if not key.startswith("aws:")}
    rest = {key: value for key, value in properties.items() if key != name}
    return {**rest, name: tags} if tags else rest


def _objects(value: Any, path: str) -> Iterator[tuple[str, str, str]]:
    """Find the S3 objects that properties point at: Lambda code, repository seeds."""
    if isinstance(value, dict):
        for bucket, key in (("S3Bucket", "S3Key"), ("Bucket", "Key")):
            if isinstance(value.get(bucket), str) and isinstance(value.get(key), str):
                yield path, value[bucket], value[key]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in items:
        yield from _objects(member, f"{path}/{name}")
