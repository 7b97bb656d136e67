"""Lists out of comma-separated answers. CloudFormation has no loop, but joining with more than a comma says the same."""

from __future__ import annotations

from typing import Any

from troposphere import Join, Split


def each(answer: Any, before: str = "", after: str = "") -> Split:
    """Give the members of a comma-separated answer as a list, each with text around it."""
    return Split(",", _around(answer, before, after))


def buckets_and_objects(answer: Any) -> Split:
    """Give the ARNs of buckets, and of all their objects."""
    return Split(",", Join(",", [answer, _around(answer, "", "/*")]))


def _around(answer: Any, before: str, after: str) -> Join:
    return Join("", [before, Join(f"{after},{before}", Split(",", answer)), after])
