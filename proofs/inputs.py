"""The longest inputs of a template: what an account can hold at most, and of the choices as many together as the rules take."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from generators.kit.registry import Rendered
from proofs import samples
from proofs.maxima import IAM
from proofs.resolver import Stack, World
from proofs.scene import Library
from proofs.trials import Values

LONG = 100  # characters of an input that is named to whoever looks for what to bound
# The longest that an account can hold, for parameters that end nowhere by themselves: AWS's own ids and ARNs.
_ROLE = "arn:aws:iam::123456789012:role/" + "p" * 510 + "/" + "r" * 64
LONGEST: Mapping[str, tuple[str, str]] = {
    r"AvailabilityZoneIds": (",".join(f"apse2-az{n}" for n in (1, 2, 3)), "ids of zones"),
    r"Existing\w+RoleArn": (_ROLE, IAM),
    r"ExistingPermissionsBoundaryArn": ("arn:aws:iam::123456789012:policy/" + "p" * 510 + "/" + "b" * 128, IAM),
    r"(Existing|StudioAccess)VpcId": (f"vpc-{'0' * 17}", "ids of VPCs have 17 digits"),
    r"ExistingSubnetIds": (",".join(f"subnet-{n:017x}" for n in range(8)), "as many as the pattern takes; ids have 17 digits"),
    r"ExistingRouteTableIds": (",".join(f"rtb-{n:017x}" for n in range(16)), "one for each subnet"),
    r"\w+Cidr": ("100.100.100.0/24", "a range: the pattern takes what is none"),
    r"VpcCidr": ("100.100.0.0/16", "a range: the pattern takes what is none"),
    r"SamlProviderArn": ("arn:aws:iam::123456789012:saml-provider/" + "s" * 128, IAM),
}  # fmt: skip


def longest_values(held: Library, item: Rendered, world: World, name: str) -> list[Values]:
    """Give the values to measure at: all that go together first, then each that shows another condition, all at their longest."""
    parameters = item.body.get("Parameters", {})
    trials = held.trials(world, item.stack.name, name)
    base = trials[0]
    full = _together(world, item, base, [_changed(base, values) for values in trials])
    other = _together(world, item, base, [_changed(base, values) for values in reversed(trials)])
    stretched = [_stretched(values, parameters, lambda tried: Stack(world, item.stack.name, tried, name).refused)
                 for values in (full, other, *trials)]  # fmt: skip
    return list({tuple(sorted(values.items())): values for values in stretched}.values())


def _changed(base: Values, values: Values) -> Values:
    return {name: value for name, value in values.items() if base.get(name) != value}


def _together(world: World, item: Rendered, base: Values, changes: list[Values]) -> Values:
    """Join as many changes as the rules take at once; an optional text that is empty is filled."""
    parameters = item.body.get("Parameters", {})
    optional = [
        {name: sample}
        for name, asked in parameters.items()
        if base.get(name, str(asked.get("Default", "x"))) == "" and (sample := samples.shortest(asked)) is not None
    ]
    joined, chosen = dict(base), set[str]()
    for change in (*changes, *optional):
        tried = {**joined, **{name: value for name, value in change.items() if name not in chosen}}
        if not Stack(world, item.stack.name, tried, "trial").refused:
            joined, chosen = tried, chosen | set(change)
    return joined


def _stretched(values: Values, parameters: Mapping[str, Any], refused: Callable[[Values], list[str]]) -> Values:
    """Give the same choices with every text and number at its longest, as far as the rules let them; what is empty stays so."""
    found = {name: values.get(name, str(asked.get("Default", ""))) for name, asked in parameters.items()}
    longer = {
        name: stretched
        for turn, (name, asked) in enumerate(parameters.items())
        if found[name] != "" and "AllowedValues" not in asked and not str(asked["Type"]).startswith("AWS::SSM")
        and (stretched := _longest(name, asked, turn)) is not None
    }  # fmt: skip
    if not refused({**found, **longer}):
        return {**found, **longer}
    for name, value in longer.items():  # a budget of 0 makes none: a longer number is another choice
        if not refused({**found, name: value}):
            found[name] = value
    return found


def _longest(name: str, asked: Mapping[str, Any], turn: int) -> str | None:
    """Give the longest value of a parameter that an account can hold."""
    found = _known(name, asked) or samples.longest(asked)
    # Long ones in letters of their own, so that a finding can say which is in a text; short ones fit other templates' names.
    return samples.longest(asked, turn) if found == samples.longest(asked) and len(found or "") > LONG else found


def _known(name: str, asked: Mapping[str, Any]) -> str | None:
    known = (
        value for pattern, (value, _) in LONGEST.items() if re.fullmatch(pattern, name) and samples.fits(value, asked)
    )
    return next(known, None)
