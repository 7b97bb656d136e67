"""The platform as it stands when people launch from its catalogue: the base under trial values, and what its launch roles hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from generators.kit import regions
from generators.kit.registry import Rendered
from proofs import evaluator
from proofs.answers import answers
from proofs.arns import mark
from proofs.errors import MissingData, NothingToProve, Unresolved
from proofs.resolver import TEMPLATE, Place, Resource, Stack, World
from proofs.targets import Account, account_of
from proofs.trials import Values, covering
from rehearsal.errors import MissingPackage
from rehearsal.schemas import Registry

HOME = "us-east-1"
# As Service Catalog names the stacks that it launches; the last part has 13 characters.
LAUNCHED = "SC-{account}-pp-{id}"
CONSTRAINT = "AWS::ServiceCatalog::LaunchRoleConstraint"


@dataclass(frozen=True)
class Library:
    """The templates and AWS's data: what every proof begins with."""

    rendered: tuple[Rendered, ...]
    registry: Registry

    @cached_property
    def bodies(self) -> Mapping[str, Mapping[str, Any]]:
        """Give every template by name."""
        return {item.stack.name: item.body for item in self.rendered}

    @cached_property
    def cards(self) -> Mapping[str, Rendered]:
        """Give every rendered template, with its card, by name."""
        return {item.stack.name: item for item in self.rendered}

    def world(self, region: str) -> World:
        """Give an empty account in a region."""
        return World(self.registry, self.bodies, Place(region), answers=answers)

    def base(self, region: str, values: Mapping[str, str]) -> Stack:
        """Launch the template that the others need, with values."""
        return Stack(self.world(region), self.base_name, values, "mlops-infra")

    @cached_property
    def base_name(self) -> str:
        """Give the name of the template that the products need."""
        needs = {need for item in self.rendered if item.stack.product for need in item.stack.needs}
        launched = sorted(item.stack.name for item in self.rendered if item.stack.launch and item.stack.name in needs)
        if not launched:
            raise NothingToProve(
                "No product needs a template that is launched by a link. Give a card `product` and `needs`."
            )
        return launched[0]

    def trials(self, world: World, name: str, stack_name: str) -> list[Values]:
        """Give values that show every condition of a template in every state that its rules let them reach."""
        card = self.cards[name].stack
        base = dict(card.trial.parameters)

        def tried(values: Values) -> tuple[Mapping[str, bool], list[str]]:
            stack = Stack(world, name, values, stack_name)
            return stack.conditions, stack.refused

        return covering(self.bodies[name], base, [card.trial.changes] if card.trial.changes else [], tried)


def library() -> Library:
    """Render the templates and open AWS's data. Raises MissingData."""
    from generators.kit.registry import rendered

    try:
        registry = Registry()
        _ = registry.date, registry.arn_formats
    except (MissingPackage, OSError, ValueError) as error:
        raise MissingData(f"AWS's data, which comes with cfn-lint ({error}),") from error
    if not registry.types(HOME):
        raise MissingData(f"the registry data of {HOME}, which comes with cfn-lint,")
    return Library(rendered(), registry)


@dataclass(frozen=True)
class Launch:
    """A product's launch role: what it may do, and at most (`boundary`, None where it is a customer's own, not known here)."""

    template: str
    role: Resource
    identity: tuple[evaluator.Statement, ...]
    boundary: tuple[evaluator.Statement, ...] | None

    @cached_property
    def mark(self) -> str:
        """Give what is the same for launch roles that hold the same."""
        return mark(self.template, repr(self.identity), repr(self.boundary))


@dataclass(frozen=True)
class Scene:
    """The platform under one set of values: what stands, and what launches."""

    base: Stack

    @cached_property
    def world(self) -> World:
        """Give the world in which products are launched."""
        return self.base.world.after(self.base)

    @cached_property
    def account(self) -> Account:
        """Give what stands."""
        return account_of(self.base.everything())

    @cached_property
    def launches(self) -> tuple[Launch, ...]:
        """Give the launch role of every product. Raises Unresolved, Unreadable."""
        return tuple(self._launches())

    def _launches(self) -> Iterator[Launch]:
        standing = list(self.base.everything())
        for constraint in (item for item in standing if item.type == CONSTRAINT):
            product = next(
                (item for item in standing if item.type.endswith("::CloudFormationProduct")
                 and item.ref == constraint.properties["ProductId"]),
                None,
            )  # fmt: skip
            where = f"{constraint.stack.template}:{constraint.logical_id}"
            if product is None:
                raise Unresolved(where, "its ProductId is no product of the templates", "Mend the reference.")
            arn, name = constraint.properties.get("RoleArn"), constraint.properties.get("LocalRoleName")
            role = self.account.find(arn) if arn else self.account.role_named(str(name))
            if role is None:
                raise Unresolved(where, f"no template makes the launch role {arn or name}", "Mend the reference.")
            yield Launch(_template(product), role, self.identity(role), self.boundary(role))

    def identity(self, role: Resource) -> tuple[evaluator.Statement, ...]:
        """Give what the identity policies of a role say. Raises Unreadable, Unresolved."""
        named = [
            (f"{role.logical_id}/{item['PolicyName']}", item["PolicyDocument"])
            for item in role.properties.get("Policies", ())
        ]
        for arn in role.properties.get("ManagedPolicyArns", ()):
            policy = self.account.find(arn)
            if policy is None:
                raise Unresolved(role.logical_id, f"no template makes its policy {arn}", "Write out what it allows.")
            named.append((policy.logical_id, policy.properties["PolicyDocument"]))
        for item in self.base.everything():
            attached = item.properties.get("RoleName") if item.type == "AWS::IAM::RolePolicy" else None
            roles = (
                item.properties.get("Roles", ()) if item.type in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy") else ()
            )
            if role.name in (attached, *roles):
                named.append((item.logical_id, item.properties["PolicyDocument"]))
        return evaluator.read_all(named)

    def boundary(self, role: Resource) -> tuple[evaluator.Statement, ...] | None:
        """Give what the boundary of a role says, None for a customer's own."""
        arn = role.properties.get("PermissionsBoundary")
        if arn is None:
            return evaluator.read_all([("no boundary", {"Version": evaluator.VERSION, "Statement": _EVERYTHING})])
        policy = self.account.find(arn)
        return evaluator.read(policy.properties["PolicyDocument"], policy.logical_id) if policy else None


_EVERYTHING = [{"Sid": "Everything", "Effect": "Allow", "Action": "*", "Resource": "*"}]


def _template(product: Resource) -> str:
    artifacts = product.properties.get("ProvisioningArtifactParameters", ())
    urls = [str(artifact["Info"].get("LoadTemplateFromURL")) for artifact in artifacts]
    found = [match[1] for match in map(TEMPLATE.search, urls) if match]
    if not found:
        raise Unresolved(
            f"{product.stack.template}:{product.logical_id}", "it names no template of ours", "Use nested_url()."
        )
    return found[-1]


def launched(account: str, number: int = 0) -> str:
    """Name a stack as Service Catalog does."""
    return LAUNCHED.format(account=account, id="abcdefghijklmnopqrstuvwxyz"[number : number + 13])


def other_regions() -> tuple[str, ...]:
    """Give every launch region but the one that most trials are made in."""
    return tuple(name for name in regions.names() if name != HOME)
