"""Objects in folders and in S3, and the registry of JSON files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber
from mlops_cicd.local import FolderRegistry, FolderStore, RegistryError, S3Store, StoreError


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path / "s3")
    for key in ("data/a.csv", "data/deep/b.csv", "data-old/c.csv", "one.txt"):
        path = store.path(f"s3://bucket/{key}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(key)
    return store


def test_a_prefix_is_raw_when_listed(store: FolderStore) -> None:
    assert store.list("s3://bucket/data") == [
        "s3://bucket/data-old/c.csv",
        "s3://bucket/data/a.csv",
        "s3://bucket/data/deep/b.csv",
    ]
    assert store.list("s3://bucket/data/d") == ["s3://bucket/data/deep/b.csv"]
    assert len(store.list("s3://bucket")) == 4
    assert store.list("s3://other/x") == []


def test_a_folder_and_an_object_are_downloaded(store: FolderStore, tmp_path: Path) -> None:
    store.download("s3://bucket/data/", tmp_path / "x")
    assert sorted(item.relative_to(tmp_path / "x").as_posix() for item in (tmp_path / "x").rglob("*.csv")) == [
        "a.csv",
        "deep/b.csv",
    ]
    assert store.download("s3://bucket/one.txt", tmp_path / "y") == [tmp_path / "y/one.txt"]
    assert (tmp_path / "y/one.txt").read_text() == "one.txt"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://bucket/data", "is a prefix of s3://bucket/data-old/c.csv too"),
        ("s3://bucket/none", "No object is under"),
        ("s3://bucket/data/../one.txt", "`..` in its key"),
        ("bucket/data", "no S3 URI"),
    ],
)
def test_what_cannot_be_downloaded_is_named(store: FolderStore, tmp_path: Path, uri: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        store.download(uri, tmp_path / "x")


def test_a_file_and_a_folder_are_uploaded(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "out/deep").mkdir(parents=True)
    (tmp_path / "out/deep/x").write_text("x")
    assert store.upload(tmp_path / "out", "s3://bucket/new") == ["s3://bucket/new/deep/x"]
    assert store.upload(tmp_path / "out/deep/x", "s3://bucket/named") == ["s3://bucket/named"]
    assert store.path("s3://bucket/named").read_text() == "x"
    assert store.upload(tmp_path / "nothing", "s3://bucket/new") == []
    assert list(store.root.rglob("*.part")) == []


@pytest.fixture
def s3() -> Iterator[tuple[Any, Stubber]]:
    client = boto3.client("s3", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stubber:
        yield client, stubber
    client.close()


def test_s3_is_listed_and_written_with_the_key(s3: tuple[Any, Stubber], tmp_path: Path) -> None:
    client, stubber = s3
    stubber.add_response(
        "list_objects_v2", {"Contents": [{"Key": "d/b"}, {"Key": "d/a"}]}, {"Bucket": "bucket", "Prefix": "d/"}
    )
    store = S3Store(client, kms_key="arn:key")
    assert store.list("s3://bucket/d/") == ["s3://bucket/d/a", "s3://bucket/d/b"]
    (tmp_path / "x").write_text("x")
    sent = {"Bucket": "bucket", "Key": "k", "Body": ANY, "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:key"}
    stubber.add_response("put_object", {}, sent | {"ChecksumAlgorithm": ANY})
    assert store.upload(tmp_path / "x", "s3://bucket/k") == ["s3://bucket/k"]
    stubber.assert_no_pending_responses()


def test_s3_objects_are_read(s3: tuple[Any, Stubber], tmp_path: Path) -> None:
    client, stubber = s3
    stubber.add_response("list_objects_v2", {"Contents": [{"Key": "d/a"}]})
    stubber.add_response("head_object", {"ContentLength": 4, "ETag": '"e"'})
    stubber.add_response(
        "get_object", {"Body": StreamingBody(io.BytesIO(b"text"), 4), "ContentLength": 4, "ETag": '"e"'}
    )
    assert S3Store(client).download("s3://bucket/d/", tmp_path / "x") == [tmp_path / "x/a"]
    assert (tmp_path / "x/a").read_bytes() == b"text"


def test_what_s3_refuses_is_said_with_a_mend(s3: tuple[Any, Stubber]) -> None:
    client, stubber = s3
    stubber.add_client_error("list_objects_v2", "AccessDenied", "no")
    with pytest.raises(StoreError, match=r"does not let this role list s3://bucket/d.*AccessDenied.*policy\.$"):
        S3Store(client).list("s3://bucket/d")


def package(**more: Any) -> dict[str, Any]:
    return {"ModelPackageGroupName": "churn", "InferenceSpecification": {"Containers": [{"Image": "i"}]}, **more}


def test_versions_are_counted_for_each_group(tmp_path: Path) -> None:
    registry = FolderRegistry(tmp_path, "eu-central-1", "111122223333", "aws-cn")
    assert (
        registry.create_model_package(package())
        == "arn:aws-cn:sagemaker:eu-central-1:111122223333:model-package/churn/1"
    )
    arn = registry.create_model_package(package(ModelApprovalStatus="Rejected"))
    assert arn.endswith("/churn/2")
    assert registry.create_model_package(package(ModelPackageGroupName="other")).endswith("/other/1")
    assert [item["ModelApprovalStatus"] for item in registry.list_model_packages("churn")] == [
        "Rejected",
        "PendingManualApproval",
    ]
    assert registry.describe_model_package(arn)["InferenceSpecification"] == {"Containers": [{"Image": "i"}]}
    assert FolderRegistry(tmp_path).create_model_package(package()).endswith("/churn/3")


def test_a_number_that_somebody_else_took_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = FolderRegistry(tmp_path)
    first = registry.create_model_package(package(ModelPackageDescription="first"))
    monkeypatch.setattr(registry, "_versions", lambda group: [])
    assert registry.create_model_package(package()).endswith("/2")
    assert registry.describe_model_package(first)["ModelPackageDescription"] == "first"
    assert sorted(item.name for item in (tmp_path / "model-packages/churn").iterdir()) == ["1.json", "2.json"]


@pytest.mark.parametrize(
    "wrong", [{"ModelPackageGroupName": "../x"}, {"ModelPackageGroupName": ""}, {"ModelApprovalStatus": "Fine"}]
)
def test_a_package_that_the_service_would_refuse_is_refused(tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(RegistryError):
        FolderRegistry(tmp_path).create_model_package(package(**wrong))


def test_models_have_one_name_each(tmp_path: Path) -> None:
    registry = FolderRegistry(tmp_path)
    assert registry.create_model("m", {"PrimaryContainer": {}}).endswith(":model/m")
    assert registry.describe_model("m")["ModelName"] == "m"
    with pytest.raises(RegistryError, match="exists already"):
        registry.create_model("m", {})
    with pytest.raises(RegistryError, match="is no name"):
        registry.create_model("../m", {})
    with pytest.raises(RegistryError, match="not in the registry"):
        registry.describe_model("n")
