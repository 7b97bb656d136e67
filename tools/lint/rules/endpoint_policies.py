"""MLOPS012: an endpoint policy is a filter; each of its doors has a condition."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tools.lint.model import Problem, Rule, Template
from tools.lint.policies import statements

# Buckets of AWS that are read without credentials of ours, by URLs that AWS signed, or by package managers:
# https://github.com/aws-samples/data-perimeter-policy-examples/tree/main/vpc_endpoint_policies
AWS_BUCKETS = re.compile(
    r"arn:\$\{AWS::Partition\}:s3:::(prod-\$\{AWS::Region\}-starport-layer-bucket|cloudformation-custom-resource-response-\$\{\w+\}"
    r"|al2023-repos-\$\{AWS::Region\}-de612dc2|amazonlinux-2-repos-\$\{AWS::Region\}|amazonlinux\.\$\{AWS::Region\}\.amazonaws\.com"
    r"|packages\.\$\{AWS::Region\}\.amazonaws\.com|repo\.\$\{AWS::Region\}\.amazonaws\.com)/\*"
)


def check(template: Template) -> Iterator[Problem]:
    """Find endpoints without a policy, and statements that let anybody reach anything through one."""
    for endpoint in template.resources("AWS::EC2::VPCEndpoint"):
        if any(value is None for value in template.values(endpoint.properties, "PolicyDocument")):
            mend = "set PolicyDocument, or accept it with the page that says the service takes none"
            yield Problem(endpoint.name, "Any account's resources can be reached through the endpoint", mend)
    for statement in statements(template, "endpoint"):
        owned = bool(statement.resources) and all(map(AWS_BUCKETS.fullmatch, statement.resources))
        if statement.allows and not statement.condition and not owned:
            mend = "add a condition on aws:PrincipalAccount and aws:ResourceAccount"
            yield Problem(
                statement.resource.name, f"'{statement.label}' has no condition", mend, about=(statement.label,)
            )


RULE = Rule(
    "MLOPS012",
    "Endpoint policies filter",
    "Without one, data leaves to a bucket of any other account, through an endpoint of ours, with credentials of theirs.",
    check,
)
