"""Who may do what in the project: its role, and the accounts its models go to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from troposphere import AccountId, Condition, GetAtt, If, NoValue, Or, Ref, Split, Sub, Tags
from troposphere.cloudformation import CustomResource
from troposphere.codecommit import Repository as CodeRepository
from troposphere.ecr import Repository as ImageRepository
from troposphere.iam import ManagedPolicy, Role, RolePolicy
from troposphere.kms import Key
from troposphere.s3 import Bucket

from generators.kit import code, contracts, rails
from generators.kit.builder import Builder
from generators.kit.iam import KEY_USE, Statement, allow, arn, deny, document, role, via
from generators.kit.lists import buckets_and_objects, each
from generators.kit.storage import objects
from generators.kit.studio import execution_trust
from generators.smproject import questions
from generators.smproject.questions import UNIQUE, Asked, Project

# Jobs and models of a project are called so. No project's name holds two hyphens in a row: churn--* is never churn-eu's.
OWN = "${SageMakerProjectName}--*"
JOBS = {
    "HyperParameterTuningJob": "hyper-parameter-tuning-job",
    "Model": "model",
    "ProcessingJob": "processing-job",
    "TrainingJob": "training-job",
    "TransformJob": "transform-job",
}
SHARED = (contracts.PROJECT_STUDIO_POLICY_ARN, contracts.PROJECT_JOBS_POLICY_ARN, contracts.PROJECT_RAILS_POLICY_ARN,
          contracts.PROJECT_REACH_POLICY_ARN)  # fmt: skip
# What only the platform, the build or the deploy pipeline may write: what runs a project's code may not change what deploys it.
CLOSED = ("workspace", "build", "deploy", "capture")
# What pipelines hand from stage to stage: PIPELINE/Pipe.../RANDOM, whatever CodePipeline makes of the pipeline's name.
ARTIFACTS = "*/Pipe*/"
BUILD_LOGS = f"/mlops/projects/{UNIQUE}/builds"
OWN_PIPELINE = [arn("sagemaker", f"pipeline/{UNIQUE}"), arn("sagemaker", f"pipeline/{UNIQUE}/execution/*")]


@dataclass(frozen=True)
class Partners:
    """The staging and production accounts, each as a condition and what it means in a policy."""

    condition: str
    sources: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]

    def statements(self, sid: str, actions: Any, resources: Any, also: Mapping[str, Any] | None = None) -> list[If]:
        """Make the statements that let roles of ours in those accounts in, one for each way of naming them."""
        paths = [
            Sub(f"arn:${{AWS::Partition}}:iam::*:role/mlops/{path}/*") for path in ("${SageMakerProjectName}", "target")
        ]
        # Only accounts that the platform trusts, whatever a project names; and never this account, where the project's own
        # policies decide.
        roles = {"ArnLike": {"aws:PrincipalArn": paths}, "StringNotEquals": {"aws:PrincipalAccount": AccountId}}
        return [
            If(
                condition,
                allow(
                    sid + condition.removeprefix("Has"),
                    actions,
                    resources,
                    _merged(roles, limits, also or {}),
                    Principal=principal,
                ),
                NoValue,
            )
            for condition, (principal, limits) in self.sources.items()
        ]


def partners(b: Builder, asked: Asked) -> Partners:
    """Say which accounts the project's models go to."""
    sources: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
    for stage, accounts, units in (
        ("Staging", questions.STAGING_ACCOUNTS, questions.STAGING_UNITS),
        ("Production", questions.PRODUCTION_ACCOUNTS, questions.PRODUCTION_UNITS),
    ):
        named = b.when(f"Has{stage}Accounts", questions.given(accounts))
        sources[named] = (
            {"AWS": Split(",", asked[accounts])},
            {"StringEquals": {"aws:PrincipalAccount": asked.trusted}},
        )
        grouped = b.when(f"Has{stage}Units", questions.given(units))
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html (aws:PrincipalOrgPaths)
        paths = {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": each(asked[units], "*/", "/*")}}
        organization = {"StringEquals": {"aws:PrincipalOrgID": b.consume(contracts.ORGANIZATION_ID)}}
        sources[grouped] = ({"AWS": "*"}, {**paths, **organization})
    return Partners(b.when("HasPartners", Or(*(Condition(name) for name in sources))), sources)


def role_of(
    b: Builder,
    asked: Asked,
    project: Project,
    key: Key,
    bucket: Bucket,
    images: Mapping[str, ImageRepository],
    repository: CodeRepository,
    after: CustomResource,
) -> Role:
    """Add the role of the project's people in Studio and of its jobs.

    What all projects share stands in policies of 1-infra; what is the project's own stands here. A role has room for 10,240
    characters of inline policies: what it may do stands in managed ones, and what depends on answers is inline."""
    shared = [b.consume(contract) for contract in SHARED]
    own = b.when("HasOwnTracking", questions.given(questions.OWN_TRACKING))
    tracking = If(own, NoValue, b.consume(contracts.PROJECT_TRACKING_POLICY_ARN))
    runs_as = b.add(
        role(
            "ProjectRole",
            "People of the project in Studio, and its jobs",
            execution_trust(),
            [],
            b.consume(contracts.PERMISSIONS_BOUNDARY_ARN),
            path=Sub("/mlops/${SageMakerProjectName}/"),
            ManagedPolicyArns=[*shared, tracking],
            # For the policies that all projects share: a tag without a colon, as policy variables take it.
            Tags=Tags({rails.BUCKET_TAG: Sub(UNIQUE)}),
        ),
        after=[after],
    )
    data = b.when("HasDataBuckets", questions.given(questions.DATA_BUCKETS))
    keys = b.when("HasDataKeys", questions.given(questions.DATA_KEYS))
    _managed(b, runs_as, "Work", [*_store(key, bucket), *_code(b, repository, images), *_registry()])
    jobs = [*_jobs(runs_as), *_own_tracking(asked)]
    _managed(b, runs_as, "Jobs", jobs, {
        "MLOPS010": f"OwnTracking: {rails.MLFLOW_REASON}",
        "MLOPS011": "OwnMetrics: cloudwatch:PutMetricData knows no resource; a condition names the namespace.",
    })  # fmt: skip
    _inline(b, runs_as, "Rails", [
        *rails.sizes(Split(",", asked[questions.JOB_TYPES]), Split(",", asked[questions.SPACE_TYPES]),
                     asked[questions.LONGEST_JOB]),
        rails.own_models(arn("sagemaker", f"model/{OWN}")),
        *rails.apart(project.name),
    ])  # fmt: skip
    _inline(b, runs_as, "Data", [
        allow("ReadCompanyData", ["s3:GetBucketLocation", "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"],
              buckets_and_objects(asked[questions.DATA_BUCKETS])),
        If(keys, allow("DecryptCompanyData", ["kms:Decrypt", "kms:DescribeKey"], Split(",", asked[questions.DATA_KEYS])),
           NoValue),
    ], when=data)  # fmt: skip
    return runs_as


def _managed(
    b: Builder, runs_as: Role, name: str, statements: list[Any], accept: Mapping[str, str] | None = None
) -> None:
    b.add(
        ManagedPolicy(
            f"Project{name}",
            Description=f"{name} of the role of the project",
            Path=Sub("/mlops/${SageMakerProjectName}/"),
            Roles=[Ref(runs_as)],
            PolicyDocument=document(*statements),
        ),
        accept=accept,
    )


def _inline(b: Builder, runs_as: Role, name: str, statements: list[Any], when: str | None = None) -> None:
    b.add(
        RolePolicy(f"Project{name}", PolicyName=name, RoleName=Ref(runs_as), PolicyDocument=document(*statements)),
        when=when,
    )


def _store(key: Key, bucket: Bucket) -> list[Statement]:
    return [
        allow("SeeOwnBucket", ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"], GetAtt(bucket, "Arn")),
        allow("OwnObjects", ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:GetObjectVersion",
                             "s3:ListMultipartUploadParts", "s3:PutObject"], objects(bucket)),
        deny("ClosedPlaces", ["s3:DeleteObject", "s3:PutObject"],
             [*(objects(bucket, f"{place}/") for place in CLOSED), objects(bucket, ARTIFACTS)]),
        allow("OwnKey", KEY_USE, GetAtt(key, "Arn")),
        allow("GrantsForJobs", "kms:CreateGrant", GetAtt(key, "Arn"), {"Bool": {"kms:GrantIsForAWSResource": "true"}}),
        allow("OwnFacts", ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"],
              arn("ssm", f"parameter{contracts.PROJECTS}/${{SageMakerProjectName}}/*")),
    ]  # fmt: skip


def _code(b: Builder, repository: CodeRepository, images: Mapping[str, ImageRepository]) -> list[Statement]:
    return [
        allow("OwnRepository", [*code.READ, *code.WRITE], GetAtt(repository, "Arn")),
        # What runs in the pipelines is there to be read, and runs a project's pipeline in a space as well (inv local).
        allow("ReadTheJobs", ["codecommit:GetRepository", "codecommit:GitPull"],
              arn("codecommit", b.consume(contracts.MLOPS_CICD_REPOSITORY))),
        # CodeCommit asks readers as well for all that a key does:
        # https://docs.aws.amazon.com/codecommit/latest/userguide/encryption.html
        allow("KeyOfTheJobs", KEY_USE, b.consume(contracts.PLATFORM_KEY_ARN), via("codecommit")),
        allow("OwnImages", [*rails.PULL, "ecr:DescribeImages", "ecr:ListImages"],
              [GetAtt(image, "Arn") for image in images.values()]),
        # How a build went, and what its jobs said: from a terminal in Studio, since no persona's role belongs to one project.
        allow("OwnBuildLogs", ["logs:FilterLogEvents", "logs:GetLogEvents", "logs:DescribeLogStreams"],
              arn("logs", f"log-group:{BUILD_LOGS}*")),
        allow("OwnBuilds", ["codepipeline:GetPipelineExecution", "codepipeline:GetPipelineState",
                            "codepipeline:ListActionExecutions", "codepipeline:ListPipelineExecutions"],
              arn("codepipeline", "${SageMakerProjectName}-build")),
    ]  # fmt: skip


def _jobs(runs_as: Role) -> list[Statement]:
    # One for each type: IAM takes no wildcard where an ARN names the type.
    everything = [arn("sagemaker", f"{kind}/{OWN}") for kind in JOBS.values()]
    endpoints = [arn("sagemaker", f"{kind}/${{SageMakerProjectName}}-{stage}")
                 for kind in ("endpoint", "endpoint-config") for stage in ("staging", "prod")]  # fmt: skip
    return [
        allow("OwnJobsAndModels", ["sagemaker:DeleteModel", "sagemaker:ListTags",
                                   *(f"sagemaker:{verb}{job}" for verb in ("Create", "Describe") for job in JOBS),
                                   *(f"sagemaker:Stop{job}" for job in JOBS if job != "Model")], everything),
        allow("SeeOwnProject", "sagemaker:DescribeProject", arn("sagemaker", "project/${SageMakerProjectName}")),
        allow("SeeOwnCodeRepository", "sagemaker:DescribeCodeRepository", arn("sagemaker", "code-repository/*"),
              {"StringEquals": {"aws:ResourceTag/mlops:project": Ref("SageMakerProjectName")}}),
        allow("OwnPipeline", ["sagemaker:CreatePipeline", "sagemaker:DeletePipeline", "sagemaker:DescribePipeline*",
                              "sagemaker:ListPipelineExecutionSteps", "sagemaker:ListPipelineParametersForExecution",
                              "sagemaker:ListTags",
                              "sagemaker:RetryPipelineExecution", "sagemaker:StartPipelineExecution",
                              "sagemaker:StopPipelineExecution", "sagemaker:UpdatePipeline",
                              "sagemaker:UpdatePipelineExecution"], OWN_PIPELINE),
        # Tags only together with what they are on, never afterwards: tags are part of the lock.
        allow("TagsAtCreation", "sagemaker:AddTags", [*everything, OWN_PIPELINE[0]],
              {"StringLike": {"sagemaker:TaggingAction": "Create*"}}),
        allow("SeeEndpoints", ["sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig"], endpoints),
        allow("TryStaging", "sagemaker:InvokeEndpoint", arn("sagemaker", "endpoint/${SageMakerProjectName}-staging")),
        pass_to_jobs(runs_as),
        allow("OwnJobLogs", ["logs:CreateLogStream", "logs:GetLogEvents", "logs:PutLogEvents"],
              arn("logs", f"log-group:/aws/sagemaker/*:log-stream:{OWN}")),
        allow("OwnMetrics", "cloudwatch:PutMetricData", "*",
              {"StringEquals": {"cloudwatch:namespace": Sub("mlops/${SageMakerProjectName}")}}),
    ]  # fmt: skip


def pass_to_jobs(runs_as: Role) -> Statement:
    """Let jobs and pipelines of SageMaker run as the project."""
    return allow("RunAsProject", "iam:PassRole", GetAtt(runs_as, "Arn"),
                 {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}})  # fmt: skip


def _registry() -> list[Statement]:
    versions = arn("sagemaker", f"model-package/{UNIQUE}/*")
    return [
        allow("ReadRegistry", ["sagemaker:DescribeModelPackage", "sagemaker:DescribeModelPackageGroup",
                               "sagemaker:ListModelPackages", "sagemaker:ListTags"],
              [arn("sagemaker", f"model-package-group/{UNIQUE}"), versions]),
        allow("RegisterModels", "sagemaker:CreateModelPackage", [arn("sagemaker", f"model-package-group/{UNIQUE}"), versions]),
    ]  # fmt: skip


def _own_tracking(asked: Asked) -> list[Any]:
    return [
        If("HasOwnTracking", allow("OwnTracking", rails.MLFLOW, asked[questions.OWN_TRACKING]), NoValue),
    ]


def _merged(*conditions: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, dict[str, Any]] = {}
    for condition in conditions:
        for operator, keys in condition.items():
            merged.setdefault(operator, {}).update(keys)
    return merged
