"""Write what people read: the pull request of a new version, its commits, and what one repository got. Calls nothing."""

from __future__ import annotations

from collections.abc import Sequence

from changes import Change, Kind, Plan

MOST_PATHS = 30  # of one kind in a description; a pull request shows all of them anyway


def title(version: str, plan: Plan) -> str:
    """Give a title of at most 100 characters."""
    return f"Platform version {version}" + (
        f": {_count(plan.to_look_at, 'file')} to look at" if plan.to_look_at else ""
    )


def description(version: str, before: str, plan: Plan, earlier: Sequence[str]) -> str:
    """Say what the pull request brings and what to look at. `earlier` are numbers of open pull requests to merge first."""
    deleted = sum(change.kind is Kind.DELETE for change in plan.changes)
    changed = len(plan.changes) - deleted
    paragraphs = [
        f"This brings version {version} of the platform into this repository, which began with or was offered {before}: "
        f"{_count(changed, 'file')} new or changed, {deleted} deleted. main stays as it is until you merge."
    ]
    if earlier:
        paragraphs.append(f"Merge first: {', '.join(f'pull request {number}' for number in earlier)}.")
    paragraphs += [
        _list(
            "Changed here as well. This branch has the platform's content, so merging takes your changes out: bring back on "
            "this branch what you need of them",
            plan.overwritten,
        ),
        _list(
            "Deleted here, and changed in the new version. They come back: delete them on this branch again",
            plan.restored,
        ),
        _list("Gone in the new version, but changed here. They stay: delete what you do not need", plan.kept),
        _list(
            "Not brought, since a folder, file or submodule of another kind has the name: move it, and take the file from the "
            "published seed",
            plan.in_the_way,
        ),
        ""
        if plan.to_look_at
        else "No file of these was changed here since, so there is no conflict. Look at the differences.",
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def message(version: str, before: str, batch: Sequence[Change]) -> str:
    """Give the message of one commit."""
    return f"Platform version {version}\n\nPublished files that differ from version {before}: {_count(len(batch), 'file')}.\n"


def _list(what: str, paths: Sequence[str]) -> str:
    if not paths:
        return ""
    more = f"\n- and {len(paths) - MOST_PATHS} more" if len(paths) > MOST_PATHS else ""
    return f"{what}:\n" + "\n".join(f"- {path}" for path in paths[:MOST_PATHS]) + more


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
