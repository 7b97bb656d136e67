"""What the tasks call from the main environment: it fails with a mend, and hands taskcat what it can lint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from generators.kit import regions
from generators.kit.registry import rendered
from tools import taskcat
from tools.lint.command import LintFailed, lint


def test_findings_fail_the_task_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(LintFailed, match=r"inv build"):
        lint([str(tmp_path / "none.yaml")])


def test_each_template_is_linted_by_taskcat_in_its_own_regions(tmp_path: Path) -> None:
    written = {path.stem: json.loads(path.read_text()) for path in taskcat.parts(taskcat.CONFIG, tmp_path / "parts")}
    assert set(written) == {item.stack.name for item in rendered()}
    for name, body in written.items():
        (test,) = body["tests"].values()
        assert test["template"] == f"templates/{name}.yaml"
        assert test["regions"]
    assert written["1-infra"]["tests"]["1-infra"]["regions"] == list(regions.names())
    # A nested template names a type that some regions lack.
    assert "eu-south-1" not in written["tracking-app"]["tests"]["tracking-app"]["regions"]


def test_a_test_of_a_template_that_nobody_makes_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "t.yml"
    config.write_text(yaml.safe_dump({"project": {"name": "x", "regions": ["us-east-1"]}, "tests": {"gone": {}}}))
    with pytest.raises(taskcat.TaskcatFailed, match="gone"):
        taskcat.parts(config, tmp_path / "parts")


def test_a_missing_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taskcat, "CONFIG", tmp_path / ".taskcat.yml")
    with pytest.raises(taskcat.TaskcatFailed, match="missing"):
        taskcat.lint()
