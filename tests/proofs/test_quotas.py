"""What is counted, how many fit, what binds first, and the account's own values where there are credentials."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from generators.kit.registry import rendered
from tools import documents, quotas
from tools.quotas import Quota

BY_NAME = {quota.name: quota for quota in quotas.quotas()}
ONE = Quota("s", "L-1", "n", 10, True, "https://x", "region", 1, 2, 3, False, "w")


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in quotas.CREDENTIALS:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("changes", "projects", "users"),
    [
        ({}, 4, 3),
        ({"default": 0}, 0, 0),
        ({"default": None}, None, None),
        ({"project": 0}, None, 3),
        ({"applied": 100}, 49, 33),
        ({"default": None, "applied": 5}, 2, 1),
    ],
)
def test_how_many_fit(changes: dict[str, Any], projects: int | None, users: int | None) -> None:
    quota = replace(ONE, **changes)
    assert (quota.projects_fit, quota.users_fit) == (projects, users)


def test_resources_are_counted_in_the_templates() -> None:
    made = {item.stack.name: item.body for item in rendered()}
    images = [body for body in made["2-smproject"]["Resources"].values() if body["Type"] == "AWS::ECR::Repository"]
    assert BY_NAME["Registered repositories"].project == len(images) == 3
    profiles = BY_NAME["Maximum number of Studio user profiles allowed per account"]
    assert (profiles.platform, profiles.project, profiles.user) == (1, 0, 1)
    assert BY_NAME["Stacks"].platform > 1  # with those that it nests
    assert BY_NAME["Roles per account"].platform > 10


def test_the_first_to_bind_of_what_exists_is_the_user_profile() -> None:
    first, *others = [quota for quota in quotas.quotas() if not quota.at_once]
    assert (first.name, first.users_fit) == ("Maximum number of Studio user profiles allowed per account", 1)
    assert all(quota.fewest >= first.fewest for quota in others)


def test_what_the_install_check_asks_for_is_what_a_project_and_four_users_take() -> None:
    asked = json.loads(quotas.INSTALL.read_text(encoding="utf-8"))["quotas"]
    found = {quota.code: quota for quota in quotas.quotas()}
    for entry in asked:
        quota = found[entry["Code"]]
        assert quota.default == int(entry["Default"])
        assert quota.platform + quota.project + 4 * quota.user <= int(entry["Needed"]), entry["Name"]


def test_every_row_has_a_source_or_says_unknown() -> None:
    for quota in quotas.quotas():
        assert quota.source is None or quota.source.startswith("https://docs.aws.amazon.com/"), quota.name
        assert (quota.source is None) == (quota.default is None) == (quota.adjustable is None), quota.name
    assert all(rate["source"].startswith("https://docs.aws.amazon.com/") for rate in quotas.rates())


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ({"code": "L-1", "types": ["T"], "colour": "red"}, "has colour"),
        ({"code": "L-AC46C40F", "types": ["T"], "default": 3}, "says default once more"),
        ({"code": "L-1", "types": ["T"]}, "lacks adjustable, default, name, service, source"),
        ({"code": "L-AC46C40F", "user": 2}, "without a reason"),
    ],
)
def test_a_row_that_cant_be_is_refused(
    row: dict[str, Any], word: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "quotas.json"
    data.write_text(json.dumps({"quotas": [row], "rates": []}))
    monkeypatch.setattr(quotas, "DATA", data)
    with pytest.raises(quotas.BadRow, match=word):
        quotas.quotas()


def test_without_credentials_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "Session", lambda **_: pytest.fail("AWS was asked"))
    found, said = quotas.applied([ONE])
    assert found == (ONE,)
    assert said.startswith("Defaults")


class Client:
    """Answer as Service Quotas does, and keep what was asked."""

    asked: list[tuple[str, str]] = []

    def __init__(self, region: str) -> None:
        self.region = region

    def get_service_quota(self, ServiceCode: str, QuotaCode: str) -> Mapping[str, Any]:
        self.asked.append((self.region, QuotaCode))
        codes = {"L-GONE": "NoSuchResourceException", "L-SHUT": "AccessDeniedException"}
        if QuotaCode in codes:
            raise ClientError({"Error": {"Code": codes[QuotaCode]}}, "GetServiceQuota")
        return {"Quota": {"Value": 100.0}}


class Session:
    """Stand for boto3's session in a region."""

    region_name = "eu-west-1"

    def __init__(self, region_name: str | None = None) -> None:
        self.region_name = region_name or self.region_name

    def get_partition_for_region(self, name: str) -> str:
        return "aws"

    def client(self, service: str, region_name: str, config: Any) -> Client:
        assert service == "service-quotas"
        return Client(region_name)


def test_applied_values_are_read_and_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "x")
    monkeypatch.setattr(boto3, "Session", Session)
    monkeypatch.setattr(Client, "asked", [])
    gone, shut = replace(ONE, code="L-GONE", name="gone"), replace(ONE, code="L-SHUT", name="shut")
    account, bare = replace(ONE, code="L-ACC", scope="account"), replace(ONE, code=None, name="bare")
    found, said = quotas.applied([ONE, gone, shut, account, bare])
    values = {quota.name + str(quota.code): quota.applied for quota in found}
    assert values == {"nL-1": 100, "nL-ACC": 100, "goneL-GONE": None, "shutL-SHUT": None, "bareNone": None}
    assert ("us-east-1", "L-ACC") in Client.asked  # quotas of the account stand in one region
    assert ("eu-west-1", "L-1") in Client.asked
    assert "Applied values of the account in eu-west-1 for 2 of 5" in said
    assert "1 could not be read: allow servicequotas:GetServiceQuota." in said


def test_credentials_that_cant_be_used_leave_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody-has-this-profile")
    found, said = quotas.applied([ONE])
    assert found == (ONE,)
    assert "can't be used" in said


def test_the_table_and_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    quotas.show()
    table = capsys.readouterr().out
    assert re.search(r"Studio user profiles allowed per account +2 +adjustable +1 +0 +1 +- +1\n", table)
    assert re.search(r"Git repositories that Studio shows +unknown +unknown", table)
    quotas.show(as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["values"].startswith("Defaults")
    assert {"name", "default", "applied", "project", "user", "projects_fit", "users_fit", "source"} <= set(
        document["quotas"][0]
    )


def test_an_applied_value_is_marked_in_the_table() -> None:
    assert quotas._line(replace(ONE, applied=1000))[1] == "1,000*"


def test_the_page_never_hangs_on_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    before = documents.quota_page(rendered())
    monkeypatch.setenv("AWS_PROFILE", "x")
    monkeypatch.setattr(boto3, "Session", Session)
    assert documents.quota_page(rendered()) == before
    assert before.splitlines()[0].startswith("<!-- Rendered from tools/quotas.json")
    assert before.count("| [page](") >= 20
