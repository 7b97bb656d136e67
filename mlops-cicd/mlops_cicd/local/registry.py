"""Models and model packages: what CreateModel and CreateModelPackage keep."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from .errors import RegistryError

NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
STATUSES = ("Approved", "Rejected", "PendingManualApproval")


class Registry(Protocol):
    """What steps need of the model registry."""

    def create_model_package(self, request: Mapping[str, Any]) -> str:
        """Keep a version of a group, as CreateModelPackage does; returns its ARN."""
        ...

    def create_model(self, name: str, request: Mapping[str, Any]) -> str:
        """Keep a model; returns its ARN."""
        ...

    def describe_model(self, name: str) -> Mapping[str, Any]:
        """Give back the request that made a model; RegistryError when there is none."""
        ...


class FolderRegistry:
    """A registry of JSON files: `root`/model-packages/<group>/<version>.json and `root`/models/<name>.json."""

    def __init__(
        self, root: Path, region: str = "us-east-1", account_id: str = "000000000000", partition: str = "aws"
    ) -> None:
        self.root = root
        self.prefix = f"arn:{partition}:sagemaker:{region}:{account_id}"

    def create_model_package(self, request: Mapping[str, Any]) -> str:
        """Keep the next version of the request's group, made when it is new (as a pipeline's RegisterModel step does)."""
        group = str(request.get("ModelPackageGroupName", ""))
        status = request.get("ModelApprovalStatus", "PendingManualApproval")
        if not NAME.fullmatch(group):
            raise RegistryError(
                f"ModelPackageGroupName {group!r} is no name. Use letters, digits and single hyphens, at most 63."
            )
        if status not in STATUSES:
            raise RegistryError(f"ModelApprovalStatus {status!r} is unknown. Use one of {', '.join(STATUSES)}.")
        folder = self.root / "model-packages" / group
        folder.mkdir(parents=True, exist_ok=True)
        version = max(self._versions(group), default=0) + 1
        while True:
            arn = f"{self.prefix}:model-package/{group}/{version}"
            document = {
                **request,
                "ModelPackageArn": arn,
                "ModelPackageVersion": version,
                "ModelPackageStatus": "Completed",
                "ModelApprovalStatus": status,
                "CreationTime": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            try:
                _write_new(folder / f"{version}.json", document)
            except FileExistsError:  # another run took this number meanwhile
                version += 1
                continue
            return arn

    def create_model(self, name: str, request: Mapping[str, Any]) -> str:
        """Keep a model under a new name."""
        if not NAME.fullmatch(name):
            raise RegistryError(f"ModelName {name!r} is no name. Use letters, digits and single hyphens, at most 63.")
        (self.root / "models").mkdir(parents=True, exist_ok=True)
        arn = f"{self.prefix}:model/{name}"
        document = {**request, "ModelName": name, "ModelArn": arn}
        try:
            _write_new(self.root / "models" / f"{name}.json", document)
        except FileExistsError:
            raise RegistryError(f"Model {name} exists already. Choose another ModelName.") from None
        return arn

    def describe_model(self, name: str) -> Mapping[str, Any]:
        """Give back what made a model, with ModelName and ModelArn."""
        return _read(self.root / "models" / f"{name}.json", f"Model {name}")

    def list_model_packages(self, group: str) -> Sequence[Mapping[str, Any]]:
        """List the versions of a group, newest first, as DescribeModelPackage gives them."""
        return [
            self.describe_model_package(f"{group}/{version}") for version in sorted(self._versions(group), reverse=True)
        ]

    def describe_model_package(self, arn: str) -> Mapping[str, Any]:
        """Give back one version, by its ARN or by `group/version`."""
        group, _, version = arn.rpartition(":model-package/")[2].partition("/")
        return _read(self.root / "model-packages" / group / f"{version}.json", f"Model package {arn}")

    def _versions(self, group: str) -> list[int]:
        files = (self.root / "model-packages" / group).glob("*.json")
        return [int(item.stem) for item in files if item.stem.isdigit()]


def _write_new(path: Path, document: Mapping[str, Any]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    part.write_text(json.dumps(document, indent=1), encoding="utf-8")
    try:
        os.link(part, path)  # unlike a rename, this fails when the name is taken
    finally:
        part.unlink()


def _read(path: Path, what: str) -> Mapping[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]
    except FileNotFoundError:
        raise RegistryError(f"{what} is not in the registry {path.parent}. Make it first, or mend the name.") from None
