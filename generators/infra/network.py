"""Network: a VPC with private subnets and no way to the internet, or an existing one; security groups; flow logs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import troposphere
from troposphere import Cidr, Equals, GetAtt, If, Join, NoValue, Ref, Region, Select, Split, Sub, Tags
from troposphere.cloudformation import CustomResource
from troposphere.ec2 import (
    VPC,
    FlowLog,
    RouteTable,
    SecurityGroup,
    SecurityGroupEgress,
    SecurityGroupIngress,
    SecurityGroupRule,
    Subnet,
    SubnetRouteTableAssociation,
)
from troposphere.logs import LogGroup

from generators.infra import questions
from generators.infra.encryption import Keys
from generators.infra.questions import Asked
from generators.kit import contracts, publishing, regions
from generators.kit.builder import Builder
from generators.kit.functions import Surroundings, helper_function
from generators.kit.iam import allow, encrypt_logs, role, trust
from generators.kit.services import ENDPOINTS

# A group without any egress rule of its own is given one to everywhere; this one matches nothing.
NOWHERE = SecurityGroupRule(
    CidrIp="255.255.255.255/32",
    IpProtocol="icmp",
    FromPort=252,
    ToPort=86,
    Description="Keeps AWS from adding a rule to anywhere",
)


@dataclass(frozen=True)
class Groups:
    """Security groups: of jobs and builds, of Studio, of the endpoints."""

    compute: SecurityGroup
    studio: SecurityGroup
    vpce: SecurityGroup


@dataclass(frozen=True)
class Network:
    """Where Studio, jobs and endpoints live. `subnets` is what was published, new or existing, comma-separated."""

    vpc_id: Any
    subnets: GetAtt
    groups: Groups
    route_table: RouteTable

    @property
    def studio_vpcs(self) -> If:
        """Give the VPCs that Studio may be opened through, comma-separated."""
        return If("HasStudioVpc", Join(",", [self.vpc_id, Ref(questions.STUDIO_VPC.name)]), self.vpc_id)

    @property
    def subnet_ids(self) -> Split:
        """Give the subnets as a list."""
        return Split(",", self.subnets)


def build(b: Builder, asked: Asked, keys: Keys, boundary: Any, around: Surroundings) -> Network:
    """Add the network."""
    facts = _facts(b, asked, around)
    vpc_id, subnet_ids, table = _vpc(b, asked, facts)
    groups = _security_groups(b, asked, vpc_id, facts)
    _flow_logs(b, asked, keys, boundary)
    b.publish(contracts.VPC_ID, vpc_id)
    b.output("VpcCheck", "What an existing VPC lacks for the default features.", GetAtt(facts, "VpcCheck"))
    published = b.publish(contracts.SUBNET_IDS, Join(",", subnet_ids))
    b.publish(contracts.COMPUTE_SECURITY_GROUP_ID, Ref(groups.compute))
    b.publish(contracts.STUDIO_SECURITY_GROUP_ID, Ref(groups.studio))
    b.publish(contracts.VPCE_SECURITY_GROUP_ID, Ref(groups.vpce))
    return Network(vpc_id, GetAtt(published, "Value"), groups, table)


def _facts(b: Builder, asked: Asked, around: Surroundings) -> CustomResource:
    b.mapping("Regions", {
        region.name: {"Zones": ",".join(region.zones)}
        for region in regions.launch_regions()
    })  # fmt: skip
    has_zones = b.when("HasZones", questions.given(questions.ZONE_IDS))
    look_up = helper_function(
        b,
        "network_facts",
        "Tells which zones serve every endpoint of the platform, and the id of the S3 prefix list",
        [allow("ReadRegion", ["ec2:DescribeAvailabilityZones", "ec2:DescribeManagedPrefixLists",
                              "ec2:DescribeVpcAttribute", "ec2:DescribeVpcEndpoints", "ec2:DescribeVpcEndpointServices"], "*")],
        around,
        timeout=60,
    )  # fmt: skip
    return b.add(
        CustomResource(
            "NetworkFacts",
            ServiceToken=GetAtt(look_up, "Arn"),
            ServiceTimeout=120,
            Region=Region,
            ZonesWanted=If(asked.creates_vpc, asked[questions.SUBNET_COUNT], "0"),
            ZonesGiven=If(has_zones, asked[questions.ZONE_IDS], ""),
            ZonesPreferred=troposphere.FindInMap("Regions", Region, "Zones"),
            Services=[If(endpoint.condition, Sub(endpoint.service), NoValue) for endpoint in ENDPOINTS],
            ExistingVpcId=asked[questions.EXISTING_VPC],
            MakesS3Gateway=If("HasRouteTables", "true", "false"),
            # CloudFormation asks again only when a property changes: each release looks at an existing VPC anew.
            PlatformVersion=publishing.version(),
            NeededServices=[Sub(endpoint.service) for endpoint in ENDPOINTS if endpoint.core],
        )
    )


def _vpc(b: Builder, asked: Asked, facts: CustomResource) -> tuple[Any, Any, RouteTable]:
    new = asked.creates_vpc
    third = b.when(
        "CreatesThirdSubnet", troposphere.And(troposphere.Condition(new), Equals(asked[questions.SUBNET_COUNT], "3"))
    )
    vpc = b.add(
        VPC(
            "Vpc",
            CidrBlock=asked[questions.VPC_CIDR],
            EnableDnsSupport=True,
            EnableDnsHostnames=True,
            Tags=_named("vpc"),
        ),
        when=new,
    )
    table = b.add(RouteTable("PrivateRouteTable", VpcId=Ref(vpc), Tags=_named("private")), when=new)
    subnets = []
    for index, letter in enumerate("ABC"):
        when = third if letter == "C" else new
        subnet = b.add(
            Subnet(
                f"Subnet{letter}",
                VpcId=Ref(vpc),
                AvailabilityZoneId=GetAtt(facts, f"Zone{letter}"),
                CidrBlock=Select(index, Cidr(asked[questions.VPC_CIDR], 3, 12)),
                MapPublicIpOnLaunch=False,
                Tags=_named(f"private-{letter.lower()}"),
            ),
            when=when,
        )
        b.add(
            SubnetRouteTableAssociation(f"Subnet{letter}Routes", SubnetId=Ref(subnet), RouteTableId=Ref(table)),
            when=when,
        )
        subnets.append(subnet)
    ids = [Ref(subnets[0]), Ref(subnets[1]), If(third, Ref(subnets[2]), NoValue)]
    existing = Split(",", asked[questions.EXISTING_SUBNETS])
    return If(new, Ref(vpc), asked[questions.EXISTING_VPC]), If(new, ids, existing), table


def _security_groups(b: Builder, asked: Asked, vpc_id: Any, facts: CustomResource) -> Groups:
    """Add a group for Studio, one for jobs and builds, and one for the endpoints they reach.

    Studio's group lets nothing in: with a rule on itself, every user's apps would be open to every other user's
    (https://docs.aws.amazon.com/sagemaker/latest/dg/studio-updated-and-internet-access.html). The workers of a
    distributed job have to talk to each other, hence the rule on the group of the jobs."""
    made = {
        name: b.add(SecurityGroup(f"{name}SecurityGroup", GroupDescription=what, VpcId=vpc_id,
                                  SecurityGroupEgress=[NOWHERE], Tags=_named(name.lower())))
        for name, what in (("Compute", "Jobs and builds"), ("Studio", "Studio apps"), ("Vpce", "VPC endpoints"))
    }  # fmt: skip
    hub = b.when("HasExistingEndpoints", questions.given(questions.EXISTING_ENDPOINTS_CIDR))
    https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
    vpce = GetAtt(made["Vpce"], "GroupId")
    for name in ("Compute", "Studio"):
        own = GetAtt(made[name], "GroupId")
        b.add(SecurityGroupIngress(f"VpceFrom{name}", GroupId=vpce, SourceSecurityGroupId=own,
                                   Description="HTTPS from our own groups", **https))  # fmt: skip
        b.add(SecurityGroupEgress(f"{name}ToVpce", GroupId=own, DestinationSecurityGroupId=vpce,
                                  Description="HTTPS to the VPC endpoints", **https))  # fmt: skip
        b.add(SecurityGroupEgress(f"{name}ToS3", GroupId=own, DestinationPrefixListId=GetAtt(facts, "S3PrefixListId"),
                                  Description="HTTPS to S3 through the gateway endpoint", **https))  # fmt: skip
        b.add(SecurityGroupEgress(f"{name}ToExistingEndpoints", GroupId=own, CidrIp=asked[questions.EXISTING_ENDPOINTS_CIDR],
                                  Description="HTTPS to endpoints that exist already", **https), when=hub)  # fmt: skip
    workers = {"IpProtocol": "tcp", "FromPort": 8192, "ToPort": 65535, "Description": "Workers of a distributed job"}
    own = GetAtt(made["Compute"], "GroupId")
    b.add(SecurityGroupIngress("ComputeFromCompute", GroupId=own, SourceSecurityGroupId=own, **workers))
    b.add(SecurityGroupEgress("ComputeToCompute", GroupId=own, DestinationSecurityGroupId=own, **workers))
    # Their traffic is encrypted by IPsec: https://docs.aws.amazon.com/sagemaker/latest/dg/train-encrypt.html
    for name, ipsec in {
        "Keys": {
            "IpProtocol": "udp",
            "FromPort": 500,
            "ToPort": 500,
            "Description": "Keys of encrypted traffic of workers",
        },
        "Packets": {"IpProtocol": "50", "FromPort": -1, "ToPort": -1, "Description": "Encrypted traffic of workers"},
    }.items():
        ignored = (
            {"W3687": "The protocol has no ports; troposphere asks for them all the same."}
            if name == "Packets"
            else None
        )
        b.add(
            SecurityGroupIngress(f"{name}FromCompute", GroupId=own, SourceSecurityGroupId=own, **ipsec), accept=ignored
        )
        b.add(
            SecurityGroupEgress(f"{name}ToCompute", GroupId=own, DestinationSecurityGroupId=own, **ipsec),
            accept=ignored,
        )
    return Groups(made["Compute"], made["Studio"], made["Vpce"])


def _flow_logs(b: Builder, asked: Asked, keys: Keys, boundary: Any) -> None:
    wanted = b.when(
        "HasFlowLogs",
        troposphere.And(troposphere.Condition(asked.creates_vpc), Equals(asked[questions.FLOW_LOGS], "yes")),
    )
    logs = b.add(
        LogGroup("FlowLogGroup", KmsKeyId=keys.arn, RetentionInDays=Ref("LogRetentionInDays")),
        when=wanted,
        holds_data=True,
    )
    writer = b.add(
        role(
            "FlowLogRole",
            "Writes the flow logs of the VPC",
            trust("vpc-flow-logs.amazonaws.com"),
            [
                allow(
                    "WriteFlowLogs",
                    ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
                    GetAtt(logs, "Arn"),
                ),
                encrypt_logs(keys.arn),
            ],
            boundary,
        ),
        when=wanted,
    )
    b.add(
        FlowLog("VpcFlowLog", ResourceId=Ref("Vpc"), ResourceType="VPC", TrafficType="ALL", MaxAggregationInterval=60,
                LogDestinationType="cloud-watch-logs", LogGroupName=Ref(logs), DeliverLogsPermissionArn=GetAtt(writer, "Arn")),
        when=wanted,
    )  # fmt: skip


def _named(what: str) -> Tags:
    return Tags(Name=Sub(f"${{AWS::StackName}}-{what}"))
