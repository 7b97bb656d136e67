"""Templates that are committed as rendered, and the manifest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from generators.kit import publishing
from generators.kit.registry import rendered
from tools.publish.assets import committed_templates, missing_objects, workspace_files
from tools.publish.errors import StaleTemplates
from tools.publish.manifest import differences, release, version_of

OBJECTS = {"templates/b.yaml": b"b: 1\n", "functions/a.zip": b"zip"}


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """Give a folder with every template as it is rendered now."""
    for item in rendered():
        (tmp_path / f"{item.stack.name}.yaml").write_bytes(item.text.encode())
    return tmp_path


def test_templates_are_the_committed_bytes(templates: Path) -> None:
    assert committed_templates(rendered(), templates)["1-infra"] == (templates / "1-infra.yaml").read_bytes()


def test_stale_missing_and_foreign_templates_are_all_named(templates: Path) -> None:
    (templates / "0-old.yaml").write_text("Resources: {}\n")
    with (templates / "1-infra.yaml").open("a") as file:
        file.write("# by hand\n")
    with pytest.raises(StaleTemplates) as caught:
        committed_templates(rendered(), templates)
    assert caught.value.problems == [
        "templates/0-old.yaml has no generator",
        "templates/1-infra.yaml is not what its generator renders",
    ]
    assert str(caught.value).endswith("./inv build")
    (templates / "1-infra.yaml").unlink()
    with pytest.raises(StaleTemplates, match=r"1-infra\.yaml is missing"):
        committed_templates(rendered(), templates)


def test_objects_that_templates_name_must_be_in_the_release() -> None:
    prefix = publishing.release_prefix()
    text = f"S3Key: {prefix}functions/a.zip\nTemplateURL: x/{prefix}templates/gone.yaml\nKey: v9.9.9/seeds/x.zip\n".encode()
    assert missing_objects({"1-infra": text}, OBJECTS) == [
        "templates/1-infra.yaml names templates/gone.yaml, which nothing here makes: add its folder or change the generator"
    ]


def test_a_seed_that_a_parameter_chooses_must_be_in_the_release_for_each_choice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tools.publish.assets.frameworks", lambda: ("sklearn", "xgboost"))
    text = f"Key: !Sub {publishing.release_prefix()}seeds/project-${{Framework}}.zip\n".encode()
    have = {publishing.project_seed_key("sklearn"): b"zip"}
    assert missing_objects({"2-smproject": text}, have) == [
        "templates/2-smproject.yaml names seeds/project-xgboost.zip, which nothing here makes: add its folder or change "
        "the generator"
    ]


def test_the_scripts_of_spaces_are_published_as_they_are_hashed(tmp_path: Path) -> None:
    found = workspace_files()
    assert set(found) == {"start.sh"}  # the loader stands in the base template
    assert hashlib.sha256(found["start.sh"]).hexdigest() == publishing.workspace_sha256("start.sh")
    text = f"SourceKey: {publishing.release_prefix()}workspace/start.sh\n".encode()
    assert missing_objects({"2-smproject": text}, {publishing.workspace_key("start.sh"): b""}) == []
    assert len(missing_objects({"2-smproject": text}, {})) == 1
    (tmp_path / "workspace").mkdir()
    for name in ("start.sh", "more.sh", "loader.sh", "notes.md"):
        (tmp_path / "workspace" / name).write_text(name)
    assert workspace_files(tmp_path) == {"more.sh": b"more.sh", "start.sh": b"start.sh"}
    script = release({"workspace/start.sh": b"exit\n"}).assets[0]
    assert script.content_type == "text/x-shellscript"


def test_the_manifest_lists_every_object_sorted_and_without_a_clock() -> None:
    first, second = release(OBJECTS), release(dict(reversed(OBJECTS.items())))
    assert first.manifest.body == second.manifest.body
    assert json.loads(first.manifest.body) == {
        "version": publishing.version(),
        "prefix": publishing.release_prefix(),
        "objects": [
            {"key": key, "sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
            for key, body in sorted(OBJECTS.items())
        ],
    }


def test_manifests_tell_their_version_and_their_differences() -> None:
    one, other = release(OBJECTS).manifest.body, release({**OBJECTS, "functions/a.zip": b"new"}).manifest.body
    assert version_of(one) == publishing.version()
    assert (version_of(None), version_of(b"{"), version_of(b"[]")) == (None, None, None)
    assert differences(one, other) == ["functions/a.zip"]
    assert differences(one, b"not ours") == ["manifest.json"]
