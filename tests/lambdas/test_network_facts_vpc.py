"""The look at an existing VPC: what is told, and that nothing it meets fails the stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from tests.lambdas.test_network_facts import (
    KMS,
    LOGS,
    PREFIX_LIST,
    PROPERTIES,
    STS,
    Asking,
    R,
    loaded,
    prefix_list_of,
    region_of,
)

VPC = "vpc-0123456789abcdef0"
S3 = f"com.amazonaws.{R}.s3"
GATEWAY = {"VpcEndpointType": "Gateway", "ServiceName": S3, "State": "available"}
HUB = "Endpoints in a hub VPC can't be seen from here; what stands there is not missing."
NO_GATEWAY = f"{VPC} has no S3 gateway endpoint: set ExistingRouteTableIds, and this stack makes one."


@pytest.fixture
def module(load: Callable[[str, str], ModuleType], log: Any) -> Any:
    return loaded(load, log)


@pytest.fixture
def vpc(module: Any) -> Iterator[Stubber]:
    with Stubber(module.CHECK) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


class Looking:
    """Send requests for an existing VPC whose other facts are in order."""

    def __init__(self, aws: Stubber, ask: Asking) -> None:
        self._aws, self._ask = aws, ask

    def tells(self, kind: str = "Create", **changes: Any) -> str:
        """Give the text of the check; the answer must be SUCCESS and complete."""
        region_of(self._aws)
        before = "network-facts/" if kind == "Update" else None
        given = {"ZonesWanted": "0", "ExistingVpcId": VPC, "NeededServices": [STS, LOGS, KMS]}
        body = self._ask.send(kind, before, **(given | changes))
        assert body["Status"] == "SUCCESS", body
        assert body["Data"]["S3PrefixListId"] == PREFIX_LIST["PrefixListId"]
        text: str = body["Data"]["VpcCheck"]
        assert text
        return text


@pytest.fixture
def look(module: Any, server: Any, context: Any, request_event: Any) -> Iterator[Looking]:
    with Stubber(module.EC2) as stubber:
        yield Looking(stubber, Asking(module, server, context, request_event))
        stubber.assert_no_pending_responses()


def an_interface(service: str, **changes: Any) -> dict[str, Any]:
    found = {"VpcEndpointType": "Interface", "ServiceName": service, "State": "available", "PrivateDnsEnabled": True}
    return found | changes


def attributes_of(stub: Stubber, support: bool = True, hostnames: bool = True) -> None:
    for name, value in (("Support", support), ("Hostnames", hostnames)):
        answer = {"VpcId": VPC, f"EnableDns{name}": {"Value": value}}
        stub.add_response("describe_vpc_attribute", answer, {"VpcId": VPC, "Attribute": f"enableDns{name}"})


def endpoints_of(stub: Stubber, *endpoints: dict[str, Any], **token: str) -> None:
    more = {"NextToken": token["after"]} if "after" in token else {}
    given = {"NextToken": token["given"]} if "given" in token else {}
    asked = {"Filters": [{"Name": "vpc-id", "Values": [VPC]}]}
    stub.add_response("describe_vpc_endpoints", {"VpcEndpoints": list(endpoints)} | more, asked | given)


@pytest.mark.parametrize(
    "changes",
    [
        {"ExistingVpcId": "", "NeededServices": []},
        {"ExistingVpcId": "", "NeededServices": "nonsense"},
        {"ExistingVpcId": None, "NeededServices": None},
    ],
)
def test_a_new_vpc_is_not_looked_at(vpc: Stubber, look: Looking, changes: dict[str, Any]) -> None:
    assert look.tells(**changes) == "A new VPC: nothing to check."


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_a_complete_vpc_is_ok(vpc: Stubber, look: Looking, log: Any, kind: str) -> None:
    attributes_of(vpc)
    endpoints_of(vpc, GATEWAY, an_interface(KMS))
    assert look.tells(kind) == "ok"  # the stack makes the other two itself
    assert log.named("zones")[0]["vpc_check"] == "ok"


@pytest.mark.parametrize("needed", [[], None])
def test_nothing_needed_is_never_missing(vpc: Stubber, look: Looking, needed: list[str] | None) -> None:
    attributes_of(vpc)
    endpoints_of(vpc, GATEWAY)
    assert look.tells(NeededServices=needed) == "ok"


def test_endpoints_on_several_pages(vpc: Stubber, look: Looking) -> None:
    attributes_of(vpc)
    endpoints_of(vpc, an_interface(KMS), after="next")
    endpoints_of(vpc, GATEWAY, given="next")
    assert look.tells() == "ok"


def test_everything_that_is_wrong_is_told_with_its_mend(vpc: Stubber, look: Looking) -> None:
    sns, ecr = f"com.amazonaws.{R}.sns", f"com.amazonaws.{R}.ecr.api"
    attributes_of(vpc, support=False, hostnames=False)
    endpoints_of(vpc, an_interface(STS, PrivateDnsEnabled=False), an_interface(sns, PrivateDnsEnabled=False))
    assert look.tells(NeededServices=[KMS, ecr, LOGS, sns, STS, KMS]) == (
        f"DNS support is off in {VPC}: turn enableDnsSupport on. "
        f"DNS hostnames are off in {VPC}: turn enableDnsHostnames on. {NO_GATEWAY} "
        f"{VPC} has no interface endpoint for {KMS}, {ecr}: let this stack create what is missing, or add it "
        f"to the VPC. {HUB} "
        f"Private DNS is off at the endpoints for {sns}: turn it on, unless a private hosted zone leads to them."
    )


@pytest.mark.parametrize(("support", "hostnames"), [(False, True), (True, False)])
def test_each_attribute_is_told_alone(vpc: Stubber, look: Looking, support: bool, hostnames: bool) -> None:
    attributes_of(vpc, support, hostnames)
    endpoints_of(vpc, GATEWAY, an_interface(KMS))
    name = (
        "DNS support is off in {}: turn enableDnsSupport"
        if hostnames
        else "DNS hostnames are off in {}: turn enableDnsHostnames"
    )
    assert look.tells() == f"{name.format(VPC)} on."


@pytest.mark.parametrize(
    "found",
    [
        {"VpcEndpointType": "Interface"},
        {"State": "pending"},
        {"State": "deleting"},
        {"State": "failed"},
        {"ServiceName": f"com.amazonaws.{R}.dynamodb"},
        {"ServiceName": "com.amazonaws.us-east-1.s3"},
    ],
)
def test_only_an_available_gateway_of_this_regions_s3_counts(
    vpc: Stubber, look: Looking, found: dict[str, str]
) -> None:
    attributes_of(vpc)
    endpoints_of(vpc, GATEWAY | found, an_interface(KMS))
    assert look.tells() == NO_GATEWAY


@pytest.mark.parametrize(("makes", "told"), [("true", "ok"), ("false", NO_GATEWAY), ("", NO_GATEWAY)])
def test_a_gateway_that_this_stack_makes_is_not_missing(vpc: Stubber, look: Looking, makes: str, told: str) -> None:
    attributes_of(vpc)
    endpoints_of(vpc, an_interface(KMS))
    assert look.tells(MakesS3Gateway=makes) == told


@pytest.mark.parametrize(
    "found",
    [{"State": "rejected"}, {"State": "pending"}, {"VpcEndpointType": "Gateway"}, {"ServiceName": f"{KMS}-fips"}],
)
def test_only_an_available_interface_endpoint_counts(vpc: Stubber, look: Looking, found: dict[str, str]) -> None:
    attributes_of(vpc)
    endpoints_of(vpc, GATEWAY, an_interface(KMS) | found)
    assert f"no interface endpoint for {KMS}: let this stack" in look.tells()


def test_the_sdks_spelling_of_a_state_counts_too(vpc: Stubber, look: Looking) -> None:
    attributes_of(vpc)
    endpoints_of(vpc, GATEWAY | {"State": "Available"}, an_interface(KMS, State="Available"))
    assert look.tells() == "ok"


def test_endpoints_without_private_dns_are_told(vpc: Stubber, look: Looking) -> None:
    attributes_of(vpc)
    silent = an_interface(KMS)
    del silent["PrivateDnsEnabled"]
    # One of two endpoints for a service is enough, and a service that the platform does not call is none of its business.
    twice = (an_interface(LOGS, PrivateDnsEnabled=False), an_interface(LOGS))
    other = an_interface(f"com.amazonaws.{R}.polly", PrivateDnsEnabled=False)
    endpoints_of(vpc, GATEWAY, silent, *twice, other, an_interface(STS, PrivateDnsEnabled=False))
    assert look.tells(Services=[STS, LOGS], NeededServices=[STS, LOGS, KMS]) == (
        f"Private DNS is off at the endpoints for {KMS}: turn it on, unless a private hosted zone leads to them."
    )


# --- Room


@pytest.mark.parametrize(
    ("count", "length", "named"), [(20, 60, 20), (80, 60, None), (9, 3800, 0), (400, 20, None), (3, 3000, 1)]
)
def test_long_lists_are_shortened_to_fit(
    vpc: Stubber, look: Looking, count: int, length: int, named: int | None
) -> None:
    attributes_of(vpc, support=False)
    endpoints_of(vpc)
    needed = [f"{number:03}".ljust(length, "x") for number in range(count)]
    text = look.tells(NeededServices=needed)
    shown = sum(name in text for name in needed)
    if named is None:
        assert 0 < shown < count
        # As many as fit: one more would not, even where every other byte of the response is spoken for.
        assert len(text) + length > 3400
    else:
        assert shown == named
    if 0 < shown < count:
        assert f"{needed[shown - 1]} and {count - shown} more: let this stack" in text
    elif shown == 0:
        assert f"no interface endpoint for {count} services: let this stack" in text
    assert text.startswith("DNS support is off")
    assert text.endswith(HUB)


def test_both_lists_are_shortened(vpc: Stubber, look: Looking) -> None:
    attributes_of(vpc)
    dark = [f"dark{number:03}".ljust(60, "x") for number in range(60)]
    endpoints_of(vpc, GATEWAY, *(an_interface(name, PrivateDnsEnabled=False) for name in dark))
    text = look.tells(NeededServices=[*dark, KMS])
    assert f"no interface endpoint for {KMS}: let" in text
    shown = sum(name in text for name in dark)
    assert 30 < shown < 60
    assert f" and {60 - shown} more: turn it on" in text


@pytest.mark.parametrize("remembered", ["network-facts/euc1-az1,euc1-az2", "x"])
def test_the_answer_has_room_for_a_longer_id(
    vpc: Stubber, module: Any, server: Any, context: Any, request_event: Any, remembered: str
) -> None:
    # A request whose id is shorter than that of the answer, and a text that takes whatever it is given.
    needed = [f"{number:03}" for number in range(2000)]
    attributes_of(vpc)
    endpoints_of(vpc)
    with Stubber(module.EC2) as aws:
        region_of(aws)
        body = Asking(module, server, context, request_event).send(
            "Update", remembered, ZonesWanted="3", ExistingVpcId=VPC, NeededServices=needed
        )
    assert body["Status"] == "SUCCESS", body
    assert len(server.sent[-1].body) > 4096 - len("000, ") - len("9")
    assert body["PhysicalResourceId"].count("euc1-az") == 3


# --- Nothing fails the stack


@pytest.mark.parametrize("kind", ["Create", "Update"])
@pytest.mark.parametrize(
    "code", ["UnauthorizedOperation", "RequestLimitExceeded", "InternalError", "InvalidParameterValue"]
)
@pytest.mark.parametrize("answered", [0, 2])
def test_a_refusal_is_told_and_fails_nothing(vpc: Stubber, look: Looking, kind: str, code: str, answered: int) -> None:
    operation = "DescribeVpcEndpoints" if answered else "DescribeVpcAttribute"
    if answered:
        attributes_of(vpc)
    vpc.add_client_error("describe_vpc_endpoints" if answered else "describe_vpc_attribute", code, "You may not.")
    assert look.tells(kind) == (
        f"The VPC was not checked: ClientError: An error occurred ({code}) when calling the {operation} operation: "
        "You may not. - allow this to the function's role; if EC2 was busy, the next change of the network's parameters "
        "looks again."
    )


@pytest.mark.parametrize("code", ["InvalidVpcID.NotFound", "InvalidVpcId.Malformed"])
def test_an_unknown_vpc_is_said_clearly(vpc: Stubber, look: Looking, code: str) -> None:
    vpc.add_client_error("describe_vpc_attribute", code, "The vpc ID 'vpc-1' does not exist")
    assert look.tells() == (
        f"The VPC was not checked: {VPC} does not exist in {R} for this account: set ExistingVpcId to a VPC of this region."
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"ExistingVpcId": [VPC]},
        {"ExistingVpcId": {"a": "b"}},
        {"ExistingVpcId": 7},
        {"NeededServices": STS},
        {"NeededServices": [STS, None]},
        {"NeededServices": {"0": STS}},
    ],
)
def test_bad_properties_of_the_check_fail_nothing(vpc: Stubber, look: Looking, changes: dict[str, Any]) -> None:
    assert look.tells(**changes) == (
        "The VPC was not checked: ExistingVpcId has to be a text and NeededServices a list of names: mend the template."
    )


@pytest.mark.parametrize("message", ["x" * 5000, "\u00e9\U0001f600" * 2000])
def test_a_long_error_is_cut(vpc: Stubber, look: Looking, message: str) -> None:
    vpc.add_client_error("describe_vpc_attribute", "UnauthorizedOperation", message)
    text = look.tells()
    assert text.startswith("The VPC was not checked: ClientError: An error occurred (UnauthorizedOperation)")
    assert text.endswith("...")


def test_a_giant_vpc_id_is_cut(vpc: Stubber, look: Looking) -> None:
    giant = "vpc-" + "0" * 200_000
    vpc.add_client_error("describe_vpc_attribute", "InvalidVpcId.Malformed", "no")
    assert look.tells(ExistingVpcId=giant).startswith("The VPC was not checked: vpc-0000")


def test_an_unreachable_ec2_fails_nothing(
    vpc: Stubber, module: Any, look: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_asked: str) -> Any:
        raise EndpointConnectionError(endpoint_url="https://ec2")

    monkeypatch.setattr(module.CHECK, "describe_vpc_attribute", refuse)
    told = (
        'The VPC was not checked: EndpointConnectionError: Could not connect to the endpoint URL: "https://ec2" - allow'
    )
    assert look.tells().startswith(told)


def test_an_answer_that_nobody_expected_fails_nothing(
    vpc: Stubber, module: Any, look: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.CHECK, "describe_vpc_attribute", lambda **_asked: {})
    assert look.tells().startswith("The VPC was not checked: KeyError: 'EnableDnsSupport' - ")


def test_facts_that_cannot_be_had_still_fail(
    vpc: Stubber, module: Any, server: Any, context: Any, request_event: Any
) -> None:
    with Stubber(module.EC2) as aws:
        prefix_list_of(aws)
        reason = Asking(module, server, context, request_event).fails(ExistingVpcId=VPC, NeededServices=[STS])
    assert f"no prefix list com.amazonaws.{R}.s3" in reason


def test_throttling_is_repeated_and_then_told(
    load: Any, monkeypatch: pytest.MonkeyPatch, server: Any, context: Any, request_event: Any, log: Any
) -> None:
    # A real client against a real server: two attempts pass over throttling, three do not.
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", server.base)
    busy = (503, b"<R><Errors><Error><Code>RequestLimitExceeded</Code><Message>slow</Message></Error></Errors></R>")

    def xml(text: str) -> tuple[int, bytes]:
        return 200, f"<R>{text}</R>".encode()

    name = f"com.amazonaws.{R}.s3"
    facts = [
        xml(
            f"<prefixListSet><item><prefixListId>pl-1</prefixListId><prefixListName>{name}</prefixListName></item></prefixListSet>"
        ),
        xml("<availabilityZoneInfo/>"),
    ]
    on = [xml(f"<enableDns{which}><value>true</value></enableDns{which}>") for which in ("Support", "Hostnames")]
    found = "<vpcEndpointType>Gateway</vpcEndpointType><state>available</state>"
    gateway = xml(f"<vpcEndpointSet><item>{found}<serviceName>{name}</serviceName></item></vpcEndpointSet>")
    event = request_event(
        ResourceProperties=PROPERTIES | {"ZonesWanted": "0", "Services": [], "ExistingVpcId": VPC, "NeededServices": []}
    )
    handlers = loaded(load, log)
    server.plan = [*facts, busy, on[0], on[1], busy, gateway]
    handlers.handler(event, context())
    assert server.sent[-1].json["Data"]["VpcCheck"] == "ok"
    calls = [sent.body.decode().split("&")[0].removeprefix("Action=") for sent in server.sent[2:-1]]
    assert calls == ["DescribeVpcAttribute"] * 3 + ["DescribeVpcEndpoints"] * 2
    server.plan = [*facts, busy, busy, busy]
    handlers.handler(event, context())
    answer = server.sent[-1].json
    assert answer["Status"] == "SUCCESS"
    assert answer["Data"]["VpcCheck"].startswith(
        "The VPC was not checked: ClientError: An error occurred (RequestLimit"
    )
