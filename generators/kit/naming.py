"""Physical names, where one is needed at all: fixed names collide with what an earlier stack left behind on purpose."""

from __future__ import annotations

from troposphere import Join, Select, Split, StackId


def stack_suffix() -> Select:
    """Give eight characters that are this stack's own: the first part of the unique id that ends its ARN."""
    return Select(0, Split("-", Select(2, Split("/", StackId))))


def unique(name: str) -> Join:
    """Give a name that ends in the stack's own suffix."""
    return Join("-", [name, stack_suffix()])
