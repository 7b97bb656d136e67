"""`python -m proofs [--only NAME] [--json]`, run by the interpreter of the environment `lint`."""

from __future__ import annotations

import argparse
import gc
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

# Nothing that is loaded goes away before the end, so looking for garbage is a waste.
gc.disable()

from proofs.errors import MissingData, NoSuchProof, NothingToProve  # noqa: E402
from proofs.listing import proofs  # noqa: E402
from proofs.report import Outcome, Report  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the proofs that are asked for, all without `--only`; 0 proved, 1 disproved, 3 not run."""
    parser = argparse.ArgumentParser(prog="inv prove", description="Prove what AWS's own data can prove.")
    parser.add_argument("--only", default="", help="one proof by its name")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    asked = parser.parse_args(arguments)
    known = proofs()
    if asked.only and asked.only not in known:
        parser.error(str(NoSuchProof(asked.only, list(known))))
    report = Report(tuple((name, outcome(known[name])) for name in known if asked.only in ("", name)))
    print(report.as_json() if asked.json else report.as_text())
    if asked.json:
        for name, found in report.outcomes:
            if found.reason:
                print(f"{name} was not run: {found.reason}", file=sys.stderr)
    return report.code


def outcome(module: str) -> Outcome:
    """Run one proof; whatever keeps it from running is a reason, never a pass."""
    try:
        found = import_module(module).run()
        assert isinstance(found, Outcome)
        return found
    except (MissingData, NothingToProve) as error:
        return Outcome(reason=str(error))
    except ModuleNotFoundError as error:
        return Outcome(reason=str(MissingData(f"The package {error.name}")))
    except Exception as error:
        traceback.print_exc()
        return Outcome(reason=f"{type(error).__name__}: {error}. Mend what the traceback names.")


if __name__ == "__main__":
    sys.exit(main())
