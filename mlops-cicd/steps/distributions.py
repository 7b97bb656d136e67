"""Statistics and constraints of a table's features, in the form of Amazon SageMaker Model Monitor.

The form: the guide's pages model-monitor-byoc-statistics and model-monitor-byoc-constraints. Model Monitor's own container is
closed to new customers, and any reader of these files can go on. Two things let a later job measure drift from the file alone:

- `quantiles` of a number: `counts[i]` rows lie above `edges[i]` and not above `edges[i + 1]` (the first bin holds its lower edge
  as well); about a tenth of the rows each, or one value each when there are few. For a population stability index.
- `kll.sketch.data`: a value at level i stands for 2**i rows, and all weights together are the number of rows. For the
  Kolmogorov-Smirnov test: the cumulative distribution is right to 1 / (2 k) of the rows, k being in its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from failures import StepError
from numpy.typing import NDArray

BINS = 10
# So many values a feature: the cumulative distribution is then right to 0.2 per cent, in about 5 KB.
SKETCH = 256
# A text column with more different values than this is no category, and its values are not written down one by one.
CATEGORIES = 100


def statistics(frame: pd.DataFrame) -> dict[str, Any]:
    """Compute statistics.json of a table of features; raise StepError for infinite values."""
    features = [_feature(str(name), frame[name]) for name in frame.columns]
    return {"version": 0.0, "dataset": {"item_count": len(frame)}, "features": features}


def constraints(found: Mapping[str, Any]) -> dict[str, Any]:
    """Compute constraints.json from the statistics."""
    return {
        "version": 0.0,
        "features": [_constraint(feature) for feature in found["features"]],
        "monitoring_config": {
            "evaluate_constraints": "Enabled",
            "emit_metrics": "Enabled",
            "datatype_check_threshold": 0.1,
            "domain_content_threshold": 0.1,
            "distribution_constraints": {
                "perform_comparison": "Enabled",
                "comparison_threshold": 0.1,
                "comparison_method": "Robust",
                "categorical_comparison_threshold": 0.1,
                "categorical_drift_method": "LInfinity",
            },
        },
    }


def _feature(name: str, column: pd.Series) -> dict[str, Any]:
    """Describe one feature."""
    present = column.dropna()
    common = {"num_present": len(present), "num_missing": len(column) - len(present)}
    if present.empty:
        return {"name": name, "inferred_type": "Unknown", "numerical_statistics": {"common": common}}
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        return {"name": name, "inferred_type": "String", "string_statistics": {"common": common, **_words(present)}}
    values = np.sort(present.to_numpy(dtype=float))
    if not np.isfinite(values).all():
        raise StepError(f"the feature {name!r} holds infinite values: bound them or drop the rows in the preprocessing")
    # pandas reads whole numbers as floats where some are missing.
    whole = pd.api.types.is_integer_dtype(column) or (bool(common["num_missing"]) and bool((values % 1 == 0).all()))
    return {
        "name": name,
        "inferred_type": "Integral" if whole else "Fractional",
        "numerical_statistics": {"common": common, **_numbers(values)},
    }


def _words(present: pd.Series) -> dict[str, Any]:
    """Describe the values of a text column, the most frequent first."""
    counts = present.astype(str).value_counts()
    ordered = sorted(((str(value), int(count)) for value, count in counts.items()), key=lambda one: (-one[1], one[0]))
    buckets = [{"value": value, "count": count} for value, count in ordered[:CATEGORIES]]
    return {"distinct_count": len(ordered), "distribution": {"categorical": {"buckets": buckets}}}


def _numbers(values: NDArray[np.float64]) -> dict[str, Any]:
    """Describe sorted numbers; the deviation is that of the whole, as Model Monitor computes it."""
    edges, counts = quantile_bins(values)
    return {
        "mean": float(values.mean()),
        "sum": float(values.sum()),
        "std_dev": float(values.std()),
        "min": float(values[0]),
        "max": float(values[-1]),
        "distribution": {
            "kll": {
                "buckets": _buckets(values),
                "sketch": {"parameters": {"c": 0.64, "k": float(SKETCH)}, "data": sketch(values, SKETCH)},
            },
            "quantiles": {"edges": edges, "counts": counts},
        },
    }


def _buckets(values: NDArray[np.float64]) -> list[dict[str, float]]:
    """Count sorted numbers in buckets of the same width; a constant has one."""
    if values[0] == values[-1]:
        return [{"lower_bound": float(values[0]), "upper_bound": float(values[-1]), "count": float(len(values))}]
    counts, edges = np.histogram(values, bins=BINS)
    return [
        {"lower_bound": float(edges[at]), "upper_bound": float(edges[at + 1]), "count": float(count)}
        for at, count in enumerate(counts)
    ]


def quantile_bins(values: NDArray[np.float64]) -> tuple[list[float], list[int]]:
    """Give the edges and counts of bins with about as many sorted numbers each; one bin a value when there are few."""
    kinds = np.unique(values)
    if len(kinds) <= BINS:
        inner = kinds[:-1]
    else:
        places = [-(-len(values) * part // BINS) - 1 for part in range(1, BINS)]
        inner = np.unique(values[places])
        inner = inner[inner < values[-1]]
    counts = np.bincount(np.searchsorted(inner, values, side="left"), minlength=len(inner) + 1)
    return [float(values[0]), *(float(edge) for edge in inner), float(values[-1])], [int(count) for count in counts]


def sketch(values: NDArray[np.float64], most: int) -> list[list[float]]:
    """Give levels of sorted numbers, one at level i standing for 2**i of them; at most about so many in all."""
    top = 0
    while len(values) >> top > most:
        top += 1
    levels: list[list[float]] = []
    start = 0
    # The remainder goes down in ever smaller blocks, so that the weights add up to the number of values.
    for level in range(top, -1, -1):
        size = 1 << level
        blocks = (len(values) - start) // size
        taken = values[start + (size - 1) // 2 : start + blocks * size : size]
        levels.append([float(value) for value in taken])
        start += blocks * size
    return levels[::-1]


def _constraint(feature: Mapping[str, Any]) -> dict[str, Any]:
    """Say what later data of one feature must satisfy."""
    found = feature.get("numerical_statistics") or feature["string_statistics"]
    present, missing = found["common"]["num_present"], found["common"]["num_missing"]
    constraint: dict[str, Any] = {
        "name": feature["name"],
        "inferred_type": feature["inferred_type"],
        "completeness": present / (present + missing),
    }
    if "min" in found:
        constraint["num_constraints"] = {"is_non_negative": found["min"] >= 0}
    elif "distinct_count" in found and found["distinct_count"] <= CATEGORIES:
        buckets = found["distribution"]["categorical"]["buckets"]
        constraint["string_constraints"] = {"domains": sorted(bucket["value"] for bucket in buckets)}
    return constraint
