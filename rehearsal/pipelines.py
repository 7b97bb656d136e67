"""CodePipeline, as far as starting goes: an execution of a pipeline that some stack has is written down, none is run."""

from __future__ import annotations

import uuid
from typing import Any

from rehearsal.ledger import Ledger
from rehearsal.services import Call, Json, Service, ServiceError


class Pipelines(Service):
    """StartPipelineExecution."""

    name = "codepipeline"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger
        self._tokens: dict[tuple[str, str, str, str], str] = {}
        self.executions: list[dict[str, Any]] = []

    def start_pipeline_execution(self, call: Call) -> Json:
        """Write an execution down, once per client request token."""
        name = call.request["name"]
        call.allow("codepipeline:StartPipelineExecution", call.arn("codepipeline", name))
        made = self._ledger.of("AWS::CodePipeline::Pipeline", *call.place)
        if name not in {answer.physical_id for _, answer in made}:
            raise ServiceError(
                "PipelineNotFoundException", f"Account '{call.account}' does not have a pipeline with name '{name}'"
            )
        token = (*call.place, name, call.request.get("clientRequestToken") or str(uuid.uuid4()))
        if token not in self._tokens:
            self._tokens[token] = str(uuid.uuid4())
            facts = {"account": call.account, "region": call.region, "caller": call.caller.arn}
            self.executions.append({**facts, "pipelineExecutionId": self._tokens[token], **call.request})
        return {"pipelineExecutionId": self._tokens[token]}
