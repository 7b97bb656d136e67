"""AWS's framework images: which versions are supported, where each lies, and what is in it.

The data are in images.json; each version there names the files that they were read from."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mlops_cicd.errors import CicdError, nearest, shown

FRAMEWORKS = ("sklearn", "xgboost", "pyspark")
# Types with local storage: SageMaker refuses a volume key for them, since their own disks encrypt themselves.
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/InstanceStorage.html and the texts of ResourceConfig in SageMaker's API.
LOCAL_STORAGE = tuple(
    f"ml.{family}.*" for family in ("c5d", "c6gd", "c6id", "g4dn", "g5", "g6", "g6e", "i3en", "m5d", "m6gd", "m6id", "p3dn",
                                    "g7", "g7e", "p4d", "p4de", "p5", "p5e", "p5en", "p6-b200", "p6-b300",
                                    "p6e-gb200", "r5d", "r6gd", "r6id", "trn1", "trn1n", "trn2")
)  # fmt: skip

# c6g, m7gd, r8g, c6gn, x2gd, and a1-like t4g; g4dn and g5 are of x86, but g5g and the GB200 are not.
_ARM = re.compile(r"[a-z]+[0-9]+g[a-z]*|p6e-gb200")
# The domains of ECR's registries outside the first partition, as botocore's endpoint rules give them.
_SUFFIXES = (("cn-", "amazonaws.com.cn"), ("us-isof-", "csp.hci.ic.gov"), ("us-isob-", "sc2s.sgov.gov"),
             ("us-iso-", "c2s.ic.gov"), ("eu-isoe-", "cloud.adc-e.uk"), ("eusc-", "amazonaws.eu"))  # fmt: skip
_DATA = Path(__file__).with_name("images.json")


class ImageError(CicdError):
    """There is no such image of AWS's."""


@dataclass(frozen=True)
class Framework:
    """One version of a framework's image: its repository and tag, its Python, its packages, and others of open versions."""

    name: str
    version: str
    repository: str
    tag: str
    python: str
    packages: Mapping[str, str]
    others: tuple[str, ...]
    registries: Mapping[str, str]
    source: tuple[str, ...]


@cache
def _all() -> Mapping[str, Mapping[str, Framework]]:
    document = json.loads(_DATA.read_text(encoding="utf-8"))
    return {
        name: {
            version: Framework(
                name,
                version,
                about["repository"],
                facts["tag"],
                facts["python"],
                facts["packages"],
                tuple(facts["others"]),
                document["registries"][about["registries"]],
                tuple(facts["source"]),
            )
            for version, facts in about["versions"].items()
        }
        for name, about in document["frameworks"].items()
    }


def supported(framework: str) -> tuple[str, ...]:
    """Return the supported versions of a framework, oldest first. Raises ImageError."""
    if framework not in _all():
        guess = nearest(framework, FRAMEWORKS)
        hint = f"Did you mean {guess}? " if guess else ""
        raise ImageError(f"There is no framework {shown(framework)}. {hint}Take one of {', '.join(FRAMEWORKS)}.")
    return tuple(_all()[framework])


def facts(framework: str, version: str) -> Framework:
    """Return all that is known of one version's image. Raises ImageError."""
    versions = supported(framework)
    if version not in versions:
        raise ImageError(
            f"There is no supported image of {framework} {shown(version)}. Take one of {', '.join(versions)}."
        )
    return _all()[framework][version]


def image_uri(framework: str, version: str, region: str, instance_type: str = "") -> str:
    """Return the URI of AWS's own image in a region. Raises ImageError.

    With an instance type, one that the image doesn't run on is refused: these images are for x86 processors.
    """
    image = facts(framework, version)
    if is_arm(instance_type):
        raise ImageError(
            f"AWS has no image of {framework} {version} for the ARM processors of {instance_type}."
            " Take an instance type with x86 processors, as ml.m5.large."
        )
    if region not in image.registries:
        raise ImageError(
            f"AWS has no image of {framework} in {shown(region)}. Take one of its regions: {', '.join(image.registries)}."
        )
    return f"{image.registries[region]}.dkr.ecr.{region}.{_suffix(region)}/{image.repository}:{image.tag}"


def packages(framework: str, version: str) -> Mapping[str, str]:
    """Return what an image holds in a known version: each distribution's name, as pip normalizes it, and its version.

    What it holds beyond that, in versions that AWS leaves open, is in facts(...).others.
    """
    return facts(framework, version).packages


def python(framework: str, version: str) -> str:
    """Return an image's version of Python, as 3.12."""
    return facts(framework, version).python


def has_local_storage(instance_type: str) -> bool:
    """Say whether an instance type has its own disks, and so takes no key for a volume."""
    return any(fnmatch.fnmatchcase(instance_type, pattern) for pattern in LOCAL_STORAGE)


def is_arm(instance_type: str) -> bool:
    """Say whether an instance type has AWS's ARM processors: the letter g after the generation, as in ml.m6g.large."""
    family = instance_type.split(".")[1] if instance_type.count(".") == 2 else ""
    return bool(_ARM.fullmatch(family))


def _suffix(region: str) -> str:
    return next((suffix for prefix, suffix in _SUFFIXES if region.startswith(prefix)), "amazonaws.com")
