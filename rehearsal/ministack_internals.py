"""The only file that touches what is private in ministack (1.5.33, pinned): start-up, stack engine, function runner.

`prepare` comes before anything of ministack is imported; each function below says what it changes and why."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from rehearsal.errors import Refused
from rehearsal.ledger import Answer, Request
from rehearsal.provider import Provider
from rehearsal.references import unresolved

# A function that ends without answering its ResponseURL keeps CloudFormation waiting for an hour; a rehearsal fails.
ANSWER_LIMIT = 60.0

_CLOUDFORMATION = "services.cloudformation"
_TEMPLATE_URL = re.compile(
    r"https://(?P<bucket>.+?)\.s3(?:[.-](?:dualstack\.)?[a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?/(?P<key>.+)"
)
_OTHER_PARTITIONS = ("cn-", "us-gov-", "us-iso", "eu-iso", "eusc-")


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
    app, runtime = _module("app"), _module("core.lambda_runtime")
    for service in set(app._state_map) - {"s3"}:
        del app._state_map[service]
    detect, handle = runtime._detect_runtime_binary, app.SERVICE_HANDLERS["cloudformation"]
    installed: list[Provider] = []

    def binary(name: str) -> tuple[str, str]:
        found, script = detect(name)
        return (python_for(name) if name.startswith("python") else found), script

    async def cloudformation(*request: Any) -> Any:
        # Importing the stack engine takes over a second; a server that is only published to never needs it.
        if not installed:
            installed.append(provider())
            _install(installed[0])
        return await handle(*request)

    runtime._detect_runtime_binary = binary
    app.SERVICE_HANDLERS["cloudformation"] = cloudformation
    application: Callable[..., Awaitable[None]] = app.app
    return application


def shut_down() -> None:
    """End the functions that are still warm."""
    _module("core.lambda_runtime").reset()


def object_exists(bucket: str, key: str) -> bool:
    """Tell whether the S3 of the account that is asking has an object."""
    held = _module("services.s3")._buckets.get(bucket)
    return held is not None and key in held["objects"]


def standing() -> list[tuple[str, str]]:
    """List (stack id, logical id) of everything that stacks say they have, in all accounts and regions."""
    stacks = _module(_CLOUDFORMATION)._stacks._data.values()
    return [(stack["StackId"], name) for stack in stacks for name in stack.get("_resources", ())]


def _install(provider: Provider) -> None:
    names = ("engine", "stacks", "handlers", "changesets", "provisioners", "helpers")
    engine, stacks, handlers, changesets, provisioners, helpers = (
        _module(f"{_CLOUDFORMATION}.{name}") for name in names
    )
    # ministack reads YAML in pure Python, a second for a template of 200 kB; libyaml takes a tenth of that.
    constructors = {"yaml_constructors": engine.CfnLoader.yaml_constructors}
    engine.CfnLoader = type("CfnLoader", (engine.yaml.CSafeLoader,), constructors)
    _patch("_evaluate_conditions", _conditions(engine), engine, stacks, handlers, changesets)
    _patch("validate_template_support", _support(engine, provisioners, provider), engine, handlers, changesets)
    _patch("_resolve_document", _template_urls(helpers._resolve_document), helpers)
    for name, function in _resource_calls(provisioners, provider).items():
        _patch(name, function, provisioners, stacks)
    nested = provisioners._RESOURCE_HANDLERS["AWS::CloudFormation::Stack"]
    nested["delete"] = _nested_delete(nested["delete"], provisioners, stacks)
    _answer_for_functions()


def _nested_delete(delete: Callable[..., None], provisioners: Any, stacks: Any) -> Callable[..., None]:
    """Delete a nested stack but for what its own template retains: ministack deletes everything in it."""
    package = _module(_CLOUDFORMATION)

    def keep_and_delete(physical_id: str, properties: Mapping[str, Any]) -> None:
        child = package._stacks.get(provisioners._nested_stack_lookup_name(physical_id))
        if child:
            others: list[dict[str, Any]] = list(package._stacks.values())
            parent = next((stack for stack in others if stack["StackId"] == child.get("ParentId")), {})
            rolls_back = "ROLLBACK" in parent.get("StackStatus", "")
            kept = {"Retain"} if rolls_back else {"Retain", "RetainExceptOnCreate"}
            for name, resource in child["_template"]["Resources"].items():
                if resource.get("DeletionPolicy") in kept and name in child["_resources"]:
                    held = child["_resources"].pop(name)
                    identity = (child["StackId"], child["StackName"], name, held["ResourceType"], "DELETE_SKIPPED")
                    stacks._add_event(*identity, physical_id=held["PhysicalResourceId"])
        delete(physical_id, properties)

    return keep_and_delete


def _module(name: str) -> Any:
    """Import a module of ministack, which says nothing about its types."""
    return import_module(f"ministack.{name}")


def _patch(name: str, replacement: Callable[..., Any], *modules: Any) -> None:
    """Put a function in place of another in every module that imported it by name."""
    for module in modules:
        getattr(module, name)  # a name that is gone must fail here
        setattr(module, name, replacement)


def _conditions(engine: Any) -> Callable[..., dict[str, bool]]:
    """Evaluate conditions with every function that may stand there: ministack compares pseudo parameters and
    Fn::FindInMap as they are written."""

    def evaluate(template: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, bool]:
        definitions, mappings = template.get("Conditions") or {}, template.get("Mappings") or {}
        done: dict[str, bool] = {}

        def condition(name: str) -> bool:
            if name not in definitions:
                raise ValueError(f"Template format error: Unresolved condition dependency {name}")
            if name not in done:
                done[name] = bool(value(definitions[name]))
            return done[name]

        def value(node: Any) -> Any:
            function, argument = next(iter(node.items())) if isinstance(node, dict) and node else ("", node)
            if function == "Condition":
                return condition(argument)
            if function in ("Fn::And", "Fn::Or"):
                return (all if function == "Fn::And" else any)(value(item) for item in argument)
            if function == "Fn::Not":
                return not value(argument[0])
            if function == "Fn::Equals":
                return str(value(argument[0])) == str(value(argument[1]))
            return engine._resolve_refs(node, {}, params, done, mappings, "", "")

        return {name: condition(name) for name in definitions}

    return evaluate


def _support(engine: Any, provisioners: Any, provider: Provider) -> Callable[..., None]:
    """Before anything is made: refuse types that the region lacks and references that lead nowhere. Types that only
    the registry knows pass ministack's own check, which evaluates the Rules."""
    original = engine.validate_template_support

    def support(template: Any, conditions: Mapping[str, bool], params: Any = None) -> None:
        region = engine.get_region()
        if region.startswith(_OTHER_PARTITIONS):
            raise ValueError(f"{region} is not in the partition aws, the only one that the rehearsal plays")
        # ValidateTemplate (no parameters) asks for every type, whatever its condition; CreateStack for those it makes:
        # https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1825
        true = conditions if params is not None else {}
        resources = (template.get("Resources") or {}).values()
        used = {made.get("Type", "") for made in resources if true.get(made.get("Condition"), True)}
        if missing := sorted(name for name in used if provider.registry.get(region, name) is None):
            raise ValueError(f"Template format error: Unrecognized resource types: [{', '.join(missing)}] in {region}")
        for name in used:
            if not name.startswith("Custom::"):
                _follow_schema(provisioners, provider, region, name)
        original(template, conditions, params=params)
        if params is not None and (nowhere := unresolved(template, conditions)):
            raise ValueError(f"Template format error: Unresolved resource dependencies {'; '.join(nowhere)}")

    return support


def _follow_schema(provisioners: Any, provider: Provider, region: str, name: str) -> None:
    """Make a type known; where ministack has no word on what replaces it and where its tags go, the schema has."""
    schema = provider.registry.get(region, name)
    assert schema is not None
    if provisioners._RESOURCE_HANDLERS.setdefault(name, {}):
        fixed = tuple(path[0] for path in schema.paths("createOnlyProperties") if len(path) == 1)
        provisioners._REPLACING_PROPERTIES.setdefault(name, fixed)
    if schema.tags:
        provisioners._STACK_TAG_PROPERTY.setdefault(name, schema.tags)


def _template_urls(original: Callable[..., Any]) -> Callable[..., Any]:
    """Read virtual-host S3 URLs, as launch links carry them, from the emulator's S3."""

    def resolve(params: Mapping[str, Any], body_key: str, url_key: str, label: str) -> Any:
        given = params.get(url_key)
        if parts := _TEMPLATE_URL.fullmatch((given[0] if isinstance(given, list) else given) or ""):
            params = {**params, url_key: [f"https://s3.amazonaws.com/{parts['bucket']}/{parts['key']}"]}
        return original(params, body_key, url_key, label)

    return resolve


def _resource_calls(provisioners: Any, provider: Provider) -> dict[str, Callable[..., Any]]:
    """Hand every create, update and delete of the stack engine to the provider, with ministack's own code as `live`."""
    names = ("_provision_resource", "_update_resource", "_delete_resource")
    create, update, delete = (getattr(provisioners, name) for name in names)
    own = {name: handler for name, handler in provisioners._RESOURCE_HANDLERS.items() if handler}
    package = _module(_CLOUDFORMATION)

    def ask(live: Callable[[], Answer], action: str, rtype: str, stack: str, **facts: Any) -> Answer:
        handler = own[rtype]["create"].__name__.strip("_") if rtype in own else None
        if rtype.startswith("Custom::") or rtype == "AWS::CloudFormation::CustomResource":
            handler = "function behind ServiceToken"
        stack_id = package._stacks[stack]["StackId"]
        events = reversed(package._stack_events[stack_id])
        current = next(event for event in events if event["ResourceType"] == "AWS::CloudFormation::Stack")
        operation = {"operation": current["EventId"], "phase": current["ResourceStatus"]}
        scope = {"account": provisioners.get_account_id(), "region": provisioners.get_region()}
        request = Request(action=action, type=rtype, stack=stack, stack_id=stack_id, **operation, **scope, **facts)
        return provider.answer(request, live, handler)

    def provision(rtype: str, logical_id: str, props: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        kept = {**props, "Layers": _here(props["Layers"])} if "Layers" in props else props
        done = ask(
            lambda: Answer(*create(rtype, logical_id, kept, stack)),
            "create",
            rtype,
            stack,
            logical_id=logical_id,
            properties=props,
        )
        return done.physical_id, dict(done.attributes)

    def change(
        rtype: str,
        physical_id: str,
        old: dict[str, Any],
        new: dict[str, Any],
        stack: str,
        logical_id: str,
        attributes: Any = None,
    ) -> tuple[str, dict[str, Any]]:
        arguments = (rtype, physical_id, old, new, stack, logical_id, attributes)
        done = ask(
            lambda: Answer(*update(*arguments)),
            "update",
            rtype,
            stack,
            logical_id=logical_id,
            properties=new,
            previous=old,
            physical_id=physical_id,
        )
        return done.physical_id, dict(done.attributes)

    def remove(rtype: str, physical_id: str, props: dict[str, Any], stack: str = "", logical_id: str = "") -> None:
        def live() -> Answer:
            if rtype == "AWS::S3::Bucket" and not _is_empty(physical_id):
                raise Refused(f"The bucket you tried to delete is not empty: {physical_id}")
            delete(rtype, physical_id, props, stack, logical_id)
            return Answer(physical_id)

        ask(live, "delete", rtype, stack, logical_id=logical_id, properties=props, physical_id=physical_id)

    def _here(layers: list[str]) -> list[str]:
        # Layers of other accounts (AWS publishes Powertools as one) are not here; the interpreter brings their modules.
        return [arn for arn in layers if str(arn).split(":")[4:5] == [provisioners.get_account_id()]]

    return dict(zip(names, (provision, change, remove), strict=True))


def _is_empty(bucket: str) -> bool:
    """Tell whether a bucket holds nothing, no version either: CloudFormation deletes no other, ministack would."""
    s3 = _module("services.s3")
    held = s3._buckets.get(bucket) or {"objects": {}}
    return not held["objects"] and not any(name == bucket and kept for (name, _), kept in s3._object_versions.items())


def _answer_for_functions() -> None:
    """Answer FAILED for a custom resource's function that raised or ended in silence: ministack would wait on."""
    functions = _module("services.lambda_svc")
    custom = _module(f"{_CLOUDFORMATION}.custom_resource")
    original = functions._execute_function_with_config_scope

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
            timer = threading.Timer(ANSWER_LIMIT, fail, (token, silence))
            timer.daemon = True
            timer.start()
        return result

    functions._execute_function_with_config_scope = execute
