"""VPC endpoints: one row, one switch, one policy each. On by default is what the default features call from the VPC.

Service names and which of them take a policy: https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html
and the page of each service. A policy on a service that takes none fails the stack, so rows without a page that says
yes have none; such an endpoint lets through what IAM allows."""

from __future__ import annotations

from typing import Any

from troposphere import AccountId, And, Condition, Equals, FindInMap, If, Join, Or, Ref, Region, Split, Sub
from troposphere.ec2 import VPCEndpoint

from generators.infra import questions
from generators.infra.network import Network
from generators.infra.packages import PackageIndex
from generators.infra.questions import Asked
from generators.infra.services import ENDPOINTS, Endpoint, aws
from generators.kit.builder import Builder
from generators.kit.iam import Statement, allow, document
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
                SecurityGroupIds=[Ref(net.vpce)],
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


def _trusted(b: Builder, asked: Asked) -> Any:
    """Give the list of accounts that requests may come from and go to."""
    more = b.when("HasTrustedAccounts", questions.given(questions.TRUSTED_ACCOUNTS))
    return Split(",", If(more, Sub("${AWS::AccountId},${TrustedAccountIds}"), AccountId))


def _statements(service: str, trusted: Any) -> list[Statement]:
    """Make what every policy has: our own accounts on both sides, and AWS services on our behalf."""
    return [
        allow("TrustedAccounts", f"{service}:*", "*",
              {"StringEquals": {"aws:PrincipalAccount": trusted, "aws:ResourceAccount": trusted}}, Principal="*"),
        allow("AwsServices", f"{service}:*", "*", {"Bool": {"aws:PrincipalIsAWSService": "true"}}, Principal="*"),
    ]  # fmt: skip


def _policy(endpoint: Endpoint, trusted: Any, index: PackageIndex) -> dict[str, Any]:
    prefix = ACTIONS.get(endpoint.name, endpoint.name.lower())
    statements = _statements(prefix, trusted)
    if prefix == "ecr":
        registries = FindInMap("Regions", Region, "Registries")
        statements.append(
            allow("AwsImages", ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:DescribeImages",
                                "ecr:GetDownloadUrlForLayer"], "*",
                  {"StringEquals": {"aws:PrincipalAccount": trusted, "aws:ResourceAccount": registries}}, Principal="*")
        )  # fmt: skip
    if endpoint.name == "Ssm":
        # Parameters that AWS publishes (images, regions) stand in no account.
        read = ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"]
        public = Sub("arn:${AWS::Partition}:ssm:${AWS::Region}::parameter/aws/*")
        statements.append(
            allow("PublicParameters", read, public, {"StringEquals": {"aws:PrincipalAccount": trusted}}, Principal="*")
        )
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


def _s3(b: Builder, asked: Asked, net: Network, trusted: Any) -> None:
    tables = b.when("HasRouteTables", questions.given(questions.EXISTING_ROUTE_TABLES))
    wanted = b.when("CreatesS3Gateway", Or(Condition(asked.creates_vpc), Condition(tables)))
    own = {"aws:PrincipalAccount": trusted}
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
              Sub("arn:${AWS::Partition}:s3:::${AssetsBucketPrefix}-${AWS::Region}/*"), {"StringEquals": own}, Principal="*"),
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
