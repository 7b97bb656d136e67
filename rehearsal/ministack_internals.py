"""The only file that touches what is private in ministack (1.5.33, pinned): its start-up, stack engine and function runner.

Each function says what it changes and why. `prepare` first, before anything of ministack is imported."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from rehearsal.errors import Refused
from rehearsal.ledger import Request
from rehearsal.provider import Answer, Provider
from rehearsal.references import unresolved

App = Callable[..., Awaitable[None]]

# A function that ended without answering its ResponseURL keeps CloudFormation waiting up to an hour; nobody rehearses that.
ANSWER_LIMIT = 60.0

_ENGINE = "ministack.services.cloudformation."
_TEMPLATE_URL = re.compile(
    r"https://(?P<bucket>.+?)\.s3(?:[.-](?:dualstack\.)?[a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?/(?P<key>.+)"
)


def prepare(port: int, state: Path, region: str, python_for: Callable[[str], str], provider: Callable[[], Provider]) -> App:
    """Set ministack up for one port and state folder, and give its ASGI application.

    Buckets with their objects and settings persist, nothing else. Neither Docker nor any credentials of the
    machine are within reach, of the server and of the functions it runs."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "LAMBDA_", "DOCKER_")) or name.lower().endswith("_proxy") or name == "PYTHONPATH":
            del os.environ[name]
    os.environ |= {
        "GATEWAY_PORT": str(port), "MINISTACK_HOST": "127.0.0.1", "MINISTACK_REGION": region, "LOG_LEVEL": "WARNING",
        "PERSIST_STATE": "1", "STATE_DIR": str(state / "settings"), "S3_PERSIST": "1", "S3_DATA_DIR": str(state / "objects"),
        "DOCKER_HOST": "unix:///nonexistent", "SFTP_ENABLED": "0", "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_SECRET_ACCESS_KEY": "rehearsal",
    }  # fmt: skip
    app, runtime = import_module("ministack.app"), import_module("ministack.core.lambda_runtime")
    for service in set(app._state_map) - {"s3"}:
        del app._state_map[service]
    detect = runtime._detect_runtime_binary

    def binary(name: str) -> tuple[str, str]:
        found, script = detect(name)
        return (python_for(name) if name.startswith("python") else found), script

    runtime._detect_runtime_binary = binary
    handle = app.SERVICE_HANDLERS["cloudformation"]
    installed: list[Provider] = []

    async def cloudformation(*request: Any) -> Any:
        # Importing the stack engine takes over a second; a server that only publishes never needs it.
        if not installed:
            installed.append(provider())
            _install(installed[0])
        return await handle(*request)

    app.SERVICE_HANDLERS["cloudformation"] = cloudformation
    return app.app  # type: ignore[no-any-return]


def shut_down() -> None:
    """End the function workers that are still warm."""
    import_module("ministack.core.lambda_runtime").reset()


def object_exists(bucket: str, key: str) -> bool:
    """Tell whether the current account's S3 has an object."""
    held = import_module("ministack.services.s3")._buckets.get(bucket)
    return held is not None and key in held["objects"]


def standing() -> list[tuple[str, str]]:
    """List (stack id, logical id) of everything that stacks say they have, in all accounts and regions."""
    stacks = import_module(_ENGINE.rstrip("."))._stacks._data.values()
    return [(stack["StackId"], name) for stack in stacks for name in stack.get("_resources", ())]


def _install(provider: Provider) -> None:
    engine, stacks, handlers, changesets, provisioners, helpers = (
        import_module(_ENGINE + name) for name in ("engine", "stacks", "handlers", "changesets", "provisioners", "helpers")
    )
    _patch("_evaluate_conditions", _conditions(engine), engine, stacks, handlers, changesets)
    _patch("validate_template_support", _support(engine, provisioners, provider), engine, handlers, changesets)
    _patch("_resolve_document", _template_urls(helpers._resolve_document), helpers)
    _intercept(provisioners, stacks, provider)
    _answer_for_functions()


def _patch(name: str, replacement: Callable[..., Any], *modules: Any) -> None:
    """Put a function in place of another in every module that imported it by name."""
    for module in modules:
        getattr(module, name)  # a name that moved must fail here, not be ignored
        setattr(module, name, replacement)


def _conditions(engine: Any) -> Callable[..., dict[str, bool]]:
    """Evaluate conditions with every function CloudFormation allows there: ministack's own evaluation compares
    pseudo parameters and Fn::FindInMap as the text they are written in."""

    def evaluate(template: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, bool]:
        definitions, done = template.get("Conditions") or {}, {}

        def condition(name: str) -> bool:
            if name not in definitions:
                raise ValueError(f"Template format error: Unresolved condition dependency {name}")
            if name not in done:
                done[name] = bool(value(definitions[name]))
            return done[name]

        def value(node: Any) -> Any:
            function, argument = next(iter(node.items())) if isinstance(node, dict) and len(node) == 1 else ("", node)
            match function:
                case "Condition":
                    return condition(argument)
                case "Fn::And":
                    return all([value(item) for item in argument])
                case "Fn::Or":
                    return any([value(item) for item in argument])
                case "Fn::Not":
                    return not value(argument[0])
                case "Fn::Equals":
                    return str(value(argument[0])) == str(value(argument[1]))
            return engine._resolve_refs(node, {}, params, done, template.get("Mappings") or {}, "", "")

        return {name: condition(name) for name in definitions}

    return evaluate


def _support(engine: Any, provisioners: Any, provider: Provider) -> Callable[..., None]:
    """Before anything is made: refuse types the region lacks and references that lead nowhere, and let the types
    that only the registry knows pass ministack's own check (which evaluates the Rules)."""
    original, handlers = engine.validate_template_support, provisioners._RESOURCE_HANDLERS

    def support(template: Any, conditions: Mapping[str, bool], params: Any = None) -> None:
        region = engine.get_region()
        if not provider.registry.types(region) or region.startswith(("cn-", "us-gov-", "us-iso", "eu-iso", "eusc-")):
            raise ValueError(f"{region} is not in the partition aws, the only one that the rehearsal plays")
        # ValidateTemplate (no parameters) asks for every type whatever its condition, CreateStack only for those it makes:
        # https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1825
        true = conditions if params is not None else {}
        used = [r["Type"] for r in (template.get("Resources") or {}).values() if true.get(r.get("Condition"), True)]
        if missing := sorted({name for name in used if provider.registry.get(region, name) is None}):
            raise ValueError(f"Template format error: Unrecognized resource types: [{', '.join(missing)}] in {region}")
        for name in used:
            if not name.startswith("Custom::"):
                handlers.setdefault(name, {})
                _follow_schema(provisioners, provider, region, name)
        original(template, conditions, params=params)
        if params is not None:
            for section, names in unresolved(template, conditions).items():
                raise ValueError(
                    f"Template format error: Unresolved resource dependencies [{', '.join(names)}] "
                    f"in the {section} block of the template"
                )

    return support


def _follow_schema(provisioners: Any, provider: Provider, region: str, name: str) -> None:
    """Let the schema say which top-level properties replace and where stack tags go, for types ministack has no word on."""
    schema = provider.schema(region, name)
    fixed = tuple(path[0] for path in schema.paths("createOnlyProperties") if len(path) == 1)
    if provisioners._RESOURCE_HANDLERS[name]:
        provisioners._REPLACING_PROPERTIES.setdefault(name, fixed)
    tagging = schema.document.get("tagging", {})
    tags = str(tagging.get("tagProperty", "")).rpartition("/")[2]
    if tagging.get("taggable") and tags in schema.properties:
        kind = schema.subschema((tags,)).get("type")
        provisioners._STACK_TAG_PROPERTY.setdefault(name, (tags, "map" if kind == "object" else "list"))


def _template_urls(original: Callable[..., Any]) -> Callable[..., Any]:
    """Read virtual-host S3 URLs, as launch links carry them, from the emulator's S3."""

    def resolve(params: Mapping[str, Any], body_key: str, url_key: str, label: str) -> Any:
        given = params.get(url_key)
        url = given[0] if isinstance(given, list) else given
        if url and (parts := _TEMPLATE_URL.fullmatch(url)):
            params = {**params, url_key: [f"https://s3.amazonaws.com/{parts['bucket']}/{parts['key']}"]}
        return original(params, body_key, url_key, label)

    return resolve


def _intercept(provisioners: Any, stacks: Any, provider: Provider) -> None:
    """Hand every create, update and delete of the stack engine to the provider, with ministack's own code as `live`."""
    create, update, delete = (getattr(provisioners, f"_{verb}_resource") for verb in ("provision", "update", "delete"))
    own = {name: handler for name, handler in provisioners._RESOURCE_HANDLERS.items() if handler}

    def ask(live: Callable[[], Any], action: str, rtype: str, stack: str, **facts: Any) -> Answer:
        handler = own[rtype]["create"].__name__.strip("_") if rtype in own else None
        if rtype.startswith("Custom::") or rtype == "AWS::CloudFormation::CustomResource":
            handler = "function behind ServiceToken"
        record = import_module(_ENGINE.rstrip("."))._stacks[stack]
        events = import_module(_ENGINE.rstrip("."))._stack_events[record["StackId"]]
        current = next(event for event in reversed(events) if event["ResourceType"] == "AWS::CloudFormation::Stack")
        request = Request(
            action=action, type=rtype, stack=stack, stack_id=record["StackId"], operation=current["EventId"],
            phase=current["ResourceStatus"], account=provisioners.get_account_id(), region=provisioners.get_region(), **facts,
        )  # fmt: skip
        return provider.answer(request, live, handler)

    def provision(rtype: str, logical_id: str, props: dict[str, Any], stack: str) -> Answer:
        kept = {**props, "Layers": _own_layers(props)} if props.get("Layers") else props
        return ask(lambda: create(rtype, logical_id, kept, stack), "create", rtype, stack,
                   logical_id=logical_id, properties=props)  # fmt: skip

    def change(
        rtype: str, physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str, attrs: Any = None
    ) -> Answer:
        return ask(lambda: update(rtype, physical_id, old, new, stack, logical_id, attrs), "update", rtype, stack,
                   logical_id=logical_id, properties=new, previous=old, physical_id=physical_id)  # fmt: skip

    def remove(rtype: str, physical_id: str, props: dict[str, Any], stack: str = "", logical_id: str = "") -> None:
        def live() -> None:
            if rtype == "AWS::S3::Bucket" and not _is_empty(physical_id):
                raise Refused(f"The bucket you tried to delete is not empty: {physical_id}")
            delete(rtype, physical_id, props, stack, logical_id)

        ask(live, "delete", rtype, stack, logical_id=logical_id, properties=props, physical_id=physical_id)

    for name, function in (("_provision_resource", provision), ("_update_resource", change), ("_delete_resource", remove)):
        _patch(name, function, provisioners, stacks)

    def _own_layers(props: Mapping[str, Any]) -> list[str]:
        # Layers of other accounts (AWS publishes Powertools as one) are not here; their modules come with the interpreter.
        return [arn for arn in props["Layers"] if str(arn).split(":")[4:5] == [provisioners.get_account_id()]]


def _is_empty(bucket: str) -> bool:
    """CloudFormation deletes no bucket that holds an object or a version; ministack's handler would."""
    s3 = import_module("ministack.services.s3")
    held = s3._buckets.get(bucket) or {"objects": {}}
    return not held["objects"] and not any(name == bucket and kept for (name, _), kept in s3._object_versions.items())


def _answer_for_functions() -> None:
    """Answer FAILED for a custom resource function that raised, or that ended and stays silent: ministack would wait on."""
    functions, custom = import_module("ministack.services.lambda_svc"), import_module(_ENGINE + "custom_resource")
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
            silent = f"function {name} ended and did not answer its ResponseURL within {ANSWER_LIMIT:.0f} seconds"
            timer = threading.Timer(ANSWER_LIMIT, fail, (token, silent))
            timer.daemon = True
            timer.start()
        return result

    functions._execute_function_with_config_scope = execute
