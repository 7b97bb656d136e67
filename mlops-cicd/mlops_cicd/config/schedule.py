"""Schedules as EventBridge Scheduler takes them: cron(...) with six fields, or rate(...).

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html"""

from __future__ import annotations

import re

from mlops_cicd.errors import shown

_MEND = "Write it as cron(0 6 * * ? *), which is each day at six in UTC, or as rate(1 day)."
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAY_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_DAYS = {name: number for number, name in enumerate(_DAY_NAMES, start=1)}
# Name, lowest, highest, names, and what else the field may be.
_FIELDS: tuple[tuple[str, int, int, dict[str, int], str], ...] = (
    ("minutes", 0, 59, {}, r"(?!)"),
    ("hours", 0, 23, {}, r"(?!)"),
    ("day of month", 1, 31, {}, r"\?|L|(L-|)([1-9]|[12][0-9]|3[01])W?|LW"),
    ("month", 1, 12, _MONTHS, r"(?!)"),
    ("day of week", 1, 7, _DAYS, r"\?|L|[1-7]L|[1-7]#[1-5]"),
    ("year", 1970, 2199, {}, r"(?!)"),
)


def schedule_problem(text: str) -> tuple[str, str] | None:
    """Return what is wrong with a schedule, and the mend."""
    rate = re.fullmatch(r"rate\(([1-9][0-9]{0,4}) (minute|hour|day)s?\)", text)
    if rate:
        return None
    cron = re.fullmatch(r"cron\((.*)\)", text)
    if not cron:
        return f"{shown(text)} is neither cron(...) nor rate(...)", _MEND
    fields = cron[1].split()
    if len(fields) != len(_FIELDS):
        return f"{shown(text)} has {len(fields)} fields and not six", _MEND
    for field, (name, lowest, highest, names, others) in zip(fields, _FIELDS, strict=True):
        if not re.fullmatch(others, field) and not all(
            _is_part(part, lowest, highest, names) for part in field.split(",")
        ):
            return f"{shown(text)} can't have {shown(field)} as its {name}", _MEND
    if (fields[2] == "?") == (fields[4] == "?"):
        return f"{shown(text)} needs a ? as day of month or as day of week, and not as both", _MEND
    return None


def _is_part(part: str, lowest: int, highest: int, names: dict[str, int]) -> bool:
    """Say whether a part is *, a value or a range, with or without a step."""
    span, slash, step = part.partition("/")
    if slash and not (re.fullmatch(r"[0-9]{1,4}", step) and 1 <= int(step) <= highest):
        return False
    if span == "*":
        return True
    ends = [_value(end, names) for end in span.split("-")]
    return len(ends) <= 2 and all(end is not None and lowest <= end <= highest for end in ends)


def _value(text: str, names: dict[str, int]) -> int | None:
    if text.upper() in names:
        return names[text.upper()]
    return int(text) if re.fullmatch(r"[0-9]{1,4}", text) else None
