"""Look whether an existing VPC carries the platform. Only reads; whatever happens becomes a text and fails no stack.

Private DNS of an interface endpoint needs both attributes of the VPC:
https://docs.aws.amazon.com/vpc/latest/privatelink/interface-endpoints.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from custom_resource import json_size
from zones import Asked, NoFacts, pages

NEW = "A new VPC: nothing to check."
ATTRIBUTES = {"EnableDnsSupport": "DNS support is", "EnableDnsHostnames": "DNS hostnames are"}


@dataclass(frozen=True)
class Found:
    """What the VPC lacks; services are names of endpoint services."""

    vpc_id: str
    off: tuple[str, ...]  # names of VPC attributes
    no_s3_gateway: bool
    missing: tuple[str, ...]
    no_private_dns: tuple[str, ...]

    def told(self, limit: int) -> str:
        """Say it with the mends, naming at most `limit` services in each list."""
        return " ".join(self._sentences(limit)) or "ok"

    def _sentences(self, limit: int) -> Iterator[str]:
        for name in self.off:
            yield f"{ATTRIBUTES[name]} off in {self.vpc_id}: turn {name[0].lower()}{name[1:]} on."
        if self.no_s3_gateway:
            yield f"{self.vpc_id} has no S3 gateway endpoint: set ExistingRouteTableIds, and this stack makes one."
        if self.missing:
            yield (f"{self.vpc_id} has no interface endpoint for {_some(self.missing, limit)}: let this stack create what is "
                   "missing, or add it to the VPC. Endpoints in a hub VPC can't be seen from here; what stands there "
                   "is not missing.")  # fmt: skip
        if self.no_private_dns:
            yield (f"Private DNS is off at the endpoints for {_some(self.no_private_dns, limit)}: turn it on, unless a "
                   "private hosted zone leads to them.")  # fmt: skip


def check(client: Any, properties: Mapping[str, Any], asked: Asked, room: int) -> str:
    """Tell what an existing VPC lacks, "ok", or why nobody looked, in at most `room` bytes of JSON."""
    vpc_id, needed = properties.get("ExistingVpcId") or "", properties.get("NeededServices") or []
    if vpc_id == "":
        return NEW
    try:
        if not isinstance(vpc_id, str) or not _are_names(needed):
            raise NoFacts("ExistingVpcId has to be a text and NeededServices a list of names: mend the template.")
        makes_s3_gateway = properties.get("MakesS3Gateway") == "true"
        found = _look(client, vpc_id, tuple(dict.fromkeys(needed)), asked, makes_s3_gateway=makes_s3_gateway)
    except Exception as error:  # this look is a service to the reader: nothing it meets is worth a failed stack
        return _cut(f"The VPC was not checked: {_why(error, vpc_id, asked.region)}", room)
    return _fit(found.told, max(len(found.missing), len(found.no_private_dns)), room)


def _look(client: Any, vpc_id: str, needed: Sequence[str], asked: Asked, *, makes_s3_gateway: bool) -> Found:
    off = []
    for name in ATTRIBUTES:
        told = client.describe_vpc_attribute(VpcId=vpc_id, Attribute=name[0].lower() + name[1:])
        if not told[name]["Value"]:
            off.append(name)
    endpoints = [
        (one["VpcEndpointType"], one["ServiceName"], one.get("PrivateDnsEnabled", False))
        for one in pages(client, "describe_vpc_endpoints", "VpcEndpoints", {"vpc-id": [vpc_id]})
        if one["State"].lower() == "available"  # the SDK's model spells states otherwise than EC2 answers
    ]
    gateways = {service for kind, service, _ in endpoints if kind == "Gateway"}
    stand = {service for kind, service, _ in endpoints if kind == "Interface"}
    private = {service for kind, service, private in endpoints if kind == "Interface" and private}
    others = [service for service in needed if service not in asked.services]  # those of this stack have private DNS
    return Found(
        vpc_id,
        tuple(off),
        not makes_s3_gateway and f"com.amazonaws.{asked.region}.s3" not in gateways,
        tuple(service for service in others if service not in stand),
        tuple(service for service in others if service in stand - private),
    )


def _are_names(found: object) -> bool:
    return isinstance(found, list) and all(isinstance(name, str) for name in found)


def _why(error: Exception, vpc_id: object, region: str) -> str:
    if isinstance(error, NoFacts):
        return str(error)
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    if code.lower().startswith("invalidvpcid"):  # EC2 writes InvalidVpcID.NotFound, but InvalidVpcId.Malformed
        return f"{vpc_id} does not exist in {region} for this account: set ExistingVpcId to a VPC of this region."
    return (f"{type(error).__name__}: {error} - allow this to the function's role; if EC2 was busy, the next change "
            "of the network's parameters looks again.")  # fmt: skip


def _some(names: Sequence[str], limit: int) -> str:
    if len(names) <= limit:
        return ", ".join(names)
    return f"{', '.join(names[:limit])} and {len(names) - limit} more" if limit else f"{len(names)} services"


def _fit(told: Callable[[int], str], most: int, room: int) -> str:
    for limit in range(most, -1, -1):
        text = told(limit)
        if json_size(text) <= room:
            return text
    return _cut(text, room)


def _cut(text: str, room: int) -> str:
    if json_size(text) <= room:
        return text
    text = text[: max(room, 0)]
    while text and json_size(f"{text}...") > room:
        text = text[:-1]
    return f"{text}..."
