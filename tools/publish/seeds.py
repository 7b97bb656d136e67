"""Seeds: what the platform's three repositories and a project's own hold when they are created, one zip each.

CodeCommit refuses an empty file and more than 100 files in one commit, and an initial commit of more than some MB
(https://docs.aws.amazon.com/codecommit/latest/userguide/limits.html, https://github.com/aws/aws-cdk/issues/19012)."""

from __future__ import annotations

import fnmatch
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from generators.kit.publishing import ROOT, frameworks, project_seed_key
from tools.model_config import beginning_problems
from tools.publish.zips import Member, archive

MOST_FILES = 99
MOST_BYTES = 5_000_000


@dataclass(frozen=True)
class Seed:
    """A repository's first content: a folder of this project, less what is left out, but for what is kept of that.

    Paths and the patterns of what is kept are from the root."""

    name: str
    folder: str
    left_out: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    def holds(self, name: str) -> bool:
        """Tell whether a file, by its path from the root, belongs to this seed."""
        if self.folder != "." and not name.startswith(f"{self.folder}/"):
            return False
        out = any(name == path or name.startswith(f"{path}/") for path in self.left_out)
        return not out or any(fnmatch.fnmatch(name, pattern) for pattern in self.kept)


SEEDS = (
    # What an engineer needs to change and render the templates. The other repositories hold their own folders; lint, tests,
    # proofs, emulator and publishing, and the commands that need them, are more files than the limit allows and stay with the
    # maintainers of the library. Reference pages and taskcat's tests are rendered with the templates.
    Seed(
        "mlops-cfn",
        ".",
        (
            ".ci",
            ".taskcat.yml",
            "SECURITY.md",
            "docs",
            "lambdas",
            "mlops-cicd",
            "proofs",
            "rehearsal",
            "releases",
            "requirements",
            "seedcode-repo",
            "tests",
            "tools/bench.py",
            "tools/engine.py",
            "tools/facts.py",
            "tools/lint",
            "tools/local.py",
            "tools/prove.py",
            "tools/publish",
            "tools/releases.py",
            "tools/suite.py",
            "tools/taskcat.py",
        ),
        # What templates are rendered from: which functions there are, their definitions, and which frameworks.
        ("lambdas/*/handler.py", "lambdas/*/*.asl.json", "requirements/main.txt", "seedcode-repo/*/model_config.yaml"),
    ),
    # What pipelines run, on this machine as well. Its tests stay with the library, for the same reason.
    Seed("mlops-cicd", "mlops-cicd", ("mlops-cicd/tests", "mlops-cicd/pytest.ini")),
    Seed("seedcode-repo", "seedcode-repo"),
)


def seed_zips(problems: list[str], root: Path = ROOT) -> dict[str, bytes]:
    """Zip every seed, by repository name; what breaks a limit is added to `problems`."""
    files = project_files(root)
    zips = {}
    for seed in (*SEEDS, *project_seeds(problems, files, root)):
        members = _members(seed, files, root, problems)
        zips[seed.name] = archive(members)
        if not members:
            problems.append(f"the seed {seed.name} has no file: write one into {seed.folder}/")
        if len(members) > MOST_FILES:
            problems.append(
                f"the seed {seed.name} has {len(members)} files, CodeCommit takes fewer than 100 in a commit: "
                f"leave out what its readers don't need in {Path(__file__).relative_to(ROOT)}"
            )
        if len(zips[seed.name]) > MOST_BYTES:
            size = len(zips[seed.name])
            problems.append(f"the seed {seed.name} has {size:,} bytes, more than {MOST_BYTES:,}: leave large files out")
    return zips


def project_seeds(problems: list[str], files: list[str], root: Path = ROOT) -> list[Seed]:
    """Give the seed of each framework that a project can choose; one that would be offered and not published is a problem."""
    found = []
    for framework in frameworks(root):
        folder = f"seedcode-repo/{framework}"
        found.append(Seed(Path(project_seed_key(framework)).stem, folder))
        if f"{folder}/model_config.yaml" not in files:
            problems.append(f"{folder}/model_config.yaml is not tracked by git, so no seed holds it: git add {folder}")
        problems += beginning_problems(root / folder, folder)
    return found


def project_files(root: Path = ROOT) -> list[str]:
    """List the project's own files, as paths from the root: what git tracks, or without git all that is not ignored."""
    return _tracked(root) or _not_ignored(root)


def untracked(root: Path = ROOT) -> list[str]:
    """List files that would be in a seed if git tracked them, and that it neither tracks nor ignores."""
    found = _git(root, "--others", "--exclude-standard") if _tracked(root) else []
    return [name for name in found if any(seed.holds(name) for seed in SEEDS)]


def _members(seed: Seed, files: list[str], root: Path, problems: list[str]) -> dict[str, Member]:
    members = {}
    start = "" if seed.folder == "." else f"{seed.folder}/"
    for name in files:
        if not seed.holds(name):
            continue
        path = root / name
        if path.is_symlink():
            problems.append(f"{name} in the seed {seed.name} is a link, which no seed can hold: replace it by the file")
        elif path.is_file():
            data = path.read_bytes()
            members[name.removeprefix(start)] = Member(data, os.access(path, os.X_OK))
            if not data:
                mend = f"write {'a docstring' if path.suffix == '.py' else 'a line'} into it"
                problems.append(f"{name} in the seed {seed.name} is empty, which CodeCommit refuses: {mend}")
    return members


def _tracked(root: Path) -> list[str]:
    return _git(root, "--cached")


def _git(root: Path, *arguments: str) -> list[str]:
    try:
        answer = subprocess.run(["git", "ls-files", "-z", *arguments], cwd=root, capture_output=True)
    except OSError:
        return []
    return sorted(os.fsdecode(name) for name in answer.stdout.split(b"\0") if name) if answer.returncode == 0 else []


def _not_ignored(root: Path) -> list[str]:
    """Walk the folder past what .gitignore names: plain names, globs, and names anchored by a leading slash."""
    ignore = root / ".gitignore"
    lines = ignore.read_text(encoding="utf-8").split() if ignore.is_file() else []
    patterns = [".git", *(line for line in lines if not line.startswith("#"))]

    def ignored(path: str) -> bool:
        name = path.rsplit("/", 1)[-1]
        if name.startswith(".env"):  # holds secrets as a rule, and nothing here says that it is meant
            return True
        return any(fnmatch.fnmatch(path if rule.startswith("/") else name, rule.strip("/")) for rule in patterns)

    found = []
    for folder, folders, names in os.walk(root):
        here = Path(folder).relative_to(root)
        folders[:] = [name for name in folders if not ignored((here / name).as_posix())]
        found += [(here / name).as_posix() for name in names if not ignored((here / name).as_posix())]
    return sorted(found)
