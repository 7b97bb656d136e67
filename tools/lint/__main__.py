"""`python -m tools.lint [--json] [TEMPLATE...]`, run by the interpreter of the environment `lint`."""

from __future__ import annotations

import argparse
import gc
import json
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

# Half of the run loads modules and schemas, of which nothing goes away: looking for garbage there is a waste.
gc.disable()

from generators.kit import regions  # noqa: E402
from generators.kit.publishing import ROOT  # noqa: E402
from tools.lint.run import Linter, Report  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> int:
    """Lint the templates named, or all that are committed; 0 when there is nothing to mend."""
    parser = argparse.ArgumentParser(prog="inv lint", description="Lint templates in every launch region.")
    parser.add_argument("templates", nargs="*", type=Path, help="files; all of templates/ without")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    asked = parser.parse_args(arguments)
    paths = [path.resolve() for path in asked.templates] or sorted((ROOT / "templates").glob("*.yaml"))
    missing = [str(path) for path in paths if not path.is_file()]
    if missing or not paths:
        print(f"There is no template {', '.join(missing) or 'in templates/'}. Run `inv build`.", file=sys.stderr)
        return 1
    report = Linter(regions.names()).lint(paths, ROOT)
    print(_json(report) if asked.json else _text(report))
    return 1 if report.failed else 0


def _json(report: Report) -> str:
    found = {
        "versions": dict(report.versions), "regions": report.regions, "templates": report.templates,
        "counts": {name: report.counts[name] for name in ("error", "warning", "informational")},
        "accepted": report.accepted, "findings": [asdict(item) for item in report.findings],
    }  # fmt: skip
    return json.dumps(found, indent=1)


def _text(report: Report) -> str:
    counts = report.counts
    return "\n".join([
        f"cfn-lint {report.versions['cfn-lint']}, schemas of {report.versions['schemas']}, "
        f"{len(report.templates)} templates in {len(report.regions)} regions",
        *(str(item) for item in report.findings),
        f"{counts['error']} errors, {counts['warning']} warnings, {counts['informational']} informational, "
        f"{report.accepted} accepted with a reason",
    ])  # fmt: skip


if __name__ == "__main__":
    try:
        code = main()
    except Exception:
        traceback.print_exc()
        code = 3  # not 1, which says that the templates have findings
    sys.exit(code)
