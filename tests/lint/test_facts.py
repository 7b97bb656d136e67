"""The facts of the regions are current, and say rightly where a template can be launched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from troposphere import Equals, Not, Ref
from troposphere.s3 import Bucket
from troposphere.sns import Topic

from generators.kit import regions
from generators.kit.builder import Builder
from generators.kit.parameters import Question
from generators.kit.registry import Generator, Rendered, discover, render_all
from generators.kit.stack import Launch, Stack, Trial
from tools import facts

ALL = frozenset({"AWS::S3::Bucket", "AWS::SNS::Topic"})


def template(build: Callable[[Builder], None]) -> list[Rendered]:
    stack = Stack("t", "T", "a thing", "a", ("General",), Trial({"Cost": "1"}), launch=Launch("t"))
    return render_all([Generator(stack, build, "generators/t.py")])


def ask(b: Builder) -> None:
    b.ask(Question("Cost", "Cost", "General", "What it costs."))


def here(types: frozenset[str]) -> Callable[[str], frozenset[str]]:
    return lambda region: types if region == "eu-south-1" else ALL


def test_facts_are_current_and_every_launch_region_is_offered() -> None:
    text, found = facts.facts()
    assert regions.FACTS.read_text(encoding="utf-8") == text, "run ./inv facts"
    assert [offer.region for offer in found if offer.offered] == list(regions.names())


def test_at_least_the_thirteen_regions_are_offered() -> None:
    wanted = {"us-east-1", "us-east-2", "us-west-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ap-northeast-1",
              "eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3", "eu-south-1", "eu-north-1"}  # fmt: skip
    assert wanted <= set(regions.names())


def test_a_region_without_a_type_that_a_launched_template_names_is_not_offered() -> None:
    def build(b: Builder) -> None:
        ask(b)
        b.add(Bucket("Bucket"))
        b.add(Topic("Topic"), when=b.when("HasTopic", Equals(Ref("Cost"), "never")))

    whole, lacking = facts.offers(template(build), ["us-east-1", "eu-south-1"], here(frozenset({"AWS::S3::Bucket"})))
    assert whole.offered
    # CloudFormation refuses the template there, even though its condition is false.
    assert lacking.reasons == ("its registry lacks AWS::SNS::Topic",)


def test_a_region_where_a_rule_refuses_the_defaults_is_not_offered() -> None:
    def build(b: Builder) -> None:
        ask(b)
        b.add(Bucket("Bucket"))
        b.rule("NotThere", [(Not(Equals(Ref("AWS::Region"), "eu-south-1")), "This is not for eu-south-1.")])

    whole, refusing = facts.offers(template(build), ["us-east-1", "eu-south-1"], here(ALL))
    assert whole.offered and refusing.reasons == ("This is not for eu-south-1.",)


@pytest.fixture
def other_facts() -> Iterator[None]:
    yield
    regions.launch_regions.cache_clear()


def test_a_candidate_region_is_judged_with_its_own_facts(monkeypatch: pytest.MonkeyPatch, other_facts: None) -> None:
    """A region that is in the sources but not in regions.json yet: the templates have to know it before they are judged."""
    sources = json.loads(facts.SOURCES.read_text(encoding="utf-8"))
    before = regions.FACTS
    sources["regions"]["mx-central-1"] = {"zones": ["mxc1-az1", "mxc1-az2"], "registries": [], "source": "a page"}
    monkeypatch.setattr(facts, "SOURCES", _Text(json.dumps(sources)))
    text, found = facts.facts()
    (offer,) = [offer for offer in found if offer.region == "mx-central-1"]
    assert "its registry lacks AWS::SageMaker::Domain" in offer.reasons
    assert "mx-central-1" not in json.loads(text)["regions"]
    assert before == regions.FACTS
    assert set(regions.names()) <= {offer.region for offer in found}


def test_nested_options_are_switched_off_where_their_type_is_missing() -> None:
    def has(region: str) -> frozenset[str]:
        every = frozenset(body["Type"] for item in templates for body in item.body["Resources"].values())
        return every - {"AWS::Budgets::Budget"}

    templates = render_all(discover())
    assert [offer.off for offer in facts.offers(templates, ["eu-south-1"], has)] == [("AWS::Budgets::Budget",)]


class _Text:
    def __init__(self, text: str) -> None:
        self.text = text

    def read_text(self, encoding: str) -> str:
        return self.text
