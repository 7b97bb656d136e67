"""Measure how far data has moved from what a model was trained with: the population stability index, column by column.

The usual reading: below 0.1 nothing to see, up to 0.2 look at it, above it the model no longer sees what it learned."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

BINS = 10


def stability_index(before: pd.Series, now: pd.Series) -> float:
    """Compare the shares of rows in the deciles of `before`; 0 is no change. Both hold numbers without gaps."""
    # A value that many rows share would make bins without width.
    edges = np.unique(np.quantile(before, np.linspace(0, 1, BINS + 1)[1:-1]))
    shares = [
        # Half a row more in each bin: an empty one would make the index infinite.
        (np.bincount(np.searchsorted(edges, rows, side="left"), minlength=len(edges) + 1) + 0.5)
        / (len(rows) + 0.5 * (len(edges) + 1))
        for rows in (before, now)
    ]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def drift(before: pd.DataFrame, now: pd.DataFrame) -> dict[str, float]:
    """Give the index of each column of `before`."""
    return {str(name): stability_index(before[name], now[name]) for name in before.columns}


def chart(found: Mapping[str, float], threshold: float, width: int = 30) -> str:
    """Draw the columns as bars of text, the greatest first; those above the threshold are marked."""
    longest = max(map(len, found))
    most = max(*found.values(), threshold)
    lines = []
    for name, index in sorted(found.items(), key=lambda one: -one[1]):
        bar = "█" * round(width * index / most)
        lines.append(
            f"{name:<{longest}}  {index:7.3f}  {bar}{'  above ' + format(threshold, 'g') if index > threshold else ''}"
        )
    return "\n".join(lines)
