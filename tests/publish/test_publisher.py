"""Publishing against a real local S3: what arrives, what is sent again, and what faults leave behind."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from tools.publish.errors import Interrupted, PreflightFailed
from tools.publish.publisher import Order, describe, look, publish

from .conftest import OBJECTS, REGIONS, THEIRS, Cloud, CuttingProxy

Orders = Callable[..., Order]
ONE = ("us-east-1",)


def quiet(_: str) -> None:
    """Say nothing."""


def test_first_publish_brings_every_object_to_every_region(cloud: Cloud, order: Orders) -> None:
    said: list[str] = []
    placed = order()
    outcome = publish(cloud.aws(), placed, said.append)
    prefix = placed.release.prefix
    for region in REGIONS:
        content = cloud.content(region)
        manifest = json.loads(content[f"{prefix}manifest.json"])
        assert manifest["objects"] == [
            {"key": key, "sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
            for key, body in sorted(OBJECTS.items())
        ]
        assert {key: content[prefix + key] for key in OBJECTS} == OBJECTS
        assert content["latest/manifest.json"] == content[f"{prefix}manifest.json"]
        assert content["latest/templates/1-infra.yaml"] == OBJECTS["templates/1-infra.yaml"]
        assert len(content) == len(OBJECTS) + 3
        head = cloud.s3(region).head_object(Bucket=cloud.bucket(region), Key=f"{prefix}templates/1-infra.yaml")
        assert head["ContentType"] == "application/yaml"
        assert f"{region:<15} 4 objects, 4 sent, 0 unchanged" in said
    assert (outcome.sent, outcome.unchanged) == (len(REGIONS) * 7, 0)


def test_what_projects_take_from_a_release_arrives_and_stays_out_of_latest(cloud: Cloud, order: Orders) -> None:
    more = {"seeds/project-sklearn.zip": b"seed", "workspace/start.sh": b"#!/bin/bash\n"}
    placed = order({**OBJECTS, **more}, regions=ONE)
    publish(cloud.aws(), placed, quiet)
    content, prefix = cloud.content("us-east-1"), placed.release.prefix
    assert {key: content[prefix + key] for key in more} == more
    assert [key for key in content if key.startswith("latest/")] == [
        "latest/manifest.json",
        "latest/templates/1-infra.yaml",
    ]
    for key, kind in {
        "seeds/project-sklearn.zip": "application/zip",
        "workspace/start.sh": "text/x-shellscript",
    }.items():
        head = cloud.s3("us-east-1").head_object(Bucket=cloud.bucket("us-east-1"), Key=prefix + key)
        assert head["ContentType"] == kind


def test_new_buckets_are_private_versioned_encrypted_and_in_their_region(cloud: Cloud, order: Orders) -> None:
    publish(cloud.aws(), order(), quiet)
    for region in REGIONS:
        s3, bucket = cloud.s3(region), cloud.bucket(region)
        assert s3.head_bucket(Bucket=bucket)["BucketRegion"] == region
        assert set(cloud.block(region).values()) == {True}
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
        assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
        owner = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"][0]
        assert owner["ObjectOwnership"] == "BucketOwnerEnforced"
        statement = cloud.policy(region)["TlsOnly"]
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert set(cloud.policy(region)) == {"TlsOnly"}


def test_second_publish_writes_nothing(cloud: Cloud, order: Orders) -> None:
    publish(cloud.aws(), order(), quiet)
    assert cloud.writes
    before = cloud.everything()
    cloud.writes.clear()
    outcome = publish(cloud.aws(), order(), quiet)
    assert cloud.writes == []
    assert (outcome.sent, outcome.unchanged) == (0, len(REGIONS) * 5)
    assert cloud.everything() == before
    assert all(plan.nothing_to_do for plan in look(cloud.aws(), order()))


def test_a_network_that_fails_leaves_no_manifest_and_the_next_run_sends_the_rest(
    cloud: Cloud, order: Orders, cutting_proxy: Callable[[int], CuttingProxy]
) -> None:
    proxy = cutting_proxy(5)
    with pytest.raises(Interrupted) as caught:
        publish(cloud.aws(proxy.endpoint), order(), quiet)
    message = str(caught.value)
    assert "sending objects" in message and "the network failed" in message
    assert message.endswith("Run the same command again: only the rest is sent.")
    arrived = {region: set(cloud.content(region)) for region in REGIONS}
    # What was on its way when the network went did not arrive.
    count = sum(map(len, arrived.values()))
    assert 0 < count <= 5
    assert not any(key.endswith("manifest.json") for keys in arrived.values() for key in keys)
    assert set(caught.value.complete) | set(caught.value.failed) == set(REGIONS)

    cloud.writes.clear()
    outcome = publish(cloud.aws(), order(), quiet)
    objects = [call for call in cloud.writes if f"/{order().release.prefix}" in call and "manifest" not in call]
    assert len(objects) == len(REGIONS) * len(OBJECTS) - count
    assert outcome.unchanged == count
    assert all(len(cloud.content(region)) == len(OBJECTS) + 3 for region in REGIONS)


def test_the_manifests_come_after_every_object_of_every_region(cloud: Cloud, order: Orders) -> None:
    publish(cloud.aws(), order(), quiet)
    puts = [call for call in cloud.writes if call.startswith("PutObject")]
    kinds = ["latest" if "/latest/" in call else "manifest" if "manifest" in call else "object" for call in puts]
    first = {kind: kinds.index(kind) for kind in ("object", "manifest", "latest")}
    last = {kind: len(kinds) - 1 - kinds[::-1].index(kind) for kind in ("object", "manifest", "latest")}
    assert last["object"] < first["manifest"] <= last["manifest"] < first["latest"]


def failing(cloud: Cloud, region: str, key: str) -> Any:
    """Connect so that sending one key in one region finds no network."""
    aws = cloud.aws()

    def refuse(params: Any, **_: Any) -> None:
        if params["url"].endswith(f"/{cloud.bucket(region)}/{key}"):
            raise EndpointConnectionError(endpoint_url=cloud.endpoint)

    aws.session.events.register("before-call.s3.PutObject", refuse)
    return aws


def test_a_fault_while_manifests_are_written_says_which_regions_are_released(cloud: Cloud, order: Orders) -> None:
    manifest = f"{order().release.prefix}manifest.json"
    with pytest.raises(Interrupted, match="writing the manifests") as caught:
        publish(failing(cloud, "us-west-2", manifest), order(), quiet)
    assert caught.value.complete == ("eu-south-1", "us-east-1")
    assert list(caught.value.failed) == ["us-west-2"]
    assert manifest not in cloud.content("us-west-2")
    assert manifest in cloud.content("us-east-1")
    assert not any(key.startswith("latest/") for region in REGIONS for key in cloud.content(region))
    cloud.writes.clear()
    publish(cloud.aws(), order(), quiet)
    released = [call for call in cloud.writes if "/latest/" not in call]
    assert len(released) == 1 and released[0].endswith(manifest)


def test_a_fault_before_the_manifest_in_the_only_region_leaves_none(cloud: Cloud, order: Orders) -> None:
    key = f"{order().release.prefix}seeds/mlops-cfn.zip"
    with pytest.raises(Interrupted) as caught:
        publish(failing(cloud, "us-west-2", key), order(regions=("us-west-2",)), quiet)
    assert "Complete: none." in str(caught.value)
    assert sorted(cloud.content("us-west-2")) == [order().release.prefix + name for name in sorted(OBJECTS)[:2]]


def test_other_content_of_a_released_version_is_refused_and_nothing_changes(cloud: Cloud, order: Orders) -> None:
    publish(cloud.aws(), order(), quiet)
    before = cloud.everything()
    cloud.writes.clear()
    changed = order({**OBJECTS, "functions/one.zip": b"other"}, regions=(*REGIONS, "eu-west-1"))
    with pytest.raises(PreflightFailed) as caught:
        publish(cloud.aws(), changed, quiet)
    message = str(caught.value)
    assert "already released there with other content (functions/one.zip)" in message
    assert message.splitlines()[-1].startswith("A released version never changes: raise `version` in pyproject.toml")
    assert set(caught.value.findings) == set(REGIONS)
    assert cloud.writes == []
    assert cloud.everything() == before
    assert cloud.bucket("eu-west-1") not in cloud.buckets()


def test_lost_objects_of_a_release_are_sent_again(cloud: Cloud, order: Orders) -> None:
    publish(cloud.aws(), order(), quiet)
    lost = f"{order().release.prefix}functions/two.zip"
    cloud.s3("us-east-1").delete_object(Bucket=cloud.bucket("us-east-1"), Key=lost)
    outcome = publish(cloud.aws(), order(), quiet)
    assert outcome.sent == 1
    assert cloud.content("us-east-1")[lost] == OBJECTS["functions/two.zip"]


def test_two_publishers_at_once_cannot_both_release(cloud: Cloud, order: Orders) -> None:
    aws = cloud.aws()
    rival = order({**OBJECTS, "seeds/mlops-cfn.zip": b"rival"}).release.manifest

    def overtake(params: Any, **_: Any) -> None:
        key = f"{order().release.prefix}manifest.json"
        if params["url"].endswith(f"/{cloud.bucket('us-east-1')}/{key}"):
            cloud.s3("us-east-1").put_object(Bucket=cloud.bucket("us-east-1"), Key=key, Body=rival.body)

    aws.session.events.register("before-call.s3.PutObject", overtake)
    with pytest.raises(Interrupted, match="somebody else publishes the same version"):
        publish(aws, order(), quiet)
    assert cloud.content("us-east-1")[f"{order().release.prefix}manifest.json"] == rival.body


def test_a_bucket_of_somebody_else_stops_everything(cloud: Cloud, order: Orders) -> None:
    where = {"CreateBucketConfiguration": {"LocationConstraint": "us-west-2"}}
    cloud.other(THEIRS).s3("us-west-2").create_bucket(Bucket=cloud.bucket("us-west-2"), **where)
    with pytest.raises(PreflightFailed) as caught:
        publish(cloud.aws(), order(), quiet)
    assert "it belongs to somebody else" in str(caught.value)
    assert str(caught.value).splitlines()[-1].startswith("Choose another --bucket-prefix")
    assert list(caught.value.findings) == ["us-west-2"]
    assert (cloud.buckets(), cloud.writes) == (set(), [])


def test_a_bucket_in_another_region_stops_everything(cloud: Cloud, order: Orders) -> None:
    cloud.s3("us-east-1").create_bucket(Bucket=cloud.bucket("us-west-2"))
    with pytest.raises(PreflightFailed, match="exists in us-east-1"):
        publish(cloud.aws(), order(), quiet)
    assert cloud.buckets() == {cloud.bucket("us-west-2")}


def test_every_call_names_the_expected_owner(cloud: Cloud, order: Orders) -> None:
    aws, without = cloud.aws(), []

    def look_at(model: Any, params: Any, **_: Any) -> None:
        if params["headers"].get("x-amz-expected-bucket-owner") != cloud.account:
            without.append(model.name)

    aws.session.events.register("before-call.s3", look_at)
    publish(aws, order(), quiet)
    publish(aws, order(), quiet)
    assert set(without) == {"CreateBucket"}


def test_regions_that_are_not_enabled_are_named_before_anything_is_written(cloud: Cloud, order: Orders) -> None:
    aws = cloud.aws()

    def switch_off(parsed: Any, **_: Any) -> None:
        for row in parsed["Regions"]:
            if row["RegionName"] == "eu-south-1":
                row["OptInStatus"] = "not-opted-in"

    aws.session.events.register("after-call.ec2.DescribeRegions", switch_off)
    with pytest.raises(PreflightFailed) as caught:
        publish(aws, order(), quiet)
    assert f"eu-south-1: the region is not enabled in account {cloud.account}" in str(caught.value)
    assert "aws account enable-region" in str(caught.value).splitlines()[-1]
    assert (cloud.buckets(), cloud.writes) == (set(), [])


def test_who_may_not_list_regions_may_still_publish(cloud: Cloud, order: Orders) -> None:
    aws = cloud.aws()

    def deny(http_response: Any, parsed: Any, **_: Any) -> None:
        http_response.status_code = 403
        parsed["Error"] = {"Code": "UnauthorizedOperation", "Message": "no"}

    aws.session.events.register("after-call.ec2.DescribeRegions", deny)
    assert publish(aws, order(), quiet).sent == len(REGIONS) * 7


def test_problems_of_all_regions_are_shown_at_once(cloud: Cloud, order: Orders) -> None:
    publish(cloud.aws(), order(regions=("us-east-1",)), quiet)
    where = {"CreateBucketConfiguration": {"LocationConstraint": "us-west-2"}}
    cloud.other(THEIRS).s3("us-west-2").create_bucket(Bucket=cloud.bucket("us-west-2"), **where)
    with pytest.raises(PreflightFailed) as caught:
        publish(cloud.aws(), order({"templates/1-infra.yaml": b"Resources: {A: {}}\n"}), quiet)
    assert set(caught.value.findings) == {"us-east-1", "us-west-2"}


def test_looking_writes_nothing_and_tells_what_would_be_done(cloud: Cloud, order: Orders) -> None:
    plans = look(cloud.aws(), order())
    assert (cloud.buckets(), cloud.writes) == (set(), [])
    lines = describe(plans[0], order().release)
    assert f"set up: bucket {cloud.bucket('eu-south-1')}" in lines
    assert "send 4 of 4 objects (6,018 bytes)" in lines
    assert lines[-1] == f"move latest/ to {order().release.version}"


def test_latest_follows_stable_versions_forward_only(cloud: Cloud, order: Orders) -> None:
    def latest() -> set[str]:
        return {json.loads(cloud.content(region)["latest/manifest.json"])["version"] for region in ONE}

    publish(cloud.aws(), order(regions=ONE, version="1.9.0"), quiet)
    assert latest() == {"1.9.0"}
    newer = {**OBJECTS, "templates/1-infra.yaml": b"Resources: {New: {}}\n"}
    publish(cloud.aws(), order(newer, regions=ONE, version="1.10.0"), quiet)
    assert latest() == {"1.10.0"}
    publish(cloud.aws(), order(regions=ONE, version="1.11.0rc1"), quiet)
    assert latest() == {"1.10.0"}
    outcome = publish(
        cloud.aws(), order({**OBJECTS, "seeds/mlops-cfn.zip": b"mended"}, regions=ONE, version="1.9.1"), quiet
    )
    assert latest() == {"1.10.0"}
    assert {plan.latest.stays_at for plan in outcome.plans} == {"1.10.0"}
    assert cloud.content("us-east-1")["latest/templates/1-infra.yaml"] == newer["templates/1-infra.yaml"]


def test_replacing_leaves_exactly_the_new_content(cloud: Cloud, order: Orders) -> None:
    publish(cloud.aws(), order(replace=True), quiet)
    changed = {**OBJECTS, "templates/1-infra.yaml": b"Resources: {New: {}}\n"}
    del changed["functions/one.zip"]
    outcome = publish(cloud.aws(), order(changed, replace=True), quiet)
    assert all(plan.replaces for plan in outcome.plans)
    prefix = order().release.prefix
    for region in REGIONS:
        content = cloud.content(region)
        assert {key: body for key, body in content.items() if key.startswith(prefix) and "manifest" not in key} == {
            prefix + key: body for key, body in changed.items()
        }
        assert content["latest/templates/1-infra.yaml"] == changed["templates/1-infra.yaml"]


def test_a_half_replaced_version_shows_no_manifest(cloud: Cloud, order: Orders) -> None:
    publish(cloud.aws(), order(regions=("us-west-2",), replace=True), quiet)
    changed = {**OBJECTS, "seeds/mlops-cfn.zip": b"other"}
    key = f"{order().release.prefix}seeds/mlops-cfn.zip"
    with pytest.raises(Interrupted):
        publish(failing(cloud, "us-west-2", key), order(changed, regions=("us-west-2",), replace=True), quiet)
    assert f"{order().release.prefix}manifest.json" not in cloud.content("us-west-2")


def test_regions_are_worked_on_at_the_same_time(cloud: Cloud, order: Orders) -> None:
    aws = cloud.aws()
    together = threading.Barrier(len(REGIONS), timeout=5)
    waited: set[int] = set()

    def wait(**_: Any) -> None:
        # The first HEAD of each thread waits for the others: one after the other would break the barrier.
        if threading.get_ident() not in waited:
            waited.add(threading.get_ident())
            together.wait()

    aws.session.events.register("before-call.s3.HeadBucket", wait)
    look(aws, order())
    assert len(waited) == len(REGIONS)
