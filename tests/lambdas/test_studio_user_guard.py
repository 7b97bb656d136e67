"""The guard of a project: its name is its own, and it stays while it has users."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.lambdas.studio_domain import ACCOUNT, DOMAIN, Asking, AwsError, Domain, Profile, Studio

CHURN = {"DomainId": DOMAIN, "ProjectName": "churn", "ProjectId": "p-1"}
OWN_ID = "churn/p-1"
CHECK_ID = "check/churn/p-1"
RESERVED = ("admin", "boundary", "infra", "platform", "projects")
ARN = f"arn:aws:sagemaker:{ACCOUNT}:user-profile"


@pytest.fixture
def module(load: Callable[[str, str], ModuleType]) -> Any:
    return load("studio_user", "handler")


@pytest.fixture
def studio(module: Any) -> Studio:
    return Studio(module)


@pytest.fixture
def ask(studio: Studio, module: Any, server: Any, context: Any, request_event: Any) -> Asking:
    return Asking(module, server, context, request_event, "guard")


@pytest.fixture
def check(studio: Studio, module: Any, server: Any, context: Any, request_event: Any) -> Asking:
    return Asking(module, server, context, request_event, "check")


def test_the_template_and_the_function_reserve_the_same_names(load: Callable[[str, str], ModuleType]) -> None:
    assert set(load("studio_user", "guard").RESERVED) == set(RESERVED)


class TestCheck:
    def test_of_a_free_name(self, check: Asking) -> None:
        body = check.answers("Create", None, CHURN)
        assert (body["PhysicalResourceId"], body["Data"]) == (CHECK_ID, {})

    def test_again_when_the_project_stands_half_made(self, check: Asking, studio: Studio) -> None:
        studio.project()
        assert check.answers("Create", None, CHURN)["PhysicalResourceId"] == CHECK_ID

    def test_of_a_name_that_another_has(self, check: Asking, studio: Studio) -> None:
        studio.project("churn", "p-2")
        reason = check.fails("Create", None, CHURN)["Reason"]
        assert reason.startswith("ProjectLives: There is a project churn already (p-2): choose another name")

    def test_of_a_name_whose_project_was_deleted(self, check: Asking, studio: Studio) -> None:
        studio.project("churn", "p-2")
        check.fails("Create", None, CHURN)
        studio.settings.clear()
        check.answers("Create", None, CHURN)

    @pytest.mark.parametrize("name", list(RESERVED))
    def test_of_a_reserved_name(self, check: Asking, name: str) -> None:
        reason = check.fails("Create", None, CHURN | {"ProjectName": name})["Reason"]
        assert reason.startswith(f"NameReserved: The platform itself uses the name {name}")

    @pytest.mark.parametrize("name", ["platform-2", "infra-x", "project", "p" * 32])
    def test_of_a_name_like_a_reserved_one(self, check: Asking, name: str) -> None:
        check.answers("Create", None, CHURN | {"ProjectName": name})

    @pytest.mark.parametrize(
        "changes",
        [
            {"ProjectName": "Churn"},
            {"ProjectName": "p" * 33},
            {"ProjectName": "aws-churn"},
            {"ProjectName": "churn_eu"},
            {"ProjectName": ""},
            {"ProjectName": None},
            {"ProjectId": "1"},
            {"ProjectId": "p-" + "1" * 19},
            {"ProjectId": "p-A"},
            {"ProjectId": None},
            {"DomainId": "x"},
            {"DomainId": None},
        ],
    )
    def test_of_bad_input_is_refused_and_the_stack_can_go(
        self, check: Asking, studio: Studio, changes: dict[str, Any]
    ) -> None:
        body = check.fails("Create", None, CHURN | changes)
        assert body["Reason"].startswith(("BadProject: ", "BadProperty: "))
        check.answers("Delete", body["PhysicalResourceId"], CHURN | changes)
        assert studio.calls == []

    def test_of_unreadable_settings(self, check: Asking, studio: Studio) -> None:
        studio.settings["/mlops/projects/churn/settings"] = "{"
        assert check.fails("Create", None, CHURN)["Reason"].startswith("BadSettings: ")


TRUSTED = CHURN | {"TrustedAccounts": ["111122223333", "222222222222"], "OrganizationId": "none"}


class TestTargets:
    @pytest.mark.parametrize(
        "given",
        [
            {},
            {"StagingAccountIds": "", "ProductionAccountIds": ""},
            {"StagingAccountIds": "222222222222", "ProductionAccountIds": "111122223333,222222222222"},
            {"StagingOrganizationalUnitIds": "ou-ab12-cdefghij", "OrganizationId": "o-a1b2c3d4e5"},
        ],
    )
    def test_what_the_platform_trusts_passes(self, check: Asking, given: dict[str, str]) -> None:
        check.answers("Create", None, TRUSTED | given)
        check.answers("Update", CHECK_ID, TRUSTED | given)

    @pytest.mark.parametrize(("given", "told"), [
        ({"StagingAccountIds": "333333333333"}, "NotTrusted: StagingAccountIds names 333333333333, which 1-infra does not trust"),
        ({"ProductionAccountIds": "222222222222,333333333333"}, "NotTrusted: ProductionAccountIds names 333333333333,"),
        ({"ProductionOrganizationalUnitIds": "ou-ab12-cdefghij"}, "NoOrganization: ProductionOrganizationalUnitIds needs"),
    ])  # fmt: skip
    @pytest.mark.parametrize("kind", ["Create", "Update"])
    def test_what_it_does_not_trust_is_refused(
        self, check: Asking, kind: str, given: dict[str, str], told: str
    ) -> None:
        own_id = CHECK_ID if kind == "Update" else None
        assert check.fails(kind, own_id, TRUSTED | given)["Reason"].startswith(told)
        check.answers("Delete", own_id or "whatever", TRUSTED | given)

    def test_another_name_is_refused_and_taken_back(self, check: Asking) -> None:
        assert check.fails("Update", CHECK_ID, TRUSTED | {"ProjectName": "fraud"})["Reason"].startswith(
            "ProjectRenamed: "
        )
        check.answers("Update", CHECK_ID, TRUSTED)


class TestGuardCreate:
    def test_it_only_begins(self, ask: Asking, studio: Studio) -> None:
        assert ask.answers("Create", None, CHURN)["PhysicalResourceId"] == OWN_ID
        assert studio.calls == []


class TestUpdate:
    def test_of_the_same(self, ask: Asking, studio: Studio) -> None:
        studio.user("anna-churn", "anna@x.org", "churn")
        body = ask.answers("Update", OWN_ID, CHURN | {"DomainId": "d-new"})
        assert body["PhysicalResourceId"] == OWN_ID

    @pytest.mark.parametrize("changes", [{"ProjectName": "fraud"}, {"ProjectId": "p-2"}])
    def test_to_another_is_refused_and_taken_back(self, ask: Asking, changes: dict[str, str]) -> None:
        reason = ask.fails("Update", OWN_ID, CHURN | changes)["Reason"]
        assert reason.startswith("ProjectRenamed: This project is churn/p-1, not ")
        assert (
            ask.answers("Update", OWN_ID, CHURN, OldResourceProperties=CHURN | changes)["PhysicalResourceId"] == OWN_ID
        )

    def test_to_what_is_no_domain_is_refused(self, ask: Asking) -> None:
        assert ask.fails("Update", OWN_ID, CHURN | {"DomainId": "x"})["Reason"].startswith("BadProperty: DomainId")


class TestDelete:
    def test_asks_for_the_project_that_was_made_whatever_the_properties_say(self, ask: Asking, studio: Studio) -> None:
        studio.user("anna-churn", "anna@x.org", "churn")
        assert (
            "anna-churn" in ask.fails("Delete", OWN_ID, CHURN | {"ProjectName": "fraud", "ProjectId": "p-9"})["Reason"]
        )

    def test_without_users(self, ask: Asking, studio: Studio) -> None:
        studio.user("anna-fraud", "anna@x.org", "fraud")
        studio.user("ds-admin")
        assert ask.answers("Delete", OWN_ID, CHURN)["PhysicalResourceId"] == OWN_ID

    def test_with_users_names_them_and_the_mend(self, ask: Asking, studio: Studio) -> None:
        studio.user("bob-churn", "bob@x.org", "churn")
        studio.user("anna-churn", "anna@x.org", "churn")
        reason = ask.fails("Delete", OWN_ID, CHURN)["Reason"]
        assert reason.startswith(
            'HasUsers: Project churn has users: anna-churn, bob-churn. Terminate their "Studio user"'
        )

    def test_again_after_the_users_went(self, ask: Asking, studio: Studio) -> None:
        studio.user("anna-churn", "anna@x.org", "churn")
        ask.fails("Delete", OWN_ID, CHURN)
        ask.fails("Delete", OWN_ID, CHURN)
        studio.domain.profiles.clear()
        ask.answers("Delete", OWN_ID, CHURN)

    @pytest.mark.parametrize(
        ("count", "told"), [(5, "u3-churn, u4-churn. Terminate"), (6, "u4-churn and more. Terminate")]
    )
    def test_with_many_users_names_five(self, ask: Asking, studio: Studio, count: int, told: str) -> None:
        for number in range(count):
            studio.user(f"u{number}-churn", "x@x.org", "churn")
        assert told in ask.fails("Delete", OWN_ID, CHURN)["Reason"]

    def test_with_a_user_whom_the_search_by_tag_does_not_show_yet(self, ask: Asking, studio: Studio) -> None:
        studio.user("anna-churn", "anna@x.org", "churn", role="")
        studio.tagged = []
        assert "anna-churn" in ask.fails("Delete", OWN_ID, CHURN)["Reason"]

    def test_with_a_user_made_by_hand_who_has_the_role(self, ask: Asking, studio: Studio) -> None:
        studio.user("Anna-CHURN", project="churn")
        reason = ask.fails("Delete", OWN_ID, CHURN)["Reason"]
        assert "users: Anna-CHURN. Terminate" in reason
        assert "delete in SageMaker what was made by hand" in reason

    def test_with_a_tagged_user_of_another_name(self, ask: Asking, studio: Studio) -> None:
        studio.user("Anna", "anna@x.org", "churn")
        assert "users: Anna. Terminate" in ask.fails("Delete", OWN_ID, CHURN)["Reason"]

    def test_users_of_a_project_whose_name_ends_alike_do_not_count(self, ask: Asking, studio: Studio) -> None:
        studio.user("anna-my-churn", "anna@x.org", "my-churn")
        studio.user("bob-churn")  # by hand, with the domain's own role
        studio.user("carl-churn", role="arn:aws:iam::111122223333:role/mlops/churn-eu/churn-eu-project-role")
        ask.answers("Delete", OWN_ID, CHURN)

    def test_what_the_search_by_tag_still_shows_does_not_count(self, ask: Asking, studio: Studio) -> None:
        studio.tagged = [f"{ARN}/{DOMAIN}/anna-churn", f"{ARN}/d-gone/bob-churn"]
        ask.answers("Delete", OWN_ID, CHURN)

    def test_a_user_in_another_domain_counts(self, ask: Asking, studio: Studio) -> None:
        tags = {"mlops:project": "churn"}
        studio.domains["d-other"] = Domain(profiles=[Profile("bob-churn", tags=tags)])
        assert "users: bob-churn (in domain d-other). Term" in ask.fails("Delete", OWN_ID, CHURN)["Reason"]

    def test_a_user_who_goes_while_looked_at_does_not_count(self, ask: Asking, studio: Studio) -> None:
        studio.user("anna-churn", project="churn")
        studio.fails["DescribeUserProfile"] = [AwsError("ResourceNotFound")]
        ask.answers("Delete", OWN_ID, CHURN)

    def test_all_pages_are_read(self, ask: Asking, studio: Studio) -> None:
        for number in range(5):
            studio.user(f"a{number}", "x@x.org", "fraud")
        studio.user("z", "z@x.org", "churn")
        studio.tagged = [f"{ARN}/d-gone/u{number}" for number in range(5)] + [f"{ARN}/{DOMAIN}/z"]
        assert "users: z. Terminate" in ask.fails("Delete", OWN_ID, CHURN)["Reason"]

    def test_a_domain_that_is_gone(self, ask: Asking, studio: Studio) -> None:
        studio.domains.clear()
        ask.answers("Delete", OWN_ID, CHURN)

    def test_a_domain_that_aws_calls_invalid_once_it_is_gone(self, ask: Asking, studio: Studio) -> None:
        studio.fails["ListUserProfiles"] = [AwsError("ValidationException", "unknown domain")]
        studio.fails["DescribeDomain"] = [AwsError("ResourceNotFound")]
        ask.answers("Delete", OWN_ID, CHURN)

    def test_after_a_refused_create_the_other_project_s_users_are_no_reason(
        self, ask: Asking, check: Asking, studio: Studio
    ) -> None:
        studio.project("churn", "p-2")
        studio.user("anna-churn", "anna@x.org", "churn")
        failed = check.fails("Create", None, CHURN)
        ask.answers("Delete", failed["PhysicalResourceId"], CHURN)
        assert studio.called("ListUserProfiles") == 0

    @pytest.mark.parametrize("operation", ["ListUserProfiles", "DescribeUserProfile", "ListTags", "GetResources"])
    def test_that_cannot_be_decided_is_refused(self, ask: Asking, studio: Studio, operation: str) -> None:
        studio.user("anna-churn", project="churn")
        studio.fails[operation] = [AwsError("AccessDeniedException")]
        assert ask.fails("Delete", OWN_ID, CHURN)["Reason"].startswith("AwsRefused: ")
