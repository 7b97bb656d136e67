"""Who may do what: IAM's evaluation, mended where ministack's is short, and sessions that services take."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rehearsal.errors import Refused
from rehearsal.ministack_internals.common import module, patch

# The name under which Service Catalog takes launch roles.
SERVICE_CATALOG = "servicecatalog"


@dataclass(frozen=True)
class Caller:
    """Who signed a request; `principal` is the session's role or the user, and empty for the account itself."""

    arn: str
    principal: str


@dataclass(frozen=True)
class Credentials:
    """A role session's keys."""

    access_key: str
    secret_key: str
    token: str


def caller(access_key: str, account: str) -> Caller:
    """Tell whose access key it is."""
    principal = module("core.iam_evaluator").resolve_principal(access_key, account)
    is_root = principal.type == "Root"
    return Caller(principal.arn, "" if is_root else principal.keys.get("aws:principalarn", principal.arn))


def trusts(policy: Any, service: str, action: str, arn: str, source_arn: str) -> bool:
    """Tell whether a resource's own policy lets an AWS service act on it for a resource of its own."""
    evaluator, (region, account) = module("core.iam_evaluator"), source_arn.split(":")[3:5]
    context = evaluator.EvalContext(
        principal_arn="",
        principal_type="Service",
        principal_account=account,
        action=action,
        resource_arn=arn,
        region=region,
        service_context={"aws:sourceaccount": account, "aws:sourcearn": source_arn},
    )
    told = evaluator.evaluate_resource_policy(policy, context, service=f"{service}.amazonaws.com")
    return bool(told.decision == "Allow")


def refusal(access_key: str, action: str, arn: str, region: str, keys: Mapping[str, Any]) -> str:
    """Say why IAM refuses an action, in IAM's words; empty when it allows it. `keys` are the request's condition keys."""
    denied = module("core.iam_evaluator").enforce(
        access_key, action, action.partition(":")[0], region, resource_arn=arn, service_context=dict(keys)
    )
    if denied is None or not hasattr(denied, "decision"):
        return getattr(denied, "message", "")
    explicit = denied.decision == "Deny"
    return str(module("core.iam_actions").identity_denial_message(action, denied.principal_arn, arn, explicit))


def stand_in(account: str, region: str) -> None:
    """Let a thread of a service belong to an account and region, as the thread of a request does."""
    responses = module("core.responses")
    responses.set_request_account_id(account)
    responses.set_request_region(region)


def secret_of(access_key: str) -> tuple[str, str, str] | None:
    """Give account, secret key and session token of an access key; None when it is nobody's or has ended.

    The account's own key has no secret that anybody could check: it is taken as it comes, here as everywhere."""
    evaluator = module("core.iam_evaluator")
    session = module("services.sts")._sessions.get(access_key) or {}
    account = session.get("AccountId") or evaluator.find_iam_access_key_account(access_key) or access_key
    found = evaluator.resolve_credential(access_key, account)
    if not hasattr(found, "secret_access_key"):
        return None
    is_root = found.principal_type == "Root"
    return found.account_id, "" if is_root else found.secret_access_key, found.session_token or ""


def assume(role_arn: str, source_arn: str, name: str, keys: Mapping[str, str] | None = None) -> Credentials:
    """Let an AWS service take a role for a resource of its own, when the role is there and trusts the service.

    `keys` are condition keys that every request of the session carries."""
    account, service = role_arn.split(":")[4], source_arn.split(":")[2]
    role = module("services.iam")._roles.get_scoped(account, None, role_arn.rpartition("/")[2]) or {"Arn": ""}
    trust = role.get("AssumeRolePolicyDocument")
    if role["Arn"] != role_arn or not trusts(trust, service, "sts:AssumeRole", role_arn, source_arn):
        raise Refused(
            f"{service}.amazonaws.com is not authorized to perform: sts:AssumeRole on resource: {role_arn}. "
            "Make the role, or let its trust policy allow the service."
        )
    made = Credentials(f"ASIA{secrets.token_hex(8).upper()}", secrets.token_hex(20), secrets.token_hex(32))
    session = {
        "Arn": f"arn:aws:sts::{account}:assumed-role/{role['RoleName']}/{name}",
        "UserId": f"{role['RoleId']}:{name}",
        "SecretAccessKey": made.secret_key,
        "SessionToken": made.token,
        "Expiration": time.time() + 3600,
        "AccountId": account,
        "PrincipalType": "AssumedRole",
        "Keys": {key.lower(): value for key, value in (keys or {}).items()},
    }
    module("services.sts").register_session(made.access_key, session)
    return made


def evaluate_as_iam_does() -> None:
    """Resolve policy variables, which ministack compares as they are written; give sessions their role's ARN as
    aws:PrincipalArn, and what a service put into them; look up a resource's tags for boundaries too."""
    evaluator = module("core.iam_evaluator")
    first_match, conditions_met, keys_of, value_of = (
        getattr(evaluator, name)
        for name in ("_first_match", "_conditions_met", "_principal_keys", "_resolve_condition_key")
    )

    def text(written: str, context: Any) -> str | None:
        """Fill in the variables; None when one has no value: such a pattern matches nothing."""
        filled = written
        for whole, name, default in re.findall(r"(\$\{([^},]+)(?:,\s*'([^']*)')?\})", written):
            value = name if name in "*?$" else evaluator._resolve_condition_key(name.strip(), context) or default
            if not isinstance(value, str) or not value:
                return None
            filled = filled.replace(whole, value)
        return filled

    def texts(written: Any, context: Any) -> list[str]:
        filled = [text(str(item), context) for item in (written if isinstance(written, list) else [written])]
        return [item for item in filled if item is not None]

    def match(context: Any, statements: Any, effect: str) -> Any:
        return first_match(context, [resolved(statement, context) for statement in statements], effect)

    def resolved(statement: Any, context: Any) -> Any:
        patterns = [*statement.resources, *statement.not_resources]
        if not any("${" in pattern for pattern in patterns):
            return statement
        known = texts(statement.resources, context), texts(statement.not_resources, context)
        # Nothing left of Resource must not read as "any resource".
        return replace(statement, resources=known[0] or ["-"] * bool(statement.resources), not_resources=known[1])

    def met(conditions: Mapping[str, Any], context: Any) -> bool:
        filled = {
            operator: {key: texts(value, context) for key, value in block.items()}
            for operator, block in (conditions or {}).items()
        }
        return bool(conditions_met(filled, context))

    def keys(credential: Any) -> dict[str, Any]:
        session = module("services.sts")._sessions.get(credential.access_key_id) or {}
        found: dict[str, Any] = {**keys_of(credential), **session.get("Keys", {})}
        if credential.principal_type == "AssumedRole":
            name = evaluator._role_name_from_assumed_arn(credential.principal_arn)
            role = module("services.iam")._roles.get_scoped(credential.account_id, None, name)
            # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html: the role's ARN
            found["aws:principalarn"] = (role or {}).get("Arn", credential.principal_arn)
        return found

    def value(key: str, context: Any) -> Any:
        own = context.principal_keys.get("aws:principalarn") if key.lower() == "aws:principalarn" else None
        return own or value_of(key, context)

    patch("_first_match", match, evaluator)
    patch("_names_condition_key", lambda policies, prefix: True, evaluator)
    patch("_conditions_met", met, evaluator)
    patch("_principal_keys", keys, evaluator, module("services.sts"))
    patch("_resolve_condition_key", value, evaluator)


def name_resources_as_iam_does() -> None:
    """Hold ssm:GetParameters against the ARN of every parameter that it names, where ministack asks for "*"; and actions on log
    groups against NAME:log-stream:STREAM, as https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/
    aws-resource-logs-loggroup.html gives a group's ARN for policies: with :* at its end."""
    actions, evaluator, router = (module(f"core.{name}") for name in ("iam_actions", "iam_evaluator", "router"))
    extract = actions.extract_resource_arn

    def arn_of(
        service: str, method: str, path: str, headers: Any, body: bytes, query: Any, region: str, *more: Any
    ) -> Any:
        if service == "logs":
            found = str(extract(service, method, path, headers, body, query, region, *more) or "*")
            stream = json.loads(body or b"{}").get("logStreamName", "")
            return f"{found}:log-stream:{stream}" if ":log-group:" in found and ":log-stream:" not in found else found
        if service != "ssm" or not headers.get("x-amz-target", "").endswith(".GetParameters"):
            return extract(service, method, path, headers, body, query, region, *more)
        names = [str(name).partition(":")[0] for name in json.loads(body or b"{}").get("Names") or ()]
        arns = [f"arn:aws:ssm:{region}:{more[0]}:parameter/{name.lstrip('/')}" for name in names]
        key, signed = router.extract_access_key_id(headers, query), evaluator._signed_request.get()
        evaluator._signed_request.set(None)  # the signature is checked once, by ministack's own check that follows
        try:
            return next(
                (arn for arn in arns if refusal(key, "ssm:GetParameters", arn, region, {})), arns[0] if arns else "*"
            )
        finally:
            evaluator._signed_request.set(signed)

    patch("extract_resource_arn", arn_of, actions)
