"""The only place that touches what is private in ministack (1.5.33, pinned): start-up and services here, IAM in
`access`, the stack engine in `engine`, functions and state machines in `functions`.

`prepare` comes before anything of ministack is imported; each function says what it changes and why."""

from __future__ import annotations

import json
import os
from asyncio import to_thread
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from rehearsal.ministack_internals import access, engine
from rehearsal.ministack_internals.common import module
from rehearsal.provider import Provider

# Waits of state machines pass this much faster: half an hour in two seconds.
WAIT_SCALE = 1 / 1000


def prepare(
    port: int, state: Path, region: str, python_for: Callable[[str], str], provider: Callable[[], Provider]
) -> Callable[..., Awaitable[None]]:
    """Set ministack up for a port and a state folder, and give its ASGI application.

    Buckets with their objects and settings persist, nothing else. Docker and the machine's own credentials are out
    of reach, for the server and for the functions it runs."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "LAMBDA_", "DOCKER_")) or name.lower().endswith("_proxy") or name == "PYTHONPATH":
            del os.environ[name]
    os.environ |= {
        "GATEWAY_PORT": str(port),
        "AUTH": "true",  # every call is held against the caller's policies
        "SFN_WAIT_SCALE": str(WAIT_SCALE),
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": region,
        "LOG_LEVEL": "WARNING",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(state / "settings"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(state / "objects"),
        "DOCKER_HOST": "unix:///nonexistent",
        "SFTP_ENABLED": "0",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    app, runtime = module("app"), module("core.lambda_runtime")
    for service in set(app._state_map) - {"s3"}:
        del app._state_map[service]
    detect, handle = runtime._detect_runtime_binary, app.SERVICE_HANDLERS["cloudformation"]
    installed: list[Provider] = []

    def binary(name: str) -> tuple[str, str]:
        found, script = detect(name)
        return (python_for(name) if name.startswith("python") else found), script

    async def cloudformation(*request: Any) -> Any:
        engine.stack_caller.set(module("core.router").extract_access_key_id(request[2], request[4]))
        # Importing the stack engine takes over a second; a server that is only published to never needs it.
        if not installed:
            installed.append(provider())
            engine.install(installed[0])
        return await handle(*request)

    runtime._detect_runtime_binary = binary
    app.SERVICE_HANDLERS["cloudformation"] = cloudformation
    access.evaluate_as_iam_does()
    access.name_resources_as_iam_does()
    application: Callable[..., Awaitable[None]] = app.app
    return application


def add_service(
    name: str, target: str, answer: Callable[[str, bytes, str, str, str], tuple[int, dict[str, Any]]]
) -> None:
    """Serve a JSON-protocol service; `answer` is given operation, body, account, region and access key, in a thread."""
    router, responses = module("core.router"), module("core.responses")

    async def handle(method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]) -> Any:
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        key = router.extract_access_key_id(headers, query)
        place = (responses.get_account_id(), responses.get_region())
        status, document = await to_thread(answer, operation, body, *place, key)
        return status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(document).encode()

    _serve(name, handle, target_prefixes=[f"{target}."])


def add_rest_service(
    name: str, answer: Callable[[str, str, Mapping[str, Any], bytes, str, str, str], tuple[int, dict[str, Any]]]
) -> None:
    """Serve a REST service; `answer` is given method, path, query, body, account, region and access key, in a thread."""
    router, responses = module("core.router"), module("core.responses")

    async def handle(method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]) -> Any:
        place = (responses.get_account_id(), responses.get_region())
        key = router.extract_access_key_id(headers, query)
        status, document = await to_thread(answer, method, path, query, body, *place, key)
        head = {"Content-Type": "application/json"}
        if "__type" in document:
            head["x-amzn-errortype"] = document["__type"]
        return status, head, json.dumps(document).encode()

    _serve(name, handle)


def _serve(name: str, handle: Callable[..., Any], **patterns: Any) -> None:
    pattern = {**patterns, "host_patterns": [rf"{name}\."], "credential_scope": name}
    module("core.router").SERVICE_PATTERNS[name] = pattern
    module("app").SERVICE_HANDLERS[name] = handle
    # The service itself holds its callers against their policies, on the resource that is meant.
    module("core.iam_actions").SERVICE_TO_IAM_NAMESPACE.pop(name, None)


def add_tags(service: str, tagged: Callable[[str, str], Iterable[tuple[str, list[dict[str, str]]]]]) -> None:
    """Let the tagging API and `aws:ResourceTag` know a service's resources, given account and region, with their tags."""
    tagging, responses = module("services.tagging"), module("core.responses")
    collect = lambda: tagged(responses.get_account_id(), responses.get_region())  # noqa: E731
    tagging._COLLECTORS[service] = tagging._RESOURCE_TAG_COLLECTORS[service] = collect


def shut_down() -> None:
    """End the functions that are still warm."""
    module("core.lambda_runtime").reset()
