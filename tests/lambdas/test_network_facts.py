"""The facts of a region: zones that serve every endpoint, chosen once and kept, and the prefix list of S3."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import pytest
from botocore.stub import Stubber

R = "eu-central-1"
STS, LOGS, KMS = (f"com.amazonaws.{R}.{name}" for name in ("sts", "logs", "kms"))
# As in a real account the letters do not follow the ids: a is az2, b is az3, c is az1, d is az4.
NAMES = {"euc1-az1": f"{R}c", "euc1-az2": f"{R}a", "euc1-az3": f"{R}b", "euc1-az4": f"{R}d"}
ALL = tuple(NAMES)
PREFIX_LIST = {"PrefixListId": "pl-6ea54007", "PrefixListName": f"com.amazonaws.{R}.s3"}
PROPERTIES: dict[str, Any] = {
    "ServiceToken": "arn",
    "Region": R,
    "ZonesWanted": "2",
    "ZonesGiven": "",
    "ZonesPreferred": "euc1-az2,euc1-az3,euc1-az1",
    "Services": [STS, LOGS],
}
ATTRIBUTES = {"ZoneA", "ZoneB", "ZoneC", "ZoneIds", "S3PrefixListId", "MissingServices", "VpcCheck"}


def loaded(load: Callable[[str, str], ModuleType], log: Any) -> Any:
    """Import the handler; its log goes where the test looks."""
    handlers = load("network_facts", "handler")
    for handler in logging.getLogger("network-facts").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(log.stream)
    return handlers


@pytest.fixture
def module(load: Callable[[str, str], ModuleType], log: Any) -> Any:
    return loaded(load, log)


@pytest.fixture
def aws(module: Any) -> Iterator[Stubber]:
    with Stubber(module.EC2) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


class Asking:
    """Send requests and look at every answer."""

    def __init__(self, module: Any, server: Any, context: Any, request_event: Any) -> None:
        self._module, self._server, self._context, self._event = module, server, context, request_event

    def send(self, kind: str = "Create", before: str | None = None, **changes: Any) -> dict[str, Any]:
        """Give the whole response. `before` is the physical id until now."""
        old = changes.pop("old", {})
        event = self._event(kind, ResourceProperties=PROPERTIES | changes, OldResourceProperties=PROPERTIES | old)
        if before is not None:
            event["PhysicalResourceId"] = before
        self._module.handler(event, self._context())
        assert len(self._server.sent[-1].body) <= 4096
        body: dict[str, Any] = self._server.sent[-1].json
        return body

    def zones(self, kind: str = "Create", before: str | None = None, **changes: Any) -> tuple[str, str, dict[str, str]]:
        """Give the zones, what the physical id remembers, and the attributes; the answer must be SUCCESS."""
        body = self.send(kind, before, **changes)
        assert body["Status"] == "SUCCESS", body
        data: dict[str, str] = body["Data"]
        assert set(data) == ATTRIBUTES  # a missing attribute fails every Fn::GetAtt on it
        assert ",".join(filter(None, (data["ZoneA"], data["ZoneB"], data["ZoneC"]))) == data["ZoneIds"]
        assert all(value for name, value in data.items() if name != "ZoneC")
        head, _, remembered = body["PhysicalResourceId"].partition("/")
        assert head == "network-facts"
        return data["ZoneIds"], remembered, data

    def fails(self, kind: str = "Create", before: str | None = None, **changes: Any) -> str:
        """Give the reason; the answer must be FAILED and keep the physical id."""
        body = self.send(kind, before, **changes)
        assert body["Status"] == "FAILED", body
        assert before is None or body["PhysicalResourceId"] == before
        reason: str = body["Reason"]
        return reason


@pytest.fixture
def ask(module: Any, server: Any, context: Any, request_event: Any) -> Asking:
    return Asking(module, server, context, request_event)


def a_zone(zone_id: str, **changes: str) -> dict[str, str]:
    common = {"State": "available", "ZoneType": "availability-zone", "OptInStatus": "opt-in-not-required"}
    return {"ZoneId": zone_id, "ZoneName": NAMES.get(zone_id, f"{zone_id}-name")} | common | changes


def a_service(name: str, zones: tuple[str, ...] = ALL) -> dict[str, Any]:
    return {"ServiceName": name, "AvailabilityZones": [NAMES[zone] for zone in zones]}


def prefix_list_of(stub: Stubber, *lists: dict[str, str], name: str = PREFIX_LIST["PrefixListName"]) -> None:
    asked = {"Filters": [{"Name": "prefix-list-name", "Values": [name]}]}
    stub.add_response("describe_managed_prefix_lists", {"PrefixLists": list(lists)}, asked)


def services_of(stub: Stubber, details: list[dict[str, Any]], asked: list[str], **token: str) -> None:
    filters = [{"Name": "service-name", "Values": asked}, {"Name": "service-type", "Values": ["Interface"]}]
    answer = {"ServiceDetails": details, "ServiceNames": [one["ServiceName"] for one in details]}
    more = {"NextToken": token["after"]} if "after" in token else {}
    given = {"NextToken": token["given"]} if "given" in token else {}
    stub.add_response("describe_vpc_endpoint_services", answer | more, {"Filters": filters} | given)


def region_of(
    stub: Stubber,
    serve: Mapping[str, tuple[str, ...]] | None = None,
    zones: list[dict[str, str]] | None = None,
    asked: list[str] | None = None,
) -> None:
    """Answer one whole look-up: every service in every zone unless told otherwise."""
    prefix_list_of(stub, PREFIX_LIST)
    found = {STS: ALL, LOGS: ALL} if serve is None else serve
    services_of(stub, [a_service(name, where) for name, where in found.items()], asked or [STS, LOGS])
    all_zones = [a_zone(zone) for zone in ALL] if zones is None else zones
    stub.add_response("describe_availability_zones", {"AvailabilityZones": all_zones}, {})


def test_two_zones_are_told_and_three_remembered(aws: Stubber, ask: Asking, log: Any) -> None:
    region_of(aws)
    zones, remembered, data = ask.zones()
    assert (zones, remembered) == ("euc1-az2,euc1-az3", "euc1-az2,euc1-az3,euc1-az1")
    assert (data["ZoneA"], data["ZoneB"], data["ZoneC"]) == ("euc1-az2", "euc1-az3", "")
    assert (data["S3PrefixListId"], data["MissingServices"]) == ("pl-6ea54007", "none")
    (line,) = log.named("zones")
    assert (line["zones"], line["given"], line["kept"]) == (["euc1-az2", "euc1-az3"], [], [])


def test_three_zones(aws: Stubber, ask: Asking) -> None:
    region_of(aws)
    zones, remembered, data = ask.zones(ZonesWanted="3")
    assert zones == remembered == "euc1-az2,euc1-az3,euc1-az1"
    assert data["ZoneC"] == "euc1-az1"


def test_a_repeated_create_answers_the_same(aws: Stubber, ask: Asking) -> None:
    region_of(aws)
    region_of(aws)
    assert ask.send() == ask.send()


def test_a_preferred_zone_has_to_exist_and_to_serve_everything(aws: Stubber, ask: Asking) -> None:
    region_of(aws, {STS: ALL, LOGS: ("euc1-az1", "euc1-az3", "euc1-az4")})
    assert ask.zones(ZonesPreferred="use1-az9, euc1-az2 ,euc1-az4")[1] == "euc1-az4,euc1-az1,euc1-az3"


@pytest.mark.parametrize(
    ("preferred", "chosen"),
    [("", "euc1-az1,euc1-az2,euc1-az3"), ("euc1-az4,euc1-az4,,", "euc1-az4,euc1-az1,euc1-az2")],
)
def test_zones_that_nobody_prefers_follow_by_id(aws: Stubber, ask: Asking, preferred: str, chosen: str) -> None:
    region_of(aws, zones=[a_zone(zone) for zone in reversed(ALL)])
    assert ask.zones(ZonesPreferred=preferred)[1] == chosen


@pytest.mark.parametrize(
    "change",
    [
        {"State": "impaired"},
        {"State": "constrained"},
        {"ZoneType": "local-zone"},
        {"ZoneType": "wavelength-zone"},
        {"OptInStatus": "not-opted-in"},
    ],
)
def test_other_zones_do_not_count(aws: Stubber, ask: Asking, change: dict[str, str]) -> None:
    region_of(aws, zones=[a_zone("euc1-az2", **change), a_zone("euc1-az1"), a_zone("euc1-az3", OptInStatus="opted-in")])
    assert ask.zones()[1] == "euc1-az3,euc1-az1"


def test_two_are_remembered_where_only_two_serve(aws: Stubber, ask: Asking) -> None:
    region_of(aws, {STS: ("euc1-az1", "euc1-az4"), LOGS: ALL})
    assert ask.zones()[:2] == ("euc1-az1,euc1-az4",) * 2


def test_too_few_zones_says_what_each_lacks(aws: Stubber, ask: Asking) -> None:
    region_of(aws, {STS: ("euc1-az1", "euc1-az2"), LOGS: ("euc1-az1", "euc1-az3")})
    assert ask.fails() == (
        f"NoFacts: 2 zones are wanted and 1 serve every endpoint; euc1-az2 lacks {LOGS}; euc1-az3 lacks {STS}; "
        f"euc1-az4 lacks {STS}, {LOGS}. Lower SubnetCount, or do without these endpoints and set AvailabilityZoneIds. "
        "(log stream 2026/01/01/[$LATEST]abc)"
    )


@pytest.mark.parametrize(("wanted", "zones"), [("3", ALL[:2]), ("2", ALL[:1]), ("2", ())])
def test_too_few_zones_exist(aws: Stubber, ask: Asking, wanted: str, zones: tuple[str, ...]) -> None:
    region_of(aws, zones=[a_zone(zone) for zone in zones])
    told = f"{wanted} zones are wanted and {len(zones)} serve every endpoint; no others exist. Lower SubnetCount"
    assert told in ask.fails(ZonesWanted=wanted)


# --- Services and prefix list


def test_services_that_the_region_lacks_are_told_and_keep_no_zone_out(aws: Stubber, ask: Asking, log: Any) -> None:
    region_of(aws, {LOGS: ALL}, asked=[STS, LOGS, KMS])
    zones, _, data = ask.zones(Services=[STS, LOGS, KMS, STS])
    assert (zones, data["MissingServices"]) == ("euc1-az2,euc1-az3", f"{STS},{KMS}")
    assert log.named("zones")[0]["missing_services"] == [STS, KMS]


def test_services_and_prefix_lists_on_several_pages(aws: Stubber, ask: Asking) -> None:
    filters = {"Filters": [{"Name": "prefix-list-name", "Values": [PREFIX_LIST["PrefixListName"]]}]}
    aws.add_response("describe_managed_prefix_lists", {"PrefixLists": [], "NextToken": "next"}, filters)
    aws.add_response("describe_managed_prefix_lists", {"PrefixLists": [PREFIX_LIST]}, filters | {"NextToken": "next"})
    services_of(aws, [a_service(STS)], [STS, LOGS], after="next")
    services_of(aws, [a_service(LOGS, ("euc1-az1", "euc1-az4"))], [STS, LOGS], given="next")
    aws.add_response("describe_availability_zones", {"AvailabilityZones": [a_zone(zone) for zone in ALL]}, {})
    _, remembered, data = ask.zones()
    assert (remembered, data["MissingServices"]) == ("euc1-az1,euc1-az4", "none")
    assert data["S3PrefixListId"] == "pl-6ea54007"


def test_a_wildcard_is_no_service(aws: Stubber, ask: Asking) -> None:
    # The filter takes wildcards and then shows services that nobody asked for, in any zones.
    region_of(aws, {LOGS: (), KMS: ()}, asked=["com.amazonaws.*"])
    assert ask.zones(Services=["com.amazonaws.*"])[2]["MissingServices"] == "com.amazonaws.*"


def test_twice_the_services_of_the_platform_fit_the_answer(aws: Stubber, ask: Asking) -> None:
    many = [f"com.amazonaws.{R}.codeartifact.repositories{number:02}" for number in range(32)]
    region_of(aws, {}, asked=many)
    assert ask.zones(Services=many)[2]["MissingServices"] == ",".join(many)


def test_no_prefix_list(aws: Stubber, ask: Asking) -> None:
    prefix_list_of(aws)
    assert ask.fails().startswith(f"NoFacts: EC2 shows no prefix list com.amazonaws.{R}.s3, without which")


def test_a_region_with_a_wildcard_takes_nobody_elses_prefix_list(aws: Stubber, ask: Asking) -> None:
    prefix_list_of(aws, PREFIX_LIST, name="com.amazonaws.*.s3")
    assert "no prefix list com.amazonaws.*.s3" in ask.fails(Region="*")


# --- Zones given by a person


@pytest.mark.parametrize(
    ("given", "zones", "remembered"),
    [
        ("euc1-az4, euc1-az1", "euc1-az4,euc1-az1", "euc1-az4,euc1-az1"),
        ("euc1-az4,euc1-az1,euc1-az3", "euc1-az4,euc1-az1", "euc1-az4,euc1-az1,euc1-az3"),
        ("euc1-az4,euc1-az1,euc1-az3,euc1-az2", "euc1-az4,euc1-az1", "euc1-az4,euc1-az1,euc1-az3"),
        (" , ,", "euc1-az2,euc1-az3", "euc1-az2,euc1-az3,euc1-az1"),
    ],
)
def test_given_zones_are_taken_as_they_are(aws: Stubber, ask: Asking, given: str, zones: str, remembered: str) -> None:
    region_of(aws)
    assert ask.zones(ZonesGiven=given)[:2] == (zones, remembered)


def test_every_fault_of_the_given_zones_is_told(aws: Stubber, ask: Asking) -> None:
    region_of(aws, {STS: ("euc1-az1", "euc1-az3", "euc1-az4"), LOGS: ("euc1-az1",)})
    given = "euc1-az2,use1-az1,euc1-az1,euc1-az1,euc1-az3"
    assert ask.fails(ZonesGiven=given) == (
        f"NoFacts: euc1-az2 does not serve {STS}, {LOGS}; use1-az1 does not exist here; euc1-az1 is given twice; "
        f"euc1-az3 does not serve {LOGS}. The zones of this account are euc1-az1, euc1-az2, euc1-az3, euc1-az4: "
        "change AvailabilityZoneIds. (log stream 2026/01/01/[$LATEST]abc)"
    )


def test_a_local_zone_cannot_be_given(aws: Stubber, ask: Asking) -> None:
    region_of(aws, zones=[a_zone("euc1-az1"), a_zone("euc1-ham1-az1", ZoneType="local-zone", OptInStatus="opted-in")])
    assert "euc1-ham1-az1 does not exist here" in ask.fails(ZonesGiven="euc1-az1,euc1-ham1-az1")


def test_a_given_zone_needs_only_what_the_region_offers(aws: Stubber, ask: Asking) -> None:
    region_of(aws, {LOGS: ALL})
    assert ask.zones(ZonesGiven="euc1-az4,euc1-az1")[2]["MissingServices"] == STS


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("euc1-az1", "1 zones are given for 2 subnets. "),
        ("EUC1-AZ1,euc1-az2", "EUC1-AZ1 does not exist here. "),
        ("euc1-az1;euc1-az2,euc1-az3", "euc1-az1;euc1-az2 does not exist here. "),
        ("eu-central-1a,euc1-az2", "eu-central-1a does not exist here. "),
        ("*,euc1-az2", "* does not exist here. "),
        ("\u00e9\x00,euc1-az2", "\u00e9\x00 does not exist here. "),
        (",".join(f"xxx1-az{number}" for number in range(2000)), "xxx1-az0 does not exist here; "),
    ],
)
def test_given_zones_that_cannot_be_used(aws: Stubber, ask: Asking, given: str, told: str) -> None:
    region_of(aws)
    assert ask.fails(ZonesGiven=given).startswith(f"NoFacts: {told}")
