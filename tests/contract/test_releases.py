"""What counts as a broken promise, and that this tree keeps the newest ones. Needs no schemas."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from generators.kit.publishing import version
from generators.kit.registry import rendered
from tools import releases
from tools.errors import Problems

BUCKET = {"type": "AWS::S3::Bucket", "holds_data": True, "create_only": {"BucketName": "logs"}}
KEY = {"type": "AWS::KMS::Key", "holds_data": True}
DOMAIN = {
    "type": "AWS::CodeArtifact::Domain",
    "holds_data": True,
    "create_only": {"EncryptionKey": '{"Fn::GetAtt":["Key","Arn"]}'},
    "create_only_sometimes": {"Mode": "a"},
}
OLD: dict[str, Any] = {
    "version": "1.0.0",
    "templates": {
        "base": {
            "parameters": {
                "Size": {"type": "String", "default": "small", "allowedvalues": ["small", "large"]},
                "Cost": {"type": "String"},
                "Free": {"type": "String", "default": ""},
            },
            "outputs": ["VpcId"],
            "exports": ['{"Fn::Sub":"${AWS::StackName}-VpcId"}'],
            "ssm": ["/mlops/infra/vpc-id"],
            "resources": {"Bucket": BUCKET, "Key": KEY, "Domain": DOMAIN, "Role": {"type": "AWS::IAM::Role"}},
        }
    },
}
Change = Callable[[dict[str, Any]], object]


def broken(change: Change) -> list[str]:
    new = copy.deepcopy(OLD)
    change(new["templates"]["base"])
    return [str(each) for each in releases.compare(OLD, new)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: t["outputs"].clear(), "base: VpcId is no output any more"),
        (lambda t: t["exports"].clear(), 'base: {"Fn::Sub":"${AWS::StackName}-VpcId"} is no export any more'),
        (lambda t: t["ssm"].clear(), "base: /mlops/infra/vpc-id is no SSM parameter any more"),
        (lambda t: t["parameters"].pop("Size"), "base: Size is no parameter any more"),
        (lambda t: t["parameters"]["Size"].update(type="Number"), "base: Size was a String, is a Number"),
        (lambda t: t["parameters"]["Size"].pop("default"), "base: Size has no default any more"),
        (lambda t: t["parameters"]["Size"].update(allowedvalues=["small"]), "base: Size does not take large any more"),
        (lambda t: t["parameters"]["Free"].update(allowedvalues=["x"]), "base: Free does not take any value any more"),
        (lambda t: t["parameters"].update(New={"type": "String"}), "base: New is asked for without a default"),
        (lambda t: t["resources"].pop("Bucket"), "base: Bucket (AWS::S3::Bucket) is gone, and holds data"),
        (
            lambda t: t["resources"]["Bucket"]["create_only"].update(BucketName="other"),
            "base: Bucket (AWS::S3::Bucket) is replaced by a change of BucketName, and holds data",
        ),
        (
            lambda t: t["resources"]["Bucket"].update(type="AWS::S3Express::DirectoryBucket"),
            "base: Bucket (AWS::S3::Bucket) is replaced by a change of its type, and holds data",
        ),
        (
            lambda t: t["resources"]["Bucket"].pop("holds_data"),
            "base: Bucket (AWS::S3::Bucket) goes with its stack now, and holds data",
        ),
        (
            lambda t: t["resources"]["Bucket"].update(conditional=True),
            "base: Bucket (AWS::S3::Bucket) stands under a condition now, and holds data",
        ),
        (
            lambda t: t["resources"]["Domain"]["create_only_sometimes"].update(Mode="b"),
            "base: Domain (AWS::CodeArtifact::Domain) may be replaced by a change of Mode",
        ),
    ],
)
def test_a_broken_promise_is_named(change: Change, expected: str) -> None:
    assert broken(change) == [expected]


def test_a_replaced_resource_takes_along_what_names_it_at_creation() -> None:
    found = broken(lambda t: t["resources"]["Key"].update(type="AWS::KMS::ReplicaKey"))
    assert found == [
        "base: Key (AWS::KMS::Key) is replaced by a change of its type, and holds data",
        "base: Domain (AWS::CodeArtifact::Domain) is replaced by a change of Key, which it names at creation, and holds data",
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda t: None,
        lambda t: t["resources"].pop("Role"),
        lambda t: t["resources"].update(More=BUCKET),
        lambda t: t["parameters"].update(New={"type": "String", "default": ""}),
        lambda t: t["parameters"]["Size"]["allowedvalues"].append("huge"),
        lambda t: t["parameters"]["Size"].pop("allowedvalues"),
        lambda t: t["outputs"].append("Another"),
    ],
)
def test_what_only_adds_breaks_nothing(change: Change) -> None:
    assert broken(change) == []


def test_a_template_that_is_gone_is_a_broken_promise() -> None:
    assert [str(each) for each in releases.compare(OLD, {"templates": {}})] == ["base: base is gone"]


LOG = """# Changes

## [1.10.0]

### Migration

- Size: choose again.

## [1.1.0] - 2027-01-01

### Added

- Bucket, mentioned elsewhere.

### Migration

- `Bucket`: copy it; `/mlops/infra/vpc-id` moved.

### Removed

- Domain.

## [1.0.0]
"""


def test_a_migration_note_is_read_under_its_own_version() -> None:
    broken = [
        releases.Broken("base", name, "is gone")
        for name in ("Bucket", "Size", "Domain", "/mlops/infra/vpc-id", "/mlops/infra")
    ]
    assert [each.name for each in releases.unexplained(broken, LOG, "1.1.0")] == ["Size", "Domain", "/mlops/infra"]
    assert [each.name for each in releases.unexplained(broken, LOG, "1.10.0")] == [
        "Bucket", "Domain", "/mlops/infra/vpc-id", "/mlops/infra",
    ]  # fmt: skip
    assert releases.migration_note(LOG, "1.0.0") == releases.migration_note(LOG, "2.0.0") == ""


def test_the_file_before_is_the_newest_older_one(tmp_path: Path) -> None:
    for name in ("0.9.0", "0.10.0", "1.0.0rc1", "1.0.0", "1.1.0"):
        (tmp_path / f"v{name}.json").touch()
    before = {
        wanted: releases.previous(wanted, tmp_path) for wanted in ("0.9.0", "1.0.0rc1", "1.0.0", "1.0.1", "2.0.0")
    }
    assert {wanted: path and path.stem for wanted, path in before.items()} == {
        "0.9.0": None, "1.0.0rc1": "v0.10.0", "1.0.0": "v1.0.0rc1", "1.0.1": "v1.0.0", "2.0.0": "v1.1.0",
    }  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have a folder of promises and a changelog of one's own; the tree promises OLD without its bucket."""
    new = copy.deepcopy(OLD)
    new["templates"]["base"]["resources"].pop("Bucket")
    monkeypatch.setattr(releases, "document", lambda _: new)
    monkeypatch.setattr(releases, "FOLDER", tmp_path)
    monkeypatch.setattr(releases, "CHANGELOG", tmp_path / "CHANGELOG.md")
    monkeypatch.setattr(releases, "version", lambda: "1.1.0")
    (tmp_path / "CHANGELOG.md").write_text("## [1.1.0]\n")
    return tmp_path


def test_nothing_is_written_while_a_promise_is_broken_without_a_note(place: Path) -> None:
    (place / "v1.0.0.json").write_text(json.dumps(OLD))
    with pytest.raises(Problems, match=r"Bucket .* is gone.*[\s\S]*Migration"):
        releases.write()
    assert not (place / "v1.1.0.json").exists()
    (place / "CHANGELOG.md").write_text(LOG)
    assert json.loads(releases.write().read_text())["version"] == "1.0.0"
    assert releases.check() == place / "v1.1.0.json"


def test_a_tagged_version_is_never_rewritten(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = releases.write()
    path.write_text("{}")
    with pytest.raises(Problems, match="inv release"):
        releases.check()
    monkeypatch.setattr(releases, "is_tagged", lambda wanted: wanted == "1.1.0")
    with pytest.raises(releases.Released, match=r"pyproject\.toml"):
        releases.write()
    with pytest.raises(releases.Released):
        releases.check()
    assert path.read_text() == "{}"


def test_this_tree_promises_what_its_file_says() -> None:
    """Parameters, outputs, exports and SSM paths; tests/lint holds the rest, which needs registry schemas."""
    path = releases.file_of(version())
    assert path.is_file(), "run ./inv release"
    promised = json.loads(path.read_text(encoding="utf-8"))["templates"]
    assert set(promised) == {item.stack.name for item in rendered()}, "run ./inv release"
    for item in rendered():
        own = {key: promised[item.stack.name][key] for key in ("parameters", "outputs", "exports", "ssm")}
        assert own == json.loads(json.dumps(releases.names_in(item.body))), "run ./inv release"
