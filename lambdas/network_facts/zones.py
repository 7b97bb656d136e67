"""Find the zones that serve every endpoint. Zones are told by id: names mean other zones in other accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Lacks = Mapping[str, Sequence[str]]  # for every zone of the account, sorted, the services it does not have


class NoFacts(Exception):
    """The facts cannot be told; the text, which ends with the mend, becomes the reason that the stack shows."""


@dataclass(frozen=True)
class Asked:
    """What the template asks for; zones are ids."""

    region: str
    wanted: int
    given: tuple[str, ...]
    preferred: tuple[str, ...]
    services: tuple[str, ...]


def read(properties: Mapping[str, Any]) -> Asked:
    """Read the properties. Raises NoFacts."""
    texts: list[Any] = [properties.get(name) for name in ("Region", "ZonesWanted", "ZonesGiven", "ZonesPreferred")]
    services = properties.get("Services")
    names: list[Any] = services if isinstance(services, list) else [None]
    if not all(isinstance(text, str) for text in (*texts, *names)) or texts[1] not in ("0", "2", "3"):
        raise NoFacts("Region and zones have to be texts, ZonesWanted 0, 2 or 3, Services names: mend the template.")
    return Asked(texts[0], int(texts[1]), comma(texts[2]), comma(texts[3]), tuple(dict.fromkeys(names)))


def comma(text: object) -> tuple[str, ...]:
    """Split a list separated by commas; what is no text is an empty list."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) if isinstance(text, str) else ()


def look_up(client: Any, services: Sequence[str]) -> tuple[Lacks, list[str]]:
    """Ask EC2 which services each zone lacks, and which the whole region."""
    # A filter and not ServiceNames, which fails as a whole on one name that the region does not have.
    wanted = {"service-name": list(services), "service-type": ["Interface"]}
    details = pages(client, "describe_vpc_endpoint_services", "ServiceDetails", wanted) if services else []
    served = {detail["ServiceName"]: detail["AvailabilityZones"] for detail in details}
    offered = [service for service in services if service in served]
    lacks = {
        zone["ZoneId"]: [service for service in offered if zone["ZoneName"] not in served[service]]
        for zone in client.describe_availability_zones()["AvailabilityZones"]
        if (zone["State"], zone["ZoneType"]) == ("available", "availability-zone")
        and zone["OptInStatus"] in ("opt-in-not-required", "opted-in")
    }
    return dict(sorted(lacks.items())), [service for service in services if service not in served]


def s3_prefix_list(client: Any, region: str) -> str:
    """Give the id of the prefix list of S3. Raises NoFacts."""
    name = f"com.amazonaws.{region}.s3"
    for one in pages(client, "describe_managed_prefix_lists", "PrefixLists", {"prefix-list-name": [name]}):
        if one["PrefixListName"] == name:  # compared again, since filters take wildcards
            return str(one["PrefixListId"])
    raise NoFacts(f"EC2 shows no prefix list {name}, without which no security group lets S3 through: check Region.")


def check_unmoved(asked: Asked, kept: Sequence[str]) -> None:
    """Refuse other zones than those the subnets stand in. Raises NoFacts.

    A subnet moves only by replacement, and the new one would have the address range that the old one still holds.
    """
    stand = tuple(kept[: asked.wanted])
    if asked.given and asked.given[: len(stand)] != stand:
        raise NoFacts(f"Subnets stand in {','.join(stand)} and can't move: set AvailabilityZoneIds to them (in this "
                      "order) or leave it empty.")  # fmt: skip


def check_given(lacks: Lacks, asked: Asked, kept: Sequence[str]) -> None:
    """Refuse zones that a person gave and that cannot be used; those kept are only counted. Raises NoFacts."""
    problems = []
    if len(asked.given) < asked.wanted:
        problems.append(f"{len(asked.given)} zones are given for {asked.wanted} subnets")
    # The subnets in zones kept are there already, so what these zones serve today is no reason to fail, and a rollback
    # has to succeed with whatever else was given at Create.
    given = asked.given[: asked.wanted] if kept else asked.given
    for zone in dict.fromkeys(given[len(kept) :]):
        if given.count(zone) > 1:
            problems.append(f"{zone} is given twice")
        if zone not in lacks:
            problems.append(f"{zone} does not exist here")
        elif lacks[zone]:
            problems.append(f"{zone} does not serve {', '.join(lacks[zone])}")
    if problems:
        told, exist = "; ".join(problems), ", ".join(lacks)
        raise NoFacts(f"{told}. The zones of this account are {exist}: change AvailabilityZoneIds.")


def remember(lacks: Lacks, asked: Asked, kept: Sequence[str]) -> tuple[str, ...]:
    """Give what the physical id remembers from now on: what was kept, and more where it is too few. Raises NoFacts."""
    if len(kept) >= asked.wanted:
        return tuple(kept)
    return (*kept, *asked.given[len(kept) : 3]) if asked.given else choose(lacks, asked, kept)


def choose(lacks: Lacks, asked: Asked, kept: Sequence[str]) -> tuple[str, ...]:
    """Choose zones, those kept first: three if they serve, so that a later third subnet moves none. Raises NoFacts."""
    serving = [zone for zone in lacks if not lacks[zone]]
    chosen = tuple(dict.fromkeys([*kept, *(zone for zone in asked.preferred if zone in serving), *serving]))[:3]
    if len(chosen) < asked.wanted:
        why = "; ".join(f"{zone} lacks {', '.join(lacks[zone])}" for zone in lacks if lacks[zone]) or "no others exist"
        raise NoFacts(f"{asked.wanted} zones are wanted and {len(serving)} serve every endpoint; {why}. Lower "
                      "SubnetCount, or do without these endpoints and set AvailabilityZoneIds.")  # fmt: skip
    return chosen


def pages(client: Any, call: str, key: str, filters: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    """Read what all pages of an EC2 call hold under a key."""
    wanted = [{"Name": name, "Values": values} for name, values in filters.items()]
    return [one for page in client.get_paginator(call).paginate(Filters=wanted) for one in page[key]]
