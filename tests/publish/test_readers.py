"""Who may read what was published, as options, as policies, and as S3 answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tools.publish.errors import BadReaders
from tools.publish.publisher import Order, publish
from tools.publish.readers import Readers, bucket_policy, readers, same_policy

from .conftest import OBJECTS, Cloud

Orders = Callable[..., Order]
REGION = ("us-west-2",)
READER, STRANGER = "333333333333", "444444444444"
ORGANIZATION = "o-abcdefghij"


def quiet(_: str) -> None:
    """Say nothing."""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("o-SHORT", "", False), "'o-SHORT' is no organization id"),
        (("", "12345", False), "'12345' is no account id"),
        (("", " , ", False), "names no account"),
        ((ORGANIZATION, "", True), "--public lets everybody read"),
    ],
)
def test_unclear_readers_are_refused(options: tuple[str, str, bool], told: str) -> None:
    with pytest.raises(BadReaders) as caught:
        readers(*options)
    assert told in str(caught.value)
    assert "--org-id" in str(caught.value).splitlines()[-1]


def test_all_problems_of_the_options_are_shown_at_once() -> None:
    with pytest.raises(BadReaders) as caught:
        readers("organization", "1,2", True)
    assert len(caught.value.problems) == 4


def test_statements_use_the_partition() -> None:
    statement = Readers(accounts=(READER,)).statements("b", "aws-cn")[0]
    assert statement["Principal"] == {"AWS": [f"arn:aws-cn:iam::{READER}:root"]}
    assert all(resource.startswith("arn:aws-cn:s3:::b/") for resource in statement["Resource"])


def test_policies_are_compared_by_meaning() -> None:
    wanted = bucket_policy(None, "b", "aws", Readers(accounts=(READER,)))
    stored = json.loads(json.dumps(wanted).replace(f'["arn:aws:iam::{READER}:root"]', f'"arn:aws:iam::{READER}:root"'))
    stored["Statement"].reverse()
    assert stored != wanted and same_policy(stored, wanted)
    stored["Statement"][0]["Effect"] = "Deny"
    assert not same_policy(stored, wanted)


def test_public_relaxes_exactly_the_policy_half_of_the_block(cloud: Cloud, order: Orders) -> None:
    publish(cloud.aws(), order(regions=REGION, readers=readers("", "", True)), quiet)
    assert cloud.block("us-west-2") == {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": False,
        "RestrictPublicBuckets": False,
    }
    statement = cloud.policy("us-west-2")["ReadByAll"]
    assert (statement["Principal"], sorted(statement["Action"])) == ("*", ["s3:GetObject", "s3:GetObjectVersion"])
    assert "Condition" not in statement


def test_an_organization_reads_without_a_public_bucket(cloud: Cloud, order: Orders) -> None:
    publish(cloud.aws(), order(regions=REGION, readers=readers(ORGANIZATION, "", False)), quiet)
    assert set(cloud.block("us-west-2").values()) == {True}
    statement = cloud.policy("us-west-2")["ReadByOrganization"]
    assert statement["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": ORGANIZATION}}


def test_without_options_readers_stay_and_with_others_they_change(cloud: Cloud, order: Orders) -> None:
    publish(cloud.aws(), order(regions=REGION, readers=readers("", "", True)), quiet)
    before = (cloud.policy("us-west-2"), cloud.block("us-west-2"))
    publish(cloud.aws(), order(regions=REGION), quiet)
    assert (cloud.policy("us-west-2"), cloud.block("us-west-2")) == before
    publish(cloud.aws(), order(regions=REGION, readers=readers(ORGANIZATION, READER, False)), quiet)
    assert set(cloud.policy("us-west-2")) == {"TlsOnly", "ReadByOrganization", "ReadByAccounts"}
    assert set(cloud.block("us-west-2").values()) == {True}


def test_statements_of_others_stay(cloud: Cloud, order: Orders) -> None:
    publish(cloud.aws(), order(regions=REGION), quiet)
    bucket = cloud.bucket("us-west-2")
    theirs: dict[str, Any] = {
        "Sid": "Audit",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{STRANGER}:root"},
        "Action": "s3:GetBucketLocation",
        "Resource": f"arn:aws:s3:::{bucket}",
    }
    policy = {"Version": "2012-10-17", "Statement": [*cloud.policy("us-west-2").values(), theirs]}
    cloud.s3("us-west-2").put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    publish(cloud.aws(), order(regions=REGION, readers=readers("", READER, False)), quiet)
    found = cloud.policy("us-west-2")
    assert found["Audit"] == theirs
    assert set(found) == {"TlsOnly", "ReadByAccounts", "Audit"}


def test_a_bucket_that_was_only_half_set_up_is_completed(cloud: Cloud, order: Orders) -> None:
    bucket = cloud.bucket("us-west-2")
    where = {"CreateBucketConfiguration": {"LocationConstraint": "us-west-2"}, "ObjectOwnership": "ObjectWriter"}
    cloud.s3("us-west-2").create_bucket(Bucket=bucket, **where)
    publish(cloud.aws(), order(regions=REGION), quiet)
    assert set(cloud.policy("us-west-2")) == {"TlsOnly"}
    assert cloud.s3("us-west-2").get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    owner = cloud.s3("us-west-2").get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert owner == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    block = cloud.block("us-west-2")
    assert block["BlockPublicAcls"] and block["IgnorePublicAcls"]


def test_accounts_read_releases_over_tls_and_nothing_else(cloud: Cloud, order: Orders) -> None:
    publish(cloud.aws(), order(regions=REGION, readers=readers("", READER, False)), quiet)
    bucket, key = cloud.bucket("us-west-2"), f"{order().release.prefix}functions/one.zip"
    cloud.s3("us-west-2").put_object(Bucket=bucket, Key="private/notes", Body=b"ours")
    reader, stranger = (cloud.other(account).s3("us-west-2") for account in (READER, STRANGER))

    def denied(s3: Any, wanted: str) -> bool:
        try:
            s3.get_object(Bucket=bucket, Key=wanted)
        except ClientError as error:
            return bool(error.response["Error"]["Code"] == "AccessDenied")
        return False

    # The emulator speaks plain HTTP, so the TLS statement keeps even the reader out; what it hides shows without it.
    assert denied(reader, key)
    open_policy = {"Version": "2012-10-17", "Statement": [cloud.policy("us-west-2")["ReadByAccounts"]]}
    cloud.s3("us-west-2").put_bucket_policy(Bucket=bucket, Policy=json.dumps(open_policy))
    assert reader.get_object(Bucket=bucket, Key=key)["Body"].read() == OBJECTS["functions/one.zip"]
    assert not denied(reader, "latest/manifest.json")
    assert denied(reader, "private/notes")
    assert denied(stranger, key)


def test_a_new_bucket_that_s3_does_not_know_everywhere_yet_is_waited_for(
    cloud: Cloud, order: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    aws, refusals = cloud.aws(), ["NoSuchBucket", "AccessDenied"]

    def not_yet(http_response: Any, parsed: Any, **_: Any) -> None:
        if refusals:
            http_response.status_code = 409
            parsed["Error"] = {"Code": refusals.pop(), "Message": "not yet"}

    aws.session.events.register("after-call.s3.PutBucketPolicy", not_yet)
    publish(aws, order(regions=REGION, readers=readers("", "", True)), quiet)
    assert pauses == [0.5, 1]
    assert "ReadByAll" in cloud.policy("us-west-2")
