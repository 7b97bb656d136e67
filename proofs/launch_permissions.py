"""Each launch role holds what its product's template needs: by its own policies, under the boundary, on the right resources.

For every resource that the product makes: what its registry handlers ask for the properties that are set (proofs/handlers.py),
and a supplement with sources (proofs/supplement.py), for values that bring every condition to both states."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from generators.kit.builder import STABLE_TAGS
from generators.kit.publishing import ROOT
from proofs import context, handlers, supplement
from proofs.errors import NothingToProve, Unreadable, Unresolved
from proofs.evaluator import Request, decide, read
from proofs.report import Finding, Outcome
from proofs.resolver import Resource, Stack, World
from proofs.scene import HOME, Launch, Library, Scene, launched, library, other_regions
from proofs.targets import Account, NoTarget, account_of, arns
from proofs.trials import unreached

NAME = "launch-permissions"


@dataclass(frozen=True)
class Need:
    """One request that a launch makes. `common` says that every launch makes it; `from_aws` that AWS's data alone says so."""

    template: str
    logical_id: str
    type: str
    action: str
    arn: str
    context: Mapping[str, str | tuple[str, ...]]
    why: str
    from_aws: bool
    common: bool = False

    @property
    def key(self) -> tuple[Any, ...]:
        """Give what makes this need another than others; why it is needed does not."""
        return self.template, self.logical_id, self.action, self.arn, tuple(sorted(self.context.items()))


@dataclass
class Tally:
    """What was asked so far, each question once, and what came of it."""

    asked: dict[tuple[Any, ...], bool] = field(default_factory=dict)
    found: dict[tuple[str, ...], list[Finding]] = field(default_factory=dict)
    # Conditions that no values bring to both states: what hangs on the other state is not proved.
    one_sided: set[str] = field(default_factory=set)

    def add(self, finding: Finding, *key: str) -> None:
        """Keep a finding; those with the same key are one, seen under other values or in other regions."""
        found = self.found.setdefault(key or (finding.where, finding.what), [])
        if finding not in found:
            found.append(finding)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Give every finding once."""
        return tuple(
            sorted(replace(first, what=_and_more(first.what, len(rest))) for first, *rest in self.found.values())
        )


def run(given: Library | None = None) -> Outcome:
    """Prove it for every product. Raises MissingData, NothingToProve."""
    held = given or library()
    tally, roles, seen = Tally(), set[str](), set[str]()
    for scene, base_only in scenes(held):
        try:
            mark = _mark(scene)
        except (Unreadable, Unresolved) as error:
            tally.add(_broken(scene.base.template, error))
            continue
        if mark in seen:
            continue
        seen.add(mark)
        for launch in scene.launches:
            roles.add(launch.role.logical_id)
            _launch(held, scene, launch, tally, base_only=base_only)
    if not roles and not tally.findings:
        raise NothingToProve("No template has a launch role constraint. Give a card a `product`, then run it again.")
    names = ", ".join(sorted(roles))
    sides = f"; only one state reached: {', '.join(sorted(tally.one_sided))}" if tally.one_sided else ""
    return Outcome(
        len(tally.asked),
        sum(not from_aws for from_aws in tally.asked.values()),
        tally.findings,
        f"{names}; registry schemas of {held.registry.date[:10]}{sides}",
    )


def scenes(held: Library) -> Iterator[tuple[Scene, bool]]:
    """Give the platform as its values can change it, in one region, then as its defaults make it in every other."""
    trials = held.trials(held.world(HOME), held.base_name, "mlops-infra")
    for values in trials:
        yield Scene(held.base(HOME, values)), values is not trials[0]
    for region in other_regions():
        yield Scene(held.base(region, trials[0])), True


def _mark(scene: Scene) -> str:
    """Give what a product sees of the platform: two sets of values that make the same of it need one proof."""
    return repr((sorted(scene.world.facts.items()), [launch.mark for launch in scene.launches]))


def _launch(held: Library, scene: Scene, launch: Launch, tally: Tally, *, base_only: bool) -> None:
    name = launched(scene.world.place.account)
    try:
        world = _peopled(held, scene, launch.template)
        base = dict(held.cards[launch.template].stack.trial.parameters)
        trials = [base] if base_only else held.trials(world, launch.template, name)
        stacks = [Stack(world, launch.template, values, name) for values in trials]
        for stack in stacks:
            _prove(held, scene, launch, stack, tally)
        if not base_only:
            missing = unreached(held.bodies[launch.template], [stack.conditions for stack in stacks])
            tally.one_sided.update(f"{launch.template}:{condition}" for condition in missing)
    except Unresolved as error:
        tally.add(_broken(launch.template, error))


def _peopled(held: Library, scene: Scene, template: str) -> World:
    """Give the world with a stack of every product that is launched before: names begin with the launch order."""
    world = scene.world
    for number, other in enumerate(sorted(item.template for item in scene.launches if item.template < template), 1):
        trial = held.cards[other].stack.trial.parameters
        world = world.after(Stack(world, other, dict(trial), launched(world.place.account, number)))
    return world


def _prove(held: Library, scene: Scene, launch: Launch, stack: Stack, tally: Tally) -> None:
    resources = list(stack.everything())
    account = Account({**scene.account.by_arn, **account_of(iter(resources)).by_arn})
    caller = context.of_caller(launch.role, scene.world.place)
    for item in (*_of_launch(stack), *(need for resource in resources for need in _of(resource, account, held))):
        if isinstance(item, Finding):
            tally.add(item)
            continue
        key = (launch.mark, *item.key)
        if key in tally.asked:
            tally.asked[key] |= item.from_aws  # AWS's data says it too
            continue
        tally.asked[key] = item.from_aws
        for found in _missing(held, launch, item, caller, account):
            tally.add(found, item.template, item.logical_id, item.action, launch.role.logical_id, found.mend)


def _missing(
    held: Library, launch: Launch, need: Need, caller: Mapping[str, Any], account: Account
) -> Iterator[Finding]:
    """Ask every policy that has to allow it, and give those that do not."""
    request = Request(
        need.action, need.arn, {**caller, **need.context}, context.REVIEWED,
        context.principals_of(launch.role, launch.role.stack.world.place),
    )  # fmt: skip
    name = launch.role.logical_id
    asked: list[tuple[str, Any, str]] = [(name, launch.identity, _mend(held, launch, need))]
    if launch.boundary is not None:
        mend = f"let the boundary allow it in {_place(held, held.base_name)}"
        asked.append((f"the boundary of {name}", launch.boundary, mend))
    try:
        # KMS heeds what IAM allows only as far as the key's own policy hands it on to the account:
        # https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html
        key = account.find(need.arn) if need.action.startswith("kms:") else None
        if key is not None and key.type == "AWS::KMS::Key":
            policy = read(key.properties["KeyPolicy"], key.logical_id, of_resource=True)
            mend = f"let the key's policy allow it in {_place(held, key.stack.template)}"
            asked.append((f"{name} by the policy of {key.logical_id}", policy, mend))
        for holder, statements, mend in asked:
            decision = decide(statements, request)
            if not decision.allowed:
                what = f"{need.action} on {need.arn} is not held by {holder}: {decision.reason}; {need.why}"
                yield Finding(f"{need.template}:{need.logical_id} ({need.type})", what, mend)
    except Unreadable as error:
        yield _broken(launch.role.stack.template, error)


def _mend(held: Library, launch: Launch, need: Need) -> str:
    if need.common:
        return f"allow it in what every launch role may do, {_place(held, launch.role.stack.template)}"
    product = held.cards[launch.template].stack.product
    if product is None:
        return f"allow it in {_place(held, launch.role.stack.template)}, {launch.role.logical_id}"
    may = inspect.unwrap(product.may)
    path = Path(inspect.getsourcefile(may) or "")
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name
    return f"allow it in {shown}, `{may.__name__}`"


def _place(held: Library, template: str) -> str:
    return held.cards[template].generator.source


def _and_more(what: str, number: int) -> str:
    return (
        f"{what} (and so with {number} other {'values or regions' if number > 1 else 'value or region'})"
        if number
        else what
    )


def _broken(template: str, error: Exception) -> Finding:
    sentence, _, mend = str(error).rpartition(". ")
    return Finding(template, sentence or str(error), mend or "mend it there")


def _of_launch(stack: Stack) -> Iterator[Need]:
    """Give what a launch itself needs, and what it reads to fill the template and those within it."""
    lines = [(line, stack.template, True) for line in supplement.of_launch(stack)]
    lines += [(line, part.template, False) for part in stack.stacks() for line in supplement.of_references(part)]
    for line, template, common in lines:
        yield Need(template, "-", "stack", line.action, line.arn, line.context, line.source, False, common)


def _of(resource: Resource, account: Account, held: Library) -> Iterator[Need | Finding]:
    """Give what a resource needs, or what can't be told of it."""
    place = (resource.stack.template, resource.logical_id, resource.type)
    where = f"{resource.stack.template}:{resource.logical_id} ({resource.type})"
    for line in supplement.of_resource(resource):
        for found in context.of_request(resource, line.action, line.arn, "create", account):
            yield Need(*place, line.action, line.arn, {**found, **line.context}, line.source, False)
    if resource.is_custom or resource.type in supplement.WITHOUT_HANDLERS:
        return
    schema = held.registry.get(resource.stack.world.place.region, resource.type)
    if schema is None or not schema.document.get("handlers"):
        yield Finding(where, "its registry schema has no handlers", "list what it needs in proofs/supplement.py")
        return
    known = held.registry.arn_formats
    for wanted in handlers.wanted(resource.type, schema.document, resource.properties, known):
        if isinstance(wanted, handlers.Unmapped):
            what = f"{wanted.name}, which its {wanted.phase} handler lists, is no IAM action"
            yield Finding(where, what, "say in NO_ACTIONS of proofs/handlers.py what it stands for")
            continue
        if not _happens(resource, wanted):
            continue
        try:
            targets = arns(resource, wanted.action, account, known)
        except NoTarget as error:
            yield Finding(where, str(error), "say it in TARGETS of proofs/targets.py")
            continue
        for arn in targets:
            for found in context.of_request(resource, wanted.action, arn, wanted.phase, account):
                why = f"its {wanted.phase} handler asks for it"
                yield Need(*place, wanted.action, arn, found, why, not wanted.renamed)


def _happens(resource: Resource, wanted: handlers.Wanted) -> bool:
    """Tell whether CloudFormation comes to do it at all."""
    # Tags of these types are set once: the platform keeps them from changing.
    if resource.type in STABLE_TAGS and wanted.action in handlers.TAGGING and wanted.phase != "create":
        return False
    policies = {resource.body.get(name, "Delete") for name in ("DeletionPolicy", "UpdateReplacePolicy")}
    return wanted.phase != "delete" or policies != {"Retain"}
