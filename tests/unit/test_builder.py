"""Facts about the builder: what it refuses, and what it adds to a template."""

from __future__ import annotations

import pytest
from troposphere import Equals, Ref
from troposphere.iam import Role
from troposphere.s3 import Bucket
from troposphere.ssm import Parameter as SsmParameter

from generators.kit import parameters
from generators.kit.builder import Builder
from generators.kit.contracts import Contract
from generators.kit.errors import BadName, DuplicateName, IncompleteQuestion, UnknownGroup
from generators.kit.parameters import Question
from generators.kit.stack import Stack, Trial

FACT = Contract("VpcId", "/mlops/infra/vpc-id", "VPC.")


@pytest.fixture
def b() -> Builder:
    stack = Stack("9-trial", "Trial", "shows the kit", "data-science", ("General",), Trial({"CostCenter": "1"}))
    return Builder(stack, "generators/trial.py")


def question(**changes: object) -> Question:
    given = {"name": "Size", "label": "Size", "group": "General", "description": "How large."} | changes
    return Question(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("missing", ["label", "group", "description"])
def test_a_question_without_what_its_reader_needs_is_refused(b: Builder, missing: str) -> None:
    with pytest.raises(IncompleteQuestion, match=f"no {missing}.*Add `{missing}=`"):
        b.ask(question(**{missing: " "}))
    assert not b.template.parameters


def test_a_pattern_without_a_sentence_for_the_person_is_refused(b: Builder) -> None:
    with pytest.raises(IncompleteQuestion, match="constraint"):
        b.ask(question(pattern="^a$"))


def test_a_group_that_the_card_does_not_list_is_refused(b: Builder) -> None:
    with pytest.raises(UnknownGroup, match="General"):
        b.ask(question(group="Elsewhere"))


def test_names_are_taken_once_and_are_pascal_case(b: Builder) -> None:
    b.ask(question())
    with pytest.raises(DuplicateName, match="'Size' is there twice"):
        b.ask(question())
    b.add(Bucket("DataBucket"))
    with pytest.raises(DuplicateName, match="DataBucket"):
        b.add(Role("DataBucket"))
    with pytest.raises(BadName, match="PascalCase"):
        b.add(Bucket("dataBucket"))
    with pytest.raises(BadName, match="Has, Is or Creates"):
        b.when("WithSize", Equals("a", "b"))


def test_every_resource_that_takes_tags_gets_them_in_its_own_form(b: Builder) -> None:
    b.ask(parameters.COST_CENTER)
    b.add(Bucket("DataBucket"))
    b.add(SsmParameter("Fact", Type="String", Value="1"))
    body = b.finish()["Resources"]
    assert body["DataBucket"]["Properties"]["Tags"] == [
        {"Key": "CostCenter", "Value": {"Ref": "CostCenter"}},
        {"Key": "mlops:template", "Value": "9-trial"},
    ]
    assert body["Fact"]["Properties"]["Tags"] == {"CostCenter": {"Ref": "CostCenter"}, "mlops:template": "9-trial"}


def test_tags_that_can_not_change_carry_no_cost_center(b: Builder) -> None:
    from troposphere.sagemaker import StudioLifecycleConfig, UserProfile

    b.ask(parameters.COST_CENTER)
    b.add(StudioLifecycleConfig("Loader", StudioLifecycleConfigAppType="JupyterLab", StudioLifecycleConfigName="a",
                                StudioLifecycleConfigContent="YQ=="))  # fmt: skip
    b.add(UserProfile("Profile", DomainId="d-1", UserProfileName="a"))
    body = b.finish()["Resources"]
    for name in ("Loader", "Profile"):
        assert body[name]["Properties"]["Tags"] == [{"Key": "mlops:template", "Value": "9-trial"}]


def test_what_holds_data_is_kept_unless_its_own_creation_failed(b: Builder) -> None:
    b.add(Bucket("DataBucket"), holds_data=True)
    b.add(Bucket("ScratchBucket"), holds_data=False)
    body = b.finish()["Resources"]
    assert (body["DataBucket"]["DeletionPolicy"], body["DataBucket"]["UpdateReplacePolicy"]) == (
        "RetainExceptOnCreate",
        "Retain",
    )
    assert body["ScratchBucket"]["DeletionPolicy"] == "Delete"


def test_an_accepted_finding_keeps_its_reason_and_silences_only_its_rule(b: Builder) -> None:
    b.add(Bucket("DataBucket"), accept={"W3045": "because", "MLOPS_X": "why"})
    metadata = b.finish()["Resources"]["DataBucket"]["Metadata"]
    assert metadata["MlopsAccepted"] == {"MLOPS_X": "why", "W3045": "because"}
    assert metadata["cfn-lint"] == {"config": {"ignore_checks": ["W3045"]}}


def test_a_published_value_is_output_export_and_parameter(b: Builder) -> None:
    b.publish(FACT, Ref("AWS::Region"))
    body = b.finish()
    assert body["Outputs"]["VpcId"]["Export"]["Name"] == {"Fn::Sub": "${AWS::StackName}-VpcId"}
    assert body["Resources"]["VpcIdParameter"]["Properties"]["Name"] == "/mlops/infra/vpc-id"
    with pytest.raises(DuplicateName, match="contract"):
        b.publish(FACT, "again")


def test_name_and_version_are_the_first_outputs(b: Builder) -> None:
    b.output("Later", "Something.", "x")
    assert list(b.finish()["Outputs"]) == ["TemplateName", "TemplateVersion", "Later"]


def test_capabilities_follow_from_the_roles(b: Builder) -> None:
    assert b.finish()["Metadata"]["MlopsTemplate"]["Capabilities"] == []
    b.add(Role("Plain", AssumeRolePolicyDocument={}))
    assert b.finish()["Metadata"]["MlopsTemplate"]["Capabilities"] == ["CAPABILITY_IAM"]
    b.add(Role("Named", RoleName="named", AssumeRolePolicyDocument={}))
    assert b.finish()["Metadata"]["MlopsTemplate"]["Capabilities"] == ["CAPABILITY_NAMED_IAM"]


def test_a_rule_speaks_in_sentences(b: Builder) -> None:
    with pytest.raises(BadName, match="no sentence"):
        b.rule("SizeFits", [(Equals("a", "a"), "size")])
