"""Guard rails of a project's roles: denies per action, from the condition keys that the action really sends.

A shared Deny on a key that an action never sends would deny that action always. Keys by action:
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html"""

from __future__ import annotations

from typing import Any

from generators.kit.iam import Statement, deny

# What starts compute for a project, and what it can be held to. CreateTransformJob runs a model, and so in the model's network.
JOBS = {
    "sagemaker:CreateHyperParameterTuningJob": ("VpcSubnets", "VpcSecurityGroupIds", "OutputKmsKey", "VolumeKmsKey",
                                                "InstanceTypes", "MaxRuntimeInSeconds"),
    "sagemaker:CreateModel": ("VpcSubnets", "VpcSecurityGroupIds"),
    "sagemaker:CreateProcessingJob": ("VpcSubnets", "VpcSecurityGroupIds", "OutputKmsKey", "VolumeKmsKey", "InstanceTypes",
                                      "MaxRuntimeInSeconds"),
    "sagemaker:CreateTrainingJob": ("VpcSubnets", "VpcSecurityGroupIds", "OutputKmsKey", "VolumeKmsKey", "InstanceTypes",
                                    "MaxRuntimeInSeconds"),
    "sagemaker:CreateTransformJob": ("ModelArn", "OutputKmsKey", "VolumeKmsKey", "InstanceTypes"),
}  # fmt: skip
# On every project's role: the name of its bucket.
BUCKET_TAG = "mlops-project-bucket"
SPACES = ("sagemaker:CreateApp", "sagemaker:CreateSpace", "sagemaker:UpdateSpace")
# Types with local storage: SageMaker refuses a volume key for them, since their own disks encrypt themselves.
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/InstanceStorage.html and the texts of ResourceConfig in SageMaker's API.
LOCAL_STORAGE = tuple(
    f"ml.{family}.*" for family in ("c5d", "c6gd", "c6id", "g4dn", "g5", "g6", "g6e", "i3en", "m5d", "m6gd", "m6id", "p3dn",
                                    "g7", "g7e", "p4d", "p4de", "p5", "p5e", "p5en", "p6-b200", "p6-b300",
                                    "p6e-gb200", "r5d", "r6gd", "r6id", "trn1", "trn1n", "trn2")
)  # fmt: skip
LISTS = [f"sagemaker:List{what}" for what in (
    "AppImageConfigs", "CodeRepositories", "EndpointConfigs", "Endpoints", "HyperParameterTuningJobs", "Images",
    "ModelMetadata", "ModelPackageGroups", "ModelPackages", "Models", "PipelineExecutions", "Pipelines", "ProcessingJobs",
    "Projects", "StudioLifecycleConfigs", "TrainingJobs",
    "TrainingJobsForHyperParameterTuningJob", "TransformJobs")]  # fmt: skip
# An MLflow App is called through one action, a tracking server through a service of its own.
MLFLOW = ["sagemaker:CallMlflowAppApi", "sagemaker:CreatePresignedMlflowAppUrl",
          "sagemaker:CreatePresignedMlflowTrackingServerUrl", "sagemaker:DescribeMlflowApp",
          "sagemaker:DescribeMlflowTrackingServer", "sagemaker-mlflow:*"]  # fmt: skip
MLFLOW_REASON = "sagemaker-mlflow:* is what MLflow's client calls on its own server; releases of it add calls."
PULL = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
SEE_NETWORK = ["ec2:DescribeDhcpOptions", "ec2:DescribeNetworkInterfaces", "ec2:DescribeRouteTables",
               "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcEndpoints", "ec2:DescribeVpcs"]  # fmt: skip


def network(subnets: Any, group: Any) -> list[Statement]:
    """Keep jobs in the platform's subnets, with its own group for them and no other."""
    return [
        deny("JobsNeedTheVpc", _with("VpcSubnets"), "*", {"Null": {"sagemaker:VpcSubnets": "true"}}),
        deny("JobsNeedTheGroup", _with("VpcSecurityGroupIds"), "*", {"Null": {"sagemaker:VpcSecurityGroupIds": "true"}}),
        deny("JobsStayInTheSubnets", _with("VpcSubnets"), "*",
             {"ForAnyValue:StringNotEquals": {"sagemaker:VpcSubnets": subnets}}),
        deny("JobsStayInTheGroup", _with("VpcSecurityGroupIds"), "*",
             {"ForAnyValue:StringNotEquals": {"sagemaker:VpcSecurityGroupIds": group}}),
    ]  # fmt: skip


def encryption() -> list[Statement]:
    """Have outputs and volumes encrypted with a customer key, where the instance type takes one."""
    return [
        deny("OutputsAreEncrypted", _with("OutputKmsKey"), "*", {"Null": _either("OutputKmsKey")}),
        deny("VolumesAreEncrypted", _with("VolumeKmsKey"), "*",
             {"Null": _either("VolumeKmsKey"),
              "ForAnyValue:StringNotLike": {"sagemaker:InstanceTypes": list(LOCAL_STORAGE)}}),
    ]  # fmt: skip


def decisions() -> list[Statement]:
    """Keep whoever makes a model from deciding on it: versions are born pending, and stay what they were when approved."""
    return [
        deny("VersionsAreBornPending", "sagemaker:CreateModelPackage", "*",
             {"StringNotEquals": {"sagemaker:ModelApprovalStatus": "PendingManualApproval"}}),
        deny("VersionsStay", ["sagemaker:DeleteModelPackageGroup", "sagemaker:DeleteModelPackageGroupPolicy",
                              "sagemaker:PutModelPackageGroupPolicy", "sagemaker:UpdateModelPackage"], "*"),
    ]  # fmt: skip


def sizes(instance_types: Any, space_types: Any, longest: Any) -> list[Statement]:
    """Hold jobs and spaces to the instance types of the project (lists that may hold wildcards), jobs to their longest time
    in seconds."""
    return [
        deny("JobsNameInstances", _with("InstanceTypes"), "*", {"Null": {"sagemaker:InstanceTypes": "true"}}),
        deny("OnlyAllowedInstances", _with("InstanceTypes"), "*",
             {"ForAnyValue:StringNotLike": {"sagemaker:InstanceTypes": instance_types}}),
        deny("OnlyAllowedSpaces", list(SPACES), "*",
             {"ForAnyValue:StringNotLike": {"sagemaker:InstanceTypes": space_types}}),
        # A job that names no time ends by SageMaker's own limit of a day.
        deny("JobsEnd", _with("MaxRuntimeInSeconds"), "*",
             {"NumericGreaterThan": {"sagemaker:MaxRuntimeInSeconds": longest}}),
    ]  # fmt: skip


def own_models(models: Any) -> Statement:
    """Keep transforms to the project's models: a transform runs in the role of its model, and needs no permission to pass it."""
    return deny("TransformsUseOwnModels", "sagemaker:CreateTransformJob", "*",
                {"ArnNotLike": {"sagemaker:ModelArn": models}})  # fmt: skip


def apart(project: Any) -> list[Statement]:
    """Keep a project's role from what carries another project's tag, and from giving out another project's tag.

    Names come first: this is the second lock, for what a project named like another's."""
    tags = ("mlops:project", "sagemaker:project-name")
    return [
        *(
            deny(f"OthersStayOthers{number}", ["sagemaker:*", "sagemaker-mlflow:*"], "*",
                 {"StringNotEquals": {f"aws:ResourceTag/{tag}": project}, "Null": {f"aws:ResourceTag/{tag}": "false"}})
            for number, tag in enumerate(tags, start=1)
        ),
        *(
            deny(f"OwnTagOnly{number}", "sagemaker:AddTags", "*",
                 {"StringNotEquals": {f"aws:RequestTag/{tag}": project}, "Null": {f"aws:RequestTag/{tag}": "false"}})
            for number, tag in enumerate(tags, start=1)
        ),
    ]  # fmt: skip


def _either(key: str) -> dict[str, str]:
    # AWS's reference calls the older key replaced by the newer one, and its guide uses both: denied is what sends neither.
    return {f"sagemaker:{key}": "true", f"sagemaker:{key}Arn": "true"}


def _with(key: str) -> list[str]:
    return [action for action, keys in JOBS.items() if key in keys]
