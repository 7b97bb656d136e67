"""What is committed is what the generators say, and every template keeps the house rules that its dict can show."""

from __future__ import annotations

import re
from typing import Any

import pytest

from generators.kit import contracts, publishing, regions
from generators.kit.publishing import ROOT
from generators.kit.registry import Rendered, rendered
from tools.build import files

TEMPLATES = rendered()


@pytest.mark.parametrize("path", sorted(files()), ids=lambda path: path.name)
def test_committed_files_are_what_is_rendered(path: Any) -> None:
    assert path.read_bytes() == files()[path].encode(), "run ./inv build"


@pytest.fixture(params=TEMPLATES, ids=lambda item: item.stack.name)
def item(request: pytest.FixtureRequest) -> Rendered:
    return request.param  # type: ignore[no-any-return]


def test_line_one_and_metadata_lead_back_to_the_generator(item: Rendered) -> None:
    assert item.text.splitlines()[0] == f"# Rendered from {item.generator.source} by `inv build`. Change it there."
    metadata = item.body["Metadata"]["MlopsTemplate"]
    assert (ROOT / metadata["Generator"]).is_file()
    assert metadata["Version"] == publishing.version()


def test_every_parameter_stands_in_one_group_with_a_label(item: Rendered) -> None:
    interface = item.body["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(item.body["Parameters"])
    assert set(interface["ParameterLabels"]) == set(item.body["Parameters"])


def test_only_two_parameters_have_no_default(item: Rendered) -> None:
    required = {name for name, body in item.body["Parameters"].items() if "Default" not in body}
    assert required <= {"CostCenter", "AssetsBucketPrefix"} | set(item.stack.trial.parameters)
    assert required == {"CostCenter", "AssetsBucketPrefix"} or item.stack.name != "1-infra"


def test_defaults_fit_their_own_patterns(item: Rendered) -> None:
    for name, body in item.body["Parameters"].items():
        if "Default" in body and "AllowedPattern" in body:
            assert re.search(body["AllowedPattern"], str(body["Default"])), name


def test_what_cloudformation_resolves_late_stands_in_properties_alone(item: Rendered) -> None:
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html
    for name, section in item.body.items():
        late = str(section).count("{{resolve:")
        assert not late or name == "Resources", name
        assert late <= 60


def test_sizes_are_within_what_cloudformation_takes(item: Rendered) -> None:
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
    assert len(item.text.encode()) < 1_000_000
    for section, limit in (("Resources", 500), ("Parameters", 200), ("Outputs", 200), ("Mappings", 200)):
        assert len(item.body.get(section, {})) <= limit
    assert len(item.body["Description"].encode()) <= 1024


def test_a_template_that_people_launch_names_no_type_that_a_launch_region_lacks(item: Rendered) -> None:
    # The console's quick-create page refuses such a template, whatever its conditions say
    # (https://github.com/widdix/aws-cf-templates/issues/342): such a type belongs into a nested template.
    if item.stack.launch or item.stack.product:
        types = {body["Type"] for body in item.body["Resources"].values()}
        for region in regions.launch_regions():
            assert not types & set(region.lacks), region.name


def test_a_nested_template_is_launched_by_the_one_its_card_names(item: Rendered) -> None:
    if item.stack.nested_in:
        parent = next(other for other in TEMPLATES if other.stack.name == item.stack.nested_in)
        assert publishing.template_key(item.stack.name) in parent.text


def test_a_product_is_in_the_catalogue_with_a_launch_role_of_its_own(item: Rendered) -> None:
    if item.stack.product:
        catalogue = next(other for other in TEMPLATES if other.stack.name == "catalogue").body["Resources"]
        urls = {
            name: str(made["Properties"]["ProvisioningArtifactParameters"])
            for name, made in catalogue.items()
            if made["Type"] == "AWS::ServiceCatalog::CloudFormationProduct"
        }
        (product,) = [name for name, url in urls.items() if publishing.template_key(item.stack.name) in url]
        constraints = [
            made for made in catalogue.values() if made["Type"] == "AWS::ServiceCatalog::LaunchRoleConstraint"
        ]
        (launch,) = [made for made in constraints if made["Properties"]["ProductId"] == {"Ref": product}]
        assert launch["Properties"]["RoleArn"] == {"Fn::GetAtt": [item.stack.product.role, "Arn"]}
        (inside,) = [
            name
            for name, made in catalogue.items()
            if made["Type"] == "AWS::ServiceCatalog::PortfolioProductAssociation"
            and made["Properties"]["ProductId"] == {"Ref": product}
        ]
        assert launch["DependsOn"] == inside
        visible = {"Key": "sagemaker:studio-visibility", "Value": "true"} in catalogue[product]["Properties"]["Tags"]
        assert visible == item.stack.product.in_studio


def test_every_function_has_its_folder_and_every_contract_its_own_path() -> None:
    paths = [value.ssm for value in vars(contracts).values() if isinstance(value, contracts.Contract)]
    assert len(set(paths)) == len(paths)
    for item in TEMPLATES:
        for name, resource in item.body["Resources"].items():
            if resource["Type"] == "AWS::Lambda::Function":
                key = resource["Properties"]["Code"]["S3Key"]
                folder = key.removeprefix(publishing.release_prefix() + "functions/").removesuffix(".zip")
                assert (ROOT / "lambdas" / folder / "handler.py").is_file(), name
