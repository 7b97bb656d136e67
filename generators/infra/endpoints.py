"""VPC endpoints: the S3 gateway, and which interface endpoints the nested stack makes. On by default is what the default
features call from the VPC."""

from __future__ import annotations

from troposphere import AccountId, And, Condition, Equals, GetAtt, If, Join, NoValue, Or, Ref, Region, Split, Sub
from troposphere.cloudformation import Stack as NestedStack
from troposphere.ec2 import VPCEndpoint

from generators.infra import questions
from generators.infra.network import Network
from generators.infra.packages import PackageIndex
from generators.infra.questions import Asked
from generators.kit import contracts, publishing
from generators.kit.builder import Builder
from generators.kit.iam import allow, document
from generators.kit.lists import buckets_and_objects
from generators.kit.network import Trusted, endpoint_statements, trusted
from generators.kit.parameters import Question
from generators.kit.services import ENDPOINTS, Endpoint, aws

# Endpoints that a feature needs once it is chosen.
NEEDED_BY = {"Mlflow": "IsMlflowApp", "Experiments": "IsTrackingServer"}
# Endpoints of services that a switch may leave out.
ONLY_WITH = {"CodeArtifactApi": "HasPackageIndex", "CodeArtifactRepositories": "HasPackageIndex"}


def build(b: Builder, asked: Asked, net: Network, index: PackageIndex) -> None:
    """Add the S3 gateway, and the nested stack with every interface endpoint that is wanted."""
    more = b.when("HasTrustedAccounts", questions.given(questions.TRUSTED_ACCOUNTS))
    accounts = If(more, Sub("${AWS::AccountId},${TrustedAccountIds}"), AccountId)
    published = GetAtt(b.publish(contracts.TRUSTED_ACCOUNT_IDS, accounts), "Value")
    whom = trusted(b, published)
    b.publish(contracts.ORGANIZATION_ID, If(whom.condition, whom.organization, "none"))
    _s3(b, asked, net, whom)
    switches = {endpoint.switch: If(_switch(b, asked, endpoint), "yes", "no") for endpoint in ENDPOINTS}
    b.add(
        NestedStack(
            "Endpoints",
            TemplateURL=publishing.nested_url("endpoints"),
            Parameters={
                "CostCenter": Ref("CostCenter"),
                "VpcId": net.vpc_id,
                "SubnetIds": net.subnets,
                "SecurityGroupId": Ref(net.groups.vpce),
                "TrustedAccountIds": published,
                "OrganizationId": whom.organization,
                "PypiDomainName": If(index.condition, GetAtt(index.domain, "Name"), ""),
                "DataSourceKeyArns": asked[questions.DATA_KEYS],
                **switches,
            },
        ),
        holds_data=False,
    )


def _switch(b: Builder, asked: Asked, endpoint: Endpoint) -> str:
    automatic = endpoint.core or endpoint.name in NEEDED_BY
    answer = b.ask(
        Question(
            f"{endpoint.name}EndpointMode",
            label=endpoint.label,
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


def _s3(b: Builder, asked: Asked, net: Network, whom: Trusted) -> None:
    tables = b.when("HasRouteTables", questions.given(questions.EXISTING_ROUTE_TABLES))
    data = b.when("HasDataBuckets", questions.given(questions.DATA_BUCKETS))
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
              Sub("arn:${AWS::Partition}:s3:::${AssetsBucketPrefix}-${AWS::Region}/*"), whom.principals(), Principal="*"),
    ]  # fmt: skip
    buckets = asked[questions.DATA_BUCKETS]
    company = allow("CompanyData", ["s3:GetBucketLocation", "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"],
                    buckets_and_objects(buckets), whom.principals(), Principal="*")  # fmt: skip
    existing = Split(",", asked[questions.EXISTING_ROUTE_TABLES])
    b.add(
        VPCEndpoint(
            "S3GatewayEndpoint",
            VpcEndpointType="Gateway",
            ServiceName=Sub(aws("s3")),
            VpcId=net.vpc_id,
            RouteTableIds=If(asked.creates_vpc, [Ref(net.route_table)], existing),
            PolicyDocument=document(*endpoint_statements("s3", whom), *aws_owned, If(data, company, NoValue)),
        ),
        when=wanted,
    )
