"""The facts of a region at Update and Delete, and what is said when they cannot be had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from tests.lambdas.test_network_facts import (
    ALL,
    KMS,
    LOGS,
    PREFIX_LIST,
    PROPERTIES,
    STS,
    Asking,
    R,
    a_service,
    a_zone,
    loaded,
    prefix_list_of,
    region_of,
    services_of,
)

THREE = "euc1-az1,euc1-az4,euc1-az2"  # what the physical id remembers


@pytest.fixture
def module(load: Callable[[str, str], ModuleType], log: Any) -> Any:
    return loaded(load, log)


@pytest.fixture
def aws(module: Any) -> Iterator[Stubber]:
    with Stubber(module.EC2) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def ask(module: Any, server: Any, context: Any, request_event: Any) -> Asking:
    return Asking(module, server, context, request_event)


def test_an_update_keeps_the_zones_whatever_changed_around_them(aws: Stubber, ask: Asking, log: Any) -> None:
    # Another preference, a new service that az1 lacks, a zone that has gone: the subnets stay where they are.
    services = [STS, KMS, LOGS]
    region_of(aws, {STS: ("euc1-az2", "euc1-az3"), KMS: ALL}, [a_zone("euc1-az2"), a_zone("euc1-az3")], services)
    found = ask.zones("Update", f"network-facts/{THREE}", ZonesPreferred="euc1-az3", Services=services)
    assert found[:2] == ("euc1-az1,euc1-az4", THREE)
    assert found[2]["MissingServices"] == LOGS
    assert log.named("zones")[0]["kept"] == THREE.split(",")


@pytest.mark.parametrize(
    ("before", "wanted", "zones", "after"),
    [
        (THREE, "3", THREE, THREE),
        (THREE, "2", "euc1-az1,euc1-az4", THREE),
        ("euc1-az1,euc1-az4", "2", "euc1-az1,euc1-az4", "euc1-az1,euc1-az4"),
        ("euc1-az1,euc1-az4", "3", THREE, THREE),
    ],
)
def test_the_third_subnet_comes_and_goes(
    aws: Stubber, ask: Asking, before: str, wanted: str, zones: str, after: str
) -> None:
    for _ in range(2):  # Lambda may repeat an event
        region_of(aws)
        assert ask.zones("Update", f"network-facts/{before}", ZonesWanted=wanted)[:2] == (zones, after)


def test_there_may_be_no_third_zone(aws: Stubber, ask: Asking) -> None:
    region_of(aws, {STS: ("euc1-az1", "euc1-az4"), LOGS: ALL})
    reason = ask.fails("Update", "network-facts/euc1-az1,euc1-az4", ZonesWanted="3")
    assert f"3 zones are wanted and 2 serve every endpoint; euc1-az2 lacks {STS}; euc1-az3 lacks {STS}." in reason


@pytest.mark.parametrize(
    ("before", "wanted", "given", "stand"),
    [
        (THREE, "2", "euc1-az3,euc1-az2", "euc1-az1,euc1-az4"),
        (THREE, "2", "euc1-az4,euc1-az1", "euc1-az1,euc1-az4"),
        (THREE, "2", "euc1-az1,euc1-az3", "euc1-az1,euc1-az4"),
        (THREE, "2", "euc1-az1", "euc1-az1,euc1-az4"),
        (THREE, "3", "euc1-az1,euc1-az4,euc1-az3", THREE),
        (THREE, "3", "euc1-az1,euc1-az4", THREE),
        ("euc1-az1,euc1-az4", "3", "euc1-az1,euc1-az3,euc1-az4", "euc1-az1,euc1-az4"),
    ],
)
def test_subnets_that_stand_do_not_move(
    aws: Stubber, ask: Asking, before: str, wanted: str, given: str, stand: str
) -> None:
    # The old properties say the same as the new ones, and count for nothing; EC2 is not even asked.
    changes = {"ZonesGiven": given, "ZonesWanted": wanted}
    assert ask.fails("Update", f"network-facts/{before}", old=changes, **changes) == (
        f"NoFacts: Subnets stand in {stand} and can't move: set AvailabilityZoneIds to them (in this order) or leave it "
        "empty. (log stream 2026/01/01/[$LATEST]abc)"
    )


@pytest.mark.parametrize(
    ("before", "wanted", "given", "zones", "after"),
    [
        (THREE, "2", "euc1-az1,euc1-az4", "euc1-az1,euc1-az4", THREE),
        (THREE, "2", "euc1-az1,euc1-az4,euc1-az3", "euc1-az1,euc1-az4", THREE),
        (THREE, "3", THREE, THREE, THREE),
        ("euc1-az1,euc1-az4", "2", "euc1-az1,euc1-az4,euc1-az3", "euc1-az1,euc1-az4", "euc1-az1,euc1-az4"),
        ("euc1-az1,euc1-az4", "3", "euc1-az1,euc1-az4,euc1-az3", *("euc1-az1,euc1-az4,euc1-az3",) * 2),
        ("euc1-az1,euc1-az4", "3", "euc1-az1,euc1-az4,euc1-az3,euc1-az2", *("euc1-az1,euc1-az4,euc1-az3",) * 2),
        (THREE, "0", "euc1-az3,euc1-az2", "", THREE),
    ],
)
def test_given_zones_that_begin_with_those_kept_only_add_a_third(
    aws: Stubber, ask: Asking, before: str, wanted: str, given: str, zones: str, after: str
) -> None:
    region_of(aws)
    body = ask.send("Update", f"network-facts/{before}", ZonesGiven=given, ZonesWanted=wanted)
    assert body["Status"] == "SUCCESS", body
    assert (body["Data"]["ZoneIds"], body["PhysicalResourceId"]) == (zones, f"network-facts/{after}")


def test_a_refused_move_is_rolled_back(aws: Stubber, ask: Asking) -> None:
    created, moved = {"ZonesGiven": "euc1-az4,euc1-az1,euc1-az3,euc1-az2"}, {"ZonesGiven": "euc1-az3,euc1-az2"}
    region_of(aws)
    before = ask.send("Create", **created)["PhysicalResourceId"]
    assert "can't move" in ask.fails("Update", before, old=created, **moved)
    # By now the zones that stand serve nothing and the others have gone: no reason to fail the rollback.
    region_of(aws, {STS: (), LOGS: ()}, [a_zone("euc1-az4")])
    assert ask.zones("Update", before, old=moved, **created)[:2] == ("euc1-az4,euc1-az1", "euc1-az4,euc1-az1,euc1-az3")


def test_a_third_subnet_that_failed_is_rolled_back(aws: Stubber, ask: Asking) -> None:
    two, three = {"ZonesGiven": "euc1-az4,euc1-az1"}, {"ZonesGiven": "euc1-az4,euc1-az1,euc1-az3", "ZonesWanted": "3"}
    region_of(aws)
    created = ask.zones("Create", **two)[1]
    region_of(aws)
    grown = ask.zones("Update", f"network-facts/{created}", old=two, **three)[1]
    for own in (created, grown):  # whichever id the rollback comes with
        region_of(aws)
        assert ask.zones("Update", f"network-facts/{own}", old=three, **two)[:2] == (created, own)


def test_an_automatic_choice_may_be_written_down_and_rolled_back(aws: Stubber, ask: Asking) -> None:
    given = {"ZonesGiven": "euc1-az1,euc1-az4"}
    region_of(aws)
    assert ask.zones("Update", f"network-facts/{THREE}", **given)[:2] == (given["ZonesGiven"], THREE)
    region_of(aws)  # by now another zone would be preferred
    found = ask.zones("Update", f"network-facts/{THREE}", ZonesPreferred="euc1-az2", old=given)
    assert found[:2] == ("euc1-az1,euc1-az4", THREE)


def test_taking_the_given_zones_back_moves_no_subnet(aws: Stubber, ask: Asking) -> None:
    given = "euc1-az4,euc1-az3"
    region_of(aws)
    zones, remembered, _ = ask.zones("Update", f"network-facts/{given}", ZonesWanted="3", old={"ZonesGiven": given})
    assert zones == remembered == "euc1-az4,euc1-az3,euc1-az2"


def test_given_zones_that_stand_are_counted_but_not_held_against_new_services(aws: Stubber, ask: Asking) -> None:
    given, before = {"ZonesGiven": "euc1-az4,euc1-az3"}, "network-facts/euc1-az4,euc1-az3"
    region_of(aws, {STS: ("euc1-az1",), LOGS: ()})
    assert ask.zones("Update", before, old={"ZonesGiven": "euc1-az4 , euc1-az3"}, **given)[0] == "euc1-az4,euc1-az3"
    region_of(aws)
    assert "2 zones are given for 3 subnets" in ask.fails("Update", before, old=given, ZonesWanted="3", **given)


@pytest.mark.parametrize(
    ("before", "wanted", "given", "told"),
    [
        ("given-id", "2", "euc1-az1,euc1-az3", f"euc1-az3 does not serve {STS}."),
        ("network-facts/euc1-az1,euc1-az2", "3", "euc1-az1,euc1-az2,euc1-az3", f"euc1-az3 does not serve {STS}."),
        (
            "network-facts/euc1-az3,euc1-az4",
            "3",
            "euc1-az3,euc1-az4,euc1-az3",
            "euc1-az3 is given twice; euc1-az3 does",
        ),
        ("network-facts/euc1-az3,euc1-az4", "3", "euc1-az3,euc1-az4,use1-az1", "use1-az1 does not exist here."),
    ],
)
def test_given_zones_where_no_subnet_stands_are_checked(
    aws: Stubber, ask: Asking, before: str, wanted: str, given: str, told: str
) -> None:
    region_of(aws, {STS: ("euc1-az1", "euc1-az2"), LOGS: ALL})
    changes = {"ZonesGiven": given, "ZonesWanted": wanted}  # as it was: what the old properties say counts for nothing
    assert ask.fails("Update", before, old=changes, **changes).startswith(f"NoFacts: {told}")


@pytest.mark.parametrize(
    "before",
    [
        "given-id",
        "network-facts/",
        "network-facts/euc1-az4",
        "network-facts/euc1-az4,",
        "network-facts/euc1-az4,../x",
        f"network-facts/{THREE},euc1-az3",
        "network-facts/euc1-az4,euc1-az3\n",
        "x/network-facts/euc1-az4,euc1-az3",
    ],
)
def test_an_id_that_remembers_nothing_is_chosen_anew(aws: Stubber, ask: Asking, before: str) -> None:
    region_of(aws)
    assert ask.zones("Update", before)[1] == "euc1-az2,euc1-az3,euc1-az1"


# --- Delete


@pytest.mark.parametrize("before", ["network-facts/euc1-az1,euc1-az2", "mlops-infra-NetworkFacts-0123456789ab"])
def test_delete_answers_at_once_and_calls_nothing(aws: Stubber, ask: Asking, before: str) -> None:
    # The stubber has no response, so any call would fail the request.
    body = ask.send("Delete", before, Region=None, ZonesWanted="nonsense", Services=None)
    assert (body["Status"], body["PhysicalResourceId"], body["Data"]) == ("SUCCESS", before, {})


# --- Bad properties and refusals


@pytest.mark.parametrize(
    "changes",
    [
        {"Region": None},
        {"Region": ["eu-central-1"]},
        {"ZonesWanted": "4"},
        {"ZonesWanted": "-2"},
        {"ZonesWanted": ""},
        {"ZonesWanted": 2},
        {"ZonesWanted": None},
        {"ZonesGiven": None},
        {"ZonesGiven": ["euc1-az1", "euc1-az2"]},
        {"ZonesPreferred": {"a": "b"}},
        {"Services": None},
        {"Services": STS},
        {"Services": [STS, None]},
        {"Services": [[STS]]},
        {"Services": {"0": STS}},
    ],
)
@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_bad_properties_fail_before_any_call(aws: Stubber, ask: Asking, kind: str, changes: dict[str, Any]) -> None:
    assert ask.fails(kind, **changes).startswith("NoFacts: Region and zones have to be texts, ZonesWanted 0, 2 or 3")


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "RequestLimitExceeded", "InternalError", "AuthFailure"])
@pytest.mark.parametrize("answered", [0, 1, 2])
def test_a_refusal_of_any_call_is_told(aws: Stubber, ask: Asking, code: str, answered: int) -> None:
    calls = ("describe_managed_prefix_lists", "describe_vpc_endpoint_services", "describe_availability_zones")
    if answered > 0:
        prefix_list_of(aws, PREFIX_LIST)
    if answered > 1:
        services_of(aws, [a_service(STS), a_service(LOGS)], [STS, LOGS])
    aws.add_client_error(calls[answered], code, "You may not.")
    operation = "".join(word.capitalize() for word in calls[answered].split("_"))
    reason = ask.fails("Update", "network-facts/euc1-az1,euc1-az2")
    assert f"({code}) when calling the {operation} operation" in reason
    assert "You may not. - allow this to the function's role, or repeat if EC2 was busy." in reason


def test_an_unreachable_ec2_is_told(module: Any, ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_call: str) -> Any:
        raise EndpointConnectionError(endpoint_url="https://ec2")

    monkeypatch.setattr(module.EC2, "get_paginator", refuse)
    assert 'Could not connect to the endpoint URL: "https://ec2" - allow this' in ask.fails()


def test_throttling_is_repeated_and_real_answers_are_read(
    load: Any, monkeypatch: pytest.MonkeyPatch, server: Any, context: Any, request_event: Any, log: Any
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", server.base)
    busy = (
        b"<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>slow</Message></Error></Errors></Response>"
    )
    lists = (
        f"<prefixListSet><item><prefixListId>pl-1</prefixListId><prefixListName>com.amazonaws.{R}.s3</prefixListName>"
    )
    details = (
        f"<serviceDetailSet><item><serviceName>{STS}</serviceName><availabilityZoneSet><item>a</item><item>b</item>"
    )
    zone = "<item><zoneName>{0}</zoneName><zoneId>euc1-{0}</zoneId><zoneState>available</zoneState>"
    zone += "<zoneType>availability-zone</zoneType><optInStatus>opt-in-not-required</optInStatus></item>"
    answers = (
        f"<R>{lists}</item></prefixListSet></R>",
        f"<R>{details}</availabilityZoneSet></item></serviceDetailSet></R>",
        f"<R><availabilityZoneInfo>{zone.format('b')}{zone.format('a')}{zone.format('c')}</availabilityZoneInfo></R>",
    )
    server.plan = [(503, busy), *((200, text.encode()) for text in answers)]
    loaded(load, log).handler(request_event(ResourceProperties=PROPERTIES), context())
    calls = [sent.body.decode().split("&")[0] for sent in server.sent[:-1]]
    prefix_lists = "Action=DescribeManagedPrefixLists"
    others = ["Action=DescribeVpcEndpointServices", "Action=DescribeAvailabilityZones"]
    assert calls == [prefix_lists, prefix_lists, *others]
    answer = server.sent[-1].json
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", "network-facts/euc1-a,euc1-b")
    assert (answer["Data"]["S3PrefixListId"], answer["Data"]["MissingServices"]) == ("pl-1", LOGS)


def test_an_existing_vpc_wants_no_zone_and_no_service(aws: Stubber, ask: Asking) -> None:
    prefix_list_of(aws, PREFIX_LIST)
    aws.add_response("describe_availability_zones", {"AvailabilityZones": []}, {})
    body = ask.send("Create", ZonesWanted="0", Services=[])
    assert body["Status"] == "SUCCESS", body
    assert body["Data"] == {
        "ZoneA": "", "ZoneB": "", "ZoneC": "", "ZoneIds": "", "S3PrefixListId": PREFIX_LIST["PrefixListId"],
        "MissingServices": "none",
        "VpcCheck": "A new VPC: nothing to check.",  # an old request names no VPC
    }  # fmt: skip


def test_zones_given_for_an_existing_vpc_are_not_remembered(aws: Stubber, ask: Asking) -> None:
    region_of(aws)
    body = ask.send("Create", ZonesWanted="0", ZonesGiven="euc1-az1,euc1-az2")
    assert (body["PhysicalResourceId"], body["Data"]["ZoneIds"]) == ("network-facts/", "")
    region_of(aws)  # a new VPC takes its place, in other zones
    assert ask.zones("Update", "network-facts/", ZonesGiven="euc1-az3,euc1-az2")[1] == "euc1-az3,euc1-az2"
