"""The build pipeline: from a push to a registered model. The event router starts it with the very commit."""

from __future__ import annotations

import json
from typing import Any

from troposphere import GetAtt, Ref, Sub
from troposphere.cloudformation import CustomResource
from troposphere.codecommit import Repository
from troposphere.codepipeline import (
    Actions,
    ActionTypeId,
    ArtifactStore,
    DisableInboundStageTransitions,
    EncryptionKey,
    InputArtifacts,
    OutputArtifacts,
    Pipeline,
    Stages,
)
from troposphere.iam import Role
from troposphere.kms import Key
from troposphere.s3 import Bucket

from generators.kit import contracts
from generators.kit.builder import Builder
from generators.kit.iam import KEY_USE, allow, arn, document, role, via
from generators.kit.storage import objects
from generators.smproject.access import ARTIFACTS
from generators.smproject.builds import Builds
from generators.smproject.workspace import FILES

BUILD = "${SageMakerProjectName}-build"
# The event router opens the transition that is closed with exactly this reason; one that a person closed stays closed.
FIRST_PUSH = "Opens with the first push to main."
# Artifacts of pipelines stand below PIPELINE-NAME/ARTIFACT-NAME/, each cut to some characters, and IAM can't cut: the project's
# roles are denied to write by the artifact's name, which therefore begins with Pipe and is short.
SOURCE, CICD = "PipeSource", "PipeCicd"
PURPOSES = ("preprocessing", "training", "inference")


def build(b: Builder, key: Key, bucket: Bucket, code: Repository, builds: Builds, after: CustomResource) -> Pipeline:
    """Add the build pipeline. It is born with its second stage closed: CodePipeline runs a new pipeline at once, and nobody
    has pushed yet. It comes after all that could fail: its first run puts the sources into the bucket, and a bucket with objects
    would not go with a launch that fails."""
    cicd = b.consume(contracts.MLOPS_CICD_REPOSITORY)
    runs_as = _role(b, key, bucket, code, cicd, builds)
    # One after another: a new account runs one build at a time, and CodeBuild refuses the third of three that start at once
    # ("Cannot have more than 1 builds in queue for the account").
    # https://docs.aws.amazon.com/codebuild/latest/userguide/limits.html
    images = [
        _job(builds.image, f"Push{purpose.capitalize()}", "push_image", order, PURPOSE=purpose)
        for order, purpose in enumerate(PURPOSES, start=1)
    ]
    return b.add(
        Pipeline(
            "BuildPipeline",
            Name=Sub(BUILD),
            PipelineType="V2",
            # Each push is built, one after another: what waits is not dropped for what came later.
            ExecutionMode="QUEUED",
            RoleArn=GetAtt(runs_as, "Arn"),
            ArtifactStore=ArtifactStore(
                Type="S3", Location=Ref(bucket), EncryptionKey=EncryptionKey(Id=GetAtt(key, "Arn"), Type="KMS")
            ),
            Stages=[
                Stages(
                    Name="Source",
                    Actions=[
                        _source("Source", GetAtt(code, "Name"), SOURCE, "SourceVariables"),
                        _source("Cicd", cicd, CICD, "CicdVariables"),
                    ],
                ),
                Stages(Name="Validate", Actions=[_job(builds.build, "Validate", "validate")]),
                Stages(Name="PushImages", Actions=images),
                Stages(Name="SMPipeline", Actions=[_job(builds.build, "SMPipeline", "sm_pipeline")]),
            ],
            DisableInboundStageTransitions=[DisableInboundStageTransitions(StageName="Validate", Reason=FIRST_PUSH)],
        ),
        after=[FILES, after],  # the first erases the pipeline's artifacts, once the pipeline is gone
        accept={"MLOPS015": "The event router starts it by the project's name; it holds nothing and goes with the stack."},
    )  # fmt: skip


def _source(name: str, repository: Any, artifact: str, namespace: str) -> Actions:
    return Actions(
        Name=name,
        Namespace=namespace,
        ActionTypeId=ActionTypeId(Category="Source", Owner="AWS", Provider="CodeCommit", Version="1"),
        Configuration={"RepositoryName": repository, "BranchName": "main", "PollForSourceChanges": "false"},
        OutputArtifacts=[OutputArtifacts(Name=artifact)],
    )


def _job(builds: Any, name: str, job: str, order: int = 1, **more: str) -> Actions:
    variables = {
        "JOB": job,
        "COMMIT": "#{SourceVariables.CommitId}",
        "EXECUTION_ID": "#{codepipeline.PipelineExecutionId}",
        **more,
    }
    return Actions(
        Name=name,
        RunOrder=order,
        ActionTypeId=ActionTypeId(Category="Build", Owner="AWS", Provider="CodeBuild", Version="1"),
        Configuration={
            "ProjectName": Ref(builds),
            "PrimarySource": CICD,
            "EnvironmentVariables": json.dumps(
                [{"name": variable, "value": value, "type": "PLAINTEXT"} for variable, value in variables.items()]
            ),
        },
        InputArtifacts=[InputArtifacts(Name=CICD), InputArtifacts(Name=SOURCE)],
    )


def _role(b: Builder, key: Key, bucket: Bucket, code: Repository, cicd: str, builds: Builds) -> Role:
    # https://docs.aws.amazon.com/codepipeline/latest/userguide/how-to-custom-role.html and the references of the actions.
    # AWS's page has no condition on who makes CodePipeline take the role, and names no key that it sends; only a pipeline of this
    # account can be given the role.
    trusted = document(
        {"Effect": "Allow", "Principal": {"Service": "codepipeline.amazonaws.com"}, "Action": "sts:AssumeRole"}
    )
    read = [f"codecommit:{verb}" for verb in ("CancelUploadArchive", "GetBranch", "GetCommit", "GetRepository",
                                              "GetUploadArchiveStatus", "UploadArchive")]  # fmt: skip
    return b.add(
        role(
            "PipelineRole",
            "Moves the project's sources through its pipelines",
            trusted,
            [
                allow("ReadCode", read, [GetAtt(code, "Arn"), arn("codecommit", cicd)]),
                allow("SeeOwnBucket", ["s3:GetBucketAcl", "s3:GetBucketLocation", "s3:GetBucketVersioning"],
                      GetAtt(bucket, "Arn")),
                allow("HandOver", ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"], objects(bucket, ARTIFACTS)),
                allow("OwnKey", KEY_USE, GetAtt(key, "Arn")),
                # All that CodeCommit's page asks for, whatever is done with a repository that has a key of its own:
                # https://docs.aws.amazon.com/codecommit/latest/userguide/encryption.html
                allow("KeyOfTheJobs", KEY_USE, b.consume(contracts.PLATFORM_KEY_ARN), via("codecommit")),
                allow("RunJobs", ["codebuild:BatchGetBuilds", "codebuild:StartBuild"], builds.arns),
            ],
            b.consume(contracts.PERMISSIONS_BOUNDARY_ARN),
            path=Sub("/mlops/${SageMakerProjectName}/"),
        )
    )  # fmt: skip
