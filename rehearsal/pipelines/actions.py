"""What actions do: CodeCommit gives a commit's files, CodeBuild builds. Others are refused when an execution reaches them."""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Callable, Mapping

from botocore.exceptions import ClientError

from rehearsal.acting import Acting
from rehearsal.builds.service import Build, Builds, Source
from rehearsal.code.repositories import Repositories
from rehearsal.errors import RehearsalError
from rehearsal.pipelines.state import ActionRun, Execution, parameters
from rehearsal.services import ServiceError

_VARIABLE = re.compile(r"#\{([^{}]+)\}")
# What the service asks of a role for a CodeCommit source:
# https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-CodeCommit.html
_READS = ("CancelUploadArchive", "GetBranch", "GetCommit", "GetRepository", "GetUploadArchiveStatus", "UploadArchive")
POLL = 0.1  # seconds between two looks at a build


class ActionFailed(Exception):
    """An action that failed, with CodePipeline's code."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class Abandoned(Exception):
    """The execution was stopped and does not wait for the action."""


class Actions:
    """Runs the actions that the rehearsal plays."""

    def __init__(self, repositories: Repositories, builds: Builds) -> None:
        self._repositories, self._builds = repositories, builds

    def run(self, run: ActionRun) -> None:
        """Run an action to its end. Raises ActionFailed and Abandoned."""
        execution, kind = run.execution, run.action["actionTypeId"]
        plays: dict[tuple[str, str, str], Callable[[ActionRun, Acting], None]] = {
            ("Source", "AWS", "CodeCommit"): self._commit,
            ("Build", "AWS", "CodeBuild"): self._build,
            ("Test", "AWS", "CodeBuild"): self._build,
        }
        play = plays.get((kind["category"], kind["owner"], kind["provider"]))
        if play is None:
            name = f"{kind['category']} by {kind['provider']}"
            raise ActionFailed(
                "ConfigurationError", f"The rehearsal does not play actions of the kind {name}: take it out."
            )
        run.configuration = {key: resolved(value, execution) for key, value in parameters(run.action).items()}
        try:
            acting = taking(execution, run.action.get("roleArn"))
            for artifact in run.action.get("inputArtifacts", []):
                if artifact["name"] not in execution.artifacts:
                    raise ActionFailed("ConfigurationError", f"No action before made the artifact {artifact['name']}.")
                run.inputs.append(_artifact(artifact["name"], execution.artifacts[artifact["name"]]))
            play(run, acting)
        except ServiceError as error:
            raise ActionFailed("ConfigurationError", str(error)) from None
        except RehearsalError as error:
            raise ActionFailed("PermissionError", str(error)) from None
        except ClientError as error:
            code = "PermissionError" if "AccessDenied" in error.response["Error"]["Code"] else "JobFailed"
            raise ActionFailed(code, str(error)) from None

    def _commit(self, run: ActionRun, acting: Acting) -> None:
        """Put the very commit's files into the artifact store."""
        execution, place, given = run.execution, run.execution.place, run.configuration
        name, branch = given["RepositoryName"], given["BranchName"]
        for read in _READS:
            acting.may(f"codecommit:{read}", place.arn("codecommit", name))
        repository = next((one for one in self._repositories.of(place.account, place.region) if one.name == name), None)
        if repository is None:
            raise ActionFailed("ConfigurationError", f"The repository {name} does not exist. Make it, or name another.")
        if given.get("OutputArtifactFormat", "CODE_ZIP") != "CODE_ZIP":
            raise ActionFailed("ConfigurationError", "The rehearsal plays OutputArtifactFormat CODE_ZIP alone.")
        asked = execution.revisions.get(run.action["name"])
        number = repository.git.find(asked) if asked else repository.git.branch(branch)
        if number is None:
            what = f"commit {asked}" if asked else f"branch {branch}"
            raise ActionFailed("ConfigurationError", f"The {what} does not exist in {name}. Push it, or name another.")
        commit = repository.git.commit(number)
        run.variables = {
            "AuthorDate": commit.author[2],
            "AuthorDisplayName": commit.author[0],
            "AuthorEmail": commit.author[1],
            "BranchName": branch,
            "CommitId": number,
            "CommitMessage": commit.message.strip(),
            "CommitterDate": commit.committer[2],
            "RepositoryName": name,
        }
        run.revision = {"revisionId": number, "revisionChangeId": number, "created": execution.started}
        run.external_id, run.summary = number, commit.message.strip()
        for artifact in run.action["outputArtifacts"]:
            bucket, key = location(execution, artifact["name"])
            key += ".zip"
            store(execution, acting, bucket, key, repository.git.archive(number))
            execution.artifacts[artifact["name"]] = (bucket, key, number)
            run.outputs.append(_artifact(artifact["name"], (bucket, key, number)))
        source = {"actionName": run.action["name"], "revisionId": number, "revisionSummary": run.summary}
        execution.sources.append(source)

    def _build(self, run: ActionRun, acting: Acting) -> None:
        """Start a build as the role that the action has, and wait for its end."""
        execution, place, given = run.execution, run.execution.place, run.configuration
        if given.get("BatchEnabled", "false").lower() == "true":
            raise ActionFailed("ConfigurationError", "The rehearsal plays no batch builds: leave BatchEnabled out.")
        for action in ("StartBuild", "BatchGetBuilds"):
            acting.may(f"codebuild:{action}", place.arn("codebuild", f"project/{given['ProjectName']}"))
        project = self._builds.project(place.account, place.region, given["ProjectName"])
        if project["source"]["type"] != "CODEPIPELINE":
            raise ActionFailed(
                "ConfigurationError", f"Project {project['name']} has no source CODEPIPELINE. Give it that."
            )
        names = [artifact["name"] for artifact in run.action.get("inputArtifacts", [])]
        first = given.get("PrimarySource") or names[0]
        if first not in names:
            raise ActionFailed("ConfigurationError", f"PrimarySource {first} is none of {', '.join(names)}.")
        ordered = [first, *(name for name in names if name != first)]
        outputs = {a["name"]: location(execution, a["name"]) for a in run.action.get("outputArtifacts", [])}
        build = self._builds.begin(
            Build(
                place,
                project,
                f"codepipeline/{execution.pipeline['name']}",
                0,
                [Source(name, *execution.artifacts[name]) for name in ordered],
                _environment(given.get("EnvironmentVariables", "[]")),
                outputs,
                given.get("BuildspecOverride", ""),
                run.action.get("timeoutInMinutes") or project.get("timeoutInMinutes") or 60,
                key_of(execution),
            )
        )
        run.external_id = build.id
        run.external_url = f"https://{place.region}.console.aws.amazon.com/codesuite/codebuild/builds/{build.id}/view"
        while not build.done.wait(POLL):
            if execution.abandon.is_set():
                raise Abandoned  # the build goes on, as it does on AWS
        run.log_stream, run.variables = build.logs.get("cloudWatchLogsArn", ""), dict(build.exported)
        if build.status != "SUCCEEDED":
            raise ActionFailed("JobFailed", f"Build terminated with state: {build.status}. {build.failure}".strip())
        for name, where in outputs.items():
            execution.artifacts[name] = (*where, build.id)
            run.outputs.append(_artifact(name, execution.artifacts[name]))


def taking(execution: Execution, role_arn: str | None = None) -> Acting:
    """Take the pipeline's role, and from it the action's own when it has one. Raises Refused and ClientError."""
    pipeline = execution.pipeline
    source = execution.place.arn("codepipeline", pipeline["name"])
    acting = execution.place.taking(pipeline["roleArn"], source, execution.id)
    return acting.as_role(role_arn, execution.id) if role_arn and role_arn != pipeline["roleArn"] else acting


def resolved(text: str, execution: Execution) -> str:
    """Fill in `#{namespace.name}`. Raises ActionFailed for a variable that there is not."""

    def value(match: re.Match[str]) -> str:
        namespace, _, name = match[1].partition(".")
        known: Mapping[str, str] = execution.namespaces.get(namespace, {})
        if name not in known:
            raise ActionFailed(
                "ConfigurationError",
                "An action in this pipeline failed because one or more variables could not be resolved: "
                f"{match[0]}. Name a variable that an action before gives.",
            )
        return known[name]

    return _VARIABLE.sub(value, text)


def location(execution: Execution, artifact: str) -> tuple[str, str]:
    """Give an artifact's bucket and key; keys hold the first 20 and 10 characters of the names, as CodePipeline cuts them."""
    random = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(7))
    return execution.pipeline["artifactStore"][
        "location"
    ], f"{execution.pipeline['name'][:20]}/{artifact[:10]}/{random}"


def key_of(execution: Execution) -> str:
    """Give the artifact store's key; empty when S3's own is used."""
    return str(execution.pipeline["artifactStore"].get("encryptionKey", {}).get("id", ""))


def store(execution: Execution, acting: Acting, bucket: str, key: str, content: bytes) -> None:
    """Write an artifact, encrypted with the store's key. Raises Refused and ClientError."""
    kms = key_of(execution)
    if kms.startswith("arn:"):
        acting.may("kms:GenerateDataKey", kms, **{"kms:ViaService": f"s3.{acting.place.region}.amazonaws.com"})
    named = {"SSEKMSKeyId": kms} if kms else {}
    acting.client("s3").put_object(Bucket=bucket, Key=key, Body=content, ServerSideEncryption="aws:kms", **named)


def _environment(text: str) -> list[dict[str, str]]:
    try:
        rows = json.loads(text or "[]")
        return [{"name": row["name"], "value": row["value"], "type": row.get("type", "PLAINTEXT")} for row in rows]
    except (ValueError, KeyError, TypeError):
        raise ActionFailed(
            "ConfigurationError", "EnvironmentVariables is no JSON list of name, value and type."
        ) from None


def _artifact(name: str, where: tuple[str, str, str]) -> dict[str, object]:
    return {"name": name, "s3location": {"bucket": where[0], "key": where[1]}}
