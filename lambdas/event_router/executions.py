"""Start a pipeline execution once for every change, however often the change is told."""

from __future__ import annotations

import hashlib
from typing import Any

from aws_lambda_powertools.utilities.idempotency import BasePersistenceLayer, IdempotencyConfig, idempotent_function
from botocore.exceptions import ClientError
from events import PUSH, Change, RouterError
from transitions import open_second_stage

STARTED, ALREADY_STARTED = "started", "already-started"
REMEMBERED_SECONDS = 30 * 24 * 3600
SOURCE_ACTION, VARIABLE = "Source", "ModelPackageArn"


class NoPipeline(RouterError):
    """The pipeline does not exist (any more)."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no pipeline {name}: the project has none yet, or is being deleted.")


class Executions:
    """Starts executions and remembers the changes they were started for."""

    def __init__(self, client: Any, store: BasePersistenceLayer) -> None:
        self._client = client
        self._config = IdempotencyConfig(
            expires_after_seconds=REMEMBERED_SECONDS, hash_function="sha256", response_hook=_repeated
        )
        # Its own prefix, since the default holds the function's name, which changes when CloudFormation replaces it.
        self._once = idempotent_function(
            self._start,
            data_keyword_argument="key",
            persistence_store=store,
            config=self._config,
            key_prefix="event-router",
        )

    def start(self, change: Change, pipeline: str, context: Any) -> dict[str, str]:
        """Give `decision`, `execution` (its id) and `reason` (what there is to tell of the second stage). Raises NoPipeline,
        and IdempotencyAlreadyInProgressError while another invocation starts the same change.

        Whatever is raised inside leaves no memory, so the repeated event starts it.
        """
        # Says until when an invocation that dies while it starts something is waited for.
        self._config.register_lambda_context(context)
        found: dict[str, str] = self._once(key=change.key, change=change, pipeline=pipeline)
        return found

    def _start(self, key: str, change: Change, pipeline: str) -> dict[str, str]:
        # The same token in every attempt: when the start succeeded and remembering it failed, CodePipeline knows.
        token = hashlib.sha256(key.encode()).hexdigest()
        try:
            # First, so that a start that succeeded always has its stage opened.
            told = open_second_stage(self._client, pipeline)
            started = self._client.start_pipeline_execution(
                name=pipeline, clientRequestToken=token, **_revision(change)
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "PipelineNotFoundException":
                raise NoPipeline(pipeline) from error
            raise
        return {"decision": STARTED, "execution": started["pipelineExecutionId"], "reason": told}


def _revision(change: Change) -> dict[str, Any]:
    """Give what to run: the very commit or version, not what is the latest by then.

    https://docs.aws.amazon.com/codepipeline/latest/userguide/pipelines-trigger-source-overrides.html
    """
    if change.kind == PUSH:
        source = {"actionName": SOURCE_ACTION, "revisionType": "COMMIT_ID", "revisionValue": change.revision}
        return {"sourceRevisions": [source]}
    return {"variables": [{"name": VARIABLE, "value": change.revision}]}


def _repeated(response: Any, idempotent_data: Any) -> dict[str, str]:
    return {**response, "decision": ALREADY_STARTED}
