"""The stack engine: every resource goes through the provider, and what ministack does otherwise than AWS is mended."""

from __future__ import annotations

import contextvars
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any

from rehearsal.errors import Refused
from rehearsal.ledger import Answer, Request
from rehearsal.ministack_internals import functions
from rehearsal.ministack_internals.access import SERVICE_CATALOG, refusal
from rehearsal.ministack_internals.common import CLOUDFORMATION, module, patch
from rehearsal.ministack_internals.objects import TEMPLATE_URL, is_empty
from rehearsal.provider import Provider
from rehearsal.references import unresolved
from rehearsal.rights import needed

# Whose request a stack operation is, kept for the task that does the work.
stack_caller: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="")
_kept: dict[str, dict[str, Any]] = {}  # resources that a deletion leaves alone, by stack
_OTHER_PARTITIONS = ("cn-", "us-gov-", "us-iso", "eu-iso", "eusc-")


def standing() -> list[tuple[str, str]]:
    """List (stack id, logical id) of everything that stacks say they have, in all accounts and regions."""
    stacks = module(CLOUDFORMATION)._stacks._data.values()
    return [(stack["StackId"], name) for stack in stacks for name in stack.get("_resources", ())]


def install(provider: Provider) -> None:
    """Put the provider and the mended parts in place of ministack's own."""
    names = ("engine", "stacks", "handlers", "changesets", "provisioners", "helpers")
    engine, stacks, handlers, changesets, provisioners, helpers = (module(f"{CLOUDFORMATION}.{name}") for name in names)
    # ministack reads YAML in pure Python, a second for a template of 200 kB; libyaml takes a tenth of that.
    constructors = {"yaml_constructors": engine.CfnLoader.yaml_constructors}
    engine.CfnLoader = type("CfnLoader", (engine.yaml.CSafeLoader,), constructors)
    patch("_evaluate_conditions", _conditions(engine), engine, stacks, handlers, changesets)
    patch("validate_template_support", _support(engine, provisioners, provider), engine, handlers, changesets)
    patch("_resolve_parameters", _parameters(engine), engine, handlers, changesets)
    patch("_resolve_dynamic_reference", _reference(engine), engine)
    patch("_resolve_document", _template_urls(helpers._resolve_document), helpers)
    roles = provisioners._RESOURCE_HANDLERS["AWS::IAM::Role"]
    roles |= {name: _with_boundary(roles[name], name) for name in ("create", "update")}
    provisioners._RESOURCE_HANDLERS["AWS::IAM::RolePolicy"] = _role_policies()
    patch("_validate_stack_tags", _stack_tags(helpers._validate_stack_tags), helpers)
    for name, function in _resource_calls(provisioners, provider).items():
        patch(name, function, provisioners, stacks)
    patch("_delete_stack_async", _deletion(stacks._delete_stack_async), stacks, handlers)
    nested = provisioners._RESOURCE_HANDLERS["AWS::CloudFormation::Stack"]
    nested["delete"] = _nested_delete(nested["delete"], provisioners, stacks)
    functions.answer_for_functions()
    functions.run_state_machines_as_their_role()
    functions.deliver_events_as_permitted()


def _with_boundary(act: Callable[..., tuple[str, Any]], action: str) -> Callable[..., tuple[str, Any]]:
    """Give roles their permissions boundary, which ministack drops, and no role the name of another."""
    held = module("services.iam")._roles

    @wraps(act)
    def made(*given: Any, **more: Any) -> tuple[str, Any]:
        properties = given[1] if action == "create" else given[2]
        if action == "create" and properties.get("RoleName") in held:
            raise Refused(f"Role with name {properties['RoleName']} already exists.")
        name, attributes = act(*given, **more)
        held[name]["PermissionsBoundary"] = properties.get("PermissionsBoundary")
        return name, attributes

    return made


def _role_policies() -> dict[str, Callable[..., Any]]:
    """Make AWS::IAM::RolePolicy live, a type that ministack lacks."""

    def put(properties: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        role = module("services.iam")._roles.get(properties["RoleName"])
        if role is None:
            raise Refused(f"The role with name {properties['RoleName']} cannot be found.")
        role["InlinePolicies"][properties["PolicyName"]] = json.dumps(properties["PolicyDocument"])
        return f"{properties['PolicyName']}|{properties['RoleName']}", {}

    def drop(physical_id: str, properties: Mapping[str, Any]) -> None:
        role = module("services.iam")._roles.get(properties["RoleName"]) or {"InlinePolicies": {}}
        role["InlinePolicies"].pop(properties["PolicyName"], None)

    return {
        "create": lambda logical_id, properties, stack: put(properties),
        "update": lambda physical_id, old, new, stack, logical_id=None: put(new),
        "delete": drop,
    }


def _nested_delete(delete: Callable[..., None], provisioners: Any, stacks: Any) -> Callable[..., None]:
    """Delete a nested stack but for what its own template retains, and fail when it does not go: ministack deletes
    everything in it and goes on whatever happens."""
    package = module(CLOUDFORMATION)

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
            child["StackStatus"] = "DELETE_IN_PROGRESS"
        delete(physical_id, properties)
        if child and (left := _kept.pop(child["StackId"], {})):
            child |= {"_resources": left, "StackStatus": "DELETE_FAILED"}
            raise Refused(
                f"Embedded stack {child['StackId']} was not successfully deleted: it still has {', '.join(sorted(left))}"
            )

    return keep_and_delete


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


def _parameters(engine: Any) -> Callable[..., dict[str, dict[str, Any]]]:
    """Hold the constraints of a parameter that names one of Systems Manager against the name, not against its value.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-supplied-parameter-types.html"""
    original = engine._resolve_parameters
    constraints = ("AllowedPattern", "AllowedValues", "MaxLength", "MinLength")

    def resolve(template: Mapping[str, Any], given: Any, previous: Any = None) -> dict[str, dict[str, Any]]:
        asked = template.get("Parameters") or {}
        named = {n: d for n, d in asked.items() if d["Type"].startswith(engine._SSM_PARAMETER_VALUE_PREFIX)}
        bare = {n: {key: value for key, value in d.items() if key not in constraints} for n, d in named.items()}
        values: dict[str, dict[str, Any]] = original({**template, "Parameters": {**asked, **bare}}, given, previous)
        for name, definition in named.items():
            key = values[name]["SsmName"]
            if key not in definition.get("AllowedValues", [key]):
                raise ValueError(f"Parameter '{name}' value '{key}' is not in AllowedValues")
            engine._check_parameter_constraints(name, definition, "String", key)
            _read(engine, key)
        return values

    return resolve


def _reference(engine: Any) -> Callable[[str], str]:
    """Read what {{resolve:ssm:...}} names in the name of whoever asked for the stack."""
    original = engine._resolve_dynamic_reference

    def resolve(literal: str) -> str:
        if literal.startswith("{{resolve:ssm"):
            _read(engine, literal.strip("{}").split(":")[2])
        return str(original(literal))

    return resolve


def _read(engine: Any, parameter: str) -> None:
    region, account = engine.get_region(), engine.get_account_id()
    arn = f"arn:aws:ssm:{region}:{account}:parameter/{parameter.lstrip('/')}"
    if refused := refusal(stack_caller.get(), "ssm:GetParameters", arn, region, {}):
        raise ValueError(refused)


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
        if parts := TEMPLATE_URL.fullmatch((given[0] if isinstance(given, list) else given) or ""):
            params = {**params, url_key: [f"https://s3.amazonaws.com/{parts['bucket']}/{parts['key']}"]}
        return original(params, body_key, url_key, label)

    return resolve


def _stack_tags(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let Service Catalog set its own tags, which CloudFormation takes from nobody else."""

    def validate(tags: list[dict[str, str]]) -> Any:
        is_service = module("core.iam_evaluator").caller_arn().endswith(f"/{SERVICE_CATALOG}")
        own = f"aws:{SERVICE_CATALOG}:" if is_service else "\0"
        return original([tag for tag in tags if not tag.get("Key", "").startswith(own)])

    return validate


def _resource_calls(provisioners: Any, provider: Provider) -> dict[str, Callable[..., Any]]:
    """Hand every create, update and delete of the stack engine to the provider, with ministack's own code as `live`."""
    names = ("_provision_resource", "_update_resource", "_delete_resource")
    create, update, delete = (getattr(provisioners, name) for name in names)
    own = {name: handler for name, handler in provisioners._RESOURCE_HANDLERS.items() if handler}
    package = module(CLOUDFORMATION)

    def described(action: str, rtype: str, stack: str, **facts: Any) -> Request:
        stack_id = package._stacks[stack]["StackId"]
        events = reversed(package._stack_events[stack_id])
        current = next(event for event in events if event["ResourceType"] == "AWS::CloudFormation::Stack")
        operation = {"operation": current["EventId"], "phase": current["ResourceStatus"]}
        scope = {"account": provisioners.get_account_id(), "region": provisioners.get_region()}
        return Request(action=action, type=rtype, stack=stack, stack_id=stack_id, **operation, **scope, **facts)

    def ask(live: Callable[[], Answer], action: str, rtype: str, stack: str, **facts: Any) -> Answer:
        handler = own[rtype]["create"].__name__.strip("_") if rtype in own else None
        if rtype.startswith("Custom::") or rtype == "AWS::CloudFormation::CustomResource":
            handler = "function behind ServiceToken"
        return provider.answer(described(action, rtype, stack, **facts), live, handler)

    def role_arn(name: str) -> str:
        return str((module("services.iam")._roles.get(name) or {}).get("Arn", name))

    def held(action: str, made: Answer, rtype: str, stack: str, **facts: Any) -> None:
        """Hold what a resource takes against the rights of whoever asked for the stack."""
        request = described(action, rtype, stack, **facts)
        for need in needed(request, made, provider.registry.arn_formats, role_arn):
            if refused := refusal(stack_caller.get(), need.action, need.arn, request.region, need.keys):
                raise Refused(refused)

    def provision(rtype: str, logical_id: str, props: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        facts: dict[str, Any] = {"logical_id": logical_id, "properties": props}
        kept = {**props, "Layers": _here(props["Layers"])} if "Layers" in props else props
        is_custom = "ServiceToken" in props
        if is_custom:
            held("create", Answer(""), rtype, stack, **facts)
        try:
            done = ask(lambda: Answer(*create(rtype, logical_id, kept, stack)), "create", rtype, stack, **facts)
        except RuntimeError:
            # As a rollback on AWS: what answered FAILED is asked to delete what it may have made.
            stack_id = package._stacks[stack]["StackId"]
            if is_custom and (name := functions.refused_creations.pop((stack_id, logical_id), "")):
                delete(rtype, name, props, stack, logical_id)
            raise
        if not is_custom:
            try:
                held("create", done, rtype, stack, **facts)
            except Refused:
                take_away(rtype, done.physical_id, props, stack, logical_id)
                raise
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
        try:
            facts = {"logical_id": logical_id, "properties": props, "physical_id": physical_id}
            made = provider.known(described("delete", rtype, stack, **facts)) or Answer(physical_id)
            held("delete", made, rtype, stack, **facts)
            take_away(rtype, physical_id, props, stack, logical_id)
        except Exception:
            _keep_dependencies(package._stacks[stack], logical_id)
            raise

    def take_away(rtype: str, physical_id: str, props: dict[str, Any], stack: str, logical_id: str) -> None:
        def live() -> Answer:
            if rtype == "AWS::S3::Bucket" and not is_empty(physical_id):
                raise Refused(f"The bucket you tried to delete is not empty: {physical_id}")
            delete(rtype, physical_id, props, stack, logical_id)
            return Answer(physical_id)

        ask(live, "delete", rtype, stack, logical_id=logical_id, properties=props, physical_id=physical_id)

    def _here(layers: list[str]) -> list[str]:
        # Layers of other accounts (AWS publishes Powertools as one) are not here; the interpreter brings their modules.
        return [arn for arn in layers if str(arn).split(":")[4:5] == [provisioners.get_account_id()]]

    return dict(zip(names, (provision, change, remove), strict=True))


def _keep_dependencies(stack: dict[str, Any], failed: str) -> None:
    """Take what a resource that could not be deleted depends on out of a deletion: CloudFormation leaves it alone."""
    if stack["StackStatus"] != "DELETE_IN_PROGRESS":
        return
    stacks, resources = module(f"{CLOUDFORMATION}.stacks"), stack["_resources"]
    kept = _kept.setdefault(stack["StackId"], {})
    for name in stacks._with_dependencies([failed], stack["_template"]["Resources"], set(resources)) & set(resources):
        kept[name] = resources[name] if name == failed else resources.pop(name)


def _deletion(delete: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Put back what a deletion left alone."""

    async def delete_and_put_back(name: str, stack_id: str, *given: Any, **more: Any) -> None:
        await delete(name, stack_id, *given, **more)
        left = _kept.pop(stack_id, {})
        stack = module(CLOUDFORMATION)._stacks.get(name) or {}
        if stack.get("StackStatus") == "DELETE_FAILED":
            stack["_resources"] |= {key: held for key, held in left.items() if key not in stack["_resources"]}

    return delete_and_put_back
