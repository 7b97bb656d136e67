"""Helper functions: `lambdas/<name>/` becomes a function with a role, a log group and a place for events that failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from troposphere import GetAtt, Ref
from troposphere.awslambda import (
    Code,
    DestinationConfig,
    Environment,
    EventInvokeConfig,
    Function,
    LoggingConfig,
    OnFailure,
)
from troposphere.logs import LogGroup

from generators.kit import publishing
from generators.kit.builder import Builder
from generators.kit.errors import MissingAsset
from generators.kit.iam import allow, encrypt_logs, role, trust

RUNTIME = "python3.13"


@dataclass(frozen=True)
class Surroundings:
    """What every helper function of a stack shares: key and retention of its logs, boundary of its role."""

    key_arn: Any
    retention: Any
    boundary: Any


def logical_name(folder: str) -> str:
    """Turn a folder name into a logical id: `quota_check` becomes `QuotaCheck`."""
    return "".join(word.capitalize() for word in folder.split("_"))


def helper_function(
    b: Builder,
    name: str,
    description: str,
    statements: Sequence[Any],
    around: Surroundings,
    *,
    timeout: int,
    failures: Any = None,
    environment: Mapping[str, Any] | None = None,
) -> Function:
    """Add the function of `lambdas/<name>/`. `timeout` in seconds; `failures` is the queue that takes failed events;
    `environment` is what it finds beside the platform's own variables.

    It runs outside the VPC: inside, it would need an endpoint for every service it calls, and a custom resource's answer
    would have to leave through the S3 endpoint."""
    if not (publishing.ROOT / "lambdas" / name / "handler.py").is_file():
        raise MissingAsset("function", name, f"lambdas/{name}/handler.py")
    title = logical_name(name)
    logs = b.add(
        LogGroup(
            f"{title}LogGroup",
            KmsKeyId=around.key_arn,
            RetentionInDays=around.retention,
        ),
        holds_data=True,
    )
    own = [
        allow("WriteOwnLogs", ["logs:CreateLogStream", "logs:PutLogEvents"], GetAtt(logs, "Arn")),
        encrypt_logs(around.key_arn),
    ]
    if failures is not None:
        own.append(allow("KeepFailedEvents", "sqs:SendMessage", failures))
        own.append(allow("EncryptFailedEvents", ["kms:Decrypt", "kms:GenerateDataKey"], around.key_arn))
    runs_as = b.add(
        role(f"{title}Role", description, trust("lambda.amazonaws.com"), [*own, *statements], around.boundary)
    )
    function = b.add(
        Function(
            f"{title}Function",
            Description=description,
            Runtime=RUNTIME,
            Handler="handler.handler",
            Code=Code(
                S3Bucket=publishing.assets_bucket(), S3Key=publishing.release_prefix() + publishing.function_key(name)
            ),
            Role=GetAtt(runs_as, "Arn"),
            Timeout=timeout,
            MemorySize=256,
            Environment=Environment(
                Variables={
                    "POWERTOOLS_SERVICE_NAME": name.replace("_", "-"),
                    "POWERTOOLS_LOG_LEVEL": "INFO",
                    **(environment or {}),
                }
            ),
            LoggingConfig=LoggingConfig(LogGroup=Ref(logs)),
        ),
        accept={"MLOPS016": "Called by CloudFormation, which waits for the answer and shows the failure."}
        if failures is None
        else None,
    )
    if failures is not None:
        b.add(
            EventInvokeConfig(
                f"{title}Retries",
                FunctionName=Ref(function),
                Qualifier="$LATEST",
                MaximumRetryAttempts=2,
                MaximumEventAgeInSeconds=3600,
                DestinationConfig=DestinationConfig(OnFailure=OnFailure(Destination=failures)),
            )
        )
    return function
