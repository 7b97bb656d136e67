"""The base of every error of this package, and how its messages find a likely name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CicdError(Exception):
    """Something that was given is wrong or failed; the message ends with the mend."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant, or None."""
    by_folded = {each.casefold().replace("-", "_"): each for each in known}
    # A name of thousands of characters has no neighbour, and comparing it takes long.
    found = difflib.get_close_matches(name[:80].casefold().replace("-", "_"), list(by_folded), n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def shown(value: object, longest: int = 80) -> str:
    """Return a value on one line for a message, cut when it is long."""
    text = repr(value) if isinstance(value, str) else str(value)
    text = "".join(each if each.isprintable() else "?" for each in text)
    return text if len(text) <= longest else text[: longest - 3] + "..."
