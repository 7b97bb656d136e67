"""What makes cfn-lint fast changes nothing of what it finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.lint import speed
from tools.lint.run import Linter

REGIONS = ("us-east-1", "eu-south-1", "ap-south-1")
# Conditions, nested Subs over regions, wrong properties in several resources, an unknown action, an unused parameter.
TEMPLATE = """
Parameters:
  Account: {Type: String, Default: ''}
  Unused: {Type: String}
  Mode: {Type: String, Default: a, AllowedValues: [a, b]}
Rules:
  Needs:
    RuleCondition: !Equals [!Ref Mode, b]
    Assertions: [{Assert: !Not [!Equals [!Ref Account, '']], AssertDescription: Give an account.}]
Conditions:
  HasAccount: !Not [!Equals [!Ref Account, '']]
  IsB: !And [!Equals [!Ref Mode, b], !Condition HasAccount]
Resources:
  Key: {Type: 'AWS::KMS::Key', Condition: IsB, Properties: {Descripton: x}}
  Bucket: {Type: 'AWS::S3::Bucket', Properties: {BucketName: !Sub 'UPPER-${AWS::Region}-${AWS::AccountId}'}}
  App: {Type: 'AWS::SageMaker::MlflowApp', Properties: {ArtifactStoreUri: 's3://x', RoleArn: nonsense}}
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement:
        - Effect: Allow
          Action: sts:AssumeRol
          Principal:
            AWS: !Sub ['arn:${AWS::Partition}:iam::${Who}:root', {Who: !If [HasAccount, !Ref Account, !Ref 'AWS::AccountId']}]
          Condition: {ArnLike: {aws:SourceArn: !Sub 'arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:${Mode}'}}
      Tags: [{Key: k, Value: !If [IsB, !GetAtt Key.Nothing, !GetAtt Bucket.Arn]}]
Outputs:
  Id: {Value: !GetAtt Key.Arn}
"""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "t.yaml"
    path.write_text(TEMPLATE)
    yield path
    speed.hurry()


def found(file: Path) -> list[str]:
    report = Linter(REGIONS).lint([file], file.parent)
    return [f"{item.line} {item}" for item in report.findings if not item.rule.startswith("MLOPS")]


def test_findings_are_those_of_plain_cfn_lint(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = found(file)
    monkeypatch.setattr("tools.lint.run.hurry", speed.take_time)
    monkeypatch.setattr(speed, "WORKERS", 1)
    plain = found(file)
    assert fast == plain
    # The template is wrong in each of these ways; a comparison of two empty lists would prove nothing.
    assert {"E3002", "E3031", "E3006", "W2001", "W3037", "E1010"} <= {line.split(": ")[1].split()[0] for line in plain}


def test_every_resource_has_one_worker() -> None:
    bodies = [{"Resources": {name: {"Type": "T" * size} for size, name in enumerate("abcdefg", start=1)}}, {}]
    shares = speed.shares_of(bodies, 3)
    assert sorted(name for share in shares for name in share) == list("abcdefg")
    assert len(shares) == 3 and all(shares)
