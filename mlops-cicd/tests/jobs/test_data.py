"""What the job sm_pipeline sees of the data before any machine is started for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.jobs.world import BUCKET, HEADER, World

Printed = Callable[[], str]


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ({}, "nothing lies under s3://churn-p-abc123/data/"),
        ({"data/": b"", "data/a.csv": b""}, "2 objects lie under s3://churn-p-abc123/data/, and none is a .csv file"),
        ({"data/a.parquet": b"x"}, "1 objects lie under"),
        ({"data/a.csv": b"customer,sex\n1,2\n"}, "has no column 'target'. Its header: 'customer, sex'"),
        ({"data/a.csv": b"age,Targets\n1,2\n"}, "Did you mean 'Targets'?"),
        ({"data/a.csv": b"age;target\n1;2\n"}, "is separated by semicolons"),
        ({"data/a.csv": b"\xff\xfea\x00\n"}, "this is no CSV file in UTF-8"),
        ({"data/a.csv": b"x" * 1_100_000}, "its first line has more than"),
    ],
)
def test_data_that_cannot_be_learnt_from_stop_the_job_before_any_machine(
    world: World, printed: Printed, objects: dict[str, bytes], said: str
) -> None:
    world.bucket.objects = {(BUCKET, key): body for key, body in objects.items()}
    assert world.run() == 1
    assert said in printed()
    assert world.sagemaker.calls == []


@pytest.mark.parametrize(
    "body",
    [
        b"target,age\n",
        b"\xef\xbb\xbftarget,age\r\n1,2\r\n",
        b'"target", "age"\n',
        b"target,age",
        b"target," + b"\xc3\xa4" * 40_000 + b"\n1,2\n",
    ],
)
def test_headers_that_are_fine(world: World, body: bytes) -> None:
    world.bucket.objects[BUCKET, "data/churn.csv"] = body
    assert world.run() == 0


def test_only_the_beginning_of_a_large_file_is_read(world: World) -> None:
    world.bucket.objects[BUCKET, "data/churn.csv"] = HEADER + b"1,2,3\n" * 100_000
    assert world.run() == 0
    assert [each["Range"] for each in world.s3.named("GetObject") if "Range" in each] == ["bytes=0-65535"]


def test_the_sample_is_not_looked_for(tmp_path: Path, printed: Printed) -> None:
    world = World(tmp_path, {"data_config.inputs": {"data": "sample"}})
    world.bucket.objects = {}
    assert world.run() == 0
    assert "the sample that the preprocessing script brings" in printed()
    assert world.s3.named("ListObjectsV2") == []


@pytest.mark.parametrize(
    ("bucket", "code", "said"),
    [
        ("company-data", 0, "which this build may not read"),
        ("missing-data", 1, "there is no bucket missing-data"),
    ],
)
def test_company_data(tmp_path: Path, printed: Printed, bucket: str, code: int, said: str) -> None:
    world = World(tmp_path, {"data_config.inputs": {"data": f"s3://{bucket}/churn/"}})
    world.bucket.closed = frozenset(["company-data"])
    assert world.run() == code
    assert said in printed()


def test_the_own_bucket_closed_is_the_platforms_fault(world: World, printed: Printed) -> None:
    world.bucket.closed = frozenset([BUCKET])
    assert world.run() == 2
    assert "s3:ListBucket was denied" in printed()
