"""Policies of VPC endpoints: requests of our own to resources of our own, AWS services on our behalf, and what is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from troposphere import Equals as Equal
from troposphere import If, Not, Ref, Split

from generators.kit.builder import Builder
from generators.kit.iam import Statement, allow
from generators.kit.parameters import Question

ORGANIZATION = Question(
    "OrganizationId",
    "Organization",
    "Network",
    "Organization whose accounts requests from the VPC may come from and reach, instead of the accounts above; may be empty.",
    default="",
    pattern=r"^(o-[a-z0-9]{10,32})?$",
    constraint="An organization id such as o-a1b2c3d4e5, or empty.",
)


@dataclass(frozen=True)
class Trusted:
    """Whose requests pass, and whose resources they may reach: the organization's, or the listed accounts'."""

    condition: str
    organization: Ref
    accounts: Split

    def principals(self, also: Mapping[str, Any] | None = None) -> If:
        """Make the condition that a request is of our own, and what `also` says."""
        more = dict(also or {})
        return If(
            self.condition,
            {"StringEquals": {"aws:PrincipalOrgID": self.organization, **more}},
            {"StringEquals": {"aws:PrincipalAccount": self.accounts, **more}},
        )

    def both(self) -> If:
        """Make the condition that a request is of our own and reaches our own."""
        return If(
            self.condition,
            {"StringEquals": {"aws:PrincipalOrgID": self.organization, "aws:ResourceOrgID": self.organization}},
            {"StringEquals": {"aws:PrincipalAccount": self.accounts, "aws:ResourceAccount": self.accounts}},
        )


def trusted(b: Builder, accounts: Any) -> Trusted:
    """Ask for the organization; `accounts` is a comma-separated list."""
    organization = b.ask(ORGANIZATION)
    return Trusted(b.when("HasOrganization", Not(Equal(organization, ""))), organization, Split(",", accounts))


def endpoint_statements(service: str, whom: Trusted) -> list[Statement]:
    """Make the statements that every endpoint policy has.

    Source: https://github.com/aws-samples/data-perimeter-policy-examples (vpc_endpoint_policies)"""
    return [
        allow("Ours", f"{service}:*", "*", whom.both(), Principal="*"),
        allow("AwsServices", f"{service}:*", "*", {"Bool": {"aws:PrincipalIsAWSService": "true"}}, Principal="*"),
    ]
