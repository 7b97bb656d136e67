"""What people and pipelines of the project find: its facts as one parameter, and the start script of its workspaces."""

from __future__ import annotations

import json
from collections.abc import Mapping

from troposphere import GetAtt, If, Ref, Sub
from troposphere.cloudformation import CustomResource
from troposphere.codecommit import Repository as CodeRepository
from troposphere.ecr import Repository as ImageRepository
from troposphere.iam import Role
from troposphere.kms import Key
from troposphere.s3 import Bucket
from troposphere.sns import Topic
from troposphere.ssm import Parameter

from generators.kit import contracts, publishing
from generators.kit.builder import Builder
from generators.smproject.questions import OWN_TRACKING, UNIQUE, Asked, Project

SCRIPT = "start.sh"
FILES = "WorkspaceFiles"
PIPELINES = ("${SageMakerProjectName}-build",)
PATH = f"{contracts.PROJECTS}/${{SageMakerProjectName}}"


def settings(
    b: Builder,
    asked: Asked,
    project: Project,
    key: Key,
    bucket: Bucket,
    images: Mapping[str, ImageRepository],
    code: CodeRepository,
    runs_as: Role,
    topic: Topic,
) -> Parameter:
    """Publish the project's facts in one JSON document: an account has room for 10,000 parameters, and no more."""
    facts = {
        "project_name": "${SageMakerProjectName}",
        "project_id": "${SageMakerProjectId}",
        "cost_center": "${CostCenter}",
        "problem_type": "${ProblemType}",
        "inference_type": "${InferenceType}",
        "framework": "${Framework}",
        "region": "${AWS::Region}",
        "account_id": "${AWS::AccountId}",
        "project_role_arn": f"${{{runs_as.title}.Arn}}",
        "project_kms": f"${{{key.title}.Arn}}",
        "project_bucket": f"${{{bucket.title}}}",
        "artifact_bucket": b.consume(contracts.ARTIFACTS_BUCKET_NAME),
        "vpc": b.consume(contracts.VPC_ID),
        "private_subnets": b.consume(contracts.SUBNET_IDS),
        "sg_compute": b.consume(contracts.COMPUTE_SECURITY_GROUP_ID),
        "sg_vpce": b.consume(contracts.VPCE_SECURITY_GROUP_ID),
        "repository_name": f"${{{code.title}.Name}}",
        "repository_arn": f"${{{code.title}.Arn}}",
        "repository_url": f"${{{code.title}.CloneUrlHttp}}",
        # CodeCommit's address has no attribute of another stack's repository; the own one's host is the same.
        "cicd_repository_url": f"https://git-codecommit.${{AWS::Region}}.${{AWS::URLSuffix}}/v1/repos/{b.consume(contracts.MLOPS_CICD_REPOSITORY)}",
        "model_package_group": UNIQUE,
        **{f"{purpose}_image": f"${{{image.title}.RepositoryUri}}" for purpose, image in images.items()},
        "pypi_domain": b.consume(contracts.PYPI_DOMAIN_NAME),
        "pypi_repository": b.consume(contracts.PYPI_REPOSITORY_NAME),
        "tracking_arn": "${Tracking}",
        "max_runtime_seconds": "${SageMakerJobsMaxRuntimeInSeconds}",
        "build_pipeline": "${SageMakerProjectName}-build",
        "deploy_pipeline": "${SageMakerProjectName}-deploy",
        "topic_arn": f"${{{topic.title}}}",
    }
    tracking = _tracking(b, asked)
    return b.add(
        Parameter(
            "ProjectSettings",
            Name=Sub(f"{PATH}/settings"),
            Type="String",
            Description="What the project is made of, for its workspaces, functions and pipelines",
            Value=Sub(json.dumps(facts), Tracking=tracking),
        ),
    )


def start_script(b: Builder, project: Project, key: Key, bucket: Bucket) -> Parameter:
    """Put the start script into the project's bucket, where only the platform writes, and say by which hash it is known."""
    target, digest = f"workspace/{SCRIPT}", publishing.workspace_sha256(SCRIPT)
    files = b.add(
        CustomResource(
            FILES,
            ServiceToken=b.consume(contracts.RELEASE_FILES_FUNCTION_ARN),
            ServiceTimeout=120,
            SourceBucket=publishing.assets_bucket(project.prefix),
            TargetBucket=Ref(bucket),
            KmsKeyArn=GetAtt(key, "Arn"),
            # A pipeline runs as soon as it is made: what it left in the bucket goes when a launch fails afterwards.
            Pipelines=[Sub(name) for name in PIPELINES],
            Files=[
                {
                    "SourceKey": publishing.release_prefix() + publishing.workspace_key(SCRIPT),
                    "Sha256": digest,
                    "TargetKey": target,
                }
            ],
        )
    )
    return b.add(
        Parameter(
            "StartScript",
            Name=Sub(f"{PATH}/start-script"),
            Type="String",
            Description="Script that runs when a space of the project starts, and the hash that it must have",
            Value=Sub(f"{digest} s3://${{{bucket.title}}}/{target}"),
        ),
        after=[files],
    )


def _tracking(b: Builder, asked: Asked) -> If:
    return If("HasOwnTracking", asked[OWN_TRACKING], b.consume(contracts.TRACKING_ARN))
