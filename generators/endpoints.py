"""Interface endpoints of the VPC: one row in the table, one switch, one policy each. Nested in 1-infra, which decides
what is made; on its own it would make the base stack too long to read.

Which services take a policy: https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html and
the page of each service. A policy on a service that takes none fails the stack, so rows without a page that says yes have
none; such an endpoint lets through what IAM allows."""

from __future__ import annotations

import dataclasses
from typing import Any

from troposphere import Equals, FindInMap, If, Not, NoValue, Ref, Region, Split, Sub
from troposphere.ec2 import VPCEndpoint

from generators.kit import parameters, regions
from generators.kit.builder import Builder
from generators.kit.iam import allow, arn, document
from generators.kit.network import Trusted, endpoint_statements, trusted
from generators.kit.parameters import Question, switch
from generators.kit.services import ENDPOINTS, Endpoint
from generators.kit.stack import Stack, Trial

STACK = Stack(
    name="endpoints",
    title="MLOps VPC endpoints",
    summary="interface endpoints with a policy each, so that the VPC needs no way to the internet",
    account="data-science",
    groups=("General", "Network", "Endpoints"),
    nested_in="1-infra",
    trial=Trial(
        {
            "CostCenter": "12345",
            "VpcId": "vpc-0123456789abcdef0",
            "SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
            "SecurityGroupId": "sg-0123456789abcdef0",
            "TrustedAccountIds": "111111111111",
            "PypiDomainName": "mlops",
            **{endpoint.switch: "yes" for endpoint in ENDPOINTS},
        }
    ),
)
VPC = Question("VpcId", "VPC", "Network", "VPC that the endpoints stand in.")
SUBNETS = Question("SubnetIds", "Subnets", "Network", "Subnets that the endpoints stand in, separated by commas.")
GROUP = Question("SecurityGroupId", "Security group", "Network", "Security group of the endpoints.")
ACCOUNTS = Question(
    "TrustedAccountIds", "Accounts", "Network", "Accounts whose requests pass, and whose resources they reach, separated by commas."
)  # fmt: skip
PYPI = Question(
    "PypiDomainName", "Package index", "Network", "CodeArtifact domain of the private package index; empty without one.",
    default="",
)  # fmt: skip
KEYS = dataclasses.replace(parameters.DATA_SOURCE_KEYS, group="Network")


def build(b: Builder) -> None:
    """Build the template."""
    b.mapping("Regions", {region.name: {"Registries": list(region.registries)} for region in regions.launch_regions()})
    b.ask(parameters.COST_CENTER)
    vpc, subnets, group = b.ask(VPC), b.ask(SUBNETS), b.ask(GROUP)
    whom = trusted(b, b.ask(ACCOUNTS))
    b.ask(PYPI)
    b.ask(KEYS)
    b.when("HasDataKeys", Not(Equals(Ref(KEYS.name), "")))
    for endpoint in ENDPOINTS:
        wanted = b.ask(switch(endpoint.switch, endpoint.label, "Endpoints", f"For {endpoint.why}.", default="no"))
        b.add(
            VPCEndpoint(
                f"{endpoint.name}Endpoint",
                VpcEndpointType="Interface",
                ServiceName=Sub(endpoint.service),
                VpcId=vpc,
                SubnetIds=Split(",", subnets),
                SecurityGroupIds=[group],
                PrivateDnsEnabled=True,
                **({"PolicyDocument": _policy(endpoint, whom)} if endpoint.policy else {}),
            ),
            when=b.when(endpoint.condition, Equals(wanted, "yes")),
            accept=_accepted(endpoint),
        )


def _accepted(endpoint: Endpoint) -> dict[str, str] | None:
    if not endpoint.policy:
        return {
            "MLOPS012": "No page of AWS says that this service takes a policy, and one on a service that takes none fails "
            "the stack."
        }
    if endpoint.name == "Studio":
        return {
            "MLOPS012": "OwnStudio: app traffic carries no principal; the statement reaches our own resources alone."
        }
    if endpoint.name == "CodeArtifactRepositories":
        return {
            "MLOPS012": "PackagesOfOurDomain: pip's token names no account; the statement names our own repository."
        }
    return None


def _policy(endpoint: Endpoint, whom: Trusted) -> dict[str, Any]:
    statements = endpoint_statements(endpoint.actions, whom)
    if endpoint.name == "Studio":
        # The apps' own traffic is cookies and web sockets; AWS's example has no condition on the principal either:
        # https://docs.aws.amazon.com/sagemaker/latest/dg/studio-interface-endpoint.html
        statements = [allow("OwnStudio", "sagemaker:*", arn("sagemaker", "*"), Principal="*")]
    if endpoint.actions == "ecr":
        # Images of AWS stand in registries of AWS's own accounts.
        pull = [
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:DescribeImages",
            "ecr:GetDownloadUrlForLayer",
        ]
        of_aws = whom.principals({"aws:ResourceAccount": FindInMap("Regions", Region, "Registries")})
        statements.append(allow("AwsImages", pull, "*", of_aws, Principal="*"))
    if endpoint.name == "Kms":
        # Keys of the company's data may stand in accounts that are otherwise out of reach.
        company = allow(
            "CompanyData",
            ["kms:Decrypt", "kms:DescribeKey"],
            Split(",", Ref(KEYS.name)),
            whom.principals(),
            Principal="*",
        )
        statements.append(If("HasDataKeys", company, NoValue))
    if endpoint.name == "Ssm":
        # Parameters that AWS publishes (images, regions) stand in no account.
        read = ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"]
        public = Sub("arn:${AWS::Partition}:ssm:${AWS::Region}::parameter/aws/*")
        statements.append(allow("PublicParameters", read, public, whom.principals(), Principal="*"))
    if endpoint.name == "CodeArtifactRepositories":
        # pip signs in with a token of CodeArtifact; no page says that the account of its owner is known to the endpoint.
        use = [
            "codeartifact:GetPackageVersionAsset",
            "codeartifact:PublishPackageVersion",
            "codeartifact:ReadFromRepository",
        ]
        ours = [arn("codeartifact", f"{kind}/${{PypiDomainName}}/*") for kind in ("repository", "package")]
        statements.append(allow("PackagesOfOurDomain", use, ours, Principal="*"))
    return document(*statements)
