"""MLOPS004: nothing leads to or from the internet."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tools.lint.model import Problem, Resource, Rule, Template, is_true

GATEWAYS = {
    "AWS::EC2::InternetGateway": "an internet gateway",
    "AWS::EC2::EgressOnlyInternetGateway": "an egress-only internet gateway",
    "AWS::EC2::NatGateway": "a NAT gateway",
    "AWS::EC2::EIP": "a public address",
    "AWS::EC2::EIPAssociation": "a public address",
}
# Type -> properties that give public addresses.
PUBLIC = {
    "AWS::EC2::Subnet": ("MapPublicIpOnLaunch",),
    "AWS::EC2::Instance": ("NetworkInterfaces/*/AssociatePublicIpAddress",),
    "AWS::EC2::LaunchTemplate": ("LaunchTemplateData/NetworkInterfaces/*/AssociatePublicIpAddress",),
    "AWS::AutoScaling::LaunchConfiguration": ("AssociatePublicIpAddress",),
    "AWS::RDS::DBInstance": ("PubliclyAccessible",),
    "AWS::Redshift::Cluster": ("PubliclyAccessible",),
    "AWS::DMS::ReplicationInstance": ("PubliclyAccessible",),
}
ANYWHERE = re.compile(r"0\.0\.0\.0/0|0*::0*/0")
GROUP_RULES = {"AWS::EC2::SecurityGroupIngress": ("",), "AWS::EC2::SecurityGroupEgress": ("",),
               "AWS::EC2::SecurityGroup": ("SecurityGroupIngress/*/", "SecurityGroupEgress/*/")}  # fmt: skip
ROUTES = ("DestinationCidrBlock", "DestinationIpv6CidrBlock")


def check(template: Template) -> Iterator[Problem]:
    """Find gateways, public addresses, routes and security groups open to everywhere."""
    for resource in template.resources():
        if resource.type in GATEWAYS:
            yield Problem(resource.name, f"This is {GATEWAYS[resource.type]}", "remove it, use VPC endpoints")
        for path in PUBLIC.get(resource.type, ()):
            if any(map(is_true, template.values(resource.properties, path))):
                yield Problem(resource.name, f"{path} gives a public address", f"set {path.split('/')[-1]} to false")
        for before in GROUP_RULES.get(resource.type, ()):
            if _open(template, resource, [f"{before}CidrIp", f"{before}CidrIpv6"]):
                yield Problem(
                    resource.name, "The security group is open to everywhere", "name a group or a prefix list"
                )
        if resource.type == "AWS::EC2::Route" and _open(template, resource, ROUTES):
            yield Problem(resource.name, "The route leads everywhere", "name the network it is for")
        if resource.type == "AWS::EC2::SecurityGroup" and "SecurityGroupEgress" not in resource.properties:
            mend = "set SecurityGroupEgress, to one rule that matches nothing when the rules are resources of their own"
            yield Problem(resource.name, "AWS adds a rule to everywhere to a group without SecurityGroupEgress", mend)


def _open(template: Template, resource: Resource, paths: list[str] | tuple[str, ...]) -> bool:
    return any(ANYWHERE.fullmatch(str(value)) for path in paths for value in template.values(resource.properties, path))


RULE = Rule(
    "MLOPS004",
    "Nothing leads to the internet",
    "The platform is for accounts without internet: endpoints are the only way out, security groups name who may come.",
    check,
)
