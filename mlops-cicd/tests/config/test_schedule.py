"""Schedules, held against what EventBridge Scheduler documents."""

from __future__ import annotations

import pytest
from mlops_cicd.config.schedule import schedule_problem


@pytest.mark.parametrize(
    "text",
    ["cron(0 6 * * ? *)", "cron(15 10 ? * 6L 2024-2030)", "cron(0/15 * ? * MON-FRI *)", "cron(0 8 1 * ? *)", "cron(0 0 L * ? *)",
     "cron(0 9 ? * 2#1 *)", "cron(0 9 15W * ? *)", "cron(0 9 ? JAN,mar sun *)", "rate(1 day)",
     "rate(12 hours)", "rate(90 minutes)"],
)  # fmt: skip
def test_schedules_are_taken(text: str) -> None:
    assert schedule_problem(text) is None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("0 6 * * *", "neither"),
        ("cron(0 6 * * *)", "5 fields"),
        ("cron(0 6 * * ? * *)", "7 fields"),
        ("cron(0 6 * * * *)", "needs a ?"),
        ("cron(0 6 ? * ? *)", "needs a ?"),
        ("cron(60 6 * * ? *)", "minutes"),
        ("cron(0 24 * * ? *)", "hours"),
        ("cron(0 6 32 * ? *)", "day of month"),
        ("cron(0 6 * 13 ? *)", "month"),
        ("cron(0 6 ? * 8 *)", "day of week"),
        ("cron(0 6 ? * MO *)", "day of week"),
        ("cron(0 6 * * ? 1969)", "year"),
        ("cron(0/0 6 * * ? *)", "minutes"),
        ("cron(1- 6 * * ? *)", "minutes"),
        ("cron(? 6 * * ? *)", "minutes"),
        ("rate(0 days)", "neither"),
        ("rate(1 week)", "neither"),
        ("daily", "neither"),
        ("", "neither"),
    ],
)
def test_what_is_no_schedule_is_refused(text: str, what: str) -> None:
    found = schedule_problem(text)
    assert found is not None
    assert what in found[0]
    assert "cron(0 6 * * ? *)" in found[1]
