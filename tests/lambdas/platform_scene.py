"""A platform with its repositories before an update, and CloudFormation asking for one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from tests.lambdas.fake_codecommit import Bucket, CodeCommit, Repo, Tree, tree_of, zipped

BUCKET = "mlops-releases-eu-central-1"
OLD, NEW = "0.2.0", "0.3.0"
CICD = "mlops-cicd-0a1b2c3d"
BRANCH = "platform/v0.3.0"


def key(name: str, version: str) -> str:
    return f"v{version}/seeds/{name.rsplit('-', 1)[0]}.zip"


class Scene:
    """Publish seeds, fill repositories with them, and send requests. `names` are the repositories."""

    def __init__(self, module: Any, server: Any, context: Any, request_event: Any, log: Any) -> None:
        self.module = module
        self.code, self.bucket = CodeCommit(module.CODECOMMIT), Bucket(module.S3)
        self.names = [CICD]
        self._server, self._context, self._event = server, context, request_event
        for handler in logging.getLogger("platform-code").handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setStream(log.stream)

    @property
    def repo(self) -> Repo:
        return self.code.repos[CICD]

    def publish(
        self, version: str, files: Mapping[str, bytes], executable: tuple[str, ...] = (), name: str = CICD
    ) -> None:
        self.bucket.objects[BUCKET, key(name, version)] = zipped(files, executable)

    def seeded(
        self,
        old: Mapping[str, bytes],
        new: Mapping[str, bytes],
        *,
        main: Mapping[str, bytes] | None = None,
        executable: tuple[str, ...] = (),
        name: str = CICD,
    ) -> Repo:
        """Publish both versions and make a repository that began with the old one and holds `main` by now."""
        self.publish(OLD, old, executable, name)
        self.publish(NEW, new, executable, name)
        repo = self.code.repos[name] = Repo()
        repo.add("main", tree_of(old, executable), "seed")
        if main is not None:
            repo.add("main", tree_of(main, executable), "work")
        return repo

    def add(self, files: Tree) -> None:
        """Add a commit on main of what people did."""
        self.repo.add("main", {**self.repo.tree("main"), **files})

    def properties(self, version: str, **changes: Any) -> dict[str, Any]:
        repositories = [{"Name": name, "Seed": key(name, version)} for name in self.names]
        return {"ServiceToken": "arn", "Version": version, "Bucket": BUCKET, "Repositories": repositories} | changes

    def send(self, kind: str, properties: Any, old: Any = None, seconds: float = 300.0) -> dict[str, Any]:
        event = self._event(kind, ResourceProperties=properties, LogicalResourceId="PlatformCode")
        if kind == "Update":
            event["OldResourceProperties"] = old
        self.module.handler(event, self._context(seconds=seconds))
        assert len(self._server.sent[-1].body) <= 4096
        body: dict[str, Any] = self._server.sent[-1].json
        assert kind == "Create" or body["PhysicalResourceId"] == "given-id"
        return body

    def update(self, version: str = NEW, before: str = OLD) -> str:
        """Update to a version; the answer must be SUCCESS. Give what it tells."""
        body = self.send("Update", self.properties(version), self.properties(before))
        assert body["Status"] == "SUCCESS", body
        told: str = body["Data"]["Told"]
        return told

    def fails(self, version: str = NEW, before: str = OLD) -> str:
        """Update to a version; the answer must be FAILED. Give the reason."""
        body = self.send("Update", self.properties(version), self.properties(before))
        assert body["Status"] == "FAILED", body
        reason: str = body["Reason"]
        return reason.split(" (log stream")[0]
