"""What a release promises, as `releases/v{version}.json`, and what a later one broke of it.

A promise may be broken only with a note under `### Migration` in CHANGELOG.md that names it. The values of create-only properties
come from registry schemas, so writing runs in the environment `lint`; comparing needs files alone."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generators.kit.publishing import version
from generators.kit.registry import Rendered, rendered
from tools.environments import ROOT
from tools.errors import MlopsError, Problems
from tools.lint.holding import HOLDS_DATA

FOLDER = ROOT / "releases"
CHANGELOG = ROOT / "CHANGELOG.md"
Promise = Mapping[str, Any]


class Released(MlopsError):
    """The version is out, and promised something else."""

    def __init__(self, wanted: str) -> None:
        super().__init__(
            f"Version {wanted} is tagged, and the templates are not what it promised. "
            f"Raise the version in pyproject.toml, run `./inv build` and `./inv release`."
        )


class ReleaseFailed(MlopsError):
    """The promise file could not be written."""

    def __init__(self) -> None:
        super().__init__("Nothing was written to releases/. Mend what stands above, then run `./inv release` again.")


@dataclass(frozen=True)
class Broken:
    """A broken promise: `name` is what the migration note has to name."""

    template: str
    name: str
    what: str

    def __str__(self) -> str:
        return f"{self.template}: {self.name} {self.what}"


def run() -> None:
    """Write the promise file of the current version. Raises ReleaseFailed."""
    from tools.lint.command import run_module

    if run_module("tools.releases") != 0:
        raise ReleaseFailed


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file, or with --check only say whether it is what it has to be."""
    parser = argparse.ArgumentParser(prog="inv release")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args(arguments)
    try:
        path = check() if asked.check else write()
    except MlopsError as error:
        print(error, file=sys.stderr)
        return 1
    before = previous(version())
    compared = (
        f"; it keeps what {before.stem} promised, or says how to migrate" if before else "; there is none before it"
    )
    print(f"releases/{path.name} is {'current' if asked.check else 'written'}{compared}.")
    return 0


def write() -> Path:
    """Write the promise file of the current version. Raises Released, or Problems for promises broken without a note."""
    wanted, text = version(), render(document(rendered()))
    path = file_of(wanted)
    if path.is_file() and path.read_text(encoding="utf-8") != text and is_tagged(wanted):
        raise Released(wanted)
    if not re.search(rf"^## \[{re.escape(wanted)}\]", CHANGELOG.read_text(encoding="utf-8"), re.MULTILINE):
        raise Problems(
            f"{wanted} has no place in CHANGELOG.md:", ["its heading"], f"Head its changes with '## [{wanted}]'."
        )
    _keep_promises(json.loads(text), wanted)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def check() -> Path:
    """Hold the tree against its promise file and the one before. Raises Released or Problems."""
    wanted, text = version(), render(document(rendered()))
    path = file_of(wanted)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        if is_tagged(wanted):
            raise Released(wanted)
        raise Problems("The promise file is stale:", [f"releases/{path.name}"], "Run `./inv release` and commit it.")
    _keep_promises(json.loads(text), wanted)
    return path


def file_of(wanted: str) -> Path:
    """Give the promise file of a version."""
    return FOLDER / f"v{wanted}.json"


def previous(wanted: str, folder: Path | None = None) -> Path | None:
    """Give the newest promise file of a version before this one."""
    before = [path for path in (folder or FOLDER).glob("v*.json") if _order(path.stem[1:]) < _order(wanted)]
    return max(before, key=lambda path: _order(path.stem[1:]), default=None)


def is_tagged(wanted: str) -> bool:
    """Tell whether the version is out."""
    tag = ["git", "rev-parse", "--quiet", "--verify", f"refs/tags/v{wanted}"]
    return subprocess.run(tag, cwd=ROOT, capture_output=True).returncode == 0


def render(promised: Promise) -> str:
    """Give the bytes of a promise file."""
    return json.dumps(promised, indent=1, sort_keys=True) + "\n"


def document(templates: Sequence[Rendered]) -> dict[str, Any]:
    """Give what the templates promise. Needs registry schemas."""
    return {"version": version(), "templates": {item.stack.name: promise(item.body) for item in templates}}


def promise(body: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a template promises. Needs registry schemas."""
    return names_in(body) | {"resources": {name: _resource(item) for name, item in body["Resources"].items()}}


def compare(old: Promise, new: Promise) -> list[Broken]:
    """Give the promises of the old release that the new one breaks."""
    found = []
    for name, before in old["templates"].items():
        after = new["templates"].get(name)
        if after is None:
            found.append(Broken(name, name, "is gone"))
        else:
            found += [Broken(name, *each) for each in (*_taken_away(before, after), *_data_lost(before, after))]
    return found


def unexplained(broken: Sequence[Broken], changelog: str, wanted: str) -> list[Broken]:
    """Give the broken promises that the migration note of a version does not name."""
    note = migration_note(changelog, wanted)
    return [each for each in broken if not re.search(rf"(?<![\w/-]){re.escape(each.name)}(?![\w/-])", note)]


def migration_note(changelog: str, wanted: str) -> str:
    """Give the text below `### Migration` of a version, empty without."""
    sections = re.split(r"^## ", changelog, flags=re.MULTILINE)
    own = next((part for part in sections if re.match(rf"\[?v?{re.escape(wanted)}\]?(?![\w.])", part)), "")
    found = re.search(r"^### Migration\s*$(.*?)(?=^### |\Z)", own, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def _keep_promises(new: Promise, wanted: str) -> None:
    before = previous(wanted)
    if before is None:
        return
    broken = compare(json.loads(before.read_text(encoding="utf-8")), new)
    left = unexplained(broken, CHANGELOG.read_text(encoding="utf-8"), wanted)
    if left:
        mend = f"Keep them, or name each under '## [{wanted}]', '### Migration' in CHANGELOG.md with what to do."
        raise Problems(f"{wanted} breaks promises of {before.stem}:", [str(each) for each in left], mend)


PROMISED = ("Type", "Default", "AllowedValues", "AllowedPattern", "MinLength", "MaxLength", "MinValue", "MaxValue")


def names_in(body: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a template promises to people and other stacks. Needs no schemas."""
    outputs = body.get("Outputs", {})
    parameters = {
        name: {key.lower(): asked[key] for key in PROMISED if key in asked}
        for name, asked in body.get("Parameters", {}).items()
    }
    stored = [item for item in body["Resources"].values() if item["Type"] == "AWS::SSM::Parameter"]
    paths = [item["Properties"].get("Name") for item in stored]
    return {
        "parameters": parameters,
        "outputs": sorted(outputs),
        "exports": sorted(_canonical(item["Export"]["Name"]) for item in outputs.values() if "Export" in item),
        "ssm": sorted(_canonical(path) for path in paths if path is not None),
    }


def _resource(item: Mapping[str, Any]) -> dict[str, Any]:
    from tools.lint.schemas import create_only

    properties = item.get("Properties", {})
    found = {
        "type": item["Type"],
        "holds_data": item["Type"] in HOLDS_DATA or str(item.get("DeletionPolicy", "")).startswith("Retain"),
        "conditional": "Condition" in item,
        "create_only": dict(_values(properties, create_only(item["Type"]))),
        "create_only_sometimes": dict(_values(properties, create_only(item["Type"], conditional=True))),
    }
    return {key: value for key, value in found.items() if value not in ({}, False)}


def _values(properties: Mapping[str, Any], pointers: Sequence[str]) -> Iterator[tuple[str, str]]:
    for pointer in pointers:
        steps = pointer.removeprefix("/properties/").split("/")
        found = _at(properties, [step for step in steps if step != "properties"])
        if found is not None:
            yield "/".join(steps), _canonical(found)


def _at(value: Any, steps: list[str]) -> Any:
    """Give what stands at a path; where a function stands in between, the function, since nobody can look behind it."""
    if not steps or value is None:
        return value
    if isinstance(value, Mapping):
        if len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref")):
            return value
        return _at(value.get(steps[0]), steps[1:])
    if isinstance(value, (list, tuple)):
        return [_at(item, steps[1:] if steps[0] == "*" else steps) for item in value]
    return None


def _canonical(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))


def _taken_away(before: Promise, after: Promise) -> Iterator[tuple[str, str]]:
    for kind, what in (("outputs", "output"), ("exports", "export"), ("ssm", "SSM parameter")):
        for name in sorted(set(before[kind]) - set(after[kind])):
            yield name, f"is no {what} any more"
    for name, old in before["parameters"].items():
        new = after["parameters"].get(name)
        if new is None:
            yield name, "is no parameter any more"
        elif new["type"] != old["type"]:
            yield name, f"was a {old['type']}, is a {new['type']}"
        elif "default" in old and "default" not in new:
            yield name, "has no default any more"
        elif "allowedvalues" in new:
            lost = [str(v) for v in old.get("allowedvalues", []) if v not in new["allowedvalues"]]
            if lost or "allowedvalues" not in old:
                yield name, f"does not take {', '.join(lost) or 'any value'} any more"
    for name in sorted(set(after["parameters"]) - set(before["parameters"])):
        if "default" not in after["parameters"][name]:
            yield name, "is asked for without a default"


def _data_lost(before: Promise, after: Promise) -> Iterator[tuple[str, str]]:
    replaced = _replaced(before["resources"], after["resources"])
    for name, old in before["resources"].items():
        if not old.get("holds_data"):
            continue
        new = after["resources"].get(name)
        if new is None:
            yield name, f"({old['type']}) is gone, and holds data"
            continue
        if name in replaced:
            yield name, f"({old['type']}) is replaced by a change of {replaced[name]}, and holds data"
        elif old.get("create_only_sometimes") != new.get("create_only_sometimes"):
            yield name, f"({old['type']}) may be replaced by a change of {_changed(old, new, 'create_only_sometimes')}"
        if not new.get("holds_data"):
            yield name, f"({old['type']}) goes with its stack now, and holds data"
        if new.get("conditional") and not old.get("conditional"):
            yield name, f"({old['type']}) stands under a condition now, and holds data"


def _replaced(before: Promise, after: Promise) -> dict[str, str]:
    """Give what is replaced and by which property; a replaced thing takes along whoever names it at creation."""
    found: dict[str, str] = {}
    for name, old in before.items():
        new = after.get(name)
        if new is None or new["type"] != old["type"]:
            found[name] = "its type"
        elif changed := _changed(old, new, "create_only"):
            found[name] = changed
    grew = True
    while grew:
        grew = False
        for name, new in after.items():
            causes = [other for other in found if other != name and other in _named_in(new.get("create_only", {}))]
            if name in before and name not in found and causes:
                found[name] = f"{causes[0]}, which it names at creation"
                grew = True
    return found


def _changed(old: Promise, new: Promise, kind: str) -> str:
    left, right = old.get(kind, {}), new.get(kind, {})
    return ", ".join(sorted(key for key in {*left, *right} if left.get(key) != right.get(key)))


def _named_in(values: Mapping[str, str]) -> set[str]:
    """Give the words of the values that may be logical ids: in Ref, Fn::GetAtt and Fn::Sub."""
    text = " ".join(value for value in values.values() if value.startswith(("{", "[")))
    return set(re.findall(r"[A-Za-z0-9]+", text))


def _order(wanted: str) -> tuple[int, int, int, int, str, int]:
    """Give the place of a version among others; 1.0.0rc1 comes before 1.0.0."""
    found = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)(.*)", wanted)
    if found is None:
        return (0, 0, 0, 0, wanted, 0)
    before = re.fullmatch(r"(\D*)(\d*)", found[4])
    kind, number = (before[1], int(before[2] or 0)) if before else (found[4], 0)
    return (int(found[1]), int(found[2]), int(found[3]), 0 if found[4] else 1, kind, number)


if __name__ == "__main__":
    sys.exit(main())
