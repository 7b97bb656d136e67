"""A bare git repository in a folder, by git's own commands."""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rehearsal.errors import RehearsalError

NONE = "0" * 40
MODES = {"NORMAL": "100644", "EXECUTABLE": "100755", "SYMLINK": "120000"}
_CLEAN = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "LC_ALL": "C",
    "PATH": "/usr/bin:/bin:/usr/local/bin",
}


class GitFailed(RehearsalError):
    """Git refused a command."""


@dataclass(frozen=True)
class Entry:
    """What a tree holds: `path` from the repository's root, `kind` blob, tree or commit."""

    mode: str
    kind: str
    id: str
    path: str


@dataclass(frozen=True)
class Commit:
    """A commit; people are (name, e-mail, seconds and zone)."""

    id: str
    tree: str
    parents: tuple[str, ...]
    author: tuple[str, str, str]
    committer: tuple[str, str, str]
    message: str


@dataclass(frozen=True)
class Git:
    """A bare repository."""

    folder: Path

    def create(self, branch: str) -> None:
        """Make the repository, empty."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        run(["init", "--quiet", "--bare", f"--initial-branch={branch}", str(self.folder)])
        self.run("config", "http.receivepack", "true")

    def run(self, *arguments: str, given: bytes = b"", index: Path | None = None) -> bytes:
        """Run a git command in the repository; give what it says. Raises GitFailed."""
        environment = {"GIT_INDEX_FILE": str(index)} if index else {}
        return run([f"--git-dir={self.folder}", *arguments], given, environment)

    def text(self, *arguments: str, given: bytes = b"", index: Path | None = None) -> str:
        """Run a git command; give what it says as a text without the last line's end."""
        return self.run(*arguments, given=given, index=index).decode(errors="replace").rstrip("\n")

    def refs(self) -> dict[str, str]:
        """Give branches and tags with the commits they point to."""
        lines = self.text("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags").splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def branch(self, name: str) -> str | None:
        """Give the commit of a branch, None when there is no such branch."""
        return self.refs().get(f"refs/heads/{name}")

    def find(self, specifier: str) -> str | None:
        """Give the id of the commit that a branch, tag, full reference or id means."""
        refs = self.refs()
        for name in (specifier, f"refs/heads/{specifier}", f"refs/tags/{specifier}"):
            if name in refs:
                return refs[name]
        try:
            return self.text("rev-parse", "--verify", "--quiet", "--end-of-options", f"{specifier}^{{commit}}")
        except GitFailed:
            return None

    def commit(self, number: str) -> Commit:
        """Read a commit."""
        form = "%H%x00%T%x00%P%x00%an%x00%ae%x00%ad%x00%cn%x00%ce%x00%cd%x00%B"
        parts = self.text("show", "--no-patch", "--date=raw", f"--format={form}", number).split("\0")
        people = (parts[3], parts[4], parts[5]), (parts[6], parts[7], parts[8])
        return Commit(parts[0], parts[1], tuple(parts[2].split()), *people, parts[9])

    def entries(self, commit: str, folder: str = "", deep: bool = False) -> list[Entry]:
        """List what a folder of a commit holds; `deep`: with everything below it."""
        path = [f"{folder.strip('/')}/"] if folder.strip("/") else []
        told = self.run("ls-tree", "-z", "--full-tree", *(["-r"] * deep), commit, "--", *path).decode(errors="replace")
        rows = (row.replace("\t", " ", 1).split(" ", 3) for row in told.split("\0") if row)
        return [Entry(mode, kind, number, name) for mode, kind, number, name in rows]

    def blob(self, number: str) -> bytes:
        """Read a file's bytes."""
        return self.run("cat-file", "blob", number)

    def differences(self, before: str | None, after: str) -> list[tuple[Entry | None, Entry | None]]:
        """List what changed between two commits, as (before, after); a commit alone is all new."""
        old = {entry.path: entry for entry in self.entries(before, deep=True)} if before else {}
        new = {entry.path: entry for entry in self.entries(after, deep=True)}
        changed = (path for path in sorted(old.keys() | new.keys()) if old.get(path) != new.get(path))
        return [(old.get(path), new.get(path)) for path in changed]

    def archive(self, commit: str) -> bytes:
        """Give a commit's files as a zip."""
        return self.run("archive", "--format=zip", commit)

    def write(
        self,
        branch: str,
        parent: str | None,
        put: Mapping[str, tuple[bytes, str]],
        delete: Iterable[str],
        author: tuple[str, str],
        message: str,
    ) -> str | None:
        """Commit files (bytes and mode) on a branch that is at `parent`; give the id, None when nothing changes."""
        with tempfile.TemporaryDirectory() as scratch:
            index = Path(scratch) / "index"
            if parent:
                self.run("read-tree", parent, index=index)
            lines = [f"0 {NONE}\t{path}\n" for path in delete]
            for path, (content, mode) in put.items():
                number = self.text("hash-object", "-w", "--stdin", given=content)
                lines.append(f"{mode} {number}\t{path}\n")
            self.run("update-index", "--index-info", given="".join(lines).encode(), index=index)
            tree = self.text("write-tree", index=index)
        if parent and self.commit(parent).tree == tree:
            return None
        who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
               for what, value in zip(("NAME", "EMAIL"), author, strict=True)}  # fmt: skip
        parents = ["-p", parent] if parent else []
        commit = [f"--git-dir={self.folder}", "commit-tree", tree, *parents]
        number = run(commit, message.encode(), who).decode().strip()
        self.run("update-ref", f"refs/heads/{branch}", number, parent or NONE)
        return number


def run(arguments: Sequence[str], given: bytes = b"", environment: Mapping[str, str] | None = None) -> bytes:
    """Run git with nothing of the machine's or the user's settings. Raises GitFailed."""
    done = subprocess.run(
        ["git", *arguments], input=given, capture_output=True, check=False, env={**_CLEAN, **(environment or {})}
    )
    if done.returncode:
        raise GitFailed(done.stderr.decode(errors="replace").strip() or f"git {arguments[0]} ended {done.returncode}")
    return done.stdout


def unpacked(archive: bytes) -> dict[str, tuple[bytes, str]]:
    """Read a seed's zip: content and git mode by path. Raises ValueError for what CodeCommit refuses.

    An empty file makes CodeCommit refuse the zip: https://github.com/aws/aws-cdk/issues/19012"""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            read = {
                member.filename: (
                    opened.read(member),
                    MODES["EXECUTABLE" if member.external_attr >> 16 & 0o100 else "NORMAL"],
                )
                for member in members
            }
    except zipfile.BadZipFile:
        raise ValueError("Code archive supplied is not a valid .zip archive. Publish it again.") from None
    if empty := sorted(name for name, (content, _) in read.items() if not content):
        raise ValueError(
            f"Code archive supplied is not a valid .zip archive: {', '.join(empty)} is empty. Give it a line."
        )
    return read
