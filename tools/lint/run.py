"""Lint templates: cfn-lint for every launch region in one process, rules of our own, and what is accepted with a reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cfnlint.config import ConfigMixIn
from cfnlint.decode import decode
from cfnlint.runner import Runner
from cfnlint.version import __version__ as cfn_lint_version

from tools.conditions import launched_in
from tools.lint.model import Finding, Problem, Template
from tools.lint.rules import rules
from tools.lint.rules.suppressions import CFN_LINT
from tools.lint.rules.suppressions import RULE as SUPPRESSIONS
from tools.lint.schemas import schema_date, use_bundled
from tools.lint.speed import hurry, in_parallel

# All of cfn-lint but its three experimental rules, which ask for a metadata block of cfn-lint's own. Strict types: we render the
# templates, so a number that is a text is a mistake. Hard-coded regions and accounts are found beside partitions.
OPTIONS: dict[str, Any] = {
    "include_checks": ["I"],
    # What a template ignores is reported all the same: what counts is MlopsAccepted, which has a reason.
    "mandatory_checks": ["E", "W", "I"],
    "configure_rules": {
        "E3012": {"strict": True},
        "I3042": {"partition": True, "region": True, "accountId": True},
    },
}
FAILING = ("error", "warning")
ELSEWHERE = re.compile(r"does not exist in '([a-z0-9-]+)'")


@dataclass(frozen=True)
class Report:
    """What was linted and what was found; `accepted` counts findings with a reason."""

    templates: tuple[str, ...]
    regions: tuple[str, ...]
    findings: tuple[Finding, ...]
    accepted: int
    versions: Mapping[str, str] = field(
        default_factory=lambda: {"cfn-lint": cfn_lint_version, "schemas": schema_date()}
    )

    @property
    def counts(self) -> Mapping[str, int]:
        """Count the findings by severity."""
        return Counter({"error": 0, "warning": 0, "informational": 0}) + Counter(
            item.severity for item in self.findings
        )

    @property
    def failed(self) -> bool:
        """Tell whether anything is left that has to be mended."""
        return any(item.severity in FAILING for item in self.findings)


class Linter:
    """One Runner for all templates: its rules and schemas are loaded once."""

    def __init__(self, regions: Sequence[str]) -> None:
        use_bundled()
        hurry()
        self.regions = tuple(regions)
        config = ConfigMixIn([], **OPTIONS, regions=list(regions))
        # A .cfnlintrc at home must not change the result.
        config.file_args = {}
        self.runner = Runner(config)

    def lint(self, paths: Sequence[Path], root: Path) -> Report:
        """Lint the files; they are named as seen from `root`. Where a template is nested is read from its neighbours."""
        neighbours = {path for given in paths for path in given.parent.glob("*.yaml")} - set(paths)
        read = {path: decode(str(path)) for path in [*paths, *sorted(neighbours)]}
        bodies = {path.stem: body for path, (body, _) in read.items() if isinstance(body, dict)}
        findings: list[Finding] = []
        templates, names = [], []
        for path in paths:
            name = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
            names.append(name)
            body, broken = read[path]
            if isinstance(body, dict):
                where = launched_in(path.stem, bodies, self.regions)
                templates.append(Template(name, path.read_text(encoding="utf-8"), body, where))
            else:
                findings.extend(_broken(name, broken))
        kept, accepted = self.lint_templates(templates)
        return Report(tuple(names), self.regions, tuple(sorted([*findings, *kept])), accepted)

    def lint_templates(self, templates: Sequence[Template]) -> tuple[list[Finding], int]:
        """Give what is to be mended, and how many findings are accepted with a reason."""

        def work() -> list[tuple[Finding, Problem]]:
            return [found for template in templates for found in self._cfn_lint(template)]

        matches = in_parallel(self.runner.rules, [template.body for template in templates], work)
        findings, accepted = [], 0
        for template in templates:
            ours = [pair for pair in matches if pair[0].template == template.name]
            kept, taken = _accept(template, [*ours, *own_findings(template)])
            findings.extend(kept)
            accepted += taken
        return findings, accepted

    def _cfn_lint(self, template: Template) -> Iterator[tuple[Finding, Problem]]:
        for match in self.runner.validate_template(template.body):
            path = [str(step) for step in getattr(match, "path", [])]
            where = (path[1] if path[0] == "Resources" else "/".join(path[:2])) if len(path) > 1 else ""
            absent = ELSEWHERE.search(match.message) if match.rule.id == "E3006" else None
            if absent and absent[1] not in template.regions:
                continue
            inside = f" (at {'/'.join(path[2:])})" if path[2:] else ""
            problem = Problem(where, f"{match.message}{inside}", str(match.rule.shortdesc), match.rule.severity)
            yield _finding(template, problem, match.rule.id, match.linenumber), problem


def own_findings(template: Template) -> Iterator[tuple[Finding, Problem]]:
    """Give what our own rules find."""
    for rule in rules():
        for problem in rule.check(template):
            yield _finding(template, problem, rule.id, 0), problem


def _finding(template: Template, problem: Problem, rule: str, line: int) -> Finding:
    return Finding(template.name, problem.where, rule, problem.message, problem.mend, problem.severity, line)


def _accept(template: Template, found: Sequence[tuple[Finding, Problem]]) -> tuple[list[Finding], int]:
    """Take out what is accepted on its resource; say which acceptances have nothing left to accept."""
    reasons = {resource.name: resource.accepted for resource in template.resources()}
    used, kept, accepted_count = set(), [], 0
    for finding, problem in found:
        reason = reasons.get(problem.where, {}).get(finding.rule)
        if reason is None or finding.rule == SUPPRESSIONS.id:
            kept.append(finding)
            continue
        used.add((problem.where, finding.rule))
        silent = [name for name in problem.about if name.rpartition(":")[2].lower() not in reason.lower()]
        if silent:
            # A reason covers what it names: an action that is added later is seen again.
            mend = f"mend it, or name {', '.join(silent)} in the reason"
            kept.append(replace(finding, mend=mend))
        else:
            accepted_count += 1
    known = {rule.id for rule in rules()}
    for name, accepted in reasons.items():
        for rule in accepted:
            # What other scanners find is theirs to say.
            ours = rule in known or CFN_LINT.fullmatch(rule)
            if ours and (name, rule) not in used:
                problem = Problem(name, f"{rule} is accepted, but finds nothing here", "remove it from accept=")
                kept.append(_finding(template, problem, SUPPRESSIONS.id, 0))
    return kept, accepted_count


def _broken(name: str, matches: Sequence[Any]) -> Iterator[Finding]:
    for match in matches:
        yield Finding(name, "", match.rule.id, match.message, "run `inv build`", line=match.linenumber)
    if not matches:
        yield Finding(name, "", "E0000", "This is no template", "run `inv build`")
