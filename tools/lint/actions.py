"""What IAM actions do: read or write, from the names in cfn-lint's list of IAM actions and a reviewed list of exceptions.

cfn-lint's list has no access levels. The exceptions were found by holding the verb prefixes against the column "Access level"
of https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any

READ_VERBS = ("get", "list", "describe", "batchget", "batchdescribe", "batchcheck", "lookup", "search", "query", "check",
              "read", "view", "select", "scan", "simulate")  # fmt: skip
# They begin like a read but hand out credentials, take work or change something.
WRITES = frozenset({
    "athena:getsessionendpoint", "backup:searchrecoverypoint", "bedrock-agentcore:getworkloadaccesstoken",
    "bedrock-agentcore:getworkloadaccesstokenforjwt", "bedrock-agentcore:getworkloadaccesstokenforuserid",
    "cloudshell:getfiledownloadurls", "cloudshell:getfileuploadurls", "cognito-identity:getid",
    "cognito-idp:gettokensfromrefreshtoken", "elasticmapreduce:getclustersessioncredentials",
    "elasticmapreduce:getonclusterappuipresignedurl", "elasticmapreduce:getpersistentappuipresignedurl",
    "emr-containers:getmanagedendpointsessioncredentials", "lakeformation:getdataaccess",
    "lambda:checkpointdurableexecution", "license-manager:checkinlicense", "license-manager:checkoutborrowlicense",
    "license-manager:checkoutlicense", "lightsail:getinstanceaccessdetails",
    "lightsail:getrelationaldatabasemasteruserpassword", "redshift-serverless:getcredentials",
    "redshift:getclustercredentials", "redshift:getclustercredentialswithiam", "states:getactivitytask",
    "sts:getdelegatedaccesstoken", "sts:getwebidentitytoken",
})  # fmt: skip
# Their level is Read although they begin otherwise. Invocations are left out: they cost money, so they have to be narrowed.
READS = frozenset({
    "cloudformation:detectstackdrift", "cloudformation:detectstackresourcedrift",
    "cloudformation:estimatetemplatecost", "cloudformation:validatetemplate", "codecommit:gitpull",
    "codecommit:evaluatepullrequestapprovalrules", "dynamodb:conditioncheckitem", "dynamodb:partiqlselect",
    "elasticfilesystem:clientmount", "events:testeventpattern", "iam:generateservicelastaccesseddetails",
    "logs:filterlogevents", "logs:startlivetail", "logs:startquery", "logs:stoplivetail", "logs:stopquery",
    "logs:testmetricfilter", "sagemaker-mlflow:accessui", "sagemaker:renderuitemplate", "sqs:receivemessage",
    "states:validatestatemachinedefinition",
})  # fmt: skip


@cache
def _known() -> dict[str, dict[str, Any]]:
    path = resources.files("cfnlint.data.AdditionalSpecs") / "Policies.json"
    found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


@cache
def expand(pattern: str) -> list[str]:
    """Give the actions a pattern covers, in lower case. A plain name that nobody knows covers itself."""
    service, _, name = pattern.lower().partition(":")
    if "*" not in pattern and "?" not in pattern:
        return [f"{service}:{name}"]
    services = [known for known in _known() if fnmatch.fnmatchcase(known, service)] if service else []
    actions = [f"{known}:{action}" for known in services for action in _known()[known]["Actions"]]
    return [action for action in actions if fnmatch.fnmatchcase(action, f"{service}:{name or '*'}")]


def is_read(action: str) -> bool:
    """Tell whether an action only reads or lists."""
    found = action.lower()
    if found in WRITES:
        return False
    return found in READS or found.partition(":")[2].startswith(READ_VERBS)


def writes(patterns: Iterable[str]) -> list[str]:
    """Give the patterns that cover an action which does more than read."""
    return [pattern for pattern in patterns if not all(is_read(action) for action in expand(pattern) or [pattern])]


def is_service_wide(pattern: str) -> bool:
    """Tell whether a pattern covers everything that a service, or AWS, can do."""
    service, _, name = pattern.partition(":")
    return "*" in service or (bool(name) and not name.strip("*?")) or pattern == "*"
