"""Who builds: an identity that runs the project's code, and one that makes images, each with a CodeBuild project.

What runs a project's tests may start the project's own SageMaker pipeline and nothing else; what runs privileged may push images
and nothing else. Neither may write what a pipeline hands from stage to stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from troposphere import GetAtt, Join, Ref, Sub
from troposphere.codebuild import (
    Artifacts,
    CloudWatchLogs,
    Environment,
    EnvironmentVariable,
    LogsConfig,
    ProjectCache,
    Source,
    VpcConfig,
)
from troposphere.codebuild import Project as BuildProject
from troposphere.ecr import Repository as ImageRepository
from troposphere.iam import Role
from troposphere.kms import Key
from troposphere.logs import LogGroup
from troposphere.s3 import Bucket
from troposphere.ssm import Parameter

from generators.kit import contracts
from generators.kit.builder import Builder
from generators.kit.iam import KEY_USE, Statement, allow, arn, encrypt_logs, role, trust
from generators.kit.storage import objects
from generators.smproject import questions
from generators.smproject.access import ARTIFACTS, BUILD_LOGS, OWN_PIPELINE, pass_to_jobs
from generators.smproject.questions import Asked
from generators.smproject.storage import CACHE, KEPT

# https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-available.html
IMAGE = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
# Minutes. Each job has limits of its own below these, since it says what to do when one is reached: the last one follows the
# SageMaker pipeline for an hour, an image is built for an hour and pushed for half of one.
LONGEST = {"build": 120, "image": 120}
# Of two kinds, which have a quota each: an image that is built keeps no other project's tests waiting.
SIZES = {"build": "BUILD_GENERAL1_SMALL", "image": "BUILD_GENERAL1_MEDIUM"}
# CodeBuild looks whose bucket it is that it reads sources from and keeps its cache in:
# https://docs.aws.amazon.com/codebuild/latest/userguide/setting-up-service-role.html
SEE_BUCKET = ["s3:GetBucketAcl", "s3:GetBucketLocation"]
PUSH = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages",
        "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart"]  # fmt: skip
PRIVILEGED = "Docker needs it (CodeBuild.5); this identity reads the source and pushes to the project's own repositories, no more."


@dataclass(frozen=True)
class Builds:
    """The CodeBuild projects of the build pipeline."""

    build: BuildProject
    image: BuildProject

    @property
    def arns(self) -> list[GetAtt]:
        """Give their ARNs."""
        return [GetAtt(made, "Arn") for made in (self.build, self.image)]


@dataclass(frozen=True)
class _Place:
    """What both projects share."""

    asked: Asked
    key: Key
    bucket: Bucket
    settings: Parameter
    logs: LogGroup


def build(
    b: Builder,
    asked: Asked,
    key: Key,
    bucket: Bucket,
    images: Mapping[str, ImageRepository],
    runs_as: Role,
    settings: Parameter,
) -> Builds:
    """Add both identities, their CodeBuild projects and the log group that both write to."""
    logs = b.add(
        LogGroup(
            "BuildLogs",
            LogGroupName=Sub(BUILD_LOGS),
            KmsKeyId=GetAtt(key, "Arn"),
            RetentionInDays=365,
        ),
        holds_data=True,
        accept={"MLOPS015": KEPT},
    )
    place = _Place(asked, key, bucket, settings, logs)
    repositories = [GetAtt(image, "Arn") for image in images.values()]
    starts = [
        allow("OwnPlace", ["s3:GetObject", "s3:GetObjectVersion"], objects(bucket)),
        allow("SeeOwnBucket", [*SEE_BUCKET, "s3:ListBucket"], GetAtt(bucket, "Arn")),
        allow("WriteWhatIsBuilt", ["s3:AbortMultipartUpload", "s3:PutObject"], objects(bucket, "build/")),
        allow("FindImages", "ecr:DescribeImages", repositories),
        allow("OwnPipeline", ["sagemaker:CreatePipeline", "sagemaker:DescribePipeline*", "sagemaker:ListPipelineExecutionSteps",
                              "sagemaker:ListTags", "sagemaker:StartPipelineExecution", "sagemaker:UpdatePipeline"],
              OWN_PIPELINE),
        allow("TagsAtCreation", "sagemaker:AddTags", OWN_PIPELINE[0], {"StringLike": {"sagemaker:TaggingAction": "Create*"}}),
        pass_to_jobs(runs_as),
    ]  # fmt: skip
    pushes = [
        allow("ReadSources", ["s3:GetObject", "s3:GetObjectVersion"], objects(bucket, ARTIFACTS)),
        allow("SeeOwnBucket", SEE_BUCKET, GetAtt(bucket, "Arn")),
        allow("PushOwnImages", PUSH, repositories),
    ]
    return Builds(
        _project(b, place, "build", "Runs the project's tests, and starts its SageMaker pipeline", starts),
        _project(b, place, "image", "Makes the project's images", pushes, privileged=True),
    )


def _project(
    b: Builder, place: _Place, name: str, description: str, may: list[Statement], privileged: bool = False
) -> BuildProject:
    title, called = f"{name.capitalize()}", f"${{SageMakerProjectName}}-{name}"
    runs_as = b.add(
        role(
            f"{title}Role",
            description,
            trust("codebuild.amazonaws.com", source=arn("codebuild", f"project/{called}")),
            [*_common(place), *may],
            b.consume(contracts.PERMISSIONS_BOUNDARY_ARN),
            path=Sub("/mlops/${SageMakerProjectName}/"),
            ManagedPolicyArns=[b.consume(contracts.PROJECT_BUILDS_POLICY_ARN)],
        )
    )
    cache = Join("/", [Ref(place.bucket), CACHE])
    return b.add(
        BuildProject(
            f"{title}Project",
            Name=Sub(called),
            Description=description,
            ServiceRole=GetAtt(runs_as, "Arn"),
            Source=Source(Type="CODEPIPELINE", BuildSpec="buildspec.yml"),
            Artifacts=Artifacts(Type="CODEPIPELINE"),
            # What a build of images leaves on a machine stays there: nobody's next build should find it.
            Cache=ProjectCache(Type="NO_CACHE") if privileged else ProjectCache(Type="S3", Location=cache),
            EncryptionKey=GetAtt(place.key, "Arn"),
            Environment=Environment(
                Type="LINUX_CONTAINER",
                ComputeType=SIZES[name],
                Image=IMAGE,
                PrivilegedMode=privileged,
                EnvironmentVariables=[
                    EnvironmentVariable(Name=variable, Type="PARAMETER_STORE", Value=parameter)
                    for variable, parameter in _variables(place).items()
                ],
            ),
            VpcConfig=VpcConfig(
                VpcId=b.consume(contracts.VPC_ID),
                Subnets=place.asked[questions.SUBNETS],
                SecurityGroupIds=[b.consume(contracts.COMPUTE_SECURITY_GROUP_ID)],
            ),
            LogsConfig=LogsConfig(CloudWatchLogs=CloudWatchLogs(Status="ENABLED", GroupName=Ref(place.logs), StreamName=name)),
            TimeoutInMinutes=LONGEST[name],
            QueuedTimeoutInMinutes=480,
        ),
        accept={
            "MLOPS015": "The role's trust names the project, and the project its role; AWS's own name would close a circle.",
            **({"MLOPS021": PRIVILEGED} if privileged else {}),
        },
    )  # fmt: skip


def _variables(place: _Place) -> dict[str, Any]:
    """Name what a job finds in its environment, and the parameters that CodeBuild reads it from when it starts."""
    return {
        "PROJECT_SETTINGS": Ref(place.settings),
        "PYPI_DOMAIN": contracts.PYPI_DOMAIN_NAME.ssm,
        "PYPI_REPOSITORY": contracts.PYPI_REPOSITORY_NAME.ssm,
    }


def _common(place: _Place) -> list[Statement]:
    facts = [contracts.PYPI_DOMAIN_NAME.ssm, contracts.PYPI_REPOSITORY_NAME.ssm]
    return [
        allow("WriteLogs", ["logs:CreateLogStream", "logs:PutLogEvents"], GetAtt(place.logs, "Arn")),
        encrypt_logs(GetAtt(place.key, "Arn")),
        allow("OwnKey", KEY_USE, GetAtt(place.key, "Arn")),
        allow("ReadFacts", "ssm:GetParameters",
              [arn("ssm", f"parameter{contracts.PROJECTS}/${{SageMakerProjectName}}/settings"),
               *(arn("ssm", f"parameter{fact}") for fact in facts)]),
    ]  # fmt: skip
