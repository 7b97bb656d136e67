"""Run one build: phase by phase, as its project's role.

Phases and what follows a failure: https://docs.aws.amazon.com/codebuild/latest/userguide/view-build-details-phases.html"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from rehearsal.acting import Acting, now
from rehearsal.builds.buildspec import PHASES, Artifact, BadBuildspec, Buildspec, Phase, read
from rehearsal.builds.logs import LogStream
from rehearsal.builds.machine import Machine
from rehearsal.builds.shell import Shell, Stopped, TimedOut
from rehearsal.errors import RehearsalError

if TYPE_CHECKING:
    from rehearsal.builds.service import Build, Source

# What a build in a VPC asks of its role: https://docs.aws.amazon.com/codebuild/latest/userguide/auth-and-access-control-iam-identity-based-access-control.html
_LOOKS = (
    "DescribeDhcpOptions",
    "DescribeNetworkInterfaces",
    "DescribeSecurityGroups",
    "DescribeSubnets",
    "DescribeVpcs",
)


class PhaseFailed(Exception):
    """A phase that did not succeed: CodeBuild's code and message."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


class Running:
    """One build on the run."""

    def __init__(self, build: Build, folder: Path) -> None:
        self._build, self._machine = build, Machine(folder)
        self._source = folder / "src"
        self._secrets: dict[str, str] = {}
        self._log: LogStream | None = None
        self._shell: Shell | None = None
        self._acting: Acting | None = None

    def run(self) -> None:
        """Run the build to its end; whatever happens, it has one."""
        build = self._build
        try:
            build.status = self._play()
        except Exception as error:  # the rehearsal's own fault must end the build too
            self._say(f"[rehearsal] {type(error).__name__}: {error}")
            build.status = "FAULT"
        finally:
            if self._shell:
                self._shell.close()
            build.phase = "COMPLETED"
            build.phases.append({"phaseType": "COMPLETED", "startTime": now()})
            build.ended = now()
            if self._log:
                self._log.flush()
            shutil.rmtree(self._machine.folder, ignore_errors=True)
            build.done.set()

    def _play(self) -> str:
        try:
            for name in ("SUBMITTED", "QUEUED"):
                with self._phase(name):
                    pass
            with self._phase("PROVISIONING"):
                acting = self._acting = self._provision()
            with self._phase("DOWNLOAD_SOURCE"):
                spec = self._download(acting)
                environment = self._environment(acting, spec)
            folder = self._source / "primary"
            self._shell = Shell(folder, self._machine.folder / "kept", environment, self._say)
        except PhaseFailed:
            return "FAILED"
        self._deadline = time.monotonic() + self._build.minutes * 60
        try:
            return self._phases(spec, acting, folder)
        except TimedOut:
            return "TIMED_OUT"
        except Stopped:
            return "STOPPED"

    def _phases(self, spec: Buildspec, acting: Acting, folder: Path) -> str:
        """Run the buildspec's phases. After a failure in `build` `post_build` still runs, after an earlier one none does."""
        succeeds = True
        assert self._shell is not None
        if spec.cached:
            self._say(f"[rehearsal] cache is not played: {', '.join(spec.cached)} begin empty.")
        for name in PHASES:
            self._shell.set("CODEBUILD_BUILD_SUCCEEDING", str(int(succeeds)))
            try:
                with self._phase(name.upper()):
                    self._commands(spec.phases[name], name.upper())
            except PhaseFailed:
                if spec.phases[name].on_failure == "CONTINUE":
                    continue
                succeeds = False
                if name != "build" or spec.phases[name].on_failure == "ABORT":
                    break
        known = self._shell.variables()
        self._build.exported = {
            key: known[key]
            for key in spec.exported
            if key in known and not key.startswith("AWS_") and key not in self._secrets
        }
        for name in ("UPLOAD_ARTIFACTS", "FINALIZING"):
            try:
                with self._phase(name):
                    if name == "UPLOAD_ARTIFACTS" and succeeds:
                        self._upload(spec, acting, folder)
            except PhaseFailed:
                succeeds = False
        return "SUCCEEDED" if succeeds else "FAILED"

    def _commands(self, phase: Phase, name: str) -> None:
        for runtime, version in phase.runtimes.items():
            self._say(
                f"[rehearsal] runtime-versions {runtime}: {version} is not played; python3 is that of .venvs/cicd."
            )
        failed = None
        for commands in (phase.commands, phase.finally_):
            for command in commands:
                self._say(f"Running command {command}", stamped=True)
                assert self._shell is not None
                code = self._shell.run(command, self._deadline, self._build.stop)
                if code:
                    self._say(f"Command did not exit successfully {command} exit status {code}", stamped=True)
                    failed = failed or PhaseFailed(
                        "COMMAND_EXECUTION_ERROR",
                        f"Error while executing command: {command}. Reason: exit status {code}",
                    )
                    break
        self._say(f"Phase complete: {name} State: {'FAILED' if failed else 'SUCCEEDED'}", stamped=True)
        if failed:
            raise failed

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        """Write down a phase: when, how long, how it ended."""
        build, row = self._build, {"phaseType": name, "startTime": now()}
        build.phase, begun, status, contexts = name, time.monotonic(), "SUCCEEDED", [("", "")]
        build.phases.append(row)
        if build.stop.is_set():
            status = "STOPPED"
        try:
            if status == "STOPPED":
                raise Stopped
            yield
        except (PhaseFailed, TimedOut, Stopped) as error:
            status = {PhaseFailed: "FAILED", TimedOut: "TIMED_OUT", Stopped: "STOPPED"}[type(error)]
            if isinstance(error, TimedOut):
                contexts = [("BUILD_TIMED_OUT", f"Build has timed out after {build.minutes} minutes.")]
            elif isinstance(error, PhaseFailed):
                contexts = [(error.code, error.message)]
                self._say(f"Phase context status code: {error.code} Message: {error.message}", stamped=True)
            raise
        finally:
            told = [{"statusCode": code, "message": message} for code, message in contexts]
            row |= {"phaseStatus": status, "endTime": now(), "contexts": told}
            row["durationInSeconds"] = round(time.monotonic() - begun)

    def _provision(self) -> Acting:
        """Take the project's role, and hold what a build needs before its first command against it."""
        build, project = self._build, self._build.project
        try:
            # https://docs.aws.amazon.com/codebuild/latest/userguide/cross-service-confused-deputy-prevention.html
            name = f"AWSCodeBuild-{build.id.rpartition(':')[2]}"
            acting = build.place.taking(project["serviceRole"], project["arn"], name)
            if project.get("vpcConfig", {}).get("vpcId"):
                _join_network(acting, project["vpcConfig"])
        except RehearsalError as error:
            code = "VPC_CLIENT_ERROR" if "ec2:" in str(error) else "ACCESS_DENIED"
            raise PhaseFailed(code, f"{error}. Allow it in {project['serviceRole']}.") from None
        told = project.get("logsConfig", {}).get("cloudWatchLogs", {})
        if told.get("status", "ENABLED") == "ENABLED":
            group = told.get("groupName") or f"/aws/codebuild/{project['name']}"
            stream = "/".join(filter(None, (told.get("streamName"), build.id.rpartition(":")[2])))
            arn = build.place.arn("logs", f"log-group:{group}:log-stream:{stream}")
            build.logs = {
                "groupName": group,
                "streamName": stream,
                "cloudWatchLogsArn": arn,
                "cloudWatchLogs": told or None,
            }
            build.logs = {key: value for key, value in build.logs.items() if value}
            try:
                self._log = LogStream(acting.client("logs"), group, stream)
            except ClientError as error:
                raise PhaseFailed(
                    "ACCESS_DENIED",
                    f"Service role {project['serviceRole']} does not allow AWS CodeBuild to create Amazon CloudWatch Logs log "
                    f"streams for build {build.arn}. Error message: {error.response['Error']['Message']}",
                ) from None
        self._machine.prepare()
        return acting

    def _download(self, acting: Acting) -> Buildspec:
        """Unpack the input artifacts, and read the buildspec of the primary one."""
        build = self._build
        for place, source in enumerate(build.sources):
            target = self._source / ("primary" if place == 0 else source.name)
            target.mkdir(parents=True)
            if source.bucket:
                self._fetch(acting, source, target)
        given = build.buildspec or build.project["source"].get("buildspec", "")
        primary = self._source / "primary"
        if "\n" not in given:
            path = primary / (given or "buildspec.yml")
            if not path.resolve().is_relative_to(primary.resolve()) or not path.is_file():
                raise PhaseFailed(
                    "YAML_FILE_ERROR", f"stat {path.name}: no such file or directory. Put it into the source."
                )
            given = path.read_text(encoding="utf-8")
        try:
            return read(given)
        except BadBuildspec as error:
            raise PhaseFailed("YAML_FILE_ERROR", str(error)) from None

    def _fetch(self, acting: Acting, source: Source, target: Path) -> None:
        try:
            if self._build.key_arn.startswith("arn:"):
                via = {"kms:ViaService": f"s3.{acting.place.region}.amazonaws.com"}
                acting.may("kms:Decrypt", self._build.key_arn, **via)
            packed = acting.client("s3").get_object(Bucket=source.bucket, Key=source.key)["Body"].read()
            _unpack(packed, target)
        except (ClientError, RehearsalError, zipfile.BadZipFile) as error:
            where = f"s3://{source.bucket}/{source.key}"
            raise PhaseFailed("CLIENT_ERROR", f"Error while downloading {where}: {error}") from None

    def _environment(self, acting: Acting, spec: Buildspec) -> dict[str, str]:
        """Give the build's environment: the start's variables before the project's, these before the buildspec's."""
        build, project = self._build, self._build.project
        given = [{"name": name, "value": value} for name, value in spec.variables.items()]
        given += [{"name": name, "value": value, "type": "PARAMETER_STORE"} for name, value in spec.parameters.items()]
        given += [*project["environment"].get("environmentVariables", []), *map(dict, build.variables)]
        final = {row["name"]: row for row in given}
        values: dict[str, str] = {}
        for name, row in final.items():
            kind = row.get("type", "PLAINTEXT")
            if kind == "PARAMETER_STORE":
                self._secrets[name] = values[name] = self._parameter(acting, row["value"])
            elif kind == "PLAINTEXT":
                values[name] = row["value"]
            else:
                raise PhaseFailed("CLIENT_ERROR", f"The rehearsal does not play variables of type {kind}: {name}.")
        own = {
            "CODEBUILD_BUILD_ARN": build.arn,
            "CODEBUILD_BUILD_ID": build.id,
            "CODEBUILD_BUILD_IMAGE": project["environment"]["image"],
            "CODEBUILD_BUILD_NUMBER": str(build.number),
            "CODEBUILD_BUILD_SUCCEEDING": "1",
            "CODEBUILD_CI": "true",
            "CODEBUILD_INITIATOR": build.initiator,
            "CODEBUILD_KMS_KEY_ID": project.get("encryptionKey", f"{build.place.arn('kms', 'alias/aws/s3')}"),
            "CODEBUILD_PROJECT_ARN": project["arn"],
            "CODEBUILD_LOG_PATH": build.logs.get("streamName", ""),
            "CODEBUILD_SRC_DIR": str(self._source / "primary"),
            "CODEBUILD_START_TIME": str(int(build.started.timestamp() * 1000)),
        }
        if build.sources[0].revision:
            own |= dict.fromkeys(
                ("CODEBUILD_RESOLVED_SOURCE_VERSION", "CODEBUILD_SOURCE_VERSION"), build.sources[0].revision
            )
        own |= {f"CODEBUILD_SRC_DIR_{source.name}": str(self._source / source.name) for source in build.sources[1:]}
        return self._machine.environment({**values, **own, **acting.environment})

    def _parameter(self, acting: Acting, name: str) -> str:
        try:
            answer = acting.client("ssm").get_parameters(Names=[name], WithDecryption=True)
        except ClientError as error:
            raise PhaseFailed("Decrypted Variables Error", error.response["Error"]["Message"]) from None
        if not answer["Parameters"]:
            raise PhaseFailed("Decrypted Variables Error", f"parameter does not exist: {name}. Make it first.")
        return str(answer["Parameters"][0]["Value"])

    def _upload(self, spec: Buildspec, acting: Acting, folder: Path) -> None:
        """Put the output artifacts where the pipeline wants them."""
        outputs = self._build.outputs
        for name, (bucket, key) in outputs.items():
            artifact = spec.artifacts if len(outputs) == 1 and name not in spec.secondary else spec.secondary.get(name)
            files = _matching(folder, artifact) if artifact else {}
            if not files:
                raise PhaseFailed(
                    "CLIENT_ERROR", f"no matching artifact paths found for {name}. Name them in the buildspec."
                )
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                for inside, path in files.items():
                    archive.write(path, inside)
            named = {"SSEKMSKeyId": self._build.key_arn} if self._build.key_arn else {}
            try:
                acting.client("s3").put_object(
                    Bucket=bucket, Key=key, Body=packed.getvalue(), ServerSideEncryption="aws:kms", **named
                )
            except ClientError as error:
                raise PhaseFailed("CLIENT_ERROR", f"Error while uploading {name}: {error}") from None

    def _say(self, line: str, stamped: bool = False) -> None:
        """Write a log line, without what Parameter Store and the role keep secret."""
        hidden = [*self._secrets.values()]
        if self._acting:
            hidden += [self._acting.session.secret_key, self._acting.session.token]
        for secret in hidden:
            line = line.replace(secret, "***") if secret else line
        if stamped:
            line = f"[Container] {now():%Y/%m/%d %H:%M:%S.%f} {line}"
        self._build.lines.append(line)
        if self._log:
            self._log.write(line)


def _unpack(packed: bytes, target: Path) -> None:
    """Unpack a zip with its files' modes."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        for member in archive.infolist():
            path = Path(archive.extract(member, target))
            if not member.is_dir() and (mode := member.external_attr >> 16 & 0o777):
                path.chmod(mode | 0o600)


def _matching(folder: Path, artifact: Artifact) -> dict[str, Path]:
    """Find an artifact's files by the name that each gets in the zip."""
    base = folder / artifact.base
    found: dict[str, Path] = {}
    for pattern in artifact.files:
        wanted = re.sub(r"(^|/)\*\*$", r"\1**/*", pattern)
        for path in sorted(base.glob(wanted)):
            if path.is_file():
                found[path.name if artifact.flat else str(path.relative_to(base))] = path
    return found


def _join_network(acting: Acting, network: Mapping[str, Any]) -> None:
    """Ask for the rights by which a build gets an interface in its VPC. Raises Refused."""
    arn = acting.place.arn
    for look in _LOOKS:
        acting.may(f"ec2:{look}")
    interface, vpc = arn("ec2", "network-interface/eni-1"), {"ec2:Vpc": arn("ec2", f"vpc/{network['vpcId']}")}
    acting.may("ec2:CreateNetworkInterface", interface)
    for subnet in network["subnets"]:
        acting.may("ec2:CreateNetworkInterface", arn("ec2", f"subnet/{subnet}"), **{"ec2:SubnetID": subnet})
    for group in network["securityGroupIds"]:
        acting.may("ec2:CreateNetworkInterface", arn("ec2", f"security-group/{group}"))
    service = {"ec2:AuthorizedService": "codebuild.amazonaws.com"}
    acting.may("ec2:CreateNetworkInterfacePermission", interface, **vpc, **service)
    acting.may("ec2:DeleteNetworkInterface", interface, **vpc)
