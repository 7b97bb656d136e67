"""What a proof says, for people and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass

PROVED, DISPROVED, NOT_RUN = "proved", "disproved", "not-run"
CODES = {PROVED: 0, DISPROVED: 1, NOT_RUN: 3}


@dataclass(frozen=True, order=True)
class Finding:
    """Something that does not hold: where, what, and the change that mends it."""

    where: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"  {self.where}: {self.what}\n      -> {self.mend}"


@dataclass(frozen=True)
class Outcome:
    """What came of a proof: how many checks were made, how many of them rest on more than AWS's data, and what does not hold.

    `note` says what the checks were made on; `reason` why the proof was not run."""

    count: int = 0
    not_from_aws: int = 0
    findings: tuple[Finding, ...] = ()
    note: str = ""
    reason: str = ""

    @property
    def status(self) -> str:
        """Give the status as the JSON document names it."""
        if self.findings:
            return DISPROVED
        return NOT_RUN if self.reason else PROVED


@dataclass(frozen=True)
class Report:
    """The outcome of every proof that was asked for, by name."""

    outcomes: tuple[tuple[str, Outcome], ...]

    @property
    def code(self) -> int:
        """Give the exit code: 1 when anything is disproved, else 3 when anything was not run, else 0."""
        statuses = {outcome.status for _, outcome in self.outcomes}
        return next((CODES[status] for status in (DISPROVED, NOT_RUN) if status in statuses), CODES[PROVED])

    def as_json(self) -> str:
        """Give the document for programs."""
        rows = [
            {"name": name, "status": o.status, "count": o.count, "not_from_aws": o.not_from_aws}
            for name, o in self.outcomes
        ]
        return json.dumps({"proofs": rows}, indent=1)

    def as_text(self) -> str:
        """Give one line for each proof, then each finding with its mend."""
        lines = [_line(name, outcome) for name, outcome in self.outcomes]
        for name, outcome in self.outcomes:
            if outcome.findings:
                lines += ["", f"{name}: {_many(len(outcome.findings), 'finding')}", *map(str, sorted(outcome.findings))]
        return "\n".join(lines)


def _line(name: str, outcome: Outcome) -> str:
    if outcome.status == NOT_RUN:
        return f"{name:20} not run: {outcome.reason}"
    more = f"; {outcome.note}" if outcome.note else ""
    return f"{name:20} {outcome.status}, {_many(outcome.count, 'check')}, {outcome.not_from_aws} not from AWS's data alone{more}"


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
