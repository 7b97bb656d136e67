"""The project's code and its models: repository with the framework's seed, and the model package group."""

from __future__ import annotations

from troposphere import GetAtt, If, NoValue, Sub
from troposphere.cloudformation import CustomResource
from troposphere.codecommit import S3, Code, Repository
from troposphere.kms import Key
from troposphere.sagemaker import CodeRepository, GitConfig, ModelPackageGroup

from generators.kit import publishing
from generators.kit.builder import Builder
from generators.kit.iam import arn, document
from generators.smproject.access import Partners
from generators.smproject.questions import UNIQUE, Asked, Project
from generators.smproject.storage import KEPT


def repository(b: Builder, asked: Asked, project: Project, key: Key) -> Repository:
    """Add the repository, and have Studio show it."""
    # The framework's name is the last part of the key: what is published is what may be chosen.
    seed = Sub(publishing.release_prefix() + publishing.project_seed_key("${Framework}"))
    made = b.add(
        Repository(
            "ProjectRepository",
            RepositoryName=project.unique,
            RepositoryDescription=Sub("Code of the project ${SageMakerProjectName}"),
            KmsKeyId=GetAtt(key, "Arn"),
            Code=Code(BranchName="main", S3=S3(Bucket=publishing.assets_bucket(project.prefix), Key=seed)),
        ),
        holds_data=True,
        accept={"MLOPS015": KEPT},
    )
    # As AWS advises, so that Studio finds it in a VPC:
    # https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-projects-templates-custom.html
    b.add(
        CodeRepository(
            "StudioRepository", GitConfig=GitConfig(RepositoryUrl=GetAtt(made, "CloneUrlHttp"), Branch="main")
        ),
        holds_data=False,
    )
    return made


def models(b: Builder, partners: Partners, after: CustomResource) -> None:
    """Add the model package group. The accounts that models go to may read versions and make models of them, not decide."""
    versions = [arn("sagemaker", f"model-package-group/{UNIQUE}"), arn("sagemaker", f"model-package/{UNIQUE}/*")]
    read = [f"sagemaker:{action}" for action in
            ("CreateModel", "DescribeModelPackage", "DescribeModelPackageGroup", "ListModelPackages")]  # fmt: skip
    b.add(
        ModelPackageGroup(
            "ModelPackageGroup",
            ModelPackageGroupName=Sub(UNIQUE),
            ModelPackageGroupDescription=Sub("Model versions of the project ${SageMakerProjectName}"),
            ModelPackageGroupPolicy=If(
                partners.condition, document(*partners.statements("ModelsFor", read, versions)), NoValue
            ),
        ),
        after=[after],
        holds_data=True,
        accept={"MLOPS015": KEPT},
    )
