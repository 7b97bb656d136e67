"""VPC endpoints: one row, one switch, one policy each. On by default is what the default features call from the VPC.

Service names and which of them take a policy: https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html
and the page of each service. A policy on a service that takes none fails the stack, so rows without a page that says
yes have none; such an endpoint lets through what IAM allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from troposphere import AccountId, And, Condition, Equals, FindInMap, GetAtt, If, Join, Or, Ref, Region, Split, Sub
from troposphere.ec2 import VPCEndpoint

from generators.infra import questions
from generators.infra.network import Network
from generators.infra.packages import PackageIndex
from generators.infra.questions import Asked
from generators.infra.services import ENDPOINTS, Endpoint, aws
from generators.kit import contracts
from generators.kit.builder import Builder
from generators.kit.iam import Statement, allow, arn, document
from generators.kit.parameters import Question

# Endpoints that a feature needs once it is chosen.
NEEDED_BY = {"Mlflow": "IsMlflowApp", "Experiments": "IsTrackingServer"}
# Endpoints of services that the region or a switch may leave out.
ONLY_WITH = {"CodeArtifactApi": "HasPackageIndex", "CodeArtifactRepositories": "HasPackageIndex"}


def build(b: Builder, asked: Asked, net: Network, index: PackageIndex) -> None:
    """Add the S3 gateway and every interface endpoint."""
    trusted = _trusted(b, asked)
    _s3(b, asked, net, trusted)
    for endpoint in ENDPOINTS:
        wanted = _switch(b, asked, endpoint)
        b.add(
            VPCEndpoint(
                f"{endpoint.name}Endpoint",
                VpcEndpointType="Interface",
                ServiceName=Sub(endpoint.service),
                VpcId=net.vpc_id,
                SubnetIds=net.subnet_ids,
                SecurityGroupIds=[Ref(net.groups.vpce)],
                PrivateDnsEnabled=True,
                **({"PolicyDocument": _policy(endpoint, trusted, index)} if endpoint.policy else {}),
            ),
            when=wanted,
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
            "MLOPS012": "PackagesOfOurDomain: pip's token names no account that a page vouches for; it names our own repository."
        }
    return None


def _switch(b: Builder, asked: Asked, endpoint: Endpoint) -> str:
    automatic = endpoint.core or endpoint.name in NEEDED_BY
    answer = b.ask(
        Question(
            f"{endpoint.name}EndpointMode",
            label=f"Endpoint {endpoint.service.replace('${AWS::Region}', 'REGION')}",
            group="VPC endpoints",
            description=f"For {endpoint.why}. "
            + ("auto: made in a new VPC when a feature needs it; " if automatic else "off: none; ")
            + "create: made; existing: the VPC has it already.",
            default="auto" if automatic else "off",
            allowed=("auto" if automatic else "off", "create", "existing"),
        )
    )
    create = Equals(answer, "create")
    if automatic:
        needed = [Condition(NEEDED_BY[endpoint.name])] if endpoint.name in NEEDED_BY else []
        create = Or(create, And(Equals(answer, "auto"), Condition(asked.creates_vpc), *needed))
    if endpoint.name in ONLY_WITH:
        create = And(Condition(ONLY_WITH[endpoint.name]), create)
    return b.when(endpoint.condition, create)


@dataclass(frozen=True)
class Trusted:
    """Who may send requests through the endpoints, and whose resources they may reach."""

    ours: If  # condition of principals
    both: If  # condition of principals and resources


def _trusted(b: Builder, asked: Asked) -> Trusted:
    """Trust the organization, or this account with staging and production."""
    more = b.when("HasTrustedAccounts", questions.given(questions.TRUSTED_ACCOUNTS))
    organization = b.when("HasOrganization", questions.given(questions.ORGANIZATION))
    accounts = If(more, Sub("${AWS::AccountId},${TrustedAccountIds}"), AccountId)
    listed = Split(",", GetAtt(b.publish(contracts.TRUSTED_ACCOUNT_IDS, accounts), "Value"))
    own = asked[questions.ORGANIZATION]
    principals = If(organization, _equal({"aws:PrincipalOrgID": own}), _equal({"aws:PrincipalAccount": listed}))
    both = If(
        organization,
        _equal({"aws:PrincipalOrgID": own, "aws:ResourceOrgID": own}),
        _equal({"aws:PrincipalAccount": listed, "aws:ResourceAccount": listed}),
    )
    return Trusted(principals, both)


def _equal(keys: dict[str, Any]) -> dict[str, Any]:
    return {"StringEquals": keys}


def _statements(service: str, trusted: Trusted) -> list[Statement]:
    """Make what every policy has: our own on both sides, and AWS services on our behalf."""
    return [
        allow("Ours", f"{service}:*", "*", trusted.both, Principal="*"),
        allow("AwsServices", f"{service}:*", "*", {"Bool": {"aws:PrincipalIsAWSService": "true"}}, Principal="*"),
    ]


def _policy(endpoint: Endpoint, trusted: Trusted, index: PackageIndex) -> dict[str, Any]:
    prefix = ACTIONS.get(endpoint.name, endpoint.name.lower())
    statements = _statements(prefix, trusted)
    if endpoint.name == "Studio":
        # The apps' own traffic is cookies and web sockets; AWS's example has no condition on the principal either:
        # https://docs.aws.amazon.com/sagemaker/latest/dg/studio-interface-endpoint.html
        statements = [allow("OwnStudio", "sagemaker:*", arn("sagemaker", "*"), Principal="*")]
    if prefix == "ecr":
        # Images of AWS stand in registries of AWS's own accounts.
        pull = [
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:DescribeImages",
            "ecr:GetDownloadUrlForLayer",
        ]
        aws = {"StringEquals": {"aws:ResourceAccount": FindInMap("Regions", Region, "Registries")}}
        statements.append(allow("AwsImages", pull, "*", aws, Principal="*"))
    if endpoint.name == "Ssm":
        # Parameters that AWS publishes (images, regions) stand in no account.
        read = ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"]
        public = Sub("arn:${AWS::Partition}:ssm:${AWS::Region}::parameter/aws/*")
        statements.append(allow("PublicParameters", read, public, trusted.ours, Principal="*"))
    if endpoint.name == "CodeArtifactRepositories":
        # pip signs in with a token of CodeArtifact; no page says that the account of its owner is known to the endpoint.
        read = [
            "codeartifact:ReadFromRepository",
            "codeartifact:GetPackageVersionAsset",
            "codeartifact:PublishPackageVersion",
        ]
        statements.append(allow("PackagesOfOurDomain", read, index.arns, Principal="*"))
    return document(*statements)


# Service prefix of the actions, where it is not the endpoint's own name.
ACTIONS = {
    "SageMakerApi": "sagemaker", "SageMakerRuntime": "sagemaker", "Studio": "sagemaker", "Monitoring": "cloudwatch",
    "EcrApi": "ecr", "EcrDkr": "ecr", "CodeArtifactApi": "codeartifact", "CodeArtifactRepositories": "codeartifact",
    "GitCodeCommit": "codecommit", "Mlflow": "sagemaker", "Experiments": "sagemaker-mlflow",
}  # fmt: skip


def _s3(b: Builder, asked: Asked, net: Network, trusted: Trusted) -> None:
    tables = b.when("HasRouteTables", questions.given(questions.EXISTING_ROUTE_TABLES))
    wanted = b.when("CreatesS3Gateway", Or(Condition(asked.creates_vpc), Condition(tables)))
    region = Join("", Split("-", Region))
    aws_owned = [
        # Image layers come by URLs that ECR's own account has signed: no condition on the principal can hold.
        allow("EcrLayers", "s3:GetObject", Sub("arn:${AWS::Partition}:s3:::prod-${AWS::Region}-starport-layer-bucket/*"),
              Principal="*"),
        # Custom resources answer CloudFormation by a URL that the service has signed.
        allow("CloudFormationAnswers", "s3:PutObject",
              Sub("arn:${AWS::Partition}:s3:::cloudformation-custom-resource-response-${Plain}/*", Plain=region),
              {"Bool": {"aws:PrincipalIsAWSService": "true"}}, Principal="*"),
        allow("AmazonLinuxPackages", "s3:GetObject",
              [Sub("arn:${AWS::Partition}:s3:::al2023-repos-${AWS::Region}-de612dc2/*"),
               Sub("arn:${AWS::Partition}:s3:::amazonlinux-2-repos-${AWS::Region}/*")], Principal="*"),
        allow("PublishedRelease", ["s3:GetObject", "s3:GetObjectVersion"],
              Sub("arn:${AWS::Partition}:s3:::${AssetsBucketPrefix}-${AWS::Region}/*"), trusted.ours, Principal="*"),
    ]  # fmt: skip
    existing = Split(",", asked[questions.EXISTING_ROUTE_TABLES])
    b.add(
        VPCEndpoint(
            "S3GatewayEndpoint",
            VpcEndpointType="Gateway",
            ServiceName=Sub(aws("s3")),
            VpcId=net.vpc_id,
            RouteTableIds=If(asked.creates_vpc, [Ref(net.route_table)], existing),
            PolicyDocument=document(*_statements("s3", trusted), *aws_owned),
        ),
        when=wanted,
    )
