"""Facts about names, URLs and launch links."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from generators.kit import publishing, regions
from generators.kit.registry import rendered

STACK = rendered()[0].stack


@pytest.mark.parametrize("region", regions.names())
def test_a_launch_link_opens_the_published_template_with_what_it_needs(region: str) -> None:
    url = urlsplit(publishing.launch_url(STACK, "acme-mlops", region))
    assert url.hostname == f"{region}.console.aws.amazon.com"
    path, _, query = url.fragment.partition("?")
    asked = {name: values[0] for name, values in parse_qs(query).items()}
    assert path == "/stacks/create/review"
    assert asked["templateURL"] == publishing.template_url(STACK, "acme-mlops", region)
    assert asked["stackName"] == f"mlops-infra-{publishing.version().replace('.', '-')}"
    assert asked["param_AssetsBucketPrefix"] == "acme-mlops"


def test_other_partitions_have_their_own_hosts() -> None:
    assert publishing.template_url(STACK, "p", "cn-north-1").startswith(
        "https://p-cn-north-1.s3.cn-north-1.amazonaws.com.cn/v"
    )
    assert ".console.amazonaws.cn/" in publishing.launch_url(STACK, "p", "cn-north-1")
    assert ".console.amazonaws-us-gov.com/" in publishing.launch_url(STACK, "p", "us-gov-west-1")
    assert publishing.partition("ca-central-1") == "aws"


@pytest.mark.parametrize(("version", "stable"), [("1.2.3", True), ("1.2.3rc1", False), ("1.2.3.dev4", False)])
def test_only_a_stable_version_may_become_latest(version: str, stable: bool) -> None:
    assert publishing.is_stable(version) is stable


def test_thirteen_regions_are_offered_at_least() -> None:
    promised = {"us-east-1", "us-east-2", "us-west-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ap-northeast-1",
                "eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3", "eu-south-1", "eu-north-1"}  # fmt: skip
    assert promised <= set(regions.names())


def test_every_region_has_three_zones_and_its_registries() -> None:
    for region in regions.launch_regions():
        assert len(region.zones) >= 2 and len(set(region.zones)) == len(region.zones)
        assert region.registries and all(len(account) == 12 and account.isdigit() for account in region.registries)
