"""Prints as JSON what an interpreter holds: its version, distributions with their requirements, and top-level packages."""

from __future__ import annotations

import json
import re
import sys
import sysconfig
from importlib import metadata
from pathlib import Path


def normal(name: str) -> str:
    """Write a distribution's name as PEP 503 does."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Print the inventory."""
    versions: dict[str, str] = {}
    requires: dict[str, list[str]] = {}
    for item in metadata.distributions():
        name = normal(item.metadata["Name"] or "")
        if name and name not in versions:  # the first on the path is the one that is imported
            versions[name] = item.version
            plain = [line for line in item.requires or () if not re.search(r";.*\bextra\s*==", line)]
            requires[name] = [normal(re.split(r"[^A-Za-z0-9._-]", line.strip(), maxsplit=1)[0]) for line in plain]
    tops = {top: sorted({normal(name) for name in names}) for top, names in metadata.packages_distributions().items()}
    folders = {
        sys.prefix,
        sys.base_prefix,
        str(Path(sys.executable).parent.parent),
        str(Path(sys.executable).resolve().parent.parent),
    }
    packages = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    version = ".".join(map(str, sys.version_info[:3]))
    held = {"python": version, "versions": versions, "requires": requires, "tops": tops}
    print(json.dumps(held | {"folders": sorted(folders), "packages": packages}))


if __name__ == "__main__":
    main()
