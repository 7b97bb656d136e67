"""Values that a parameter takes: the shortest and the longest text of its pattern, within its lengths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]  # Python's own reader of patterns: no second one beside it
from typing import Any

from proofs.errors import Unresolved
from proofs.maxima import PARAMETER_VALUE

_PREFERRED = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CLASSES = {
    sre.CATEGORY_DIGIT: "0123456789",
    sre.CATEGORY_WORD: _PREFERRED + "_",
    sre.CATEGORY_SPACE: " ",
    sre.CATEGORY_NOT_SPACE: _PREFERRED,
}


def fits(value: str, asked: Mapping[str, Any]) -> bool:
    """Tell whether CloudFormation takes a value for a parameter."""
    if "AllowedValues" in asked and value not in map(str, asked["AllowedValues"]):
        return False
    if asked["Type"] == "Number":
        low, high = float(asked.get("MinValue", "-inf")), float(asked.get("MaxValue", "inf"))
        return re.fullmatch(r"-?\d+(\.\d+)?", value) is not None and low <= float(value) <= high
    if not int(asked.get("MinLength", 0)) <= len(value) <= int(asked.get("MaxLength", PARAMETER_VALUE)):
        return False
    return "AllowedPattern" not in asked or re.fullmatch(asked["AllowedPattern"], value) is not None


def several(asked: Mapping[str, Any]) -> list[str]:
    """Give short values that are not empty: one text, or the numbers at both ends and one between them."""
    found = sorted(dict.fromkeys(value for value in _made(asked, PARAMETER_VALUE, short=True) if value), key=len)
    return found if asked["Type"] == "Number" else found[:1]


def shortest(asked: Mapping[str, Any]) -> str | None:
    """Give a short value that is not empty, None where the parameter takes none."""
    return next(iter(several(asked)), None)


def longest(asked: Mapping[str, Any], turn: int = 0) -> str | None:
    """Give the value that takes most room in a policy: the longest, and of lists the one with most members.

    Another `turn` gives it in other letters, so that a reader sees in a long text which value is which."""
    if "AllowedValues" in asked:
        return max(map(str, asked["AllowedValues"]), key=len)
    if asked["Type"] == "Number":
        # Without an end a person types no more than this.
        high = str(asked.get("MaxValue", 10**9))
        return high if fits(high, asked) else None
    found = list(_made(asked, int(asked.get("MaxLength", PARAMETER_VALUE)), turn=turn))
    # Each member of a list stands between quotation marks.
    return max(found, key=lambda value: len(value) + 2 * value.count(",")) if found else None


def _made(asked: Mapping[str, Any], most: int, *, short: bool = False, turn: int = 0) -> Iterator[str]:
    if asked["Type"] == "Number":
        low = int(asked.get("MinValue", 0))
        yield from filter(lambda value: fits(value, asked), (str(low), str(low + 1), str(asked.get("MaxValue", low))))
        return
    if asked["Type"] not in ("String", "CommaDelimitedList"):
        return
    most = min(most, int(asked.get("MaxLength", most)))
    if "AllowedPattern" not in asked:
        yield from ("x" * length for length in (max(1, int(asked.get("MinLength", 1))), most))
        return
    for value in _texts(asked["AllowedPattern"], most, short, turn):
        if fits(value, asked):
            yield value


@cache
def _texts(pattern: str, most: int, short: bool, turn: int) -> tuple[str, ...]:
    """Give texts of a pattern: with each of its endless repetitions in turn drawn out as far as `most` lets it, or all short."""
    tree = parser.parse(pattern)
    found = []
    for branch in range(_alternatives(tree)):
        plain = _Writer(branch, short, turn)
        found.append(plain.write(tree))
        for drawn in range(plain.endless):
            # Once, or as often as the text still fits.
            low, high = (1, 1) if short else (0, most)
            while low < high:
                middle = (low + high + 1) // 2
                text = _Writer(branch, short, turn, drawn, middle).write(tree)
                low, high = (middle, high) if len(text) <= most else (low, middle - 1)
            found.append(_Writer(branch, short, turn, drawn, low).write(tree))
    return tuple(dict.fromkeys(text for text in found if len(text) <= most))


def _alternatives(tree: Any) -> int:
    """Give the most alternatives that any choice in a pattern has, one more for the empty one of an optional part."""
    widest = 1
    for code, argument in tree:
        if code is sre.BRANCH:
            widest = max(widest, len(argument[1]), *(_alternatives(part) for part in argument[1]))
        elif code in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.SUBPATTERN):
            widest = max(widest, _alternatives(argument[-1]))
    return widest


class _Writer:
    """Write one text of a pattern: `branch` chooses among alternatives, `drawn` names the endless repetition that is drawn
    out `times`; every other endless one takes as few as it may. What ends is written to its end, or once when `short`."""

    def __init__(self, branch: int, short: bool, turn: int, drawn: int = -1, times: int = 0) -> None:
        self.branch, self.short, self.drawn, self.times = branch, short, drawn, times
        self._letters = _PREFERRED[turn % 26 : 26] + _PREFERRED[: turn % 26] + _PREFERRED[26:]
        self.endless = 0
        self._ids: dict[int, int] = {}

    def write(self, tree: Any) -> str:
        return "".join(self._part(code, argument) for code, argument in tree)

    def _part(self, code: Any, argument: Any) -> str:
        if code is sre.LITERAL:
            return chr(argument)
        if code is sre.NOT_LITERAL:
            return next(char for char in self._letters if char != chr(argument))
        if code is sre.ANY:
            return self._letters[0]
        if code is sre.IN:
            return _one_of(argument, self._letters)
        if code is sre.SUBPATTERN:
            return self.write(argument[-1])
        if code is sre.BRANCH:
            parts = argument[1]
            return self.write(parts[min(self.branch, len(parts) - 1)])
        if code in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            return self._repeated(*argument)
        if code in (sre.AT, sre.ASSERT, sre.ASSERT_NOT):
            return ""  # what it writes is held against the whole pattern afterwards
        raise Unresolved("a pattern", f"it has {code}, which is not known", "Teach it to proofs/samples.py.")

    def _repeated(self, least: int, most: int, tree: Any) -> str:
        if most is not sre.MAXREPEAT:
            return self.write(tree) * (max(least, min(most, 1)) if self.short else most)
        # The same place of the pattern keeps its number however often it is written.
        number = self._ids.setdefault(id(tree), len(self._ids))
        self.endless = len(self._ids)
        return self.write(tree) * max(least, self.times if number == self.drawn else least)


def _one_of(members: Any, letters: str) -> str:
    """Give a character of a class."""
    if members and members[0][0] is sre.NEGATE:
        refused = set("".join(_members(members[1:])))
        return next(char for char in letters if char not in refused)
    allowed = "".join(_members(members))
    return next((char for char in letters if char in allowed), allowed[0])


def _members(members: Any) -> Iterator[str]:
    for code, argument in members:
        if code is sre.LITERAL:
            yield chr(argument)
        elif code is sre.RANGE:
            yield "".join(map(chr, range(argument[0], argument[1] + 1)))
        elif code is sre.CATEGORY:
            yield _CLASSES[argument]
