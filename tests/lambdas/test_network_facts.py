"""The facts of a region: zones that serve every endpoint, chosen once and kept, and the prefix list of S3."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
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
ATTRIBUTES = {"ZoneA", "ZoneB", "ZoneC", "ZoneIds", "S3PrefixListId", "MissingServices"}


@pytest.fixture
def module(load: Callable[[str, str], ModuleType], log: Any) -> Any:
    loaded = load("network_facts", "handler")
    for handler in logging.getLogger("network-facts").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(log.stream)
    return loaded


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


def _zone(zone_id: str, **changes: str) -> dict[str, str]:
    common = {"State": "available", "ZoneType": "availability-zone", "OptInStatus": "opt-in-not-required"}
    return {"ZoneId": zone_id, "ZoneName": NAMES.get(zone_id, f"{zone_id}-name")} | common | changes


def _service(name: str, zones: tuple[str, ...] = ALL) -> dict[str, Any]:
    return {"ServiceName": name, "AvailabilityZones": [NAMES[zone] for zone in zones]}


def _prefix_list_of(stub: Stubber, *lists: dict[str, str], name: str = PREFIX_LIST["PrefixListName"]) -> None:
    asked = {"Filters": [{"Name": "prefix-list-name", "Values": [name]}]}
    stub.add_response("describe_managed_prefix_lists", {"PrefixLists": list(lists)}, asked)


def _services_of(stub: Stubber, details: list[dict[str, Any]], asked: list[str], **token: str) -> None:
    filters = [{"Name": "service-name", "Values": asked}, {"Name": "service-type", "Values": ["Interface"]}]
    answer = {"ServiceDetails": details, "ServiceNames": [one["ServiceName"] for one in details]}
    more = {"NextToken": token["after"]} if "after" in token else {}
    given = {"NextToken": token["given"]} if "given" in token else {}
    stub.add_response("describe_vpc_endpoint_services", answer | more, {"Filters": filters} | given)


def _region(
    stub: Stubber,
    serve: Mapping[str, tuple[str, ...]] | None = None,
    zones: list[dict[str, str]] | None = None,
    asked: list[str] | None = None,
) -> None:
    """Answer one whole look-up: every service in every zone unless told otherwise."""
    _prefix_list_of(stub, PREFIX_LIST)
    found = {STS: ALL, LOGS: ALL} if serve is None else serve
    _services_of(stub, [_service(name, where) for name, where in found.items()], asked or [STS, LOGS])
    all_zones = [_zone(zone) for zone in ALL] if zones is None else zones
    stub.add_response("describe_availability_zones", {"AvailabilityZones": all_zones}, {})


# --- Create


def test_two_zones_are_told_and_three_remembered(aws: Stubber, ask: Asking, log: Any) -> None:
    _region(aws)
    zones, remembered, data = ask.zones()
    assert (zones, remembered) == ("euc1-az2,euc1-az3", "euc1-az2,euc1-az3,euc1-az1")
    assert data == {
        "ZoneA": "euc1-az2",
        "ZoneB": "euc1-az3",
        "ZoneC": "",
        "ZoneIds": "euc1-az2,euc1-az3",
        "S3PrefixListId": "pl-6ea54007",
        "MissingServices": "none",
    }
    (line,) = log.named("zones")
    assert (line["zones"], line["given"], line["kept"]) == (["euc1-az2", "euc1-az3"], [], [])


def test_three_zones(aws: Stubber, ask: Asking) -> None:
    _region(aws)
    zones, remembered, data = ask.zones(ZonesWanted="3")
    assert zones == remembered == "euc1-az2,euc1-az3,euc1-az1"
    assert data["ZoneC"] == "euc1-az1"


def test_a_repeated_create_answers_the_same(aws: Stubber, ask: Asking) -> None:
    _region(aws)
    _region(aws)
    assert ask.send() == ask.send()


def test_a_preferred_zone_has_to_exist_and_to_serve_everything(aws: Stubber, ask: Asking) -> None:
    _region(aws, {STS: ALL, LOGS: ("euc1-az1", "euc1-az3", "euc1-az4")})
    assert ask.zones(ZonesPreferred="use1-az9, euc1-az2 ,euc1-az4")[1] == "euc1-az4,euc1-az1,euc1-az3"


def test_without_a_preference_zones_follow_by_id(aws: Stubber, ask: Asking) -> None:
    _region(aws, zones=[_zone(zone) for zone in reversed(ALL)])
    assert ask.zones(ZonesPreferred="", ZonesWanted="3")[0] == "euc1-az1,euc1-az2,euc1-az3"


def test_a_preference_named_twice_counts_once(aws: Stubber, ask: Asking) -> None:
    _region(aws)
    assert ask.zones(ZonesPreferred="euc1-az4,euc1-az4,,")[1] == "euc1-az4,euc1-az1,euc1-az2"


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
    _region(aws, zones=[_zone("euc1-az2", **change), _zone("euc1-az1"), _zone("euc1-az3", OptInStatus="opted-in")])
    assert ask.zones()[1] == "euc1-az3,euc1-az1"


def test_two_are_remembered_where_only_two_serve(aws: Stubber, ask: Asking) -> None:
    _region(aws, {STS: ("euc1-az1", "euc1-az4"), LOGS: ALL})
    zones, remembered, _ = ask.zones()
    assert zones == remembered == "euc1-az1,euc1-az4"


def test_a_zone_name_that_the_account_does_not_have_serves_nobody(aws: Stubber, ask: Asking) -> None:
    _region(aws, zones=[_zone("euc1-az1"), _zone("euc1-az4")])
    assert ask.zones()[1] == "euc1-az1,euc1-az4"


def test_too_few_zones_says_what_each_lacks(aws: Stubber, ask: Asking) -> None:
    _region(aws, {STS: ("euc1-az1", "euc1-az2"), LOGS: ("euc1-az1", "euc1-az3")})
    assert ask.fails() == (
        f"NoFacts: 2 zones are wanted and 1 serve every endpoint; euc1-az2 lacks {LOGS}; euc1-az3 lacks {STS}; "
        f"euc1-az4 lacks {STS}, {LOGS}. Lower SubnetCount, or do without these endpoints and set AvailabilityZoneIds. "
        "(log stream 2026/01/01/[$LATEST]abc)"
    )


def test_too_few_zones_for_three(aws: Stubber, ask: Asking) -> None:
    _region(aws, zones=[_zone("euc1-az1"), _zone("euc1-az2")])
    assert "3 zones are wanted and 2 serve every endpoint; no others exist." in ask.fails(ZonesWanted="3")


def test_an_account_without_zones(aws: Stubber, ask: Asking) -> None:
    _region(aws, zones=[])
    assert "2 zones are wanted and 0 serve every endpoint; no others exist." in ask.fails()


# --- Services and prefix list


def test_services_that_the_region_lacks_are_told_and_keep_no_zone_out(aws: Stubber, ask: Asking, log: Any) -> None:
    _region(aws, {LOGS: ALL}, asked=[STS, LOGS, KMS])
    zones, _, data = ask.zones(Services=[STS, LOGS, KMS, STS])
    assert (zones, data["MissingServices"]) == ("euc1-az2,euc1-az3", f"{STS},{KMS}")
    assert log.named("zones")[0]["missing_services"] == [STS, KMS]


def test_services_on_several_pages(aws: Stubber, ask: Asking) -> None:
    _prefix_list_of(aws, PREFIX_LIST)
    _services_of(aws, [_service(STS)], [STS, LOGS], after="next")
    _services_of(aws, [_service(LOGS, ("euc1-az1", "euc1-az4"))], [STS, LOGS], given="next")
    aws.add_response("describe_availability_zones", {"AvailabilityZones": [_zone(zone) for zone in ALL]}, {})
    _, remembered, data = ask.zones()
    assert (remembered, data["MissingServices"]) == ("euc1-az1,euc1-az4", "none")


def test_a_wildcard_is_no_service(aws: Stubber, ask: Asking) -> None:
    # The filter takes wildcards and then shows services that nobody asked for, in any zones.
    _region(aws, {LOGS: (), KMS: ()}, asked=["com.amazonaws.*"])
    assert ask.zones(Services=["com.amazonaws.*"])[2]["MissingServices"] == "com.amazonaws.*"


def test_the_prefix_list_may_stand_on_a_later_page(aws: Stubber, ask: Asking) -> None:
    name = PREFIX_LIST["PrefixListName"]
    filters = {"Filters": [{"Name": "prefix-list-name", "Values": [name]}]}
    aws.add_response("describe_managed_prefix_lists", {"PrefixLists": [], "NextToken": "next"}, filters)
    aws.add_response("describe_managed_prefix_lists", {"PrefixLists": [PREFIX_LIST]}, filters | {"NextToken": "next"})
    _services_of(aws, [_service(STS), _service(LOGS)], [STS, LOGS])
    aws.add_response("describe_availability_zones", {"AvailabilityZones": [_zone(zone) for zone in ALL]}, {})
    assert ask.zones()[2]["S3PrefixListId"] == "pl-6ea54007"


def test_no_prefix_list(aws: Stubber, ask: Asking) -> None:
    _prefix_list_of(aws)
    assert ask.fails().startswith(f"NoFacts: EC2 shows no prefix list com.amazonaws.{R}.s3, without which")


def test_a_region_with_a_wildcard_takes_nobody_elses_prefix_list(aws: Stubber, ask: Asking) -> None:
    _prefix_list_of(aws, PREFIX_LIST, name="com.amazonaws.*.s3")
    assert "no prefix list com.amazonaws.*.s3" in ask.fails(Region="*")


# --- Zones given by a person


def test_given_zones_are_taken_as_they_are(aws: Stubber, ask: Asking) -> None:
    _region(aws)
    assert ask.zones(ZonesGiven="euc1-az4, euc1-az1", ZonesPreferred="euc1-az2")[:2] == ("euc1-az4,euc1-az1",) * 2


def test_of_three_given_zones_two_are_used_and_all_remembered(aws: Stubber, ask: Asking) -> None:
    _region(aws)
    given = "euc1-az4,euc1-az1,euc1-az3"
    assert ask.zones(ZonesGiven=given)[:2] == ("euc1-az4,euc1-az1", given)


def test_the_physical_id_remembers_at_most_three(aws: Stubber, ask: Asking) -> None:
    _region(aws)
    assert ask.zones(ZonesGiven="euc1-az4,euc1-az1,euc1-az3,euc1-az2")[1] == "euc1-az4,euc1-az1,euc1-az3"


def test_every_fault_of_the_given_zones_is_told(aws: Stubber, ask: Asking) -> None:
    _region(aws, {STS: ("euc1-az1", "euc1-az3", "euc1-az4"), LOGS: ("euc1-az1",)})
    given = "euc1-az2,use1-az1,euc1-az1,euc1-az1,euc1-az3"
    assert ask.fails(ZonesGiven=given) == (
        f"NoFacts: euc1-az2 does not serve {STS}, {LOGS}; use1-az1 does not exist here; euc1-az1 is given twice; "
        f"euc1-az3 does not serve {LOGS}. The zones of this account are euc1-az1, euc1-az2, euc1-az3, euc1-az4: "
        "change AvailabilityZoneIds. (log stream 2026/01/01/[$LATEST]abc)"
    )


def test_a_local_zone_cannot_be_given(aws: Stubber, ask: Asking) -> None:
    _region(aws, zones=[_zone("euc1-az1"), _zone("euc1-ham1-az1", ZoneType="local-zone", OptInStatus="opted-in")])
    assert "euc1-ham1-az1 does not exist here" in ask.fails(ZonesGiven="euc1-az1,euc1-ham1-az1")


def test_a_given_zone_needs_only_what_the_region_offers(aws: Stubber, ask: Asking) -> None:
    _region(aws, {LOGS: ALL})
    assert ask.zones(ZonesGiven="euc1-az4,euc1-az1")[2]["MissingServices"] == STS


@pytest.mark.parametrize(("given", "wanted"), [("euc1-az1", "2"), ("euc1-az1,euc1-az2", "3")])
def test_too_few_given(aws: Stubber, ask: Asking, given: str, wanted: str) -> None:
    _region(aws)
    assert f"{int(wanted) - 1} zones are given for {wanted} subnets" in ask.fails(ZonesGiven=given, ZonesWanted=wanted)


@pytest.mark.parametrize(
    "given",
    ["EUC1-AZ1,euc1-az2", "euc1-az1;euc1-az2,euc1-az3", "eu-central-1a,euc1-az2", "*,euc1-az2", "é\x00,euc1-az2"],
)
def test_a_strange_id_does_not_exist(aws: Stubber, ask: Asking, given: str) -> None:
    _region(aws)
    assert f"{given.split(',')[0]} does not exist here" in ask.fails(ZonesGiven=given)


def test_commas_alone_give_nothing(aws: Stubber, ask: Asking) -> None:
    _region(aws)
    assert ask.zones(ZonesGiven=" , ,")[0] == "euc1-az2,euc1-az3"


def test_an_endless_list_still_fits_the_answer(aws: Stubber, ask: Asking) -> None:
    _region(aws)
    assert "does not exist here" in ask.fails(ZonesGiven=",".join(f"xxx1-az{number}" for number in range(2000)))


# --- Update


def test_an_update_keeps_the_zones_whatever_changed_around_them(aws: Stubber, ask: Asking, log: Any) -> None:
    # Another preference, a new service that az1 lacks, a zone that has gone: the subnets stay where they are.
    before = "network-facts/euc1-az1,euc1-az4,euc1-az2"
    _region(aws, {STS: ("euc1-az2", "euc1-az3"), KMS: ALL}, [_zone("euc1-az2"), _zone("euc1-az3")], [STS, KMS, LOGS])
    services = [STS, KMS, LOGS]
    zones, remembered, data = ask.zones("Update", before, ZonesPreferred="euc1-az3", Services=services)
    assert (zones, f"network-facts/{remembered}") == ("euc1-az1,euc1-az4", before)
    assert data["MissingServices"] == LOGS
    assert log.named("zones")[0]["kept"] == ["euc1-az1", "euc1-az4", "euc1-az2"]


def test_the_third_subnet_comes_later_and_goes_again(aws: Stubber, ask: Asking) -> None:
    before = "network-facts/euc1-az1,euc1-az4,euc1-az2"
    for wanted, zones in (("3", "euc1-az1,euc1-az4,euc1-az2"), ("2", "euc1-az1,euc1-az4")):
        _region(aws)
        found = ask.zones("Update", before, ZonesWanted=wanted)
        assert (found[0], f"network-facts/{found[1]}") == (zones, before)


def test_a_third_zone_is_added_to_two_that_stay(aws: Stubber, ask: Asking) -> None:
    _region(aws)
    zones, remembered, _ = ask.zones("Update", "network-facts/euc1-az1,euc1-az4", ZonesWanted="3")
    assert zones == remembered == "euc1-az1,euc1-az4,euc1-az2"


def test_there_may_be_no_third_zone(aws: Stubber, ask: Asking) -> None:
    _region(aws, {STS: ("euc1-az1", "euc1-az4"), LOGS: ALL})
    reason = ask.fails("Update", "network-facts/euc1-az1,euc1-az4", ZonesWanted="3")
    assert f"3 zones are wanted and 2 serve every endpoint; euc1-az2 lacks {STS}; euc1-az3 lacks {STS}." in reason


def test_a_repeated_update_answers_the_same(aws: Stubber, ask: Asking) -> None:
    _region(aws)
    _region(aws)
    before = "network-facts/euc1-az4,euc1-az3"
    assert ask.send("Update", before, ZonesWanted="3") == ask.send("Update", before, ZonesWanted="3")


def test_given_zones_change_and_the_rollback_finds_the_old_ones(aws: Stubber, ask: Asking) -> None:
    before = "network-facts/euc1-az3,euc1-az4,euc1-az1"
    _region(aws)
    zones, remembered, _ = ask.zones("Update", before, ZonesGiven="euc1-az1,euc1-az2")
    assert (zones, f"network-facts/{remembered}") == ("euc1-az1,euc1-az2", before)
    _region(aws)  # the rollback is an Update the other way round; by now another zone would be preferred
    zones, remembered, _ = ask.zones(
        "Update", before, ZonesPreferred="euc1-az2", old={"ZonesGiven": "euc1-az1,euc1-az2"}
    )
    assert (zones, f"network-facts/{remembered}") == ("euc1-az3,euc1-az4", before)


def test_taking_the_given_zones_back_moves_no_subnet(aws: Stubber, ask: Asking) -> None:
    before = "network-facts/euc1-az4,euc1-az3"
    _region(aws)
    zones, remembered, _ = ask.zones("Update", before, ZonesWanted="3", old={"ZonesGiven": "euc1-az4,euc1-az3"})
    assert zones == remembered == "euc1-az4,euc1-az3,euc1-az2"


def test_given_zones_that_stand_are_not_held_against_new_services(aws: Stubber, ask: Asking) -> None:
    given = {"ZonesGiven": "euc1-az4,euc1-az3"}
    _region(aws, {STS: ("euc1-az1",), LOGS: ()})
    before = "network-facts/euc1-az4,euc1-az3"
    assert ask.zones("Update", before, old={"ZonesGiven": "euc1-az4 , euc1-az3"}, **given)[0] == "euc1-az4,euc1-az3"


def test_given_zones_that_stand_are_still_counted(aws: Stubber, ask: Asking) -> None:
    given = {"ZonesGiven": "euc1-az4,euc1-az3"}
    _region(aws)
    reason = ask.fails("Update", "network-facts/euc1-az4,euc1-az3", old=given, ZonesWanted="3", **given)
    assert "2 zones are given for 3 subnets" in reason


def test_newly_given_zones_are_checked(aws: Stubber, ask: Asking) -> None:
    _region(aws, {STS: ("euc1-az1", "euc1-az2"), LOGS: ALL})
    reason = ask.fails("Update", "network-facts/euc1-az1,euc1-az2", ZonesGiven="euc1-az1,euc1-az3")
    assert f"euc1-az3 does not serve {STS}" in reason


@pytest.mark.parametrize(
    "before",
    [
        "given-id",
        "network-facts/",
        "network-facts/euc1-az4",
        "network-facts/euc1-az4,",
        "network-facts/euc1-az4,../x",
        "network-facts/euc1-az4,euc1-az3,euc1-az2,euc1-az1",
        "network-facts/euc1-az4,euc1-az3\n",
        "x/network-facts/euc1-az4,euc1-az3",
    ],
)
def test_an_id_that_remembers_nothing_is_chosen_anew(aws: Stubber, ask: Asking, before: str) -> None:
    _region(aws)
    assert ask.zones("Update", before)[1] == "euc1-az2,euc1-az3,euc1-az1"


def test_given_zones_behind_a_strange_id_are_checked(aws: Stubber, ask: Asking) -> None:
    given = {"ZonesGiven": "euc1-az4,use1-az1"}
    _region(aws)
    assert "use1-az1 does not exist here" in ask.fails("Update", "given-id", old=given, **given)


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
        {"Services": []},
        {"Services": STS},
        {"Services": [STS, None]},
        {"Services": [[STS]]},
        {"Services": {"0": STS}},
    ],
)
@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_bad_properties_fail_before_any_call(aws: Stubber, ask: Asking, kind: str, changes: dict[str, Any]) -> None:
    assert ask.fails(kind, **changes).startswith("NoFacts: Region and zones have to be texts, ZonesWanted 2 or 3")


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "RequestLimitExceeded", "InternalError", "AuthFailure"])
@pytest.mark.parametrize("answered", [0, 1, 2])
def test_a_refusal_of_any_call_is_told(aws: Stubber, ask: Asking, code: str, answered: int) -> None:
    calls = ("describe_managed_prefix_lists", "describe_vpc_endpoint_services", "describe_availability_zones")
    if answered > 0:
        _prefix_list_of(aws, PREFIX_LIST)
    if answered > 1:
        _services_of(aws, [_service(STS), _service(LOGS)], [STS, LOGS])
    aws.add_client_error(calls[answered], code, "You may not.")
    operation = "".join(word.capitalize() for word in calls[answered].split("_"))
    reason = ask.fails("Update", "network-facts/euc1-az1,euc1-az2")
    assert f"({code}) when calling the {operation} operation" in reason
    assert "You may not. - allow this to the function's role, or repeat if EC2 was busy." in reason


def test_an_unreachable_ec2_is_told(module: Any, ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="https://ec2")

    monkeypatch.setattr(
        module.EC2, "get_paginator", lambda _call: type("Pages", (), {"paginate": staticmethod(refuse)})
    )
    assert 'Could not connect to the endpoint URL: "https://ec2" - allow this' in ask.fails()


def test_throttling_is_repeated_and_real_answers_are_read(
    load: Any, monkeypatch: pytest.MonkeyPatch, server: Any, context: Any, request_event: Any
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", server.base)
    busy = b"<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>slow</Message></Error></Errors></Response>"
    lists = f"<prefixListSet><item><prefixListId>pl-1</prefixListId><prefixListName>com.amazonaws.{R}.s3</prefixListName>"
    details = f"<serviceDetailSet><item><serviceName>{STS}</serviceName><availabilityZoneSet><item>a</item><item>b</item>"
    zone = "<item><zoneName>{0}</zoneName><zoneId>euc1-{0}</zoneId><zoneState>available</zoneState>"
    zone += "<zoneType>availability-zone</zoneType><optInStatus>opt-in-not-required</optInStatus></item>"
    answers = (
        f"<R>{lists}</item></prefixListSet></R>",
        f"<R>{details}</availabilityZoneSet></item></serviceDetailSet></R>",
        f"<R><availabilityZoneInfo>{zone.format('b')}{zone.format('a')}{zone.format('c')}</availabilityZoneInfo></R>",
    )
    server.plan = [(503, busy), *((200, text.encode()) for text in answers)]
    load("network_facts", "handler").handler(request_event(ResourceProperties=PROPERTIES), context())
    calls = [sent.body.decode().split("&")[0] for sent in server.sent[:-1]]
    prefix_lists = "Action=DescribeManagedPrefixLists"
    others = ["Action=DescribeVpcEndpointServices", "Action=DescribeAvailabilityZones"]
    assert calls == [prefix_lists, prefix_lists, *others]
    answer = server.sent[-1].json
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", "network-facts/euc1-a,euc1-b")
    assert (answer["Data"]["S3PrefixListId"], answer["Data"]["MissingServices"]) == ("pl-1", LOGS)


def test_the_real_set_of_services_fits_the_answer(aws: Stubber, ask: Asking) -> None:
    many = [f"com.amazonaws.{R}.codeartifact.repositories{number:02}" for number in range(32)]
    _region(aws, {}, asked=many)
    assert ask.zones(Services=many)[2]["MissingServices"] == ",".join(many)
