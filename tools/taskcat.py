"""Lint .taskcat.yml and its templates with taskcat, in an environment of its own, without network or credentials."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from tools.environments import ROOT, ensure
from tools.errors import MlopsError

CONFIG = ROOT / ".taskcat.yml"
PARTS = ROOT / "build" / "taskcat"
# taskcat makes a client before it reads a line; these let it, and lead nowhere.
NOBODY = {
    "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}  # fmt: skip


class TaskcatFailed(MlopsError):
    """taskcat refuses the file or a template."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"taskcat: {reason}. Change the generator or its card, then run `./inv build` and `./inv taskcat`."
        )


def lint() -> None:
    """Lint every template with taskcat. Raises TaskcatFailed."""
    if not CONFIG.is_file():
        raise TaskcatFailed(".taskcat.yml is missing")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [str(ensure("taskcat")), "-m", "tools.taskcat", *map(str, parts(CONFIG, PARTS))]
    if subprocess.run(command, cwd=ROOT, env=environment | NOBODY).returncode != 0:
        raise TaskcatFailed("lint failed (see above)")
    print("taskcat: lint passed.")


def parts(config: Path, folder: Path) -> list[Path]:
    """Write a file for each template, with its own regions, and give their paths.

    taskcat lints every template, and all that it nests, in the regions of every test; a nested template is there for fewer."""
    import yaml

    from generators.kit.registry import rendered
    from tools.conditions import launched_in

    whole = yaml.safe_load(config.read_text(encoding="utf-8"))
    bodies = {item.stack.name: item.body for item in rendered()}
    unknown = sorted(set(whole["tests"]) - set(bodies))
    if unknown:
        raise TaskcatFailed(f".taskcat.yml tests {', '.join(unknown)}, which no generator makes")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    written = []
    for item in rendered():
        name = item.stack.name
        plain = {"template": f"templates/{name}.yaml", "parameters": dict(item.stack.trial.parameters)}
        regions = launched_in(name, bodies, whole["project"]["regions"])
        test = whole["tests"].get(name, plain) | {"regions": list(regions)}
        path = folder / f"{name}.yml"
        path.write_text(json.dumps(whole | {"tests": {name: test}}, indent=1), encoding="utf-8")
        written.append(path)
    return written


def main(paths: Sequence[str]) -> int:
    """Run taskcat's lint over each part, in its own environment."""
    # It asks setuptools for its own version in a way that setuptools warns of.
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    from jsonschema.exceptions import ValidationError  # type: ignore[import-untyped]
    from taskcat._cfn.template import Template  # type: ignore[import-not-found]
    from taskcat._cli_modules.lint import Lint  # type: ignore[import-not-found]
    from taskcat.exceptions import TaskCatException  # type: ignore[import-not-found]

    from tools.lint.speed import hurry

    hurry()
    # What a template nests has a part of its own.
    Template.descendents = property(lambda self: [])
    failed = []
    for path in map(Path, paths):
        try:
            Lint(input_file=str(path.relative_to(ROOT)), project_root=str(ROOT), strict=True)
        except (TaskCatException, ValidationError, OSError) as error:
            failed.append(f"{path.stem}: {str(error).splitlines()[0]}")
    print("\n".join(failed), file=sys.stderr, end="\n" if failed else "")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
