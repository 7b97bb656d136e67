"""AWS clients that fail fast where there is no way, and errors that name the action that was denied."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from mlops_cicd.errors import CicdError

# In a VPC a service without an endpoint answers nothing: five seconds tell. Throttling and faults are tried again.
CONFIG = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 6})
_DENIED = frozenset(
    ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "403", "Forbidden",
     "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"]
)  # fmt: skip
_THROTTLED = frozenset(
    ["Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"]
)
# Calls whose IAM action has another name.
_ACTIONS = {
    "s3:HeadObject": "s3:GetObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
}


class PlatformError(CicdError):
    """The platform is wrong, and not what the project gave: settings, permissions, endpoints."""


def client(service: str, region: str) -> Any:
    """Make a client of a service, whose errors know of which service they are."""
    # The stubs know a client only by its literal name.
    make: Any = boto3.client
    return named(make(service, region_name=region, config=CONFIG))


def named(client: Any) -> Any:
    """Have a client's errors name their service: a ClientError only knows its operation."""

    def note(parsed: dict[str, Any], model: Any, **_: Any) -> None:
        if "Error" in parsed:
            parsed["Error"]["Service"] = model.service_model.signing_name

    client.meta.events.register("after-call", note)
    return client


def code_of(error: ClientError) -> str:
    """Return an error's code."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_denied(error: ClientError) -> bool:
    """Say whether a call was refused for lack of a permission."""
    return code_of(error) in _DENIED


def explain(error: ClientError | BotoCoreError) -> str:
    """Return what a person can do about an error that AWS or the network answered with."""
    if not isinstance(error, ClientError):
        return (
            f"AWS can't be reached: {error}. Have the full stack developer check that the network has an endpoint of the service,"
            " then retry the action."
        )
    action = action_of(error)
    message = str(error.response.get("Error", {}).get("Message", "")).strip().rstrip(".")
    code = code_of(error)
    if is_denied(error):
        return (
            f"{action} was denied ({code}: {message}). Have the data science admin update the project's stack; when that changes"
            " nothing, show this line to the full stack developer."
        )
    if code in _THROTTLED:
        return f"{action} was throttled again and again ({message}). Retry the action in a few minutes."
    return f"{action} failed ({code}: {message}). Retry the action; when it stays, show this line to the ML engineer."


def action_of(error: ClientError) -> str:
    """Return the IAM action of the call that failed."""
    service = error.response.get("Error", {}).get("Service", "")
    action = f"{service}:{error.operation_name}" if service else error.operation_name
    return _ACTIONS.get(action, action)
