"""Values that show every condition both ways, and samples that fit what a parameter takes."""

from __future__ import annotations

from typing import Any

import pytest

from proofs import samples
from proofs.resolver import Stack
from proofs.scene import HOME, library
from proofs.trials import Values, covering, unreached

STRING: dict[str, Any] = {"Type": "String"}


@pytest.mark.parametrize(
    ("asked", "shortest", "length"),
    [
        ({"AllowedPattern": r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", "MaxLength": 32}, "a", 32),
        ({"AllowedPattern": r"^(?!aws|sthree-)[a-z][a-z0-9]*$", "MaxLength": 20}, "a", 20),
        ({"AllowedPattern": r"^p-[a-z0-9]{1,18}$"}, "p-a", 20),
        ({"AllowedPattern": r"^[A-Za-z0-9][A-Za-z0-9 ._:/=+@-]{0,126}$"}, "aa", 127),
        ({"AllowedPattern": r"^(o-[a-z0-9]{10,32})?$"}, "o-aaaaaaaaaa", 34),
        ({"AllowedPattern": r"^(\d{12}(,\d{12})*)?$", "MaxLength": 1000}, "000000000000", 1000),
        ({"AllowedPattern": r"^(vpc-[0-9a-f]+)?$"}, "vpc-a", 4096),
        ({"AllowedPattern": r"^[^@\s]+@[^@\s]+\.[^@\s]+$", "MaxLength": 254}, "a@a.a", 254),
        ({"MaxLength": 50}, "x", 50),
        ({}, "x", 4096),
    ],
)
def test_samples_of_texts(asked: dict[str, Any], shortest: str, length: int) -> None:
    asked = STRING | asked
    assert samples.shortest(asked) == shortest
    found = samples.longest(asked)
    assert found is not None
    assert len(found) == length
    assert samples.fits(found, asked)
    other = samples.longest(asked, turn=3)
    assert other is not None
    assert len(other) == length


def test_of_a_list_the_one_with_most_members_is_the_longest() -> None:
    asked = STRING | {"AllowedPattern": r"^ml\.[a-z]+(,ml\.[a-z]+)*$", "MaxLength": 100}
    assert (samples.longest(asked) or "").count(",") == 19


def test_samples_of_choices_and_numbers() -> None:
    assert samples.longest({"Type": "String", "AllowedValues": ["a", "bcd"]}) == "bcd"
    assert samples.several({"Type": "Number", "MinValue": 0}) == ["0", "1"]
    assert samples.longest({"Type": "Number", "MinValue": 5, "MaxValue": 16384}) == "16384"


@pytest.mark.parametrize(
    ("value", "asked", "expected"),
    [
        ("a", {"Type": "String", "AllowedValues": ["b"]}, False),
        ("1", {"Type": "Number", "MinValue": 2}, False),
        ("x", {"Type": "Number"}, False),
        ("ab", {"Type": "String", "MaxLength": 1}, False),
        ("", {"Type": "String", "MinLength": 1}, False),
        ("ab", {"Type": "String", "AllowedPattern": "a"}, False),
        ("a", {"Type": "String", "AllowedPattern": "a"}, True),
        ("x" * 4097, {"Type": "String"}, False),
    ],
)
def test_fitting(value: str, asked: dict[str, Any], expected: bool) -> None:
    assert samples.fits(value, asked) is expected


def equals(name: str, value: str) -> dict[str, Any]:
    return {"Fn::Equals": [{"Ref": name}, value]}


BODY: dict[str, Any] = {
    "Parameters": {"A": {"Type": "String", "Default": "", "AllowedPattern": "[a-z]*"},
                   "B": {"Type": "String", "Default": "no", "AllowedValues": ["yes", "no"]},
                   "C": {"Type": "Number", "Default": 0}, "D": {"Type": "String", "Default": "d"}},
    "Conditions": {"HasA": {"Fn::Not": [equals("A", "")]}, "IsB": equals("B", "yes"),
                   "HasAll": {"Fn::And": [{"Condition": "HasA"}, {"Condition": "IsB"}, {"Fn::Not": [equals("C", "0")]}]},
                   "IsNever": equals("B", "maybe"), "IsD": equals("D", "special")},
    "Rules": {"R": {"RuleCondition": {"Fn::Not": [equals("A", "")]},
                    "Assertions": [{"Assert": equals("B", "yes"), "AssertDescription": "A needs B."}]}},
}  # fmt: skip


def tried(values: Values) -> tuple[dict[str, bool], list[str]]:
    full = {"A": "", "B": "no", "C": "0", "D": "d", **values}
    has, is_b = full["A"] != "", full["B"] == "yes"
    found = {
        "HasA": has,
        "IsB": is_b,
        "HasAll": has and is_b and full["C"] != "0",
        "IsNever": False,
        "IsD": full["D"] == "special",
    }
    return found, ["A needs B."] if has and not is_b else []


def test_every_condition_is_shown_both_ways_within_the_rules() -> None:
    trials = covering(BODY, {}, [{"D": "x"}], tried)
    assert trials[0] == {}
    assert {"D": "x"} in trials
    assert all(not tried(values)[1] for values in trials)
    assert unreached(BODY, [tried(values)[0] for values in trials]) == ["IsNever"]


def test_changes_that_the_rules_refuse_are_left_out() -> None:
    assert {"A": "a"} not in covering(BODY, {}, [{"A": "a"}], tried)


def test_the_products_of_ours_show_every_condition_both_ways() -> None:
    held = library()
    world = held.world(HOME)
    base = held.base(HOME, held.cards[held.base_name].stack.trial.parameters)
    world = world.after(base)
    for name, item in sorted(held.cards.items()):
        if item.stack.product:
            trials = held.trials(world, name, "SC-123456789012-pp-abcdefghijklm")
            stacks = [Stack(world, name, values, "SC-123456789012-pp-abcdefghijklm") for values in trials]
            assert unreached(item.body, [stack.conditions for stack in stacks]) == [], name
            world = world.after(stacks[0])
