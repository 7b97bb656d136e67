"""The name of a Studio user: derived, free, of a living project; the same again for whoever asks again."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from tests.lambdas.studio_domain import ACCOUNT, DOMAIN, ROLE, Asking, AwsError, Domain, Studio

ANNA = {"DomainId": DOMAIN, "UserEmail": "Anna@example.org", "ProjectName": "churn", "UserAlias": ""}
STACK = f"arn:aws:cloudformation:{ACCOUNT}:stack/mlops-infra/0a1b2c3d-0000-1111-2222-3333"  # of every event here


@pytest.fixture
def module(load: Callable[[str, str], ModuleType]) -> Any:
    return load("studio_user", "handler")


@pytest.fixture
def studio(module: Any) -> Studio:
    found = Studio(module)
    found.project()
    return found


@pytest.fixture
def ask(studio: Studio, module: Any, server: Any, context: Any, request_event: Any) -> Asking:
    return Asking(module, server, context, request_event, "name")


def _created(ask: Asking, **changes: str) -> tuple[str, dict[str, str]]:
    body = ask.answers("Create", None, ANNA | changes)
    return body["PhysicalResourceId"], body["Data"]


class TestCreate:
    def test_answers_what_the_profile_is_made_of(self, ask: Asking, log: Any) -> None:
        own_id, data = _created(ask)
        assert data == {
            "UserProfileName": "anna-churn",
            "Owner": "Anna@example.org",
            "ProjectRoleArn": ROLE.format("churn"),
            "ProjectId": "p-1",
        }
        assert own_id.startswith(f"{DOMAIN}/anna-churn/")
        assert log.named("studio user")[0]["profile"] == "anna-churn"

    def test_the_address_stays_as_it_was_typed_but_trimmed(self, ask: Asking) -> None:
        assert _created(ask, UserEmail="\t Anna.B+x@Example.org \n")[1]["Owner"] == "Anna.B+x@Example.org"

    def test_an_alias_is_used_instead(self, ask: Asking) -> None:
        assert _created(ask, UserAlias="am")[1]["UserProfileName"] == "am-churn"

    def test_the_alias_may_be_left_out(self, ask: Asking) -> None:
        properties = {key: value for key, value in ANNA.items() if key != "UserAlias"}
        assert ask.answers("Create", None, properties)["Data"]["UserProfileName"] == "anna-churn"

    def test_the_longest_of_everything_fits_into_the_answer(self, ask: Asking, studio: Studio) -> None:
        project, alias = "p" * 32, "a" * 30
        studio.project(project, "p-" + "1" * 18)
        address = f"{'李' * 242}@example.org"
        _, data = _created(ask, ProjectName=project, UserAlias=alias, UserEmail=address)
        assert (data["UserProfileName"], data["Owner"]) == (f"{alias}-{project}", address)

    def test_again_answers_the_same(self, ask: Asking) -> None:
        event = ask.event("Create", None, ANNA)
        assert ask.handle(event) == ask.handle(event)

    def test_again_when_its_own_profile_stands_by_now(self, ask: Asking, studio: Studio) -> None:
        first = ask.answers("Create", None, ANNA)
        studio.user("anna-churn", "Anna@example.org", "churn").tags["aws:cloudformation:stack-id"] = STACK
        assert ask.answers("Create", None, ANNA) == first

    def test_a_name_that_was_used_and_is_free_again(self, ask: Asking, studio: Studio) -> None:
        studio.user("anna-churn", "other@example.org", "churn")
        assert "is taken" in ask.fails("Create", None, ANNA)["Reason"]
        studio.domain.profiles.clear()
        assert _created(ask)[1]["UserProfileName"] == "anna-churn"

    def test_a_profile_that_goes_while_it_is_looked_at(self, ask: Asking, studio: Studio) -> None:
        studio.user("anna-churn", "other@example.org", "churn")
        studio.fails["DescribeUserProfile"] = [AwsError("ResourceNotFound")]
        assert _created(ask)[1]["UserProfileName"] == "anna-churn"
        studio.fails["ListTags"] = [AwsError("ValidationException", "RecordNotFound")]
        assert _created(ask)[1]["UserProfileName"] == "anna-churn"

    def test_all_pages_of_profiles_are_read(self, ask: Asking, studio: Studio) -> None:
        for number in range(7):
            studio.user(f"user{number}-churn", "x@y", "churn")
        studio.user("anna-churn", "other@example.org", "churn")
        assert "other@example.org" in ask.fails("Create", None, ANNA)["Reason"]
        assert studio.called("ListUserProfiles") == 4


class TestTaken:
    """Nobody ever gets another person's profile."""

    @pytest.mark.parametrize("name", ["anna-churn", "Anna-Churn", "ANNA-CHURN"])
    def test_whatever_the_capitals(self, ask: Asking, studio: Studio, name: str) -> None:
        studio.user(name, "anna@example.com", "churn")
        reason = ask.fails("Create", None, ANNA)["Reason"]
        assert reason.startswith(f"NameTaken: The name {name} is taken: it belongs to anna@example.com. Set UserAlias")

    def test_by_the_same_alias_at_another_host(self, ask: Asking, studio: Studio) -> None:
        _created(ask)
        studio.user("anna-churn", "Anna@example.org", "churn")
        ask.fails("Create", None, ANNA | {"UserEmail": "anna@example.net"})
        data = _created(ask, UserEmail="anna@example.net", UserAlias="anna-net")[1]
        assert (data["UserProfileName"], data["Owner"]) == ("anna-net-churn", "anna@example.net")

    def test_by_the_same_person(self, ask: Asking, studio: Studio) -> None:
        studio.user("anna-churn", "Anna@example.org", "churn")
        reason = ask.fails("Create", None, ANNA)["Reason"]
        assert "Anna@example.org is a user of this project already. Use that profile, or terminate" in reason

    def test_by_the_same_person_in_a_stack_of_another_name(self, ask: Asking, studio: Studio) -> None:
        profile = studio.user("anna-churn", "Anna@example.org", "churn")
        profile.tags["aws:cloudformation:stack-id"] = f"{STACK}-other"
        ask.fails("Create", None, ANNA)

    def test_by_hand(self, ask: Asking, studio: Studio) -> None:
        studio.user("anna-churn")
        assert "a profile made by hand has it. Set UserAlias" in ask.fails("Create", None, ANNA)["Reason"]

    def test_by_a_profile_that_is_going(self, ask: Asking, studio: Studio) -> None:
        studio.user("anna-churn", "Anna@example.org", "churn", status="Deleting")
        assert "Launch again when it is gone." in ask.fails("Create", None, ANNA)["Reason"]

    def test_across_projects(self, ask: Asking, studio: Studio) -> None:
        # anna in churn-eu, and anna-churn in eu, have one name.
        studio.project("churn-eu", "p-2")
        studio.project("eu", "p-3")
        studio.user("anna-churn-eu", "anna@example.org", "churn-eu")
        reason = ask.fails("Create", None, ANNA | {"ProjectName": "eu", "UserEmail": "anna.churn@x.org"})["Reason"]
        assert "anna-churn-eu is taken" in reason

    def test_in_another_domain_does_not_matter(self, ask: Asking, studio: Studio) -> None:
        studio.user("anna-churn", "anna@example.com", "churn")
        studio.domains["d-other"] = Domain()
        assert _created(ask, DomainId="d-other")[0].startswith("d-other/anna-churn/")


class TestBadInput:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"UserEmail": ""}, "BadAddress: '' can't be a profile's owner: it is empty."),
            ({"UserEmail": "anna"}, "BadAddress"),
            ({"UserEmail": "o'hara@example.org"}, "BadAddress"),
            ({"UserEmail": None}, "BadProperty: UserEmail"),
            ({"UserAlias": "Anna"}, "BadAlias"),
            ({"UserAlias": ["anna"]}, "BadProperty: UserAlias"),
            ({"ProjectName": "Churn"}, "BadProject"),
            ({"ProjectName": "p" * 33}, "BadProject"),
            ({"ProjectName": "../churn"}, "BadProject"),
            ({"ProjectName": "platform"}, "NoProject: There is no project platform."),
            ({"ProjectName": 7}, "BadProperty: ProjectName"),
            ({"DomainId": ""}, "BadProperty: DomainId"),
            ({"DomainId": "abc"}, "BadProperty: DomainId"),
            ({"DomainId": None}, "BadProperty: DomainId"),
            ({"DomainId": "d-gone"}, "NoDomain: There is no Studio domain d-gone"),
            ({"Action": "rename"}, "BadProperty: Action"),
            ({"Action": None}, "BadProperty: Action"),
        ],
    )
    def test_is_refused_and_the_stack_can_go(self, ask: Asking, changes: dict[str, Any], reason: str) -> None:
        body = ask.fails("Create", None, ANNA | changes)
        assert body["Reason"].startswith(reason)
        # CloudFormation deletes what failed, with the id of the failed answer.
        ask.answers("Delete", body["PhysicalResourceId"], ANNA | changes)

    def test_a_project_that_was_deleted(self, ask: Asking, studio: Studio) -> None:
        studio.settings.clear()
        reason = ask.fails("Create", None, ANNA)["Reason"]
        assert reason.startswith("NoProject: There is no project churn. Set ProjectName to one that stands")

    @pytest.mark.parametrize("value", ["", "no json", "[]", "null", "{}", '{"project_id": 1, "project_role_arn": "a"}'])
    def test_settings_that_are_none(self, ask: Asking, studio: Studio, value: str) -> None:
        studio.settings["/mlops/projects/churn/settings"] = value
        assert ask.fails("Create", None, ANNA)["Reason"].startswith("BadSettings: The parameter /mlops/projects/churn/")


class TestUpdate:
    def test_of_the_same_answers_the_same(self, ask: Asking, studio: Studio) -> None:
        own_id, data = _created(ask)
        studio.user("anna-churn", "Anna@example.org", "churn")
        body = ask.answers("Update", own_id, ANNA | {"UserEmail": " Anna@example.org "})
        assert (body["PhysicalResourceId"], body["Data"]) == (own_id, data)
        assert studio.called("ListUserProfiles") == 1  # its own profile has the name by now

    def test_follows_the_project_s_role(self, ask: Asking, studio: Studio) -> None:
        own_id, _ = _created(ask)
        studio.project(project_role_arn="arn:aws:iam::111122223333:role/mlops/churn/other")
        assert ask.answers("Update", own_id, ANNA)["Data"]["ProjectRoleArn"].endswith("/other")

    @pytest.mark.parametrize(
        "changes",
        [
            {"UserEmail": "bob@example.org"},
            {"UserEmail": "anna@example.org"},  # the tag is compared letter by letter
            {"UserEmail": "Anna@example.net"},
            {"ProjectName": "fraud"},
            {"UserAlias": "am"},
            {"DomainId": "d-other"},
        ],
    )
    def test_to_another_is_refused_and_taken_back(self, ask: Asking, studio: Studio, changes: dict[str, str]) -> None:
        studio.project("fraud", "p-2")
        studio.domains["d-other"] = Domain()
        own_id, data = _created(ask)
        reason = ask.fails("Update", own_id, ANNA | changes, OldResourceProperties=ANNA)["Reason"]
        assert reason.startswith("Renamed: This user is anna-churn, not ")
        assert "delete this user and launch a new one." in reason
        # The way back: the first values are the new ones, the refused values the old ones.
        back = ask.answers("Update", own_id, ANNA, OldResourceProperties=ANNA | changes)
        assert (back["PhysicalResourceId"], back["Data"]) == (own_id, data)

    def test_another_person_of_the_same_alias_is_refused(self, ask: Asking) -> None:
        own_id, _ = _created(ask, UserAlias="am")
        ask.fails("Update", own_id, ANNA | {"UserAlias": "am", "UserEmail": "amy@example.org"})

    def test_an_alias_that_is_what_was_derived_changes_nothing(self, ask: Asking) -> None:
        own_id, data = _created(ask)
        assert ask.answers("Update", own_id, ANNA | {"UserAlias": "anna"})["Data"] == data

    def test_to_something_bad_is_refused(self, ask: Asking) -> None:
        own_id, _ = _created(ask)
        ask.fails("Update", own_id, ANNA | {"UserEmail": "none"})

    def test_without_its_project(self, ask: Asking, studio: Studio) -> None:
        own_id, _ = _created(ask)
        studio.settings.clear()
        assert ask.fails("Update", own_id, ANNA)["Reason"].startswith("NoProject")


@pytest.mark.parametrize("own_id", [f"{DOMAIN}/anna-churn/1a2b3c4d", "mlops-infra-Own-123456789012", "x"])
@pytest.mark.parametrize("properties", [ANNA, {}, {"DomainId": 7}])
def test_delete_always_succeeds_without_a_call(
    ask: Asking, studio: Studio, own_id: str, properties: dict[str, Any]
) -> None:
    studio.domains.clear()
    assert ask.answers("Delete", own_id, properties)["PhysicalResourceId"] == own_id
    assert studio.calls == []


def test_delete_before_create_does_not_spoil_it(ask: Asking) -> None:
    ask.answers("Delete", "mlops-infra-Own-123456789012", ANNA)
    assert _created(ask)[1]["UserProfileName"] == "anna-churn"


@pytest.mark.parametrize("operation", ["GetParameter", "ListUserProfiles", "DescribeUserProfile", "ListTags"])
@pytest.mark.parametrize(
    "error",
    [
        AwsError("AccessDeniedException", "not authorized"),
        AwsError("ThrottlingException", "slow down"),
        AwsError("InternalFailure", "again", 500),
        EndpointConnectionError(endpoint_url="https://api.sagemaker.eu-central-1.amazonaws.com"),
    ],
    ids=lambda error: type(error).__name__ + getattr(error, "code", ""),
)
def test_a_failing_call_is_told_with_a_mend(ask: Asking, studio: Studio, operation: str, error: Exception) -> None:
    studio.user("anna-churn", "anna@example.com", "churn")
    studio.fails[operation] = [error]
    reason = ask.fails("Create", None, ANNA)["Reason"]
    assert reason.startswith("AwsRefused: ")
    assert "allow this to the function's role, or repeat if AWS was busy." in reason


def test_the_settings_need_no_more_than_they_promise(studio: Studio, ask: Asking) -> None:
    least = {"project_id": "p-1", "project_role_arn": ROLE.format("churn")}
    studio.settings["/mlops/projects/churn/settings"] = json.dumps(least)
    assert _created(ask)[1]["ProjectId"] == "p-1"


def test_an_event_that_is_no_request_is_raised(module: Any, context: Any) -> None:
    with pytest.raises(Exception, match="No CloudFormation request"):
        module.handler({"event": {"RequestType": "Delete"}}, context())


@pytest.mark.parametrize(("size", "most", "fits"), [("5", "50", True), ("50", "50", True), ("51", "50", False),
                                                    ("600", "50", False), ("x", "50", False)])  # fmt: skip
def test_a_space_is_no_larger_than_any_may_be(ask: Asking, studio: Studio, size: str, most: str, fits: bool) -> None:
    studio.project("churn")
    given = {
        "DomainId": DOMAIN,
        "UserEmail": "anna@x.org",
        "ProjectName": "churn",
        "SpaceSizeInGb": size,
        "MaxSpaceSizeInGb": most,
    }
    if fits:
        ask.answers("Create", None, given)
    else:
        assert ask.fails("Create", None, given)["Reason"].startswith(
            f"SpaceTooLarge: SpaceSizeInGb is {size}, and 1-infra"
        )
