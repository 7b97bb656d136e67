"""Acceptance, regions, nesting, and what the command says and answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from generators.kit.publishing import ROOT
from generators.kit.registry import rendered
from tools.lint import __main__ as command
from tools.lint.model import Template
from tools.lint.run import Linter, own_findings
from tools.lint.schemas import schema_date

REGIONS = ("us-east-1", "eu-south-1")
TOPIC = """
Metadata:
  AWS::CloudFormation::Interface: {ParameterGroups: [], ParameterLabels: {}}
Resources:
  Topic:
    Type: AWS::SNS::Topic
    Metadata: %s
    Properties: {TopicName: x}
"""
PARENT = """
Conditions:
  HasApp: !Not [!Equals [!Ref 'AWS::Region', eu-south-1]]
Resources:
  App:
    Type: AWS::CloudFormation::Stack
    Condition: HasApp
    DeletionPolicy: Delete
    UpdateReplacePolicy: Delete
    Properties: {TemplateURL: !Sub 'https://b.s3.${AWS::Region}.${AWS::URLSuffix}/v1/templates/child.yaml'}
"""
CHILD = """
Resources:
  App:
    Type: AWS::SageMaker::MlflowApp
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      Name: !Ref 'AWS::StackName'
      ArtifactStoreUri: s3://bucket/x
      RoleArn: !Sub 'arn:${AWS::Partition}:iam::${AWS::AccountId}:role/x'
"""
WORDS = "because the name is read by a person elsewhere"
KEY = "the topic carries no data that anybody could want"


def lint(folder: Path, **files: str) -> dict[tuple[str, str], str]:
    """Lint templates; give the findings by place and rule."""
    paths = []
    for name, text in files.items():
        paths.append(folder / f"{name}.yaml")
        paths[-1].write_text(text)
    report = Linter(REGIONS).lint(paths, folder)
    return {(f"{item.template}:{item.where}", item.rule): f"{item.message}  -> {item.mend}" for item in report.findings}


def test_a_finding_is_accepted_by_name_with_a_reason_on_its_resource(tmp_path: Path) -> None:
    accepted = f"{{MlopsAccepted: {{MLOPS015: {WORDS}, MLOPS005: {KEY}}}}}"
    assert set(lint(tmp_path, t=TOPIC % "{}")) == {("t.yaml:Topic", "MLOPS005"), ("t.yaml:Topic", "MLOPS015")}
    assert lint(tmp_path, t=TOPIC % accepted) == {}


def test_an_acceptance_that_finds_nothing_is_told(tmp_path: Path) -> None:
    accepted = f"{{MlopsAccepted: {{MLOPS015: {WORDS}, MLOPS005: {KEY}, MLOPS007: {KEY}, E3002: {KEY}}}}}"
    found = lint(tmp_path, t=TOPIC % accepted)
    assert list(found) == [("t.yaml:Topic", "MLOPS001")]


def test_what_a_template_ignores_by_itself_is_reported(tmp_path: Path) -> None:
    bad = (TOPIC % "{cfn-lint: {config: {ignore_checks: [E3002]}}}").replace("TopicName: x", "TopicNam: x")
    found = lint(tmp_path, t=bad)
    assert {("t.yaml:Topic", "E3002"), ("t.yaml:Topic", "MLOPS001")} <= set(found)
    whole = TOPIC % "{}" + "  Wrong: {Type: 'AWS::SNS::Topic', Properties: {Nope: 1}}\n"
    found = lint(tmp_path, t=whole.replace("Metadata:", "Metadata:\n  cfn-lint: {config: {ignore_checks: [E]}}", 1))
    assert {("t.yaml:Wrong", "E3002"), ("t.yaml:Metadata/cfn-lint", "MLOPS001")} <= set(found)


def test_a_reason_covers_only_the_actions_that_it_names() -> None:
    def findings(reason: str) -> list[str]:
        statement = {"Effect": "Allow", "Action": ["xray:PutTraceSegments", "ec2:CreateTags"], "Resource": "*"}
        role = {
            "Type": "AWS::IAM::ManagedPolicy",
            "Metadata": {"MlopsAccepted": {"MLOPS011": reason}},
            "Properties": {"PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}},
        }
        kept, _ = Linter(("us-east-1",)).lint_templates([Template("t.yaml", "", {"Resources": {"Policy": role}})])
        return [item.mend for item in kept if item.rule == "MLOPS011"]

    assert findings("PutTraceSegments and CreateTags take no resource here.") == []
    assert findings("PutTraceSegments takes no resource here.") == ["mend it, or name ec2:CreateTags in the reason"]


def test_a_nested_template_is_held_against_the_regions_of_its_parent(tmp_path: Path) -> None:
    alone = lint(tmp_path, child=CHILD)
    assert "eu-south-1" in alone["child.yaml:App", "MLOPS020"]
    nested = lint(tmp_path, parent=PARENT, child=CHILD)
    assert not {rule for _, rule in nested} & {"MLOPS020", "E3006"}
    # The neighbour counts even where only the child is named.
    assert ("child.yaml:App", "MLOPS020") not in lint(tmp_path, child=CHILD)


def test_a_file_that_is_no_template_is_a_finding(tmp_path: Path) -> None:
    assert [rule for _, rule in lint(tmp_path, t="Resources: [")] == ["E0000"]
    assert lint(tmp_path, t="just words")


def test_the_command_fails_on_findings_and_prints_the_pinned_dates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = tmp_path / "bad.yaml", tmp_path / "good.yaml"
    bad.write_text(TOPIC % "{}")
    good.write_text(TOPIC % f"{{MlopsAccepted: {{MLOPS015: {WORDS}, MLOPS005: {KEY}}}}}")
    assert command.main([str(bad)]) == 1
    said = capsys.readouterr().out
    assert f"cfn-lint 1.58.0, schemas of {schema_date()}" in said
    assert f"{bad}:Topic: MLOPS015 TopicName is fixed  -> " in said
    assert command.main(["--json", str(good)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["findings"] == [] and said["accepted"] == 2
    assert command.main([str(tmp_path / "none.yaml")]) == 1
    assert "inv build" in capsys.readouterr().err


def test_our_own_rules_find_nothing_in_what_is_committed() -> None:
    for item in rendered():
        named = Template(item.stack.name, item.text, item.body)
        accepted = {resource.name: resource.accepted for resource in named.resources()}
        left = [str(f) for f, problem in own_findings(named) if f.rule not in accepted.get(problem.where, {})]
        assert left == []


def test_every_template_of_ours_is_linted(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []

    def lint_nothing(self: Linter, paths: list[Path], root: Path) -> None:
        seen.extend(paths)
        raise KeyboardInterrupt

    monkeypatch.setattr(Linter, "lint", lint_nothing)
    with pytest.raises(KeyboardInterrupt):
        command.main([])
    assert sorted(seen) == sorted(ROOT / "templates" / f"{item.stack.name}.yaml" for item in rendered())
