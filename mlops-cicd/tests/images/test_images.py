"""AWS's images: where they lie, what they hold, and what is refused."""

from __future__ import annotations

import re

import botocore.loaders
import pytest
from mlops_cicd import images

EVERY = [(framework, version) for framework in images.FRAMEWORKS for version in images.supported(framework)]


def test_the_versions_are_those_that_are_supported() -> None:
    assert EVERY == [
        ("sklearn", "1.4-2-py312"), ("sklearn", "1.9-0"),
        ("xgboost", "1.7-1"), ("xgboost", "3.0-5"), ("xgboost", "3.2-0"),
        ("pyspark", "3.5"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("framework", "version", "region", "uri"),
    [
        # The first as the SDK's image_uris.retrieve gives it, and as AWS's release configuration names the tag.
        ("sklearn", "1.4-2-py312", "us-east-1",
         "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-py312-cpu-py3"),
        ("sklearn", "1.9-0", "eu-central-1",
         "492215442770.dkr.ecr.eu-central-1.amazonaws.com/sagemaker-scikit-learn:1.9-0-cpu-py3"),
        ("xgboost", "3.2-0", "cn-north-1", "450853457545.dkr.ecr.cn-north-1.amazonaws.com.cn/sagemaker-xgboost:3.2-0"),
        ("xgboost", "1.7-1", "us-gov-west-1", "414596584902.dkr.ecr.us-gov-west-1.amazonaws.com/sagemaker-xgboost:1.7-1"),
        ("pyspark", "3.5", "us-west-2",
         "153931337802.dkr.ecr.us-west-2.amazonaws.com/sagemaker-spark-processing:3.5-cpu-py312-v1.3"),
    ],
)  # fmt: skip
def test_an_image_lies_in_the_registry_of_its_region(framework: str, version: str, region: str, uri: str) -> None:
    assert images.image_uri(framework, version, region) == uri
    assert images.image_uri(framework, version, region, "ml.m5.large") == uri


@pytest.mark.parametrize(("framework", "version"), EVERY)
def test_every_region_has_a_registry_with_the_domain_of_its_partition(framework: str, version: str) -> None:
    partitions = botocore.loaders.create_loader().load_data("partitions")["partitions"]
    for region in images.facts(framework, version).registries:
        uri = images.image_uri(framework, version, region)
        assert re.fullmatch(r"[0-9]{12}\.dkr\.ecr\.[a-z0-9.-]+/sagemaker-[a-z-]+:[a-z0-9.-]+", uri)
        (suffix,) = (each["outputs"]["dnsSuffix"] for each in partitions if re.match(each["regionRegex"], region))
        assert uri.partition("/")[0].endswith(f".dkr.ecr.{region}.{suffix}")


@pytest.mark.parametrize(("framework", "version"), EVERY)
def test_what_an_image_holds_has_exact_versions_and_a_source(framework: str, version: str) -> None:
    about = images.facts(framework, version)
    assert re.fullmatch(r"3\.1[0-9]", images.python(framework, version))
    assert {"numpy", "pandas", "boto3", "requests" if framework != "sklearn" else "scikit-learn"} <= set(about.packages)
    for name, held in images.packages(framework, version).items():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
        assert re.fullmatch(r"[0-9][0-9a-z.+]*", held)
    assert not set(about.others) & set(about.packages)
    assert about.source
    assert all(
        re.match(r"https://github\.com/aws/[a-z-]+/blob/[0-9a-f]{40}/|https://docs\.aws\.amazon\.com/", each)
        for each in about.source
    )


@pytest.mark.parametrize(
    ("framework", "version", "package", "held"),
    [
        ("sklearn", "1.4-2-py312", "scikit-learn", "1.4.2"),
        ("sklearn", "1.9-0", "scikit-learn", "1.9.0"),
        ("xgboost", "1.7-1", "xgboost", "1.7.4"),
        ("xgboost", "3.0-5", "xgboost", "3.0.5"),
        ("xgboost", "3.2-0", "xgboost", "3.2.0"),
        ("pyspark", "3.5", "pyspark", "3.5.6"),
    ],
)
def test_the_framework_itself_is_in_its_image(framework: str, version: str, package: str, held: str) -> None:
    assert images.packages(framework, version)[package] == held


def test_every_supported_image_is_in_the_same_regions_for_training_and_serving() -> None:
    regions = {tuple(images.facts(*each).registries) for each in EVERY if each[0] != "pyspark"}
    assert len(regions) == 1


@pytest.mark.parametrize(
    ("framework", "version", "region", "instance_type", "what"),
    [
        ("skleran", "1.9-0", "us-east-1", "", "Did you mean sklearn?"),
        ("tensorflow", "2", "us-east-1", "", "Take one of sklearn, xgboost, pyspark."),
        ("sklearn", "1.4-2", "us-east-1", "", "Take one of 1.4-2-py312, 1.9-0."),
        ("sklearn", "1.9-0", "eu-nowhere-1", "", "Take one of its regions: af-south-1"),
        ("sklearn", "1.9-0", "", "", "Take one of its regions"),
        ("sklearn", "1.9-0", "us-east-1", "ml.m6g.large", "x86"),
    ],
)
def test_what_is_not_there_is_refused_with_the_choice(
    framework: str, version: str, region: str, instance_type: str, what: str
) -> None:
    with pytest.raises(images.ImageError) as caught:
        images.image_uri(framework, version, region, instance_type)
    assert what in str(caught.value)


@pytest.mark.parametrize(
    ("instance_type", "local", "arm"),
    [
        ("ml.m5.large", False, False), ("ml.m5d.large", True, False), ("ml.g4dn.xlarge", True, False),
        ("ml.g5.2xlarge", True, False), ("ml.c6g.large", False, True), ("ml.c6gd.large", True, True),
        ("ml.r8g.large", False, True), ("ml.p3.2xlarge", False, False), ("ml.p6e-gb200.36xlarge", True, True),
        ("ml.c5.large", False, False), ("nonsense", False, False), ("", False, False),
    ],
)  # fmt: skip
def test_instance_types_are_told_by_their_disks_and_processors(instance_type: str, local: bool, arm: bool) -> None:
    assert images.has_local_storage(instance_type) is local
    assert images.is_arm(instance_type) is arm
