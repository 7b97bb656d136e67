"""CodeBuild's API over the projects that stacks made: what starts, stops and describes builds."""

from __future__ import annotations

import tempfile
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rehearsal.acting import Place, now
from rehearsal.builds.run import Running
from rehearsal.ledger import Ledger
from rehearsal.services import Call, Json, Service, ServiceError, as_answered, page

PROJECT = "AWS::CodeBuild::Project"
PLAYED = {"projectName", "environmentVariablesOverride", "buildspecOverride", "timeoutInMinutesOverride", "sourceVersion",
          "sourceTypeOverride", "sourceLocationOverride", "idempotencyToken"}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """An input: where its zip is (`bucket`, `key`), none for a build without source; `revision` says what is in it."""

    name: str = ""
    bucket: str = ""
    key: str = ""
    revision: str = ""


@dataclass
class Build:
    """One build: what it was given, and what became of it."""

    place: Place
    project: Mapping[str, Any]
    initiator: str
    number: int
    sources: Sequence[Source]  # the first is the primary one
    variables: Sequence[Mapping[str, str]] = ()
    outputs: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # artifact -> bucket and key
    buildspec: str = ""
    minutes: int = 60
    key_arn: str = ""
    id: str = ""
    status: str = "IN_PROGRESS"
    phase: str = "SUBMITTED"
    phases: list[Json] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    exported: dict[str, str] = field(default_factory=dict)
    logs: Json = field(default_factory=dict)
    started: Any = field(default_factory=now)
    ended: Any = None
    stop: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def arn(self) -> str:
        return self.place.arn("codebuild", f"build/{self.id}")

    @property
    def failure(self) -> str:
        """Say why the build failed, by its phases."""
        contexts = [(row["phaseType"], c) for row in self.phases for c in row.get("contexts", ()) if c["message"]]
        return "; ".join(f"{name}: {c['statusCode']}: {c['message']}" for name, c in contexts)


class Builds(Service):
    """The operations that start and watch builds; pipelines start theirs with `begin`."""

    name = "codebuild"

    def __init__(self, ledger: Ledger, endpoint: str) -> None:
        super().__init__()
        self._ledger, self._endpoint = ledger, endpoint
        self._folder = Path(tempfile.mkdtemp(prefix="builds-"))
        self._builds: dict[str, Build] = {}
        self._tokens: dict[tuple[str, ...], Build] = {}

    def project(self, account: str, region: str, name: str) -> Json:
        """Give a project as the API does. Raises ServiceError."""
        for request, made in self._ledger.of(PROJECT, account, region):
            if made.physical_id == name:
                return self._described(Place(self._endpoint, account, region), {**request.properties, "Name": name})
        raise ServiceError("ResourceNotFoundException", f"Project cannot be found: {name}. Make it first.")

    def begin(self, build: Build) -> Build:
        """Start a build; it runs in a thread of its own."""
        with self.lock:
            name = build.project["name"]
            known = [one for one in self._builds.values() if (one.place, one.project["name"]) == (build.place, name)]
            build.number = 1 + max((one.number for one in known), default=0)
            build.id = f"{name}:{uuid.uuid4()}"
            self._builds[build.id] = build
        folder = self._folder / build.id.rpartition(":")[2]
        build.place.apart(Running(build, folder).run, f"build {build.id}")
        return build

    def told(self) -> list[Json]:
        """List all builds with their log lines, for the server's own view."""
        return [{**self._answer(build), "_lines": build.lines} for build in self._builds.values()]

    # Operations

    def start_build(self, call: Call) -> Json:
        given = call.request
        call.allow("codebuild:StartBuild", call.arn("codebuild", f"project/{given['projectName']}"))
        if unplayed := sorted(set(given) - PLAYED):
            raise ServiceError(
                "InvalidInputException", f"The rehearsal does not play {', '.join(unplayed)}: leave it out."
            )
        token = (*call.place, given["projectName"], given.get("idempotencyToken") or str(uuid.uuid4()))
        if token in self._tokens:
            return {"build": self._answer(self._tokens[token])}
        project = self.project(*call.place, given["projectName"])
        build = Build(
            Place(self._endpoint, *call.place),
            project,
            call.caller.arn.rpartition(":")[2].removeprefix("assumed-role/").removeprefix("user/"),
            0,
            [self._source(project, given)],
            given.get("environmentVariablesOverride", ()),
            buildspec=given.get("buildspecOverride", ""),
            minutes=given.get("timeoutInMinutesOverride") or project.get("timeoutInMinutes") or 60,
        )
        self._tokens[token] = self.begin(build)
        return {"build": self._answer(build)}

    def stop_build(self, call: Call) -> Json:
        build = self._allowed(call, call.request["id"])
        if build is None:
            raise ServiceError("ResourceNotFoundException", f"Build {call.request['id']} does not exist. List them.")
        build.stop.set()
        return {"build": self._answer(build)}

    def batch_get_builds(self, call: Call) -> Json:
        found = {number: self._allowed(call, number) for number in call.request["ids"]}
        missing = [number for number, build in found.items() if build is None]
        return {"builds": [self._answer(build) for build in found.values() if build], "buildsNotFound": missing}

    def batch_get_projects(self, call: Call) -> Json:
        made, missing = [], []
        for name in call.request["names"]:
            call.allow("codebuild:BatchGetProjects", call.arn("codebuild", f"project/{name}"))
            try:
                made.append(self.project(*call.place, name))
            except ServiceError:
                missing.append(name)
        return {"projects": made, "projectsNotFound": missing}

    def list_builds_for_project(self, call: Call) -> Json:
        name = call.request["projectName"]
        call.allow("codebuild:ListBuildsForProject", call.arn("codebuild", f"project/{name}"))
        self.project(*call.place, name)
        place = Place(self._endpoint, *call.place)
        known = [b for b in self._builds.values() if (b.place, b.project["name"]) == (place, name)]
        is_down = call.request.get("sortOrder", "DESCENDING") == "DESCENDING"
        ids = [b.id for b in sorted(known, key=lambda b: b.number, reverse=is_down)]
        rows, token = page(ids, 100, call.request.get("nextToken"))
        return {"ids": rows, "nextToken": token}

    # What there is

    def _allowed(self, call: Call, number: str) -> Build | None:
        name = number.removeprefix(call.arn("codebuild", "build/")).rpartition(":")[0]
        call.allow(f"codebuild:{call.operation}", call.arn("codebuild", f"project/{name}"))
        build = self._builds.get(number.rpartition("/")[2])
        return build if build and (build.place.account, build.place.region) == call.place else None

    def _described(self, place: Place, properties: Mapping[str, Any]) -> Json:
        shape = self.model.shape_for("Project")
        arn = place.arn("codebuild", f"project/{properties['Name']}")
        return {**as_answered(properties, shape), "arn": arn}

    @staticmethod
    def _source(project: Mapping[str, Any], given: Mapping[str, Any]) -> Source:
        kind = given.get("sourceTypeOverride") or project["source"]["type"]
        location = given.get("sourceLocationOverride") or project["source"].get("location", "")
        if kind == "NO_SOURCE":
            return Source()
        if kind == "S3":
            bucket, _, key = location.removeprefix("arn:aws:s3:::").partition("/")
            return Source("", bucket, key)
        raise ServiceError(
            "InvalidInputException",
            f"A build with source {kind} is not started by hand here: let its pipeline start it, or override with S3.",
        )

    def _answer(self, build: Build) -> Json:
        project = build.project
        same = ("source", "cache", "environment", "serviceRole", "vpcConfig", "encryptionKey")
        exported = [{"name": name, "value": value} for name, value in build.exported.items()]
        answer = {
            "id": build.id,
            "arn": build.arn,
            "buildNumber": build.number,
            "projectName": project["name"],
            "initiator": build.initiator,
            "startTime": build.started,
            "endTime": build.ended,
            "currentPhase": build.phase,
            "buildStatus": build.status,
            "buildComplete": build.ended is not None,
            "resolvedSourceVersion": build.sources[0].revision or None,
            "phases": list(build.phases),
            "logs": build.logs or None,
            "timeoutInMinutes": build.minutes,
            "exportedEnvironmentVariables": exported,
            **{key: project[key] for key in same if key in project},
        }
        return {key: value for key, value in answer.items() if value is not None}
