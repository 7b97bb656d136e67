"""What every project shares: the policies that each project's role carries, and the functions that projects and users call.

Nested in 1-infra. The policies stand here and not in each project, so that one upgrade of the base reaches every project, and a
project's own policies stay short enough to read."""

from __future__ import annotations

import json
from typing import Any

from troposphere import AccountId, Equals, GetAtt, If, Join, Not, NoValue, Ref, Split, Sub
from troposphere.iam import ManagedPolicy
from troposphere.stepfunctions import EncryptionConfiguration, StateMachine

from generators.kit import contracts, messages, parameters, rails
from generators.kit.builder import Builder
from generators.kit.contracts import Contract
from generators.kit.functions import Surroundings, helper_function
from generators.kit.iam import PLATFORM_PATH, allow, arn, deny, document, role, trust, via
from generators.kit.lists import each
from generators.kit.parameters import Question
from generators.kit.publishing import ROOT
from generators.kit.stack import Stack, Trial
from generators.kit.studio import SEE_STUDIO, only_from, only_through, studio_statements

STACK = Stack(
    name="project-commons",
    title="MLOps project commons",
    summary="policies that the role of every project carries, and the functions behind projects and users",
    account="data-science",
    groups=("General", "Platform", "Network", "Services"),
    nested_in="1-infra",
    trial=Trial(
        {
            "CostCenter": "12345",
            "AssetsBucketPrefix": "mlops-local",
            "PlatformId": "1a2b3c4d",
            "PlatformKeyArn": "arn:aws:kms:us-east-1:111111111111:key/0a1b2c3d-0000-1111-2222-333344445555",
            "PermissionsBoundaryArn": "arn:aws:iam::111111111111:policy/mlops/boundary/boundary",
            "ArtifactsBucketName": "artifacts",
            "TopicArn": "arn:aws:sns:us-east-1:111111111111:operations",
            "DomainId": "d-abcdefghijkl",
            "VpcId": "vpc-0123456789abcdef0",
            "SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
            "ComputeSecurityGroupId": "sg-0123456789abcdef0",
            "PypiDomainName": "mlops",
            "PypiRepositoryName": "pypi",
            "DataSourceBucketArns": "arn:aws:s3:::sales-data",
            "StudioAccessCidr": "203.0.113.0/24",
            "StudioAccessVpcIds": "vpc-0123456789abcdef0",
            "TrackingArn": "arn:aws:sagemaker:us-east-1:111111111111:mlflow-app/app-abcdefghijkl",
        }
    ),
)
NONE = "none without one"
ASKED = (
    Question("PlatformId", "Mark", "Platform", "Mark of this platform, which names carry that AWS does not make."),
    Question("PlatformKeyArn", "Key", "Platform", "Key of the platform."),
    Question("PermissionsBoundaryArn", "Boundary", "Platform", "Boundary that every role carries."),
    Question("ArtifactsBucketName", "Bucket", "Platform", "Bucket of the platform's own artifacts."),
    Question("TopicArn", "Topic", "Platform", "Topic of the platform's operations."),
    Question("DomainId", "Domain", "Platform", "SageMaker Studio domain."),
    Question("VpcId", "VPC", "Network", "VPC that jobs run in."),
    Question("SubnetIds", "Subnets", "Network", "Subnets that jobs run in, separated by commas."),
    Question("ComputeSecurityGroupId", "Security group", "Network", "Security group of jobs."),
    Question(
        "StudioAccessCidr",
        "Network for Studio",
        "Network",
        "Range that Studio may be opened from; empty is any.",
        default="",
    ),
    Question(
        "StudioAccessVpcIds", "VPCs for Studio", "Network", "VPCs that Studio may be opened through, with a range."
    ),
    Question(
        "DataSourceBucketArns",
        "Company data",
        "Services",
        "Buckets that projects may be given; empty is none.",
        default="",
    ),
    Question("PypiDomainName", "Domain of the package index", "Services", f"CodeArtifact domain; {NONE}."),
    Question("PypiRepositoryName", "Repository of the package index", "Services", f"CodeArtifact repository; {NONE}."),
    Question("TrackingArn", "Experiment tracking", "Services", f"MLflow App or tracking server; {NONE}."),
)
DOMAIN = "${DomainId}"
LOOP = ROOT / "lambdas" / "studio_user" / "clean_up_loop.asl.json"
OF_A_PROJECT = {"StringEquals": {"aws:ResourceTag/mlops:template": "2-smproject"}}


def build(b: Builder) -> None:
    """Build the template."""
    shared = (parameters.COST_CENTER, parameters.ASSETS_BUCKET_PREFIX, parameters.LOG_RETENTION)
    asked = {question.name: b.ask(question) for question in (*shared, *ASKED)}
    b.when("HasPackageIndex", Not(Equals(asked["PypiDomainName"], "none")))
    b.when("HasTracking", Not(Equals(asked["TrackingArn"], "none")))
    b.when("HasStudioCidr", Not(Equals(asked["StudioAccessCidr"], "")))
    b.when("HasDataBuckets", Not(Equals(asked["DataSourceBucketArns"], "")))
    around = Surroundings(asked["PlatformKeyArn"], asked["LogRetentionInDays"], asked["PermissionsBoundaryArn"])
    _policy(b, contracts.PROJECT_STUDIO_POLICY_ARN, "What every project's people may do in Studio", _studio(asked))
    _policy(b, contracts.PROJECT_JOBS_POLICY_ARN, "What every project's jobs take from the account", _jobs(asked),
            {"MLOPS011": "WriteMetrics: cloudwatch:PutMetricData knows no resource; a condition names namespaces."})  # fmt: skip
    _policy(b, contracts.PROJECT_RAILS_POLICY_ARN, "What no role of a project may do", _rails(asked))
    _policy(
        b,
        contracts.PROJECT_REACH_POLICY_ARN,
        "Which buckets and keys no role of a project may go beyond",
        _reach(asked),
    )
    _policy(b, contracts.PROJECT_TRACKING_POLICY_ARN, "Use of the platform's experiment tracking", _tracking(asked),
            {"MLOPS010": f"UseMlflow: {rails.MLFLOW_REASON}"})  # fmt: skip
    _policy(b, contracts.PROJECT_BUILDS_POLICY_ARN, "What every project's builds take from the account", _builds(asked))
    _studio_user(b, around, asked["TopicArn"])
    _release_files(b, around)
    _project_ready(b, around, asked["TopicArn"])


def _policy(
    b: Builder, contract: Contract, description: str, statements: list[Any], accept: dict[str, str] | None = None
) -> None:
    made = b.add(
        ManagedPolicy(
            contract.name.removesuffix("Arn"),
            Description=description,
            Path=PLATFORM_PATH,
            PolicyDocument=document(*statements),
        ),
        accept=accept,
    )
    b.publish(contract, Ref(made))


def _packages() -> list[If]:
    statements = [
        allow("PackageIndexToken", "codeartifact:GetAuthorizationToken", arn("codeartifact", "domain/${PypiDomainName}")),
        allow("PackageIndex", ["codeartifact:GetRepositoryEndpoint", "codeartifact:ReadFromRepository"],
              arn("codeartifact", "repository/${PypiDomainName}/${PypiRepositoryName}")),
        # CodeArtifact's token is one of STS: https://docs.aws.amazon.com/codeartifact/latest/ug/tokens-authentication.html
        allow("PackageIndexBearer", "sts:GetServiceBearerToken", "*",
              {"StringEquals": {"sts:AWSServiceName": "codeartifact.amazonaws.com"}}),
    ]  # fmt: skip
    return [If("HasPackageIndex", statement, NoValue) for statement in statements]


def _images() -> list[Any]:
    return [
        # Which accounts' images pass is for the endpoint policy to say, and for the registries' own.
        allow("SignInToRegistries", "ecr:GetAuthorizationToken", "*"),
        allow("ImagesOfAws", rails.PULL, Sub("arn:${AWS::Partition}:ecr:${AWS::Region}:*:repository/*"),
              {"StringNotEquals": {"aws:ResourceAccount": AccountId}}),
    ]  # fmt: skip


def _interfaces(asked: dict[str, Ref]) -> list[Any]:
    """Let the role's jobs or builds take their place in the VPC: the platform's subnets, with its group for them."""
    return [
        allow("SeeTheNetwork", rails.SEE_NETWORK, "*"),
        allow("NewInterfaces", "ec2:CreateNetworkInterface", arn("ec2", "network-interface/*")),
        allow("InterfacesInOurSubnets", "ec2:CreateNetworkInterface", arn("ec2", "subnet/*"),
              {"StringEquals": {"ec2:SubnetID": Split(",", asked["SubnetIds"])}}),
        allow("InterfacesInTheGroup", "ec2:CreateNetworkInterface", arn("ec2", "security-group/${ComputeSecurityGroupId}")),
    ]  # fmt: skip


def _builds(asked: dict[str, Ref]) -> list[Any]:
    place = {"ArnEquals": {"ec2:Vpc": arn("ec2", "vpc/${VpcId}")}}
    # https://docs.aws.amazon.com/codebuild/latest/userguide/auth-and-access-control-iam-identity-based-access-control.html
    # (Allow CodeBuild access to AWS services required to create a VPC network interface)
    to_codebuild = {"StringEquals": {"ec2:AuthorizedService": "codebuild.amazonaws.com"}, **place}
    return [
        *_packages(),
        *_images(),
        *_interfaces(asked),
        allow("Interfaces", "ec2:DeleteNetworkInterface", arn("ec2", "network-interface/*"), place),
        allow("InterfacesForCodeBuild", "ec2:CreateNetworkInterfacePermission", arn("ec2", "network-interface/*"),
              to_codebuild),
    ]  # fmt: skip


def _studio(asked: dict[str, Ref]) -> list[Any]:
    return [
        *studio_statements(DOMAIN, asked["PlatformKeyArn"]),
        If("HasStudioCidr", only_from(asked["StudioAccessCidr"]), NoValue),
        If("HasStudioCidr", only_through(Split(",", asked["StudioAccessVpcIds"])), NoValue),
        allow("SeeJobsAndModels", rails.LISTS, "*"),
        allow("ReadFacts", ["ssm:GetParameter", "ssm:GetParameters"], arn("ssm", "parameter/mlops/infra/*")),
        *_packages(),
    ]


def _jobs(asked: dict[str, Ref]) -> list[Any]:
    place = {"ArnEquals": {"ec2:Vpc": arn("ec2", "vpc/${VpcId}")}}
    return [
        *_images(),
        # A job in the VPC takes its interfaces in the name of its role:
        # https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html
        *_interfaces(asked),
        allow("Interfaces", ["ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface",
                             "ec2:DeleteNetworkInterfacePermission"], arn("ec2", "network-interface/*"), place),
        # Streams of jobs are for the project's own policy; those of Studio's apps are called after domain and space.
        allow("LogGroups", ["logs:CreateLogGroup", "logs:DescribeLogStreams"], arn("logs", "log-group:/aws/sagemaker/*")),
        allow("WriteAppLogs", ["logs:CreateLogStream", "logs:PutLogEvents"], arn("logs", "log-group:/aws/sagemaker/studio:*")),
        allow("WriteMetrics", "cloudwatch:PutMetricData", "*",
              {"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}}),
        allow("ReadMetrics", ["cloudwatch:GetMetricData", "cloudwatch:GetMetricStatistics", "cloudwatch:ListMetrics"], "*"),
    ]  # fmt: skip


def _rails(asked: dict[str, Ref]) -> list[Any]:
    return [
        *rails.network(Split(",", asked["SubnetIds"]), asked["ComputeSecurityGroupId"]),
        *rails.encryption(),
        *rails.decisions(),
        # Doors into a running app or container that nobody watches.
        deny("NoRemoteAccess", ["sagemaker:CreateSpace", "sagemaker:UpdateSpace"], "*",
             {"StringEquals": {"sagemaker:RemoteAccess": "ENABLED"}}),
        deny("NoRemoteDebug", ["sagemaker:CreateTrainingJob", "sagemaker:UpdateTrainingJob"], "*",
             {"Bool": {"sagemaker:EnableRemoteDebug": "true"}}),
    ]  # fmt: skip


def _reach(asked: dict[str, Ref]) -> list[Any]:
    return [
        _own_buckets_and_company_data(asked),
        # Volumes of spaces, MLflow's artifacts, and the jobs' repository; what else the key protects is no project's.
        deny("PlatformKeyStays", "kms:*", asked["PlatformKeyArn"],
             {"StringNotEquals": via("sagemaker", "ec2", "s3", "codecommit")["StringEquals"]}),
    ]  # fmt: skip


def _own_buckets_and_company_data(asked: dict[str, Ref]) -> dict[str, Any]:
    """Keep S3 to the project's own bucket, to the company data that 1-infra names, and to MLflow's artifacts: what a project
    is given beyond that by its parameters has no effect."""
    bucket = "arn:${AWS::Partition}:s3:::"
    tag = f"${{!aws:PrincipalTag/{rails.BUCKET_TAG}}}"
    own = [Sub(f"{bucket}{tag}"), Sub(f"{bucket}{tag}/*")]
    artifacts = [Sub(f"{bucket}${{ArtifactsBucketName}}"), Sub(f"{bucket}${{ArtifactsBucketName}}/mlflow/*")]
    company = each(asked["DataSourceBucketArns"]), each(asked["DataSourceBucketArns"], after="/*")
    with_data = Split(",", Join(",", [*own, *artifacts, Join(",", company[0]), Join(",", company[1])]))
    return {"Sid": "OnlyOwnBucketsAndCompanyData", "Effect": "Deny", "Action": "s3:*",
            "NotResource": If("HasDataBuckets", with_data, [*own, *artifacts])}  # fmt: skip


def _tracking(asked: dict[str, Ref]) -> list[Any]:
    # Neither the App nor the server knows permissions below the whole: what one project logs, another can read and change.
    return [
        allow("SeeTracking", ["sagemaker:ListMlflowApps", "sagemaker:ListMlflowTrackingServers"], "*"),
        If("HasTracking", allow("UseMlflow", rails.MLFLOW, asked["TrackingArn"]), NoValue),
        # MLflow's client writes artifacts itself, in the name of whoever logs.
        If(
            "HasTracking",
            allow(
                "Artifacts",
                ["s3:GetObject", "s3:PutObject"],
                Sub("arn:${AWS::Partition}:s3:::${ArtifactsBucketName}/mlflow/*"),
            ),
            NoValue,
        ),
        If(
            "HasTracking",
            allow(
                "ListArtifacts",
                "s3:ListBucket",
                Sub("arn:${AWS::Partition}:s3:::${ArtifactsBucketName}"),
                {"StringLike": {"s3:prefix": "mlflow/*"}},
            ),
            NoValue,
        ),
        If(
            "HasTracking",
            allow("EncryptArtifacts", ["kms:Decrypt", "kms:GenerateDataKey"], asked["PlatformKeyArn"], via("s3")),
            NoValue,
        ),
    ]


def _studio_user(b: Builder, around: Surroundings, topic: Ref) -> None:
    name = "mlops-clean-up-${PlatformId}"
    loop_arn = arn("states", f"stateMachine:{name}")
    spaces = [arn("sagemaker", f"{kind}/{DOMAIN}/*") for kind in ("app", "space")]
    function = helper_function(
        b,
        "studio_user",
        "Names Studio users, ends their apps and spaces, and guards projects that have users",
        [
            allow("SeeStudio", SEE_STUDIO, "*"),
            # Of an earlier platform as well: its users and projects ask after their own domain, to find that it is gone.
            allow("ReadDomain", "sagemaker:DescribeDomain", arn("sagemaker", "domain/*")),
            allow(
                "ReadProfiles",
                ["sagemaker:DescribeUserProfile", "sagemaker:ListTags"],
                arn("sagemaker", "user-profile/*"),
            ),
            allow("EndSpaces", ["sagemaker:DeleteApp", "sagemaker:DeleteSpace"], spaces),
            allow("FindProfiles", "tag:GetResources", "*"),
            allow("ReadProjects", "ssm:GetParameter", arn("ssm", "parameter/mlops/projects/*")),
            allow("WaitForTheEnd", "states:StartExecution", loop_arn),
            allow("EncryptExecutions", ["kms:Decrypt", "kms:GenerateDataKey"], around.key_arn, via("states")),
        ],
        around,
        timeout=120,
        environment={"CLEAN_UP_LOOP": loop_arn},
    )
    runs_as = b.add(
        role(
            "CleanUpLoopRole",
            "Asks again and again until the apps and spaces of a user have ended",
            trust("states.amazonaws.com", source=arn("states", "stateMachine:*")),
            [
                allow("AskAgain", "lambda:InvokeFunction", GetAtt(function, "Arn")),
                allow("EncryptExecutions", ["kms:Decrypt", "kms:GenerateDataKey"], around.key_arn, via("states")),
            ],
            around.boundary,
        )
    )
    loop = b.add(
        StateMachine(
            "CleanUpLoop",
            StateMachineName=Sub(name),
            StateMachineType="STANDARD",
            RoleArn=GetAtt(runs_as, "Arn"),
            DefinitionString=json.dumps(json.loads(LOOP.read_text(encoding="utf-8")), separators=(",", ":")),
            DefinitionSubstitutions={"FunctionArn": GetAtt(function, "Arn")},
            # Its input holds the URL by which CloudFormation is answered.
            EncryptionConfiguration=EncryptionConfiguration(
                Type="CUSTOMER_MANAGED_KMS_KEY", KmsKeyId=around.key_arn, KmsDataKeyReusePeriodSeconds=300
            ),
        ),
        accept={
            "MLOPS015": "The function that the loop calls has to know the loop; AWS's own name would close a circle."
        },
    )
    for name, metric in (("CleanUpFailedAlarm", "ExecutionsFailed"), ("CleanUpTimedOutAlarm", "ExecutionsTimedOut")):
        messages.alarm_on_any(
            b,
            name,
            "Nobody answered CloudFormation for a user that goes: see the executions of the loop.",
            ("AWS/States", metric),
            ("StateMachineArn", Ref(loop)),
            topic,
        )
    b.publish(contracts.STUDIO_USER_FUNCTION_ARN, GetAtt(function, "Arn"))


def _release_files(b: Builder, around: Surroundings) -> None:
    release = Sub("arn:${AWS::Partition}:s3:::${AssetsBucketPrefix}-${AWS::Region}/v*")
    files = helper_function(
        b,
        "release_files",
        "Copies files of the release into buckets of the account",
        [
            allow("ReadRelease", "s3:GetObject", release),
            allow("SeeVersions", "s3:ListBucketVersions", Sub("arn:${AWS::Partition}:s3:::*-p-*")),
            allow("KeepFiles", ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObject", "s3:PutObjectTagging"],
                  Sub("arn:${AWS::Partition}:s3:::*-p-*/workspace/*")),
            allow("ErasePipelineArtifacts", ["s3:DeleteObject", "s3:DeleteObjectVersion"],
                  Sub("arn:${AWS::Partition}:s3:::*-p-*/*/Pipe*/*")),
            allow("EncryptFiles", ["kms:Decrypt", "kms:GenerateDataKey"], arn("kms", "key/*"), via("s3")),
        ],
        around,
        timeout=60,
    )  # fmt: skip
    b.publish(contracts.RELEASE_FILES_FUNCTION_ARN, GetAtt(files, "Arn"))


def _project_ready(b: Builder, around: Surroundings, topic: Ref) -> None:
    ready = helper_function(
        b,
        "project_ready",
        "Tells people that a project is ready, and what comes next",
        [
            allow("TellThePlatform", "sns:Publish", topic),
            allow("TellTheProject", "sns:Publish", arn("sns", "SC-*"), OF_A_PROJECT),
            allow("EncryptMessages", ["kms:Decrypt", "kms:GenerateDataKey"], arn("kms", "key/*"), via("sns")),
        ],
        around,
        timeout=60,
        environment={"TOPIC_ARN": topic},
    )
    b.publish(contracts.PROJECT_READY_FUNCTION_ARN, GetAtt(ready, "Arn"))
