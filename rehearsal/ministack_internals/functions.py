"""Functions and state machines: who answers for them, and as whom they run."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Mapping
from typing import Any

from rehearsal.errors import Refused
from rehearsal.ministack_internals.access import assume, refusal, trusts
from rehearsal.ministack_internals.common import CLOUDFORMATION, module, patch

# A function that ends without answering its ResponseURL keeps CloudFormation waiting for an hour; a rehearsal fails,
# unless a state machine runs that was given the event: it may answer as late as it likes.
ANSWER_LIMIT = 60.0

# Physical ids of custom resources whose creation was answered with FAILED, by stack and logical id.
refused_creations: dict[tuple[str, str], str] = {}
_state_machine: contextvars.ContextVar[tuple[str, str]] = contextvars.ContextVar("state_machine", default=("", ""))


def answer_for_functions() -> None:
    """Answer FAILED for a custom resource's function that raised or ended in silence: ministack would wait on."""
    functions = module("services.lambda_svc")
    custom = module(f"{CLOUDFORMATION}.custom_resource")
    original, deliver = functions._execute_function_with_config_scope, custom.deliver_response

    def delivered(token: str, response: Mapping[str, Any]) -> Any:
        if response.get("Status") == "FAILED" and response.get("PhysicalResourceId"):
            where = (str(response.get("StackId")), str(response.get("LogicalResourceId")))
            refused_creations[where] = response["PhysicalResourceId"]
        return deliver(token, response)

    def fail(token: str, reason: str) -> None:
        entry = custom._pending.get(token)
        if entry is not None and entry["result"] is None:  # the first answer counts
            custom.deliver_response(token, {"Status": "FAILED", "Reason": reason})

    def execute(function: Mapping[str, Any], event: Any) -> Any:
        result = original(function, event)
        if isinstance(event, dict) and "ResponseURL" in event:
            token = event["ResponseURL"].rpartition("/")[2]
            name = function.get("config", function).get("FunctionName")
            if result.get("error") or result.get("throttle"):
                fail(token, f"function {name} raised instead of answering: {result.get('body')}")
            silence = f"function {name} ended and did not answer its ResponseURL within {ANSWER_LIMIT:.0f} seconds"
            threading.Thread(target=watch, args=(event["ResponseURL"], token, silence), daemon=True).start()
        return result

    def watch(url: str, token: str, silence: str) -> None:
        deadline = time.monotonic() + ANSWER_LIMIT
        while token in custom._pending and (time.monotonic() < deadline or _is_in_good_hands(url)):
            time.sleep(1)
        fail(token, silence)

    patch("_execute_function_with_config_scope", execute, functions)
    patch("deliver_response", delivered, custom)


def run_state_machines_as_their_role() -> None:
    """Hold each function that a state machine invokes against the policies of the machine's role."""
    machines = module("services.stepfunctions")
    run, call = machines._run_execution, machines._call_lambda

    def run_as_role(execution: str) -> None:
        arn = machines._executions[execution]["stateMachineArn"]
        _state_machine.set((arn, (machines._state_machines.get(arn) or {}).get("roleArn", "")))
        run(execution)

    def call_as_role(function: str, event: Any) -> Any:
        machine, role = _state_machine.get()
        _, config, _ = module("services.lambda_svc")._get_func_record_for_ref(function)
        if role and config:
            arn = config["FunctionArn"]
            try:
                key = assume(role, machine, "states").access_key
                refused = refusal(key, "lambda:InvokeFunction", arn, arn.split(":")[3], {})
            except Refused as error:
                refused = str(error)
            if refused:
                raise machines._ExecutionError("Lambda.AWSLambdaException", refused)
        return call(function, event)

    patch("_run_execution", run_as_role, machines)
    patch("_call_lambda", call_as_role, machines)


def _is_in_good_hands(url: str) -> bool:
    """Tell whether a state machine runs that was given an event with this ResponseURL."""
    executions = list(module("services.stepfunctions")._executions._data.values())
    return any(made["status"] == "RUNNING" and url in made["input"] for made in executions)


def deliver_events_as_permitted() -> None:
    """Invoke a rule's function only when the function's own policy lets EventBridge; AWS drops the event otherwise. The
    account's administrator speaks for AWS's own sources, which the rehearsal does not play."""
    events, lambdas = module("services.eventbridge"), module("services.lambda_svc")
    put, invoke = events._put_events, events._invoke_target

    def put_as_aws(data: Any, allow_aws_source: bool = False) -> Any:
        sender = module("core.iam_evaluator").caller_arn()
        return put(data, allow_aws_source or sender.endswith(":root"))

    def invoke_if_permitted(target: Mapping[str, Any], event: Any, rule: Mapping[str, Any], view: Any = None) -> None:
        found = lambdas.function_policy_for_arn(target["Arn"]) if ":function:" in target["Arn"] else None
        if found is None or trusts(found[0], "events", "lambda:InvokeFunction", target["Arn"], rule["Arn"]):
            invoke(target, event, rule, view)

    patch("_put_events", put_as_aws, events)
    patch("_invoke_target", invoke_if_permitted, events)
