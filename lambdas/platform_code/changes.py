"""Decide what a new version changes in a repository, from two seeds and what the repository holds. Calls nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from seeds import EXECUTABLE, NORMAL, File

# https://docs.aws.amazon.com/codecommit/latest/APIReference/API_CreateCommit.html: 100 files, and 7 MB of changes in all;
# a file of 6 MB goes alone.
MOST_IN_COMMIT, LARGEST_COMMIT = 100, 5 * 1024 * 1024
FOLDER, MODULE, LINK = "FOLDER", "MODULE", "SYMLINK"


@dataclass(frozen=True)
class Item:
    """What a repository holds at a path: a file, a link, a submodule, or a folder that nobody looked into."""

    mode: str
    blob: str = ""

    @property
    def is_file(self) -> bool:
        """Tell whether it is a plain file."""
        return self.mode in (NORMAL, EXECUTABLE)


class Kind(Enum):
    """What a change does with its file."""

    DELETE = "deleteFiles"
    MODE = "setFileModes"
    PUT = "putFiles"


@dataclass(frozen=True)
class Change:
    """One file of a commit. `size` is how many bytes are sent."""

    kind: Kind
    path: str
    mode: str = NORMAL
    size: int = 0


@dataclass(frozen=True)
class Step:
    """What lies between two seeds: the new file by path, None for one that is no more; and the old ones."""

    wanted: Mapping[str, File | None]
    old: Mapping[str, File]


@dataclass(frozen=True)
class Plan:
    """What to do in a repository, and the paths that somebody has to look at.

    `overwritten` were changed there and now get the platform's content, `restored` were deleted there and come back, `kept`
    should go but were changed there, `in_the_way` could not be placed, since something else has their name.
    """

    changes: tuple[Change, ...]
    overwritten: tuple[str, ...] = ()
    restored: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    in_the_way: tuple[str, ...] = ()

    @property
    def to_look_at(self) -> int:
        """Count the paths that somebody has to look at."""
        return len(self.overwritten) + len(self.restored) + len(self.kept) + len(self.in_the_way)


def step(old: Mapping[str, File], new: Mapping[str, File]) -> Step:
    """Compare two seeds."""
    paths = sorted(old.keys() | new.keys())
    differing = {path: new.get(path) for path in paths if path not in old or not old[path].same(new.get(path))}
    return Step(differing, {path: old[path] for path in differing if path in old})


def plan(tree: Mapping[str, Item], between: Step) -> Plan:
    """Compare with what a repository holds. `tree` has at least what `folders` names; see there."""
    deletes = {path for path, file in between.wanted.items() if file is None and _untouched(tree, between, path)}
    left = {path: item for path, item in tree.items() if path not in deletes}
    above = set(folders(left))
    changes = [Change(Kind.DELETE, path) for path in deletes]
    overwritten, restored, in_the_way = [], [], []
    for path, file in between.wanted.items():
        if file is None:
            continue
        item = left.get(path)
        if path in above or (item and item.mode in (FOLDER, MODULE)) or any(one in left for one in folders([path])):
            in_the_way.append(path)
        elif change := _change(path, file, item):
            changes.append(change)
            if path in between.old and item is None:
                restored.append(path)
            elif item is not None and not _holds(item, between.old.get(path)) and not _holds(item, file):
                overwritten.append(path)
    kept = sorted(path for path, file in between.wanted.items() if file is None and path in left)
    ordered = sorted(changes, key=lambda change: (change.kind is not Kind.DELETE, change.path))
    return Plan(tuple(ordered), tuple(overwritten), tuple(restored), tuple(kept), tuple(in_the_way))


def folders(paths: Iterable[str]) -> list[str]:
    """Give every folder above some paths, from the root down, without the root.

    What a plan needs to know of a repository is what lies directly in these folders and in the root.
    """
    found = {path[:place] for path in paths for place, letter in enumerate(path) if letter == "/"}
    return sorted(found)


def batches(changes: Iterable[Change]) -> Iterator[tuple[Change, ...]]:
    """Part changes, in their order, into what fits into one commit each.

    A file is not put in the same commit that clears the place for it: CodeCommit refuses a path that is a file and a folder.
    """
    batch: list[Change] = []
    size = 0
    gone: set[str] = set()
    emptied: set[str] = set()
    for change in changes:
        blocked = change.kind is Kind.PUT and (change.path in emptied or not gone.isdisjoint(folders([change.path])))
        if batch and (len(batch) == MOST_IN_COMMIT or size + change.size > LARGEST_COMMIT or blocked):
            yield tuple(batch)
            batch, size, gone, emptied = [], 0, set(), set()
        batch.append(change)
        size += change.size
        if change.kind is Kind.DELETE:
            gone.add(change.path)
            emptied.update(folders([change.path]))
    if batch:
        yield tuple(batch)


def _untouched(tree: Mapping[str, Item], between: Step, path: str) -> bool:
    item = tree.get(path)
    return item is not None and item.is_file and _holds(item, between.old.get(path))


def _holds(item: Item, file: File | None) -> bool:
    # Whether CloudFormation keeps modes when it fills a repository is not documented: the content alone decides.
    return file is not None and item.is_file and item.blob == file.blob


def _change(path: str, file: File, item: Item | None) -> Change | None:
    if item is not None and _holds(item, file):
        return None if item.mode == file.mode else Change(Kind.MODE, path, file.mode)
    return Change(Kind.PUT, path, file.mode, file.size)
