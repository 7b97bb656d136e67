"""Catalogue: one portfolio, one product for each template that people launch from it, and the role that launches each.

Nested in 1-infra, so that what a launch may do can be read in one file. The folder is the list: a template with a `product` on
its card is a product here."""

from __future__ import annotations

from troposphere import GetAtt, Ref, Sub, Tags
from troposphere.iam import ManagedPolicy
from troposphere.servicecatalog import (
    CloudFormationProduct,
    Info,
    LaunchRoleConstraint,
    Portfolio,
    PortfolioPrincipalAssociation,
    PortfolioProductAssociation,
    ProvisioningArtifactProperties,
    TagOption,
    TagOptionAssociation,
)

from generators.kit import parameters, publishing, registry
from generators.kit.builder import Builder
from generators.kit.iam import PLATFORM_PATH, document, role
from generators.kit.launching import Given, common, trusted
from generators.kit.parameters import Question
from generators.kit.stack import Product, Stack, Trial

STACK = Stack(
    name="catalogue",
    title="MLOps catalogue",
    summary="products for projects and users, and the roles that launch them",
    account="data-science",
    groups=("General", "People", "Platform"),
    nested_in="1-infra",
    trial=Trial(
        {
            "CostCenter": "12345",
            "AssetsBucketPrefix": "mlops-local",
            "CatalogueId": "1a2b3c4d",
            "AdminRoleArn": "arn:aws:iam::111111111111:role/mlops/platform/admin",
            "StudioAdminRoleArn": "arn:aws:iam::111111111111:role/mlops/platform/studio-admin",
            "PermissionsBoundaryArn": "arn:aws:iam::111111111111:policy/mlops/boundary/boundary",
            "DomainId": "d-abcdefghijkl",
            "StudioUserFunctionArn": "arn:aws:lambda:us-east-1:111111111111:function:studio-user",
            "ReleaseFilesFunctionArn": "arn:aws:lambda:us-east-1:111111111111:function:release-files",
            "ProjectReadyFunctionArn": "arn:aws:lambda:us-east-1:111111111111:function:project-ready",
        }
    ),
)
ASKED = (
    Question("CatalogueId", "Mark", "General", "Mark of this platform, which tells its catalogue from another's."),
    Question(
        "AdminRoleArn", "Role of the data science admin", "People", "Role that a data science admin signs in with."
    ),
    Question(
        "StudioAdminRoleArn",
        "Studio role of the data science admin",
        "People",
        "Role of the profile ds-admin in Studio.",
    ),
    Question("PermissionsBoundaryArn", "Boundary", "Platform", "Boundary that every role made by a launch carries."),
    Question("DomainId", "Domain", "Platform", "SageMaker Studio domain."),
    Question("StudioUserFunctionArn", "Function for users", "Platform", "Function that names and ends Studio users."),
    Question("ReleaseFilesFunctionArn", "Function for files", "Platform", "Function that copies files of the release."),
    Question(
        "ProjectReadyFunctionArn", "Function for messages", "Platform", "Function that tells that a project is ready."
    ),
)


def build(b: Builder) -> None:
    """Build the template."""
    shared = (parameters.COST_CENTER, parameters.ASSETS_BUCKET_PREFIX)
    given = Given({question.name: b.ask(question) for question in (*shared, *ASKED)})
    portfolio = b.add(
        Portfolio(
            "Portfolio",
            DisplayName="MLOps",
            ProviderName="MLOps platform",
            Description="Machine learning projects and their users",
        ),
    )
    _people(b, given, portfolio)
    option = b.add(TagOption("PlatformOption", Key="mlops:platform", Value=given["CatalogueId"]))
    for generator in registry.discover():
        if generator.stack.product:
            _product(b, given, portfolio, option, generator.stack, generator.stack.product)
    b.output("PortfolioId", "Portfolio with the products.", Ref(portfolio))


def _people(b: Builder, given: Given, portfolio: Portfolio) -> None:
    # Studio asks in the name of the profile's own role; a person in the console in that of the persona.
    for name in ("AdminRole", "StudioAdminRole"):
        b.add(
            PortfolioPrincipalAssociation(
                f"{name}Sees", PortfolioId=Ref(portfolio), PrincipalARN=given[f"{name}Arn"], PrincipalType="IAM"
            )
        )


def _product(b: Builder, given: Given, portfolio: Portfolio, option: TagOption, stack: Stack, product: Product) -> None:
    name = product.role.removesuffix("LaunchRole")
    release = f"v{publishing.version()}"
    made = b.add(
        CloudFormationProduct(
            f"{name}Product",
            Name=product.title,
            Owner="MLOps platform",
            Description=product.description,
            ProvisioningArtifactParameters=[
                ProvisioningArtifactProperties(
                    Name=release,
                    Description=f"{stack.name} {publishing.version()}",
                    Info=Info(LoadTemplateFromURL=publishing.nested_url(stack.name)),
                )
            ],
            # Studio shows among its project templates what carries this tag:
            # https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-projects-templates-custom.html
            **({"Tags": Tags({"sagemaker:studio-visibility": "true"})} if product.in_studio else {}),
        ),
    )
    more = []
    if product.also:
        description = f"More of what a launch of the product {product.title} may do"
        policy = document(*product.also(given))
        more = [
            b.add(
                ManagedPolicy(f"{name}LaunchPolicy", Description=description, Path=PLATFORM_PATH, PolicyDocument=policy)
            )
        ]
    runs_as = b.add(
        role(
            product.role,
            f"What a launch of the product {product.title} may do",
            trusted(),
            [*common(), *product.may(given)],
            given["PermissionsBoundaryArn"],
            **({"ManagedPolicyArns": [Ref(policy) for policy in more]} if more else {}),
        ),
        accept=product.accept,
    )
    inside = b.add(PortfolioProductAssociation(f"{name}InPortfolio", PortfolioId=Ref(portfolio), ProductId=Ref(made)))
    # Service Catalog knows a constraint only for a product that is in the portfolio.
    b.add(
        LaunchRoleConstraint(
            f"{name}Launch",
            PortfolioId=Ref(portfolio),
            ProductId=Ref(made),
            RoleArn=GetAtt(runs_as, "Arn"),
            Description=Sub("Launched as ${Role}", Role=Ref(runs_as)),
        ),
        after=[inside],
    )
    # One value for a key: Studio's form can't offer a choice.
    b.add(
        TagOptionAssociation(f"{name}Option", ResourceId=Ref(made), TagOptionId=Ref(option)),
    )
